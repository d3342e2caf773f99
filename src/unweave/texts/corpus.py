"""A corpus on disk: passages, read one at a time by position or by id.

    passages.jsonl    one JSON object a line: id, title, text, metadata
    offsets.npy       (n_passages + 1,) int64: where each line starts, and the end
    id_hashes.npy     (n_passages,) uint64, ascending: 64-bit BLAKE2b of each id
    id_positions.npy  (n_passages,) int64: the position whose id has that hash

Everything is memory-mapped, so ten million passages open as fast as ten.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from unweave.base.artifact import Manifest, build, load_array, read_manifest
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.base.stored import read_record
from unweave.errors import BadData, CorruptArtifact

logger = logging.getLogger(__name__)


class Corpus(Sequence[Passage]):
    """Passages in a fixed order. A position is an int, an id from outside a str."""

    kind = "corpus"

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._offsets, self._id_hashes, self._id_positions = (
            load_array(folder / f"{name}.npy", self.kind) for name in ("offsets", "id_hashes", "id_positions")
        )
        with (folder / "passages.jsonl").open("rb") as file:
            self._lines = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self._offsets) == 0 or int(self._offsets[-1]) != len(self._lines):
            raise CorruptArtifact(f"{folder}: offsets.npy and passages.jsonl do not belong together")

    @classmethod
    def load(cls, folder: Path | str) -> Corpus:
        """Open a corpus folder.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        folder = Path(folder)
        return cls(folder, read_manifest(folder, cls.kind))

    @classmethod
    def write(
        cls,
        folder: Path,
        passages: Iterable[Passage],
        *,
        settings: Mapping[str, Any],
        made_from: Mapping[str, str] | None = None,
    ) -> Corpus:
        """Store passages in the order given.

        Raises:
            BadData: there is no passage at all, an id occurs twice or is empty.
        """
        with build(folder, cls.kind, settings=settings, made_from=made_from or {}) as made:
            offsets: list[int] = [0]
            hashes: list[int] = []
            blank: list[str] = []
            with (made.path / "passages.jsonl").open("wb") as file:
                for passage in passages:
                    if not passage.passage_id:
                        raise BadData(
                            f"passage {len(hashes)} (counting from 0) has an empty id; ids must name passages"
                        )
                    if not passage.content:
                        blank.append(passage.passage_id)
                    line = json.dumps(passage._asdict(), ensure_ascii=False, default=str).encode("utf-8", "replace")
                    line += b"\n"
                    file.write(line)
                    offsets.append(offsets[-1] + len(line))
                    hashes.append(_id_hash(passage.passage_id))
            if not hashes:
                raise BadData("the corpus is empty: its source holds no passage; check the path and the file's format")
            id_hashes = np.array(hashes, dtype=np.uint64)
            order = np.argsort(id_hashes, kind="stable").astype(np.int64)
            np.save(made.path / "offsets.npy", np.array(offsets, dtype=np.int64))
            np.save(made.path / "id_hashes.npy", id_hashes[order])
            np.save(made.path / "id_positions.npy", order)
            _refuse_repeated_ids(made.path / "passages.jsonl", offsets, id_hashes, order)
            made.results.update(n_passages=len(hashes), n_blank=len(blank))
            if blank:
                logger.warning(
                    "%d passage(s) have neither title nor text (first: %s); kept, and embedded as empty texts",
                    len(blank),
                    plain(blank[0], 60),
                )
        return cls.load(folder)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, position: int) -> Passage: ...
    @overload
    def __getitem__(self, position: slice) -> list[Passage]: ...
    def __getitem__(self, position: int | slice) -> Passage | list[Passage]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        if not 0 <= position < len(self):
            raise IndexError(f"position {position} is outside a corpus of {len(self)} passages")
        start, end = int(self._offsets[position]), int(self._offsets[position + 1])
        return read_record(Passage, json.loads(self._lines[start:end]), self.folder)

    def __iter__(self) -> Iterator[Passage]:
        return (self[i] for i in range(len(self)))

    def position(self, passage_id: str) -> int | None:
        """Where the passage with this id is, or None if there is none."""
        passage_id = passage_id.encode("utf-8", "replace").decode("utf-8")  # as it was stored
        wanted = np.uint64(_id_hash(passage_id))
        slot = int(np.searchsorted(self._id_hashes, wanted))
        while slot < len(self) and self._id_hashes[slot] == wanted:
            position = int(self._id_positions[slot])
            if self[position].passage_id == passage_id:
                return position
            slot += 1
        return None

    @cached_property
    def ids(self) -> list[str]:
        """Every passage id, in corpus order; reads the whole corpus once."""
        return [passage.passage_id for passage in self]


def _id_hash(passage_id: str) -> int:
    digest = hashlib.blake2b(passage_id.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _refuse_repeated_ids(lines: Path, offsets: list[int], hashes: NDArray[np.uint64], order: NDArray[np.int64]) -> None:
    """Equal hashes are looked up, so that a rare collision of different ids passes."""
    same_as_before = np.concatenate([[False], hashes[order][1:] == hashes[order][:-1]])
    repeats: list[tuple[str, int, int]] = []
    seen: dict[str, int] = {}
    with lines.open("rb") as file:
        for place in np.flatnonzero(same_as_before | np.append(same_as_before[1:], False)):
            position = int(order[place])
            file.seek(offsets[position])
            name = str(json.loads(file.readline())["passage_id"])
            if name in seen:
                repeats.append((name, seen[name], position))
            seen.setdefault(name, position)
    if repeats:
        name, first, second = repeats[0]
        raise BadData(
            f"{len(repeats)} passage id(s) occur more than once, first {name!r} at positions {first} and {second} "
            "(counting from 0); ids must be unique: remove the repeats or give each its own id"
        )
