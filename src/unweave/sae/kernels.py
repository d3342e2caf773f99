"""The sparse parts of an SAE on a CPU, compiled by numba.

Every kernel works on one block of rows (texts) or of latents and releases the GIL, so that `on_every_core` can run
several at once; none starts threads of its own. Sparse rows are three arrays: the entries of row r are
columns[offsets[r] : offsets[r + 1]], ascending, with the same slice of values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.base.cores import on_every_core, spans

_CHUNK = 32
"""Activations that are compared at once: most chunks hold none worth a closer look."""
_ROWS_AT_ONCE = 64
_FEW_ROWS = 4
"""Texts that are not worth loading a kernel for."""

Floats = NDArray[np.floating[Any]]


class SparseRows(NamedTuple):
    """The active entries of a block of texts."""

    offsets: NDArray[np.int64]  # (n_rows + 1,)
    columns: NDArray[np.int32]  # (n_active,) latents, ascending within a row
    values: NDArray[np.float32]  # (n_active,)


def entries_above(products: Floats, bias: Floats, floor: Floats, expected: int) -> SparseRows:
    """The entries of products + bias that exceed their latent's floor.

    Args:
        products: (n_rows, n_latents).
        bias, floor: (n_latents,).
        expected: entries a row there may be; more are found too, but take a second look.
    """
    if len(products) <= _FEW_ROWS:
        return _entries_of_few(products, bias, floor)
    # A little below what a product must exceed, so that rounding decides in the exact comparison alone.
    near = (floor - bias - 1e-5 * (np.abs(floor) + np.abs(bias))).astype(products.dtype)
    return _gather(products, lambda block, *out: _above(block, bias, floor, near, *out), expected)


def _entries_of_few(products: Floats, bias: Floats, floor: Floats) -> SparseRows:
    """The same in NumPy: loading a kernel takes a third of a second, which a single query would wait for."""
    values = products + bias
    rows, columns = np.nonzero(values > floor)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(products)))])
    return SparseRows(offsets, columns.astype(np.int32), np.asarray(values[rows, columns], products.dtype))


def strongest_entries(products: Floats, bias: Floats, k: int) -> SparseRows:
    """The k highest positive entries of each row of products + bias; ties keep the lower latent.

    Args:
        products: (n_rows, n_latents).
        bias: (n_latents,).
    """
    k = min(k, products.shape[1])
    return _gather(products, lambda block, *out: _strongest(block, bias, k, *out), k)


def _gather(products: Floats, find: Callable[..., None], expected: int) -> SparseRows:
    """Run a kernel that fills (n_rows, capacity) arrays over all rows, and put its entries one after the other."""
    n_rows, width = products.shape
    counts = np.zeros(n_rows, dtype=np.int64)
    capacity = min(width, max(1, expected))
    while True:
        columns = np.empty((n_rows, capacity), dtype=np.int32)
        values = np.empty((n_rows, capacity), dtype=products.dtype)

        def fill(span: tuple[int, int], columns: Any = columns, values: Any = values) -> None:
            rows = slice(*span)
            find(products[rows], columns[rows], values[rows], counts[rows])

        on_every_core(fill, spans(n_rows, _ROWS_AT_ONCE))
        most = int(counts.max(initial=0))
        if most <= capacity:
            break
        capacity = most
    offsets = np.concatenate([[0], np.cumsum(counts)])
    packed = SparseRows(offsets, np.empty(offsets[-1], np.int32), np.empty(offsets[-1], products.dtype))
    pack(columns, values, counts, packed.columns, packed.values)
    return packed


@njit(nogil=True, cache=True)
def pack(columns, values, counts, packed_columns, packed_values):  # type: ignore[no-untyped-def]
    """Put the entries of rows, (n_rows, capacity), of which counts are filled, one after the other."""
    at = 0
    for row in range(len(counts)):
        for i in range(counts[row]):
            packed_columns[at] = columns[row, i]
            packed_values[at] = values[row, i]
            at += 1


@njit(nogil=True, cache=True)
def _above(products, bias, floor, near, columns, values, counts):  # type: ignore[no-untyped-def]
    """Fill each row's entries above the floor; counts may exceed the capacity, and then the rest is not filled."""
    n_rows, width = products.shape
    capacity = columns.shape[1]
    for row in range(n_rows):
        found = 0
        for start in range(0, width, _CHUNK):
            chunk, near_chunk = products[row, start : start + _CHUNK], near[start : start + _CHUNK]
            n_near = 0
            for j in range(len(chunk)):  # counted from 0, so that vector instructions are used
                n_near += chunk[j] > near_chunk[j]
            if n_near == 0:
                continue
            for j in range(len(chunk)):
                latent = start + j
                value = chunk[j] + bias[latent]
                if value > floor[latent]:
                    if found < capacity:
                        columns[row, found], values[row, found] = latent, value
                    found += 1
        counts[row] = found


@njit(nogil=True, cache=True)
def _strongest(products, bias, k, columns, values, counts):  # type: ignore[no-untyped-def]
    """Fill each row's k highest positive entries.

    The k-th highest of the chunks' maxima is a lower bound of the k-th highest entry, so that few entries are compared.
    """
    n_rows, width = products.shape
    n_chunks = (width + _CHUNK - 1) // _CHUNK
    row_values = np.empty(width, products.dtype)
    maxima = np.empty(n_chunks, products.dtype)
    near = np.empty(width, products.dtype)
    near_latents = np.empty(width, np.int32)
    for row in range(n_rows):
        for latent in range(width):
            row_values[latent] = products[row, latent] + bias[latent]
        for chunk in range(n_chunks):
            maxima[chunk] = row_values[chunk * _CHUNK : (chunk + 1) * _CHUNK].max()
        floor = np.partition(maxima, n_chunks - k)[n_chunks - k] if k <= n_chunks else row_values.min()
        n_near = 0
        for chunk in range(n_chunks):
            if maxima[chunk] >= floor:
                for latent in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, width)):
                    if row_values[latent] >= floor and row_values[latent] > 0:
                        near[n_near], near_latents[n_near] = row_values[latent], latent
                        n_near += 1
        found = 0
        if n_near > k:
            cut = np.partition(near[:n_near], n_near - k)[n_near - k]
            at_cut = k - np.sum(near[:n_near] > cut)
            for i in range(n_near):
                if near[i] > cut or (near[i] == cut and at_cut > 0):
                    at_cut -= near[i] == cut
                    columns[row, found], values[row, found] = near_latents[i], near[i]
                    found += 1
        else:
            found = n_near
            columns[row, :found], values[row, :found] = near_latents[:found], near[:found]
        counts[row] = found
