"""Exact accounting: a score as a sum of named concepts, with whatever they leave over in plain sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names, contributions, labels_of
from unweave.base.records import Explanation
from unweave.errors import DimensionMismatch
from unweave.sae.model import SAE


def explain(
    query: NDArray[np.floating[Any]], passage: NDArray[np.floating[Any]], sae: SAE, names: Names | None = None
) -> Explanation:
    """The dense score q . d of one query and one passage as named concepts, bias and residual.

    Args:
        query, passage: (d_in,) embeddings, as the encoder gave them.
        names: a name by latent, e.g. a project's `concepts`.

    Raises:
        DimensionMismatch: a vector is not d_in wide.
    """
    q, d = pair_of(query, passage, sae)
    (explanation,) = explain_dense([float(q @ d)], q, d[None], sae, names)
    return explanation


def pair_of(
    query: NDArray[np.floating[Any]], passage: NDArray[np.floating[Any]], sae: SAE
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two embeddings, (d_in,) each, in double precision.

    Raises:
        DimensionMismatch: one is not d_in wide.
    """
    q, d = (np.asarray(vector, dtype=np.float64) for vector in (query, passage))
    for vector in (q, d):
        if vector.shape != (sae.config.d_in,):
            raise DimensionMismatch(f"expected one vector of {sae.config.d_in} values, got shape {vector.shape}")
    return q, d


def decompose(embedding: NDArray[np.floating[Any]], sae: SAE, names: Names | None = None) -> Explanation:
    """The squared length of an embedding, (d_in,), as named concepts, bias and residual.

    Of an embedding of length 1, each part is the share of it that the concept makes up: x . x, accounted for as a score
    is.

    Raises:
        DimensionMismatch: it is not d_in wide.
    """
    return replace(explain(embedding, embedding, sae, names), of="embedding")


def explain_dense(
    scores: Sequence[float],
    query: NDArray[np.floating[Any]],
    passages: NDArray[np.floating[Any]],
    sae: SAE,
    names: Names | None = None,
    latents: csr_array | None = None,
    boosts: Mapping[int, float] | None = None,
) -> list[Explanation]:
    """Dense scores q . d of one query and some passages.

    One-sided: q . d = sum_i z_i(d) (w_i . q) + b_pre . q + r . q, with r = d - x_hat(d). The query stays
    whole; only the passage is coded, so the residual is what the SAE missed of the passage. Of a steered score a
    concept's weight in the query is f_i (w_i . q), and the residual is what it was.

    Args:
        scores: (n,) as the retriever gave them.
        query: (d_in,).
        passages: (n, d_in).
        latents: theirs, (n, n_latents), if they are known already.
        boosts: the factors f by latent that the scores were steered by.
    """
    q = np.asarray(query, dtype=np.float64)
    codes, bias, labels = sae.encode(passages) if latents is None else latents, float(sae.b_pre @ q), labels_of(names)
    products = _products(sae, codes.indices, q, boosts)
    explanations = []
    for row, (score, passage) in enumerate(zip(scores, passages, strict=True)):
        held = slice(codes.indptr[row], codes.indptr[row + 1])
        active, activations = codes.indices[held], codes.data[held].astype(np.float64)
        missed = passage - (activations @ sae.W_dec[active].astype(np.float64) + sae.b_pre)
        explanations.append(
            Explanation(
                of="dense",
                score=score,
                contributions=contributions(active, products[active], activations, activations, labels, sae.returns),
                bias=bias,
                residual=float(missed @ q),
            )
        )
    return explanations


def explain_rescored(
    scores: Sequence[float],
    query: NDArray[np.floating[Any]],
    passages: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.float32]]],
    sae: SAE,
    names: Names | None = None,
    boosts: Mapping[int, float] | None = None,
) -> list[Explanation]:
    """Scores by stored codes: q . x_hat = sum_j z_j (w_j . q) + b_pre . q.

    Args:
        scores: (n,) as they were given.
        query: (d_in,) the dense query.
        passages: of each passage its stored code: latents and activations, (n_active,) each.
        boosts: the factors by latent, of w_j . q, that the scores were steered by.
    """
    q = np.asarray(query, dtype=np.float64)
    held = np.array([latent for latents, _ in passages for latent in latents.tolist()], np.int64)
    products, bias, labels = _products(sae, held, q, boosts), float(sae.b_pre @ q), labels_of(names)
    return [
        Explanation(
            "rescored",
            score,
            contributions(latents, products[latents], activations, activations, labels, sae.returns),
            bias,
        )
        for score, (latents, activations) in zip(scores, passages, strict=True)
    ]


def _products(
    sae: SAE, latents: NDArray[np.integer[Any]], query: NDArray[np.float64], boosts: Mapping[int, float] | None
) -> NDArray[np.float64]:
    """f_j (w_j . q), (n_latents,), of these latents alone, which may repeat; of few passages they are few."""
    products, some = np.zeros(sae.config.n_latents), np.unique(latents)
    products[some] = sae.W_dec[some].astype(np.float64) @ query
    for latent, factor in (boosts or {}).items():
        products[latent] *= factor
    return products
