"""A project's folder: where each artefact lies, what it was made from, opened when first read.

What was opened is kept until the artefact changes on disk, so a project that is held open for days shows a renamed
concept or a new index at once. Everything here may be called from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from scipy.sparse import csr_array

from unweave import settings
from unweave.base.artifact import MANIFEST, Manifest, read_manifest, recover
from unweave.base.files import refuse_links, when_written
from unweave.concepts.namers.lexicon import Lexicon
from unweave.concepts.store import Concepts
from unweave.config import PRECOMPUTED
from unweave.encode.embeddings import Embeddings
from unweave.encode.encoder import CallableEncoder, Encoder, TokenEncoder, same_space
from unweave.encode.encoders import NoEncoder, open_encoder
from unweave.errors import CorruptArtifact, MissingArtifact, NotThere, StaleArtifact, UnweaveError
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.sae import tokens
from unweave.sae.latents import load_latents
from unweave.sae.model import SAE
from unweave.stages.create import create
from unweave.stages.made_with import Unapplied, unapplied
from unweave.stages.places import ARTIFACTS, EMBEDDED_BESIDE_PASSAGES, FOLDERS
from unweave.stages.trust import Ask, Word
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet

T = TypeVar("T")
Embed = Callable[[list[str]], Any]


class _Opened(NamedTuple):
    fingerprints: tuple[str, ...]
    value: Any


class Workspace:
    """Opens the artefacts of a project and refuses those made from something that has changed since."""

    def __init__(
        self, path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None, encoder: Embed | None = None,
        ask: Ask | None = None,
    ) -> None:  # fmt: skip
        self.path = path
        self._changes = changes or {}
        self.ask = ask
        self._word = Word(path, self._changes, ask)
        self._settings_written: tuple[int, ...] | None = None
        self.reread()
        self._given = None if encoder is None else CallableEncoder(encoder)
        self._open_encoder = cache(open_encoder)
        self._manifests: dict[str, tuple[tuple[int, ...] | None, Manifest]] = {}
        self._opened: dict[str, _Opened] = {}
        self._opening = threading.RLock()

    @classmethod
    def open(
        cls, path: Path | str, changes: Mapping[str, Mapping[str, Any]] | None = None, encoder: Embed | None = None,
        *, ask: Ask | None = None,
    ) -> Self:  # fmt: skip
        """Open a project folder.

        Args:
            changes: settings by stage that hold for this object, whatever the file says.
            encoder: a function of one's own from texts to vectors, (n_texts, d_in), instead of the settings' model.
            ask: whether the user allows what the file's settings reach outside of the project.

        Raises:
            MissingArtifact: the folder is not a project.
        """
        path = Path(path)
        if not (path / settings.FILE).is_file():
            raise MissingArtifact(f"{path} is not a project: it has no {settings.FILE}; make one with: unweave init")
        refuse_links(path / settings.FILE, *(path / name for name in FOLDERS))
        for name in ARTIFACTS:
            recover(path / name)
        return cls(path, changes, encoder, ask)

    def __repr__(self) -> str:
        found = [name for name in ARTIFACTS if (self.path / name / MANIFEST).is_file()]
        return f"{type(self).__name__}({str(self.path)!r}: {', '.join(found) or 'nothing made yet'})"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy begins with: it opens everything anew, for mapped files and loaded models stay in a process."""
        return {"path": self.path, "changes": self._changes, "encoder": self._given and self._given.embed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Workspace.__init__(self, state["path"], state["changes"], state["encoder"])

    def reread(self) -> None:
        """Read the settings again if their file was written since: for whoever holds the project open for days."""
        written = when_written(f"{self.path}/{settings.FILE}")
        if written is None or written != self._settings_written:
            self.settings = settings.Settings.read(self.path / settings.FILE).changed(self._changes)
            self._settings_written = written

    def keep(self, stage: str, **changes: Any) -> None:
        """Change some settings of one stage, here and in the file."""
        settings.update(self.path / settings.FILE, {stage: changes})
        self.settings = self.settings.changed({stage: changes})
        self._word.keep(self.settings, {stage: changes})

    def keep_changes(self) -> None:
        """Write the changes that this object was opened with to the settings, beside what is there by now."""
        settings.update(self.path / settings.FILE, self._changes)
        self._word.keep(self.settings, self._changes)

    @property
    def is_sharded(self) -> bool:
        """Whether the corpus lies in shards, of which each stage is done wherever `on` says."""
        return bool(self.settings.shards.store)

    def confirmed(self, stage: str) -> Any:
        """The settings of one stage, if the user allows all that they reach outside of the project.

        Raises:
            NotTrusted: they do not, or were not asked; see `trust.Word`.
        """
        self._word.check(self.settings, stage)
        return getattr(self.settings, stage)

    @classmethod
    def create(cls, path: Path | str, collection: Collection, *, drop_unknown: bool = False) -> Self:
        """Make a project from a collection; if that fails, nothing of it is left.

        Args:
            drop_unknown: leave out judgements of passages that the corpus does not have, rather than refuse.

        Raises:
            BadData: there is a project already, the corpus is empty, ids repeat, or judgements name unknown ids.
        """
        create(Path(path), collection, drop_unknown=drop_unknown)
        return cls(Path(path))

    def manifest(self, name: str) -> Manifest:
        """The manifest of an artefact that is there and up to date.

        Raises:
            MissingArtifact: it has not been made.
            StaleArtifact: it was made from an artefact that has changed since.
        """
        place = ARTIFACTS[name]
        try:
            manifest = self._stated(name)
        except MissingArtifact:
            raise MissingArtifact(f"{self.path} has no {name} yet; run: unweave {place.command} {self.path}") from None
        except CorruptArtifact as error:
            raise self._with_way_out(name, error) from error
        for source, fingerprint in manifest.made_from.items():
            if self.manifest(source).fingerprint != fingerprint:
                raise StaleArtifact(
                    f"{name} was made from another {source} than the one that is there now; "
                    f"run: unweave {place.command} {self.path}"
                )
        if name in EMBEDDED_BESIDE_PASSAGES and self.has("embeddings/passages"):
            made_with = [self.manifest("embeddings/passages").settings["encoder"], manifest.settings["encoder"]]
            if not same_space(*made_with):
                raise StaleArtifact(
                    f"{name} was made with {made_with[1]['model']}, but embeddings/passages with "
                    f"{made_with[0]['model']}; embed both with one: unweave {place.command} {self.path}"
                )
        return manifest

    def _stated(self, name: str) -> Manifest:
        """What an artefact's folder states, read again only when it was written anew: each search asks for it."""
        written = when_written(f"{self.path}/{name}/{MANIFEST}")  # None: read_manifest says what is wrong
        known = self._manifests.get(name)
        if known is None or written is None or known[0] != written:
            known = self._manifests[name] = written, read_manifest(self.path / name, ARTIFACTS[name].kind)
        return known[1]

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

        def opened() -> T:
            try:
                return load(self.path / name)
            except CorruptArtifact as error:
                raise self._with_way_out(name, error) from error

        return self.kept(name, [name], opened)

    def _with_way_out(self, name: str, error: CorruptArtifact) -> CorruptArtifact:
        command = ARTIFACTS[name].command
        way_out = "make a new project" if command == "init" else f"run: unweave {command} {self.path}"
        return CorruptArtifact(f"{error}; {way_out}")

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
        return (of != "sentences" or self.settings.embed.sentences > 0) and self.has(f"embeddings/{of}")

    @property
    def named_encoder(self) -> Encoder:
        """The encoder that the settings name, or the one that the project was opened with; loaded on first use."""
        return self._given or self._open_encoder(self.confirmed("encoder"))

    @property
    def encoder(self) -> Encoder:
        """What embeds texts beside the passages; nothing does if these were brought along, by an unknown encoder."""
        unknown = self.has("embeddings/passages") and not self.encoder_of_embeddings
        return NoEncoder() if unknown else self.named_encoder

    @property
    def encoder_of_embeddings(self) -> str:
        """The name of what embedded the passages; empty if they were brought along and nobody said what made them."""
        name = str(self.manifest("embeddings/passages").settings["encoder"]["model"])
        return "" if name == PRECOMPUTED else name

    @property
    def token_encoder(self) -> TokenEncoder:
        """The model, if it shows its tokens before it pools them.

        Raises:
            UnweaveError: it does not.
        """
        if not isinstance(self.encoder, TokenEncoder):
            raise UnweaveError(
                f"concepts of tokens need an encoder that shows its tokens, and {self.encoder.identity['model']!r} "
                "gives one vector a text; embed with a sentence-transformers model"
            )
        return self.encoder

    def encoder_identity(self, of: str) -> dict[str, Any]:
        """What decides the embeddings of `passages`, `sentences`, `queries` or `tokens`: the model, its prefix …"""
        unread = {"query_prefix"} if of != "queries" else {"passage_prefix"}
        unread |= {"precision"} if of in ("queries", "tokens") else set()
        return {name: value for name, value in self.named_encoder.identity.items() if name not in unread}

    @property
    def sae(self) -> SAE:
        """The trained SAE."""
        return self._read("sae", SAE.load)

    @property
    def shared_latents(self) -> int:
        """How many of the SAE's latents, its first, are a given dictionary's; 0 if the project trained its own."""
        given = self.manifest("sae").settings.get("given")
        return 0 if given is None else int(given["n_latents"])

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
        return self._read("concepts", lambda folder: Concepts.load(folder, self._returning))

    def _returning(self) -> Mapping[int, bool]:
        """Which latents return; of none it is known where no SAE can be read, for names are there without one."""
        try:
            return self.sae.returns
        except UnweaveError:
            return {}

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

    def indexes(self) -> dict[str, ConceptIndex]:
        """The indexes that are there, by name.

        Raises:
            MissingArtifact: there is none.
        """
        names = [name for name in ARTIFACTS if name.startswith("index/") and self.has(name)]
        if not names:
            self.manifest("index/default")  # which says what to run
        return {name: ConceptIndex.open(self.path / name) for name in names}

    def position(self, passage_id: str) -> int:
        """Where a passage stands in the corpus; see `position_in`."""
        return position_in(self.corpus, passage_id)


def position_in(corpus: Corpus, passage_id: str) -> int:
    """Where a passage stands in a corpus.

    Raises:
        NotThere: the corpus has no passage of this id.
    """
    position = corpus.position(passage_id)
    if position is None:
        raise NotThere(f"the corpus has no passage with the id {passage_id!r}; ids are shown by: unweave search")
    return position
