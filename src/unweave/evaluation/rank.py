"""Every query's hits in a system, timed, as a run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from unweave.base import progress
from unweave.base.progress import Stopwatch
from unweave.evaluation.runs import Run
from unweave.index.hits import Hits
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.systems import System


def rank(system: System, queries: Sequence[EmbeddedQuery], query_ids: Sequence[str], cutoff: int) -> tuple[Run, float]:
    """Every query's hits in a system, and the median milliseconds of one search.

    Args:
        queries, query_ids: in the same order.
        cutoff: hits a query.
    """
    found, seconds = [], []
    with progress.steps(f"searching with {system.name}", total=len(queries), unit="queries") as advance:
        for query in queries:
            watch = Stopwatch()
            found.append(system.search(query, cutoff))
            seconds.append(watch.seconds)
            advance(1)
    return dict(zip(query_ids, with_ids(system, found), strict=True)), 1000 * statistics.median(seconds)


def with_ids(system: System, found: Sequence[Hits]) -> list[list[tuple[str, float]]]:
    """Hits of many queries, each passage by its id, which is looked up once."""
    if not found:
        return []
    positions = np.unique(np.concatenate([hits.passages for hits in found]))
    id_of = dict(zip(positions.tolist(), system.ids(positions.tolist()), strict=True))
    return [
        [(id_of[passage], score) for passage, score in zip(hits.passages.tolist(), hits.scores.tolist(), strict=True)]
        for hits in found
    ]
