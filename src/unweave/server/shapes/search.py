"""Searches: hits, each score as a sum, and what makes the difference of two."""

from __future__ import annotations

from typing import Literal

from unweave.base.records import Group, Trust
from unweave.server.shapes.base import Shape


class Contribution(Shape):
    """What one concept, or one word, adds to a score; see `base.records.Contribution`."""

    latent: int
    """-1 or below for a word."""
    name: str | None
    query: float
    passage: float
    value: float
    trust: Trust | None
    returns: bool | None
    group: Group | None


class SystemPart(Shape):
    """What one system of a sum adds."""

    system: str
    value: float
    rank: int | None
    explanation: Explanation | None


class Explanation(Shape):
    """A score as a sum: contributions + bias + residual + parts."""

    of: str
    score: float
    contributions: list[Contribution]
    bias: float
    residual: float
    explained_share: float
    named_share: float | None
    returning_share: float | None
    named_returning_share: float | None
    groups: dict[str, float]
    parts: list[SystemPart] = []


class Hit(Shape):
    """One found passage."""

    rank: int
    score: float
    passage_id: str
    title: str
    text: str
    """Its beginning, `n_characters` in all; the rest by `/api/passage`."""
    n_characters: int
    explanation: Explanation | None
    unsteered: Before | None
    """Where it stood without steering; None of an unsteered search."""


class Before(Shape):
    """Where a hit stood, or stands without steering."""

    rank: int | None
    """None: not among the first `deep`."""
    score: float | None


class Left(Shape):
    """A hit of the unsteered page that is gone from it."""

    passage_id: str
    title: str
    rank: int
    now: int | None
    """None: beyond the ranks that were looked at, or banned."""


class SearchResult(Shape):
    """Hits of one query by one system."""

    query: str
    system: str
    hits: list[Hit]
    left: list[Left]
    """Of a steered search, the hits of the unsteered first page that are not on this one."""
    n_passages: int
    """Of the corpus."""
    ms: float
    """How long searching took, with reading the query."""


class Standing(Shape):
    """Where one passage stands for a query, and why."""

    query: str
    system: str
    passage_id: str
    rank: int | None
    """None: not among the first `looked_at` of the search, or left out of it."""
    looked_at: int
    explanation: Explanation


class Differing(Shape):
    """What one concept adds to each of two scores."""

    latent: int
    name: str | None
    trust: Trust | None
    returns: bool | None
    first: float
    second: float
    group: Group | None
    difference: float
    only: Literal["first", "second"] | None


class PartDiffering(Shape):
    """What one system of a sum adds to each of two scores."""

    system: str
    first: float
    second: float
    account: Difference | None


class Swap(Shape):
    """The change of one weight that makes both scores the same."""

    latent: int
    factor: float


class Difference(Shape):
    """Why one passage scores above another."""

    of: str
    first: float
    second: float
    difference: float
    bias: float
    residual: float
    concepts: list[Differing]
    swap: Swap | None
    parts: list[PartDiffering] = []


class Compared(Shape):
    """Two hits of one query, with what makes the difference."""

    query: str
    system: str
    first_id: str
    first_title: str
    second_id: str
    second_title: str
    difference: Difference


for shape in (SystemPart, Explanation, Hit, SearchResult, Standing, Difference, PartDiffering, Compared):
    shape.model_rebuild()
