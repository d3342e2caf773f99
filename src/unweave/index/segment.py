"""One segment: passages that were added together, as a folder of arrays that never change.

    lists.npy               uint8    the packed posting lists, see `postings`
    starts.npy              int64    (n_blocks + 1,) where each block's lists begin
    directory.npy           uint32   (n_blocks, n_latents + 1) where each list begins in its block
    scales.npy              float32  (n_latents,) the impact that a code of 1 stands for, at most
    document_frequency.npy  int64    (n_latents,) passages with each latent
    forward.npy             uint8    each passage's latents and activations, see `kernels.Forward`
    forward_offsets.npy     int64    (n_passages + 1,) where each passage's begin
    ids.npy                 uint8    the passages' ids, UTF-8
    id_offsets.npy          int64    (n_passages + 1,) where each id begins
    id_order.npy            uint32   (n_passages,) places in the order of their ids' hashes

    sums.npy                uint64   the sums of the pages of all arrays that are read in parts, see `pages`

Those are `lists`, `forward`, `ids` and the two arrays of offsets and the one of the order that go with them; the
others, which are small, are checked as a whole when the segment is opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base import pages
from unweave.base.arrays import ArrayWriter, save_array
from unweave.base.artifact import Manifest, check_file, load_array
from unweave.base.cores import spans
from unweave.base.foreign import shown
from unweave.base.words import read_only
from unweave.errors import BadData, CorruptArtifact, ScoringUndefined
from unweave.index import build_kernels, kernels
from unweave.index.activations import ACTIVATION_BYTES
from unweave.index.kernels import Formula, Forward, Postings, as_latents
from unweave.index.postings import BLOCK, MAX_CODE, PADDING, pack_block
from unweave.index.scoring import Scoring

PAGED = {"lists": np.uint8, "forward": np.uint8, "forward_offsets": np.int64, "ids": np.uint8, "id_offsets": np.int64,
         "id_order": np.uint32}  # fmt: skip
FOR_SEARCH = ("lists", "starts", "directory", "scales", "document_frequency", "sums")
"""What concept search alone reads; the forward lists and the ids come on top."""
MOST_LEFT_OUT = 0.01
"""The share of added passages for which the formula may be undefined; so many are kept, but not found by search."""
_COPIED_AT_ONCE = 1 << 14
"""Passages."""


class Batch(NamedTuple):
    """Passages to add."""

    ids: Sequence[str]
    latents: csr_array  # (n_passages, n_latents) activations, > 0


class IdBytes(NamedTuple):
    """Ids one after the other."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]  # (n_ids + 1,): where each begins


class Entries(NamedTuple):
    """What one passage is made of, the strongest first."""

    latents: NDArray[np.int64]  # (n_active,)
    activations: NDArray[np.float32]  # (n_active,)


class Indexed(NamedTuple):
    """Some passages, with what of them is indexed."""

    ids: list[str]
    impacts: csr_array  # (n_passages, n_latents); in each row, the strongest first


class Written(NamedTuple):
    """What a new segment holds."""

    n_passages: int
    mean_latents: float
    left_out: int
    """Passages for which the formula is undefined."""


