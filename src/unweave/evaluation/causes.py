"""How often the concepts that an explanation names first are causes, over queries, with intervals.

See `explaining.faithfulness` for what is done to the hits of one query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from unweave.base.records import Explanation
from unweave.errors import BadData
from unweave.evaluation.significance import interval
from unweave.explaining.faithfulness import Faithfulness, faithfulness

COUNTS = (1, 2, 3, 5, 10)
"""Concepts that are taken away, or left."""
FIRST = 10
"""Hits of a query that are looked at."""


class Share(NamedTuple):
    """A mean over queries, and the bootstrap's 95 % interval of it."""

    value: float
    low: float
    high: float


class Causes(NamedTuple):
    """What becomes of the first hits of queries, on average; shares of these hits."""

    n: int
    """Concepts that were taken away, or left."""
    erased: Share
    """Leave the first hits without the n concepts that add most."""
    erased_at_random: Share
    """Leave without n others of as much activation, drawn at random."""
    kept: Share
    """Stay by the n concepts that add most, and what all passages share, alone."""


class ExplainedHits(NamedTuple):
    """The first hits of one query, explained, and the score of the first one that is not among them."""

    explanations: Sequence[Explanation]
    outside: float


def causes(queries: Iterable[ExplainedHits], counts: Sequence[int] = COUNTS) -> list[Causes]:
    """For each number of concepts, what becomes of hits without them and by them alone.

    Raises:
        BadData: no query has more hits than are looked at.
    """
    asked = list(queries)
    if not asked:
        raise BadData(f"no query has more than {FIRST} hits, so none can leave the first {FIRST}")
    return [_of_count(asked, n) for n in counts]


def _of_count(asked: Sequence[ExplainedHits], n: int) -> Causes:
    random = np.random.default_rng(n)
    found = [faithfulness(one.explanations, one.outside, n, random) for one in asked]
    known: list[Faithfulness] = [one for one in found if one is not None]
    columns = (np.array(column) for column in zip(*known, strict=True))
    return Causes(n, *(Share(float(values.mean()), *interval(values)) for values in columns))
