"""A corpus on disk: passages, read one at a time by position or by id.

    passages.jsonl    one JSON object a line: id, title, text, metadata
    offsets.npy       (n_passages + 1,) int64: where each line starts, and the end
    id_hashes.npy     (n_passages,) uint64, ascending: 64-bit BLAKE2b of each id
    id_positions.npy  (n_passages,) int64: the position whose id has that hash

and the table of the metadata's values, see `texts.metadata`.

    sums.npy          the sums of the pages of all these but fields.json, see `base.pages`

Everything is memory-mapped, so ten million passages open as fast as ten, and checked as it is read.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from unweave.base.arrays import ArrayWriter, save_array
from unweave.base.artifact import Manifest, damaged, load_array, read_manifest
from unweave.base.building import build
from unweave.base.digests import digest_of
from unweave.base.foreign import shown
from unweave.base.pages import open_checked, write_sums
from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.base.stored import read_record
from unweave.errors import BadData, CorruptArtifact
from unweave.texts.metadata import FILES, Metadata, MetadataWriter, as_texts

logger = logging.getLogger(__name__)

_JSON = json.JSONEncoder(ensure_ascii=False, default=str)
_HASHES = "hashes.npy"  # in corpus order, until they are sorted
_FILES = {
    "passages.jsonl": (np.uint8, 1), "offsets": (np.int64, 1), "id_hashes": (np.uint64, 1),
    "id_positions": (np.int64, 1), **FILES,
}  # fmt: skip
_ID = re.compile(rb'\{"passage_id": ("(?:[^"\\]|\\.)*")')


class Corpus(Sequence[Passage]):
    """Passages in a fixed order. A position is an int, an id from outside a str."""

    kind = "corpus"

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self._opened = open_checked(folder, manifest, _FILES)
        self._lines, self._offsets = self._opened["passages.jsonl"], self._opened["offsets"]
        if len(self._offsets) < 2 or self._offsets.at(len(self)) != len(self._lines):
            raise CorruptArtifact(f"{folder}: offsets.npy and passages.jsonl do not belong together; make it anew")

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
            n_passages, n_blank = _write_passages(made.path, passages)
            hashes = load_array(made.path / _HASHES, cls.kind)
            order = np.argsort(hashes, kind="stable").astype(np.int64)
            _refuse_repeated_ids(made.path, hashes, order)
            save_array(made.path / "id_hashes.npy", hashes[order])
            save_array(made.path / "id_positions.npy", order)
            (made.path / _HASHES).unlink()
            write_sums(made.path, _FILES)
            made.results.update(n_passages=n_passages, n_blank=n_blank)
        return cls.load(folder)

    def __repr__(self) -> str:
        return f"Corpus({len(self):,} passages in {self.folder})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).load, (self.folder,)  # a mapped file cannot be copied; the folder is opened again

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
        with damaged(f"{self.folder / 'passages.jsonl'} has no passage in line {position + 1} ({{}}); make it anew"):
            return read_record(Passage, json.loads(self.line(position)), self.folder)

    def line(self, position: int) -> bytes:
        """A passage as it is stored, see `as_line`."""
        start, end = self._offsets.part(position, position + 2).tolist()
        if not 0 <= start <= end <= len(self._lines):
            raise CorruptArtifact(f"{self.folder}: offsets.npy and passages.jsonl do not belong together; make it anew")
        return bytes(self._lines.part(start, end).data)

    def __iter__(self) -> Iterator[Passage]:
        return (self[i] for i in range(len(self)))

    def position(self, passage_id: str) -> int | None:
        """Where the passage with this id is, or None if there is none."""
        passage_id = passage_id.encode("utf-8", "replace").decode("utf-8")  # as it was stored
        wanted = np.uint64(digest_of(passage_id))
        slot = int(np.searchsorted(self._id_hashes, wanted))
        while slot < len(self) and self._id_hashes[slot] == wanted:
            position = int(self._opened["id_positions"].at(slot))
            if self._id_at(position) == passage_id:
                return position
            slot += 1
        return None

    def has(self, passage_id: str) -> bool:
        """Whether a passage has this id."""
        return self.position(passage_id) is not None

    @cached_property
    def _id_hashes(self) -> NDArray[np.uint64]:
        return self._opened["id_hashes"].whole()  # halving leads wherever a changed hash would send it

    @cached_property
    def ids(self) -> list[str]:
        """Every passage id, in corpus order; reads the whole corpus once."""
        return self.ids_at(range(len(self)))

    def ids_at(self, positions: Iterable[int]) -> list[str]:
        """The ids of the passages at some positions, without reading their texts."""
        return [self._id_at(position) for position in positions]

    def _id_at(self, position: int) -> str:
        found = _ID.match(self.line(position))
        if found is None:
            raise CorruptArtifact(f"{self.folder / 'passages.jsonl'} has no id in line {position + 1}; make it anew")
        with damaged(f"{self.folder / 'passages.jsonl'} has no id in line {position + 1} ({{}}); make it anew"):
            return str(json.loads(found[1]))

    def where(self, metadata: Mapping[str, str]) -> NDArray[np.bool_]:
        """Which passages have all of this metadata, (n_passages,).

        A value is compared as text; a list in a passage's metadata has to hold it. Fields of free text or of very
        many values (`texts.metadata` says how many) take reading the passages that the other fields leave.

        Raises:
            BadData: no passage has metadata of one of these names.
        """
        found = np.ones(len(self), dtype=np.bool_)
        to_read = {}
        for name, value in metadata.items():
            positions = self._metadata.positions(name, value)
            if positions is None:
                to_read[name] = value
                continue
            of_value = np.zeros(len(self), dtype=np.bool_)
            of_value[positions] = True
            found &= of_value
        for position in np.flatnonzero(found).tolist() if to_read else ():
            held = self[position].metadata
            found[position] = all(value in as_texts(held.get(name)) for name, value in to_read.items())
        return found

    def values(self, most: int) -> dict[str, list[str]]:
        """The fields of the passages' metadata and values of each, the first in their order; none of free text."""
        return {name: self._metadata.values(name, most) for name in self._metadata.fields}

    @cached_property
    def _metadata(self) -> Metadata:
        return Metadata(self.folder, self.manifest, self._opened)


