"""How alike two accounts are that should say the same: of a text and its paraphrase, or by two dictionaries.

Concepts are matched by number, or those of two dictionaries by a one-to-one matching of their latents; with v_j what
concept j adds to the first score and v'_j what its partner adds to the second:

    first five   sum of |v_j| over the first account's five largest whose partner is among the other's five, as a share
                 of the five's own sum
    in common    sum_j min(|v_j|, |v'_j|) / sum_j max(|v_j|, |v'_j|), a concept that the other lacks counting there
                 with 0, and one that adds here and takes away there as two  (Ruzicka's similarity, weighted Jaccard)
    order        Spearman's rank correlation of v_j and v'_j over the concepts that both have

None of the three is 0 for unrelated texts, so each stands beside the same figure of another text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from unweave.base.records import Explanation

STRONGEST = 5
"""Concepts that a reader of an explanation looks at."""
_FEWEST_IN_ORDER = 3
"""Of fewer concepts an order says nothing."""


class Alike(NamedTuple):
    """How much of one account is in another; each is 1 for one that is the same."""

    strongest: float
    """Of what the first's five largest concepts add, the share of those that are among the other's five."""
    common: float
    """What both accounts hold, as a share of what either does."""
    order: float | None
    """Rank correlation of what the concepts that both have add; None where they have fewer than three."""


def alike(one: Explanation, other: Explanation, partners: Mapping[int, int] | None = None) -> Alike | None:
    """Compare two accounts; None where the first has no concepts.

    Args:
        partners: the other dictionary's latent for each of the first's that has one; by default both are one.
    """
    mine, yours = ({c.latent: c.value for c in of.contributions if c.value} for of in (one, other))
    if not mine:
        return None
    partner = {latent: latent if partners is None else partners.get(latent) for latent in mine}
    both = [(mine[latent], yours[at]) for latent, at in partner.items() if at is not None and at in yours]
    first, others = _largest(mine), set(_largest(yours))
    again = math.fsum(abs(mine[latent]) for latent in first if partner[latent] in others)
    held = math.fsum(min(abs(v), abs(w)) for v, w in both if v * w > 0)
    whole = math.fsum(map(abs, [*mine.values(), *yours.values()]))
    return Alike(again / math.fsum(abs(mine[latent]) for latent in first), held / (whole - held), _order(both))


def _largest(values: Mapping[int, float]) -> list[int]:
    return sorted(values, key=lambda latent: -abs(values[latent]))[:STRONGEST]


def _order(both: list[tuple[float, float]]) -> float | None:
    if len(both) < _FEWEST_IN_ORDER:
        return None
    from scipy.stats import rankdata  # takes half a second, which other commands need not wait for

    ranks = [rankdata(column) for column in zip(*both, strict=True)]
    if any(np.ptp(of) == 0 for of in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])
