"""Concept-Level Sparse Retrieval (CL-SR): how the latents of a query and a passage make a score.

    score(q, d) = sum over shared latents j of  idf_j * h_q(z_qj) * h_d(z_dj)
    h_q(z) = z (k2 + 1) / (z + k2)
    h_d(z) = z (k1 + 1) / (z + k1 (1 - b + b |d| / avgdl))

|d| is the number of a passage's kept latents and avgdl its mean. All that depends on the passage folds
into one stored impact, all that depends on the query into one weight, so retrieval is a sparse dot product.
Source: Park, Kim & Ko 2025, arXiv 2506.00041.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.errors import ScoringUndefined
from unweave.sae.model import strongest

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One choice of the formula's constants."""

    profile: str
    """Its name: `paper` or `default`."""
    max_latents: int
    """A passage keeps at most so many latents, its strongest."""
    k1: float
    """Saturation of a passage's activations: the smaller, the sooner more activation stops counting."""
    k2: float
    """The same for a query's activations."""
    b: float
    """How much a passage with many latents is held back; 0 is not at all."""
    root: bool
    """Take the square root of every activation first, which tempers the strongest."""
    positive_idf: bool
    """idf = ln(1 + (N - n + .5) / (n + .5)), never negative, in place of ln((N - n + .5) / (n + .5))."""


PROFILES = {
    "paper": Scoring(profile="paper", max_latents=24, k1=0.6, k2=1.5, b=2.0, root=False, positive_idf=False),
    "default": Scoring(profile="default", max_latents=48, k1=10.0, k2=10.0, b=0.0, root=True, positive_idf=True),
}


def inverse_document_frequency(document_frequency: NDArray[np.int64], n_passages: int, scoring: Scoring) -> FloatArray:
    """idf of each latent, (n_latents,); 0 for a latent that no passage has."""
    n = document_frequency.astype(np.float64)
    odds = (n_passages - n + 0.5) / (n + 0.5)
    idf = np.log1p(odds) if scoring.positive_idf else np.log(odds)
    return np.where(n > 0, idf, 0.0).astype(np.float32)


def saturation(z: FloatArray, k: float | FloatArray) -> FloatArray:
    """z (k + 1) / (z + k) for k at the scale of the formula's numerator and denominator."""
    return z * (k + 1) / (z + k)


def query_weights(activations: FloatArray, idf: FloatArray, scoring: Scoring) -> FloatArray:
    """idf * h_q of a query's active latents, given their activations and idf, each (n_active,)."""
    z = np.sqrt(activations) if scoring.root else activations
    return (idf * saturation(z, scoring.k2)).astype(np.float32)


def passage_impacts(latents: csr_array, scoring: Scoring, *, leave_out_undefined: bool = False) -> csr_array:
    """h_d of every latent that a passage keeps, (n_passages, n_latents).

    With b > 1 the denominator can vanish or turn negative for passages with few latents.

    Args:
        leave_out_undefined: give such passages no impact at all, so that no search finds them, rather than refuse.

    Raises:
        ScoringUndefined: there are such passages.
    """
    kept = strongest(latents, scoring.max_latents)
    lengths = np.diff(kept.indptr)
    relative = lengths / max(lengths.mean(), 1e-9)
    z = np.sqrt(kept.data) if scoring.root else kept.data
    denominator = z + np.repeat(scoring.k1 * (1 - scoring.b + scoring.b * relative), lengths)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    undefined = np.unique(rows[denominator <= 0])
    if len(undefined) and not leave_out_undefined:
        raise ScoringUndefined(
            f"profile {scoring.profile!r}: z + k1 (1 - b + b |d| / avgdl) is not positive for {len(undefined)} of "
            f"{len(lengths)} passages, because b = {scoring.b:g} is above 1 and they have few of the average "
            f"{lengths.mean():.1f} latents; use the profile 'default', or an SAE that gives every passage enough"
        )
    defined = ~np.isin(rows, undefined)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[defined], minlength=len(lengths)))])
    impacts = (z[defined] * (scoring.k1 + 1) / denominator[defined]).astype(np.float32)
    return csr_array((impacts, kept.indices[defined], offsets), shape=kept.shape)
