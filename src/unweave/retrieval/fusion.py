"""Hits of several systems as one ranking; a fused score is the sum of what each system gave.

- Reciprocal rank (Cormack, Clarke & Büttcher 2009): part = weight / (60 + rank).
- Normalised score: part = weight * (score - lowest) / (highest - lowest), over the system's hits for this query. Where
  a system says what a passage scores that has nothing of the query, that is its lowest: BM25 counts from 0, so that the
  one passage with a rare word gets all of BM25's weight. Elsewhere it is the lowest score found.

A passage that a system did not find gets nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Explanation
from unweave.index.hits import Hits, best

RANK_OFFSET = 60
RANK, SCORE = "rank", "score"


class Fused(NamedTuple):
    """Fused hits, best first, and what each system gave: parts.sum(axis=1) = scores."""

    passages: NDArray[np.int64]  # (n_hits,)
    scores: NDArray[np.float32]  # (n_hits,) non-increasing
    parts: NDArray[np.float32]  # (n_hits, n_systems)

    @property
    def hits(self) -> Hits:
        return Hits(self.passages, self.scores)


class Scale(NamedTuple):
    """How a system's score becomes its part: factor * (score - lowest)."""

    factor: float
    lowest: float


def of_ranks(hits: Hits, weight: float) -> NDArray[np.float64]:
    """What one system's hits are worth by rank, (n_hits,)."""
    return weight / (RANK_OFFSET + np.arange(1, len(hits.passages) + 1))


def of_scores(hits: Hits, scale: Scale) -> NDArray[np.float64]:
    """What one system's hits are worth by score, (n_hits,)."""
    return scale.factor * (hits.scores.astype(np.float64) - scale.lowest)


def scale_of(hits: Hits, weight: float = 1.0, lowest: float | None = None) -> Scale:
    """How these hits are stretched.

    Args:
        lowest: the score of a passage that has nothing of the query; None: the lowest found. Where all scores are the
            same and no such point is known, each part is 0.
    """
    if not len(hits.scores):
        return Scale(0.0, 0.0)
    least, highest = float(hits.scores.min()) if lowest is None else lowest, float(hits.scores.max())
    return Scale(weight / (highest - least) if highest > least else 0.0, least)


def explain_part(explanation: Explanation, scale: Scale) -> Explanation:
    """A system's explanation as that of its part: every concept stretched alike, and what was taken off in the bias."""
    factor, lowest = scale
    return replace(
        explanation,
        score=factor * (explanation.score - lowest),
        contributions=tuple(
            c._replace(query=c.query * factor, value=c.value * factor) for c in explanation.contributions
        ),
        bias=factor * (explanation.bias - lowest),
        residual=factor * explanation.residual,
    )


def fused(found: Sequence[Hits], parts: Sequence[NDArray[np.float64]], cutoff: int) -> Fused:
    """The passages with the highest sums of parts, (n_hits,) of each system's hits."""
    passages = np.unique(np.concatenate([hits.passages for hits in found]))
    of_system = np.zeros((len(passages), len(found)))
    for nth, (hits, part) in enumerate(zip(found, parts, strict=True)):
        of_system[np.searchsorted(passages, hits.passages), nth] = part
    chosen = best(of_system.sum(axis=1).astype(np.float32), np.arange(len(passages)), cutoff)
    return Fused(passages[chosen.passages], chosen.scores, of_system[chosen.passages].astype(np.float32))
