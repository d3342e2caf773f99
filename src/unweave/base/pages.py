"""Checksums of pages: what is read of a large file is checked when it is first read, and never more than that.

A file of numbers is cut into pages of 4,096 bytes, each with a 64-bit sum. A change that lies within one aligned word
of eight bytes always changes the sum; any other goes unseen once in 2^64 times. The sums of an artefact's large files
lie in its `sums.npy`, one file after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.base.arrays import save_array
from unweave.base.artifact import Manifest, checked_array, typed_array
from unweave.base.words import U, read_only, word_at
from unweave.errors import CorruptArtifact

PAGE_BITS = 12
PAGE = 1 << PAGE_BITS
SUMS = "sums"
_MULTIPLIER = U(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
_FOLD = U(29)


class Paged(NamedTuple):
    """One array of a file, with the sums of its pages, as kernels read them."""

    data: NDArray[Any]  # 1-D
    sums: NDArray[np.uint64]  # (n_pages,)
    seen: NDArray[np.uint8]  # (n_pages,) 1 where the page was found to be whole


class Checked:
    """An array on disk, (n,) or (n, width), memory-mapped; rows are compared with what was written when they are read.

    A file that is no `.npy` is an array of its bytes.
    """

    def __init__(self, array: NDArray[Any], sums: NDArray[np.uint64], path: Path, kind: str) -> None:
        self._array, self._path, self._kind = array, path, kind
        self._flags = bytearray(len(sums))
        self.paged = Paged(array.reshape(-1), sums, np.frombuffer(self._flags, np.uint8))
        """The same, as kernels read it: its rows one after the other."""
        self._bytes = self.paged.data.view(np.uint8)
        self._row_bytes = array.itemsize * (array.shape[1] if array.ndim == 2 else 1)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,) or (n, width)."""
        return self._array.shape

    @property
    def nbytes(self) -> int:
        """Its size."""
        return self._array.nbytes

    def part(self, start: int, end: int) -> NDArray[Any]:
        """Rows start to end - 1.

        Raises:
            CorruptArtifact: they are not what was written.
        """
        if end > start:
            first, last = start * self._row_bytes, end * self._row_bytes - 1
            if self._flags.find(0, first >> PAGE_BITS, (last >> PAGE_BITS) + 1) >= 0 and not whole(
                self._bytes, self.paged.sums, self.paged.seen, first, last + 1
            ):
                raise CorruptArtifact(f"{self._path} does not match its checksums; rebuild the {self._kind}")
        return self._array[start:end]

    def at(self, row: int) -> Any:
        """One row."""
        return self.part(row, row + 1)[0]

    def take(self, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Some rows, (n_rows,) or (n_rows, width), in the order asked; the same errors as `part`."""
        for row in np.unique(rows).tolist():
            self.part(row, row + 1)
        found: NDArray[Any] = self._array[rows]
        return found

    def whole(self) -> NDArray[Any]:
        """All rows; the same errors as `part`."""
        return self.part(0, len(self))


def in_memory(array: NDArray[Any]) -> Checked:
    """An array that was just made, of which there is nothing to compare."""
    sums = np.zeros(n_pages(array.nbytes), np.uint64)
    found = Checked(read_only(np.ascontiguousarray(array)), read_only(sums), Path(), "")
    found.paged.seen[:] = 1
    return found


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the sums of the pages of these files, one after the other, to the artefact that is being made."""
    save_array(folder / f"{SUMS}.npy", sums_of(folder, names))


def open_checked(folder: Path, manifest: Manifest, files: Mapping[str, tuple[Any, int]]) -> dict[str, Checked]:
    """Open large files of an artefact, nothing of them checked yet.

    Args:
        files: the type and number of axes of each array, in the order in which their sums were written; a name with an
            ending is that of a file of bytes, any other that of a `.npy`.

    Raises:
        CorruptArtifact: one is no array of its type, or there are not as many sums as pages.
    """
    for name in (SUMS, *files):
        file = name if "." in name else f"{name}.npy"
        if file not in manifest.files:
            raise CorruptArtifact(f"{folder} has no {file}: another version made it; rebuild the {manifest.kind}")
    sums = checked_array(folder, manifest, SUMS, np.uint64)
    mapped = {name: _mapped(folder, name, manifest.kind, *of) for name, of in files.items()}
    cut = _cut(sums, [array.nbytes for _, array in mapped.values()], folder, f"rebuild the {manifest.kind}")
    return {
        name: Checked(array, of_array, path, manifest.kind)
        for (name, (path, array)), of_array in zip(mapped.items(), cut, strict=True)
    }


def _cut(sums: NDArray[np.uint64], sizes: Sequence[int], folder: Path, way_out: str) -> list[NDArray[np.uint64]]:
    """The sums of each of several arrays of so many bytes; there are as many as pages, or the folder is damaged."""
    ends = list(accumulate(map(n_pages, sizes), initial=0))
    if ends[-1] != len(sums):
        raise CorruptArtifact(f"{folder}: its arrays have {ends[-1]} pages, but there are {len(sums)} sums: {way_out}")
    return [sums[start:end] for start, end in pairwise(ends)]


def _mapped(folder: Path, name: str, kind: str, dtype: Any, ndim: int) -> tuple[Path, NDArray[Any]]:
    if "." in name:
        return folder / name, _bytes_of(folder / name)
    return folder / f"{name}.npy", typed_array(folder / f"{name}.npy", kind, dtype, ndim)


def _bytes_of(path: Path) -> NDArray[np.uint8]:
    # An empty file cannot be mapped.
    return np.asarray(np.memmap(path, np.uint8, "r")) if path.stat().st_size else np.zeros(0, np.uint8)


def load_paged(folder: Path, arrays: Mapping[str, Any], sums: NDArray[np.uint64]) -> dict[str, Paged]:
    """Open rows of numbers, memory-mapped, nothing of them checked yet.

    Args:
        arrays: the type of each, by its name.
        sums: those of all their pages, one array after the other.

    Raises:
        CorruptArtifact: one is no array of its type, or there are not as many sums as pages.
    """
    mapped = {name: typed_array(folder / f"{name}.npy", "index", dtype) for name, dtype in arrays.items()}
    cut = _cut(sums, [data.nbytes for data in mapped.values()], folder, WHAT_TO_DO)
    return {
        name: Paged(data, of_array, np.zeros(len(of_array), np.uint8))
        for (name, data), of_array in zip(mapped.items(), cut, strict=True)
    }


def sums_of(folder: Path, names: Iterable[str]) -> NDArray[np.uint64]:
    """The sums of the pages of these files, one after the other; `open_checked` says what a name may be."""
    found = [np.zeros(0, np.uint64)]
    for name in names:
        data = np.load(folder / f"{name}.npy", mmap_mode="r") if "." not in name else _bytes_of(folder / name)
        found.append(page_sums(data.reshape(-1).view(np.uint8)))
    return np.concatenate(found)


def n_pages(n_bytes: int) -> int:
    """How many pages hold so many bytes."""
    return (n_bytes + PAGE - 1) >> PAGE_BITS


def check(paged: Paged, path: Path, start: int, end: int) -> None:
    """Make sure that the elements start to end of an array are as they were written.

    Raises:
        CorruptArtifact: a page that holds some of them is not.
    """
    size = paged.data.itemsize
    if not whole(paged.data.view(np.uint8), paged.sums, paged.seen, start * size, end * size):
        raise CorruptArtifact(f"{path} does not match its checksums near element {start}: {WHAT_TO_DO}")


WHAT_TO_DO = "the disk or a copy changed it; restore the folder from a copy, or build the index again"


@njit(nogil=True, cache=True)
def page_sum(data, start, end):  # type: ignore[no-untyped-def]
    """The sum of the bytes start to end, (n,) uint8, at most a page: each word of eight is mixed in by a bijection."""
    total = U(end - start)
    for at in range(U(start), U(start) + (U(end - start) & ~U(7)), U(8)):
        total = (total ^ word_at(data, at)) * _MULTIPLIER
        total ^= total >> _FOLD
    last = U(0)
    for at in range(U(start) + (U(end - start) & ~U(7)), U(end)):
        last = last << U(8) | U(data[at])
    total = (total ^ last) * _MULTIPLIER
    total ^= total >> _FOLD
    return total


@njit(nogil=True, cache=True)
def page_sums(data):  # type: ignore[no-untyped-def]
    """The sum of each page of the bytes data, (n,) uint8; (n_pages,)."""
    sums = np.empty((len(data) + PAGE - 1) >> PAGE_BITS, np.uint64)
    for page in range(len(sums)):
        sums[page] = page_sum(data, page << PAGE_BITS, min((page + 1) << PAGE_BITS, len(data)))
    return sums


@njit(nogil=True, cache=True)
def whole(data, sums, seen, start, end):  # type: ignore[no-untyped-def]
    """Whether the pages that hold the bytes start to end are as they were written; each is summed once."""
    if end <= start:
        return True
    for page in range(start >> PAGE_BITS, ((end - 1) >> PAGE_BITS) + 1):
        if seen[page] == 0:
            if page_sum(data, page << PAGE_BITS, min((page + 1) << PAGE_BITS, len(data))) != sums[page]:
                return False
            seen[page] = 1
    return True
