"""What is done with one shard, wherever a worker is: fetched, made by the stage that makes it of a project, put back.

Each stage reads what it needs from the store into a project's folder on the worker's own disk, which goes when it is
done. The shard's artefacts are written before the note that says so: a worker that is lost on the way leaves nothing
that anybody would read, and the next one writes the same bytes. What is found damaged is made again from what it was
made from, as its note says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.sparse import csr_array

from unweave import settings
from unweave.base.plain import plain
from unweave.cluster.scratch import Scratch
from unweave.cluster.shards import Note, folder_of, forget, read_note, write_note
from unweave.cluster.store import Store
from unweave.config import EncoderConfig
from unweave.encode.encoder import Encoder
from unweave.encode.encoders import open_encoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, MissingExtra
from unweave.index.scoring import PROFILES, TOKENS, Scoring
from unweave.sae.model import SAE
from unweave.stages import embed as embedding
from unweave.stages import fit, index, tokens
from unweave.stages.places import ARTIFACTS
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Contents

try:
    from threadpoolctl import threadpool_limits
except ImportError as error:
    raise MissingExtra("a corpus in shards", "cluster") from error

DICTIONARY, TOKEN_DICTIONARY = "dictionary", "token-dictionary"
"""Where the SAEs are in the store which all shards are encoded with."""
SHARED = {"sae": DICTIONARY, "tokens/sae": TOKEN_DICTIONARY}
"""Artefacts of a project that all shards share, and where they are in the store."""
EMBED, ENCODE, INDEX, READ_TOKENS, INDEX_TOKENS = "embed", "encode", "index", "read-tokens", "index-tokens"
CUT = ("queries", "corpus")
"""Artefacts that a shard has from when its file was cut."""
_SOURCES = "made_from"
"""What the artefacts that a stage read are called in its note."""
T = TypeVar("T")
Changes = Mapping[str, Mapping[str, Any]]


class Done(NamedTuple):
    """What came of a stage of a shard."""

    fresh: bool
    """False if it was done before."""
    results: Mapping[str, Any]


class _Stage(NamedTuple):
    needs: tuple[str, ...]
    """Artefacts that are fetched."""
    makes: tuple[str, ...]
    make: Callable[[Workspace, Mapping[str, Any]], Mapping[str, Any]]
    """Makes them in a project, given what is asked, and gives what is to be counted."""


@dataclass(frozen=True)
class OfShard:
    """One stage of a shard, given by its name."""

    store: Store
    stage: str
    changes: Changes
    """The project's settings."""
    asked: Mapping[str, Any]
    """What decides what comes out, beside the artefacts that it is made from."""
    threads: int
    """That it is computed with, the same everywhere: another number would round sums in another order."""

    def __call__(self, shard: str) -> Done:
        with threadpool_limits(self.threads):
            return mending(self.store, shard, self.changes, self.threads, lambda: self._make(shard))

    def _make(self, shard: str) -> Done:
        stage = STAGES[self.stage]
        asked = {**self.asked, _SOURCES: {name: fingerprint_of(self.store, shard, name) for name in stage.needs}}
        note = read_note(self.store, shard, self.stage)
        if note is not None and note.asked == asked and is_done(self.store, shard, note):
            return Done(False, note.results)
        with opened(self.store, shard, stage.needs, self.changes) as project:
            results = stage.make(project, self.asked)
            forget(self.store, shard, self.stage)  # until all of it is there
            made = {
                name: self.store.publish(project.path / name, kind_of(name), place_of(shard, name)).fingerprint
                for name in stage.makes
            }
            note = Note(asked, made, results)
            write_note(self.store, shard, self.stage, note, project.path)
        return Done(True, note.results)


@contextmanager
def opened(store: Store, shard: str, artifacts: tuple[str, ...], changes: Changes) -> Iterator[Workspace]:
    """A shard as a project on this machine's disk, with some of its artefacts, for as long as the block lasts.

    Raises:
        Damaged: one of them is.
    """
    with Scratch() as scratch:
        path = scratch / "shard"
        path.mkdir()
        for name in dict.fromkeys(("corpus", "queries", *artifacts)):
            with found_damaged(store, shard, name):
                store.fetch(place_of(shard, name), kind_of(name), path / name)
        settings.write_new(path / settings.FILE, {})
        yield _Shard.open(path, changes)


class Damaged(CorruptArtifact):
    """An artefact of a shard is missing or damaged. What made it is no longer noted, so that it is made again."""

    stage: str | None = None
    """What makes it; None: the file that it was cut from, or the dictionary."""
    note: Note | None = None
    """What was noted of that."""


def mending(store: Store, shard: str, changes: Changes, threads: int, act: Callable[[], T]) -> T:
    """Do something with a shard; what is found damaged on the way is made again, as its note says.

    Raises:
        Damaged: that cannot be made of what is there.
    """
    for _ in STAGES:
        try:
            return act()
        except Damaged as damage:
            if damage.stage is None or damage.note is None:
                raise
            asked = {name: value for name, value in damage.note.asked.items() if name != _SOURCES}
            OfShard(store, damage.stage, changes, asked, threads)(shard)
    return act()


