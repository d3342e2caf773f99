"""Which shards there are, and what was done of each.

shards.json              the shards, in the corpus's order
sources/NUMBER.json      a file of the corpus, and the shards that it was cut into
shards/NAME/STAGE.json   what a stage did with a shard, with what, and from what: it is done when this is there
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.cluster.store import Store
from unweave.errors import CorruptArtifact, MissingArtifact

CATALOGUE = "shards.json"
_SOURCE = re.compile(r"sources/([0-9]{6})\.json")
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
        except CorruptArtifact as error:
            raise CorruptArtifact(
                f"{error}; give the files of the corpus again: unweave add PROJECT --corpus …"
            ) from error
        try:
            shards = tuple(Shard(str(name), int(n), str(corpus)) for name, n, corpus in stated["shards"])
            sources = tuple(Source(int(number), str(address)) for number, address in stated["sources"])
            n_cut = int(stated["n_cut"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{store.where(CATALOGUE)} does not list shards") from error
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

    def take_away(self, store: Store, now: Catalogue) -> None:
        """Take away all that is in the store of the shards and files that are not among those of now."""
        for source in set(self.sources) - set(now.sources):
            store.remove(source_note(source.number))
        for shard in set(self.names) - set(now.names):
            for name in store.sizes(folder_of(shard)):
                store.remove(name)

    @classmethod
    def known(cls, store: Store) -> Catalogue:
        """The shards that there are; where that is not stated, or was damaged, those of the files that were cut."""
        with suppress(CorruptArtifact):
            if (found := cls.read(store)).shards:
                return found
        cut = {number: file for number in _noted(store) if (file := read_source(store, number)) is not None}
        shards = tuple(shard for file in cut.values() for shard in file.shards)
        sources = tuple(Source(number, file.address) for number, file in cut.items())
        return cls(shards, sources, max(cut, default=-1) + 1)

    @classmethod
    def is_stated(cls, store: Store) -> bool:
        """Whether it stands in the store which shards there are."""
        try:
            return bool(cls.read(store).shards)
        except CorruptArtifact:
            return False

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


class CutFile(NamedTuple):
    """What a file of the corpus was cut into."""

    address: str
    size: int
    """Passages of a shard, at most."""
    shards: tuple[Shard, ...]


def source_note(number: int) -> str:
    """Where in the store stands what a file was cut into."""
    return f"sources/{number:06d}.json"


def _noted(store: Store) -> list[int]:
    """The numbers of all files of which it is noted what they were cut into, ascending."""
    found = (_SOURCE.fullmatch(name) for name in store.sizes("sources"))
    return sorted(int(match[1]) for match in found if match)


def read_source(store: Store, number: int) -> CutFile | None:
    """What a file was cut into; None if it was not, or that was damaged since."""
    try:
        note = store.read_json(source_note(number))
        shards = tuple(Shard(str(of["name"]), int(of["n_passages"]), str(of["corpus"])) for of in note["shards"])
        return CutFile(str(note["address"]), int(note["size"]), shards)
    except (MissingArtifact, CorruptArtifact, KeyError, TypeError, ValueError):
        return None


def write_source(store: Store, number: int, cut: CutFile, scratch: Path) -> None:
    """Say that a file is cut."""
    note = {**cut._asdict(), "shards": [shard._asdict() for shard in cut.shards]}
    store.write_json(source_note(number), note, scratch)


def folder_of(shard: str) -> str:
    """Where a shard's artefacts are in the store.

    Raises:
        CorruptArtifact: no shard is called so.
    """
    if not _NAME.fullmatch(shard):
        raise CorruptArtifact(f"{shard!r:.60} is no shard's name; the store is damaged, or not unweave's")
    return f"shards/{shard}"


def read_note(store: Store, shard: str, stage: str) -> Note | None:
    """What a stage did with a shard; None if it did nothing yet, or that was damaged since."""
    try:
        return Note(**store.read_json(f"{folder_of(shard)}/{stage}.json"))
    except (MissingArtifact, CorruptArtifact, TypeError):
        return None


def write_note(store: Store, shard: str, stage: str, note: Note, scratch: Path) -> None:
    """Say that a stage is done with a shard."""
    store.write_json(f"{folder_of(shard)}/{stage}.json", note._asdict(), scratch)


def forget(store: Store, shard: str, stage: str | None) -> None:
    """Take back that a stage was done with a shard, or that its file was cut, so that it is done again."""
    store.remove(f"{folder_of(shard)}/{stage}.json" if stage else source_note(int(shard.partition("-")[0])))
