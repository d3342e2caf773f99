"""Whether embeddings that were made elsewhere are those of the encoder that is said to have made them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import WIDEST_VECTOR
from unweave.base.plain import plain
from unweave.base.vectors import refuse_unusable
from unweave.errors import BadData

SAMPLE = 8
"""Texts that are embedded again, spread evenly."""
TYPICAL, LOWEST = 0.99, 0.9
"""Cosines that rows and texts embedded again must reach: the median, and each. Half precision costs .001; a passage
that was cut elsewhere, some hundredths; another model, or another row, nearly everything."""
LENGTHS = 0.02
"""By which share the typical length may differ."""


_MAGIC = b"\x93NUMPY"


def open_vectors(path: Path, ndim: int = 2) -> NDArray[np.floating[Any]]:
    """The floats of a `.npy` file, memory-mapped: (n, d_in), or (d_in,) if `ndim` is 1; nothing in it is run.

    Raises:
        BadData: it holds something else, is not whole, or d_in is not 1 to `WIDEST_VECTOR`.
    """
    with path.open("rb") as file:
        beginning = file.read(len(_MAGIC))
    if beginning != _MAGIC:
        hint = "several arrays (.npz) came in" if beginning.startswith(b"PK") else "it does not begin as one"
        raise BadData(f"{path}: not a whole .npy array ({hint}); save one with numpy.save")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # of many kinds: the header is Python, and read as such
        raise BadData(f"{path}: not a whole .npy array ({plain(str(error), 120)})") from error
    if array.dtype.kind != "f" or array.ndim != ndim:
        expected = "(n, d_in)" if ndim == 2 else "(d_in,)"
        raise BadData(f"{path}: expected floats of shape {expected}, got {array.dtype} of shape {array.shape}")
    if not 0 < array.shape[-1] <= WIDEST_VECTOR:
        raise BadData(f"{path}: expected 1 to {WIDEST_VECTOR:,} numbers a row, got an array of shape {array.shape}")
    rows: NDArray[np.floating[Any]] = array
    return rows


class Agreement(NamedTuple):
    """How near brought rows come to the same texts embedded again."""

    median: float
    lowest: float
    """Of their cosines."""
    stretch: float
    """Median of their lengths, divided by those of the texts embedded again."""


def agreement(brought: NDArray[np.float32], again: NDArray[np.float32]) -> Agreement:
    """Compare rows, (n, d_in) both."""
    lengths = np.linalg.norm(brought, axis=1), np.linalg.norm(again, axis=1)
    cosines = (brought * again).sum(axis=1) / (lengths[0] * lengths[1])
    return Agreement(float(np.median(cosines)), float(cosines.min()), float(np.median(lengths[0] / lengths[1])))


def refuse_other_encoder(
    rows: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    n: int,
    text_of: Callable[[int], str],
    encode: Callable[[list[str]], NDArray[np.float32]],
    *,
    what: str,
    encoder: str,
) -> None:
    """Embed a few of the texts again and compare.

    Args:
        rows: called with positions, gives their brought embeddings, (n, d_in).
        n: how many rows there are.
        text_of: the text of a row, as the encoder reads it, without its prefix.
        what: where the rows come from, for errors.

    Raises:
        BadData: they are of another width, direction or length.
    """
    some = np.unique(np.linspace(0, n - 1, min(SAMPLE, n)).astype(np.int64))
    if not len(some):
        return
    brought = rows(some)
    refuse_unusable(brought, what, some)
    again = encode([text_of(i) for i in some.tolist()])
    if brought.shape[1] != again.shape[1]:
        raise BadData(
            f"{what}: rows are {brought.shape[1]} wide, but {encoder} gives {again.shape[1]}; name another model"
        )
    found = agreement(brought, again)
    if found.median < TYPICAL or found.lowest < LOWEST:
        raise BadData(
            f"{what}: {len(some)} texts embedded again with {encoder} have a median cosine of {found.median:.4f} and a "
            f"lowest of {found.lowest:.4f} to their rows, expected {TYPICAL} and {LOWEST}; was it another model, "
            "prefix, pooling or order of rows? Without --model their encoder is unknown, and no text can be a query"
        )
    if abs(found.stretch - 1) > LENGTHS:
        raise BadData(
            f"{what}: rows are {found.stretch:.3g} times as long as the same texts embedded with {encoder}; "
            "say whether they were scaled to length 1: --normalize or --no-normalize"
        )
