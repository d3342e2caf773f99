"""What was measured: systems over all queries, two of them query by query, the judgements, the audit."""

from __future__ import annotations

from typing import Any

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
