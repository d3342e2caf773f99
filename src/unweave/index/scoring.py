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

FloatArray = NDArray[np.float32]
SIGNED, POSITIVE, NO_IDF = "signed", "positive", "none"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """One choice of the formula's constants."""

    profile: str
    """Its name: `paper`, `default`, `dot` or `tokens`."""
    max_latents: int | None
    """A passage keeps at most so many latents, its strongest; None: all."""
    k1: float | None
    """Saturation of a passage's activations: the smaller, the sooner more stops counting. None: h_d(z) = z."""
    k2: float | None
    """The same for a query's activations."""
    b: float
    """How much a passage with many latents is held back; 0 is not at all."""
    root: bool
    """Take the square root of every activation first, which tempers the strongest."""
    idf: str
    """`signed`: ln((N - n + .5) / (n + .5)); `positive`: ln(1 + (N - n + .5) / (n + .5)); `none`: 1."""

    def __post_init__(self) -> None:
        if self.idf not in (SIGNED, POSITIVE, NO_IDF):
            raise ValueError(f"idf must be {SIGNED}, {POSITIVE} or {NO_IDF}, got {self.idf!r}")
        if self.max_latents is not None and self.max_latents < 1:
            raise ValueError(f"max_latents must be at least 1, got {self.max_latents}")
        for name in ("k1", "k2"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < np.inf:
                raise ValueError(f"{name} must be a number of 0 or more, or None, got {value}")
        if not 0 <= self.b < np.inf:
            raise ValueError(f"b must be a number of 0 or more, got {self.b}")


PROFILES = {
    "paper": Scoring(profile="paper", max_latents=24, k1=0.6, k2=1.5, b=2.0, root=False, idf=SIGNED),
    "default": Scoring(profile="default", max_latents=48, k1=10.0, k2=10.0, b=0.0, root=True, idf=POSITIVE),
}
DOT = Scoring(profile="dot", max_latents=None, k1=None, k2=None, b=0.0, root=False, idf=NO_IDF)
"""The dot product of what is stored and what is asked, as other sparse engines have it."""
TOKENS = Scoring(profile="tokens", max_latents=256, k1=1.2, k2=1.2, b=0.7, root=True, idf=POSITIVE)
"""For latents of tokens, summed over a text: they repeat as words do, and are held back as BM25 holds words back."""


def inverse_document_frequency(document_frequency: NDArray[np.int64], n_passages: int, scoring: Scoring) -> FloatArray:
    """idf of each latent, (n_latents,); 0 for a latent that no passage has."""
    if scoring.idf == NO_IDF:
        return (document_frequency > 0).astype(np.float32)
    n = document_frequency.astype(np.float64)
    odds = (n_passages - n + 0.5) / (n + 0.5)
    idf = np.log1p(odds) if scoring.idf == POSITIVE else np.log(odds)
    return np.where(n > 0, idf, 0.0).astype(np.float32)


def saturation(z: FloatArray, k: float | None) -> FloatArray:
    """z (k + 1) / (z + k), or z if k is None."""
    return z if k is None else z * (k + 1) / (z + k)


def query_weights(activations: FloatArray, idf: FloatArray, scoring: Scoring) -> FloatArray:
    """idf * h_q of a query's active latents, given their activations and idf, each (n_active,)."""
    z = np.sqrt(activations) if scoring.root else activations
    return (idf * saturation(z, scoring.k2)).astype(np.float32)


def impacts_of(activations: FloatArray, mean_latents: float, scoring: Scoring) -> FloatArray:
    """h_d of the latents that one passage keeps, (n_kept,).

    With b > 1 the formula is undefined, not positive, for passages with few of the mean number of latents.
    """
    z = np.sqrt(activations) if scoring.root else activations
    if scoring.k1 is None:
        return z
    relative = len(activations) / max(mean_latents, 1e-9)
    # The denominator in double precision, as the compiled search has it.
    denominator = z.astype(np.float64) + scoring.k1 * (1 - scoring.b + scoring.b * relative)
    with np.errstate(divide="ignore"):
        return (z * np.float32(scoring.k1 + 1) / denominator).astype(np.float32)
