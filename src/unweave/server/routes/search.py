"""Searching, and why: hits with their sums, two of them compared, the words that carry a concept, one whole passage."""

from __future__ import annotations

import time
from functools import reduce
from operator import and_
from typing import Annotated

from fastapi import APIRouter, Query

from unweave.project import Project
from unweave.retrieval.steering import Steering
from unweave.server import shapes
from unweave.server.accounts import difference_of, explanation_of
from unweave.server.asked import LONGEST_ID, Bans, Boosts, Latent, PassageId, QueryText, SystemName, Top, Where
from unweave.server.held import Held
from unweave.server.marked import marked
from unweave.server.table import table_of
from unweave.stages.steered import DEEP

router = APIRouter(prefix="/api", tags=["search"])

LONGEST_TEXT = 2_000
"""Characters of a hit's text."""


@router.get("/search")
def search(
    held: Held, q: QueryText, system: SystemName = "dense", k: Top = 10, boost: Boosts = [], ban: Bans = [],
    where: Where = [], explain: bool = True,
) -> shapes.SearchResult:  # fmt: skip
    """The best passages for a query, each score as a sum."""
    project, began = held.project, time.perf_counter()
    steering = _steering(project, system, boost, ban, where)
    found = project.search_steered(q, k, system=system, steering=steering, explain=explain)
    took = 1000 * (time.perf_counter() - began)
    return shapes.SearchResult(
        query=q, system=system, n_passages=len(project.corpus), ms=took,
        hits=[
            shapes.Hit(
                rank=hit.rank, score=hit.score, passage_id=hit.passage.passage_id, title=hit.passage.title,
                text=hit.passage.text[:LONGEST_TEXT], n_characters=len(hit.passage.text),
                explanation=None if hit.explanation is None else explanation_of(hit.explanation, system),
                unsteered=None if stood is None else shapes.Before(rank=stood.rank, score=stood.score),
            )
            for hit, stood in zip(found.hits, found.before, strict=True)
        ],
        left=[
            shapes.Left(passage_id=one.passage.passage_id, title=one.passage.title, rank=one.rank, now=one.now)
            for one in found.left
        ],
    )  # fmt: skip


@router.get("/explain")
def explain(
    held: Held, q: QueryText, passage: PassageId, system: SystemName = "dense", boost: Boosts = [], ban: Bans = [],
    where: Where = [],
) -> shapes.Standing:  # fmt: skip
    """One passage's score as a sum, and its rank; bans and filters leave passages out of the ranking alone."""
    steering = _steering(held.project, system, boost, ban, where)
    found = held.project.standing(q, passage, system=system, steering=steering)
    found.explanation.check()
    return shapes.Standing(
        query=q, system=system, passage_id=passage, rank=found.rank, looked_at=DEEP,
        explanation=explanation_of(found.explanation, system),
    )  # fmt: skip


@router.get("/difference")
def difference(
    held: Held, q: QueryText, first: PassageId, second: PassageId, system: SystemName = "dense", boost: Boosts = []
) -> shapes.Compared:
    """Why the first passage scores above the second, or below."""
    project = held.project
    found = project.difference(q, first, second, system=system, steering=Steering(boosts=_boosts(boost)))
    titles = [project.corpus[project.position(passage_id)].title for passage_id in (first, second)]
    return shapes.Compared(
        query=q, system=system, first_id=first, first_title=titles[0], second_id=second, second_title=titles[1],
        difference=difference_of(found, system),
    )  # fmt: skip


@router.get("/words")
def words(
    held: Held,
    passage: Annotated[list[Annotated[str, Query(max_length=LONGEST_ID)]], Query(min_length=1, max_length=20)],
    latent: Annotated[list[Latent], Query(min_length=1, max_length=20)],
) -> shapes.WordsResult:
    """What each word of some passages has to do with some concepts: one `MarkedText` a pair that is active."""
    language = held.project.settings.embed.language
    found = held.project.mark(passage, latent)
    return shapes.WordsResult(
        marked=[marked(one.passage_id, one.latent, one.words, language=language) for one in found]
    )


@router.get("/pairs")
def pairs(held: Held, q: QueryText, passage: PassageId) -> shapes.WordPairs:
    """The dense score of a query and a passage, word by word."""
    found = held.project.by_words(q, passage)
    return shapes.WordPairs(
        passage_id=passage, query_words=[word.text for word in found.query_words],
        words=[word.text for word in found.words], pairs=found.pairs.tolist(), score=found.explanation.score,
    )  # fmt: skip


@router.get("/passage")
def passage(held: Held, id: PassageId) -> shapes.PassagePage:
    """A whole passage and the concepts that it activates; none before they are named."""
    project = held.project
    found = project.corpus[project.position(id)]
    named = project.has("concepts") and project.has("latents")
    activations = project.activated_by(id) if named else {}
    return shapes.PassagePage(
        passage_id=found.passage_id, title=found.title, text=found.text, metadata=found.metadata,
        concepts=[table_of(project).activation(latent, value) for latent, value in activations.items()],
    )  # fmt: skip


def _steering(project: Project, system: str, boost: list[str], ban: list[int], where: list[str]) -> Steering:
    filters = [one.partition("=") for one in where]
    allowed = [project.where({key: value}, system=system) for key, _, value in filters]
    return Steering(boosts=_boosts(boost), banned=ban, allowed=reduce(and_, allowed) if allowed else None)


def _boosts(given: list[str]) -> dict[int, float]:
    """Factors by concept; of one that is given twice, the last."""
    pairs = (one.partition(":") for one in given)
    return {int(latent): float(factor) for latent, _, factor in pairs}
