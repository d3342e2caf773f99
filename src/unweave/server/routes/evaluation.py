"""What was measured: the leaderboard, two systems query by query, and the last audit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from threading import Lock
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from unweave.errors import NotThere
from unweave.evaluation.leaderboard import Entry, Leaderboard
from unweave.evaluation.measures import MEASURES
from unweave.evaluation.table import KIND, Evaluation
from unweave.project import Project
from unweave.server import shapes
from unweave.server.asked import LONGEST_ID, SystemName
from unweave.server.held import Held
from unweave.stages.asked import QueryId, read_all
from unweave.stages.audit import load
from unweave.stages.compare import Diff
from unweave.texts.queries import Qrels

router = APIRouter(prefix="/api", tags=["evaluation"])
Measure = Annotated[str, Query(min_length=1, max_length=50)]
_COMPARISONS = 32
"""That are kept."""


@router.get("/evaluation")
def leaderboard(held: Held) -> shapes.Leaderboard:
    """The last evaluation's table."""
    found = _evaluation(held.project)
    rows = [shapes.SystemMeasures(**asdict(row)) for row in found.rows]
    return shapes.Leaderboard(split=found.split, n_queries=found.n_queries, measures=list(MEASURES), rows=rows)


@router.get("/evaluation/verdicts")
def verdicts(held: Held, measure: Measure = "nDCG@10", against: SystemName = "dense") -> shapes.Verdicts:
    """What the leaderboard claims of each system, beside one of them; the table is there before it."""
    board = _verdicts(held.project)(measure, against)
    rows = []
    for entry in board.entries:
        compared, (mean,) = next(iter(entry.against.values()), None), entry.values.values()
        low, high = (mean if end is None else end for end in (entry.low, entry.high))
        difference = None if compared is None else shapes.Against(**compared._asdict(), verdict=_verdict(entry))
        rows.append(shapes.Verdict(system=entry.system, low=low, high=high, against=difference))
    return shapes.Verdicts(measure=board.measure, baseline=board.baseline, rows=rows)


@router.get("/evaluation/difference")
def compared(
    held: Held, first: SystemName, second: SystemName, measure: Measure = "nDCG@10"
) -> shapes.SystemsCompared:  # fmt: skip
    """Two evaluated systems on every judged query."""
    found = _comparisons(held.project)(first, second, measure)
    count = max(1, len(found.queries))
    return shapes.SystemsCompared(
        first=found.first, second=found.second, measure=found.measure,
        first_mean=math.fsum(query.first for query in found.queries) / count,
        second_mean=math.fsum(query.second for query in found.queries) / count,
        low=found.whole.low, high=found.whole.high, p=found.whole.p,
        queries=[shapes.QueryDifference(**query._asdict()) for query in found.queries],
    )  # fmt: skip


@router.get("/evaluation/query")
def judged(held: Held, id: Annotated[str, Query(min_length=1, max_length=LONGEST_ID)]) -> shapes.JudgedQuery:
    """The judged passages of one query, the best grade first."""
    project = held.project
    grades = _judgements(project).get(id)
    if grades is None:
        raise NotThere(f"no query {id!r} was judged in the split {_evaluation(project).split!r}")
    (asked,) = read_all(project, [QueryId(id)], frozenset())
    corpus, rows = project.corpus, []
    for passage_id, grade in sorted(grades.items(), key=lambda one: (-one[1], one[0])):
        position = corpus.position(passage_id)
        title = "" if position is None else corpus[position].title
        rows.append(shapes.JudgedPassage(passage_id=passage_id, title=title, grade=grade))
    return shapes.JudgedQuery(query_id=id, text=asked.text or "", judged=rows)


@router.get("/audit")
def audit(held: Held) -> shapes.AuditPage:
    """The last audit."""
    return shapes.AuditPage(audit=load(held.project.path).to_dict())


def _evaluation(project: Project) -> Evaluation:
    return project.kept("the evaluation", [KIND], lambda: Evaluation.load(project.path / KIND))


def _comparisons(project: Project) -> Callable[[str, str, str], Diff]:
    """`Project.compare`, the last of whose answers are kept: resampling takes seconds."""
    return project.kept("comparisons", [KIND, "queries"], lambda: lru_cache(_COMPARISONS)(project.compare))


def _verdict(entry: Entry) -> Literal["better", "worse", "unclear"]:
    return "better" if entry.better else "worse" if entry.worse else "unclear"


def _verdicts(project: Project) -> Callable[[str, str], Leaderboard]:
    """`Project.verdicts`, the last of whose answers are kept, and each made once: resampling takes seconds a system."""

    def keeping() -> Callable[[str, str], Leaderboard]:
        making, kept = Lock(), lru_cache(_COMPARISONS)(project.verdicts)

        def answer(measure: str, against: str) -> Leaderboard:
            with making:  # whoever was told that it takes too long, and asks again, waits for what is being made
                return kept(measure, against=against)

        return answer

    return project.kept("verdicts", [KIND, "queries"], keeping)


def _judgements(project: Project) -> Qrels:
    """The judgements of the evaluated split, by query and passage."""
    split = _evaluation(project).split
    return project.kept("judgements of the evaluated split", [KIND, "queries"], lambda: project.queries.qrels(split))
