"""Which concepts of two models are the same, by when they are active: small matrices, calculated by hand."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array

from unweave.concepts.relations import matching
from unweave.concepts.relations.kinds import LEAST_TEXTS, SAME, Kind
from unweave.concepts.relations.matching import (
    GAIN,
    Alone,
    Correspondence,
    by_chance,
    correlated,
    correspondence,
    shared_out,
)

N = 40


def columns(*active: range | list[int] | dict[int, float]) -> csr_array:
    """Activations on forty texts: each concept is given by its texts, at 1 or at a strength each."""
    rows = np.zeros((N, len(active)), np.float32)
    for concept, of in enumerate(active):
        strengths = of if isinstance(of, dict) else dict.fromkeys(of, 1.0)
        for text, strength in strengths.items():
            rows[text, concept] = strength
    return csr_array(rows)


def activations(seed: int, n_texts: int = 200, n: int = 12) -> np.ndarray:
    """Concepts without a tie between any two correlations, each active in an eighth of the texts."""
    random = np.random.default_rng(seed)
    return random.uniform(0.1, 1, (n_texts, n)) * (random.random((n_texts, n)) < 1 / 8)


def kinds(found: Correspondence) -> list[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    return [(row.kind.value, row.ones, row.others) for row in found.relations]


# --- correlation -----------------------------------------------------------------------------------


def test_the_correlation_of_two_concepts_by_hand():
    # Of 40 texts, one is active in 10 and the other in 8 of these:
    # (8/40 - 10/40 * 8/40) / sqrt(.25 * .75 * .2 * .8) = .15 / .17321 = .86603 = sqrt(3) / 2.
    found = correlated(csc_array(columns(range(10))), csc_array(columns(range(8), range(20, 30))), 0.1)
    assert (found.ones.tolist(), found.others.tolist()) == ([0], [0]), "without a text in common it is below 0"
    assert found.correlations == pytest.approx([sqrt(3) / 2])


@given(st.integers(0, 2**16), st.integers(1, 9))
def test_blocks_of_sparse_sums_are_pearsons_correlation(seed, block):
    one, other = activations(seed, 30, 7), activations(seed + 1, 30, 5)
    one[:, 0], other[:, 1] = 0.5, 0.1  # active everywhere alike: no correlation with anything
    with pytest.MonkeyPatch.context() as patched, np.errstate(invalid="ignore", divide="ignore"):
        patched.setattr(matching, "_BLOCK", block)
        found = correlated(csc_array(one), csc_array(other), 0.05)
        expected = np.nan_to_num(np.corrcoef(one, other, rowvar=False)[:7, 7:])
    expected[0], expected[:, 1] = 0, 0
    rows, places = np.nonzero(expected >= 0.05)
    assert (found.ones.tolist(), found.others.tolist()) == (rows.tolist(), places.tolist())
    np.testing.assert_allclose(found.correlations, expected[rows, places], atol=1e-9)


# --- matched ---------------------------------------------------------------------------------------


@given(st.integers(0, 2**16))
def test_a_model_is_matched_with_itself_whole(seed):
    rows = csr_array(activations(seed))
    found = correspondence(rows, rows)
    assert kinds(found) == [("matched", (i,), (i,)) for i in (row.ones[0] for row in found.relations)]
    assert {row.ones for row in found.relations} == {(i,) for i in range(12)}
    assert [row.correlation for row in found.relations] == pytest.approx([1] * 12)


@given(st.integers(0, 2**16), st.randoms(use_true_random=False))
def test_concepts_in_another_order_and_at_another_scale_are_matched_alike(seed, random):
    one = activations(seed)
    noisy = one + 0.5 * activations(seed + 1)
    noisy[:, 0] += noisy[:, 1]
    order = list(range(12))
    random.shuffle(order)
    straight = correspondence(csr_array(one), csr_array(noisy))
    turned = correspondence(csr_array(one), csr_array(3 * noisy[:, order]))

    def named(found: Correspondence, names: list[int]) -> set:
        rows = {(kind, ones, frozenset(names[i] for i in others)) for kind, ones, others in kinds(found)}
        alone = {(row.latent, round(row.correlation, 6)) for row in (*found.one.only, *found.one.overlapping)}
        return rows | alone | {names[row.latent] for row in (*found.other.only, *found.other.overlapping)}

    assert named(straight, list(range(12))) == named(turned, order)


def test_exact_copies_are_matched_though_two_lesser_matches_would_add_up_to_more():
    # r(0, 0) = 1; 0 and the other's 1 share 8 of 12 texts: (.2 - .3 * .2) / sqrt(.21 * .16) = .764;
    # 1 and the other's 0 share 10 of 12: (.25 - .09) / .21 = .762; 1 and 1 share 6: (.15 - .06) / .183 = .49 < SAME.
    one, other = columns(range(12), range(2, 14)), columns(range(12), range(8))
    found = correspondence(one, other)
    assert kinds(found) == [("matched", (0,), (0,))]
    assert [(row.latent, row.closest) for row in found.one.overlapping] == [(1, 0)]
    assert found.one.overlapping[0].correlation == pytest.approx(0.16 / 0.21)
    assert found.other.overlapping[0].correlation == pytest.approx(0.14 / sqrt(0.21 * 0.16))


def test_each_concept_is_of_one_kind_and_all_are_there():
    one, other = activations(1, n=30), activations(2, n=20)
    other[:, :10] = one[:, :10] + 0.4 * other[:, :10]
    other[:, 10] = one[:, 11] + one[:, 12]
    found = correspondence(csr_array(one), csr_array(other))
    for side, n, rest in ((1, 30, found.one), (2, 20, found.other)):
        related = [latent for row in found.relations for latent in row[side]]
        everything = related + [row.latent for row in (*rest.overlapping, *rest.only)]
        assert sorted(everything) == list(range(n)) and rest.n_compared == n
        assert sum(found.counts()[side - 1].values()) == n


# --- split and merged ------------------------------------------------------------------------------


def test_two_halves_are_a_split_and_from_the_other_side_a_merge():
    # Two equal parts without a text in common. Of 40 texts the whole is in 20, each part in 10:
    # r = (.25 - .5 * .25) / (.5 * sqrt(.1875)) = .57735; their sum is the whole: 1.
    whole, parts = columns(range(20)), columns(range(10), range(10, 20))
    found = correspondence(whole, parts)
    assert kinds(found) == [("split", (0,), (0, 1))]
    assert found.relations[0].correlation == pytest.approx(1)
    assert found.relations[0].singles == pytest.approx((1 / sqrt(3), 1 / sqrt(3)))
    assert kinds(correspondence(parts, whole)) == [("merged", (0, 1), (0,))]
    assert [dict(of)[Kind.SPLIT] for of in found.counts()] == [1, 2]


@given(st.integers(0, 2**16))
def test_two_columns_added_up_are_found_as_merged(seed):
    one = activations(seed)
    one[:, 3] *= one[:, 7] == 0  # they share no text
    merged = np.delete(one, 7, axis=1)
    merged[:, 3] = one[:, 3] + one[:, 7]
    found = correspondence(csr_array(one), csr_array(merged))
    assert ("merged", (3, 7), (3,)) in [(kind, tuple(sorted(ones)), others) for kind, ones, others in kinds(found)]
    assert len(found.relations) == 11 and not found.one.only


def test_two_noisy_copies_are_no_split():
    # Both copies have 14 of the whole's 16 texts and, each, 4 others. Their sum follows the whole better than either
    # does, as averages of noise do, but they are active on the same texts: r(copy, copy) is near the product of r's.
    whole = columns(range(16))
    copies = columns([*range(14), *range(20, 26)], [*range(2, 16), *range(30, 36)])
    found = correspondence(whole, copies)
    assert kinds(found)[0][0] == "matched"
    assert [row.latent for row in found.other.overlapping] == [1 - found.relations[0].others[0]]


def test_a_part_that_has_a_closer_counterpart_is_no_part():
    # The one has a general concept, and a special one that is the other's 1.
    one, other = columns(range(20), range(10, 20)), columns(range(10), range(10, 20))
    found = correspondence(one, other)
    assert kinds(found) == [("matched", (1,), (1,)), ("matched", (0,), (0,))]


def test_parts_are_added_while_each_adds_much_by_hand():
    # Equal parts that share no text, of one variance and uncorrelated among them: n of m such give sqrt(n / m).
    # Four: .5, .707, .866, 1. The last of eight would add 1 - sqrt(7 / 8) = .065 < GAIN, the sixth .075, the fifth
    # sqrt(5 / 8) - sqrt(4 / 8) = .083; the fourth .095, the third sqrt(3 / 8) - .5 = .112.
    def parts(m: int) -> tuple[list[int], float]:
        return shared_out(np.full(m, 1 / sqrt(m)), np.eye(m))

    assert parts(4) == ([0, 1, 2, 3], pytest.approx(1))
    assert parts(8) == ([0, 1, 2], pytest.approx(sqrt(3 / 8)))
    assert pytest.approx(sqrt(4 / 8) - sqrt(3 / 8), abs=1e-3) == 0.095 < GAIN


def test_parts_that_add_up_to_the_same_everywhere_are_no_whole():
    covariances = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert shared_out(np.array([0.3, 0.2]), covariances) == ([0], 0.3)


# --- what has no counterpart -----------------------------------------------------------------------


def test_what_only_one_has_is_said_with_its_closest_and_the_rare_are_counted():
    # The other's 0 shares 3 of 10 texts with the one's 1: (3/40 - 1/16) / (3/16) = 1/15, too little to be named.
    one = columns(range(10), range(20, 30), range(LEAST_TEXTS - 1), [])
    other = columns([*range(10)], [*range(27, 37)], [39])
    found = correspondence(one, other)
    assert kinds(found) == [("matched", (0,), (0,))]
    assert found.one.only == [Alone(1, 10, None, 0.0)] and found.other.only == [Alone(1, 10, None, 0.0)]
    assert (found.one.n_compared, found.one.n_rare) == (2, 1), "what no text activates is not rare but dead"
    assert (found.other.n_compared, found.other.n_rare) == (2, 1)


def test_a_concept_whose_counterpart_is_anothers_is_overlapping_not_only():
    one, other = columns(range(12), range(9)), columns(range(12))
    found = correspondence(one, other)
    assert kinds(found) == [("matched", (0,), (0,))]
    (left,) = found.one.overlapping
    assert (left.latent, left.closest, found.one.only) == (1, 0, [])
    assert left.correlation >= SAME


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_texts_give_no_matches(seed):
    rows = csr_array(activations(seed, n_texts=400, n=30))
    assert kinds(by_chance(rows, rows)) == []
    assert kinds(by_chance(rows, rows)) == kinds(by_chance(rows, rows)), "luck is drawn alike each time"


def test_models_without_a_live_concept_have_nothing_in_common():
    found = correspondence(csr_array((7, 3)), csr_array((7, 0)))
    assert found.relations == [] and found.one.n_compared == found.other.n_rare == 0


def test_other_texts_are_refused():
    with pytest.raises(ValueError, match="on 3 and 4 texts came in; expected the same texts"):
        correspondence(csr_array((3, 2)), csr_array((4, 2)))
