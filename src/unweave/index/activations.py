"""Activations as an index stores them: in two bytes.

A float32 above 0 has no use for its sign, and of its 23 bits after the point 8 are kept: enough that what is stored is
off by one part in 512 at most. What is stored is what counts from then on: it decides which latents of a passage are
its strongest, what its impacts are and what it is reconstructed from, in search as in explanations. Equal activations
are stored as equal, and stronger ones never as weaker ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.base.words import float_of

ACTIVATION_BYTES = 2
_DROPPED = np.uint32(15)
_HALF = np.uint32(1 << 14)
_HIGHEST = np.uint32(0xFEFF)
"""Of the largest finite number; 0 would be that of no activation."""


@njit(nogil=True, cache=True)
def code_of(bits):  # type: ignore[no-untyped-def]
    """The 16 bits, as uint32, in which an activation is stored that has these bits as a float32 above 0."""
    return min(max((np.uint32(bits) + _HALF) >> _DROPPED, np.uint32(1)), _HIGHEST)


@njit(nogil=True, cache=True)
def activation_of(code):  # type: ignore[no-untyped-def]
    """The activation that is stored in these 16 bits; not finite for what `code_of` never gives."""
    return float_of(np.uint32(np.uint32(code) << _DROPPED))


def rounded(activations: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Activations, of any shape, as an index stores them; 0 stays 0."""
    given = np.ascontiguousarray(activations, np.float32)
    codes = np.clip((given.view(np.uint32) + _HALF) >> _DROPPED, 1, _HIGHEST).astype(np.uint32)
    return np.where(given > 0, (codes << _DROPPED).view(np.float32), np.float32(0))
