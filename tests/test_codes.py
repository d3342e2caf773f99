"""Codes: passages in three bytes a concept, scored against whole queries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from unweave.errors import CorruptArtifact
from unweave.index.codes import Codes, as_long
from unweave.project import Project


def saved(codes: Codes, folder, n_latents=3):
    codes.save(folder, n_latents, settings={}, made_from={})
    return folder


def test_a_code_is_the_strongest_latents_in_255ths_of_the_first():
    codes = Codes.of(csr_array(np.array([[0, 0.994, 2.55], [0, 0, 0], [0.5, 0, 0]], np.float32)))
    latents, activations = codes.row(0)
    assert latents.tolist() == [2, 1]
    np.testing.assert_allclose(activations, [2.55, 0.99], rtol=1e-5)
    assert codes.row(1).latents.tolist() == []
    np.testing.assert_allclose(codes.row(2).activations, [0.5])
    assert codes.bytes == 3 * (2 * 2 + 2 * 1 + 4)


@given(st.integers(0, 2**32 - 1))
def test_scores_are_those_of_the_given_codes_up_to_rounding(seed):
    random = np.random.default_rng(seed)
    given_codes = csr_array(random_array((20, 40), density=0.2, rng=random, dtype=np.float32))
    products = random.normal(size=40)
    codes, some = Codes.of(given_codes), np.array([3, 7, 19])
    # An activation is off by half a 255th of its passage's strongest, at most.
    slack = given_codes.toarray().max(axis=1) / 510 * ((given_codes.toarray() > 0) @ np.abs(products))
    expected = given_codes @ products
    found = codes.reconstructed(products, np.arange(20))
    assert (np.abs(found - expected) <= slack + 1e-6).all()
    np.testing.assert_array_equal(codes.reconstructed(products, some), found[some])


@given(st.integers(0, 2**32 - 1))
def test_a_score_is_the_sum_of_its_row(seed):
    random = np.random.default_rng(seed)
    codes = Codes.of(csr_array(random_array((8, 30), density=0.3, rng=random, dtype=np.float32)))
    products = random.normal(size=30)
    rows = (codes.row(passage) for passage in range(8))
    sums = [float(activations.astype(np.float64) @ products[latents]) for latents, activations in rows]
    np.testing.assert_allclose(codes.reconstructed(products, np.arange(8)), sums, rtol=1e-5, atol=1e-6)


def test_a_stretched_code_decodes_to_the_length_of_its_embedding(random_sae):
    sae = random_sae(3)
    embeddings = np.random.default_rng(5).normal(size=(50, 8)).astype(np.float32) * 3
    codes = sae.encode(embeddings)
    stretched = sae.decode(as_long(sae, embeddings, codes))
    some = np.diff(codes.indptr) > 0
    np.testing.assert_allclose(
        np.linalg.norm(stretched[some], axis=1), np.linalg.norm(embeddings[some], axis=1), rtol=1e-4
    )


def test_a_code_that_cannot_reach_the_length_stays_as_it_is(random_sae):
    sae = random_sae(3)
    nothing = csr_array((1, sae.config.n_latents), dtype=np.float32)
    assert as_long(sae, np.ones((1, 8), np.float32), nothing).nnz == 0


def test_more_latents_than_two_bytes_can_name():
    codes = Codes.of(csr_array((np.ones(1, np.float32), [70_000], [0, 1]), shape=(1, 80_000)))
    assert codes.row(0).latents.tolist() == [70_000]


def test_what_is_saved_is_what_is_loaded(tmp_path):
    codes = Codes.of(csr_array(np.array([[0, 1.0, 2.0], [3.0, 0, 0]], np.float32)))
    there = Codes.load(saved(codes, tmp_path / "codes"))
    products = np.array([1.0, 10.0, 100.0])
    np.testing.assert_array_equal(
        there.reconstructed(products, np.arange(2)), codes.reconstructed(products, np.arange(2))
    )
    assert there.bytes == codes.bytes


def test_codes_that_name_latents_which_are_not_there_are_refused(tmp_path):
    codes = Codes.of(csr_array(np.array([[0, 1.0, 2.0]], np.float32)))
    with pytest.raises(CorruptArtifact, match="do not fit together"):
        Codes.load(saved(codes, tmp_path / "codes", n_latents=2))


def test_a_real_search_by_codes_is_near_dense_and_explains_itself(project_folder):
    project = Project.open(project_folder)
    searcher = project.systems["CL-SR rescored"].searcher
    queries = project.embeddings("queries").rows(0, 20)
    passages = project.embeddings("passages").rows()
    for query in queries:
        hits = searcher.scanned(query, 10)
        for explanation in searcher.explain_rescored(query, hits, project.concepts):
            explanation.check()
        decoded = project.codes.reconstructed(project.sae.W_dec @ query.astype(np.float64), np.arange(len(passages)))
        assert np.corrcoef(decoded, passages @ query)[0, 1] > 0.9
        every = searcher.rescored(query, 10, candidates=len(passages))
        assert set(every.passages) <= set(searcher.scanned(query, 20).passages) or len(every.passages) < 10
