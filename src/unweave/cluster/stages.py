"""What is done with one shard, wherever a worker is: fetched, made by the stage that makes it of a project, put back.

Each stage reads what it needs from the store into a project's folder on the worker's own disk, which goes when it is
done. The shard's artefacts are written before the note that says so: a worker that is lost on the way leaves nothing
that anybody would read, and the next one writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from unweave import settings
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
_SHARED = {"sae": DICTIONARY, "tokens/sae": TOKEN_DICTIONARY}
"""Artefacts of a project that all shards share, and where they are in the store."""
EMBED, ENCODE, INDEX, READ_TOKENS, INDEX_TOKENS = "embed", "encode", "index", "read-tokens", "index-tokens"
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
            return self._make(shard)

    def _make(self, shard: str) -> Done:
        folder, stage = folder_of(shard), STAGES[self.stage]
        asked = {**self.asked, "made_from": {name: self._fingerprint(folder, name) for name in stage.needs}}
        note = read_note(self.store, shard, self.stage)
        if note is not None and note.asked == asked:
            return Done(False, note.results)
        with opened(self.store, shard, stage.needs, self.changes) as project:
            results = stage.make(project, self.asked)
            made = {
                name: self.store.publish(project.path / name, ARTIFACTS[name].kind, f"{folder}/{name}").fingerprint
                for name in stage.makes
            }
            note = Note(asked, made, results)
            write_note(self.store, shard, self.stage, note, project.path)
        return Done(True, note.results)

    def _fingerprint(self, folder: str, name: str) -> str:
        where = _SHARED.get(name, f"{folder}/{name}")
        return self.store.manifest(where, ARTIFACTS[name].kind).fingerprint


@contextmanager
def opened(store: Store, shard: str, artifacts: tuple[str, ...], changes: Changes) -> Iterator[Workspace]:
    """A shard as a project on this machine's disk, with some of its artefacts, for as long as the block lasts.

    Raises:
        CorruptArtifact: one of them is damaged. What a stage made is then no longer noted, so that it is made again.
    """
    with TemporaryDirectory(prefix="unweave-") as scratch:
        path = Path(scratch) / "shard"
        path.mkdir()
        for name in dict.fromkeys(("corpus", "queries", *artifacts)):
            where = _SHARED.get(name, f"{folder_of(shard)}/{name}")
            try:
                store.fetch(where, ARTIFACTS[name].kind, path / name)
            except (CorruptArtifact, MissingArtifact) as error:
                maker = next((stage for stage, of in STAGES.items() if name in of.makes), None)
                if maker is None:
                    raise
                forget(store, shard, [maker])
                raise CorruptArtifact(f"{error}; it is to be made again: unweave {ARTIFACTS[name].command}") from error
        settings.write_new(path / settings.FILE, {})
        yield _Shard.open(path, changes)


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
    """Put an SAE where shards are encoded from, unless it is there; its fingerprint."""
    sae.save(scratch / name)
    return store.keep(scratch / name, "sae", name).fingerprint