class Contents(Sequence[str]):
    """What the encoder reads of each passage, read from disk when it is asked for."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages

    def __len__(self) -> int:
        return len(self._passages)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    def __getitem__(self, position: int | slice) -> str | list[str]:
        if isinstance(position, slice):
            return [passage.content for passage in self._passages[position]]
        return self._passages[position].content


def _write_passages(folder: Path, passages: Iterable[Passage]) -> tuple[int, int]:
    """Write the lines, their offsets, the hash of each id and the metadata; how many passages, and how many blank."""
    n_blank, first_blank, end = 0, "", 0
    with (
        (folder / "passages.jsonl").open("wb") as lines,
        ArrayWriter(folder / "offsets.npy", np.int64) as offsets,
        ArrayWriter(folder / _HASHES, np.uint64) as hashes,
        MetadataWriter(folder) as metadata,
    ):
        offsets.add(0)
        for position, passage in enumerate(passages):
            if not passage.passage_id:
                raise BadData(f"passage {position} (counting from 0) has an empty id; ids must name passages")
            if not passage.content:
                first_blank = first_blank or passage.passage_id
                n_blank += 1
            end += lines.write(as_line(passage))
            offsets.add(end)
            hashes.add(digest_of(passage.passage_id))
            metadata.add(position, passage.metadata)
        if not end:
            raise BadData("the corpus is empty: its source holds no passage; check the path and the file's format")
    if n_blank:
        logger.warning(
            "%d passage(s) have neither title nor text (first: %s); kept, and embedded as empty texts",
            n_blank,
            plain(first_blank, 60),
        )
    return len(hashes), n_blank


def as_line(passage: Passage) -> bytes:
    """A passage as a line of `passages.jsonl`; two are the same if their lines are."""
    return _JSON.encode(passage._asdict()).encode("utf-8", "replace") + b"\n"


def _refuse_repeated_ids(folder: Path, hashes: NDArray[np.uint64], order: NDArray[np.int64]) -> None:
    """Equal hashes are looked up, so that a rare collision of different ids passes."""
    offsets = load_array(folder / "offsets.npy", Corpus.kind)
    same_as_before = np.concatenate([[False], hashes[order][1:] == hashes[order][:-1]])
    repeats: list[tuple[str, int, int]] = []
    seen: dict[str, int] = {}
    with (folder / "passages.jsonl").open("rb") as file:
        for place in np.flatnonzero(same_as_before | np.append(same_as_before[1:], False)):
            position = int(order[place])
            file.seek(int(offsets[position]))
            name = str(json.loads(file.readline())["passage_id"])
            if name in seen:
                repeats.append((name, seen[name], position))
            seen.setdefault(name, position)
    if repeats:
        name, first, second = repeats[0]
        raise BadData(
            f"{len(repeats)} passage id(s) occur more than once, first {shown(name)} at positions {first} and {second} "
            "(counting from 0); ids must be unique: remove the repeats or give each its own id"
        )
