"""What sets two corpora apart: latents of one dictionary that the one has much more often than the other.

    share     = passages that activate the latent / all passages, of each corpus
    log_ratio = log2 of (n_one + .5) / (N_one + 1) over (n_other + .5) / (N_other + 1)

Half a passage with the latent and half a one without it are added, so that the ratio, the size of the effect, is finite
where one corpus lacks the latent. A latent counts from twice as frequent on, if the difference is more than the luck of
a draw: by the hypergeometric test (Fisher's exact one, both tails as twice the smaller), with the false discovery rate
over all live latents held down (Benjamini and Hochberg 1995). The first is the one with the largest share * |ln ratio|,
as in `prevalent`: neither what is everywhere nor what is in a handful of passages. How sure the shares and their
difference are, intervals say; see `shares`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Trust
from unweave.concepts.relations.shares import Interval, newcombe, wilson

FALSE_DISCOVERIES = 0.05
"""Share of the latents said to differ that may do so by luck."""
MUCH = 1.0
"""The least difference: log2 of how many times as frequent."""


class Differing(NamedTuple):
    """A latent that one corpus has much more often than another."""

    latent: int
    n_one: int
    """Passages of the one that activate it."""
    n_other: int
    share_one: float
    """Of all its passages, 0 to 1."""
    share_other: float
    log_ratio: float
    """To the base of 2; above 0: more frequent in the one."""
    p_value: float
    """By the hypergeometric test, adjusted for the number of live latents."""
    interval_one: Interval
    """Of the share, 95 %, by Wilson's formula."""
    interval_other: Interval
    interval_difference: Interval
    """Of `share_one` less `share_other`, 95 %, by Newcombe's formula."""
    name: str | None = None
    """In the corpus that has it more often, or else in the other; None while it is unnamed."""
    trust: Trust | None = None
    """How far the name is to be trusted; None without a name."""
    returns: bool | None = None
    """Whether another run found the latent again; None where that is not known."""


def differing(one: NDArray[np.int64], other: NDArray[np.int64], n_one: int, n_other: int) -> list[Differing]:
    """The latents that set two corpora apart, those that do so most first, of either.

    Args:
        one, other: (n_latents,) how many passages of each corpus activate each latent of one dictionary.
        n_one, n_other: how many passages each has, one at least.
    """
    from scipy.stats import false_discovery_control, hypergeom  # takes .5 s, which other commands need not wait for

    live = np.flatnonzero(one + other)
    a, b = one[live], other[live]
    if not len(live):
        return []
    drawn = hypergeom(n_one + n_other, a + b, n_one)
    p = false_discovery_control(np.clip(2 * np.minimum(drawn.cdf(a), drawn.sf(a - 1)), 0, 1))
    log_ratio = np.log2((a + 0.5) / (n_one + 1)) - np.log2((b + 0.5) / (n_other + 1))
    shares = np.stack([a / n_one, b / n_other])
    order = np.argsort(-shares.max(axis=0) * np.abs(log_ratio), kind="stable")
    chosen = order[(p <= FALSE_DISCOVERIES)[order] & (np.abs(log_ratio) >= MUCH)[order]]
    columns = [column[chosen].tolist() for column in (live, a, b, *shares, log_ratio, p)]
    a, b = a[chosen], b[chosen]
    intervals = wilson(a, n_one), wilson(b, n_other), newcombe(a, b, n_one, n_other)
    return [Differing(*row) for row in zip(*columns, *(of.each() for of in intervals), strict=True)]
