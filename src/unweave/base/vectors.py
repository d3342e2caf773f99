"""Rows of floats: what is refused, and rows scaled to length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.errors import BadData

SMALLEST, LARGEST = 1e-15, 1e15
"""Between these the largest number of a row lies: beyond, squares and products of rows leave float32."""
SHORTEST, LONGEST = 0.02, 1e10
"""Between these lies the typical length of embeddings that an SAE learns from: its steps have a size of their own."""


def refuse_unusable(vectors: NDArray[np.floating[Any]], what: str, first: int | NDArray[np.int64] = 0) -> None:
    """Check that every row, (n, d_in), is finite and not zero, nor so small or large that float32 loses it.

    Args:
        first: the number of the first row, or the number of each, to name a bad one by.

    Raises:
        BadData: naming the first bad row.
    """

    def number(i: np.integer[Any]) -> int:
        return int(first[i] if isinstance(first, np.ndarray) else first + i)

    largest = np.abs(vectors).max(axis=1, initial=0)  # not a number, if one of them is not
    fits = (largest >= SMALLEST) & (largest <= LARGEST)
    if fits.all():
        return
    finite = np.isfinite(largest)
    if not finite.all():
        raise BadData(
            f"{what}: row {number(np.argmin(finite))} holds NaN or infinite values; "
            "an encoder in half precision overflows so, or the file is damaged"
        )
    if not largest.all():
        raise BadData(
            f"{what}: row {number(np.argmin(largest))} is a zero vector, which has no direction; "
            "was a text lost on its way to the encoder?"
        )
    bad = np.argmin(fits)
    raise BadData(
        f"{what}: the largest number in row {number(bad)} is {largest[bad]:.3g}, expected one between {SMALLEST:g} and "
        f"{LARGEST:g}; multiply all embeddings by one factor"
    )


def refuse_scale(vectors: NDArray[np.floating[Any]], what: str) -> None:
    """Check that rows, (n, d_in), are of lengths that an SAE can be trained on.

    Raises:
        BadData: their median length is not between `SHORTEST` and `LONGEST`.
    """
    typical = float(np.median(np.linalg.norm(vectors.astype(np.float64), axis=1))) if len(vectors) else 1.0
    if not SHORTEST <= typical <= LONGEST:
        raise BadData(
            f"{what} have a typical length of {typical:.3g}; an SAE learns from lengths of {SHORTEST:g} to "
            f"{LONGEST:g}: divide all embeddings, those of queries too, by one number"
        )


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows, (n, d_in), scaled to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
