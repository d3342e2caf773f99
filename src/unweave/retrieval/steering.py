"""How a person bends one search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Steering:
    """How a person bends one search."""

    boosts: Mapping[int, float] = field(default_factory=dict)
    """A factor for the weight of a latent; 0 leaves it out, below 0 pushes it away. One that the query does not have is
    given the factor times the mean of the query's weights."""
    banned: Sequence[int] = ()
    """Passages with one of these latents are left out."""
    allowed: NDArray[np.bool_] | None = None
    """(n_positions,) which passages may be found; None: all."""
    query_k: int | None = None
    """The query keeps at most so many latents, its strongest."""
    passage_k: int | None = None
    """Of each passage, at most so many latents count, its strongest."""
    effort: float = 1.0
    """The share of the query's postings that is read; below 1, the search is approximate."""


AS_IT_IS = Steering()
