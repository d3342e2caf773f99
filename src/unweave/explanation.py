"""Exact accounting: a score as a sum of named concepts, with whatever they leave over in plain sight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.store import Concepts, Trust
from unweave.errors import AccountingError, DimensionMismatch
from unweave.sae.model import SAE

Names = Mapping[int, str]
"""A latent's name; a latent that has none is missing. A project's `Concepts` say how far each is to be trusted, too."""


class Contribution(NamedTuple):
    """What one latent adds to a score."""

    latent: int
    name: str | None
    """None while the latent is unnamed."""
    query: float
    """The query's part: its weight, or its cosine with the latent's direction."""
    passage: float
    """The passage's part: its impact, or its activation."""
    value: float
    """query * passage."""
    trust: Trust | None = None
    """How far the name is to be trusted; None without a name."""


@dataclass(frozen=True)
class Explanation:
    """A score and the parts that add up to it: contributions + bias + residual = score."""

    of: str
    """Which score: `dense` (the retriever's), `concepts` (CL-SR), `rescored` (stored codes, dense query) or `terms`
    (BM25)."""
    score: float
    """The score as the retriever gave it."""
    contributions: tuple[Contribution, ...]
    """By absolute value, largest first."""
    bias: float = 0.0
    """Shared by all passages: the query's product with the SAE's b_pre."""
    residual: float = 0.0
    """What the SAE did not reconstruct of the passage, as the query sees it."""

    @property
    def explained(self) -> float:
        """The part of the score that named or nameable latents make up."""
        return math.fsum(c.value for c in self.contributions)

    @property
    def explained_share(self) -> float:
        """1 - |residual| / (|residual| + |explained + bias|): 1 when nothing is left over."""
        accounted = abs(self.explained + self.bias)
        whole = accounted + abs(self.residual)
        return accounted / whole if whole else 1.0

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that the parts add up.

        Raises:
            AccountingError: they miss the score by more than `rtol` of it.
        """
        total = math.fsum([self.explained, self.bias, self.residual])
        if not math.isclose(total, self.score, rel_tol=rtol, abs_tol=1e-9):
            raise AccountingError(
                f"the parts of this {self.of} score add up to {total!r}, not to {self.score!r}: "
                "was it explained with another SAE or index than it was scored with?"
            )

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain JSON values."""
        return {
            "of": self.of,
            "score": self.score,
            "contributions": [c._asdict() for c in self.contributions],
            "bias": self.bias,
            "residual": self.residual,
            "explained_share": self.explained_share,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Explanation:
        """Read what `to_dict` wrote."""
        contributions = tuple(
            Contribution(**{**c, "trust": None if c.get("trust") is None else Trust(c["trust"])})
            for c in record["contributions"]
        )
        return cls(record["of"], record["score"], contributions, record["bias"], record["residual"])


def explain(
    query: NDArray[np.floating[Any]], passage: NDArray[np.floating[Any]], sae: SAE, names: Names | None = None
) -> Explanation:
    """The dense score q . d of one query and one passage as named concepts, bias and residual.

    One-sided: q . d = sum_i z_i(d) (w_i . q) + b_pre . q + r . q, with r = d - x_hat(d). The query stays
    whole; only the passage is coded, so the residual is what the SAE missed of the passage.

    Args:
        query, passage: (d_in,) embeddings, as the encoder gave them.
        names: a name by latent, e.g. a project's `concepts`.

    Raises:
        DimensionMismatch: a vector is not d_in wide.
    """
    q, d = (np.asarray(vector, dtype=np.float64) for vector in (query, passage))
    for vector in (q, d):
        if vector.shape != (sae.config.d_in,):
            raise DimensionMismatch(f"expected one vector of {sae.config.d_in} values, got shape {vector.shape}")
    code = sae.encode(d)
    directions = sae.W_dec[code.indices].astype(np.float64)
    reconstruction = code.data.astype(np.float64) @ directions + sae.b_pre
    return Explanation(
        of="dense",
        score=float(q @ d),
        contributions=_contributions(code.indices, directions @ q, code.data, names),
        bias=float(sae.b_pre @ q),
        residual=float((d - reconstruction) @ q),
    )


def explain_concept_score(
    score: float,
    latents: NDArray[np.integer[Any]],
    weights: NDArray[np.float32],
    passage_latents: NDArray[np.integer[Any]],
    impacts: NDArray[np.float32],
    names: Names | None = None,
) -> Explanation:
    """A CL-SR score: one contribution, weight * impact, for each latent that query and passage share.

    Args:
        score: what the index gave the passage.
        latents, weights: the query's, (n_active,) each, as they were searched with.
        passage_latents, impacts: the passage's that count, (n_kept,) each.
    """
    shared, in_query, in_passage = np.intersect1d(latents, passage_latents, return_indices=True)
    contributions = _contributions(shared, weights[in_query], impacts[in_passage], names)
    return Explanation(of="concepts", score=score, contributions=contributions)


def explain_rescored(
    score: float,
    query: NDArray[np.floating[Any]],
    latents: NDArray[np.integer[Any]],
    activations: NDArray[np.float32],
    sae: SAE,
    names: Names | None = None,
) -> Explanation:
    """A rescored hit: q . x_hat = sum_j z_j (w_j . q) + b_pre . q, from the passage's stored code.

    Args:
        query: (d_in,) the dense query.
        latents, activations: the passage's stored code, (n_active,) each.
    """
    q = np.asarray(query, dtype=np.float64)
    products = sae.W_dec[latents].astype(np.float64) @ q
    contributions = _contributions(latents, products, activations, names)
    return Explanation(of="rescored", score=score, contributions=contributions, bias=float(sae.b_pre @ q))


def _contributions(
    latents: NDArray[np.integer[Any]],
    query: NDArray[np.floating[Any]],
    passage: NDArray[np.floating[Any]],
    names: Names | None,
) -> tuple[Contribution, ...]:
    query, passage = query.astype(np.float64), passage.astype(np.float64)
    values = query * passage
    contributions = []
    for i in np.argsort(-np.abs(values), kind="stable"):
        latent = int(latents[i])
        name = None if names is None else names.get(latent)
        contributions.append(
            Contribution(
                latent, name, float(query[i]), float(passage[i]), float(values[i]), _trust(names, latent, name)
            )
        )
    return tuple(contributions)


def _trust(names: Names | None, latent: int, name: str | None) -> Trust | None:
    """Names that are just a mapping were judged by nobody."""
    if name is None:
        return None
    return names.trust(latent) if isinstance(names, Concepts) else Trust.UNSCORED
