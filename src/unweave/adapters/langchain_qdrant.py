"""Qdrant through LangChain: texts as sparse vectors of concepts, so that its sparse search is ours.

An example, with a project in the folder `demo` and some `texts`:

    concepts = ConceptSparseEmbeddings("demo")
    store = QdrantVectorStore.from_texts(texts, sparse_embedding=concepts, location=":memory:",
                                         retrieval_mode=RetrievalMode.SPARSE)
"""

from __future__ import annotations

from pathlib import Path

from scipy.sparse import csr_array

from unweave.adapters.needed import needed
from unweave.adapters.sparse import SparseTexts
from unweave.project import Project

with needed("sparse embeddings for Qdrant", "langchain-qdrant"):
    from langchain_qdrant.sparse_embeddings import SparseEmbeddings, SparseVector


class ConceptSparseEmbeddings(SparseEmbeddings):
    """Documents as impacts, queries as weights: the dot product is the score of concept search."""

    def __init__(self, source: Project | Path | str, profile: str = "default") -> None:
        """Take a project, or its folder, and which of its indexes decides the scoring: `default` or `paper`."""
        self._texts = SparseTexts(source, profile)

    def embed_documents(self, texts: list[str]) -> list[SparseVector]:
        return _rows(self._texts.passages(texts)) if texts else []

    def embed_query(self, text: str) -> SparseVector:
        (vector,) = _rows(self._texts.queries([text]))
        return vector


def _rows(found: csr_array) -> list[SparseVector]:
    spans = map(slice, found.indptr[:-1], found.indptr[1:])
    return [SparseVector(indices=found.indices[row].tolist(), values=found.data[row].tolist()) for row in spans]
