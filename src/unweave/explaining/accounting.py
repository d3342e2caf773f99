"""Exact accounting: a score as a sum of named concepts, with whatever they leave over in plain sight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Contribution, Explanation, Trust
from unweave.errors import DimensionMismatch
from unweave.sae.model import SAE

Names = Mapping[int, str]
"""A latent's name; a latent that has none is missing."""


@runtime_checkable
class Judged(Protocol):
    """Names that say how far each is to be trusted, as a project's concepts do."""

    def trust(self, latent: int) -> Trust | None: ...


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
    return names.trust(latent) if isinstance(names, Judged) else Trust.UNSCORED
