"""Which latents have to do with each other: by their texts, by their directions, by saying the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array

from unweave.concepts.relations import ties
from unweave.concepts.relations.ties import (
    Nearest,
    active_together,
    closest,
    duplicates,
    likeness,
    nearest_directions,
    npmi,
    overlap,
)

FIVE_TEXTS = csr_array(
    np.array(
        [
            [1, 2, 0, 0],
            [1, 1, 0, 0],
            [1, 0, 3, 0],
            [0, 0, 1, 0],
            [1, 0, 0, 0],
        ],
        np.float32,
    )
)
"""Latents 0 to 3 are active in 4, 2, 2 and no texts; 0 and 1 meet in two, 0 and 2 in one, 1 and 2 in none."""


def matrices(most_texts: int = 8, most_latents: int = 7):
    """Small matrices of activations, dense, mostly 0."""
    cell = st.sampled_from([0.0, 0.0, 0.5, 2.0])
    shape = st.tuples(st.integers(1, most_texts), st.integers(1, most_latents))
    return shape.flatmap(
        lambda of: st.lists(
            st.lists(cell, min_size=of[1], max_size=of[1]), min_size=of[0], max_size=of[0]
        ).map(lambda rows: np.array(rows, np.float32))
    )  # fmt: skip


# --- active together -------------------------------------------------------------------------------


def test_npmi_by_hand():
    # Of 8 texts, one is active in 4 and the other in 2.
    #   2 meet: ln((2/8) / (4/8 * 2/8)) / -ln(2/8) = ln 2 / ln 4 = 1/2
    #   1 meets: as often as by chance, (1/8) / (4/8 * 2/8) = 1: 0
    #   0 meet: -1
    one, other = np.array([4, 4, 4]), np.array([2, 2, 2])
    np.testing.assert_allclose(npmi(np.array([2, 1, 0]), one, other, 8), [0.5, 0, -1], atol=1e-12)


def test_npmi_of_two_that_never_part_is_one_and_of_two_that_are_everywhere_zero():
    assert npmi(np.array([3]), np.array([3]), np.array([3]), 9)[0] == pytest.approx(1)
    assert npmi(np.array([9]), np.array([9]), np.array([9]), 9)[0] == 0


def test_pairs_of_five_texts_by_hand():
    # 0 and 1: ln((2/5) / (4/5 * 2/5)) / -ln(2/5) = ln 1.25 / ln 2.5 = .2435
    # 0 and 2: ln((1/5) / (4/5 * 2/5)) / -ln(1/5) = ln .625 / ln 5 = -.2920
    pairs = active_together(FIVE_TEXTS, least_texts=1, least=-1)
    assert pairs.latents.tolist() == [0, 0, 1, 2]
    assert pairs.others.tolist() == [1, 2, 0, 0]
    assert pairs.counts.tolist() == [2, 1, 2, 1]
    np.testing.assert_allclose(pairs.npmi, [0.24353, -0.29203, 0.24353, -0.29203], atol=1e-5)
    assert active_together(FIVE_TEXTS, least_texts=2, least=-1).latents.tolist() == [0, 1]
    assert active_together(FIVE_TEXTS, least_texts=1, least=0).latents.tolist() == [0, 1]


@given(matrices(), st.integers(1, 3))
def test_pairs_found_in_blocks_are_those_of_an_obvious_loop(rows, block):
    expected = {}
    active = rows > 0
    for i in range(rows.shape[1]):
        for j in range(rows.shape[1]):
            both = int((active[:, i] & active[:, j]).sum())
            if i != j and both:
                expected[i, j] = both
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ties, "_BLOCK", block)
        pairs = active_together(csr_array(rows), least_texts=1, least=-2)
    assert dict(zip(zip(pairs.latents.tolist(), pairs.others.tolist(), strict=True), pairs.counts, strict=True)) == (
        expected
    )
    assert (np.diff(pairs.latents) >= 0).all()
    assert (pairs.npmi <= 1 + 1e-12).all()
    for latent in np.unique(pairs.latents):
        assert (np.diff(pairs.npmi[pairs.latents == latent]) <= 0).all()


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (3, 1), (3, 4)])
def test_where_nothing_is_active_no_two_are_together(shape):
    assert not len(active_together(csr_array(shape, dtype=np.float32)).latents)


def test_of_each_latent_only_the_closest_pairs_are_kept():
    pairs = active_together(FIVE_TEXTS, least_texts=1, least=-1)
    kept = closest(pairs, most=1)
    assert list(zip(kept.latents.tolist(), kept.others.tolist(), strict=True)) == [(0, 1), (1, 0), (2, 0)]


# --- directions ------------------------------------------------------------------------------------


def test_nearest_directions_by_hand_without_the_dead():
    # Latents at 0, 10, 90 and 30 degrees; the last, at 0 again, is dead and not looked at. Length says nothing.
    degrees = np.radians([0, 10, 90, 30, 0])
    directions = np.stack([np.cos(degrees), np.sin(degrees)], axis=1) * np.array([[1], [5], [1], [2], [1]])
    found = nearest_directions(directions, np.array([0, 1, 2, 3]), most=2)
    assert found.others.tolist() == [[1, 3], [0, 3], [3, 1], [1, 0]]
    np.testing.assert_allclose(found.cosines[0], np.cos(np.radians([10, 30])), atol=1e-6)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_nearest_directions_in_blocks_are_those_of_all_at_once(n, most, seed):
    directions = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    whole = nearest_directions(directions, np.arange(n), most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ties, "_BLOCK", 2)
        blocks = nearest_directions(directions, np.arange(n), most)
    np.testing.assert_array_equal(whole.others, blocks.others)
    assert whole.others.shape == (n, min(most, n - 1))
    assert not (whole.others == np.arange(n)[:, None]).any()


def test_one_latent_and_none_have_no_neighbours():
    assert nearest_directions(np.eye(3), np.array([1])).others.shape == (1, 0)
    assert nearest_directions(np.eye(3), np.empty(0, np.int64)).others.shape == (0, 0)


def test_equally_near_latents_come_by_number():
    found = nearest_directions(np.eye(4), np.arange(4), most=3)
    assert found.others.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


# --- duplicates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        ("sharks", "Shark", 1),
        ("Henry, death", "death, Henry", 1),
        ("Korean, Korea", "Korea, Korean language", 2 / 3),
        ("wind turbine", "wind", 1 / 2),
        ("kite", "boat", 0),
        ("kite", None, 0),
        (None, None, 0),
        ("…", "…", 0),
    ],
)
def test_names_are_compared_by_their_stems(name, other, expected):
    assert likeness(name, other) == likeness(other, name) == pytest.approx(expected)


def test_overlap_by_hand():
    # 0 and 1 share 2 of 4 texts; 0 and 2 share 1 of 5; 1 and 2 none; 3 is dead.
    pairs = np.array([[0, 1], [0, 2], [1, 2], [3, 3]])
    np.testing.assert_allclose(overlap(csc_array(FIVE_TEXTS), pairs[:, 0], pairs[:, 1]), [0.5, 0.2, 0, 0])


def near(*pairs: tuple[int, int, float]) -> Nearest:
    """One neighbour of each latent."""
    latents, others, cosines = zip(*pairs, strict=True)
    return Nearest(np.array(latents), np.array(others)[:, None], np.array(cosines, np.float32)[:, None])


def test_duplicates_are_close_and_have_like_names_or_the_same_texts():
    texts = csc_array(FIVE_TEXTS)
    # 0 and 1 share half of their texts; 2 is called like 0, whose neighbour it is.
    found = duplicates(near((0, 1, 0.5), (1, 0, 0.5), (2, 0, 0.25)), texts, {0: "shark", 1: "boat", 2: "sharks"})
    assert found == [(0, 1, 0.5)]
    found = duplicates(near((0, 1, 0.25), (1, 0, 0.25), (2, 0, 0.5)), texts, {0: "shark", 1: "boat", 2: "sharks"})
    assert found == [(0, 2, 0.5)]
    assert duplicates(near((0, 3, 0.9), (1, 2, 0.9)), texts, {0: "shark", 1: "boat", 2: "sail"}) == []


def test_a_concept_alone_has_no_duplicate():
    texts = csc_array(FIVE_TEXTS)
    for latents in ([], [1]):
        assert duplicates(nearest_directions(np.eye(4), np.array(latents, np.int64)), texts, {1: "kite"}) == []
