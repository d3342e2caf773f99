"""Families of latents that are active together, and which latent is the more general one's special case.

Families follow O'Neill et al. 2024 ("Disentangling Dense Embeddings with Sparse Autoencoders", arXiv 2408.00657):
latents that are active together make a graph, its maximum spanning forest keeps the strongest ties, and in it ties
lead from frequent latents to rarer ones. Here each latent follows one tie, the strongest to a more frequent one, so
that it is of one family; where there is none, it is a family's head. A family whose directions are no nearer to each
other than those of random groups is none.

Parents follow Sanderson and Croft 1999 ("Deriving concept hierarchies from text"): a concept stands under another
one that most of its texts have too, and that has more texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.concepts.relations.ties import Together
from unweave.sae.model import MATRYOSHKA_PARTS

FAMILY_NPMI = 0.4
"""Ties that make a family; weaker ones run families of several topics together."""
PARENT_SHARE = 0.4
"""Share of a latent's texts that its parent must have too. Sanderson and Croft ask for .8 of words in texts; of an
SAE's latents, made to be active as few at a time as will do, that leaves one in a hundred with a parent."""
PARENT_COSINE = 0.1
"""Directions of latents that only stand in the same texts, as a city's and a population's, have less."""
MATRYOSHKA = "matryoshka"
"""The nested parts of a Matryoshka dictionary, its first 1/16 and so on, as in `sae.variants.matryoshka`."""


class Ties(NamedTuple):
    """Of some latents, one other each."""

    latents: NDArray[np.int64]
    """(n,) ascending, none twice."""
    others: NDArray[np.int64]
    """(n,) the head of its family, or its parent."""
    weights: NDArray[np.float64]
    """(n,) how strongly it holds, above 0, at most 1."""


def families(together: Together, frequency: NDArray[np.int64]) -> Ties:
    """The head of each latent's family; heads, and latents that have no family, are left out.

    Args:
        together: pairs of latents, in both directions.
        frequency: (n_latents,) texts that activate each; a head is the most frequent of its family.

    Returns:
        Weights are the npmi of the tie by which the latent came into the family.
    """
    n_latents = len(frequency)
    strong = together.where((together.npmi >= FAMILY_NPMI) & (together.latents < together.others))
    # The forest is minimal in distance, and takes a distance of 0 for no tie at all.
    distances = csr_array((2 - strong.npmi, (strong.latents, strong.others)), shape=(n_latents, n_latents))
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree  # a tenth of a second to import

    forest = minimum_spanning_tree(distances).tocoo()
    place = _places(frequency)
    up = place[forest.row] < place[forest.col]
    child, above = np.where(up, forest.row, forest.col), np.where(up, forest.col, forest.row)
    ties = _best(Ties(child.astype(np.int64), above.astype(np.int64), 2 - forest.data), 2 - forest.data)
    followed = csr_array((np.ones(len(ties.latents)), (ties.latents, ties.others)), shape=(n_latents, n_latents))
    n_families, family = connected_components(followed, directed=False)
    by_place = np.argsort(place)
    head = np.empty(n_families, np.int64)
    head[family[by_place]] = by_place  # of several, the last one assigned stays: the most frequent
    return ties._replace(others=head[family[ties.latents]])


