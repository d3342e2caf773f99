"""Concept retrieval: CL-SR's formula by hand, the order of hits, rescoring. The index has tests of its own."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from unweave.base.records import Contribution, Explanation
from unweave.errors import BadData, DimensionMismatch, ScoringUndefined
from unweave.index.activations import rounded
from unweave.index.hits import IndexHit, best
from unweave.index.scoring import (
    DOT,
    PROFILES,
    TOKENS,
    Scoring,
    impacts_of,
    inverse_document_frequency,
    query_weights,
    saturation,
)
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import Steering

PAPER, DEFAULT = PROFILES["paper"], PROFILES["default"]

# Four passages, four latents; |d| = 3, 1, 2, 2, so avgdl = 2.
PASSAGES = np.array([[2, 1, 3, 0], [0, 3, 0, 0], [0, 1, 2, 0], [0, 0, 4, 5]], np.float32)

activations = st.sampled_from([0.0, 0.0, 0.0, 0.25, 1.0, 3.0, 40.0])
latents_of_passages = st.tuples(st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=activations)
)


def impacts_in(index) -> np.ndarray:
    """What an index holds, (n_passages, n_latents)."""
    impacts = np.zeros((index.n_positions, index.n_latents), np.float32)
    for position in range(index.n_positions):
        row = index.impacts(position)
        impacts[position, row.latents] = row.activations
    return impacts


# --- the formula ------------------------------------------------------------------------------------


def test_the_papers_impacts_by_hand(index_of):
    # h_d(z) = z (k1 + 1) / (z + k1 (1 - b + b |d| / avgdl)) with k1 = 0.6, b = 2:
    #   passage 0: 0.6 (1 - 2 + 2 * 3/2) = 1.2;  2 * 1.6 / 3.2 = 1;  1 * 1.6 / 2.2 = 8/11;  3 * 1.6 / 4.2 = 8/7
    #   passage 1: 0.6 (1 - 2 + 2 * 1/2) = 0;    3 * 1.6 / 3 = 1.6
    #   passage 2: 0.6 (1 - 2 + 2 * 2/2) = 0.6;  1 * 1.6 / 1.6 = 1;  2 * 1.6 / 2.6 = 16/13
    #   passage 3: the same 0.6;                 4 * 1.6 / 4.6 = 32/23;  5 * 1.6 / 5.6 = 10/7
    expected = [[1, 8 / 11, 8 / 7, 0], [0, 1.6, 0, 0], [0, 1, 16 / 13, 0], [0, 0, 32 / 23, 10 / 7]]
    np.testing.assert_allclose(impacts_in(index_of(PASSAGES, PAPER)), expected, rtol=1e-6)


def test_the_papers_idf_by_hand():
    # N = 4; ln((4 - n + 0.5) / (n + 0.5)): n = 1 gives ln(3.5 / 1.5), n = 3 gives ln(1.5 / 3.5), which is below 0.
    idf = inverse_document_frequency(np.array([1, 3, 3, 1]), 4, PAPER)
    np.testing.assert_allclose(idf, [math.log(7 / 3), -math.log(7 / 3), -math.log(7 / 3), math.log(7 / 3)], rtol=1e-6)


def test_the_papers_query_weights_by_hand():
    # h_q(z) = z (1.5 + 1) / (z + 1.5): 1 gives 2.5 / 2.5 = 1, 0.5 gives 1.25 / 2 = 0.625; times idf 2 and -1.
    weights = query_weights(np.array([1, 0.5], np.float32), np.array([2, -1], np.float32), PAPER)
    np.testing.assert_allclose(weights, [2, -0.625], rtol=1e-6)


def test_the_papers_scores_and_order_by_hand(index_of):
    # Query: latent 0 with activation 1, latent 1 with 0.5; idf +-ln(7/3) = +-0.847298, see above.
    # Weights 0.847298 * 1 and -0.847298 * 0.625 = -0.529561.
    #   passage 0: 0.847298 * 1 - 0.529561 * 8/11 = 0.462162
    #   passage 1: -0.529561 * 1.6 = -0.847298;  passage 2: -0.529561 * 1 = -0.529561;  passage 3 shares no latent.
    index = index_of(PASSAGES, PAPER)
    idf = inverse_document_frequency(index.document_frequency, 4, PAPER)
    hits = index.hits(np.array([0, 1]), query_weights(np.array([1, 0.5], np.float32), idf[:2], PAPER))
    assert hits.passages.tolist() == [0, 2, 1]
    np.testing.assert_allclose(hits.scores, [0.462162, -0.529561, -0.847298], rtol=1e-5)


def test_the_default_profile_by_hand(index_of):
    # Roots first, k1 = k2 = 10, b = 0: an activation of 4 has the impact 2 * 11 / (2 + 10) = 11/6 in any passage.
    impacts = impacts_in(index_of(np.array([[4, 0], [4, 9]], np.float32), DEFAULT))
    np.testing.assert_allclose(impacts, [[11 / 6, 0], [11 / 6, 33 / 13]], rtol=1e-6)
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


def test_a_constant_of_zero_counts_that_a_latent_is_there_and_not_how_strongly(index_of):
    # z (0 + 1) / (z + 0) = 1, for a passage as for a query.
    there = replace(DOT, k1=0.0, k2=0.0)
    np.testing.assert_allclose(impacts_in(index_of(PASSAGES, there)), PASSAGES > 0)
    np.testing.assert_allclose(query_weights(np.array([0.5, 4], np.float32), np.ones(2, np.float32), there), [1, 1])


def test_the_papers_constants_are_the_papers():
    assert (PAPER.max_latents, PAPER.k1, PAPER.k2, PAPER.b, PAPER.root) == (24, 0.6, 1.5, 2.0, False)
    assert (DEFAULT.max_latents, TOKENS.max_latents, TOKENS.k1, TOKENS.k2, TOKENS.b) == (48, 256, 1.2, 1.2, 0.7)
    assert TOKENS.root and DEFAULT.root


def test_a_latent_that_no_passage_has_weighs_nothing():
    for scoring in PROFILES.values():
        assert inverse_document_frequency(np.array([0, 1]), 4, scoring)[0] == 0
    assert inverse_document_frequency(np.array([0, 1]), 4, DOT).tolist() == [0, 1]


def test_without_a_formula_a_passage_has_its_activations():
    assert impacts_of(np.array([2.0, 0.5], np.float32), 7.0, DOT).tolist() == [2.0, 0.5]


def test_a_passage_keeps_only_its_strongest_latents_and_its_length_counts_only_those(index_of):
    # With max_latents = 1 every |d| is 1, so the denominators are z + 0.6: 5 * 1.6 / 5.6, 3 * 1.6 / 3.6.
    impacts = impacts_in(index_of(np.array([[2, 5], [3, 0]], np.float32), replace(PAPER, max_latents=1)))
    np.testing.assert_allclose(impacts, [[0, 10 / 7], [4 / 3, 0]], rtol=1e-6)


def test_a_denominator_that_is_not_positive_is_an_error_that_counts_passages(index_of):
    # |d| = 10 and 2, avgdl = 6: 0.6 (1 - 2 + 2 * 2/6) = -0.2, and both activations of the second passage are below 0.2.
    short = np.zeros(10, np.float32)
    short[:2] = 0.1, 0.15
    latents = csr_array(np.stack([np.full(10, 5, np.float32), short]))
    with pytest.raises(
        ScoringUndefined, match=r"not positive for 1 of 2 passages.* b = 2 is above 1.*average 6\.0 latents"
    ):
        index_of(latents, PAPER)
    assert index_of(latents, DEFAULT).document_frequency.sum() == 12


def test_few_passages_without_a_defined_score_are_left_out_and_the_others_keep_theirs(index_of):
    # 99 passages of 10 latents and one of 2: avgdl = 9.92, so 0.6 (1 - 2 + 2 * 10 / 9.92) = 0.60968 for the many, and
    # 0.6 (1 - 2 + 2 * 2 / 9.92) = -0.358 for the one, whose activations are below that.
    latents = np.full((100, 10), 5, np.float32)
    latents[7] = [0.1, 0.15, *[0] * 8]
    index = index_of(latents, PAPER)
    expected = np.full((100, 10), 5 * 1.6 / (5 + 0.6 * (20 / 9.92 - 1)))
    expected[7] = 0
    np.testing.assert_allclose(impacts_in(index), expected, rtol=1e-6)
    assert index.manifest.results["left_out"] == 1
    assert 7 not in index.hits(np.arange(10), np.ones(10), 100).passages
    assert index.row(7).latents.tolist() == [1, 0]  # it is kept, and can be rescored


def test_a_denominator_that_vanishes_exactly_is_an_error(index_of):
    # |d| = 3 and 1, avgdl = 2, b = 3: 0.5 (1 - 3 + 3 * 1/2) = -0.25, which an activation of 0.25 cancels.
    latents = csr_array(np.array([[1, 1, 1], [0.25, 0, 0]], np.float32))
    with pytest.raises(ScoringUndefined, match="not positive for 1 of 2 passages"):
        index_of(latents, replace(PAPER, k1=0.5, b=3.0))


@given(latents_of_passages)
def test_the_default_profile_is_defined_and_positive_for_every_corpus(index_of, latents):
    impacts = impacts_in(index_of(latents, DEFAULT))
    assert np.isfinite(impacts).all()
    np.testing.assert_array_equal(impacts > 0, latents > 0)
    frequency = (latents > 0).sum(axis=0)
    idf = inverse_document_frequency(frequency, len(latents), DEFAULT)
    assert (idf[frequency > 0] > 0).all()
    row = latents[0]
    assert (query_weights(row[row > 0], idf[row > 0], DEFAULT) > 0).all()


def test_a_corpus_without_any_latent_has_no_impacts(index_of):
    for scoring in PROFILES.values():
        assert not impacts_in(index_of(np.zeros((3, 4), np.float32), scoring)).any()


@given(latents_of_passages, st.integers(0, 2**32 - 1))
def test_the_plain_dot_product_is_the_profile_without_a_formula(index_of, latents, seed):
    query = np.random.default_rng(seed).uniform(0.1, 2, latents.shape[1]).astype(np.float32)
    index = index_of(latents, DOT)
    idf = inverse_document_frequency(index.document_frequency, len(latents), DOT)
    hits = index.hits(np.arange(len(query)), query_weights(query, idf, DOT), len(latents))
    np.testing.assert_allclose(hits.scores, (latents.astype(np.float64) @ query)[hits.passages], rtol=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"k1": -1.0}, {"k2": math.inf}, {"b": math.nan}, {"idf": "bm25"}, {"max_latents": 0}]
)
def test_constants_that_make_no_formula_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Scoring(**(asdict(DEFAULT) | wrong))


# --- the order of hits ------------------------------------------------------------------------------


@given(arrays(np.float32, st.integers(0, 30), elements=st.sampled_from([-1.0, 0.0, 1.0, 2.0])), st.integers(1, 35))
def test_the_best_candidates_are_those_of_a_full_sort(scores, cutoff):
    candidates = np.arange(0, len(scores), 2)  # every second passage; the others' scores are not looked at
    expected = sorted(candidates.tolist(), key=lambda d: (-scores[d], d))[:cutoff]
    hits = best(scores, candidates, cutoff)
    assert hits.passages.tolist() == expected
    assert hits.scores.tolist() == scores[expected].tolist()


def test_a_hit_of_an_index_is_shown_with_the_pieces_of_its_score_or_without():
    why = Explanation("concepts", 2.0, (Contribution(3, "rye", 1.0, 2.0, 2.0),))
    assert IndexHit(1, 2.0, "p7").shown() == (1, 2.0, "p7", "", ())
    assert IndexHit(1, 2.0, "p7", why).shown() == (1, 2.0, "p7", "", why.pieces()) and why.pieces()


# --- from query vector to hits ---------------------------------------------------------------------


@pytest.fixture(scope="session")
def searcher_over(index_of):
    return lambda sae, embeddings: ConceptSearcher(sae, index_of(sae.encode(embeddings), DEFAULT))


def test_a_query_is_read_as_weights_of_the_latents_that_some_passage_has(identity_sae, searcher_over):
    # Only passage latents 0 and 1 occur; the query's latent 2 weighs 0 and is left out.
    # idf of latent 0: N = 2, n = 1, ln 2; its root activation is 2, so h_q = 2 * 11 / 12.
    searcher = searcher_over(identity_sae, np.eye(3)[:2])
    read = searcher.read(np.array([4.0, 0.0, 9.0]))
    assert read.latents.tolist() == [0]
    np.testing.assert_allclose(read.weights, [math.log(2) * 22 / 12], rtol=1e-6)


def test_a_query_that_activates_nothing_finds_nothing(identity_sae, searcher_over):
    searcher = searcher_over(identity_sae, np.eye(3))
    for search in (searcher.search, searcher.rescored):
        hits = search(np.array([0.1, 0.1, 0.1]))
        assert (len(hits.passages), len(hits.scores)) == (0, 0)


def test_a_query_of_another_width_is_refused(identity_sae, searcher_over):
    with pytest.raises(DimensionMismatch, match=r"reads \(n, 3\)"):
        searcher_over(identity_sae, np.eye(3)).search(np.ones(4))


@pytest.mark.parametrize("seed", range(3))
def test_rescored_hits_are_ordered_by_the_query_times_the_reconstruction(random_sae, searcher_over, seed):
    sae = random_sae(seed)
    random = np.random.default_rng(seed)
    embeddings, query = random.normal(size=(40, 8)).astype(np.float32), random.normal(size=8)
    searcher = searcher_over(sae, embeddings)
    found = searcher.search(query, 25).passages
    stored = csr_array(rounded(sae.encode(embeddings).toarray()))
    dense = sae.decode(stored).astype(np.float64) @ query
    expected = sorted(found.tolist(), key=lambda d: -dense[d])[:10]
    hits = searcher.rescored(query, cutoff=10, candidates=25)
    assert hits.passages.tolist() == expected
    np.testing.assert_allclose(hits.scores, dense[expected], rtol=1e-4)


def test_rescoring_looks_only_at_the_candidates_that_concepts_found(identity_sae, searcher_over):
    # By concepts passage 0 comes first: two shared latents. By q . x_hat it is passage 1: 3 * 3 > 3 * 1 + 1 * 1.
    embeddings = np.array([[1.0, 1.0, 0], [3.0, 0, 0], [0, 0, 1]])
    searcher, query = searcher_over(identity_sae, embeddings), np.array([3.0, 1.0, 0])
    assert searcher.search(query, 1).passages.tolist() == [0]
    assert searcher.rescored(query, cutoff=5, candidates=1).passages.tolist() == [0]
    assert searcher.rescored(query, cutoff=5).passages.tolist() == [1, 0]
    assert searcher.rescored(query, cutoff=5).scores.tolist() == [9, 4]


# --- steering --------------------------------------------------------------------------------------


def test_boosts_multiply_what_the_query_has_and_add_what_it_lacks(identity_sae, searcher_over):
    searcher = searcher_over(identity_sae, np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]]))
    query = np.array([4.0, 1.0, 0])
    plain = searcher.read(query)
    steered = searcher.read(query, Steering(boosts={0: 0.5, 1: 0, 2: -2}))
    assert steered.latents.tolist() == [0, 2]  # 1 is left out
    np.testing.assert_allclose(steered.weights, [0.5 * plain.weights[0], -2 * plain.weights.mean()])
    assert searcher.search(query, 3, Steering(boosts={2: 100.0})).passages.tolist() == [2, 0, 1]
    assert searcher.search(query, 3, Steering(boosts={0: -1.0})).passages.tolist() == [1, 0]


def test_banned_concepts_and_filters_leave_passages_out(identity_sae, searcher_over):
    searcher = searcher_over(identity_sae, np.array([[2.0, 2.0, 0], [2.0, 0, 0], [2.0, 0, 2.0]]))
    query = np.array([4.0, 1.0, 0])
    assert searcher.search(query, 3, Steering(banned=[1])).passages.tolist() == [1, 2]
    allowed = np.array([True, False, True])
    assert searcher.search(query, 3, Steering(allowed=allowed)).passages.tolist() == [0, 2]
    assert searcher.rescored(query, 3, steering=Steering(banned=[2], allowed=allowed)).passages.tolist() == [0]


def test_fewer_concepts_than_are_stored_can_count(identity_sae, searcher_over):
    searcher = searcher_over(identity_sae, np.array([[3.0, 2.0, 0], [0, 2.0, 3.0]]))
    query = np.array([1.0, 4.0, 0])
    assert searcher.read(query, Steering(query_k=1)).latents.tolist() == [1]
    # Of each passage only the strongest latent counts: 0 of the first, 2 of the second, which the query lacks.
    steering = Steering(passage_k=1)
    hits = searcher.search(query, 2, steering)
    assert hits.passages.tolist() == [0]
    (explanation,) = searcher.explain(query, hits, steering=steering)
    explanation.check()
    assert [c.latent for c in explanation.contributions] == [0]


def test_a_boost_of_a_concept_that_does_not_exist_is_refused(identity_sae, searcher_over):
    with pytest.raises(BadData, match="there is no concept 3 to boost; they are numbered from 0 to 2"):
        searcher_over(identity_sae, np.eye(3)).search(np.ones(3), 1, Steering(boosts={3: 2.0}))
