"""A project: the folder that holds every artefact of one corpus, and what each was made from."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave import fusion, settings, tokens
from unweave.artifact import MANIFEST, Manifest, read_manifest
from unweave.collections import Collection
from unweave.concepts.lexicon import Ingredient, Lexicon
from unweave.concepts.store import Concepts
from unweave.corpus import Corpus
from unweave.embeddings import Embeddings
from unweave.encoders import PRECOMPUTED, Encoder, TokenEncoder, open_encoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, StaleArtifact, UnweaveError
from unweave.explanation import Explanation, Names
from unweave.explanation import explain as explain_dense
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import TOKENS
from unweave.latents import load_latents
from unweave.queries import QuerySet
from unweave.records import Hit
from unweave.retrieval import AS_IT_IS, ConceptSearcher, Steering
from unweave.sae.model import SAE
from unweave.systems import EmbeddedQuery, Fused, Systems, chosen, systems_of


class _Place(NamedTuple):
    kind: str
    command: str
    """The command that makes it."""


ARTIFACTS = {
    "corpus": _Place("corpus", "init"),
    "queries": _Place("queries", "init"),
    "sentences": _Place("corpus", "embed"),
    "embeddings/passages": _Place("embeddings", "embed"),
    "embeddings/sentences": _Place("embeddings", "embed"),
    "embeddings/queries": _Place("embeddings", "embed"),
    "sae": _Place("sae", "fit"),
    "latents": _Place("latents", "fit"),
    "concepts": _Place("concepts", "name"),
    "lexicon": _Place("corpus", "name --namer lexicon"),
    "embeddings/lexicon": _Place("embeddings", "name --namer lexicon"),
    "index/default": _Place("index", "index build"),
    "index/paper": _Place("index", "index build"),
    "tokens/sae": _Place("sae", "tokens"),
    "tokens/latents": _Place("latents", "tokens"),
    "index/tokens": _Place("index", "tokens"),
    "codes": _Place("codes", "index build"),
    "evaluation": _Place("evaluation", "evaluate"),
}
"""Where each artefact lies below the project's folder."""
_MEAN_OF = 16_384
"""Passages that the mean is taken of, at most."""


