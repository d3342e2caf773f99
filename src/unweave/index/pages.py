"""Checksums of pages: what is read of a large file is checked when it is first read, and never more than that.

A file of numbers is cut into pages of 4,096 bytes, each with a 64-bit sum. A change that lies within one aligned word
of eight bytes always changes the sum; any other goes unseen once in 2^64 times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.base.artifact import load_array
from unweave.errors import CorruptArtifact
from unweave.index.words import U, word_at

PAGE_BITS = 12
PAGE = 1 << PAGE_BITS
_MULTIPLIER = U(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
_FOLD = U(29)


class Paged(NamedTuple):
    """One array of a file, with the sums of its pages, as kernels read them."""

    data: NDArray[Any]  # 1-D
    sums: NDArray[np.uint64]  # (n_pages,)
    seen: NDArray[np.uint8]  # (n_pages,) 1 where the page was found to be whole


def load_paged(folder: Path, arrays: Mapping[str, Any], sums: NDArray[np.uint64]) -> dict[str, Paged]:
    """Open arrays, memory-mapped, nothing of them checked yet.

    Args:
        arrays: the type of each, by its name.
        sums: those of all their pages, one array after the other.

    Raises:
        CorruptArtifact: one is no array of its type, or there are not as many sums as pages.
    """
    opened, at = {}, 0
    for name, dtype in arrays.items():
        data = load_array(folder / f"{name}.npy", "index")
        if data.ndim != 1 or data.dtype != dtype:
            found = f"{data.dtype} of shape {data.shape}"
            raise CorruptArtifact(f"{folder / name}.npy holds {found}, expected a row of {np.dtype(dtype)}")
        of_array = sums[at : at + n_pages(data.nbytes)]
        at += n_pages(data.nbytes)
        opened[name] = Paged(np.asarray(data), of_array, np.zeros(len(of_array), np.uint8))
    if at != len(sums):
        raise CorruptArtifact(f"{folder}: its arrays have {at} pages, but there are {len(sums)} sums: {WHAT_TO_DO}")
    return opened


def sums_of(folder: Path, arrays: Iterable[str]) -> NDArray[np.uint64]:
    """The sums of the pages of these arrays, one after the other."""
    return np.concatenate([page_sums(np.load(folder / f"{name}.npy", mmap_mode="r").view(np.uint8)) for name in arrays])


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
