"""Measures of rankings, computed by `ir_measures` with trec_eval's semantics."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from unweave.errors import MissingExtra
from unweave.evaluation.runs import Run
from unweave.texts.queries import Qrels

MEASURES = ("nDCG@10", "R@100", "RR@10")
"""As ir_measures names them; a grade of 1 or more is relevant."""
LABELS = {"nDCG@10": "nDCG@10", "R@100": "Recall@100", "RR@10": "MRR@10"}
"""As papers name them."""


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
    values = {measure: dict.fromkeys(qrels, 0.0) for measure in measures.values()}
    for metric in ir_measures.iter_calc(list(values), qrels, scored):
        values[metric.measure][metric.query_id] = float(metric.value)
    return {
        name: Judged(math.fsum(values[measure].values()) / max(1, len(qrels)), values[measure])
        for name, measure in measures.items()
    }
