"""A query as the index reads it, and why a passage got its score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names, contributions, labels_of, returning
from unweave.base.records import Explanation
from unweave.errors import BadData, DimensionMismatch
from unweave.index.scoring import Scoring, query_weights


class ConceptQuery(NamedTuple):
    """A query as the index reads it."""

    latents: NDArray[np.int32]  # (n_active,)
    weights: NDArray[np.float32]  # (n_active,) idf * h_q


def weighted(latents: csr_array, idf: NDArray[np.float32], scoring: Scoring) -> ConceptQuery:
    """The latents of a query and their weights, idf * h_q; a weight of 0 is left out.

    Args:
        latents: (1, n_latents) activations, as `SAE.encode` gives them for one embedding.
        idf: (n_latents,), as `ConceptIndex.idf` has it.

    Raises:
        BadData: they are of several queries, or of none.
        DimensionMismatch: there are more or fewer latents than the index has.
    """
    if latents.shape[0] != 1:
        raise BadData(
            f"latents of {latents.shape[0]} queries came in; one query is searched at a time: z[[0]], z[[1]] ..."
        )
    if latents.shape[1] != len(idf):
        raise DimensionMismatch(
            f"a query of {latents.shape[1]} latents came to an index of {len(idf)}; encode it with the SAE that the "
            "index was built with"
        )
    weights = query_weights(latents.data, idf[latents.indices], scoring)
    return ConceptQuery(latents.indices[weights != 0], weights[weights != 0])


class Counted(NamedTuple):
    """What of a passage counts in its score."""

    latents: NDArray[np.int64]  # (n_kept,)
    activations: NDArray[np.float32]  # (n_kept,), descending
    impacts: NDArray[np.float32]  # (n_kept,)

    def first(self, n: int | None) -> Counted:
        """Its n strongest latents alone; None: all."""
        return Counted(self.latents[:n], self.activations[:n], self.impacts[:n])


def explain_concepts(
    scores: Sequence[float],
    latents: NDArray[np.integer[Any]],
    weights: NDArray[np.float32],
    passages: Sequence[Counted],
    names: Names | None = None,
) -> list[Explanation]:
    """CL-SR scores: one contribution, weight * impact, for each latent that query and passage share.

    Args:
        scores: what the index gave the passages, (n,).
        latents, weights: the query's, (n_active,) each, as they were searched with.
    """
    labels, returns = labels_of(names), returning(names)
    weight_of = dict(zip(latents.tolist(), weights.tolist(), strict=True))
    explanations = []
    for score, counted in zip(scores, passages, strict=True):
        shared = np.array([latent in weight_of for latent in counted.latents.tolist()], np.bool_)
        held = counted.latents[shared]
        in_query = np.array([weight_of[latent] for latent in held.tolist()])
        summed = contributions(held, in_query, counted.impacts[shared], counted.activations[shared], labels, returns)
        explanations.append(Explanation(of="concepts", score=score, contributions=summed))
    return explanations
