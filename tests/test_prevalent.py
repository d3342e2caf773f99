"""What found passages are about: more frequent there than anywhere, beyond luck, with passages as proof."""

from __future__ import annotations

from math import comb, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from unweave.concepts.relations.prevalent import Prevalent, prevalent_latents


@pytest.fixture
def twenty() -> csr_array:
    """Twenty passages. Latent 0 is active in 3, 5, 7 and 9, most in 7; latent 1 in all; 2 in 3 and 0; 3 in none."""
    rows = np.zeros((20, 4), np.float32)
    rows[[3, 5, 7, 9], 0] = 1, 2, 4, 3
    rows[:, 1] = 1
    rows[[3, 0], 2] = 1
    return csr_array(rows)


def test_a_concept_of_all_hits_and_nothing_else_by_hand(twenty):
    # All four hits of 20 activate latent 0, as only these do: of the C(20, 4) = 4,845 draws of four, one does.
    # Three latents live: the smallest of three p-values counts three times. Lift 1 / (4 / 20) = 5.
    # Latent 1 is in all hits as in all passages: p = 1. Latent 2 is in one of four: p = 1 - C(18, 4) / C(20, 4) = .37.
    (found,) = prevalent_latents(twenty, np.array([9, 7, 5, 3]), proofs=2)
    assert found == Prevalent(0, 4, 1.0, pytest.approx(5), pytest.approx(3 / comb(20, 4)), (7, 9), (4.0, 3.0))


def test_weights_decide_the_share_and_not_the_test(twenty):
    # Three of four hits activate latent 0, of weights 1, 1 and 6 among 10: share .8, lift .8 / .2 = 4.
    # p = P(at least 3 of 4) without the fourth: 4 * 16 + 1 of 4,845 draws.
    hits, weights = np.array([3, 5, 7, 11]), np.array([1, 1, 6, 2])
    (found,) = prevalent_latents(twenty, hits, weights)
    assert (found.n_hits, found.share, found.lift) == (3, pytest.approx(0.8), pytest.approx(4))
    assert found.p_value == pytest.approx(3 * 65 / comb(20, 4))


def test_those_that_set_the_hits_apart_most_come_first():
    # 100 passages, ten hits. Latent 0: in all hits and 10 others: 1 ln(1 / .2) = 1.61.
    # Latent 1: in half of the hits only, of 5 passages: .5 ln(.5 / .05) = 1.15. Latent 2: in all hits and nothing else.
    rows = np.zeros((100, 3), np.float32)
    rows[:20, 0] = rows[:5, 1] = rows[:10, 2] = 1
    found = prevalent_latents(csr_array(rows), np.arange(10))
    assert [one.latent for one in found] == [2, 0, 1]
    assert [one.share * log(one.lift) for one in found] == pytest.approx([log(10), log(5), 0.5 * log(10)])
    assert [one.latent for one in prevalent_latents(csr_array(rows), np.arange(10), top=1)] == [2]


@pytest.mark.parametrize("hits", [[], [15], list(range(20))], ids=["none", "one", "all"])
def test_hits_that_nothing_sets_apart_have_no_prevalent_concept(twenty, hits):
    assert prevalent_latents(twenty, np.array(hits, np.int64)) == []


def test_nothing_is_prevalent_where_nothing_is_active():
    assert prevalent_latents(csr_array((5, 1), dtype=np.float32), np.array([1, 2])) == []


def test_a_hit_given_twice_and_a_weight_of_nothing_are_refused(twenty):
    with pytest.raises(ValueError, match="a passage is given twice among the hits"):
        prevalent_latents(twenty, np.array([3, 3]))
    with pytest.raises(ValueError, match=r"weights of shape \(1,\) must be above 0, one for each of the 2 hits"):
        prevalent_latents(twenty, np.array([3, 4]), np.array([1.0]))
    with pytest.raises(ValueError, match="must be above 0"):
        prevalent_latents(twenty, np.array([3, 4]), np.array([1.0, 0.0]))


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_proofs_are_hits_that_activate_the_concept_the_strongest_first(seed, n_hits):
    random = np.random.default_rng(seed)
    topic = random.random(60) < 0.2
    rows = np.where(random.random((60, 8)) < np.where(topic[:, None], 0.8, 0.1), random.random((60, 8)), 0)
    latents = csr_array(rows.astype(np.float32))
    hits = np.flatnonzero(topic)[:n_hits]
    for found in prevalent_latents(latents, hits, random.uniform(0.5, 2, len(hits))):
        assert set(found.passages) <= set(hits.tolist())
        assert [latents[passage, found.latent] for passage in found.passages] == list(found.activations)
        assert all(activation > 0 for activation in found.activations)
        assert sorted(found.activations, reverse=True) == list(found.activations)
        assert found.lift > 1
        assert found.n_hits == np.count_nonzero(rows[hits, found.latent])
