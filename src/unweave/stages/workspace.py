"""A project's folder: where each artefact lies, what it was made from, opened when first read.

What was opened is kept until the artefact changes on disk, so a project that is held open for days shows a renamed
concept or a new index at once. Everything here may be called from many threads.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave import settings
from unweave.base.artifact import MANIFEST, Manifest, read_manifest
from unweave.base.stored import differing
from unweave.concepts.namers.lexicon import Lexicon
from unweave.concepts.store import Concepts
from unweave.config import PRECOMPUTED
from unweave.encode.embeddings import Embeddings
from unweave.encode.encoder import Encoder, TokenEncoder
from unweave.encode.encoders import open_encoder
from unweave.errors import (
    BadData,
    CorruptArtifact,
    MissingArtifact,
    StaleArtifact,
    UnweaveError,
)
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import TOKENS
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae import tokens
from unweave.sae.latents import load_latents
from unweave.sae.model import SAE
from unweave.stages.made_with import ENCODER, Unapplied, unapplied
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet

T = TypeVar("T")


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


class _Opened(NamedTuple):
    fingerprints: tuple[str, ...]
    value: Any


class Workspace:
    """Opens the artefacts of a project and refuses those made from something that has changed since."""

    def __init__(self, path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.path = path
        self._changes = changes or {}
        self.settings = settings.Settings.read(path / settings.FILE).changed(self._changes)
        self._opened: dict[str, _Opened] = {}
        self._opening = threading.RLock()

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

    def keep_changes(self) -> None:
        """Write the changes that this object was opened with to the settings, beside what is there by now."""
        for stage, changes in self._changes.items():
            settings.update(self.path / settings.FILE, stage, dict(changes))

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

    def unapplied(self) -> list[Unapplied]:
        """Settings that were changed after they were used; only manifests are read. See `made_with.unapplied`."""
        manifests = {}
        for name, place in ARTIFACTS.items():
            with suppress(MissingArtifact, CorruptArtifact):  # whoever needs it says so
                manifests[name] = read_manifest(self.path / name, place.kind)
        return unapplied(self.settings, manifests)

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

    def kept(self, key: str, made_of: Sequence[str], make: Callable[[], T]) -> T:
        """What was made of some artefacts, made once, and anew when one of them has changed.

        Args:
            key: what it is called here.
            made_of: names of the artefacts.

        Raises:
            MissingArtifact, StaleArtifact: one of them is not there, or out of date.
        """
        fingerprints = tuple(self.manifest(name).fingerprint for name in made_of)
        with self._opening:
            opened = self._opened.get(key)
            if opened is None or opened.fingerprints != fingerprints:
                opened = self._opened[key] = _Opened(fingerprints, make())
            value: T = opened.value
            return value

    def _read(self, name: str, load: Callable[[Path], T]) -> T:
        """What one artefact holds."""
        return self.kept(name, [name], lambda: load(self.path / name))

    @property
    def corpus(self) -> Corpus:
        """The passages."""
        return self._read("corpus", Corpus.load)

    @property
    def queries(self) -> QuerySet:
        """The queries and judgements; there may be none."""
        return self._read("queries", QuerySet.load)

    @property
    def sentences(self) -> Corpus | None:
        """Sentences of passages, if the project uses any; each one's metadata holds its passage's position."""
        return self._read("sentences", Corpus.load) if self.has("sentences") else None

    def embeddings(self, of: str) -> Embeddings | None:
        """Embeddings of `passages`, `sentences` or `queries`; None if the project has none of these texts."""
        if of != "passages" and not self.uses(of):
            return None
        return self._read(f"embeddings/{of}", Embeddings.load)

    def embedded(self, of: str) -> Embeddings:
        """Embeddings of `passages`, `sentences` or `queries`, which are there.

        Raises:
            MissingArtifact: they are not.
        """
        return self._read(f"embeddings/{of}", Embeddings.load)

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

    @property
    def sae(self) -> SAE:
        """The trained SAE."""
        return self._read("sae", SAE.load)

    @property
    def latents(self) -> csr_array:
        """The passages' latents, (n_passages, n_latents)."""
        return self._read("latents", load_latents)

    @property
    def token_sae(self) -> SAE:
        """The SAE of single tokens."""
        return self._read("tokens/sae", SAE.load)

    @property
    def token_latents(self) -> csr_array:
        """The passages' latents of tokens, (n_passages, n_latents)."""
        return self._read("tokens/latents", load_latents)

    @property
    def token_names(self) -> dict[int, str]:
        """The words that each latent of tokens goes with."""
        return self.kept("token names", ["tokens/sae"], lambda: tokens.read_names(self.path / "tokens/sae"))

    @property
    def concepts(self) -> Concepts:
        """The latents' names."""
        return self._read("concepts", Concepts.load)

    @property
    def lexicon(self) -> Lexicon:
        """The phrases in which directions and embeddings are written."""

        def load() -> Lexicon:
            phrases = Embeddings.load(self.path / "embeddings/lexicon")
            return Lexicon(Corpus.load(self.path / "lexicon"), phrases.rows(0, len(phrases)))

        return self.kept("the lexicon", ["lexicon", "embeddings/lexicon"], load)

    def index_of(self, profile: str) -> ConceptIndex:
        """The index of one scoring profile, `default` or `paper`, or of `tokens`."""
        return self._read(f"index/{profile}", ConceptIndex.open)

    @property
    def codes(self) -> Codes:
        """What each passage is rescored from."""
        return self._read("codes", Codes.load)

    def searcher(self, profile: str = "default") -> ConceptSearcher:
        """Search by concepts, scored as one profile says: `default`, `paper`, or `tokens` for those of tokens."""
        if f"index/{profile}" not in ARTIFACTS:
            raise BadData(f"there is no scoring profile {profile!r}; expected 'default', 'paper' or 'tokens'")
        index = self.index_of(profile)
        if profile == TOKENS.profile:
            return ConceptSearcher(self.token_sae, index)
        as_built = len(index.segments) == 1 and index.n_positions == index.n_passages == len(self.corpus)
        return ConceptSearcher(self.sae, index, self.codes if as_built and self.has("codes") else None)

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
        if made_with["model"] != PRECOMPUTED and differing(
            made_with, self.encoder_identity("passages"), ENCODER, self.path / name
        ):
            raise StaleArtifact(
                f"{name} was made with {made_with['model']}, but {self.path / settings.FILE} now names "
                f"{self.settings.encoder.model} or other options; run: unweave {ARTIFACTS[name].command} {self.path}"
            )

    def position(self, passage_id: str) -> int:
        """Where a passage stands in the corpus.

        Raises:
            BadData: the corpus has no passage of this id.
        """
        position = self.corpus.position(passage_id)
        if position is None:
            raise BadData(f"the corpus has no passage with the id {passage_id!r}; ids are shown by: unweave search")
        return position


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
