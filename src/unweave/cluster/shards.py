"""Which shards there are, and what was done of each.

shards.json              the shards, in the corpus's order
sources/NUMBER.json      a file of the corpus, and the shards that it was cut into
shards/NAME/STAGE.json   what a stage did with a shard, with what, and from what: it is done when this is there
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.cluster.store import Store
from unweave.errors import CorruptArtifact, MissingArtifact

CATALOGUE = "shards.json"
_NAME = re.compile(r"[0-9]{6}-[0-9]{6}")


class Shard(NamedTuple):
    """Some passages that follow each other."""

    name: str
    """The number of its source and its place there."""
    n_passages: int
    corpus: str
    """Fingerprint of its passages."""


class Source(NamedTuple):
    """A file of passages that shards are cut from."""

    number: int
    """By which its shards are called; no other file ever has the same."""
    address: str
    """A path or an address."""


class Note(NamedTuple):
    """What a stage did with a shard."""

    asked: Mapping[str, Any]
    """Everything that decides what comes out."""
    artifacts: Mapping[str, str]
    """The fingerprint of each artefact that it made."""
    results: Mapping[str, Any]
    """What was counted on the way."""


class Catalogue(NamedTuple):
    """The shards of a corpus, in its order."""

    shards: tuple[Shard, ...]
    sources: tuple[Source, ...]
    """The files that they were cut from."""
    n_cut: int = 0
    """How many files were ever cut: the number of the next."""

    @classmethod
    def read(cls, store: Store) -> Catalogue:
        """The shards that there are; none, if there is no corpus yet.

        Raises:
            CorruptArtifact: it is damaged.
        """
        try:
            stated = store.read_json(CATALOGUE)
        except MissingArtifact:
            return cls((), ())
        try:
            shards = tuple(Shard(str(name), int(n), str(corpus)) for name, n, corpus in stated["shards"])
            sources = tuple(Source(int(number), str(address)) for number, address in stated["sources"])
            n_cut = int(stated["n_cut"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{store.where(CATALOGUE)} does not list shards; cut the corpus again") from error
        for shard in shards:
            folder_of(shard.name)
        return cls(shards, sources, n_cut)

    def write(self, store: Store, scratch: Path) -> None:
        """State these shards, in one step."""
        stated = {"shards": self.shards, "sources": self.sources, "n_cut": self.n_cut}
        store.write_json(CATALOGUE, stated, scratch)

    def without(self, addresses: Collection[str]) -> Catalogue:
        """The shards of all files but these."""
        sources = tuple(source for source in self.sources if source.address not in addresses)
        kept = {f"{source.number:06d}" for source in sources}
        shards = tuple(shard for shard in self.shards if shard.name.partition("-")[0] in kept)
        return Catalogue(shards, sources, self.n_cut)

    @property
    def names(self) -> list[str]:
        """The shards' names."""
        return [shard.name for shard in self.shards]

    @property
    def first(self) -> NDArray[np.int64]:
        """Where each shard begins in the corpus, and where the last one ends, (n_shards + 1,)."""
        return np.concatenate([[0], np.cumsum([shard.n_passages for shard in self.shards], dtype=np.int64)])

    def split(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Ascending rows of the corpus, by the shard that they are in, counted from its first."""
        ends = np.searchsorted(rows, self.first)
        return {
            shard.name: rows[ends[i] : ends[i + 1]] - self.first[i]
            for i, shard in enumerate(self.shards)
            if ends[i] < ends[i + 1]
        }


def folder_of(shard: str) -> str:
    """Where a shard's artefacts are in the store.

    Raises:
        CorruptArtifact: no shard is called so.
    """
    if not _NAME.fullmatch(shard):
        raise CorruptArtifact(f"{shard!r:.60} is no shard's name; the store is damaged, or not unweave's")
    return f"shards/{shard}"


def read_note(store: Store, shard: str, stage: str) -> Note | None:
    """What a stage did with a shard; None if it did nothing yet."""
    try:
        return Note(**store.read_json(f"{folder_of(shard)}/{stage}.json"))
    except (MissingArtifact, TypeError):
        return None


def write_note(store: Store, shard: str, stage: str, note: Note, scratch: Path) -> None:
    """Say that a stage is done with a shard."""
    store.write_json(f"{folder_of(shard)}/{stage}.json", note._asdict(), scratch)


def forget(store: Store, shard: str, stages: Sequence[str]) -> None:
    """Take back that stages were done with a shard, so that they are done again."""
    for stage in stages:
        store.remove(f"{folder_of(shard)}/{stage}.json")
