"""What a search of passages gives, and the plain way to get it from every score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.notebook import Line
from unweave.base.plain import plain
from unweave.base.records import Explanation, HitList


class Hits(NamedTuple):
    """Passages found for one query, best first; equal scores keep corpus order."""

    passages: NDArray[np.int64]  # (n_hits,) positions in the corpus, n_hits <= cutoff
    scores: NDArray[np.float32]  # (n_hits,) non-increasing


class IndexHit(NamedTuple):
    """A passage that an index found, by its id: an index holds no texts."""

    rank: int
    """1 for the best."""
    score: float
    passage_id: str
    explanation: Explanation | None = None
    """The score as a sum of named concepts, if that was asked for."""

    def __repr__(self) -> str:
        return f"IndexHit({self.rank}, {self.score:.4g}, {plain(self.passage_id, 60)!r})"

    def _repr_html_(self) -> str:
        """The hit and its explanation, for notebooks."""
        return HitList([self])._repr_html_()

    def shown(self) -> Line:
        """The hit as a row of a table."""
        return Line(self.rank, self.score, self.passage_id, "", self.explanation.pieces() if self.explanation else ())


def best(scores: NDArray[np.float32], candidates: NDArray[np.int64], cutoff: int) -> Hits:
    """The `cutoff` candidates of highest score; equal scores keep corpus order.

    Args:
        scores: (n_passages,), of which those of the candidates are read.
        candidates: (n_candidates,) ascending positions.
    """
    if cutoff < 1:
        raise ValueError(f"cutoff must be at least 1, got {cutoff}")
    found = scores[candidates]
    if len(found) > cutoff:
        # All that reach the cutoff-th score stay, so that ties at the edge are settled by order.
        edge = np.partition(found, len(found) - cutoff)[len(found) - cutoff]
        candidates, found = candidates[found >= edge], found[found >= edge]
    order = np.argsort(-found, kind="stable")[:cutoff]
    return Hits(candidates[order], found[order])


def best_of(passages: NDArray[np.int64], scores: NDArray[np.float32], cutoff: int) -> Hits:
    """The same of some passages alone, (n,) ascending positions, of which only their own scores, (n,), are known."""
    hits = best(scores, np.arange(len(passages)), cutoff)
    return Hits(passages[hits.passages], hits.scores)
