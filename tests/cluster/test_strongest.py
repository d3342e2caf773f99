"""The evidence of every latent, reduced shard by shard: the same as of all passages at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from unweave.cluster.gathering import drawn
from unweave.cluster.strongest import best, drawn_ranks, shown, together


def latents_of(rows: list[list[float]]) -> csr_array:
    return csr_array(np.array(rows, np.float32))


def test_the_strongest_passages_of_a_latent_by_hand() -> None:
    found = shown(latents_of([[0.1, 0], [0.9, 0.2], [0.5, 0], [0.9, 0]]), first=10, n=2, seed=0)
    assert found.strongest.latents.tolist() == [0, 0, 1]
    assert found.strongest.passages.tolist() == [11, 13, 11]  # equal ones in the corpus's order
    assert found.document_frequency.tolist() == [4, 1]


@given(
    st.lists(st.lists(st.sampled_from([0, 0, 0.25, 0.5, 1]), min_size=3, max_size=3), min_size=2, max_size=24),
    st.integers(1, 4),
    st.data(),
)
def test_shards_brought_together_in_any_groups_give_what_all_passages_give(rows, n, data) -> None:
    whole = shown(latents_of(rows), 0, n, seed=3)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=4)))
    parts = [
        shown(latents_of(rows[start:end]), start, n, seed=3)
        for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    while len(parts) > 1:
        at = data.draw(st.integers(0, len(parts) - 2))
        parts[at : at + 2] = [together(parts[at : at + 2], n)]
    for one, other in zip(whole.strongest + whole.drawn, parts[0].strongest + parts[0].drawn, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.document_frequency, parts[0].document_frequency)


def test_what_is_drawn_is_drawn_evenly() -> None:
    passages = np.arange(20_000)
    counts = np.zeros(20)
    for latent in range(200):
        ranks = drawn_ranks(np.full(len(passages), latent, np.int32), passages, seed=1)
        counts += np.histogram(np.argsort(ranks)[:50], bins=20, range=(0, 20_000))[0]
    expected = counts.sum() / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-squared of 19 degrees of freedom, p = .001


def test_the_ranks_of_another_seed_are_others() -> None:
    passages, latents = np.arange(1000), np.zeros(1000, np.int32)
    one, other = drawn_ranks(latents, passages, 0), drawn_ranks(latents, passages, 1)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1 and ((one >= 0) & (one < 1)).all()


@pytest.mark.parametrize(("n_passages", "most"), [(5, 10), (10, 10), (1000, 10)])
def test_a_sample_is_of_so_many_at_most_and_ascends(n_passages: int, most: int) -> None:
    rows = drawn(n_passages, most, seed=0)
    assert len(rows) == min(n_passages, most) == len(np.unique(rows))
    assert (np.diff(rows) > 0).all() and rows.max() < n_passages


def test_no_latents_show_nothing() -> None:
    found = shown(csr_array((3, 4), dtype=np.float32), 0, 2, 0)
    assert len(best(found.strongest, 2).latents) == 0 and not found.document_frequency.any()
