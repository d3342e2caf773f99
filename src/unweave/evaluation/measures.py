"""Measures of rankings, computed by `ir_measures` with trec_eval's semantics."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from unweave.base.plain import plain
from unweave.errors import BadData, MissingExtra
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


@cache
def parse(name: str) -> Any:
    """A measure by its name, as `ir_measures` has it: nDCG@10, R@100, RR@10, AP …

    Raises:
        BadData: there is no such measure, or it cannot be calculated here.
        MissingExtra: `ir_measures` is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("evaluating", "evaluate") from error
    try:
        measure = _read(name, ir_measures.measures.registry)
        for parameter in ("cutoff", "rel"):  # below 1 they end the whole process, in trec_eval's code
            value = measure.params.get(parameter, 1)
            if type(value) is not int or value < 1:
                raise ValueError(f"{parameter} must be a whole number of 1 or more, got {value!r}")
        list(ir_measures.iter_calc([measure], {"q": {"d": 1}}, {"q": {"d": 1.0}}))
    except Exception as error:  # of many kinds, from ir_measures and what it calls
        raise BadData(
            f"{plain(name, 60)!r} is no measure that can be calculated here ({plain(str(error), 120)}); measures are "
            f"such as {', '.join(MEASURES)} or AP"
        ) from error
    return measure


def _read(name: str, registry: Mapping[str, Any]) -> Any:
    """`Name(parameter=value)@cutoff`: up to its release 0.4.3, `ir_measures` cannot read it on Python 3.14."""
    node = ast.parse(name, mode="eval").body
    at, parameters = None, dict[str, Any]()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        at, node = ast.literal_eval(node.right), node.left
    if isinstance(node, ast.Call) and not node.args:
        parameters, node = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}, node.func
    if not isinstance(node, ast.Name) or node.id not in registry:
        raise ValueError(f"it is not one of {', '.join(sorted(registry))}")
    found = registry[node.id](**parameters)
    return found if at is None else found @ at


def measure(run: Run, qrels: Qrels, names: Iterable[str] = MEASURES) -> dict[str, Judged]:
    """Each measure of a run, over the queries that have judgements.

    Raises:
        BadData: a name is that of no measure.
    """
    measures = {name: parse(name) for name in names}
    import ir_measures

    scored = {query_id: dict(run[query_id]) for query_id in qrels if run.get(query_id)}
    values = {measure: dict.fromkeys(qrels, 0.0) for measure in measures.values()}
    for metric in ir_measures.iter_calc(list(values), qrels, scored):
        values[metric.measure][metric.query_id] = float(metric.value)
    return {
        name: Judged(math.fsum(values[measure].values()) / max(1, len(qrels)), values[measure])
        for name, measure in measures.items()
    }
