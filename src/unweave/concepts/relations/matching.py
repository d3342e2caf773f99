"""Which concepts of two models are the same, by when they are active on the same texts.

    r_ij = (mean(a_i b_j) - mean(a_i) mean(b_j)) / (sd(a_i) sd(b_j))            a_i, b_j: activations on n_texts texts

is Pearson's correlation of two activations, zeros included, by which Bricken et al. 2023 ("Towards Monosemanticity")
look for a feature in another dictionary. Directions, as in Paulo & Belrose (arXiv 2501.16615), can only be compared
within one space; the same texts can be read by any two encoders.

Each concept that is active in `LEAST_TEXTS` texts or more is of exactly one kind:

- split: one of the first model, whose activity several of the other share out among them. Their sum correlates with it
  at `SAME_AS_SUM` or above, and by `GAIN` more than any single one does. Each of them adds `GAIN`, has no closer
  counterpart, and is active on other texts than the rest: its correlation with their sum is at most half the product
  of what both have with the whole, which is what two noisy copies of the whole would have.
- merged: the mirror, several of the first model that make up one of the other.
- matched: one of each, at `SAME` or above, that have no closer counterpart but such as are matched more closely
  themselves. An assignment that maximises the sum of all correlations would part exact copies where two lesser matches
  add up to more than theirs.
- overlapping: a counterpart at `SAME` or above is there, but it belongs to another concept, a closer one or a whole.
- only: there is no such counterpart, alone or in a sum.

Where one concept could be in several splits and merges, the one of the highest correlation stands. Parts are added as
they are, without weights that could be fitted to luck, so that

    corr(a, sum of b_j) = sum of r_j sd(b_j) / sqrt(sum over j and k of cov(b_j, b_k))

can be worked out by hand. How much luck finds, `by_chance` says: the same on texts that were shuffled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.concepts.relations.kinds import LEAST_TEXTS, SAME, Kind

SAME_AS_SUM = 0.6
"""The same of one and a sum of several: so many sums can be tried that luck finds better ones. On the same shuffled
texts two in three splits and merges that lay between .5 and .6 were luck's, and hardly any above."""
GAIN = 0.1
"""What each part of a whole adds to the correlation at least: four equal parts add .13 with the last, six .09."""
_SOME = 0.2
"""Pairs below have too little to do with each other to be part and whole, and are not kept."""
_MOST_PARTS = 16
"""Parts of a whole that are tried, the closest."""
_BLOCK = 512
"""Concepts that are correlated with all others at a time."""
_SEED = 0


class Relation(NamedTuple):
    """Concepts of two models that are the same: one and one, one and several, several and one."""

    kind: Kind
    """Matched, split or merged."""
    ones: tuple[int, ...]
    """Of the first model."""
    others: tuple[int, ...]
    """Of the other; parts stand by what they have in common with the whole, the closest first."""
    correlation: float
    """Of the two, or of the whole with the sum of its parts."""
    singles: tuple[float, ...]
    """Of each part alone, in order; of a match that one."""


class Alone(NamedTuple):
    """A concept that is in no relation."""

    latent: int
    n_texts: int
    """Texts that activate it."""
    closest: int | None
    """The other model's concept that it correlates with most; None: with none above `_SOME`."""
    correlation: float
    """With that one; 0 without."""


class Rest(NamedTuple):
    """The concepts of one model that are in no relation, the most frequent first."""

    overlapping: list[Alone]
    only: list[Alone]
    n_compared: int
    """All that were compared, those in a relation included."""
    n_rare: int
    """Active in one text or more, but fewer than `LEAST_TEXTS`, and so not compared."""


class Correspondence(NamedTuple):
    """The concepts of two models, each in one place."""

    relations: list[Relation]
    """By kind, of each the highest correlation first."""
    one: Rest
    other: Rest

    def counts(self) -> tuple[dict[Kind, int], dict[Kind, int]]:
        """How many concepts of either model are of each kind."""
        found = []
        for rest, sides in (
            (self.one, [(row.kind, row.ones) for row in self.relations]),
            (self.other, [(row.kind, row.others) for row in self.relations]),
        ):
            of = {kind: sum(len(latents) for known, latents in sides if known is kind) for kind in _RELATED}
            found.append(of | {Kind.OVERLAPPING: len(rest.overlapping), Kind.ONLY: len(rest.only)})
        return found[0], found[1]


_RELATED = (Kind.MATCHED, Kind.SPLIT, Kind.MERGED)


