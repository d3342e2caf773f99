"""Fusing hits: parts that add up, calculated by hand and compared with an obvious way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.records import Explanation
from unweave.index.hits import Hits
from unweave.index.query import Counted, explain_concepts
from unweave.retrieval.fusion import Scale, explain_part, fused, of_ranks, of_scores, scale_of


def hits(*pairs):
    return Hits(np.array([p for p, _ in pairs], np.int64), np.array([s for _, s in pairs], np.float32))


NOTHING = hits()

rankings = st.lists(
    st.dictionaries(st.integers(0, 9), st.floats(-5, 5, width=32), max_size=6).map(
        lambda scores: hits(*sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))
    ),
    min_size=1,
    max_size=3,
)


def by_reciprocal_rank(found, cutoff):
    return fused(found, [of_ranks(one, 1.0) for one in found], cutoff)


def by_normalized_score(found, cutoff, weights=None):
    each = zip(found, weights or [1.0] * len(found), strict=True)
    return fused(found, [of_scores(one, scale_of(one, weight)) for one, weight in each], cutoff)


def test_ranks_are_fused_as_their_reciprocals():
    both = by_reciprocal_rank([hits((7, 0.9), (3, 0.8)), hits((3, 12.0), (5, 2.0))], cutoff=2)
    assert both.passages.tolist() == [3, 7]
    np.testing.assert_allclose(both.parts, [[1 / 62, 1 / 61], [1 / 61, 0]], rtol=1e-6)


def test_scores_are_stretched_to_one_before_they_are_added():
    both = by_normalized_score([hits((1, 3.0), (2, 2.0), (3, 1.0)), hits((3, 50.0), (2, 40.0))], 10, [1.0, 0.5])
    assert both.passages.tolist() == [1, 2, 3]  # 1, .5 and .5: equal scores keep corpus order
    np.testing.assert_allclose(both.parts, [[1, 0], [0.5, 0], [0, 0.5]])


@pytest.mark.parametrize("fuse", [by_reciprocal_rank, by_normalized_score])
@given(found=rankings)
def test_parts_add_up_to_the_score_and_best_come_first(fuse, found):
    both = fuse(found, 5)
    np.testing.assert_allclose(both.parts.sum(axis=1), both.scores, rtol=1e-5, atol=1e-6)
    assert (np.diff(both.scores) <= 0).all()
    assert len(both.passages) == min(5, len({p for one in found for p in one.passages.tolist()}))


@given(found=rankings)
def test_reciprocal_ranks_are_what_a_loop_gives(found):
    slow = {}
    for one in found:
        for rank, passage in enumerate(one.passages.tolist(), start=1):
            slow[passage] = slow.get(passage, 0) + 1 / (60 + rank)
    both = by_reciprocal_rank(found, 100)
    assert dict(zip(both.passages.tolist(), both.scores.tolist(), strict=True)) == pytest.approx(slow)


def test_what_a_system_did_not_find_gets_nothing_of_it():
    both = by_normalized_score([NOTHING, hits((4, 2.0), (9, 1.0))], 10)
    assert both.passages.tolist() == [4, 9]
    np.testing.assert_allclose(both.parts[:, 0], 0)


def test_an_explanation_still_adds_up_to_its_part():
    found = hits((0, 6.0), (1, 4.0), (2, 1.0))
    latents = np.array([2, 5])
    passage = Counted(latents, np.array([0.2, 0.1], np.float32), np.array([2.0, 1.0], np.float32))
    (explanation,) = explain_concepts([4.0], latents, np.array([1.0, 2.0], np.float32), [passage], {2: "wind"})
    part = explain_part(explanation, scale_of(found, weight=0.5))
    part.check()
    assert part.score == pytest.approx(0.5 * (4 - 1) / (6 - 1))
    assert part.bias == pytest.approx(-0.1)
    assert [c.value for c in part.contributions] == pytest.approx([0.2, 0.2])
    assert [c.query * c.passage for c in part.contributions] == pytest.approx(
        [0.2, 0.2]
    )  # 0.1 of 1 and 2, times 2 and 1


def test_what_is_left_over_is_stretched_too_and_nothing_is_taken_off_it():
    whole = Explanation("dense", 5.0, (), bias=3.0, residual=2.0)
    part = explain_part(whole, Scale(0.5, 1.0))
    assert (part.score, part.bias, part.residual) == (2.0, 1.0, 1.0)  # (5 - 1) / 2 = (3 - 1) / 2 + 2 / 2


def test_a_system_that_counts_from_zero_is_stretched_from_there():
    found = hits((1, 6.0), (2, 4.0))
    assert scale_of(found) == (0.5, 4.0)
    assert scale_of(found, lowest=0.0) == (pytest.approx(1 / 6), 0.0)
    both = by_normalized_score([found], 10)
    assert both.scores.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(of_scores(found, scale_of(found, lowest=0.0)), [1, 4 / 6])


def test_scores_that_do_not_differ_tell_nothing():
    assert scale_of(NOTHING) == (0.0, 0.0)
    assert scale_of(hits((1, 3.0), (2, 3.0))) == (0.0, 3.0)
    assert scale_of(hits((1, 0.0)), lowest=0.0) == (0.0, 0.0)
    assert scale_of(hits((1, -2.0)), lowest=0.0) == (0.0, 0.0)  # it lies below what has nothing of the query
