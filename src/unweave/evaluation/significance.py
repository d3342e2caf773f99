"""Whether one system is better than another: paired differences over queries, with an interval and a corrected p.

A sign-flip randomisation test of the mean difference (Smucker, Allan & Carterette 2007 recommend it for retrieval), and
SciPy's percentile bootstrap. Holm's correction (1979) keeps the chance of any false claim in a family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import shown
from unweave.errors import BadData

RESAMPLES, MORE_RESAMPLES = 9_999, 29_999
LOOK_CLOSER = 0.005
"""A p below this is found anew from more resamples: Holm multiplies it by the size of the family, some hundred."""
CONFIDENCE = 0.95
_FLIPS_AT_ONCE = 2_000_000
"""Signs, so that 16 MB hold them as numbers."""


class Comparison(NamedTuple):
    """One system against another over the same queries."""

    difference: float
    """Mean of the first less mean of the second."""
    low: float
    high: float
    """The bootstrap's 95 % interval of the difference."""
    p: float
    """How often as large a mean difference, in either direction, comes from flipping signs by chance."""
    wins: int
    ties: int
    losses: int


def compare(first: Mapping[str, float], second: Mapping[str, float], seed: int = 0) -> Comparison:
    """Compare two systems' values of one measure, by query id.

    Raises:
        BadData: there is no query, or the two were not measured on the same queries.
    """
    if first.keys() != second.keys():
        odd = sorted(first.keys() ^ second.keys())
        raise BadData(
            f"the systems were measured on different queries, first {shown(odd[0])}; measure both on the same"
        )
    if not first:
        raise BadData("there is no query to compare the systems on")
    differences = np.array([first[query] - second[query] for query in sorted(first)])
    low, high = interval(differences, seed)
    counts = (int((differences > 0).sum()), int((differences == 0).sum()), int((differences < 0).sum()))
    return Comparison(float(differences.mean()), low, high, _sign_flip(differences, seed), *counts)


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of a mean; the mean itself where nothing varies."""
    from scipy.stats import bootstrap

    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", batch=1000,
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def _sign_flip(differences: NDArray[np.float64], seed: int) -> float:
    if len(differences) < 2 or not differences.any():
        return 1.0
    if 2 ** len(differences) <= RESAMPLES:
        return float(_as_large(differences, _binary(np.arange(2 ** len(differences)), len(differences))).mean())
    first = sampled_p(differences, RESAMPLES, seed)
    return sampled_p(differences, MORE_RESAMPLES, seed) if first < LOOK_CLOSER else first


def sampled_p(differences: NDArray[np.float64], resamples: int, seed: int = 0) -> float:
    """p of a mean, (1 + flips by chance whose sum is as far from 0) / (1 + flips); differences (n,).

    SciPy's `permutation_test` shuffles each query apart and takes twenty times as long; here a bit is drawn for each.
    """
    random, n = np.random.default_rng(seed), len(differences)
    as_large = 0
    for start in range(0, resamples, batch := max(1, _FLIPS_AT_ONCE // n)):
        drawn = random.integers(256, size=(min(batch, resamples - start), (n + 7) // 8), dtype=np.uint8)
        as_large += int(_as_large(differences, np.unpackbits(drawn, axis=1, count=n)).sum())
    return (1 + as_large) / (1 + resamples)


def _as_large(differences: NDArray[np.float64], flipped: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the sum is as far from 0 when these are flipped, (n_flips, n) of 0 and 1; (n_flips,)."""
    whole = differences.sum()
    sums = whole - 2 * (flipped.astype(np.float64) @ differences)
    return np.asarray(np.abs(sums) >= abs(whole) - 1e-12 * np.abs(differences).sum())


def _binary(numbers: NDArray[np.int64], n: int) -> NDArray[np.uint8]:
    """The last n binary digits of each number, (n_numbers, n)."""
    return np.asarray(numbers[:, None] >> np.arange(n) & 1, np.uint8)


def macro_interval(collections: Sequence[NDArray[np.float64]], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of some collections' means: queries are drawn anew within each.

    Args:
        collections: one value a query for each collection, (n_queries,) each.
    """
    random = np.random.default_rng(seed)
    means = np.zeros(RESAMPLES)
    for values in collections:
        for some in np.array_split(means, 10):  # which are drawn at a time
            drawn = random.integers(len(values), size=(len(some), len(values)))
            some += values[drawn].mean(axis=1) / len(collections)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def shown_p(p: float) -> str:
    """A p as people write it, with its sign: `= 0.0123` or `< .0001`."""
    return "< .0001" if p < 0.0001 else f"= {p:.4f}"


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of a family: below .05, a difference may be claimed.

    The i-th smallest of m is multiplied by m - i + 1; none is then below a smaller one's, or above 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]
