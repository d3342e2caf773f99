"""Qdrant's sparse search through LangChain, beside the project's own."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_qdrant", reason="langchain-qdrant is not installed")

from kept_demo import QUERY, kept, run_example
from langchain_qdrant import QdrantVectorStore, RetrievalMode

from unweave.adapters.langchain_qdrant import ConceptSparseEmbeddings

pytestmark = pytest.mark.filterwarnings("ignore")  # what Qdrant's client says of its local mode


def test_the_example_runs():
    texts = [p.text for p in kept().corpus][:5]
    run_example("langchain_qdrant", QdrantVectorStore=QdrantVectorStore, RetrievalMode=RetrievalMode, texts=texts)


def stored(concepts: ConceptSparseEmbeddings) -> QdrantVectorStore:
    """The kept project's passages in Qdrant."""
    passages = list(kept().corpus)
    return QdrantVectorStore.from_texts(
        [p.content for p in passages], metadatas=[{"of": p.passage_id} for p in passages], sparse_embedding=concepts,
        location=":memory:", retrieval_mode=RetrievalMode.SPARSE,
    )  # fmt: skip


def test_qdrant_finds_what_the_project_finds():
    found = stored(ConceptSparseEmbeddings(kept())).similarity_search_with_score(QUERY, 10)
    hits = kept().search(QUERY, 10)
    assert [one.metadata["of"] for one, _ in found] == [hit.passage.passage_id for hit in hits]
    assert [score for _, score in found] == pytest.approx([hit.score for hit in hits], rel=0.01)


def test_the_papers_scoring_has_other_weights():
    one, other = (ConceptSparseEmbeddings(kept(), of).embed_documents([QUERY])[0] for of in ("default", "paper"))
    assert len(other.indices) <= 24 and (one.indices, one.values) != (other.indices, other.values)


def test_no_texts_are_no_vectors():
    assert ConceptSparseEmbeddings(kept()).embed_documents([]) == []
