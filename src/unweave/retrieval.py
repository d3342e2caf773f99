"""Query vector to hits: by concepts, and by concepts with the best rescored from their stored codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.explanation import Explanation, Names, explain_concept_score, explain_rescored
from unweave.index.inverted import Hits, InvertedIndex, best
from unweave.index.scoring import inverse_document_frequency, query_weights
from unweave.sae.model import SAE


class ConceptQuery(NamedTuple):
    """A query as the index reads it."""

    latents: NDArray[np.int32]  # (n_active,)
    weights: NDArray[np.float32]  # (n_active,) idf * h_q


@dataclass(frozen=True, eq=False)
class ConceptSearcher:
    """CL-SR over one index; with `codes`, also rescoring and its explanations."""

    sae: SAE
    index: InvertedIndex
    codes: csr_array
    """(n_passages, n_latents): each passage's latents, as `SAE.encode` gave them."""

    @cached_property
    def _idf(self) -> NDArray[np.float32]:
        return inverse_document_frequency(self.index.document_frequency, self.index.n_passages, self.index.scoring)

    @cached_property
    def _directions(self) -> NDArray[np.float64]:
        return self.sae.W_dec.astype(np.float64)

    def read(self, query: NDArray[np.floating[Any]]) -> ConceptQuery:
        """The latents of a query vector, (d_in,), and their weights; a weight of 0 is left out."""
        code = self.sae.encode(query)
        weights = query_weights(code.data, self._idf[code.indices], self.index.scoring)
        return ConceptQuery(code.indices[weights != 0], weights[weights != 0])

    def search(self, query: NDArray[np.floating[Any]], cutoff: int = 10) -> Hits:
        """The passages with the highest concept score."""
        return self.index.search(*self.read(query), cutoff=cutoff)

    def rescored(self, query: NDArray[np.floating[Any]], cutoff: int = 10, candidates: int = 1000) -> Hits:
        """The best `candidates` by concept score, ordered anew by q . x_hat of their stored codes."""
        found = np.sort(self.search(query, candidates).passages)
        # In double precision, as its explanation adds it up: little may be left of large products.
        q = np.asarray(query, dtype=np.float64)
        products, bias = self._directions @ q, self.sae.b_pre @ q
        scores = np.zeros(self.index.n_passages, dtype=np.float32)
        scores[found] = self.codes[found] @ products + bias
        return best(scores, found, cutoff)

    def explain(self, query: NDArray[np.floating[Any]], passage: int, score: float, names: Names) -> Explanation:
        """Why `search` gave the passage at this position its score."""
        return explain_concept_score(score, passage, *self.read(query), self.index, names)

    def explain_rescored(
        self, query: NDArray[np.floating[Any]], passage: int, score: float, names: Names
    ) -> Explanation:
        """Why `rescored` gave the passage at this position its score."""
        row = slice(self.codes.indptr[passage], self.codes.indptr[passage + 1])
        return explain_rescored(score, query, self.codes.indices[row], self.codes.data[row], self.sae, names)
