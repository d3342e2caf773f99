"""What judges are asked, and how right their answers are.

A question is about texts of which half activate a latent. Those were kept from namers, and are evenly of three bands of
strength; of the others, half are near misses of these, half random, and none is of a passage that activates it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.concept import Score
from unweave.concepts.evidence import Evidence, Samples

A_BAND = 24
"""Texts of each band of activation in a question, at most; half as many where there are too few silent texts."""
N_BANDS = 3


class Question(NamedTuple):
    """Texts of which half activate a latent."""

    texts: NDArray[np.int64]
    """(2n,) by their number in the evidence, the active ones first, the strongest band first."""
    active: NDArray[np.bool_]
    """(2n,)"""
    activations: NDArray[np.float32]
    """(n,) of the active ones."""
    near_miss: NDArray[np.bool_]
    """(2n,) silent ones that are near to active ones; the other silent ones are random."""
    bands: tuple[slice, ...]
    """Where the strong, the middle and the weak active ones stand; of few texts, a band may be empty."""


def question(samples: Samples, latent: int, seed: int) -> Question | None:
    """The texts that a judge is asked about; None if too few are silent, or none is active."""
    return _question(samples, latent, seed, A_BAND) or _question(samples, latent, seed, A_BAND // 2)


def _question(samples: Samples, latent: int, seed: int, a_band: int) -> Question | None:
    rng = np.random.default_rng([seed, latent])
    chosen = [
        np.sort(rng.choice(band, min(a_band, len(band)), replace=False))
        for band in np.array_split(np.arange(len(samples.texts)), N_BANDS)
    ]
    shown = np.concatenate(chosen)
    missed = np.unique(samples.near_misses[shown])
    missed = rng.permutation(missed[missed >= 0])[: len(shown) // 2]
    random = np.setdiff1d(samples.random, missed)
    random = rng.permutation(random)[: len(shown) - len(missed)]
    n = len(missed) + len(random)
    if not n or n < len(shown):
        return None
    texts = np.concatenate([samples.texts[shown], missed, random])
    place = np.arange(2 * n)
    ends = np.cumsum([0, *map(len, chosen)]).tolist()
    bands = tuple(slice(start, end) for start, end in pairwise(ends))
    return Question(texts, place < n, samples.activations[shown], (place >= n) & (place < n + len(missed)), bands)


def questions(evidence: Evidence, latents: Sequence[int]) -> dict[int, Question]:
    """Of each latent what judges are asked; those with too few texts are missing."""
    asked = ((j, question(samples, j, evidence.config.seed)) for j, samples in evidence.for_judging(latents))
    return {latent: found for latent, found in asked if found is not None}


# --- scores ---------------------------------------------------------------------------------------

_Z = 1.96
"""Of a normal distribution, 95 % lies within so many deviations."""
_NEAR = 1e-9


def auroc(active: NDArray[np.floating], silent: NDArray[np.floating]) -> float:
    """How often an active text's value is above a silent one's; a tie counts half."""
    above = active[:, None] - silent[None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def told(judge: str, active: NDArray[np.floating], silent: NDArray[np.floating]) -> Score:
    """The share of pairs of an active and a silent text that are told right, with its 95 % interval.

    With values v and share a, n active and m silent texts, the ends are where, for N = (n + m) / 2 - 1,

        (a - t)^2 = z^2 t (1 - t) (1 + N (1 - t) / (2 - t) + N t / (1 + t)) / (n m)

    which is as meaningful for few texts and for shares of 0 and 1 as Wilson's interval is for a share of decisions.

    Args:
        active, silent: what a judge gives each text, (n,) and (m,), at least one of each.

    Source: Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic",
    part 2, method 5.
    """
    from scipy.optimize import brentq  # takes as long to import as all else that a search needs of scipy

    value, n, m = auroc(active, silent), len(active), len(silent)
    spread = (n + m) / 2 - 1

    def apart(t: float) -> float:
        variance = t * (1 - t) * (1 + spread * ((1 - t) / (2 - t) + t / (1 + t))) / (n * m)
        return (value - t) ** 2 - _Z**2 * variance

    low = 0.0 if value == 0 else brentq(apart, 0.0, min(value, 1 - _NEAR))  # at 1 itself it is 0 too
    high = 1.0 if value == 1 else brentq(apart, max(value, _NEAR), 1.0)
    return Score(judge, value, float(low), float(high), n)


def share(judge: str, value: float, n: int) -> Score:
    """A share of right decisions with its 95 % interval (Wilson 1927), which is meaningful for few decisions too."""
    middle = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2))
    return Score(judge, value, max(middle - half, 0.0), min(middle + half, 1.0), n)


def mean(scores: Sequence[Score], least: float = 0.0) -> Score:
    """The mean of a judge's scores, at least one, each latent counting the same, with its 95 % interval; n latents.

    Args:
        least: what a score can be, at least; at most it is 1.
    """
    values = np.array([score.value for score in scores])
    half = _Z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    middle = float(values.mean())
    return Score(scores[0].judge, middle, max(least, middle - half), min(1.0, middle + half), len(values))
