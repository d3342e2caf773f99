"""What would change a project's scores and ranks: concepts moved in query or passage, or a sentence cut out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from unweave.base.contributions import labels_of
from unweave.errors import BadData
from unweave.explaining.counterfactual import (
    Counterfactual,
    Cut,
    Moved,
    Standing,
    activations,
    check_numbers,
    cut,
    moved,
)
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.retrieval.sums import is_sum
from unweave.retrieval.systems import System
from unweave.stages.asked import Asked, read_all, vector_of
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace

DENSE = "dense"
_QUERY, _PASSAGE = "query", "passage"
Scores = dict[str, float]
"""By passage id, best first."""


def in_query(
    project: Workspace, query: Asked, passage_id: str | None, scale: Mapping[int, float], add: Mapping[int, float],
    system: str, cutoff: int,
) -> Counterfactual:  # fmt: skip
    """Concepts of the query scaled or added: all passages are ranked again.

    By dense the query's vector is moved, so that its products with every direction near the concept's move too; a
    steered search, which is what other systems do here, changes what the concept itself adds and nothing else.

    Raises:
        BadData: the system takes no weights of concepts, or a concept is not there to be scaled.
    """
    check_numbers(scale, add)
    ranker, asked, before = _ranked(project, query, passage_id, system)
    if system == DENSE:
        vector = asked.embedding()
        bent = moved(vector, scale, add, project.sae).astype(np.float32)
        changed, after = _moved(project, vector, scale, add), _scores(project, ranker, asked._replace(vector=bent))
    else:
        if add:
            raise BadData(f"{system} weighs the query's own concepts, so none can be added; scale one, or ask dense")
        after = _scores(project, ranker, asked, Steering(boosts=scale))
        changed = tuple(_named(project, latent, 1.0, factor) for latent, factor in scale.items())
    return Counterfactual(_QUERY, system, changed, *_standings(project, before, after, passage_id, cutoff))


def in_passage(
    project: Workspace, query: Asked, passage_id: str, scale: Mapping[int, float], add: Mapping[int, float],
    system: str, cutoff: int,
) -> Counterfactual:  # fmt: skip
    """Concepts of one passage scaled or added: its score and its rank change, the others' scores stay.

    By another system than dense a concept's part of the score is scaled, as the system's account has it.

    Raises:
        BadData: the system does not find the passage, or a concept is not there to be scaled.
    """
    check_numbers(scale, add)
    ranker, asked, before = _ranked(project, query, passage_id, system)
    position = project.position(passage_id)
    if system == DENSE:
        (row,) = project.embedded("passages").take(np.array([position]))
        changed = _moved(project, row, scale, add)
        score = float(moved(row, scale, add, project.sae) @ asked.embedding().astype(np.float64))
    else:
        changed, score = _by_account(project, ranker, asked, passage_id, scale, add)
    after = {**before, passage_id: score}
    return Counterfactual(_PASSAGE, system, changed, *_standings(project, before, after, passage_id, cutoff))


def cut_out(project: Workspace, query: Asked, passage_id: str, latent: int) -> Cut:
    """The dense score without the sentence that carries a concept; see `explaining.counterfactual`."""
    passage = project.corpus[project.position(passage_id)]
    name = project.concepts.get(latent)
    language = project.settings.embed.language
    return cut(vector_of(project, query), passage, latent, name, project.encoder, project.sae, language)


def _ranked(
    project: Workspace, query: Asked, passage_id: str | None, system: str
) -> tuple[System, EmbeddedQuery, Scores]:
    """The system, the query as it reads it, and the scores of all that it finds."""
    if passage_id is not None:
        project.position(passage_id)  # a wrong id is said at once
    ranker = Catalogue(project)[system]
    (asked,) = read_all(project, [query], ranker.needs)
    return ranker, asked, _scores(project, ranker, asked)


def _scores(project: Workspace, ranker: System, asked: EmbeddedQuery, steering: Steering = AS_IT_IS) -> Scores:
    hits = ranker.search(asked, max(1, len(project.corpus)), steering)
    return dict(zip(ranker.ids(hits.passages.tolist()), hits.scores.tolist(), strict=True))


def _by_account(
    project: Workspace, ranker: System, asked: EmbeddedQuery, passage_id: str, scale: Mapping[int, float],
    add: Mapping[int, float],
) -> tuple[tuple[Moved, ...], float]:  # fmt: skip
    if is_sum(ranker.name):
        raise BadData(
            f"a score by {ranker.name} is made of its systems' scores, each with its own part of a concept; ask one of "
            "the systems, or scale the concept in the query"
        )
    if add:
        raise BadData(f"what a concept would add to a score by {ranker.name} is not known; scale one, or ask dense")
    (why,) = ranker.explain(asked, Catalogue(project).hit_of(ranker.name, asked, passage_id))
    values = {c.latent: c for c in why.contributions}
    for latent in scale:
        if latent not in values:
            raise BadData(f"concept {latent} adds nothing to this score by {ranker.name}, so there is nothing to scale")
    changed = tuple(
        Moved(latent, values[latent].name, values[latent].trust, values[latent].returns, 1.0, factor)
        for latent, factor in scale.items()
    )
    return changed, why.score + sum((factor - 1) * values[latent].value for latent, factor in scale.items())


def _moved(
    project: Workspace, embedding: NDArray[np.float32], scale: Mapping[int, float], add: Mapping[int, float]
) -> tuple[Moved, ...]:
    active = activations(embedding, project.sae)
    after = {latent: factor * active.get(latent, 0.0) for latent, factor in scale.items()}
    after |= {latent: active.get(latent, 0.0) + activation for latent, activation in add.items()}
    return tuple(_named(project, latent, active.get(latent, 0.0), value) for latent, value in after.items())


def _named(project: Workspace, latent: int, before: float, after: float) -> Moved:
    label = labels_of(project.concepts).get(latent)
    name, trust = (None, None) if label is None else (label.name, label.trust)
    return Moved(latent, name, trust, project.sae.returns.get(latent), before, after)


def _standings(
    project: Workspace, before: Scores, after: Scores, passage_id: str | None, cutoff: int
) -> tuple[Standing | None, tuple[Standing, ...]]:
    """Where a passage stands before and after, and the first ones after; equal scores keep their order."""
    corpus, ranked = project.corpus, sorted(after, key=lambda found: -after[found])
    places_before, places_after = ({found: rank for rank, found in enumerate(order, 1)} for order in (before, ranked))

    def standing(found: str) -> Standing:
        at = corpus.position(found)
        title = "" if at is None else corpus[at].title or corpus[at].text
        return Standing(
            found, title, before.get(found), places_before.get(found), after.get(found), places_after.get(found)
        )

    return None if passage_id is None else standing(passage_id), tuple(map(standing, ranked[:cutoff]))
