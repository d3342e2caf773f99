"""Rows of floats: what is refused, and rows scaled to length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.errors import BadData


def refuse_unusable(vectors: NDArray[np.floating[Any]], what: str, first: int | NDArray[np.int64] = 0) -> None:
    """Check that every row, (n, d_in), is finite and not zero.

    Args:
        first: the number of the first row, or the number of each, to name a bad one by.

    Raises:
        BadData: naming the first bad row.
    """

    def number(i: np.integer[Any]) -> int:
        return int(first[i] if isinstance(first, np.ndarray) else first + i)

    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise BadData(
            f"{what}: row {number(np.argmin(finite))} holds NaN or infinite values; "
            "an encoder in half precision overflows so, or the file is damaged"
        )
    zero = ~vectors.any(axis=1)
    if zero.any():
        raise BadData(
            f"{what}: row {number(np.argmax(zero))} is a zero vector, which has no direction; "
            "was a text lost on its way to the encoder?"
        )


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows, (n, d_in), scaled to length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
