"""Turning rows into columns on disk: a text has terms, and a term's list has texts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 20
ENTRIES_AT_ONCE = 1 << 24
"""Entries that are sorted at once, about 400 MB."""


def counts_by_column(codes: NDArray[np.integer], column_of: NDArray[np.int32], n_columns: int) -> NDArray[np.int64]:
    """How many entries each column has, (n_columns,); see `by_column`."""
    counts = np.zeros(n_columns, dtype=np.int64)
    for _, columns in _blocks(codes, column_of):
        counts += np.bincount(columns[columns >= 0], minlength=n_columns)
    return counts


def by_column(
    codes: NDArray[np.integer],
    column_of: NDArray[np.int32],
    counts: NDArray[np.int64],
    at_once: int = ENTRIES_AT_ONCE,
) -> Iterator[NDArray[np.int64]]:
    """Numbers of entries, those of the first column first, in each column ascending; piece by piece.

    Args:
        codes: (n_entries,), memory-mapped as a rule, read once a piece.
        column_of: (n_codes,) the column of each code; -1: its entries are left out.
        counts: (n_columns,) entries of each column.
        at_once: a piece holds so many entries at most, or one column.
    """
    ends = np.cumsum(counts)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + at_once, side="right")))
        entries, columns = [], []
        for start, block in _blocks(codes, column_of):
            chosen = np.flatnonzero((block >= first) & (block < last))
            entries.append(chosen + start)
            columns.append(block[chosen])
        if entries:
            order = np.argsort(np.concatenate(columns), kind="stable")
            yield np.concatenate(entries)[order]
        first = last


def _blocks(codes: NDArray[np.integer], column_of: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """The columns of the entries, block by block, with the number of each block's first entry."""
    for start in range(0, len(codes), _BLOCK):
        yield start, column_of[codes[start : start + _BLOCK]]
