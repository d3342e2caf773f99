"""Query vector to hits: by concepts, and by concepts with the best rescored from their stored codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.contributions import Names
from unweave.base.records import Explanation
from unweave.explaining.accounting import explain_rescored
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits, best_of
from unweave.index.query import ConceptQuery
from unweave.retrieval.query_reader import QueryReader
from unweave.retrieval.steering import AS_IT_IS, Steering, check_known
from unweave.sae.model import SAE


@dataclass(frozen=True, eq=False)
class ConceptSearcher:
    """CL-SR over one index, with rescoring and explanations."""

    sae: SAE
    index: ConceptIndex
    codes: Codes | ConceptIndex | None = None
    """What to rescore from, by the index's positions; None: the latents that the index itself holds."""

    @cached_property
    def _reader(self) -> QueryReader:
        return QueryReader.of(self.sae, self.index)

    @property
    def _stored(self) -> Codes | ConceptIndex:
        return self.index if self.codes is None else self.codes

    @cached_property
    def _directions(self) -> NDArray[np.float64]:
        return self.sae.W_dec.astype(np.float64)

    def read(self, query: NDArray[np.floating[Any]], steering: Steering = AS_IT_IS) -> ConceptQuery:
        """The latents of a query and their weights; a weight of 0 is left out.

        Args:
            query: (d_in,), or, where latents are of tokens, (n_tokens, d_in): a text's is the sum of its tokens'.

        Raises:
            BadData: a boost is for a latent that the SAE does not have.
        """
        read = self._reader.read(query, steering.query_k)
        return _boosted(*read, steering.boosts, self.index.n_latents) if steering.boosts else read

    def search(self, query: NDArray[np.floating[Any]], cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        """The passages with the highest concept score."""
        return self.index.hits(
            *self.read(query, steering),
            cutoff,
            banned=steering.banned,
            allowed=steering.allowed,
            passage_k=steering.passage_k,
            effort=steering.effort,
        )

    def rescored(
        self,
        query: NDArray[np.floating[Any]],
        cutoff: int = 10,
        candidates: int = 1000,
        steering: Steering = AS_IT_IS,
    ) -> Hits:
        """The best `candidates` by concept score, ordered anew by q . x_hat of their stored codes.

        Boosts bend both; the other fields decide which passages are found.
        """
        found = np.sort(self.search(query, candidates, steering).passages)
        return self._best_of(query, found, cutoff, steering.boosts)

    def scanned(self, query: NDArray[np.floating[Any]], cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        """The best of all passages by q . x_hat of their stored codes: no inverted lists are read, but every code.

        Args:
            steering: its boosts, bans and `allowed`. A latent that a passage's code does not have counts as not there.

        Raises:
            BadData: a boost or a ban is for a latent that the SAE does not have.
        """
        if len(steering.banned):
            steering = steering.leaving_out(self.coded_with(steering.banned))
        allowed = steering.allowed
        positions = np.arange(self.index.n_positions) if allowed is None else np.flatnonzero(allowed)
        return self._best_of(query, positions, cutoff, steering.boosts)

    def listed_with(self, latents: Sequence[int]) -> NDArray[np.bool_]:
        """Which positions the index lists under one of these latents, (n_positions,): what a ban leaves out.

        Raises:
            BadData: there is no such latent.
        """
        check_known(latents, self.index.n_latents, "ban")
        listed = np.zeros(self.index.n_positions, np.bool_)
        for latent in latents:
            found = self.index.hits(np.array([latent]), np.ones(1, np.float32), max(1, len(listed)))
            listed[found.passages] = True
        return listed

    def coded_with(self, latents: Sequence[int]) -> NDArray[np.bool_]:
        """Which positions have one of these latents in their stored code, (n_positions,).

        Raises:
            BadData: there is no such latent.
        """
        n_latents = self.sae.config.n_latents
        check_known(latents, n_latents, "ban")
        marked = np.zeros(n_latents)
        marked[list(latents)] = 1  # activations are positive, so their sum is above 0 where there is one
        return self._stored.reconstructed(marked, np.arange(self.index.n_positions)) > 0

    def _best_of(
        self, query: NDArray[np.floating[Any]], passages: NDArray[np.int64], cutoff: int, boosts: Mapping[int, float]
    ) -> Hits:
        # In double precision, as its explanation adds it up: little may be left of large products.
        q = np.asarray(query, dtype=np.float64)
        products, bias = self._directions @ q, self.sae.b_pre @ q
        check_known(boosts, len(products), "boost")
        for latent, factor in boosts.items():
            products[latent] *= factor
        scores = (self._stored.reconstructed(products, passages) + bias).astype(np.float32)
        return best_of(passages, scores, cutoff)

    def explain(
        self, query: NDArray[np.floating[Any]], hits: Hits, names: Names | None = None, steering: Steering = AS_IT_IS
    ) -> list[Explanation]:
        """Why `search` gave these hits their scores."""
        return self.index.explain(self.read(query, steering), hits, names, steering.passage_k)

    def explain_rescored(
        self, query: NDArray[np.floating[Any]], hits: Hits, names: Names | None = None, steering: Steering = AS_IT_IS
    ) -> list[Explanation]:
        """Why `rescored` or `scanned` gave these hits their scores."""
        codes = [(row.latents, row.activations) for row in map(self._stored.row, hits.passages.tolist())]
        return explain_rescored(hits.scores.tolist(), query, codes, self.sae, names, steering.boosts)


def _boosted(
    latents: NDArray[np.int32], weights: NDArray[np.float32], boosts: Mapping[int, float], n_latents: int
) -> ConceptQuery:
    check_known(boosts, n_latents, "boost")
    mean = float(weights.mean()) if len(weights) else 1.0
    weight_of = dict(zip(latents.tolist(), weights.tolist(), strict=True))
    for latent, factor in boosts.items():
        weight_of[latent] = factor * weight_of.get(latent, mean)
    boosted = {latent: weight for latent, weight in weight_of.items() if weight != 0}
    return ConceptQuery(np.array(list(boosted), np.int32), np.array(list(boosted.values()), np.float32))
