"""Differences between systems: calculated by hand, against every sign flip, and what must always hold."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from unweave.errors import BadData
from unweave.evaluation.significance import RESAMPLES, compare, holm, interval, macro_interval, sampled_p, shown_p

values = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9)


def by_query(numbers):
    return {f"q{i}": float(number) for i, number in enumerate(numbers)}


def test_wins_ties_and_losses_by_hand():
    found = compare(by_query([0.5, 0.2, 0.9, 0.0]), by_query([0.3, 0.2, 0.4, 0.1]))
    assert found.difference == pytest.approx(0.15)
    assert (found.wins, found.ties, found.losses) == (2, 1, 1)
    assert found.low <= found.difference <= found.high


@settings(deadline=None, max_examples=25)
@given(values)
def test_p_is_the_share_of_all_sign_flips_that_differ_as_much(pairs):
    first, second = zip(*pairs, strict=True)
    differences = np.array(first, float) - np.array(second, float)
    flips = np.array(list(itertools.product([1, -1], repeat=len(differences)))) @ differences
    slow = (np.abs(flips) >= abs(differences.sum()) - 1e-9).mean()
    assert compare(by_query(first), by_query(second)).p == pytest.approx(slow)


@settings(deadline=None, max_examples=15)
@given(values)
def test_the_other_way_round_is_the_same_with_the_other_sign(pairs):
    first, second = zip(*pairs, strict=True)
    one, other = compare(by_query(first), by_query(second)), compare(by_query(second), by_query(first))
    assert one.difference == pytest.approx(-other.difference)
    assert one.p == pytest.approx(other.p)
    assert (one.wins, one.losses) == (other.losses, other.wins)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.1, 0.2])
def test_a_sampled_p_is_that_of_scipy(shift):
    differences = np.random.default_rng(3).choice([-0.5, 0.0, 0.1, 0.5], 60) + shift
    theirs = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=9_999, rng=0).pvalue
    ours = sampled_p(differences, 9_999)
    assert ours == pytest.approx(theirs, abs=4 * np.sqrt(max(theirs, 1e-4) / 9_999))  # four standard errors


def test_sums_that_are_equal_but_for_rounding_are_as_far_from_zero():
    # 0.1 + 0.3 - 0.1: of the eight flips 0.5, 0.3, 0.3, 0.1, -0.1, -0.3, -0.3 and -0.5, six are as far from 0 as 0.3.
    assert compare(by_query([0.1, 0.3, 0.0]), by_query([0.0, 0.0, 0.1])).p == 0.75


@pytest.mark.parametrize("unit", [1e-14, 1.0, 1.1e9])
def test_in_which_unit_a_measure_is_changes_no_p(unit):
    # Rounding is measured by the differences themselves; of the eight flips above, six are still as far from 0.
    first, second = (np.array(of) * unit for of in ([0.1, 0.3, 0.0], [0.0, 0.0, 0.1]))
    assert compare(by_query(first), by_query(second)).p == 0.75
    assert sampled_p(np.zeros(4), 99) == 1.0  # nothing is as far from 0 as nothing


def test_every_flip_counts_once_however_many_are_drawn_at_a_time():
    # A sum of 0 is as near to 0 as any: each of the 29,999 flips of 3,000 queries is as far from it, and counted once.
    assert sampled_p(np.tile([1.0, -1.0], 1_500), 29_999) == 1.0


def test_the_last_queries_are_flipped_as_the_first_are():
    # Of 18 differences the last two are 1: half of their flips have a sum of 2 or -2, and the others one of 0.
    differences = np.array([0.0] * 16 + [1.0] * 2)
    for one in (differences, differences[::-1]):
        assert sampled_p(one, 9_999) == pytest.approx(0.5, abs=0.02)  # four standard errors


def test_a_small_p_is_looked_at_more_closely():
    for shift, resamples in ((0.05, RESAMPLES), (0.5, 29_999)):
        differences = np.random.default_rng(5).normal(shift, 0.5, 40)
        found = compare(by_query(differences), by_query(np.zeros(40))).p
        assert found == sampled_p(differences[_as_sorted(40)], resamples)


def _as_sorted(n: int) -> list[int]:
    """Where queries q0, q1 … stand when they are sorted by their names."""
    return [int(name[1:]) for name in sorted(by_query(range(n)))]


def test_the_order_in_which_queries_were_measured_changes_nothing():
    first, second = by_query([0.5, 0.2, 0.9, 0.0, 0.4]), by_query([0.3, 0.2, 0.4, 0.1, 0.1])
    turned = [dict(reversed(values.items())) for values in (first, second)]
    assert compare(*turned) == compare(first, second)


def test_thousands_of_queries_are_compared_in_a_moment():
    random = np.random.default_rng(4)
    base = random.random(3_000)
    first, second = by_query(base + random.normal(0.02, 0.1, 3_000)), by_query(base)
    began = time.process_time()
    assert compare(first, second).p == 1 / 30_000  # none of all the flips
    assert time.process_time() - began < 5  # 0.9 s; 9 s when each query was shuffled apart


def test_many_queries_with_a_clear_difference_are_significant_and_noise_is_not():
    random = np.random.default_rng(1)
    base = random.random(200)
    assert compare(by_query(base + 0.1 + random.normal(0, 0.1, 200)), by_query(base)).p < 0.001
    assert compare(by_query(base + random.normal(0, 0.1, 200)), by_query(base)).p > 0.05


def test_the_interval_is_about_two_standard_errors_wide():
    sample = np.random.default_rng(2).normal(5, 2, 400)
    low, high = interval(sample)
    assert high - low == pytest.approx(2 * 1.96 * sample.std() / 20, rel=0.1)


def test_two_values_have_an_interval_from_one_to_the_other():
    # Of four draws of two values one has both times the lower and one the higher: more than 2.5 %.
    assert interval(np.array([0.0, 1.0])) == (0.0, 1.0)


def test_what_does_not_vary_has_no_width():
    assert interval(np.full(5, 0.3)) == (0.3, 0.3)
    assert compare(by_query([0.3]), by_query([0.1])).p == 1.0


def test_the_macro_average_weighs_collections_alike():
    small, large = np.full(3, 1.0), np.zeros(1000)
    assert macro_interval([small, large]) == (0.5, 0.5)
    low, high = macro_interval([np.array([0.0, 1.0] * 50), large])
    assert low < 0.25 < high and high - low == pytest.approx(0.5 * 2 * 1.96 * 0.5 / 10, rel=0.05)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_nor_changes_their_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_other_queries_or_none_cannot_be_compared():
    with pytest.raises(BadData, match="different queries, first 'q1'"):
        compare({"q0": 1.0, "q1": 1.0}, {"q0": 1.0})
    with pytest.raises(BadData, match="no query"):
        compare({}, {})


@pytest.mark.parametrize(
    ("p", "shown"), [(0.01234, "= 0.0123"), (1.0, "= 1.0000"), (0.0001, "= 0.0001"), (0.000099, "< .0001")]
)
def test_how_a_p_is_written(p, shown):
    assert shown_p(p) == shown
