"""Every query's hits in a system, timed."""

from __future__ import annotations

import statistics

from unweave.base import progress
from unweave.base.progress import Stopwatch
from unweave.evaluation.runs import Run
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.systems import System


def rank(
    name: str, system: System, queries: list[EmbeddedQuery], query_ids: list[str], passage_ids: list[str], cutoff: int
) -> tuple[Run, float]:
    """Every query's hits in a system, and the median milliseconds of one search.

    Args:
        queries, query_ids: in the same order.
        passage_ids: by the positions that the system finds.
        cutoff: hits a query.
    """
    run: Run = {}
    seconds = []
    with progress.steps(f"searching with {name}", total=len(queries), unit="queries") as advance:
        for query_id, query in zip(query_ids, queries, strict=True):
            watch = Stopwatch()
            hits = system.search(query, cutoff)
            seconds.append(watch.seconds)
            run[query_id] = [
                (passage_ids[p], s) for p, s in zip(hits.passages.tolist(), hits.scores.tolist(), strict=True)
            ]
            advance(1)
    return run, 1000 * statistics.median(seconds)
