"""Which latents have to do with each other: close directions, active in the same texts, or the same thing twice.

Two latents are active together more than chance by their normalised pointwise mutual information (Bouma 2009,
"Normalized (Pointwise) Mutual Information in Collocation Extraction"), over texts:

    npmi(i, j) = ln(p(i, j) / (p(i) p(j))) / -ln p(i, j)

It is -1 for latents that never meet, 0 for independent ones and 1 for two that are always active together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.base.vectors import unit_rows
from unweave.errors import MissingExtra

LEAST_TEXTS = 5
"""Texts in which two latents must meet: fewer are luck, which npmi takes for the closest of ties."""
LEAST_NPMI = 0.3
"""Pairs below have little to do with each other."""
NEAREST = 10
"""Neighbours of a latent that are looked at."""
DUPLICATE_COSINE = 0.3
"""Below, two directions are not of one thing, whatever their names say."""
DUPLICATE_NAMES = 2 / 3
"""Shared stems / all stems of two names from which on they say the same."""
DUPLICATE_TEXTS = 1 / 2
"""Shared texts / all texts of two latents from which on they are the same, whatever their names say."""
_BLOCK = 512
"""Latents that are compared with all others at a time: 50 MB at 24,576 latents."""
_WORD = re.compile(r"[^\W_]+")


class Together(NamedTuple):
    """Pairs of latents that are active together; each stands in both directions, by latent, the closest first."""

    latents: NDArray[np.int64]
    """(n_pairs,)"""
    others: NDArray[np.int64]
    """(n_pairs,)"""
    counts: NDArray[np.int64]
    """(n_pairs,) texts that activate both."""
    npmi: NDArray[np.float64]
    """(n_pairs,) how much more often than by chance, at most 1."""

    def where(self, kept: NDArray[np.bool_ | np.int64]) -> Together:
        """Some of the pairs, by a mask or by their places."""
        return Together(self.latents[kept], self.others[kept], self.counts[kept], self.npmi[kept])


class Nearest(NamedTuple):
    """The latents whose directions are closest to those of some latents, the closest first."""

    latents: NDArray[np.int64]
    """(n,)"""
    others: NDArray[np.int64]
    """(n, n_nearest)"""
    cosines: NDArray[np.float32]
    """(n, n_nearest)"""


def npmi(
    together: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64], n_texts: int
) -> NDArray[np.float64]:
    """Normalised pointwise mutual information of pairs of latents, (n_pairs,), in [-1, 1].

    Args:
        together: (n_pairs,) texts that activate both.
        one, other: (n_pairs,) texts that activate each of the two.

    Returns:
        0 where both are active in every text, which tells nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(together * (n_texts / one) / other)
        share = -np.log(together / n_texts)
        return np.where(together == 0, -1.0, np.where(share > 0, information / share, 0.0))


