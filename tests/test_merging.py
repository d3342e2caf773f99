"""Indexes made one, against the index that is built of all passages at once; what cannot be made one is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, vstack

from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex
from unweave.index.merging import merge
from unweave.index.scoring import DOT, PROFILES, TOKENS, Scoring
from unweave.index.writer import IndexWriter

DEFAULT, PAPER = PROFILES["default"], PROFILES["paper"]
N_LATENTS = 40


def some_latents(n: int, seed: int, share: float = 0.7) -> csr_array:
    """Activations, (n, N_LATENTS); fifteen latents are in every passage, so that the paper's formula is defined."""
    random = np.random.default_rng(seed)
    rows = np.where(random.random((n, N_LATENTS)) < share, random.exponential(1, (n, N_LATENTS)), 0)
    rows[:, :15] = np.maximum(rows[:, :15], 0.3)
    return csr_array(rows.astype(np.float32))


def segments(index: ConceptIndex) -> dict[str, bytes]:
    """Every array of an index, byte for byte."""
    return {name: (index.folder / name).read_bytes() for name in index.manifest.files}


@pytest.mark.parametrize("scoring", [DEFAULT, PAPER, DOT, TOKENS], ids=lambda s: s.profile)
def test_a_merged_index_is_the_one_that_is_built_of_all_passages_to_the_byte(scoring):
    # The corpora differ in how many latents a passage has: avgdl, idf and the scales are of all three together.
    corpora = [some_latents(n, n, share) for n, share in ((50, 0.2), (7, 0.9), (400, 0.6))]
    ids = [[f"{part}-{i}" for i in range(rows.shape[0])] for part, rows in enumerate(corpora)]
    parts = [ConceptIndex.build(rows, of, scoring) for rows, of in zip(corpora, ids, strict=True)]
    before = [segments(part) for part in parts]
    whole = ConceptIndex.build(csr_array(vstack(corpora)), [name for of in ids for name in of], scoring)
    merged = merge(parts)
    assert segments(merged) == segments(whole)
    assert merged.mean_latents == whole.mean_latents != parts[0].mean_latents
    np.testing.assert_array_equal(merged.idf, whole.idf)
    for seed in range(20):
        query = csr_array(some_latents(1, 1000 + seed, 0.1))
        assert list(merged.search(query, 30)) == list(whole.search(query, 30))
    assert [segments(part) for part in parts] == before
    merged.verify()


def test_what_was_deleted_or_replaced_is_merged_as_it_is_now(tmp_path):
    rows = some_latents(6, 0)
    writer = IndexWriter.create(tmp_path / "one", N_LATENTS, DEFAULT)
    writer.add(["a", "b", "c"], csr_array(rows[:3]))
    writer.delete(["a"])
    writer.add(["c"], csr_array(rows[3:4]))  # it takes the old one's place, behind b
    other = ConceptIndex.build(csr_array(rows[4:]), ["a", "d"], DEFAULT)
    merged = merge([ConceptIndex.open(tmp_path / "one"), other])
    expected = ConceptIndex.build(csr_array(rows[[1, 3, 4, 5]]), ["b", "c", "a", "d"], DEFAULT)
    assert segments(merged) == segments(expected)


def test_passages_for_which_the_formula_is_undefined_are_left_out_by_the_mean_of_all():
    # With b = 2 the denominator of a passage of one latent is z + .6 (1 - 2 + 2 / avgdl): of z = .01 it is .61 where
    # avgdl is 1, and .01 - .6 * .198 = -.109 where it is (102 + 300 * 3) / 402 = 2.49.
    short = csr_array(np.full((1, 3), [0.01, 0, 0], np.float32))
    one = csr_array(np.full((101, 3), [0, 1, 0], np.float32))
    long = csr_array(np.full((300, 3), [1, 1, 2], np.float32))
    alone = ConceptIndex.build(csr_array(vstack([short, one])), ["short", *(f"o{i}" for i in range(101))], PAPER)
    assert alone.document_frequency[0] == 1
    merged = merge([alone, ConceptIndex.build(long, [f"l{i}" for i in range(300)], PAPER)])
    assert (merged.n_passages, merged.document_frequency[0], merged.manifest.results["left_out"]) == (402, 300, 1)


def test_a_merged_index_grows_like_any_other(tmp_path):
    merged = merge([ConceptIndex.build(some_latents(3, 1), ["a", "b", "c"])], tmp_path / "kept")
    assert ConceptIndex.open(tmp_path / "kept").ids(range(3)) == ["a", "b", "c"] == merged.ids(range(3))
    grown = IndexWriter(tmp_path / "kept").add(["d"], some_latents(1, 2))
    assert grown.n_passages == 4
    assert not grown.as_built


# --- what is refused -------------------------------------------------------------------------------


def index(ids: str, scoring: Scoring = DEFAULT, n_latents: int = N_LATENTS) -> ConceptIndex:
    return ConceptIndex.build(csr_array(some_latents(len(ids), 0)[:, :n_latents]), list(ids), scoring)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], "there is no index to merge"),
        ([("ab", DEFAULT), ("cd", PAPER)], "score passages in two ways"),
        ([("ab", DEFAULT), ("cd", DEFAULT, 39)], "are of two SAEs, with 39 and 40 latents"),
        ([("ab", DEFAULT), ("cd", DEFAULT), ("eb", DEFAULT)], "the passage id 'b' is in .* ids must be distinct"),
    ],
)
def test_indexes_that_cannot_be_one_are_refused_and_nothing_is_left(tmp_path, parts, said):
    with pytest.raises(BadData, match=said):
        merge([index(*part) for part in parts], tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_written_over(tmp_path):
    first = ConceptIndex.build(some_latents(2, 0), folder=tmp_path / "index")
    before = segments(first)
    with pytest.raises(BadData, match="is there already; give another folder"):
        merge([first], tmp_path / "index")
    assert segments(ConceptIndex.open(tmp_path / "index")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["index"]
