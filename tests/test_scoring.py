"""Concept retrieval: CL-SR's formula by hand, the inverted index against the dense product, the order of hits."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from unweave.artifact import MANIFEST
from unweave.errors import CorruptArtifact, DimensionMismatch, MissingArtifact, ScoringUndefined
from unweave.index.inverted import InvertedIndex, best
from unweave.index.scoring import (
    PROFILES,
    inverse_document_frequency,
    passage_impacts,
    query_weights,
    saturation,
)
from unweave.retrieval import ConceptSearcher

PAPER, DEFAULT = PROFILES["paper"], PROFILES["default"]

# Four passages, four latents; |d| = 3, 1, 2, 2, so avgdl = 2.
PASSAGES = np.array([[2, 1, 3, 0], [0, 3, 0, 0], [0, 1, 2, 0], [0, 0, 4, 5]], np.float32)

activations = st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.0, 3.0, 40.0])
latents_of_passages = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=activations)
)


# --- the formula ------------------------------------------------------------------------------------


def test_the_papers_impacts_by_hand():
    # h_d(z) = z (k1 + 1) / (z + k1 (1 - b + b |d| / avgdl)) with k1 = 0.6, b = 2:
    #   passage 0: 0.6 (1 - 2 + 2 * 3/2) = 1.2;  2 * 1.6 / 3.2 = 1;  1 * 1.6 / 2.2 = 8/11;  3 * 1.6 / 4.2 = 8/7
    #   passage 1: 0.6 (1 - 2 + 2 * 1/2) = 0;    3 * 1.6 / 3 = 1.6
    #   passage 2: 0.6 (1 - 2 + 2 * 2/2) = 0.6;  1 * 1.6 / 1.6 = 1;  2 * 1.6 / 2.6 = 16/13
    #   passage 3: the same 0.6;                 4 * 1.6 / 4.6 = 32/23;  5 * 1.6 / 5.6 = 10/7
    impacts = passage_impacts(csr_array(PASSAGES), PAPER)
    expected = [[1, 8 / 11, 8 / 7, 0], [0, 1.6, 0, 0], [0, 1, 16 / 13, 0], [0, 0, 32 / 23, 10 / 7]]
    np.testing.assert_allclose(impacts.toarray(), expected, rtol=1e-6)


def test_the_papers_idf_by_hand():
    # N = 4; ln((4 - n + 0.5) / (n + 0.5)): n = 1 gives ln(3.5 / 1.5), n = 3 gives ln(1.5 / 3.5), which is below 0.
    idf = inverse_document_frequency(np.array([1, 3, 3, 1]), 4, PAPER)
    np.testing.assert_allclose(idf, [math.log(7 / 3), -math.log(7 / 3), -math.log(7 / 3), math.log(7 / 3)], rtol=1e-6)


def test_the_papers_query_weights_by_hand():
    # h_q(z) = z (1.5 + 1) / (z + 1.5): 1 gives 2.5 / 2.5 = 1, 0.5 gives 1.25 / 2 = 0.625; times idf 2 and -1.
    weights = query_weights(np.array([1, 0.5], np.float32), np.array([2, -1], np.float32), PAPER)
    np.testing.assert_allclose(weights, [2, -0.625], rtol=1e-6)


def test_the_papers_scores_and_order_by_hand():
    # Query: latent 0 with activation 1, latent 1 with 0.5; idf +-ln(7/3) = +-0.847298, see above.
    # Weights 0.847298 * 1 and -0.847298 * 0.625 = -0.529561.
    #   passage 0: 0.847298 * 1 - 0.529561 * 8/11 = 0.462162
    #   passage 1: -0.529561 * 1.6 = -0.847298;  passage 2: -0.529561 * 1 = -0.529561;  passage 3 shares no latent.
    index = InvertedIndex.build(passage_impacts(csr_array(PASSAGES), PAPER), PAPER)
    idf = inverse_document_frequency(index.document_frequency, 4, PAPER)
    hits = index.search(np.array([0, 1]), query_weights(np.array([1, 0.5], np.float32), idf[:2], PAPER))
    assert hits.passages.tolist() == [0, 2, 1]
    np.testing.assert_allclose(hits.scores, [0.462162, -0.529561, -0.847298], rtol=1e-5)


def test_the_default_profile_by_hand():
    # Roots first, k1 = k2 = 10, b = 0: an activation of 4 has the impact 2 * 11 / (2 + 10) = 11/6 in any passage.
    impacts = passage_impacts(csr_array(np.array([[4, 0], [4, 9]], np.float32)), DEFAULT)
    np.testing.assert_allclose(impacts.toarray(), [[11 / 6, 0], [11 / 6, 33 / 13]], rtol=1e-6)
    # idf = ln(1 + (N - n + 0.5) / (n + 0.5)); N = 2, n = 2 gives ln(1 + 0.5 / 2.5) = ln 1.2, n = 1 gives ln 2.
    idf = inverse_document_frequency(np.array([2, 1]), 2, DEFAULT)
    np.testing.assert_allclose(idf, [math.log(1.2), math.log(2)], rtol=1e-6)
    # A query activation of 9 weighs idf * 3 * 11 / 13.
    weights = query_weights(np.array([9], np.float32), idf[1:], DEFAULT)
    np.testing.assert_allclose(weights, [math.log(2) * 33 / 13], rtol=1e-6)


def test_saturation_starts_at_zero_is_one_at_one_and_stays_below_k_plus_one():
    # z (k + 1) / (z + k) with k = 3: 0; 4/4; 8/5; 4000/1003
    np.testing.assert_allclose(
        saturation(np.array([0, 1, 2, 1000], np.float32), 3), [0, 1, 1.6, 4000 / 1003], rtol=1e-6
    )


def test_a_latent_that_no_passage_has_weighs_nothing():
    for scoring in PROFILES.values():
        assert inverse_document_frequency(np.array([0, 1]), 4, scoring)[0] == 0


def test_a_passage_keeps_only_its_strongest_latents_and_its_length_counts_only_those():
    # With max_latents = 1 every |d| is 1, so the denominators are z + 0.6: 5 * 1.6 / 5.6, 3 * 1.6 / 3.6.
    impacts = passage_impacts(csr_array(np.array([[2, 5], [3, 0]], np.float32)), replace(PAPER, max_latents=1))
    np.testing.assert_allclose(impacts.toarray(), [[0, 10 / 7], [4 / 3, 0]], rtol=1e-6)


def test_a_denominator_that_is_not_positive_is_an_error_that_counts_passages():
    # |d| = 10 and 2, avgdl = 6: 0.6 (1 - 2 + 2 * 2/6) = -0.2, and both activations of the second passage are below 0.2.
    short = np.zeros(10, np.float32)
    short[:2] = 0.1, 0.15
    latents = csr_array(np.stack([np.full(10, 5, np.float32), short]))
    with pytest.raises(
        ScoringUndefined, match=r"not positive for 1 of 2 passages.* b = 2 is above 1.*average 6\.0 latents"
    ):
        passage_impacts(latents, PAPER)
    assert passage_impacts(latents, DEFAULT).nnz == 12


def test_passages_without_a_defined_score_can_be_left_out_and_the_others_keep_theirs():
    # The case above: the first passage has 0.6 (1 - 2 + 2 * 10/6) = 1.4, so 5 * 1.6 / 6.4 for each latent.
    short = np.zeros(10, np.float32)
    short[:2] = 0.1, 0.15
    latents = csr_array(np.stack([np.full(10, 5, np.float32), short]))
    impacts = passage_impacts(latents, PAPER, leave_out_undefined=True)
    np.testing.assert_allclose(impacts.toarray(), [[1.25] * 10, [0] * 10], rtol=1e-6)


def test_a_denominator_that_vanishes_exactly_is_an_error():
    # |d| = 3 and 1, avgdl = 2, b = 3: 0.5 (1 - 3 + 3 * 1/2) = -0.25, which an activation of 0.25 cancels.
    latents = csr_array(np.array([[1, 1, 1], [0.25, 0, 0]], np.float32))
    with pytest.raises(ScoringUndefined, match="not positive for 1 of 2 passages"):
        passage_impacts(latents, replace(PAPER, k1=0.5, b=3.0))


@given(latents_of_passages)
def test_the_default_profile_is_defined_and_positive_for_every_corpus(latents):
    impacts = passage_impacts(csr_array(latents), DEFAULT)
    assert np.isfinite(impacts.data).all()
    assert (impacts.data > 0).all()
    np.testing.assert_array_equal(impacts.toarray() > 0, latents > 0)
    frequency = (latents > 0).sum(axis=0)
    idf = inverse_document_frequency(frequency, len(latents), DEFAULT)
    assert (idf[frequency > 0] > 0).all()
    row = latents[0]
    assert (query_weights(row[row > 0], idf[row > 0], DEFAULT) > 0).all()


def test_a_corpus_without_any_latent_has_no_impacts():
    for scoring in PROFILES.values():
        assert passage_impacts(csr_array((3, 4), dtype=np.float32), scoring).nnz == 0


# --- the inverted index ----------------------------------------------------------------------------


def index_of(impacts: np.ndarray) -> InvertedIndex:
    return InvertedIndex.build(csr_array(impacts), DEFAULT)


@given(latents_of_passages, st.integers(0, 2**32 - 1))
def test_scores_equal_the_dense_product(impacts, seed):
    query = np.random.default_rng(seed).uniform(0.1, 2, impacts.shape[1]).astype(np.float32)
    scores = index_of(impacts).scores(np.arange(impacts.shape[1]), query)
    np.testing.assert_allclose(scores, impacts.astype(np.float64) @ query, rtol=1e-6)


def test_posting_lists_are_ascending_and_document_frequencies_count_them():
    index = index_of(PASSAGES)
    assert index.offsets.tolist() == [0, 1, 4, 7, 8]
    assert index.passages.tolist() == [0, 0, 1, 2, 0, 2, 3, 3]
    assert index.impacts.tolist() == [2, 1, 3, 1, 3, 2, 4, 5]
    assert index.document_frequency.tolist() == [1, 3, 3, 1]


def test_the_impact_of_one_latent_in_one_passage_is_looked_up_or_zero():
    index = index_of(PASSAGES)
    assert [[index.impact(latent, passage) for latent in range(4)] for passage in range(4)] == PASSAGES.tolist()


@given(
    arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.sampled_from([0.0, 0.0, 1.0, 2.0])),
    arrays(np.float32, 3, elements=st.sampled_from([-1.0, 1.0, 2.0])),
    st.integers(1, 15),
)
def test_hits_are_the_head_of_a_full_sort_with_ties_in_corpus_order(impacts, weights, cutoff):
    # Small whole numbers: scores are exact and ties are frequent.
    scores = (impacts @ weights).tolist()
    expected = sorted((d for d, score in enumerate(scores) if score != 0), key=lambda d: (-scores[d], d))[:cutoff]
    hits = index_of(impacts).search(np.arange(3), weights, cutoff)
    assert hits.passages.tolist() == expected
    assert hits.scores.tolist() == [scores[d] for d in expected]


def test_ties_at_the_cutoff_are_settled_by_corpus_order():
    # Passages 1 to 4 tie for the second and third place.
    hits = index_of(np.array([[1], [2], [2], [2], [2], [3]], np.float32)).search(
        np.array([0]), np.ones(1, np.float32), 3
    )
    assert hits.passages.tolist() == [5, 1, 2]


def test_a_cutoff_beyond_the_corpus_gives_every_match():
    hits = index_of(PASSAGES).search(np.array([2]), np.ones(1, np.float32), 1000)
    assert hits.passages.tolist() == [3, 0, 2]


def test_a_query_without_latents_or_without_shared_ones_finds_nothing():
    index = index_of(np.array([[1, 0], [2, 0]], np.float32))
    for latents in ([], [1]):
        hits = index.search(np.array(latents, dtype=np.int64), np.ones(len(latents), np.float32))
        assert (len(hits.passages), len(hits.scores)) == (0, 0)


@given(arrays(np.float32, st.integers(0, 30), elements=st.sampled_from([-1.0, 0.0, 1.0, 2.0])), st.integers(1, 35))
def test_the_best_candidates_are_those_of_a_full_sort(scores, cutoff):
    candidates = np.arange(0, len(scores), 2)  # every second passage; the others' scores are not looked at
    expected = sorted(candidates.tolist(), key=lambda d: (-scores[d], d))[:cutoff]
    hits = best(scores, candidates, cutoff)
    assert hits.passages.tolist() == expected
    assert hits.scores.tolist() == scores[expected].tolist()


# --- the folder ------------------------------------------------------------------------------------


def test_saving_and_loading_an_index_changes_nothing(tmp_path):
    index = InvertedIndex.build(passage_impacts(csr_array(PASSAGES), PAPER), PAPER)
    index.save(tmp_path / "index", made_from={"latents": "a fingerprint"})
    loaded = InvertedIndex.load(tmp_path / "index")
    assert loaded.scoring == PAPER
    assert loaded.n_passages == 4
    for name in ("offsets", "passages", "impacts"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(index, name), strict=True)
    assert json.loads((tmp_path / "index" / MANIFEST).read_text())["made_from"] == {"latents": "a fingerprint"}


def test_an_index_without_postings_loads_and_finds_nothing(tmp_path):
    index_of(np.zeros((3, 2), np.float32)).save(tmp_path / "index", made_from={})
    hits = InvertedIndex.load(tmp_path / "index").search(np.array([0, 1]), np.ones(2, np.float32))
    assert len(hits.passages) == 0


@pytest.mark.parametrize("name", ["offsets", "passages", "impacts"])
def test_a_truncated_or_missing_array_is_refused(tmp_path, name):
    index_of(PASSAGES).save(tmp_path / "index", made_from={})
    path = tmp_path / "index" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CorruptArtifact, match=rf"{name}\.npy has \d+ bytes, expected \d+"):
        InvertedIndex.load(tmp_path / "index")
    path.unlink()
    with pytest.raises(CorruptArtifact, match=rf"{name}\.npy is missing"):
        InvertedIndex.load(tmp_path / "index")


def test_arrays_that_do_not_fit_together_are_refused(tmp_path, tamper):
    index_of(PASSAGES).save(tmp_path / "index", made_from={})
    np.save(tmp_path / "shorter.npy", np.ones(7, np.float32))
    tamper(tmp_path / "index" / "impacts.npy", (tmp_path / "shorter.npy").read_bytes())
    with pytest.raises(CorruptArtifact, match="three arrays do not fit together"):
        InvertedIndex.load(tmp_path / "index")


def test_a_missing_index_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingArtifact, match="there is no index in"):
        InvertedIndex.load(tmp_path / "nowhere")


# --- from query vector to hits ---------------------------------------------------------------------


def searcher_over(sae, embeddings, scoring=DEFAULT) -> ConceptSearcher:
    codes = sae.encode(embeddings)
    return ConceptSearcher(sae, InvertedIndex.build(passage_impacts(codes, scoring), scoring), codes)


def test_a_query_is_read_as_weights_of_the_latents_that_some_passage_has(identity_sae):
    # Only passage latents 0 and 1 occur; the query's latent 2 weighs 0 and is left out.
    # idf of latent 0: N = 2, n = 1, ln 2; its root activation is 2, so h_q = 2 * 11 / 12.
    searcher = searcher_over(identity_sae, np.eye(3)[:2])
    read = searcher.read(np.array([4.0, 0.0, 9.0]))
    assert read.latents.tolist() == [0]
    np.testing.assert_allclose(read.weights, [math.log(2) * 22 / 12], rtol=1e-6)


def test_a_query_that_activates_nothing_finds_nothing(identity_sae):
    searcher = searcher_over(identity_sae, np.eye(3))
    for search in (searcher.search, searcher.rescored):
        hits = search(np.array([0.1, 0.1, 0.1]))
        assert (len(hits.passages), len(hits.scores)) == (0, 0)


def test_a_query_of_another_width_is_refused(identity_sae):
    with pytest.raises(DimensionMismatch, match=r"reads \(n, 3\)"):
        searcher_over(identity_sae, np.eye(3)).search(np.ones(4))


@pytest.mark.parametrize("seed", range(3))
def test_rescored_hits_are_ordered_by_the_query_times_the_reconstruction(random_sae, seed):
    sae = random_sae(seed)
    random = np.random.default_rng(seed)
    embeddings, query = random.normal(size=(40, 8)).astype(np.float32), random.normal(size=8)
    searcher = searcher_over(sae, embeddings)
    found = searcher.search(query, 25).passages
    dense = sae.reconstruct(embeddings).astype(np.float64) @ query
    expected = sorted(found.tolist(), key=lambda d: -dense[d])[:10]
    hits = searcher.rescored(query, cutoff=10, candidates=25)
    assert hits.passages.tolist() == expected
    np.testing.assert_allclose(hits.scores, dense[expected], rtol=1e-4)


def test_rescoring_looks_only_at_the_candidates_that_concepts_found(identity_sae):
    # By concepts passage 0 comes first: two shared latents. By q . x_hat it is passage 1: 3 * 3 > 3 * 1 + 1 * 1.
    embeddings = np.array([[1.0, 1.0, 0], [3.0, 0, 0], [0, 0, 1]])
    searcher, query = searcher_over(identity_sae, embeddings), np.array([3.0, 1.0, 0])
    assert searcher.search(query, 1).passages.tolist() == [0]
    assert searcher.rescored(query, cutoff=5, candidates=1).passages.tolist() == [0]
    assert searcher.rescored(query, cutoff=5).passages.tolist() == [1, 0]
    assert searcher.rescored(query, cutoff=5).scores.tolist() == [9, 4]
