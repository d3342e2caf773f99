"""The verbs of a project whose corpus lies in shards: the same as of any project, wherever their work runs.

    PROJECT/unweave.toml   the settings; `[shards]` says where the shards are
    PROJECT/sample         an ordinary project of passages drawn evenly from all shards: the SAE is trained on them
    PROJECT/reading        an ordinary project of the passages that show each latent: its concepts are named from them

Whatever is made of all passages lies in the store; the two projects are of a size that one machine works with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from unweave import settings
from unweave.base.addresses import is_remote
from unweave.base.artifact import MANIFEST
from unweave.base.contributions import Names
from unweave.base.locks import alone
from unweave.base.plain import plain
from unweave.base.progress import Stopwatch
from unweave.base.records import Explanation, Hit, HitList
from unweave.cluster import gathering
from unweave.cluster.checking import checked
from unweave.cluster.gathering import READING, SAMPLE
from unweave.cluster.scratch import Scratch
from unweave.cluster.searching import DEADLINE, ShardSearch
from unweave.cluster.shards import Catalogue, Shard, Source
from unweave.cluster.sources import Cut, addresses_of, is_meant, some_of
from unweave.cluster.stages import (
    DICTIONARY,
    EMBED,
    ENCODE,
    INDEX,
    INDEX_TOKENS,
    READ_TOKENS,
    TOKEN_DICTIONARY,
    Done,
    OfShard,
    fingerprint_of,
    place_of,
    publish_dictionary,
)
from unweave.cluster.store import Store
from unweave.cluster.strongest import StrongestOf, together
from unweave.cluster.workers import Workers, join, run, workers_on
from unweave.config import HERE
from unweave.errors import BadData, CorruptArtifact, DimensionMismatch, MissingArtifact
from unweave.sae import tokens
from unweave.sae.model import SAE
from unweave.stages import embed as embedding
from unweave.stages import fit as fitting
from unweave.stages import health
from unweave.stages import index as indexing
from unweave.stages import name as naming
from unweave.stages.asked import Asked, QueryId, check_text
from unweave.stages.ensure import Outcome
from unweave.stages.tokens import fit_tokens
from unweave.stages.workspace import Workspace

SYSTEMS = {"CL-SR": "default", "tokens": "tokens"}
"""What shards are searched by, and the scoring profile of its index."""
_ITS_OWN = frozenset({"shards"})


class Sharded:
    """A project whose corpus lies in shards."""

    def __init__(self, project: Workspace, on: str = HERE) -> None:
        """Nothing is done yet.

        Args:
            on: where work runs, see `workers.workers_on`.

        Raises:
            BadData: the project's passages lie in its own folder.
            NotTrusted: the user did not allow what its settings reach.
        """
        if not project.is_sharded:
            raise BadData(
                f"{project.path} holds its passages itself, so there is nothing to share out; a corpus that lies in "
                "shards is made by: unweave init PROJECT --corpus 'FOLDER/*.parquet' --store STORE"
            )
        self._project, self._on = project, on
        self._config = project.confirmed("shards")
        self.store = Store(self._config.store)
        self._changes = {stage: values for stage, values in asdict(project.settings).items() if stage not in _ITS_OWN}

    @property
    def catalogue(self) -> Catalogue:
        """The shards that there are.

        Raises:
            MissingArtifact: there are none.
        """
        found = Catalogue.read(self.store)
        if not found.shards:
            raise MissingArtifact(f"{self.store!r} holds no shards yet; cut a corpus: unweave init … --corpus")
        return found

    # --- make -------------------------------------------------------------------------------------

    def cut(self, patterns: Sequence[str]) -> list[Outcome]:
        """Cut files into shards, after those that there are; a file that was cut before is not read again.

        Raises:
            BadData: a pattern means no file, or a file holds what is no passage.
        """
        watch = Stopwatch()
        with self._alone(), Scratch() as scratch:
            known = Catalogue.known(self.store)
            there = {source.address for source in known.sources}
            new = [address for address in addresses_of(patterns) if address not in there]
            sources = [*known.sources, *(Source(known.n_cut + i, address) for i, address in enumerate(new))]
            found = run(self._workers, Cut(self.store, self._config.size), sources, "cutting files")
            shards = tuple(shard for source in sources for shard in found[source])
            now = Catalogue(shards, tuple(sources), known.n_cut + len(new))
            if now != known or not Catalogue.is_stated(self.store):
                now.write(self.store, scratch)
        return [Outcome("shards", now != known, watch.seconds, _counts(shards))]

    def remove(self, patterns: Sequence[str]) -> list[Outcome]:
        """Take out the shards that were cut from some files; who searches lets go of them when it is refreshed.

        Args:
            patterns: paths or addresses as they were given, in which `*` and `[…]` may stand for others.

        Raises:
            BadData: no shard was cut from such a file.
        """
        watch = Stopwatch()
        with self._alone(), Scratch() as scratch:
            known = Catalogue.read(self.store)
            gone = {s.address for s in known.sources if any(is_meant(s.address, pattern) for pattern in patterns)}
            if not gone:
                said = plain(", ".join(patterns), 200)
                raise BadData(f"no shard was cut from {said}; the files are {some_of(known.sources)}")
            now = known.without(gone)
            now.write(self.store, scratch)
            known.take_away(self.store, now)
        return [Outcome("shards", True, watch.seconds, _counts(now.shards))]

    def embed(self) -> list[Outcome]:
        """Embed the passages of every shard."""
        asked = {"encoder": self._project.encoder_identity("passages")}  # loads it: what is wrong is said at once
        return [self._of_all(EMBED, asked, "embedding shards")]

    def fit(self) -> list[Outcome]:
        """Train an SAE on a sample as the settings say, or take the one that they name; encode every shard with it."""
        catalogue = self.catalogue
        rows = gathering.drawn(int(catalogue.first[-1]), self._config.sample, self._project.settings.fit.seed)
        sample = self._gathered(SAMPLE, catalogue, rows, {})
        outcomes = [*embedding.embed(sample), *fitting.fit(sample)]
        with Scratch() as scratch:
            publish_dictionary(self.store, sample.sae, scratch, DICTIONARY)
        return [*_below(SAMPLE, outcomes), self._of_all(ENCODE, {}, "encoding shards")]

    def index(self) -> list[Outcome]:
        """Index every shard, with what is known of all passages."""
        mean = self._mean_latents("sae", ENCODE)
        return [self._of_all(INDEX, {"mean_latents": mean}, "indexing shards")]

    def tokens(self) -> list[Outcome]:
        """Learn concepts of single tokens from the sample, read the tokens of every shard by them, and index these."""
        sample = self._sample
        outcomes = fit_tokens(sample)
        with Scratch() as scratch:
            publish_dictionary(self.store, sample.token_sae, scratch, TOKEN_DICTIONARY)
        read = self._of_all(READ_TOKENS, {}, "reading the tokens of shards")
        mean = self._mean_latents("tokens/sae", READ_TOKENS)
        return [*_below(SAMPLE, outcomes), read, self._of_all(INDEX_TOKENS, {"mean_latents": mean}, "indexing tokens")]

    def name(
        self, by: str = "keyphrases", *, most: int | None = None, below: float | None = None, discard: bool = False,
        anew: bool = False,
    ) -> list[Outcome]:  # fmt: skip
        """Gather the passages that show each latent from all shards, and name the concepts from them.

        The arguments are those of `Project.name`.
        """
        catalogue = self.catalogue
        seed = self._project.settings.evidence.seed
        work = StrongestOf(self.store, self._changes, self._config.strongest, seed, self._config.cpus)
        shards = list(zip(catalogue.names, catalogue.first[:-1].tolist(), strict=True))
        found = self._workers.reduce(work, shards, partial(together, n=self._config.strongest))
        rows = np.unique(np.concatenate([found.strongest.passages, found.drawn.passages]))
        taken = {"fit": {"dictionary": str(self._dictionary), "own_latents": 0}}
        reading = self._gathered(READING, catalogue, rows, taken)
        outcomes = [*embedding.embed(reading), *fitting.fit(reading)]
        outcomes += naming.run(reading, by, most, below, discard=discard, anew=anew)
        return _below(READING, [*outcomes, *indexing.index(reading)])

    def verify(self) -> list[health.Found]:
        """Read every byte of every artefact; what is damaged is made again by the command that made it."""
        return checked(self._workers, self.store, self.catalogue.names)

    # --- search -----------------------------------------------------------------------------------

    def searcher(self, *, system: str = "CL-SR", holders: int = 1, deadline: float = DEADLINE) -> ShardSearch:
        """All shards, opened to be searched many times.

        Args:
            system: `CL-SR`, or `tokens`, by the concepts of single tokens.
            holders: how many workers hold them.
            deadline: seconds after which an answer does without the shards that have not answered.

        Raises:
            BadData: shards are not searched by such a system.
            MissingArtifact: they are not indexed for it.
        """
        if system not in SYSTEMS:
            raise BadData(f"shards are searched by {' or '.join(SYSTEMS)}, not by {plain(system, 60)}")
        join(self._on)
        profile = SYSTEMS[system]
        return ShardSearch(self.store, on=self._on, holders=holders, profile=profile, deadline=deadline)

    def search(
        self, query: Asked, cutoff: int = 10, *, system: str = "CL-SR", explain: bool = False,
        searcher: ShardSearch | None = None,
    ) -> Found:  # fmt: skip
        """The best passages of all shards for a query, with their texts.

        Args:
            query: a text or, for CL-SR, its embedding, (d_in,).
            system: see `searcher`.
            explain: give each hit its score as a sum of concepts, named if the project's are.
            searcher: what has opened the shards for this system; None: they are opened for this query alone.
        """
        if searcher is None:
            with self.searcher(system=system) as opened:
                return self.search(query, cutoff, system=system, explain=explain, searcher=opened)
        read = searcher.read(self._latents_of(query, system))
        answer = searcher.search(read, cutoff)
        passages = searcher.passages(answer.hits)
        whys: list[Explanation | None] = [None] * len(passages)
        if explain:
            whys = [*searcher.explain(read, answer.hits, self._names(system))]
            for why in whys:
                if why is not None:
                    why.check()
        hits = (
            Hit(hit.rank, hit.score, passage._replace(metadata={**passage.metadata, gathering.SHARD: hit.shard}), why)
            for hit, passage, why in zip(answer.hits, passages, whys, strict=True)
        )
        return Found(HitList(hits), answer.missing)

    def _latents_of(self, query: Asked, system: str) -> csr_array:
        """A query's latents, (1, n_latents)."""
        check_text(query)
        if isinstance(query, QueryId):
            raise BadData("a project in shards has no queries of its own; give a text or an embedding")
        if system == "tokens":
            if not isinstance(query, str):
                raise BadData("tokens are read from a text; give one, and no embedding")
            sample = self._sample
            return tokens.encode_texts(sample.token_encoder, sample.token_sae, [query], of_queries=True)
        found = self._project.named_encoder.encode_queries([query])[0] if isinstance(query, str) else query
        if found.shape != (self._sae.config.d_in,):
            raise DimensionMismatch(f"a query of shape {found.shape} came; expected ({self._sae.config.d_in},)")
        return self._sae.encode(np.asarray(found, np.float32)[None])

    @property
    def _sample(self) -> Workspace:
        """The project that the SAEs were trained in."""
        return Workspace.open(self._dictionary.parent, self._changes)

    @cached_property
    def _sae(self) -> SAE:
        return SAE.load(self._dictionary)

    def _names(self, system: str) -> Names | None:
        """The names that concepts have; None before there are any."""
        if system == "tokens":
            return self._sample.token_names
        folder = self._project.path / READING
        return Workspace.open(folder).concepts if (folder / "concepts" / MANIFEST).is_file() else None

    @property
    def _dictionary(self) -> Path:
        """The SAE that shards were encoded with, as names are given to it."""
        folder = self._project.path / SAMPLE / "sae"
        if not folder.is_dir():
            raise MissingArtifact(f"{self._project.path} has no SAE yet; run: unweave fit {self._project.path}")
        return folder.resolve()

    def _gathered(
        self, purpose: str, catalogue: Catalogue, rows: Any, changes: Mapping[str, Mapping[str, Any]]
    ) -> Workspace:
        """Some passages as an ordinary project, with this one's settings but for some."""
        taken = gathering.Taken(self.store, self._changes, purpose, catalogue.split(rows), self._config.cpus)
        wanted = {stage: {**values, **changes.get(stage, {})} for stage, values in self._changes.items()}
        return gathering.gather(
            self._workers, taken, self._project.path / purpose, wanted, f"gathering passages ({purpose})"
        )

    def _mean_latents(self, dictionary: str, stage: str) -> float:
        """How many latents of a passage count, in the mean of all, as it was when they were first indexed.

        Args:
            dictionary: the SAE that encoded them.
            stage: that did so, and counted.
        """
        note = f"statistics-{place_of('', dictionary)}.json"
        fingerprint = fingerprint_of(self.store, "", dictionary)
        try:
            known = self.store.read_json(note)
            if known["dictionary"] == fingerprint:
                return float(known["mean_latents"])
        except (MissingArtifact, CorruptArtifact, KeyError, TypeError, ValueError):
            pass
        done = self._done(stage, {}, "counting").values()
        mean = sum(int(of.results["kept"]) for of in done) / max(1, sum(int(of.results["n_passages"]) for of in done))
        with Scratch() as scratch:
            self.store.write_json(note, {"dictionary": fingerprint, "mean_latents": mean}, scratch)
        return mean

    # --- work on all shards -----------------------------------------------------------------------

    @property
    def _workers(self) -> Workers:
        return workers_on(self._on, cpus=self._config.cpus, gpus=self._config.gpus)

    def _of_all(self, stage: str, asked: Mapping[str, Any], label: str) -> Outcome:
        watch = Stopwatch()
        done = self._done(stage, asked, label)
        fresh = sum(one.fresh for one in done.values())
        n_passages = sum(int(one.results["n_passages"]) for one in done.values())
        return Outcome(
            f"shards/{stage}", fresh > 0, watch.seconds,
            {"n_passages": n_passages, "n_shards": len(done), "n_fresh": fresh},
        )  # fmt: skip

    def _done(self, stage: str, asked: Mapping[str, Any], label: str) -> dict[str, Done]:
        with self._alone():
            work = OfShard(self.store, stage, self._changes, asked, self._config.cpus)
            return run(self._workers, work, self.catalogue.names, label)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other process of this machine works on the shards.

        Raises:
            ArtifactInUse: one does.
        """
        with alone(self._project.path / ".shards.unweave-lock", f"working on the shards of {self._project.path}"):
            yield


class Found(NamedTuple):
    """Hits of all shards, best first."""

    hits: HitList[Hit]
    missing: dict[str, str]
    """Why a shard was not asked, by its name; where there is one, its passages are not among the hits."""


def create(path: Path, shards: Mapping[str, Any]) -> dict[str, Any]:
    """Make the folder of a project whose corpus lies in shards; it has none yet.

    Args:
        shards: settings of that stage, with `store`.

    Returns:
        The same, the store's place in full.

    Raises:
        BadData: there is a project already, or the store's address is none.
    """
    if (path / settings.FILE).exists():
        raise BadData(f"{path} is a project already; open it, or give a new folder")
    store = str(shards["store"])
    where = store if is_remote(store) else str(Path(store).resolve())
    Catalogue.read(Store(where))  # what is wrong with it is said before anything is made
    path.mkdir(parents=True, exist_ok=True)
    settings.write_new(path / settings.FILE, {"shards": {**shards, "store": where}})
    return {**shards, "store": where}


def _counts(shards: Sequence[Shard]) -> dict[str, int]:
    return {"n_shards": len(shards), "n_passages": sum(shard.n_passages for shard in shards)}


def _below(folder: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome._replace(artifact=f"{folder}/{outcome.artifact}") for outcome in outcomes]
