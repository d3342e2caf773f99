"""Whether an explanation names causes: hits fall without what it names first, and stay when that is all that is left.

A score is the sum of its contributions, so that it is known exactly without some of them: of a dense score it is that
of d - sum of z_j w_j over those. A hit leaves the first k if its score falls below that of the first one outside,
whose score stays. Beside the n concepts that add most stand n others, drawn at random and scaled so that together as
much activation is taken. After DeYoung et al. 2020, "ERASER", arXiv 1911.03429: comprehensiveness and sufficiency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Contribution, Explanation


class Faithfulness(NamedTuple):
    """What becomes of some hits of one query; shares of these hits."""

    erased: float
    """That leave without their n concepts that add most."""
    erased_at_random: float
    """That leave without n others of as much activation, drawn at random."""
    kept: float
    """That stay with their n concepts that add most, and what all passages share, alone."""


def faithfulness(
    explanations: Sequence[Explanation], outside: float, n: int, random: np.random.Generator
) -> Faithfulness | None:
    """Erase, and keep alone, the n concepts that add most to each hit of a query; None without hits.

    Args:
        explanations: of the first k hits' scores, by concepts.
        outside: the score of the first hit that is not among them.
    """
    if not explanations:
        return None
    leaves = [(without_largest(why, n) < outside, without_others(why, n, random) < outside) for why in explanations]
    erased, at_random = (float(np.mean(of)) for of in zip(*leaves, strict=True))
    return Faithfulness(erased, at_random, float(np.mean([largest_alone(why, n) >= outside for why in explanations])))


def without_largest(explanation: Explanation, n: int) -> float:
    """The score without the n concepts that add most to it."""
    return explanation.score - math.fsum(c.value for c in _largest(explanation, n))


def largest_alone(explanation: Explanation, n: int) -> float:
    """The score of the n concepts that add most to it, and of what all passages share."""
    return explanation.bias + math.fsum(c.value for c in _largest(explanation, n))


def without_others(explanation: Explanation, n: int, random: np.random.Generator) -> float:
    """The score without n other concepts, drawn at random, of as much activation together as the n that add most."""
    largest = _largest(explanation, n)
    taken = {c.latent for c in largest}
    others = [c for c in explanation.contributions if c.latent not in taken]
    if not others:
        return explanation.score
    drawn: NDArray[np.int64] = random.choice(len(others), min(n, len(others)), replace=False)
    of_others = sum(others[i].passage for i in drawn.tolist())
    scale = sum(c.passage for c in largest) / of_others if of_others else 0.0
    return explanation.score - scale * math.fsum(others[i].value for i in drawn.tolist())


def _largest(explanation: Explanation, n: int) -> list[Contribution]:
    return sorted(explanation.contributions, key=lambda c: -c.value)[:n]
