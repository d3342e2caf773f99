"""Haystack's own pipelines with our components."""

from __future__ import annotations

import os

import pytest

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # before it is imported: it would write home
pytest.importorskip("haystack", reason="haystack-ai is not installed")

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from kept_demo import QUERY, assert_adds_up, kept, run_example

from unweave.adapters.haystack import ConceptRetriever, ExplainDocuments
from unweave.errors import BadData

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_example_runs():
    assert "'concept':" in run_example("haystack")


def test_the_retriever_finds_what_the_project_finds_and_says_why():
    found = ConceptRetriever(kept(), top_k=4, system="dense").run(QUERY)["documents"]
    hits = kept().search(QUERY, 4, system="dense")
    assert [(one.id, one.score) for one in found] == [(hit.passage.passage_id, hit.score) for hit in hits]
    for one in found:
        assert_adds_up(one.meta["unweave"])
    assert len(ConceptRetriever(kept()).run(QUERY, top_k=1)["documents"]) == 1


def test_filters_choose_by_metadata():
    pages = [p.metadata["page"] for p in kept().corpus]
    one, other = pages[0], pages[-1]
    assert one != other

    def found(filters):
        return {d.meta["page"] for d in ConceptRetriever(kept(), 80, "dense").run(QUERY, filters)["documents"]}

    is_one, is_other = ({"field": "meta.page", "operator": "==", "value": page} for page in (one, other))
    assert found(is_one) == {one}
    assert found({"field": "page", "operator": "!=", "value": one}) == set(pages) - {one}
    assert found({"operator": "OR", "conditions": [is_one, is_other]}) == {one, other}
    assert found({"operator": "AND", "conditions": [is_one, is_other]}) == set()
    assert found({"operator": "NOT", "conditions": [is_one]}) == set(pages) - {one}
    with pytest.raises(BadData, match="a filter with '>' came in"):
        found({"field": "meta.page", "operator": ">", "value": 1})


def test_a_pipeline_is_written_read_and_run():
    pipeline = Pipeline()
    pipeline.add_component("found", ConceptRetriever(kept(), 2))
    pipeline.add_component("why", ExplainDocuments(kept().path))
    pipeline.connect("found.documents", "why.documents")
    asked = {"found": {"query": QUERY}, "why": {"query": QUERY}}
    first = pipeline.run(asked)["why"]["documents"]
    assert len(first) == 2
    assert (
        Pipeline.loads(pipeline.dumps(), allowed_modules=["unweave.adapters.haystack"]).run(asked)["why"]["documents"]
        == first
    )


@pytest.mark.parametrize("similarity", ["cosine", "dot_product"])
def test_documents_of_another_store_are_explained_and_keep_their_scores(similarity):
    passages = list(kept().corpus)[:20]
    store = InMemoryDocumentStore(embedding_similarity_function=similarity)
    rows = kept().encoder.encode_passages([p.content for p in passages])
    both = zip(passages, rows, strict=True)
    store.write_documents([Document(id=p.passage_id, content=p.content, embedding=row.tolist()) for p, row in both])
    retriever = InMemoryEmbeddingRetriever(store, top_k=3, scale_score=False, return_embedding=True)
    found = retriever.run(kept().encoder.encode_queries([QUERY])[0].tolist())["documents"]
    explained = ExplainDocuments(kept()).run(QUERY, found)["documents"]
    assert [(one.id, one.score) for one in explained] == [(one.id, one.score) for one in found]
    for one in explained:
        assert_adds_up(one.meta["unweave"])
        assert one.meta["unweave"]["score"] == pytest.approx(one.score, abs=1e-5)
