"""What engines that hold no floats do to impacts and weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FloatArray = NDArray[np.float32]
FEATURE_BITS = 9
"""Significant bits of a weight in a feature field of Lucene."""
_DROPPED = 24 - FEATURE_BITS


def said_of(bits: int) -> str:
    """What `whole_rows` and `whole_queries` do, in a sentence."""
    return (
        f"impacts and weights become whole numbers of {bits} bits, at least 1: an impact by one factor for all, a "
        "query's weights by one of its own"
    )


def whole(values: FloatArray, largest: float, bits: int) -> NDArray[np.int64]:
    """Numbers from 1 to 2^bits - 1, `largest` being the last: nothing that is there becomes 0, which is not there."""
    levels = 2**bits - 1
    rounded: NDArray[np.int64] = np.clip(np.rint(values * (levels / largest)), 1, levels).astype(np.int64)
    return rounded


def whole_rows(impacts: csr_array, largest: float, bits: int) -> csr_array:
    """The same of sparse rows, all with one `largest`."""
    return csr_array((whole(impacts.data, largest, bits), impacts.indices, impacts.indptr), shape=impacts.shape)


def whole_queries(queries: csr_array, bits: int) -> csr_array:
    """Each query's positive weights as whole numbers, its own largest being the last; the others are left out.

    A factor a query changes no ranking.
    """
    kept = positive(queries)
    largest = np.maximum(kept.max(axis=1).toarray().ravel(), np.finfo(np.float32).tiny)
    of_each = np.repeat(largest, np.diff(kept.indptr))
    return csr_array((whole(kept.data / of_each, 1.0, bits), kept.indices, kept.indptr), shape=kept.shape)


def as_features(impacts: csr_array) -> csr_array:
    """Impacts as Lucene's feature fields hold them, of which `sparse_vector` and `rank_features` are made.

    A weight is kept in a term's frequency, as the upper bits of a float of single precision: it loses all but 9
    significant bits, by being cut off, which makes it smaller by up to 1/256.
    """
    bits = impacts.data.astype(np.float32).view(np.uint32)
    held = (bits >> np.uint32(_DROPPED) << np.uint32(_DROPPED)).view(np.float32)
    return csr_array((held, impacts.indices, impacts.indptr), shape=impacts.shape)


def at_most(queries: csr_array, ceiling: float) -> csr_array:
    """Each query's weights by one factor, if one of them is above the ceiling, so that none is."""
    largest = np.maximum(queries.max(axis=1).toarray().ravel(), ceiling)
    factors = np.repeat(ceiling / largest, np.diff(queries.indptr))
    return csr_array(((queries.data * factors).astype(np.float32), queries.indices, queries.indptr), queries.shape)


def positive(queries: csr_array) -> csr_array:
    """Queries without their negative weights, which many engines refuse."""
    kept = queries.copy()
    kept.data = np.maximum(kept.data, 0)
    kept.eliminate_zeros()
    return kept


def shortest(values: NDArray[np.float32]) -> list[float]:
    """Floats of single precision by the fewest digits that give each of them back."""
    return [float(str(value)) for value in values.astype(np.float32)]