class Pairs(NamedTuple):
    """Concepts of two models that correlate."""

    ones: NDArray[np.int64]
    """(n_pairs,)"""
    others: NDArray[np.int64]
    """(n_pairs,)"""
    correlations: NDArray[np.float64]
    """(n_pairs,)"""

    def where(self, kept: NDArray[np.bool_ | np.int64]) -> Pairs:
        """Some of the pairs, by a mask or by their places."""
        return Pairs(self.ones[kept], self.others[kept], self.correlations[kept])

    def turned(self) -> Pairs:
        """The same, seen from the other model."""
        return Pairs(self.others, self.ones, self.correlations)


def correspondence(one: csr_array, other: csr_array) -> Correspondence:
    """Match the concepts of two models by their activations on the same texts.

    Args:
        one: (n_texts, n_one), 0 where a concept is not active.
        other: (n_texts, n_other), of the same texts in the same order.

    Raises:
        ValueError: they are not of equally many texts.
    """
    if one.shape[0] != other.shape[0]:
        raise ValueError(f"activations on {one.shape[0]} and {other.shape[0]} texts came in; expected the same texts")
    sides = csc_array(one, dtype=np.float64), csc_array(other, dtype=np.float64)
    frequency = [np.diff(side.indptr).astype(np.int64) for side in sides]
    compared = [of >= LEAST_TEXTS for of in frequency]
    pairs = correlated(*sides)
    pairs = pairs.where(compared[0][pairs.ones] & compared[1][pairs.others])
    covers = _covers(Kind.SPLIT, sides[1], pairs)
    covers += [_turned(cover) for cover in _covers(Kind.MERGED, sides[0], pairs.turned())]
    taken: tuple[set[int], set[int]] = (set(), set())
    relations = _apart(covers, taken)
    relations += _matched(pairs, taken)
    relations.sort(key=lambda row: (_RELATED.index(row.kind), -row.correlation, row.ones, row.others))
    rests = [
        _rest(of, kept, pairs, used)
        for of, kept, pairs, used in zip(frequency, compared, (pairs, pairs.turned()), taken, strict=True)
    ]
    return Correspondence(relations, *rests)


def by_chance(one: csr_array, other: csr_array) -> Correspondence:
    """The same where nothing can be found but by luck: the texts of the other are shuffled."""
    order = np.random.default_rng(_SEED).permutation(other.shape[0])
    return correspondence(one, csr_array(csr_array(other)[order]))


