"""Exact accounting: a score as a sum of named concepts, with whatever they leave over in plain sight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def shown(self) -> Mapping[int, tuple[str, Trust]]:
        """The name of each latent that has one, and how far it is to be trusted."""


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
    q, d = (np.asarray(vector, dtype=np.float64) for vector in (query, passage))
    for vector in (q, d):
        if vector.shape != (sae.config.d_in,):
            raise DimensionMismatch(f"expected one vector of {sae.config.d_in} values, got shape {vector.shape}")
    (explanation,) = explain_dense([float(q @ d)], q, d[None], sae, names)
    return explanation


def explain_dense(
    scores: Sequence[float],
    query: NDArray[np.floating[Any]],
    passages: NDArray[np.floating[Any]],
    sae: SAE,
    names: Names | None = None,
) -> list[Explanation]:
    """Dense scores q . d of one query and some passages.

    One-sided: q . d = sum_i z_i(d) (w_i . q) + b_pre . q + r . q, with r = d - x_hat(d). The query stays
    whole; only the passage is coded, so the residual is what the SAE missed of the passage.

    Args:
        scores: (n,) as the retriever gave them.
        query: (d_in,).
        passages: (n, d_in).
    """
    q = np.asarray(query, dtype=np.float64)
    directions, bias = sae.W_dec.astype(np.float64), float(sae.b_pre @ q)
    products, codes, labels = directions @ q, sae.encode(passages), _labels(names)
    explanations = []
    for row, (score, passage) in enumerate(zip(scores, passages, strict=True)):
        held = slice(codes.indptr[row], codes.indptr[row + 1])
        latents, activations = codes.indices[held], codes.data[held].astype(np.float64)
        missed = passage - (activations @ directions[latents] + sae.b_pre)
        explanations.append(
            Explanation(
                of="dense",
                score=score,
                contributions=_contributions(latents, products[latents], activations, labels),
                bias=bias,
                residual=float(missed @ q),
            )
        )
    return explanations


def explain_concepts(
    scores: Sequence[float],
    latents: NDArray[np.integer[Any]],
    weights: NDArray[np.float32],
    passages: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.float32]]],
    names: Names | None = None,
) -> list[Explanation]:
    """CL-SR scores: one contribution, weight * impact, for each latent that query and passage share.

    Args:
        scores: what the index gave the passages, (n,).
        latents, weights: the query's, (n_active,) each, as they were searched with.
        passages: of each passage its latents and impacts that count, (n_kept,) each.
    """
    labels, weight_of = _labels(names), dict(zip(latents.tolist(), weights.tolist(), strict=True))
    explanations = []
    for score, (held, impacts) in zip(scores, passages, strict=True):
        shared = np.array([latent in weight_of for latent in held.tolist()], np.bool_)
        in_query = np.array([weight_of[latent] for latent in held[shared].tolist()])
        contributions = _contributions(held[shared], in_query, impacts[shared], labels)
        explanations.append(Explanation(of="concepts", score=score, contributions=contributions))
    return explanations


def explain_rescored(
    scores: Sequence[float],
    query: NDArray[np.floating[Any]],
    passages: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.float32]]],
    sae: SAE,
    names: Names | None = None,
) -> list[Explanation]:
    """Scores by stored codes: q . x_hat = sum_j z_j (w_j . q) + b_pre . q.

    Args:
        scores: (n,) as they were given.
        query: (d_in,) the dense query.
        passages: of each passage its stored code: latents and activations, (n_active,) each.
    """
    q = np.asarray(query, dtype=np.float64)
    products, bias, labels = sae.W_dec.astype(np.float64) @ q, float(sae.b_pre @ q), _labels(names)
    return [
        Explanation("rescored", score, _contributions(latents, products[latents], activations, labels), bias)
        for score, (latents, activations) in zip(scores, passages, strict=True)
    ]


_NO_LABEL = None, None


def _labels(names: Names | None) -> Mapping[int, tuple[str, Trust]]:
    """Each latent's name and trust; names that are just a mapping were judged by nobody."""
    if names is None:
        return {}
    return names.shown() if isinstance(names, Judged) else {j: (name, Trust.UNSCORED) for j, name in names.items()}


def _contributions(
    latents: NDArray[np.integer[Any]],
    query: NDArray[np.floating[Any]],
    passage: NDArray[np.floating[Any]],
    labels: Mapping[int, tuple[str, Trust]],
) -> tuple[Contribution, ...]:
    query, passage = query.astype(np.float64), passage.astype(np.float64)
    values = query * passage
    order = np.argsort(-np.abs(values), kind="stable")
    columns = (column[order].tolist() for column in (latents, query, passage, values))
    contributions = []
    for latent, of_query, of_passage, value in zip(*columns, strict=True):
        name, trust = labels.get(latent, _NO_LABEL)
        contributions.append(Contribution(latent, name, of_query, of_passage, value, trust))
    return tuple(contributions)
