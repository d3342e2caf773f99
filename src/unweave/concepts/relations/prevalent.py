"""What a set of found passages is about: concepts that it has more often than the corpus, with the proof.

    share = weight of the hits that activate the latent / weight of all hits
    lift  = share / share of the corpus that activates it

Latents come by share * ln(lift), their term in the Kullback-Leibler divergence between hits and corpus. They must be
more frequent than in a random draw of so many passages: by the hypergeometric test, with the false discovery rate
over all live latents held down (Benjamini and Hochberg 1995). Hits that were found by concepts are no random draw, so
the test says what sets them apart, not that it did so by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FALSE_DISCOVERIES = 0.05
"""Share of the concepts said to be prevalent that may be so by luck."""


class Prevalent(NamedTuple):
    """A concept that some passages have more often than the corpus."""

    latent: int
    n_hits: int
    """Hits that activate it."""
    share: float
    """Their share of all hits, by weight."""
    lift: float
    """How many times the corpus's share."""
    p_value: float
    """By the hypergeometric test, adjusted for the number of live latents."""
    passages: tuple[int, ...]
    """The hits that activate it most, the strongest first: positions in the corpus."""
    activations: tuple[float, ...]
    """How strongly each does."""
    returns: bool | None = None
    """Whether another run found the concept again; None where that is not known."""


def prevalent_latents(
    latents: csr_array,
    hits: NDArray[np.int64],
    weights: NDArray[np.floating] | None = None,
    *,
    top: int = 10,
    proofs: int = 3,
    returning: Mapping[int, bool] | None = None,
) -> list[Prevalent]:
    """The latents that set some passages apart from their corpus, those that do so most first.

    Latents that are known not to return are no findings: they come after all others.

    Args:
        latents: (n_passages, n_latents) of the whole corpus.
        hits: (n_hits,) positions of passages, none twice.
        weights: (n_hits,) how much each counts for the share, above 0; by default all the same.
        top: how many latents at most.
        proofs: how many passages stand with each, at most.
        returning: whether a latent returns, of those of which it is known: `SAE.returns`.

    Raises:
        ValueError: a passage is given twice, or a weight is not above 0.
    """
    from scipy.stats import false_discovery_control, hypergeom  # takes .5 s, which other commands need not wait for

    hits = np.asarray(hits, np.int64)
    weights = np.ones(len(hits)) if weights is None else np.asarray(weights, np.float64)
    _check(hits, weights)
    found = csr_array(latents[hits]).tocsc()
    counts = np.diff(found.indptr)
    present = np.flatnonzero(counts)
    if not len(present):
        return []
    frequency = np.bincount(latents.indices, minlength=latents.shape[1])
    p = np.ones(latents.shape[1])
    p[present] = hypergeom.sf(counts[present] - 1, latents.shape[0], frequency[present], len(hits))
    live = frequency > 0
    p[live] = false_discovery_control(np.clip(p[live], 0, 1))
    active = found.copy()
    active.data = np.ones_like(active.data, dtype=np.float64)
    share = np.asarray(active.T @ (weights / weights.sum()))
    lift = share[present] * latents.shape[0] / frequency[present]
    surplus = share[present] * np.log(lift)
    returns = [(returning or {}).get(latent) for latent in present.tolist()]
    no_finding = np.array([known is False for known in returns])
    order = np.lexsort((-surplus, no_finding))
    best = order[(p[present] <= FALSE_DISCOVERIES)[order] & (surplus > 0)[order]][:top]
    chosen = []
    for i in best.tolist():
        latent = int(present[i])
        column = slice(found.indptr[latent], found.indptr[latent + 1])
        rows, activations = found.indices[column], found.data[column]
        strongest = np.lexsort((rows, -activations))[:proofs]
        chosen.append(
            Prevalent(
                latent, int(counts[latent]), float(share[latent]), float(lift[i]), float(p[latent]),
                tuple(hits[rows[strongest]].tolist()), tuple(activations[strongest].tolist()), returns[i],
            )
        )  # fmt: skip
    return chosen


def _check(hits: NDArray[np.int64], weights: NDArray[np.floating]) -> None:
    if len(np.unique(hits)) != len(hits):
        raise ValueError("a passage is given twice among the hits; give each one once")
    if weights.shape != hits.shape or not (weights > 0).all():
        raise ValueError(f"weights of shape {weights.shape} must be above 0, one for each of the {len(hits)} hits")
