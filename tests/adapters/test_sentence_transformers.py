"""sentence-transformers' own SparseEncoder with our module, beside the project's search."""

from __future__ import annotations

import pytest

pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

from kept_demo import QUERY, kept, run_example
from sentence_transformers import SparseEncoder
from sentence_transformers.sparse_encoder.evaluation import SparseInformationRetrievalEvaluator
from sentence_transformers.util import semantic_search

from unweave.adapters.sentence_transformers import ConceptModule

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's sparse tensors are in beta, as it says


@pytest.fixture(scope="module")
def encoder() -> SparseEncoder:
    return SparseEncoder(modules=[ConceptModule(kept())])


def test_the_example_runs():
    assert "tensor" in run_example("sentence_transformers", SparseEncoder=SparseEncoder)


def test_similarity_is_the_score_of_concept_search(encoder):
    passages = list(kept().corpus)
    query, texts = encoder.encode_query(QUERY), encoder.encode_document([p.content for p in passages])
    assert encoder.get_embedding_dimension() == kept().sae.config.n_latents == texts.shape[1]
    (found,) = semantic_search(query, texts.to_dense(), top_k=10, score_function=encoder.similarity)
    hits = kept().search(QUERY, 10)
    assert [passages[one["corpus_id"]].passage_id for one in found] == [hit.passage.passage_id for hit in hits]
    assert [one["score"] for one in found] == pytest.approx([hit.score for hit in hits], rel=0.01)


def test_decode_gives_the_names_of_concepts(encoder):
    query = encoder.encode_query(QUERY)
    expected = [kept().concepts.get(latent, f"#{latent}") for latent in query.coalesce().indices()[0].tolist()]
    assert sorted(name for name, _ in encoder.decode(query)) == sorted(expected)
    both = encoder.intersection(query, encoder.encode_document([kept().search(QUERY, 1)[0].passage.content])[0])
    shared = {c.name or f"#{c.latent}" for c in kept().search(QUERY, 1, explain=True)[0].explanation.contributions}
    assert {name for name, _ in encoder.decode(both)} == shared


def test_a_saved_encoder_says_where_the_project_lies(encoder, tmp_path):
    encoder.save_pretrained(str(tmp_path), create_model_card=False)
    again = SparseEncoder(str(tmp_path), trust_remote_code=True)
    assert again.decode(again.encode_query(QUERY)) == encoder.decode(encoder.encode_query(QUERY))


def test_its_own_evaluator_finds_what_is_relevant(encoder):
    corpus = {p.passage_id: p.content for p in kept().corpus}
    best = kept().search(QUERY, 1)[0].passage.passage_id
    measure = SparseInformationRetrievalEvaluator({"q": QUERY}, corpus, {"q": {best}}, show_progress_bar=False)
    assert measure(encoder)["dot_accuracy@1"] == 1.0
