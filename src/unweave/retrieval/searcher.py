"""Query vector to hits: by concepts, and by concepts with the best rescored from their stored codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.contributions import Names
from unweave.base.records import Explanation
from unweave.errors import BadData
from unweave.explaining.accounting import explain_rescored
from unweave.index.codes import Codes
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits, best_of
from unweave.index.query import ConceptQuery
from unweave.retrieval.query_reader import QueryReader
from unweave.retrieval.steering import AS_IT_IS, Steering
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
        """The best `candidates` by concept score, ordered anew by q . x_hat of their stored codes."""
        found = np.sort(self.search(query, candidates, steering).passages)
        return self._best_of(query, found, cutoff)

    def scanned(
        self, query: NDArray[np.floating[Any]], cutoff: int = 10, allowed: NDArray[np.bool_] | None = None
    ) -> Hits:
        """The best of all passages by q . x_hat of their stored codes: no inverted lists are read, but every code.

        Args:
            allowed: (n_positions,) which passages may be found; None: all.
        """
        positions = np.arange(self.index.n_positions) if allowed is None else np.flatnonzero(allowed)
        return self._best_of(query, positions, cutoff)

    def _best_of(self, query: NDArray[np.floating[Any]], passages: NDArray[np.int64], cutoff: int) -> Hits:
        # In double precision, as its explanation adds it up: little may be left of large products.
        q = np.asarray(query, dtype=np.float64)
        products, bias = self._directions @ q, self.sae.b_pre @ q
        scores = (self._stored.reconstructed(products, passages) + bias).astype(np.float32)
        return best_of(passages, scores, cutoff)

    def explain(
        self, query: NDArray[np.floating[Any]], hits: Hits, names: Names | None = None, steering: Steering = AS_IT_IS
    ) -> list[Explanation]:
        """Why `search` gave these hits their scores."""
        return self.index.explain(self.read(query, steering), hits, names, steering.passage_k)

    def explain_rescored(
        self, query: NDArray[np.floating[Any]], hits: Hits, names: Names | None = None
    ) -> list[Explanation]:
        """Why `rescored` or `scanned` gave these hits their scores."""
        codes = [(row.latents, row.activations) for row in map(self._stored.row, hits.passages.tolist())]
        return explain_rescored(hits.scores.tolist(), query, codes, self.sae, names)


def _boosted(
    latents: NDArray[np.int32], weights: NDArray[np.float32], boosts: Mapping[int, float], n_latents: int
) -> ConceptQuery:
    unknown = [latent for latent in boosts if not 0 <= latent < n_latents]
    if unknown:
        raise BadData(f"there is no concept {unknown[0]} to boost; they are numbered from 0 to {n_latents - 1}")
    mean = float(weights.mean()) if len(weights) else 1.0
    weight_of = dict(zip(latents.tolist(), weights.tolist(), strict=True))
    for latent, factor in boosts.items():
        weight_of[latent] = factor * weight_of.get(latent, mean)
    boosted = {latent: weight for latent, weight in weight_of.items() if weight != 0}
    return ConceptQuery(np.array(list(boosted), np.int32), np.array(list(boosted.values()), np.float32))