def correlated(one: csc_array, other: csc_array, least: float = _SOME) -> Pairs:
    """Pairs of concepts whose activations correlate at `least`, above 0, or more, by `ones`, then by `others`.

    A block of concepts at a time, and of each only pairs that share a text: all others correlate below 0.

    Args:
        one, other: (n_texts, n_one) and (n_texts, n_other). What is active everywhere alike correlates with nothing.
    """
    n_texts = one.shape[0]
    (mean, spread), (means, spreads) = _moments(one), _moments(other)
    found = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    by_text = csr_array(other)
    for start in range(0, one.shape[1], _BLOCK):
        products = (csr_array(one[:, start : start + _BLOCK].T) @ by_text).tocoo()
        ones, others = products.row.astype(np.int64) + start, products.col.astype(np.int64)
        varied = (spread[ones] > 0) & (spreads[others] > 0)
        ones, others = ones[varied], others[varied]
        covariance = products.data[varied] / n_texts - mean[ones] * means[others]
        block = Pairs(ones, others, np.clip(covariance / (spread[ones] * spreads[others]), -1, 1))
        block = block.where(block.correlations >= least)
        found.append(block.where(np.lexsort((block.others, block.ones))))
    return Pairs(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def shared_out(correlations: NDArray[np.float64], covariances: NDArray[np.float64]) -> tuple[list[int], float]:
    """The parts, of those given, whose sum follows a whole best, and how well; the first alone if none adds `GAIN`.

    Args:
        correlations: (n_parts,) of each with the whole, the highest first.
        covariances: (n_parts, n_parts) among the parts, variances on the diagonal.

    Returns:
        The places of the parts in the order in which they were added, and the correlation of their sum with the whole.
    """
    spread = np.sqrt(np.diag(covariances))
    chosen, correlation = [0], float(correlations[0])
    while True:
        variance = covariances[np.ix_(chosen, chosen)].sum()
        with_sum = covariances[chosen].sum(axis=0)
        sums = (correlations * spread)[chosen].sum() + correlations * spread
        variances = variance + 2 * with_sum + spread**2
        varied = variances > 1e-12 * spread**2  # parts may add up to the same in every text
        joint = np.divide(sums, np.sqrt(variances, where=varied, out=np.ones_like(sums)))
        near = with_sum / (np.sqrt(variance) * spread) > correlations * correlation / 2
        joint[near | ~varied] = -1
        joint[chosen] = -1
        best = int(np.argmax(joint))
        if joint[best] < correlation + GAIN:
            return chosen, correlation
        chosen.append(best)
        correlation = min(1.0, float(joint[best]))


def _moments(of: csc_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each concept's activation, (n,) each; what does not vary has exactly 0."""
    n_texts, n = of.shape
    columns = np.repeat(np.arange(n), np.diff(of.indptr))
    mean = np.bincount(columns, of.data, n) / n_texts
    squares = np.bincount(columns, (of.data - mean[columns]) ** 2, n)
    silent = n_texts - np.diff(of.indptr)
    variance = (squares + silent * mean**2) / n_texts
    return mean, np.sqrt(np.where(variance > 1e-12 * mean**2, variance, 0.0))


def _closest(pairs: Pairs) -> dict[int, tuple[int, float]]:
    """Of each concept of the first model its closest in the other and the correlation; of equals the lower number."""
    order = np.lexsort((pairs.others, -pairs.correlations, pairs.ones))
    ones, first = np.unique(pairs.ones[order], return_index=True)
    best = order[first]
    found = zip(pairs.others[best].tolist(), pairs.correlations[best].tolist(), strict=True)
    return dict(zip(ones.tolist(), found, strict=True))


def _covers(kind: Kind, parts: csc_array, pairs: Pairs) -> list[Relation]:
    """The concepts, `ones` of the pairs, that several of the other model share out among them."""
    closest, of_part = _closest(pairs), _closest(pairs.turned())
    candidates: dict[int, list[tuple[float, int]]] = {}
    for part, (whole, correlation) in of_part.items():
        candidates.setdefault(whole, []).append((-correlation, part))
    found = []
    for whole, of in candidates.items():
        if len(of) < 2:
            continue
        near = sorted(of)[:_MOST_PARTS]
        correlations, latents = -np.array([value for value, _ in near]), [part for _, part in near]
        chosen, correlation = shared_out(correlations, _covariances(csc_array(parts[:, latents])))
        if len(chosen) > 1 and correlation >= max(SAME_AS_SUM, closest[whole][1] + GAIN):
            chosen.sort()
            singles = tuple(correlations[chosen].tolist())
            found.append(Relation(kind, (whole,), tuple(latents[i] for i in chosen), correlation, singles))
    return found


def _covariances(of: csc_array) -> NDArray[np.float64]:
    mean = np.asarray(of.sum(axis=0)).ravel() / of.shape[0]
    covariances: NDArray[np.float64] = (of.T @ of).toarray() / of.shape[0] - np.outer(mean, mean)
    return covariances


def _turned(cover: Relation) -> Relation:
    return cover._replace(ones=cover.others, others=cover.ones)


def _apart(covers: list[Relation], taken: tuple[set[int], set[int]]) -> list[Relation]:
    """Splits and merges that have no concept in common, those of the highest correlation first."""
    kept = []
    for cover in sorted(covers, key=lambda row: (-row.correlation, row.ones, row.others)):
        if taken[0].isdisjoint(cover.ones) and taken[1].isdisjoint(cover.others):
            kept.append(cover)
            taken[0].update(cover.ones)
            taken[1].update(cover.others)
    return kept


def _matched(pairs: Pairs, taken: tuple[set[int], set[int]]) -> list[Relation]:
    """One to one, the highest correlation first, of concepts that are not taken; these are then."""
    pairs = pairs.where(pairs.correlations >= SAME)
    order = np.lexsort((pairs.others, pairs.ones, -pairs.correlations))
    found = []
    for one, other, value in zip(*(column[order].tolist() for column in pairs), strict=True):
        if one not in taken[0] and other not in taken[1]:
            found.append(Relation(Kind.MATCHED, (one,), (other,), value, (value,)))
            taken[0].add(one)
            taken[1].add(other)
    return found


def _rest(frequency: NDArray[np.int64], compared: NDArray[np.bool_], pairs: Pairs, taken: set[int]) -> Rest:
    closest = _closest(pairs)
    alone = [
        Alone(latent, int(frequency[latent]), *closest.get(latent, (None, 0.0)))
        for latent in np.flatnonzero(compared).tolist()
        if latent not in taken
    ]
    alone.sort(key=lambda row: (-row.n_texts, row.latent))
    overlapping, only = ([row for row in alone if (row.correlation >= SAME) is near] for near in (True, False))
    n_compared = int(compared.sum())
    return Rest(overlapping, only, n_compared, int((frequency > 0).sum()) - n_compared)