def beyond_chance(kin: Ties, directions: NDArray[np.floating[Any]], among: NDArray[np.int64], seed: int = 0) -> Ties:
    """The families whose directions are nearer to each other than those of random groups of as many latents.

    Families are made of what is active together, so that nearness of directions is evidence of another kind. Of each
    family p is the share of random groups whose mean cosine of two directions is as high; those are kept whose p is
    small for one among so many families (Benjamini and Hochberg 1995, at .05).

    Args:
        kin: of each latent the head of its family, as `families` gives it.
        directions: (n_latents, d_in), the decoder.
        among: latents that random groups are drawn from; if they are few, all families are kept.
    """
    if not len(kin.latents) or len(among) < _FEWEST:
        return kin
    from scipy.stats import false_discovery_control

    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True).clip(min=1e-12)
    heads, of = np.unique(kin.others, return_inverse=True)
    sums = unit[heads].astype(np.float64)
    np.add.at(sums, of, unit[kin.latents])
    sizes = np.bincount(of) + 1
    together = _mean_cosine(sums, sizes)
    by_chance, rng = np.empty(len(heads)), np.random.default_rng([seed, 30])
    for size in np.unique(sizes).tolist():
        groups = np.stack([unit[rng.choice(among, size, replace=False)].sum(axis=0) for _ in range(_RANDOM_GROUPS)])
        found = _mean_cosine(groups, np.full(len(groups), size))
        same = sizes == size
        by_chance[same] = (1 + (found >= together[same, None]).sum(axis=1)) / (1 + len(found))
    kept = (false_discovery_control(by_chance) <= _BY_CHANCE)[of]
    return Ties(kin.latents[kept], kin.others[kept], kin.weights[kept])


_RANDOM_GROUPS = 1000
"""Of each size."""
_FEWEST = 100
"""Of fewer latents, random groups are too often the family itself."""
_BY_CHANCE = 0.05
"""Of the families that are kept, the share that may be no better than random groups."""


def _mean_cosine(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean cosine of two unit vectors of a group, given by the sum of all, (n_groups, d_in), and how many they are.

    |sum|^2 is the sum of all cosines, of which n are those of a vector with itself.
    """
    squares: NDArray[np.float64] = (sums**2).sum(axis=1)
    return (squares - sizes) / (sizes * (sizes - 1))


def parents(
    together: Together,
    frequency: NDArray[np.int64],
    directions: NDArray[np.floating[Any]],
    generality: NDArray[np.int64] | None = None,
) -> Ties:
    """The more general latent under which each latent stands; those without one are left out.

    Of several, the one is taken whose share of the latent's texts is highest compared with its share of all texts:
    of a chain of ever more general ones, the next.

    Args:
        together: pairs of latents, in both directions.
        frequency: (n_latents,) texts that activate each.
        directions: (n_latents, d_in), the decoder.
        generality: (n_latents,) a parent's is higher than its child's, so there are no cycles; by default frequency.

    Returns:
        Weights are P(parent | child), the share of the child's texts that the parent has too.
    """
    generality = frequency if generality is None else generality
    share = together.counts / frequency[together.latents]
    fits = (generality[together.others] > generality[together.latents]) & (share >= PARENT_SHARE)
    child, above, share = together.latents[fits], together.others[fits], share[fits]
    lengths = np.linalg.norm(directions[child], axis=1) * np.linalg.norm(directions[above], axis=1)
    products = np.einsum("nd,nd->n", directions[child], directions[above])
    close = products >= PARENT_COSINE * lengths
    ties = Ties(child[close], above[close], share[close])
    return _best(ties, ties.weights / frequency[ties.others])


def matryoshka_generality(n_latents: int) -> NDArray[np.int64]:
    """How general each latent of a Matryoshka dictionary is, (n_latents,): the higher, the smaller its part."""
    ends = np.array([n_latents // part for part in MATRYOSHKA_PARTS])
    return len(ends) - np.searchsorted(ends, np.arange(n_latents), side="right").astype(np.int64)


def _places(frequency: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each latent's place by frequency, (n_latents,), the most frequent's the highest; of ties, the lower latent's."""
    places = np.empty(len(frequency), np.int64)
    places[np.lexsort((-np.arange(len(frequency)), frequency))] = np.arange(len(frequency))
    return places


def _best(ties: Ties, value: NDArray[np.float64]) -> Ties:
    """Of each latent's ties the one of highest value, of equals the one to the lower latent; here none is ordered."""
    order = np.lexsort((ties.others, -value, ties.latents))
    _, starts = np.unique(ties.latents[order], return_index=True)
    best = order[starts]
    return Ties(ties.latents[best], ties.others[best], ties.weights[best])