class Project:
    """Opens the artefacts of a project and refuses those made from something that has changed since."""

    def __init__(self, path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.path = path
        self.settings = settings.Settings.read(path / settings.FILE).changed(changes or {})

    @classmethod
    def open(cls, path: Path | str, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Open a project folder.

        Args:
            changes: settings by stage that hold for this object, whatever the file says.

        Raises:
            MissingArtifact: the folder is not a project.
        """
        path = Path(path)
        if not (path / settings.FILE).is_file():
            raise MissingArtifact(f"{path} is not a project: it has no {settings.FILE}; make one with: unweave init")
        return cls(path, changes)

    @classmethod
    def create(cls, path: Path | str, collection: Collection, *, drop_unknown: bool = False) -> Self:
        """Make a project from a collection; if that fails, nothing of it is left.

        Args:
            drop_unknown: leave out judgements of passages that the corpus does not have, rather than refuse.

        Raises:
            BadData: there is a project already, the corpus is empty, ids repeat, or judgements name unknown ids.
        """
        path = Path(path)
        if (path / settings.FILE).exists():
            raise BadData(f"{path} is a project already; open it, or give a new folder")
        for name in ("corpus", "queries"):
            if (path / name).exists() and not (path / name / MANIFEST).is_file():
                raise BadData(f"{path / name} is in the way and is not unweave's; give a new or empty project folder")
        made: list[str] = []
        try:
            corpus = Corpus.write(path / "corpus", collection.passages, settings={"about": dict(collection.about)})
            made.append("corpus")
            qrels = {
                split: _known(judged, split, corpus, drop_unknown=drop_unknown)
                for split, judged in collection.qrels.items()
            }
            made_from = {"corpus": corpus.manifest.fingerprint}
            QuerySet.write(path / "queries", collection.queries, qrels, settings={}, made_from=made_from)
            made.append("queries")
            settings.write_default(path / settings.FILE)  # last: its presence says that the project is whole
        except BaseException:
            for name in made:
                shutil.rmtree(path / name, ignore_errors=True)
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            raise
        return cls(path)

    def manifest(self, name: str) -> Manifest:
        """The manifest of an artefact that is there and up to date.

        Raises:
            MissingArtifact: it has not been made.
            StaleArtifact: it was made from an artefact that has changed since.
        """
        place = ARTIFACTS[name]
        try:
            manifest = read_manifest(self.path / name, place.kind)
        except MissingArtifact:
            raise MissingArtifact(f"{self.path} has no {name} yet; run: unweave {place.command} {self.path}") from None
        except CorruptArtifact as error:
            way_out = "make a new project" if place.command == "init" else f"run: unweave {place.command} {self.path}"
            raise CorruptArtifact(f"{error}; {way_out}") from error
        for source, fingerprint in manifest.made_from.items():
            if self.manifest(source).fingerprint != fingerprint:
                raise StaleArtifact(
                    f"{name} was made from another {source} than the one that is there now; "
                    f"run: unweave {place.command} {self.path}"
                )
        return manifest

    def has(self, name: str) -> bool:
        """Whether an artefact is there and up to date."""
        try:
            self.manifest(name)
        except (MissingArtifact, StaleArtifact):
            return False
        return True

    def made_from(self, *names: str) -> dict[str, str]:
        """Fingerprints of the artefacts that another is about to be made from."""
        return {name: self.manifest(name).fingerprint for name in names}

    def _folder(self, name: str) -> Path:
        self.manifest(name)
        return self.path / name

    @cached_property
    def corpus(self) -> Corpus:
        """The passages."""
        return Corpus.load(self._folder("corpus"))

    @cached_property
    def queries(self) -> QuerySet:
        """The queries and judgements; there may be none."""
        return QuerySet.load(self._folder("queries"))

    @cached_property
    def sentences(self) -> Corpus | None:
        """Sentences of passages, if the project uses any; each one's metadata holds its passage's position."""
        return Corpus.load(self._folder("sentences")) if self.has("sentences") else None

    def embeddings(self, of: str) -> Embeddings | None:
        """Embeddings of `passages`, `sentences` or `queries`; None if the project has none of these texts."""
        if of != "passages" and not self.uses(of):
            return None
        return Embeddings.load(self._folder(f"embeddings/{of}"))

    def uses(self, of: str) -> bool:
        """Whether `passages`, `sentences` or `queries` are embedded, and the settings ask for them."""
        asked_for = of != "sentences" or self.settings.embed.sentences > 0
        return asked_for and self.has(f"embeddings/{of}")

    @cached_property
    def encoder(self) -> Encoder:
        """The model that embeds texts; loaded on first use."""
        return open_encoder(self.settings.encoder)

    @property
    def token_encoder(self) -> TokenEncoder:
        """The model, if it shows its tokens before it pools them.

        Raises:
            UnweaveError: it does not.
        """
        if not isinstance(self.encoder, TokenEncoder):
            raise UnweaveError(
                f"concepts of tokens need an encoder that shows its tokens, and {self.settings.encoder.model!r} gives "
                "one vector a text; embed with a sentence-transformers model"
            )
        return self.encoder

    def encoder_identity(self, of: str) -> dict[str, Any]:
        """What decides the embeddings of `passages`, `sentences` or `queries`: the model, its weights, the prefix."""
        unread = "passage_prefix" if of == "queries" else "query_prefix"
        return {name: value for name, value in self.encoder.identity.items() if name != unread}

    @cached_property
    def sae(self) -> SAE:
        """The trained SAE."""
        return SAE.load(self._folder("sae"))

    @cached_property
    def latents(self) -> csr_array:
        """The passages' latents, (n_passages, n_latents)."""
        return load_latents(self._folder("latents"))

    @cached_property
    def token_sae(self) -> SAE:
        """The SAE of single tokens."""
        return SAE.load(self._folder("tokens/sae"))

    @cached_property
    def token_latents(self) -> csr_array:
        """The passages' latents of tokens, (n_passages, n_latents)."""
        return load_latents(self._folder("tokens/latents"))

    @cached_property
    def token_names(self) -> dict[int, str]:
        """The words that each latent of tokens goes with."""
        return tokens.read_names(self._folder("tokens/sae"))

    @cached_property
    def concepts(self) -> Concepts:
        """The latents' names."""
        return Concepts.load(self._folder("concepts"))

    @cached_property
    def lexicon(self) -> Lexicon:
        """The phrases in which directions and embeddings are written."""
        phrases = Embeddings.load(self._folder("embeddings/lexicon"))
        return Lexicon(Corpus.load(self._folder("lexicon")), phrases.rows(0, len(phrases)))

    def decompose(self, text: str | NDArray[np.floating[Any]], k: int | None = None) -> list[Ingredient]:
        """Write a text's embedding, or an embedding, (d_in,), in phrases: what sets it apart from the mean passage.

        Args:
            k: phrases at most; by default as many as the settings say.
        """
        lexicon = self.lexicon
        vector = self.query_vector(text)
        passages = self._passage_embeddings
        some = np.linspace(0, len(passages) - 1, min(len(passages), _MEAN_OF)).astype(np.int64)
        target = vector - passages.take(some).mean(axis=0)
        return lexicon.mixes(target[None], self.settings.lexicon.mix if k is None else k)[0]

    def searcher(self, profile: str = "default") -> ConceptSearcher:
        """Search by concepts, scored as one profile says: `default`, `paper`, or `tokens` for those of tokens."""
        if f"index/{profile}" not in ARTIFACTS:
            raise BadData(f"there is no scoring profile {profile!r}; expected 'default', 'paper' or 'tokens'")
        index = ConceptIndex.open(self._folder(f"index/{profile}"))
        if profile == TOKENS.profile:
            return ConceptSearcher(self.token_sae, index)
        as_built = len(index.segments) == 1 and index.n_positions == index.n_passages == len(self.corpus)
        return ConceptSearcher(self.sae, index, self.codes if as_built and self.has("codes") else None)

    @cached_property
    def codes(self) -> Codes:
        """What each passage is rescored from."""
        return Codes.load(self._folder("codes"))

    def indexes(self) -> dict[str, ConceptIndex]:
        """The indexes that are there, by name.

        Raises:
            MissingArtifact: there is none.
        """
        names = [name for name in ARTIFACTS if name.startswith("index/") and self.has(name)]
        if not names:
            self.manifest("index/default")  # which says what to run
        return {name: ConceptIndex.open(self.path / name) for name in names}

    def query_vector(self, query: str | NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """The embedding of a query text, (d_in,), or the vector itself.

        Raises:
            StaleArtifact: the settings name another encoder than the one that embedded the passages.
        """
        if not isinstance(query, str):
            return np.asarray(query, dtype=np.float32)
        self._check_encoder("embeddings/passages")
        vector: NDArray[np.float32] = self.encoder.encode_queries([query])[0]
        return vector

    def query_tokens(self, queries: Sequence[str]) -> list[NDArray[np.float32]]:
        """The encoder's output for each token of some queries, (n_tokens, d_token) each, of length 1.

        Raises:
            StaleArtifact: the settings name another encoder than the one whose tokens the SAE was trained on.
        """
        encoder = self.token_encoder
        self._check_encoder("tokens/sae")
        return [
            text
            for rows, ends in tokens.unit_tokens(encoder, queries, of_queries=True)
            for text in np.split(rows, ends[1:-1])
        ]

    def _check_encoder(self, name: str) -> None:
        """Refuse to read a query by another encoder than an artefact was made with."""
        made_with = self.manifest(name).settings["encoder"]
        if made_with["model"] != PRECOMPUTED and made_with != self.encoder_identity("passages"):
            raise StaleArtifact(
                f"{name} was made with {made_with['model']}, but {self.path / settings.FILE} now names "
                f"{self.settings.encoder.model} or other options; run: unweave {ARTIFACTS[name].command} {self.path}"
            )

    def search(
        self,
        query: str | NDArray[np.floating[Any]],
        cutoff: int = 10,
        *,
        explain: bool = False,
        profile: str = "default",
        rescore: bool = False,
        steering: Steering = AS_IT_IS,
    ) -> list[Hit]:
        """Search by concepts.

        Args:
            query: a text, or its embedding, (d_in,).
            cutoff: how many hits at most.
            explain: give each hit its score as named concepts, and the dense score of the same pair.
            profile: how latents make a score, `default` or `paper`; `tokens`: by the latents of tokens.
            rescore: order the best thousand anew by the dense query and their stored codes.
            steering: boosts and bans of concepts, filters, and how many concepts count.
        """
        _check_asked(query, cutoff)
        searcher = self._searcher(profile)  # before the encoder is loaded: what is missing is said at once
        names: Names = {}
        if profile == TOKENS.profile:
            if rescore or not isinstance(query, str):
                what = "codes are of whole texts" if rescore else "a vector has no tokens"
                raise BadData(f"{what}: concepts of tokens are searched by a query's text, and not rescored")
            (asked,), names = self.query_tokens([query]), self.token_names
            vector = self.query_vector(query) if explain else None
        else:
            asked = vector = self.query_vector(query)
            names = self.concepts if explain else names
        if rescore:
            hits = searcher.rescored(asked, cutoff, steering=steering)
        else:
            hits = searcher.search(asked, cutoff, steering)
        explainer = searcher.explain_rescored if rescore else searcher.explain
        found = []
        ids = searcher.index.ids(hits.passages.tolist())
        for rank, (place, score) in enumerate(zip(hits.passages.tolist(), hits.scores.tolist(), strict=True), 1):
            position = self.position(ids[rank - 1])
            why = dense = None
            if explain:
                assert vector is not None
                why = explainer(asked, place, score, names, steering)
                dense = self._explain_dense(vector, position)
                for explanation in (why, dense):
                    explanation.check()
            found.append(Hit(rank, score, self.corpus[position], why, dense))
        return found

    def search_fused(
        self, query: str, systems: Sequence[str], cutoff: int = 10, *, by: str = fusion.SCORE, explain: bool = False
    ) -> list[Hit]:
        """Search by several systems in one call; a hit's score is the sum of what each gave, its `parts`.

        Args:
            systems: of those that `unweave evaluate` compares, e.g. `["BM25", "concept codes"]`.
            by: `score`: each system's scores stretched to 0 to 1; `rank`: reciprocal ranks.
            explain: give each part as named concepts or terms.

        Raises:
            BadData: fewer than two systems, or one that is not there.
        """
        _check_asked(query, cutoff)
        if by not in fusion.FUSIONS:
            raise BadData(f"fusion is by {' or '.join(fusion.FUSIONS)}, got {by!r}")
        if len(set(systems)) < 2 or len(set(systems)) < len(systems):
            raise BadData(f"to fuse takes at least two different systems, got {', '.join(systems) or 'none'}")
        if explain not in self._systems:
            made = systems_of(self, explaining=explain)
            self._systems[explain] = {name: cache(make) for name, make in made.items()}
        fused = Fused(chosen(self._systems[explain], systems), by)
        rows = self.query_tokens([query])[0] if "tokens" in systems else None
        asked = EmbeddedQuery(query, self.query_vector(query), rows)
        found = []
        for rank, (position, parts) in enumerate(fused.search_in_parts(asked, cutoff, explain=explain), 1):
            for part in parts:
                if part.explanation is not None:
                    part.explanation.check()
            found.append(Hit(rank, math.fsum(p.value for p in parts), self.corpus[position], parts=tuple(parts)))
        return found

    def where(self, metadata: Mapping[str, str], profile: str = "default") -> NDArray[np.bool_]:
        """Which passages of an index have all of this metadata: what `Steering.allowed` takes, (n_positions,).

        A value is compared as text; a list in a passage's metadata has to hold it. Reads the whole corpus.

        Raises:
            BadData: no passage has metadata of one of these names.
        """
        matching, known = [], set[str]()
        for passage in self.corpus:
            known |= passage.metadata.keys()
            if all(value in _values(passage.metadata.get(name)) for name, value in metadata.items()):
                matching.append(passage.passage_id)
        unknown = sorted(metadata.keys() - known)
        if unknown:
            raise BadData(f"no passage has metadata {unknown[0]!r}; there are: {', '.join(sorted(known)) or 'none'}")
        index = self._searcher(profile).index
        places = index.positions(matching)
        allowed = np.zeros(index.n_positions, np.bool_)
        allowed[places[places >= 0]] = True
        return allowed

    def explain(self, query: str | NDArray[np.floating[Any]], passage_id: str) -> Explanation:
        """The dense score of a query and a passage as named concepts, bias and residual.

        Raises:
            BadData: the corpus has no passage of this id.
        """
        position = self.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
        return self._explain_dense(self.query_vector(query), position)

    def position(self, passage_id: str) -> int:
        """Where a passage stands in the corpus.

        Raises:
            BadData: the corpus has no passage of this id.
        """
        position = self.corpus.position(passage_id)
        if position is None:
            raise BadData(f"the corpus has no passage with the id {passage_id!r}; ids are shown by: unweave search")
        return position

    def _explain_dense(self, query: NDArray[np.float32], position: int) -> Explanation:
        embedding = self._passage_embeddings.rows(position, position + 1)[0]
        return explain_dense(query, embedding, self.sae, self.concepts)

    @cached_property
    def _passage_embeddings(self) -> Embeddings:
        return Embeddings.load(self._folder("embeddings/passages"))

    def _searcher(self, profile: str) -> ConceptSearcher:
        if profile not in self._searchers:
            self._searchers[profile] = self.searcher(profile)
        return self._searchers[profile]

    @cached_property
    def _systems(self) -> dict[bool, Systems]:
        """Those that were made for a search, without and with what explains them."""
        return {}

    @cached_property
    def _searchers(self) -> dict[str, ConceptSearcher]:
        return {}


def _check_asked(query: str | NDArray[np.floating[Any]], cutoff: int) -> None:
    """Refuse a search for nothing."""
    if cutoff < 1:
        raise BadData(f"cutoff must be at least 1, got {cutoff}")
    if isinstance(query, str) and not query.strip():
        raise BadData("the query is empty; give a question or a few words")


def _values(value: Any) -> list[str]:
    """A metadata value as texts to compare with."""
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _known(
    judged: dict[str, dict[str, int]], split: str, corpus: Corpus, *, drop_unknown: bool
) -> dict[str, dict[str, int]]:
    """Judgements of passages that the corpus has."""
    unknown = [(q, d) for q, grades in judged.items() for d in grades if corpus.position(d) is None]
    if unknown and not drop_unknown:
        query_id, passage_id = unknown[0]
        raise BadData(
            f"qrels/{split} name {len(unknown)} passage id(s) that the corpus does not have, first {passage_id!r} "
            f"for query {query_id!r}; do both come from the same collection? To leave them out: --drop-unknown"
        )
    dropped = set(unknown)
    kept = {q: {d: g for d, g in grades.items() if (q, d) not in dropped} for q, grades in judged.items()}
    return {q: grades for q, grades in kept.items() if grades}
