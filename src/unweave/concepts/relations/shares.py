"""How sure a share of texts is, and the difference of two: intervals that hold the true value in 95 % of draws.

    wilson:    (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)                          z = 1.96
    newcombe:  p - q - sqrt((p - l_p)² + (u_q - q)²)   to   p - q + sqrt((u_p - p)² + (q - l_q)²)

with l and u the Wilson interval of either share. Both stay within what a share can be, and have a width where nothing
or everything was found. Sources: Wilson 1927, "Probable inference, the law of succession, and statistical inference";
Newcombe 1998, "Interval estimation for the difference between independent proportions", its method 10.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964


class Interval(NamedTuple):
    """From where to where a value lies."""

    low: float
    high: float


class Intervals(NamedTuple):
    """Of some values, an interval each."""

    low: NDArray[np.float64]
    """(n,)"""
    high: NDArray[np.float64]
    """(n,)"""

    def each(self) -> list[Interval]:
        """The same one by one."""
        return [Interval(*ends) for ends in zip(self.low.tolist(), self.high.tolist(), strict=True)]


def wilson(found: NDArray[np.int64], n: int) -> Intervals:
    """Of the shares found / n, (n_shares,), of texts that were drawn."""
    share, shrink = found / n, 1 + _Z**2 / n
    centre = (share + _Z**2 / (2 * n)) / shrink
    half = _Z / shrink * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Intervals(np.clip(centre - half, 0, share), np.clip(centre + half, share, 1))


def newcombe(one: NDArray[np.int64], other: NDArray[np.int64], n_one: int, n_other: int) -> Intervals:
    """Of the differences of shares one / n_one - other / n_other, (n_shares,), of two draws of texts."""
    p, q, of_p, of_q = one / n_one, other / n_other, wilson(one, n_one), wilson(other, n_other)
    return Intervals(p - q - np.hypot(p - of_p.low, of_q.high - q), p - q + np.hypot(of_p.high - p, q - of_q.low))
