"""Whether an engine finds what the local index finds, and why where it does not."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.engines.engine import Found
from unweave.index.concept_index import ConceptIndex

_TIED = 1e-5
"""Scores that differ by less, relatively, are equal: engines add in other orders."""


class Agreement(NamedTuple):
    """An engine's ten beside the index's."""

    n_queries: int
    share: float
    """Of the index's best passages, those among the engine's; one that ties with the last counts."""
    same_order: int
    """Queries with the same passages in the same order, but for ties."""
    error: float
    """The mean difference of a score, relative to the index's, after the best factor for each query."""
    why: str
    """Why they differ, or that they do not."""


class Searched(Protocol):
    """What of an engine is held to the index."""

    numbers: str

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        """As `engine.Engine` says it."""


def agreement(index: ConceptIndex, engine: Searched, queries: csr_array, cutoff: int = 10) -> Agreement:
    """Ask both for the best passages of each query, (n_queries, n_latents) weights."""
    said = engine.search(queries, cutoff)
    shares, orders, errors = [], 0, []
    for row, (found, truth) in enumerate(zip(said, index.hits_of_each(queries, cutoff), strict=True)):
        ids = index.ids(truth.passages.tolist())
        if not ids:
            continue
        scores = _scores(index, queries[[row]], found)
        last = float(truth.scores[-1])
        good = np.flatnonzero(scores >= last - _TIED * abs(last)).tolist()
        shares.append(len({found.ids[i] for i in good}) / len(ids))
        orders += len(scores) == len(ids) and bool(np.allclose(scores, truth.scores, rtol=_TIED))
        errors.append(_error(np.array(found.scores), scores))
    share, error = float(np.mean(shares or [1.0])), float(np.mean(errors or [0.0]))
    return Agreement(len(shares), share, orders, error, _why(engine, share, error, len(shares) - orders))


def _scores(index: ConceptIndex, query: csr_array, found: Found) -> NDArray[np.float64]:
    """What the index gives the passages that the engine found; none for one that it does not know."""
    weights = np.zeros(index.n_latents)
    weights[query.indices] = query.data
    impacts = (index.impacts(at) if at >= 0 else None for at in index.positions(found.ids).tolist())
    return np.array([np.nan if held is None else weights[held.latents] @ held.activations for held in impacts])


def _error(said: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """How far an engine's scores are from the index's, in whatever unit they are; of the passages that both know."""
    known = np.isfinite(scores)
    said, scores = said[known], scores[known]
    if not said.any():
        return 0.0
    factor = (scores @ said) / (said @ said)
    return float(np.mean(np.abs(factor * said - scores) / np.maximum(np.abs(scores), 1e-9)))


def _why(engine: Searched, share: float, error: float, reordered: int) -> str:
    if share == 1 and not reordered:
        return "nothing differs but the order of equal scores"
    if error < _TIED:
        return "scores agree and passages do not: the engine prunes, or something else is in its place"
    return f"numbers are not held as they are, which changes scores by {error:.2%}: {engine.numbers}"
