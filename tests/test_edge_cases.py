"""Edge cases of the numbers: ties, cancellation, texts that are all the same, damaged arrays, empty queries."""

from __future__ import annotations

import json
from dataclasses import replace
from urllib.parse import unquote

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from unweave.concepts.namers.keyphrases import Phrases
from unweave.config import KeyphraseConfig, SAEConfig, TrainConfig
from unweave.errors import BadData, CorruptArtifact
from unweave.evaluation.measures import measure
from unweave.evaluation.runs import read_run, write_run
from unweave.index.scoring import PROFILES
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.model import SAE, WEIGHTS
from unweave.sae.training.run import run_training

SMALL = SAEConfig(d_in=16, n_latents=32, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)
DEFAULT = PROFILES["default"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_an_embedding_that_cannot_be_encoded_cannot_be_trained_on(sparse_data, value):
    texts = sparse_data(n=100).embeddings
    texts[7] = value
    with pytest.raises(BadData, match="texts to train on: row 7"):
        run_training(texts, texts[:20], SMALL, SHORT)


@pytest.mark.parametrize("n_held_out", [0, 1])
def test_held_out_nmse_is_none_where_too_few_texts_are_held_out_to_measure_it(sparse_data, n_held_out):
    texts = sparse_data(n=101).embeddings
    history = run_training(texts[:100], texts[100 : 100 + n_held_out], SMALL, replace(SHORT, steps=3)).history
    assert all(entry["nmse_held_out"] is None for entry in history)
    json.dumps(history, allow_nan=False)


def test_nmse_of_texts_that_are_all_the_same_is_none(identity_sae):
    measured = identity_sae.measure(np.ones((3, 3)))
    assert (measured.nmse, measured.l0) == (None, 3.0)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("b_enc", np.zeros(4, np.float32)),
        ("b_pre", np.zeros(1, np.float32)),
        ("threshold", np.zeros(0, np.float32)),
        ("threshold", np.float32(1)),
        ("W_dec", np.full((3, 3), np.nan, np.float32)),
        ("b_pre", np.full(3, np.inf, np.float32)),
    ],
)
def test_a_tensor_of_another_shape_or_without_numbers_is_refused(identity_sae, tmp_path, tamper, name, tensor):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / WEIGHTS
    tamper(path, save(load_file(path) | {name: np.asarray(tensor)}))
    with pytest.raises(CorruptArtifact):
        SAE.load(tmp_path / "sae")


# --- test_scoring.py ------------------------------------------------------------------------------


@pytest.mark.parametrize("b", [0.0, 0.9])
def test_scores_near_zero_are_explained_to_the_same_precision(random_sae, index_of, b):
    # Large parts of both signs leave little: with the paper's idf, and with rescoring.
    scoring = replace(PROFILES["paper"], b=b)
    for seed in range(4):
        sae = random_sae(seed, d_in=32, n_latents=128)
        random = np.random.default_rng(seed)
        embeddings = random.normal(size=(300, 32)).astype(np.float32)
        searcher = ConceptSearcher(sae, index_of(sae.encode(embeddings), scoring))
        for query in embeddings[:3]:
            for hits, explain in (
                (searcher.search(query, 300), searcher.explain),
                (searcher.rescored(query, 300), searcher.explain_rescored),
            ):
                for explanation in explain(query, hits):
                    explanation.check()


@pytest.mark.parametrize("texts", [["the of", "and"], ["wind turbine", "bread oven"], ["", ""]])
def test_a_collection_without_any_phrase_names_nothing(texts):
    # Stop words only; no phrase in least_texts = 2 texts; nothing at all.
    assert Phrases(texts, KeyphraseConfig()).candidates(np.array([0]), np.ones(1, np.float32)) == []


@pytest.mark.parametrize("n", range(2, 40))
def test_rounding_is_no_contrast(n):
    # Equally active for all n texts: coverage is the share of all texts, whatever n; the score is 0, not 1e-8.
    texts = ["kite repair" if i % 3 else "boat oven" for i in range(n)]
    phrases = Phrases(texts, KeyphraseConfig(least_texts=1))
    assert phrases.candidates(np.arange(n), np.full(n, 0.7, np.float32)) == []


def test_of_phrases_that_score_the_same_the_longest_is_shown():
    # "wind", "turbine" and "wind turbine" are in the same three texts of six.
    texts = ["The wind turbine turned.", "A wind turbine hums.", "Old wind turbine!", "Warm bread.", "Bread.", "Flour."]
    phrases = Phrases(texts, KeyphraseConfig())
    best = phrases.candidates(np.arange(3), np.ones(3, np.float32))[0]
    assert (phrases.written(best), best.coverage) == ("wind turbine", pytest.approx(1.0))


@pytest.mark.parametrize(
    ("alias", "name"), [("MRR@10", "RR@10"), ("Recall@100", "R@100"), ("nDCG(cutoff=10)", "nDCG@10")]
)
def test_a_measure_may_be_asked_for_by_any_of_its_names(alias, name):
    run, qrels = {"a": [("x", 2.0), ("y", 1.0)]}, {"a": {"y": 1}}
    assert measure(run, qrels, [alias])[alias] == measure(run, qrels, [name])[name]


@pytest.mark.parametrize("blank", ["\xa0", "\u3000", "\u2028", "\x85", "\x1c", "\u2003"])
def test_no_blank_that_python_splits_at_parts_a_line_of_a_run(tmp_path, blank):
    write_run(tmp_path / "a.trec", {f"wind{blank}power": [(f"{blank}d", 1.5)]}, "toy")
    ((query_id, ((passage_id, score),)),) = read_run(tmp_path / "a.trec").items()
    assert (unquote(query_id), unquote(passage_id), score) == (f"wind{blank}power", f"{blank}d", 1.5)
