"""How a person bends one search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from unweave.base.fields import LARGEST
from unweave.base.foreign import shown
from unweave.errors import BadData

LARGEST_BOOST = 1_000_000
"""A factor beyond it says no more, and products with it are no longer exact."""


@dataclass(frozen=True, kw_only=True)
class Steering:
    """How a person bends one search. A system says in `steers` by which of these fields it can be bent."""

    boosts: Mapping[int, float] = field(default_factory=dict)
    """A factor for the weight of a latent in the query, and so for what it adds to a score; 0 leaves it out, below 0
    pushes passages with it away. By dense scores and by codes every latent has a weight, w . q, whether the query
    activates it or not. By CL-SR only those have one that the query activates; another is given the factor times the
    mean of the query's weights."""
    banned: Sequence[int] = ()
    """Passages with one of these latents are left out; with one in their code, where codes are searched."""
    allowed: NDArray[np.bool_] | None = None
    """(n_positions,) which passages may be found; None: all."""
    query_k: int | None = None
    """The query keeps at most so many latents, its strongest."""
    passage_k: int | None = None
    """Of each passage, at most so many latents count, its strongest."""
    effort: float = 1.0
    """The share of the query's postings that is read; below 1, the search is approximate."""

    @property
    def given(self) -> list[str]:
        """The fields that bend a search."""
        is_given = {
            "boosts": bool(self.boosts), "banned": len(self.banned) > 0, "allowed": self.allowed is not None,
            "query_k": self.query_k is not None, "passage_k": self.passage_k is not None, "effort": self.effort != 1.0,
        }  # fmt: skip
        return [name for name, given in is_given.items() if given]

    def check(self, system: str, steers: frozenset[str]) -> None:
        """Refuse what a system cannot be steered by.

        Raises:
            BadData: naming it, or a number that is out of its range.
        """
        self._check_numbers()
        unknown = [name for name in self.given if name not in steers]
        if unknown:
            can = f"it can be steered by {', '.join(sorted(steers))}" if steers else "it cannot be steered"
            raise BadData(f"{system} cannot be steered by {unknown[0]}; {can}")

    def leaving_out(self, having: NDArray[np.bool_]) -> Steering:
        """The same with the passages that have a banned latent, (n_positions,), left out by `allowed`.

        Raises:
            BadData: `allowed` is of another number of passages.
        """
        if self.allowed is not None and self.allowed.shape != having.shape:
            raise BadData(f"allowed has the shape {self.allowed.shape}, expected one value for each of {len(having)}")
        allowed = ~having if self.allowed is None else self.allowed & ~having
        return replace(self, banned=(), allowed=allowed)

    def _check_numbers(self) -> None:
        for latent, factor in self.boosts.items():
            if not abs(factor) <= LARGEST_BOOST:  # which also refuses what is not a number
                raise BadData(f"a boost must lie between -{LARGEST_BOOST:,} and {LARGEST_BOOST:,}, got {factor}")
            _check_latent(latent)
        for latent in self.banned:
            _check_latent(latent)
        for name in ("query_k", "passage_k"):
            k = getattr(self, name)
            if k is not None and not 1 <= k <= LARGEST:
                raise BadData(f"{name} must lie between 1 and {LARGEST}, got {shown(k)}")
        if not 0 < self.effort <= 1:
            raise BadData(f"effort must be above 0 and at most 1, got {self.effort}")


def _check_latent(latent: int) -> None:
    if not 0 <= latent <= LARGEST:
        raise BadData(f"there is no concept {shown(latent)}; concepts are numbered from 0")


def check_known(latents: Collection[int], n_latents: int, to: str) -> None:
    """Refuse latents that a dictionary does not have.

    Args:
        to: what was to be done with them: `boost` or `ban`.

    Raises:
        BadData: naming the first.
    """
    unknown = [latent for latent in latents if not 0 <= latent < n_latents]
    if unknown:
        raise BadData(f"there is no concept {unknown[0]} to {to}; they are numbered from 0 to {n_latents - 1}")


AS_IT_IS = Steering()
CONCEPTS = frozenset({"boosts", "banned", "allowed", "query_k", "passage_k", "effort"})
"""All that a search by concepts can be steered by."""
CANDIDATES = CONCEPTS - {"passage_k"}
"""What steers a search whose candidates are found by concepts and ordered by another score of concepts."""
BY_NUMBER = frozenset({"boosts", "banned"})
"""What names concepts by their numbers, which are those of one dictionary."""
FILTER = frozenset({"allowed"})
"""What every system can be steered by."""
ACCOUNT = BY_NUMBER | FILTER
"""What steers a score of all passages that is a sum over concepts."""
