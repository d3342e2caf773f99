"""LlamaIndex's own retrievers and query engines with ours, and with our explanations of theirs."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")

from kept_demo import QUERY, assert_adds_up, kept, run_example
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from unweave.adapters.llama_index import ConceptRetriever, ExplainNodes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_example_runs():
    assert "'concept':" in run_example("llama_index")


def test_the_retriever_finds_what_the_project_finds_and_says_why():
    retriever = ConceptRetriever(kept(), 4, "dense")
    found, hits = retriever.retrieve(QUERY), kept().search(QUERY, 4, system="dense")
    assert [(one.node_id, one.score) for one in found] == [(hit.passage.passage_id, hit.score) for hit in hits]
    for one in found:
        assert_adds_up(one.node.metadata["unweave"])
    vector = kept().encoder.encode_queries([QUERY])[0]
    by_vector = retriever.retrieve(QueryBundle(QUERY, embedding=vector.tolist()))
    assert [one.node_id for one in by_vector] == [one.node_id for one in found]
    assert [one.node_id for one in asyncio.run(retriever.aretrieve(QUERY))] == [one.node_id for one in found]


def test_nodes_of_another_index_are_explained_and_keep_their_scores():
    encoder = kept().encoder
    nodes = [TextNode(id_=p.passage_id, text=p.content) for p in list(kept().corpus)[:20]]
    for node, vector in zip(nodes, encoder.encode_passages([n.text for n in nodes]), strict=True):
        node.embedding = vector.tolist()
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(384))
    asked = QueryBundle(QUERY, embedding=encoder.encode_queries([QUERY])[0].tolist())
    found = index.as_retriever(similarity_top_k=3).retrieve(asked)
    explained = ExplainNodes(source=kept()).postprocess_nodes(found, asked)
    assert [(one.node_id, one.score) for one in explained] == [(one.node_id, one.score) for one in found]
    for one in explained:
        assert_adds_up(one.node.metadata["unweave"])
        assert one.node.metadata["unweave"]["score"] == pytest.approx(one.score, abs=1e-4)
    assert "unweave" not in found[0].node.metadata


def test_vectors_that_a_node_holds_are_read():
    vectors = kept().embedded("passages").rows(0, 2)
    nodes = [NodeWithScore(node=TextNode(text="", embedding=v.tolist())) for v in vectors]
    for one in ExplainNodes(source=kept()).postprocess_nodes(nodes, query_str=QUERY):
        assert_adds_up(one.node.metadata["unweave"])


def test_a_model_does_not_read_the_explanation():
    engine = RetrieverQueryEngine.from_args(
        ConceptRetriever(kept(), 2), llm=MockLLM(), node_postprocessors=[ExplainNodes(source=kept().path)]
    )
    answer = engine.query(QUERY)
    assert len(answer.source_nodes) == 2
    assert "residual" not in str(answer)
    for one in answer.source_nodes:
        assert "residual" not in one.node.get_content(MetadataMode.LLM)
        assert "residual" not in one.node.get_content(MetadataMode.EMBED)


def test_nodes_without_a_query_are_refused():
    with pytest.raises(ValueError, match="no query came in"):
        ExplainNodes(source=kept()).postprocess_nodes([NodeWithScore(node=TextNode(text="a"))])
