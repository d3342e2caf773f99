"""What was measured: systems over all queries, two of them query by query, the judgements, the audit."""

from __future__ import annotations

from typing import Any, Literal

from unweave.server.shapes.base import Shape


class SystemMeasures(Shape):
    """A line of the leaderboard."""

    system: str
    measures: dict[str, float]
    bytes_per_passage: float | None
    ms_per_query: float | None
    note: str | None


class Leaderboard(Shape):
    """What the evaluation found."""

    split: str
    n_queries: int
    measures: list[str]
    rows: list[SystemMeasures]


class Against(Shape):
    """A system less the baseline, over all queries."""

    difference: float
    low: float
    high: float
    """The difference's 95 % interval."""
    p: float
    """By Holm's correction over all systems."""
    verdict: Literal["better", "worse", "unclear"]
    wins: int
    ties: int
    losses: int


class Verdict(Shape):
    """What is sure of one system."""

    system: str
    low: float
    high: float
    """The 95 % interval of its mean."""
    against: Against | None
    """None of the baseline itself."""


class Verdicts(Shape):
    """Which systems are better or worse than one of them for sure; not those that are undefined for the corpus."""

    measure: str
    baseline: str
    rows: list[Verdict]


class QueryDifference(Shape):
    """One query by two systems."""

    query_id: str
    text: str
    first: float
    second: float


class SystemsCompared(Shape):
    """Two systems on all judged queries."""

    first: str
    second: str
    measure: str
    first_mean: float
    second_mean: float
    low: float
    high: float
    p: float
    queries: list[QueryDifference]
    """The largest gain of the first first."""


class JudgedPassage(Shape):
    """A judged passage of a query, and where two systems have it."""

    passage_id: str
    title: str
    grade: int


class JudgedQuery(Shape):
    """One query's judgements."""

    query_id: str
    text: str
    judged: list[JudgedPassage]


class AuditPage(Shape):
    """The last audit, as `unweave audit` wrote it."""

    audit: dict[str, Any]
    """As `Audit.to_dict` has it."""
