"""Measures of rankings, computed by `ir_measures` with trec_eval's semantics."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from unweave.errors import MissingExtra
from unweave.evaluation.runs import Run
from unweave.queries import Qrels

MEASURES = ("nDCG@10", "R@100", "RR@10")
"""As ir_measures names them; a grade of 1 or more is relevant."""


class Judged(NamedTuple):
    """A measure over all judged queries and for each."""

    mean: float
    """A judged query without hits counts 0."""
    per_query: dict[str, float]


def measure(run: Run, qrels: Qrels, names: Iterable[str] = MEASURES) -> dict[str, Judged]:
    """Each measure of a run, over the queries that have judgements."""
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("evaluating", "evaluate") from error
    measures = {name: ir_measures.parse_measure(name) for name in names}
    scored = {query_id: dict(run[query_id]) for query_id in qrels if run.get(query_id)}
    values: dict[str, dict[str, float]] = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    for metric in ir_measures.iter_calc(list(measures.values()), qrels, scored):
        values[str(metric.measure)][metric.query_id] = float(metric.value)
    return {
        name: Judged(math.fsum(per_query.values()) / max(1, len(per_query)), per_query)
        for name, per_query in values.items()
    }