def active_together(latents: csr_array, least_texts: int = LEAST_TEXTS, least: float = LEAST_NPMI) -> Together:
    """Pairs of latents that are active together in so many texts, and so much more than chance.

    A block of latents is compared with all others at a time, so the counts of all pairs are never in memory at once.

    Args:
        latents: (n_texts, n_latents).
        least_texts: texts that activate both, at least; 1 or more.
        least: npmi of a pair, at least.
    """
    n_texts, n_latents = latents.shape
    active = csr_array((np.ones(latents.nnz, np.int32), latents.indices, latents.indptr), shape=latents.shape)
    by_latent = csr_array(active.T)  # (n_latents, n_texts)
    frequency = np.diff(by_latent.indptr).astype(np.int64)
    found = []
    for start in range(0, n_latents, _BLOCK):
        counts = (by_latent[start : start + _BLOCK] @ active).tocoo()
        enough = counts.data >= least_texts
        one, other = counts.row[enough].astype(np.int64) + start, counts.col[enough].astype(np.int64)
        count = counts.data[enough].astype(np.int64)
        block = Together(one, other, count, npmi(count, frequency[one], frequency[other], n_texts))
        block = block.where((one != other) & (block.npmi >= least))
        order = np.lexsort((block.others, -block.npmi, block.latents))
        found.append(block.where(order))
    if not found:
        none = np.empty(0, np.int64)
        return Together(none, none, none, none.astype(np.float64))
    return Together(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def closest(pairs: Together, most: int = NEAREST) -> Together:
    """The closest few of each latent's pairs."""
    _, starts, counts = np.unique(pairs.latents, return_index=True, return_counts=True)
    place = np.arange(len(pairs.latents)) - np.repeat(starts, counts)
    return pairs.where(place < most)


def nearest_directions(
    directions: NDArray[np.floating[Any]], latents: NDArray[np.int64], most: int = NEAREST
) -> Nearest:
    """Of each of some latents, the others of them whose directions have the highest cosine with its own.

    Args:
        directions: (n_latents, d_in), the decoder.
        latents: (n,) the latents to compare, ascending; a dead one's direction means nothing.
    """
    few = min(most, max(len(latents) - 1, 0))
    rows = unit_rows(np.asarray(directions, np.float32)[latents])
    others, cosines = np.empty((len(latents), few), np.int64), np.empty((len(latents), few), np.float32)
    for start in range(0, len(latents) if few else 0, _BLOCK):
        products = rows[start : start + _BLOCK] @ rows.T
        itself = np.arange(len(products))
        products[itself, start + itself] = -np.inf
        near = np.sort(np.argpartition(-products, few - 1, axis=1)[:, :few], axis=1)
        cosine = np.take_along_axis(products, near, axis=1)
        order = np.argsort(-cosine, axis=1, kind="stable")
        others[start : start + _BLOCK] = latents[np.take_along_axis(near, order, axis=1)]
        cosines[start : start + _BLOCK] = np.take_along_axis(cosine, order, axis=1)
    return Nearest(latents, others, cosines)


def overlap(latents: csc_array, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """Jaccard similarity of the texts that activate two latents, (n_pairs,): texts of both / texts of either."""
    active = csc_array((np.ones(latents.nnz, np.int64), latents.indices, latents.indptr), shape=latents.shape)
    both = np.asarray(active[:, one].multiply(active[:, other]).sum(axis=0)).ravel()
    frequency = np.diff(active.indptr)
    either = frequency[one] + frequency[other] - both
    shared: NDArray[np.float64] = np.divide(both, either, out=np.zeros(len(one)), where=either > 0)
    return shared


def duplicates(nearest: Nearest, latents: csc_array, names: Mapping[int, str]) -> list[tuple[int, int, float]]:
    """Pairs of latents that say the same: close directions, and like names or mostly the same texts.

    Args:
        latents: (n_texts, n_latents).
        names: of the latents that have one.

    Returns:
        The lower latent, the higher one and their cosine, of each pair once.
    """
    of = np.repeat(nearest.latents, nearest.others.shape[1])
    near, cosines = nearest.others.ravel(), nearest.cosines.ravel()
    pairs, place = np.unique(np.sort(np.stack([of, near], axis=1), axis=1), axis=0, return_index=True)
    close = cosines[place] >= DUPLICATE_COSINE
    pairs, place = pairs[close], place[close]
    shared = overlap(latents, pairs[:, 0], pairs[:, 1]) if len(pairs) else np.empty(0)
    return [
        (one, other, cosine)
        for (one, other), cosine, texts in zip(pairs.tolist(), cosines[place].tolist(), shared.tolist(), strict=True)
        if texts >= DUPLICATE_TEXTS or likeness(names.get(one), names.get(other)) >= DUPLICATE_NAMES
    ]


def likeness(name: str | None, other: str | None) -> float:
    """Shared stems of two names / all their stems: 1 for "sharks" and "Shark"; 0 where there is no name."""
    one, two = (_stems(n) if n else frozenset[str]() for n in (name, other))
    return len(one & two) / len(one | two) if one and two else 0.0


@lru_cache(maxsize=100_000)
def _stems(name: str) -> frozenset[str]:
    try:
        import Stemmer
    except ImportError as error:
        raise MissingExtra("comparing the names of concepts", "name") from error
    return frozenset(Stemmer.Stemmer("english").stemWords(_WORD.findall(name.casefold())))
