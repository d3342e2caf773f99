"""Texts as sparse vectors whose product is our score: a query's weights and a passage's impacts, latent by latent.

For engines and models that multiply sparse vectors. Passages need not be those of the project's corpus; idf and, where
the scoring reads it, the mean number of latents are the corpus's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from unweave.adapters.source import project_of
from unweave.index.activations import rounded
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import impacts_of
from unweave.project import Project
from unweave.retrieval.query import VECTOR
from unweave.retrieval.query_reader import QueryReader
from unweave.sae.model import strongest
from unweave.stages.asked import check_encoder, read_all


@dataclass(frozen=True)
class SparseTexts:
    """Both sides of concept search for any texts, as one index of a project scores them."""

    source: Project | Path | str
    """A project, or its folder."""
    profile: str = "default"
    """The index: `default` or `paper`."""

    @property
    def index(self) -> ConceptIndex:
        """The index whose scoring it is."""
        return project_of(self.source).index_of(self.profile)

    def queries(self, texts: Sequence[str]) -> csr_array:
        """The weights of queries, idf * h_q, (n, n_latents)."""
        read = read_all(project_of(self.source), list(texts), frozenset({VECTOR}))
        return self.queries_of(np.array([one.embedding() for one in read]))

    def queries_of(self, embeddings: NDArray[np.float32]) -> csr_array:
        """The same of embeddings, (n, d_in)."""
        reader = QueryReader.of(project_of(self.source).sae, self.index)
        rows, shape = map(reader.read, embeddings), (1, self.index.n_latents)
        return csr_array(vstack([csr_array((r.weights, r.latents, [0, len(r.latents)]), shape=shape) for r in rows]))

    def passages(self, texts: Sequence[str]) -> csr_array:
        """The impacts of passages, (n, n_latents), as if they were indexed."""
        of = project_of(self.source)
        check_encoder(of, "embeddings/passages")
        return self.passages_of(of.encoder.encode_passages(list(texts)))

    def passages_of(self, embeddings: NDArray[np.float32]) -> csr_array:
        """The same of embeddings, (n, d_in)."""
        scoring, z = self.index.scoring, project_of(self.source).sae.encode(embeddings)
        z.data = rounded(z.data)
        z = z if scoring.max_latents is None else strongest(z, scoring.max_latents)
        for row in map(slice, z.indptr[:-1], z.indptr[1:]):
            impacts = impacts_of(z.data[row], self.index.mean_latents, scoring)
            usable = bool(np.all((impacts > 0) & np.isfinite(impacts)))  # else the index leaves the passage out
            z.data[row] = impacts if usable else 0
        z.eliminate_zeros()
        return z
