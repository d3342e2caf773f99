"""Families, parents and paths: who belongs to whom, checked by hand and by what always has to hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from unweave.concepts.relations.families import Ties, beyond_chance, families, matryoshka_generality, parents
from unweave.concepts.relations.paths import ConceptPath, paths
from unweave.concepts.relations.ties import Together, active_together


def pairs(*of: tuple[int, int, int, float]) -> Together:
    """Pairs of latents, given once: one, other, texts of both, npmi."""
    both = sorted([(a, b, n, npmi) for a, b, n, npmi in of] + [(b, a, n, npmi) for a, b, n, npmi in of])
    columns = [np.array(column) for column in zip(*both, strict=True)] if both else [np.empty(0, np.int64)] * 4
    return Together(*columns[:3], columns[3].astype(np.float64))


def ties(found) -> dict[int, tuple[int, float]]:
    return {
        latent: (other, pytest.approx(weight))
        for latent, other, weight in zip(*(column.tolist() for column in found), strict=True)
    }


# --- families --------------------------------------------------------------------------------------


def test_families_by_hand():
    # Texts: 0 is in 9, 1 in 5, 2 in 3, 3 in 8, 4 in 2, 5 in 4.
    #   The forest leaves out the weakest tie of the circle 0-1-2, 0-2.
    #   1 follows 0 and 2 follows 1: one family with the head 0, each member by its own tie.
    #   4 follows the more frequent 3; the tie of 1 and 3 is too weak; 5 has none.
    frequency = np.array([9, 5, 3, 8, 2, 4])
    together = pairs((0, 1, 5, 0.7), (1, 2, 3, 0.6), (0, 2, 3, 0.5), (3, 4, 2, 0.8), (1, 3, 4, 0.35))
    assert ties(families(together, frequency)) == {1: (0, 0.7), 2: (0, 0.6), 4: (3, 0.8)}


def test_a_latent_between_two_more_frequent_ones_goes_with_the_stronger_tie():
    frequency = np.array([9, 9, 3])
    assert ties(families(pairs((0, 2, 3, 0.5), (1, 2, 3, 0.6)), frequency)) == {2: (1, 0.6)}
    # Equally strong: with the lower one.
    assert ties(families(pairs((0, 2, 3, 0.5), (1, 2, 3, 0.5)), frequency)) == {2: (0, 0.5)}


def test_of_two_equally_frequent_latents_the_lower_one_is_the_head():
    assert ties(families(pairs((0, 1, 3, 0.5)), np.array([3, 3]))) == {1: (0, 0.5)}


def test_where_none_are_together_there_are_no_families():
    for n_latents in (1, 4):
        assert not len(families(pairs(), np.zeros(n_latents, np.int64)).latents)


def test_a_family_is_one_if_its_directions_are_nearer_to_each_other_than_random_ones():
    # 0 to 3 point about the same way, with the head 0; 10 to 13, with the head 10, are like any four of the others.
    directions = np.random.default_rng(0).normal(size=(200, 32)).astype(np.float32)
    directions[:4] = directions[0] + 0.3 * directions[:4]
    kin = Ties(np.array([1, 2, 3, 11, 12, 13]), np.array([0, 0, 0, 10, 10, 10]), np.full(6, 0.5))
    found = beyond_chance(kin, directions, np.arange(200))
    assert found.latents.tolist() == [1, 2, 3] and found.others.tolist() == [0, 0, 0]
    assert len(beyond_chance(found._replace(latents=np.empty(0, np.int64)), directions, np.arange(200)).latents) == 0


def test_of_families_of_random_latents_hardly_one_is_beyond_chance():
    random = np.random.default_rng(1)
    directions = random.normal(size=(600, 64)).astype(np.float32)
    order = random.permutation(600).reshape(200, 3)
    kin = Ties(order[:, 1:].ravel(), np.repeat(order[:, 0], 2), np.full(400, 0.5))
    assert len(np.unique(beyond_chance(kin, directions, np.arange(600)).others)) <= 2


@st.composite
def activations(draw) -> csr_array:
    """Texts by latents, in which some latents often go together, some are dead."""
    n_texts, n_latents = draw(st.integers(1, 30)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    topics = random.random((n_texts, 3)) < 0.3
    of_topic = random.integers(0, 3, n_latents)
    active = topics[:, of_topic] & (random.random((n_texts, n_latents)) < random.random(n_latents))
    return csr_array(active.astype(np.float32))


def frequency_of(latents: csr_array) -> np.ndarray:
    return np.bincount(latents.indices, minlength=latents.shape[1])


@given(activations())
def test_families_are_a_partition_whose_heads_are_the_most_frequent(latents):
    frequency = frequency_of(latents)
    found = families(active_together(latents, least_texts=1), frequency)
    heads = set(found.others.tolist())
    assert len(set(found.latents.tolist())) == len(found.latents)
    assert not heads & set(found.latents.tolist())  # a head is in no other family
    assert (frequency[found.others] >= frequency[found.latents]).all()
    assert (found.weights > 0).all()
    again = families(active_together(latents, least_texts=1), frequency)
    assert all((a == b).all() for a, b in zip(found, again, strict=True))


# --- parents ---------------------------------------------------------------------------------------


def test_the_next_more_general_latent_is_the_parent():
    # All of 2's texts are 1's, and all of 1's are 0's, so both could stand under 0.
    #   For 2: under 1, 1 / 4 of all texts; under 0, 1 / 8: as surely, but 1 says more. So 1, and 1 under 0.
    frequency = np.array([8, 4, 2])
    directions = np.ones((3, 2))
    together = pairs((0, 1, 4, 0.5), (1, 2, 2, 0.5), (0, 2, 2, 0.4))
    assert ties(parents(together, frequency, directions)) == {1: (0, 1.0), 2: (1, 1.0)}


def test_a_parent_has_enough_of_its_childs_texts_and_a_direction_near_it():
    frequency, together = np.array([8, 5]), pairs((0, 1, 2, 0.5))
    assert ties(parents(together, frequency, np.ones((2, 2)))) == {1: (0, 0.4)}  # 2 of 5
    assert ties(parents(together, np.array([8, 6]), np.ones((2, 2)))) == {}  # 2 of 6
    assert ties(parents(together, frequency, np.eye(2))) == {}
    assert ties(parents(together, np.array([5, 5]), np.ones((2, 2)))) == {}  # neither has more texts


def test_a_matryoshka_parent_is_of_a_smaller_part_however_frequent():
    # Of 32 latents, the parts end at 2, 4, 8, 16 and 32; latent 1 is of the first and 9 of the fourth.
    frequency = np.zeros(32, np.int64)
    frequency[[1, 8, 9]] = 3, 5, 4
    together, directions = pairs((1, 9, 3, 0.5), (8, 9, 4, 0.9)), np.ones((32, 2))
    assert ties(parents(together, frequency, directions, matryoshka_generality(32))) == {9: (1, 0.75)}
    assert ties(parents(together, frequency, directions)) == {9: (8, 1.0), 1: (9, 1.0)}


def test_matryoshka_generality_falls_with_each_part():
    assert matryoshka_generality(32).tolist() == [5] * 2 + [4] * 2 + [3] * 4 + [2] * 8 + [1] * 16


@given(activations(), st.booleans())
def test_following_parents_never_leads_back(latents, matryoshka):
    frequency = frequency_of(latents)
    generality = matryoshka_generality(latents.shape[1]) if matryoshka else None
    together = active_together(latents, least_texts=1, least=-1)
    found = parents(together, frequency, np.ones((latents.shape[1], 2)), generality)
    above = dict(zip(found.latents.tolist(), found.others.tolist(), strict=True))
    assert len(above) == len(found.latents)
    for latent in above:
        seen = {latent}
        while (latent := above.get(latent)) is not None:
            assert latent not in seen
            seen.add(latent)
    active = latents.toarray() > 0
    for latent, other, share in zip(*found, strict=True):
        assert share == pytest.approx((active[:, latent] & active[:, other]).sum() / active[:, latent].sum())


# --- paths -----------------------------------------------------------------------------------------


def test_paths_by_hand():
    # 0 over 1 over 2, and 0 over 3. The text activates 0, 2 and 3, and 5, which has no parent.
    parents_of = {1: 0, 2: 1, 3: 0}
    found = paths(np.array([0, 2, 3, 5]), np.array([1.0, 0.5, 2.0, 1.0]), parents_of)
    assert found == [
        ConceptPath((0, 3), (1.0, 2.0)),
        ConceptPath((0, 1, 2), (1.0, 0.0, 0.5)),
        ConceptPath((5,), (1.0,)),
    ]
    assert [path.strength for path in found] == [3.0, 1.5, 1.0]


def test_a_text_without_latents_has_no_paths():
    assert paths(np.empty(0, np.int64), np.empty(0, np.float32), {1: 0}) == []


def test_parents_that_lead_back_are_refused():
    with pytest.raises(ValueError, match="the parents of latent 0 lead back to 0; a hierarchy has no cycles"):
        paths(np.array([0]), np.array([1.0]), {0: 1, 1: 0})


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11))), st.sets(st.integers(0, 11)), st.integers(0, 99))
def test_paths_lead_from_roots_by_parents_to_the_active_and_leave_none_out(edges, active, seed):
    parents_of = {max(a, b): min(a, b) for a, b in edges if a != b}
    latents = np.array(sorted(active), np.int64)
    strengths = np.random.default_rng(seed).uniform(0.1, 1, len(latents))
    found = paths(latents, strengths, parents_of)
    given = dict(zip(latents.tolist(), strengths.tolist(), strict=True))
    for path in found:
        assert path.latents[0] not in parents_of
        assert all(parents_of[below] == above for above, below in zip(path.latents, path.latents[1:], strict=False))
        assert path.latents[-1] in active
        assert path.activations == tuple(given.get(latent, 0.0) for latent in path.latents)
    assert active <= {latent for path in found for latent in path.latents}
    assert all(a.strength >= b.strength for a, b in pairwise(found))
    ends = [set(path.latents) for path in found]
    assert not any(one < other for one in ends for other in ends)
