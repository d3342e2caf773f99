"""What an engine that holds no floats will find, computed before it has anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from unweave.engines.engine import Found, Shape
from unweave.engines.numbers import as_features, at_most, positive, whole_queries, whole_rows
from unweave.engines.scan import scan
from unweave.engines.sending import rows_of
from unweave.index.concept_index import ConceptIndex

_LARGEST = float(np.finfo(np.float32).max)


class Rounding(NamedTuple):
    """What becomes of numbers in an engine."""

    rows: Callable[[csr_array, float], csr_array]
    """Impacts as it holds them; the float is the largest of all."""
    queries: Callable[[csr_array], csr_array]
    """Weights as it takes them."""


class Rehearsal:
    """The passages of an index with the numbers that an engine will make of them."""

    def __init__(self, index: ConceptIndex, shape: Shape, rounding: Rounding, numbers: str) -> None:
        """Take what will be exported, and what the engine says of its numbers."""
        self.index, self.shape, self.rounding, self.numbers = index, shape, rounding, numbers

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        """The best passages of each query, (n_queries, n_latents) weights, as the engine will find them."""
        held = (
            rows._replace(impacts=self.rounding.rows(rows.impacts, self.shape.largest)) for rows in rows_of(self.index)
        )
        return scan(held, self.rounding.queries(queries), cutoff)


def whole_numbers(bits: int) -> Rounding:
    """Of engines with whole numbers."""
    return Rounding(
        lambda impacts, largest: whole_rows(impacts, largest, bits), lambda queries: whole_queries(queries, bits)
    )


def features(ceiling: float = _LARGEST) -> Rounding:
    """Of engines with Lucene's feature fields.

    Args:
        ceiling: the largest weight of a query that they take.
    """
    return Rounding(lambda impacts, _: as_features(impacts), lambda queries: at_most(positive(queries), ceiling))
