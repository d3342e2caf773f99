"""A steered search beside the same one without: where each hit stood before, which are gone; and where one stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from unweave.base.records import Explanation, Hit, HitList, Passage
from unweave.index.hits import Hits
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.steering import Steering
from unweave.retrieval.systems import System
from unweave.stages.asked import Asked, read_all
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace

DEEP = 100
"""Ranks that are looked at with and without steering."""


class Place(NamedTuple):
    """Where a passage stands in a ranking."""

    rank: int | None
    """None: not among the ranks that were looked at."""
    score: float | None


class Standing(NamedTuple):
    """Where one passage stands for a query, and why."""

    rank: int | None
    """None: not among the ranks that were looked at, or left out."""
    explanation: Explanation
    """Of its score, with the boosts."""


class Gone(NamedTuple):
    """A hit of the search without steering that the steered one does not show."""

    passage: Passage
    rank: int
    """Without steering."""
    now: int | None
    """With it; None: beyond the ranks that were looked at, or left out."""


class Steered(NamedTuple):
    """Hits, and what steering moved."""

    hits: HitList[Hit]
    before: list[Place | None]
    """Where each hit stands without steering; None where nothing was steered."""
    left: list[Gone]
    """In the order in which they stood."""


def search_steered(
    project: Workspace, query: Asked, cutoff: int, system: str, steering: Steering, *, explain: bool
) -> Steered:
    """Search with and without boosts and bans; filters hold for both.

    Raises:
        BadData: there is no such system, it cannot be steered so, or it needs another form of the query.
    """
    ranker = Catalogue(project)[system]
    ranker.check(steering)
    (asked,) = read_all(project, [query], ranker.needs)
    if not steering.boosts and not steering.banned:
        found = ranker.search(asked, cutoff, steering)
        hits = _shown(project, ranker, asked, found, steering, explain=explain)
        return Steered(hits, [None] * len(hits), [])
    deep = max(cutoff, DEEP)
    bent = ranker.search(asked, deep, steering)
    as_it_is = ranker.search(asked, deep, replace(steering, boosts={}, banned=()))
    before, now = _places(as_it_is), _places(bent)
    page = Hits(bent.passages[:cutoff], bent.scores[:cutoff])
    gone = [at for at in as_it_is.passages[:cutoff].tolist() if at not in page.passages]
    return Steered(
        hits=_shown(project, ranker, asked, page, steering, explain=explain),
        before=[before.get(at, Place(None, None)) for at in page.passages.tolist()],
        left=[
            Gone(passage, before[at].rank or 0, now[at].rank if at in now else None)
            for at, passage in zip(gone, _passages(project, ranker, gone), strict=True)
        ],
    )


def rank_of(project: Workspace, query: Asked, passage_id: str, system: str, steering: Steering) -> int | None:
    """The rank of a passage in a search; None: beyond the first `DEEP`, or left out.

    Raises:
        BadData: there is no such system, it cannot be steered so, or it needs another form of the query.
    """
    ranker = Catalogue(project)[system]
    ranker.check(steering)
    (asked,) = read_all(project, [query], ranker.needs)
    found = ranker.ids(ranker.search(asked, DEEP, steering).passages.tolist())
    return found.index(passage_id) + 1 if passage_id in found else None


def _shown(
    project: Workspace, ranker: System, asked: EmbeddedQuery, found: Hits, steering: Steering, *, explain: bool
) -> HitList[Hit]:
    positions = found.passages.tolist()
    whys: list[Explanation | None] = [None] * len(positions)
    if explain:
        whys = [*ranker.explain(asked, found, steering)]
        for why in whys:
            if why is not None:
                why.check()
    columns = zip(found.scores.tolist(), _passages(project, ranker, positions), whys, strict=True)
    return HitList(Hit(rank, *column) for rank, column in enumerate(columns, 1))


def _passages(project: Workspace, ranker: System, positions: list[int]) -> list[Passage]:
    """The passages at a system's positions; one that the corpus does not have by its id alone."""
    corpus = project.corpus
    found = [(passage_id, corpus.position(passage_id)) for passage_id in ranker.ids(positions)]
    return [Passage(passage_id, "", "") if at is None else corpus[at] for passage_id, at in found]


def _places(found: Hits) -> Mapping[int, Place]:
    scores = zip(found.passages.tolist(), found.scores.tolist(), strict=True)
    return {position: Place(rank, score) for rank, (position, score) in enumerate(scores, 1)}