@contextmanager
def found_damaged(store: Store, shard: str, name: str) -> Iterator[None]:
    """What is not whole when it is read is said with the command that makes it again, which then does.

    Raises:
        Damaged: in place of MissingArtifact and CorruptArtifact.
    """
    try:
        yield
    except (CorruptArtifact, MissingArtifact) as error:
        stage = next((stage for stage, of in STAGES.items() if name in of.makes), None)
        found = Damaged(f"{plain(str(error), 300)}; to have it made again, run: unweave {_again(name)}")
        found.stage, found.note = stage, None if stage is None else read_note(store, shard, stage)
        if name not in SHARED:
            with suppress(OSError):  # who only reads may not
                forget(store, shard, stage)
        raise found from error


def _again(name: str) -> str:
    return "add PROJECT --corpus … with the same files" if name in CUT else f"{ARTIFACTS[name].command} PROJECT"


def fingerprint_of(store: Store, shard: str, artifact: str) -> str:
    """What a stage would be done with.

    Raises:
        Damaged: it is missing or damaged.
    """
    with found_damaged(store, shard, artifact):
        return store.manifest(place_of(shard, artifact), kind_of(artifact)).fingerprint


def is_done(store: Store, shard: str, note: Note) -> bool:
    """Whether all that a stage made of a shard is there, as far as can be told without reading it."""
    return all(store.is_whole(place_of(shard, name), kind_of(name), of) for name, of in note.artifacts.items())


def place_of(shard: str, artifact: str) -> str:
    """Where an artefact that a shard is worked on with lies in the store."""
    return SHARED.get(artifact) or f"{folder_of(shard)}/{artifact}"


def kind_of(artifact: str) -> str:
    """What its manifest says that it is."""
    return ARTIFACTS[artifact].kind


class _Shard(Workspace):
    """A shard's project; the encoder stays loaded from one shard to the next."""

    @property
    def named_encoder(self) -> Encoder:
        return _loaded(self.settings.encoder)


@lru_cache(maxsize=1)
def _loaded(config: EncoderConfig) -> Encoder:
    return open_encoder(config)


# --- what stages do -------------------------------------------------------------------------------


def _embed(project: Workspace, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    encoder = project.named_encoder
    wanted, there = asked["encoder"], project.encoder_identity("passages")
    if there != wanted:
        differ = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
        raise BadData(
            f"this worker's encoder is another one than that of the process that asks ({', '.join(differ)} differ); "
            "install the same versions and models on all machines"
        )
    embedding.embed_texts(project, "passages", Contents(project.corpus), encoder.encode_passages)
    return {"n_passages": len(project.corpus)}


def _encode(project: Workspace, _: Mapping[str, Any]) -> Mapping[str, Any]:
    fit.encode_passages(project)
    return _counted(project.latents, PROFILES["default"])


def _index(project: Workspace, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    index.build_index(
        project, "index/default", lambda: project.latents, PROFILES["default"],
        n_latents=project.sae.config.n_latents, source="latents", mean_latents=asked["mean_latents"],
    )  # fmt: skip
    index.codes(project)
    return {"n_passages": len(project.corpus)}


def _read_tokens(project: Workspace, _: Mapping[str, Any]) -> Mapping[str, Any]:
    tokens.encode_passages(project)
    return _counted(project.token_latents, TOKENS)


def _index_tokens(project: Workspace, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    tokens.index_passages(project, asked["mean_latents"])
    return {"n_passages": len(project.corpus)}


def _counted(latents: csr_array, scoring: Scoring) -> Mapping[str, Any]:
    """How many passages there are, and how many of their latents count by a formula."""
    lengths = np.diff(latents.indptr)
    return {"n_passages": len(lengths), "kept": int(np.minimum(lengths, scoring.max_latents or latents.shape[1]).sum())}


STAGES: dict[str, _Stage] = {
    EMBED: _Stage(("corpus",), ("embeddings/passages",), _embed),
    ENCODE: _Stage(("embeddings/passages", "sae"), ("latents",), _encode),
    INDEX: _Stage(("embeddings/passages", "sae", "latents"), ("index/default", "codes"), _index),
    READ_TOKENS: _Stage(("corpus", "tokens/sae"), ("tokens/latents",), _read_tokens),
    INDEX_TOKENS: _Stage(("corpus", "tokens/sae", "tokens/latents"), ("index/tokens",), _index_tokens),
}


def publish_dictionary(store: Store, sae: SAE, scratch: Path, name: str) -> str:
    """Put an SAE where shards are encoded from; its fingerprint."""
    sae.save(scratch / name)
    return store.publish(scratch / name, "sae", name).fingerprint