class Segment:
    """An opened segment; nothing of its large arrays is read before it is needed."""

    def __init__(self, folder: Path, manifest: Manifest, name: str, *, n_latents: int, deletion: str | None) -> None:
        """Open the segment `name` of the index in `folder`.

        Raises:
            CorruptArtifact: a file is not what was written.
        """
        self._index, self.folder = folder, folder / name
        self.name = name
        self.n_latents = n_latents
        self._manifest = manifest
        paged = pages.load_paged(self.folder, PAGED, self.small("sums", np.uint64))
        self.n_passages = len(paged["id_order"].data)
        n_blocks = -(-self.n_passages // BLOCK)
        starts = self.small("starts", np.int64, (n_blocks + 1,))
        directory = self.small("directory", np.uint32, (n_blocks, n_latents + 1))
        self.scales = self.small("scales", np.float32, (n_latents,))
        lists = paged["lists"]
        if starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] + PADDING != len(lists.data):
            raise CorruptArtifact(f"{self.folder}: its lists are not where starts.npy says: {pages.WHAT_TO_DO}")
        self.postings = Postings(lists, starts, directory, np.zeros((n_blocks, n_latents), np.uint8))
        self._ids, self._id_offsets, self._id_order = paged["ids"], paged["id_offsets"], paged["id_order"]
        offsets = paged["forward_offsets"]
        for name_, some in (("forward", offsets), ("id", self._id_offsets)):
            if len(some.data) != self.n_passages + 1:
                raise CorruptArtifact(f"{self.folder}: {name_}_offsets.npy does not fit its {self.n_passages} passages")
        self.forward = Forward(paged["forward"], offsets._replace(data=offsets.data.view(np.uint8)))
        self.deletion = deletion
        suffix = "" if deletion is None else f"-{deletion}"
        self.document_frequency = self.small(f"document_frequency{suffix}", np.int64, (n_latents,))
        if (
            not (np.isfinite(self.scales) & (self.scales >= 0)).all()
            or ((self.document_frequency < 0) | (self.document_frequency > self.n_passages)).any()
        ):
            raise CorruptArtifact(f"{self.folder}: a scale or a document frequency is out of range")
        words = (self.n_passages + 63) // 64
        live = self.small(f"live{suffix}", np.uint64, (words,)) if deletion else np.zeros(0, np.uint64)
        self.live = read_only(live)
        """A bit for each passage that is not deleted, (n_passages / 64,) words; empty: none is."""

    def small(self, name: str, dtype: Any, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """A small array of this type and shape (None: a row of any length), compared with its checksum.

        Raises:
            CorruptArtifact: it is another.
        """
        path = self.folder / f"{name}.npy"
        array = np.asarray(load_array(check_file(self._index, self._manifest, f"{self.name}/{path.name}"), "index"))
        if array.dtype != dtype or array.shape != (shape or (array.size,)):
            expected = f"{np.dtype(dtype)} of shape {shape or '(n,)'}"
            raise CorruptArtifact(f"{path} holds {array.dtype} of shape {array.shape}, expected {expected}")
        return array

    @property
    def n_live(self) -> int:
        """Passages that are not deleted."""
        return int(np.bitwise_count(self.live).sum()) if len(self.live) else self.n_passages

    @cached_property
    def live_places(self) -> NDArray[np.int64]:
        """Places of the passages that are not deleted, ascending."""
        if not len(self.live):
            return np.arange(self.n_passages)
        return np.flatnonzero(np.unpackbits(self.live.view(np.uint8), bitorder="little"))

    def id(self, place: int) -> str:
        """The id of the passage at a place.

        Raises:
            CorruptArtifact: it is not what was written.
        """
        pages.check(self._id_offsets, self.folder / "id_offsets.npy", place, place + 2)
        start, end = int(self._id_offsets.data[place]), int(self._id_offsets.data[place + 1])
        if not 0 <= start <= end <= len(self._ids.data):
            raise CorruptArtifact(f"{self.folder}: id_offsets.npy does not fit ids.npy: {pages.WHAT_TO_DO}")
        pages.check(self._ids, self.folder / "ids.npy", start, end)
        return self._ids.data[start:end].tobytes().decode("utf-8", "replace")

    @property
    def ids(self) -> IdBytes:
        """All ids, as they are stored and not checked."""
        return IdBytes(self._ids.data, self._id_offsets.data)

    def places(self, ids: IdBytes) -> NDArray[np.int64]:
        """Where the live passages with these ids are, (n_ids,); -1 where there is none.

        Raises:
            CorruptArtifact: the ids are not those that were written.
        """
        found = np.empty(len(ids.offsets) - 1, np.int64)
        wanted = IdBytes(read_only(ids.data), read_only(ids.offsets))
        if not build_kernels.find_ids(self._ids, self._id_offsets, self._id_order, *wanted, self.live, found):
            raise CorruptArtifact(f"{self.folder}: the ids do not match their checksums: {pages.WHAT_TO_DO}")
        return found

    def row(self, place: int) -> Entries:
        """All latents of the passage at a place.

        Raises:
            CorruptArtifact: they are not what was written.
        """
        rows = self.rows(np.array([place]))
        return Entries(rows.indices.astype(np.int64), rows.data)

    def rows(self, places: NDArray[np.int64]) -> csr_array:
        """All latents of the passages at these places, (n_places, n_latents); in each row, the strongest first.

        Raises:
            CorruptArtifact: they are not what was written.
        """
        n_bytes = id_bytes(self.n_latents)
        starts, lengths = self._found(places)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        latents, activations = np.empty(offsets[-1], np.uint32), np.empty(offsets[-1], np.float32)
        build_kernels.read_rows(self.forward.rows.data, starts, lengths, n_bytes, offsets, latents, activations)
        return self._as_rows(offsets, latents, activations)

    def indexed(self, places: NDArray[np.int64], formula: Formula) -> Indexed:
        """The passages at these places.

        Raises:
            CorruptArtifact: they are not what was written.
        """
        starts, lengths = self._found(places)
        starts = starts.astype(np.int64)
        ends = starts + lengths * (formula.id_bytes + ACTIVATION_BYTES)
        found = build_kernels.kept_entries(self.forward.rows.data, read_only(starts), read_only(ends), formula)
        return Indexed([self.id(place) for place in places.tolist()], self._as_rows(*found))

    def _found(self, places: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Where the rows at these places begin in the forward lists, and how many entries each has."""
        starts, lengths = np.empty(len(places), np.uint64), np.empty(len(places), np.int64)
        if not kernels.find_rows(self.forward, 0, places, self.n_passages, id_bytes(self.n_latents), starts, lengths):
            self.refuse("forward")
        return starts, lengths

    def _as_rows(
        self, offsets: NDArray[np.int64], latents: NDArray[np.uint32], values: NDArray[np.float32]
    ) -> csr_array:
        if len(latents) and (latents.max() >= self.n_latents or not np.isfinite(values).all()):
            self.refuse("forward")
        return csr_array((values, latents.astype(np.int32), offsets), shape=(len(offsets) - 1, self.n_latents))

    def live_batches(self) -> Iterator[Batch]:
        """The passages that are not deleted, with all their latents, some at a time.

        Raises:
            CorruptArtifact: they are not what was written.
        """
        for start, end in spans(len(self.live_places), _COPIED_AT_ONCE):
            places = self.live_places[start:end]
            yield Batch([self.id(place) for place in places.tolist()], self.rows(places))

    def frequency_of(self, places: NDArray[np.int64], formula: Formula) -> NDArray[np.int64]:
        """How many of the passages at these places are indexed with each latent, (n_latents,)."""
        frequency = np.zeros(self.n_latents, np.int64)
        for place in places.tolist():
            latents, activations = self.row(place)
            n_kept = min(len(latents), formula.kept)
            if n_kept and build_kernels.is_defined(n_kept, activations[n_kept - 1], formula):
                frequency[latents[:n_kept]] += 1
        return frequency

    def refuse(self, array: str) -> NoReturn:
        """Say that an array is not what was written."""
        raise CorruptArtifact(f"{self.folder / array}.npy does not match its checksums: {pages.WHAT_TO_DO}")


def as_bytes(ids: Sequence[str]) -> IdBytes:
    """Ids as they are stored."""
    encoded = [name.encode("utf-8", "replace") for name in ids]
    offsets = np.concatenate([[0], np.cumsum([len(name) for name in encoded], dtype=np.int64)])
    return IdBytes(np.frombuffer(b"".join(encoded), np.uint8), offsets)


# --- writing --------------------------------------------------------------------------------------


def formula_of(scoring: Scoring, mean_latents: float, n_latents: int, counted: int | None = None) -> Formula:
    """The formula as kernels read it."""
    kept = scoring.max_latents or n_latents
    return Formula(
        scoring.root,
        np.inf if scoring.k1 is None else float(scoring.k1),
        float(scoring.b),
        float(mean_latents),
        kept,
        kept if counted is None else min(counted, kept),
        id_bytes(n_latents),
    )


def id_bytes(n_latents: int) -> int:
    """Bytes of a latent's id in the forward lists; an entry takes two more."""
    return 2 if n_latents <= 1 << 16 else 3 if n_latents <= 1 << 24 else 4


def write_segment(
    folder: Path, batches: Iterable[Batch], scoring: Scoring, n_latents: int, mean_latents: float | None
) -> Written:
    """Fill a folder with a segment; memory is that of one batch and one block, whatever the number of passages.

    Args:
        mean_latents: avgdl of the formula; None: that of these passages.

    Raises:
        BadData: an id is empty or occurs twice, or activations are not positive numbers.
        ScoringUndefined: the formula is undefined for more than `MOST_LEFT_OUT` of the passages.
    """
    n_passages, n_kept = _write_passages(folder, batches, n_latents, scoring.max_latents or n_latents)
    if mean_latents is None:
        mean_latents = n_kept / max(1, n_passages)
    formula = formula_of(scoring, mean_latents, n_latents)
    forward = np.load(folder / "forward.npy", mmap_mode="r")
    offsets = np.load(folder / "forward_offsets.npy", mmap_mode="r")
    blocks = spans(n_passages, BLOCK)
    highest, left_out = np.zeros(n_latents, np.float32), 0
    for start, end in blocks:
        left_out += build_kernels.highest_impacts(forward, offsets[start : end + 1], formula, highest)
    _refuse_undefined(left_out, n_passages, scoring, mean_latents)
    # Above the quotient by more than rounding can take, so that no impact exceeds the highest code.
    scales = np.nextafter(highest / np.float32(MAX_CODE) * np.float32(1 + 1e-6), np.float32(np.inf))
    document_frequency = np.zeros(n_latents, np.int64)
    starts, directory = [0], []
    with ArrayWriter(folder / "lists.npy", np.uint8) as lists:
        for start, end in blocks:
            ends, latents, impacts = build_kernels.kept_entries(
                forward, offsets[start:end], offsets[start + 1 : end + 1], formula
            )
            packed, where = pack_block(ends, latents, impacts, scales)
            document_frequency += np.bincount(latents, minlength=n_latents)
            lists.append(packed)
            starts.append(starts[-1] + len(packed))
            directory.append(where)
        lists.append(np.zeros(PADDING, np.uint8))
    save_array(folder / "starts.npy", np.array(starts, np.int64))
    save_array(folder / "directory.npy", np.array(directory, np.uint32).reshape(len(blocks), n_latents + 1))
    save_array(folder / "scales.npy", scales)
    save_array(folder / "document_frequency.npy", document_frequency)
    save_array(folder / "sums.npy", pages.sums_of(folder, PAGED))
    return Written(n_passages, mean_latents, left_out)


def _refuse_undefined(left_out: int, n_passages: int, scoring: Scoring, mean_latents: float) -> None:
    if left_out > MOST_LEFT_OUT * n_passages:
        raise ScoringUndefined(
            f"profile {scoring.profile!r}: z + k1 (1 - b + b |d| / avgdl) is not positive for {left_out} of "
            f"{n_passages} passages, because b = {scoring.b:g} is above 1 and they have few of the average "
            f"{mean_latents:.1f} latents; use the profile 'default', or an SAE that gives every passage enough"
        )


def _write_passages(folder: Path, batches: Iterable[Batch], n_latents: int, kept: int) -> tuple[int, int]:
    """Write the forward lists and ids; returns the number of passages, and of the latents that they keep."""
    n_passages = n_kept = 0
    with (
        ArrayWriter(folder / "forward.npy", np.uint8) as forward,
        ArrayWriter(folder / "forward_offsets.npy", np.int64) as forward_offsets,
        ArrayWriter(folder / "ids.npy", np.uint8) as ids,
        ArrayWriter(folder / "id_offsets.npy", np.int64) as id_offsets,
    ):
        forward_offsets.append(np.zeros(1, np.int64))
        id_offsets.append(np.zeros(1, np.int64))
        for batch in batches:
            _refuse_unusable(batch, n_latents, n_passages)
            latents, lengths = batch.latents, np.diff(batch.latents.indptr)
            rows, row_ends = build_kernels.forward_rows(
                latents.indptr.astype(np.int64), as_latents(latents.indices), latents.data.astype(np.float32),
                id_bytes(n_latents),
            )  # fmt: skip
            names, name_offsets = as_bytes(batch.ids)
            forward_offsets.append(len(forward) + row_ends)
            id_offsets.append(len(ids) + name_offsets[1:])
            forward.append(rows)
            ids.append(names)
            n_passages += len(batch.ids)
            n_kept += int(np.minimum(lengths, kept).sum())
    names, offsets = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "id_offsets"))
    order = np.argsort(build_kernels.id_hashes(names, offsets), kind="stable").astype(np.uint32)
    repeated = build_kernels.first_repeat(names, offsets, order)
    if repeated >= 0:
        name = names[offsets[repeated] : offsets[repeated + 1]].tobytes().decode("utf-8", "replace")
        raise BadData(f"the passage id {shown(name)} occurs more than once among those to add; ids must be unique")
    save_array(folder / "id_order.npy", order)
    return n_passages, n_kept


def _refuse_unusable(batch: Batch, n_latents: int, so_far: int) -> None:
    latents = batch.latents
    if latents.shape != (len(batch.ids), n_latents):
        raise BadData(
            f"{len(batch.ids)} ids came with latents of shape {latents.shape}; expected ({len(batch.ids)}, {n_latents})"
            ": one row a passage, as wide as the index's dictionary"
        )
    if not all(batch.ids):
        raise BadData(f"passage {so_far + list(batch.ids).index('')} (counting from 0) has an empty id")
    if not (np.isfinite(latents.data) & (latents.data > 0)).all():
        raise BadData("activations must be finite and above 0; leave out what is not active")
    if latents.nnz and not 0 <= latents.indices.min() <= latents.indices.max() < n_latents:
        raise BadData(
            f"latents must be from 0 to {n_latents - 1}, got {latents.indices.min()} to {latents.indices.max()}"
        )
