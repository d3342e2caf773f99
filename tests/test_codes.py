"""Codes: passages in three bytes a concept, scored against whole queries."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from unweave.base.progress import watched
from unweave.errors import CorruptArtifact
from unweave.index import codes as codes_module
from unweave.index.codes import Codes, as_long, write_codes
from unweave.project import Project


def write(folder, rows: csr_array, codes_of=None, n_latents=None):
    """Write the codes, (n, n_latents), some at a time."""
    settings = {"n_latents": n_latents or rows.shape[1]}
    codes_of = codes_of or (lambda start, end: rows[start:end])
    write_codes(folder, rows.shape[0], codes_of, settings=settings, made_from={})
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
    rows = csr_array(np.array([[0, 1.0, 2.0], [3.0, 0, 0]], np.float32))
    codes, there = Codes.of(rows), Codes.load(write(tmp_path / "codes", rows))
    products = np.array([1.0, 10.0, 100.0])
    np.testing.assert_array_equal(
        there.reconstructed(products, np.arange(2)), codes.reconstructed(products, np.arange(2))
    )
    assert there.bytes == codes.bytes


def test_codes_that_name_latents_which_are_not_there_are_refused(tmp_path):
    rows = csr_array(np.array([[0, 1.0, 2.0]], np.float32))
    codes = Codes.load(write(tmp_path / "codes", rows, n_latents=2))
    for read in (lambda: codes.reconstructed(np.ones(3), np.arange(1)), lambda: codes.row(0)):
        with pytest.raises(CorruptArtifact, match="a latent that is not among the 2 of their dictionary"):
            read()


def some_codes(n: int, n_latents: int = 50) -> csr_array:
    """The later, the more latents: parts of the work are of different widths."""
    random = np.random.default_rng(0)
    share = np.linspace(0, 0.4, n)[:, None]
    return csr_array((random.random((n, n_latents)) * (random.random((n, n_latents)) < share)).astype(np.float32))


@pytest.mark.parametrize("n", [0, 1, 12, 23])
def test_codes_written_some_at_a_time_are_those_written_at_once(tmp_path, monkeypatch, n):
    rows = some_codes(n)
    at_once = write(tmp_path / "at once", rows)
    monkeypatch.setattr(codes_module, "_PASSAGES_AT_ONCE", 4)
    in_parts = write(tmp_path / "in parts", rows)
    assert sorted(path.name for path in in_parts.iterdir()) == sorted(path.name for path in at_once.iterdir())
    for name in ("latents", "activations", "scales"):
        assert (in_parts / f"{name}.npy").read_bytes() == (at_once / f"{name}.npy").read_bytes()
    whole, there, products = Codes.of(rows), Codes.load(in_parts), np.arange(50.0)
    np.testing.assert_array_equal(
        there.reconstructed(products, np.arange(n)), whole.reconstructed(products, np.arange(n))
    )
    assert there.bytes == whole.bytes


def test_a_killed_run_goes_on_after_the_last_part_and_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(codes_module, "_PASSAGES_AT_ONCE", 4)
    rows, asked, told = some_codes(10), [], []

    class Watch:
        say = print

        @contextlib.contextmanager
        def steps(self, label, total, unit, done):
            told.append((label, total, unit, done))
            yield told.append

    def codes_of(start, end):
        if start == 8 and start not in asked:
            asked.append(start)
            raise KeyboardInterrupt
        asked.append(start)
        return rows[start:end]

    with watched(Watch()):
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "codes", rows, codes_of)
        write(tmp_path / "codes", rows, codes_of)
    assert asked == [0, 4, 8, 8]
    line = ("coding passages", 10, "passages")
    assert told == [(*line, 0), 4, 4, (*line, 8), 2]
    assert Codes.load(tmp_path / "codes").bytes == Codes.of(rows).bytes


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
