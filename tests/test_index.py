"""The concept index: exact against a slow oracle, in every committed state; what is damaged is named."""

from __future__ import annotations

import gc
import itertools
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, vstack

from unweave.base.artifact import MANIFEST, Manifest, write_manifest
from unweave.base.pages import PAGE
from unweave.base.progress import watched
from unweave.errors import ArtifactInUse, BadData, CorruptArtifact, MissingArtifact
from unweave.index import concept_index, kernels, searching
from unweave.index.activations import rounded
from unweave.index.concept_index import ConceptIndex
from unweave.index.kernels import Scratch
from unweave.index.postings import BLOCK
from unweave.index.scoring import DOT, PROFILES, TOKENS, Scoring, impacts_of
from unweave.index.segment import Batch
from unweave.index.writer import IndexWriter, _first_to_merge

DEFAULT, PAPER = PROFILES["default"], PROFILES["paper"]
N_LATENTS = 60
Corpus = dict[str, np.ndarray]
"""Activations by id, (n_latents,), in the order of the index."""


def some_rows(n: int, seed: int, n_latents: int = N_LATENTS) -> np.ndarray:
    """Activations, (n, n_latents): some latents in nearly every passage, most in few."""
    random = np.random.default_rng(seed)
    share = 0.9 * random.permutation(n_latents) ** 2 / n_latents**2
    return np.where(random.random((n, n_latents)) < share, random.exponential(1, (n, n_latents)), 0).astype(np.float32)


Stored = dict[str, dict[int, float] | None]
"""What is stored of each passage, the strongest latents first, as impacts; None: the formula has no value for it."""


def stored(corpus: Corpus, scoring: Scoring, mean: float) -> Stored:
    found: Stored = {}
    for name, given_row in corpus.items():
        row = rounded(given_row)
        latents = np.flatnonzero(row)
        latents = latents[np.lexsort((latents, -row[latents]))][: scoring.max_latents]
        impacts = impacts_of(row[latents], mean, scoring)
        undefined = len(impacts) and not 0 < impacts[-1] < np.inf
        found[name] = None if undefined else dict(zip(latents.tolist(), impacts.tolist(), strict=True))
    return found


def oracle(passages: Stored, query: dict[int, float], k: int, **bent) -> list:
    """Every passage scored one by one by what is stored of it, then sorted: (id, score) of the best k."""
    found, banned, allowed = [], set(bent.get("banned", ())), set(bent.get("allowed", passages))
    for place, (name, impacts) in enumerate(passages.items()):
        if impacts is None or impacts.keys() & banned or name not in allowed:
            continue
        counted = dict(itertools.islice(impacts.items(), bent.get("passage_k")))
        parts = [weight * counted[latent] for latent, weight in query.items() if weight and latent in counted]
        if parts:
            found.append((-np.float32(sum(parts)), place, name))
    return [(name, -score) for score, _, name in sorted(found)[:k]]


def found_by(index: ConceptIndex, query: dict[int, float], k: int, **bent) -> list:
    if "allowed" in bent:
        allowed = np.zeros(index.n_positions, np.bool_)
        allowed[index.positions(sorted(bent["allowed"]))] = True
        bent["allowed"] = allowed
    hits = index.hits(np.array(list(query), np.int64), np.array(list(query.values()), np.float32), k, **bent)
    return list(zip(index.ids(hits.passages), hits.scores, strict=True))


def some_query(random: np.random.Generator, *, signed: bool) -> dict[int, float]:
    latents = random.permutation(N_LATENTS)[: random.integers(1, 20)]
    weights = random.normal(0.5, 0.6, len(latents)) if signed else random.exponential(1, len(latents)) + 0.01
    return dict(zip(latents.tolist(), weights.astype(np.float32).tolist(), strict=True))


def assert_exact(index: ConceptIndex, corpus: Corpus, random: np.random.Generator) -> None:
    """Searches of each kind find what the oracle finds, in the same order, with the same scores to the last bit."""
    names = [name for name in corpus if random.random() < 0.5]
    passages = stored(corpus, index.scoring, index.mean_latents)
    for k, signed, bent in (
        (1, False, {}),
        (10, False, {}),
        (10_000, False, {}),
        (10, True, {}),
        (10, False, {"banned": random.permutation(N_LATENTS)[:2].tolist()}),
        (5, True, {"allowed": names}),
        (10, False, {"passage_k": 3}),
        (10, True, {"passage_k": 2, "allowed": names}),
    ):
        query = some_query(random, signed=signed)
        expected = oracle(passages, query, k, **bent)
        assert found_by(index, query, k, **bent) == expected


# --- exact, in every state -------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", [DEFAULT, PAPER, DOT, TOKENS], ids=lambda s: s.profile)
@pytest.mark.parametrize("seed", range(3))
def test_every_state_of_an_index_is_searched_exactly(tmp_path, scoring, seed):
    random = np.random.default_rng(seed)
    writer, corpus = IndexWriter.create(tmp_path / "index", N_LATENTS, scoring), Corpus()
    fresh = (f"passage {i}" for i in itertools.count())
    for step in range(10):
        what = random.choice(["add", "replace", "delete", "compact", "merge all"]) if corpus else "add"
        some = [name for name in corpus if random.random() < 0.2]
        if what in ("add", "replace"):
            new = [next(fresh) for _ in range(random.choice([1, 30, 500]))]
            ids = (some if what == "replace" else []) + new
            rows = some_rows(len(ids), seed + step) + np.eye(len(ids), N_LATENTS, dtype=np.float32)
            rows[:, :20] = np.maximum(rows[:, :20], 0.5)  # so that the paper's formula is defined
            corpus = {name: row for name, row in corpus.items() if name not in ids}
            corpus |= dict(zip(ids, rows, strict=True))
            index = writer.add(ids, csr_array(rows))
        elif what == "delete":
            corpus = {name: row for name, row in corpus.items() if name not in some}
            index = writer.delete(some)
        else:
            index = writer.compact(fully=what == "merge all")
        index.verify()
        assert index.n_passages == len(corpus)
        kept = [np.sort(row[row > 0])[::-1][: scoring.max_latents] for row in corpus.values()]
        assert index.document_frequency.sum() == sum(map(len, kept))
        assert_exact(index, corpus, random)


def test_an_index_of_more_than_one_block_is_exact(index_of):
    n = BLOCK + 70
    random = np.random.default_rng(0)
    latents = np.sort(random.integers(0, 1000, (n, 6)), axis=1)
    keep = np.concatenate([np.ones((n, 1), bool), np.diff(latents) > 0], axis=1)
    offsets = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    values = random.integers(1, 4, int(offsets[-1])).astype(np.float32)  # few values, so that ties are frequent
    rows = csr_array((values, latents[keep], offsets), shape=(n, 1000))
    index = index_of(rows, DOT)
    for k in (1, 10, 1000, n):
        wanted = np.arange(3, 1000, 7)
        scores = np.asarray(rows[:, wanted] @ np.ones(len(wanted)))
        expected = [p for p in np.argsort(-scores, kind="stable") if scores[p] > 0][:k]
        hits = index.hits(wanted, np.ones(len(wanted)), k)
        assert hits.passages.tolist() == expected
        assert hits.scores.tolist() == scores[expected].tolist()


def test_more_candidates_than_there_is_room_for_are_all_found(index_of, monkeypatch):
    # Room for one block only: while the second is read, the candidates of the first are still there.
    n = 2 * BLOCK + 5
    index = index_of(csr_array((np.ones(n, np.float32), np.zeros(n, int), np.arange(n + 1)), shape=(n, 2)), DOT)
    monkeypatch.setattr(searching, "_scratch", lambda n_latents: Scratch.new(n_latents, capacity=BLOCK))
    assert index.hits(np.array([0]), np.ones(1), n).passages.tolist() == list(range(n))
    assert index.hits(np.array([0]), -np.ones(1), n).passages.tolist() == list(range(n))
    assert index.hits(np.array([0]), np.ones(1), 7).passages.tolist() == list(range(7))


@given(
    st.lists(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0]), min_size=3, max_size=3), min_size=1, max_size=12),
    st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0]), min_size=3, max_size=3),
    st.integers(1, 15),
)
def test_ties_keep_corpus_order(index_of, rows, weights, cutoff):
    corpus = {str(i): np.array(row, np.float32) for i, row in enumerate(rows)}
    query = {latent: weight for latent, weight in enumerate(weights) if weight}
    index = index_of(np.array(rows, np.float32), DOT)
    assert found_by(index, query, cutoff) == oracle(stored(corpus, DOT, 1.0), query, cutoff)


def test_an_approximate_search_reads_the_lists_that_tell_most(index_of):
    rows = np.zeros((600, N_LATENTS), np.float32)
    rows[:, 0], rows[500:, 1], rows[0, 2] = 1, 2, 3
    index = index_of(rows, DOT)
    query = {
        0: 1.0,
        1: 1.0,
        2: 1.0,
    }  # at most 1 / sqrt(600), 2 / sqrt(100), 3 / sqrt(1): read from the last to the first
    assert [name for name, _ in found_by(index, query, 3)] == ["0", "500", "501"]
    assert found_by(index, query, 3, effort=0.001) == [("0", 4.0)]  # one list, and the true score of what it has
    assert found_by(index, query, 3, effort=0.2) == [("0", 4.0), ("500", 3.0), ("501", 3.0)]
    assert found_by(index, query | {0: -1.0}, 1, effort=0.001) == found_by(index, query | {0: -1.0}, 1)


@pytest.mark.parametrize("seed", range(5))
def test_an_approximate_search_gives_true_scores_and_finds_all_that_its_lists_have_within_its_spare(index_of, seed):
    random = np.random.default_rng(seed)
    rows = some_rows(90, seed)  # all are candidates of a search for 10, which scores 94 more
    index = index_of(rows, DEFAULT)
    corpus = {str(i): row for i, row in enumerate(rows)}
    query = some_query(random, signed=False)
    exact = dict(oracle(stored(corpus, DEFAULT, index.mean_latents), query, 90))
    found = found_by(index, query, 10, effort=0.5)
    assert all(exact[name] == score for name, score in found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    latents = np.array([latent for latent in query if index.document_frequency[latent]], np.uint32)
    weights = np.array([query.get(latent, 0) for latent in range(N_LATENTS)], np.float32)
    scales = index.segments[0].scales
    read = kernels.most_telling(latents, weights, index.document_frequency, scales, 0.5)
    assert found == [(name, score) for name, score in exact.items() if corpus[name][read].any()][:10]


def test_equal_searches_many_at_a_time_find_the_same(index_of):
    rows = csr_array(some_rows(3000, 1))
    index = index_of(rows, DEFAULT)
    queries = csr_array(some_rows(200, 2))
    together = index.hits_of_each(queries, 20)
    for number in range(200):
        alone = index.hits(queries[[number]].indices, queries[[number]].data, 20)
        assert alone.passages.tolist() == together[number].passages.tolist()
        assert alone.scores.tolist() == together[number].scores.tolist()


def test_a_query_without_latents_or_without_shared_ones_finds_nothing(index_of):
    index = index_of(np.array([[1, 0, 3], [2, 0, 1]], np.float32), DOT)
    for latents, weights in (([], []), ([1], [1.0]), ([0], [0.0])):
        hits = index.hits(np.array(latents, np.int64), np.array(weights))
        assert (len(hits.passages), len(hits.scores)) == (0, 0)


def test_an_index_of_nothing_finds_nothing(index_of):
    for rows in (np.zeros((3, 2), np.float32), np.zeros((0, 2), np.float32)):
        assert len(index_of(rows, DEFAULT).hits(np.array([0, 1]), np.ones(2)).passages) == 0


@pytest.mark.parametrize(
    ("latents", "weights", "options", "message"),
    [
        ([60], [1.0], {}, "latents must be from 0 to 59, got 60 to 60"),
        ([-1], [1.0], {}, "latents must be from 0 to 59, got -1 to -1"),
        ([3, 3], [1.0, 2.0], {}, "latents must be unique"),
        ([3], [np.nan], {}, "weights must be finite"),
        ([3], [1.0, 2.0], {}, r"latents of shape \(1,\) came with weights of shape \(2,\)"),
        ([3], [1.0], {"cutoff": 0}, "cutoff must be at least 1, got 0"),
        ([3], [1.0], {"passage_k": 0}, "passage_k must be at least 1, got 0"),
        ([3], [1.0], {"effort": 0.0}, "effort must lie above 0 and not above 1, got 0.0"),
        ([3], [1.0], {"banned": [60]}, r"banned latents must be from 0 to 59, got \[60\]"),
        ([3], [1.0], {"allowed": np.ones(4, np.bool_)}, r"allowed has the shape \(4,\), expected .* of 5"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused(index_of, latents, weights, options, message):
    index = index_of(np.ones((5, N_LATENTS), np.float32), DEFAULT)
    with pytest.raises(BadData, match=message):
        index.hits(np.array(latents), np.array(weights), **options)


def test_a_query_of_more_latents_than_bounds_can_hold_is_refused(index_of):
    wide = csr_array((np.ones(20_000, np.float32), np.arange(20_000), [0, 20_000]), shape=(1, 20_000))
    with pytest.raises(BadData, match="a query of 20000 latents; at most 16383 can be searched"):
        index_of(wide, DOT).hits(np.arange(20_000), np.ones(20_000))
    hits = index_of(wide, DOT).hits(np.arange(16_383), np.ones(16_383))
    assert hits.scores.tolist() == [16_383]


@pytest.mark.parametrize(("n_latents", "entry"), [(1 << 16, 4), (70_000, 5), ((1 << 24) + 9, 6)])
def test_an_entry_of_a_forward_list_takes_four_bytes_or_more_for_larger_dictionaries(index_of, n_latents, entry):
    last = n_latents - 1
    rows = csr_array(([1.0, 2.0, 3.0], [0, last, 40_000], [0, 2, 3]), shape=(2, n_latents), dtype=np.float32)
    index = index_of(rows, DOT)
    assert index.hits(np.array([40_000, last]), np.ones(2)).scores.tolist() == [3, 2]
    assert index.row(0).latents.tolist() == [last, 0]
    assert len(index.segments[0].forward.rows.data) == 3 * entry


def test_what_is_stored_of_an_activation_is_what_counts(index_of):
    # 1.0005 and 1.001 lie within half of 1/256 above 1: both are stored as 1, so the lower latent is the stronger one.
    index = index_of(np.array([[0, 1.0005, 1.001, 3.0], [0, 1.001, 0, 0]], np.float32), replace(DOT, max_latents=2))
    assert index.row(0).latents.tolist() == [3, 1, 2]
    assert index.row(0).activations.tolist() == [3, 1, 1]
    hits = index.hits(np.array([1, 2]), np.ones(2))
    assert (hits.passages.tolist(), hits.scores.tolist()) == ([0, 1], [1, 1])


def test_an_index_of_an_earlier_layout_is_refused_with_what_to_do(changed_index, tmp_path):
    shutil.copytree(changed_index.folder, tmp_path / "index")
    manifest = Manifest(**json.loads((tmp_path / "index" / MANIFEST).read_text()))
    earlier = {name: value for name, value in manifest.settings.items() if name != "layout"}
    write_manifest(tmp_path / "index", replace(manifest, settings=earlier))
    with pytest.raises(CorruptArtifact, match="is an index of another version of unweave; build it again"):
        ConceptIndex.open(tmp_path / "index")


# --- passages --------------------------------------------------------------------------------------


def test_passages_are_looked_up_by_id_and_by_position(tmp_path):
    rows = some_rows(300, 0)
    ids = [f"pässage-{i}" for i in range(300)]
    index = ConceptIndex.build(csr_array(rows), ids, DEFAULT, folder=tmp_path / "index")
    assert index.ids(range(300)) == ids
    assert index.positions([*ids[::-1], "another", ""]).tolist() == [*range(299, -1, -1), -1, -1]
    for position in range(300):
        latents, activations = index.row(position)
        assert sorted(latents.tolist()) == np.flatnonzero(rows[position]).tolist()
        assert (np.diff(activations) <= 0).all()
        assert np.array_equal(rounded(rows[position, latents]), activations)
    with pytest.raises(IndexError, match="position 300 is outside an index of 300 positions"):
        index.row(300)


def test_reconstructed_scores_are_sums_over_all_latents_of_a_passage(tmp_path):
    rows = some_rows(50, 0)
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, replace(DEFAULT, max_latents=5))
    for part in np.split(np.arange(50), 5):
        index = writer.add([str(i) for i in part], csr_array(rows[part]))
    products = np.random.default_rng(0).normal(size=N_LATENTS)
    some = np.array([0, 3, 11, 12, 49])
    np.testing.assert_allclose(index.reconstructed(products, some), rounded(rows[some]).astype(np.float64) @ products)


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        (["a", "a"], np.ones((2, 3)), "the passage id 'a' occurs more than once"),
        (["a", ""], np.ones((2, 3)), r"passage 1 \(counting from 0\) has an empty id"),
        (["a"], np.ones((2, 3)), r"1 ids came with latents of shape \(2, 3\); expected \(1, 3\)"),
        (["a"], np.ones((1, 4)), r"1 ids came with latents of shape \(1, 4\); expected \(1, 3\)"),
        (["a"], -np.ones((1, 3)), "activations must be finite and above 0"),
        (["a"], np.full((1, 3), np.inf), "activations must be finite and above 0"),
        ([], np.ones((0, 3)), "there are no passages to add"),
    ],
)
def test_passages_that_cannot_be_added_leave_the_index_as_it_was(tmp_path, ids, rows, message):
    writer = IndexWriter.create(tmp_path / "index", 3, DEFAULT)
    before = writer.add(["old"], csr_array(np.ones((1, 3), np.float32)))
    with pytest.raises(BadData, match=message):
        writer.add(ids, csr_array(rows.astype(np.float32)))
    after = ConceptIndex.open(tmp_path / "index")
    assert after.manifest == before.manifest
    assert [p.name for p in (tmp_path / "index" / "segments").iterdir()] == ["000001"]


def test_deleting_what_is_not_there_deletes_nothing(tmp_path):
    writer = IndexWriter.create(tmp_path / "index", 3, DEFAULT)
    writer.add(["a", "b"], csr_array(np.ones((2, 3), np.float32)))
    with pytest.raises(BadData, match=r"1 of 2 ids are not in .*, first 'c'"):
        writer.delete(["a", "c"])
    assert ConceptIndex.open(tmp_path / "index").n_passages == 2


def test_passages_are_added_in_batches_in_one_commit(tmp_path):
    rows = some_rows(500, 0)
    ids = [str(i) for i in range(500)]
    whole = ConceptIndex.build(csr_array(rows), ids, PAPER_LIKE, folder=tmp_path / "whole")
    writer = IndexWriter.create(tmp_path / "parts", N_LATENTS, PAPER_LIKE)
    parts = writer.add_batches(Batch(ids[a : a + 70], csr_array(rows[a : a + 70])) for a in range(0, 500, 70))
    names = sorted(p.name for p in (whole.folder / "segments" / "000001").iterdir())
    assert names == sorted(p.name for p in (parts.folder / "segments" / "000001").iterdir())
    for name in names:
        here, there = (index.folder / "segments" / "000001" / name for index in (whole, parts))
        assert here.read_bytes() == there.read_bytes()


PAPER_LIKE = replace(PAPER, b=0.7)  # depends on the mean length, and is defined for every passage


def test_an_index_is_not_made_where_one_is(tmp_path):
    IndexWriter.create(tmp_path / "index", 3, DEFAULT)
    with pytest.raises(BadData, match="is an index already"):
        IndexWriter.create(tmp_path / "index", 3, DEFAULT)


def test_what_is_missing_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingArtifact, match="there is no index in"):
        ConceptIndex.open(tmp_path / "nowhere")
    with pytest.raises(MissingArtifact, match="there is no index in"):
        IndexWriter(tmp_path / "nowhere").add(["a"], csr_array(np.ones((1, 3), np.float32)))
    assert not (tmp_path / "nowhere").exists()


def test_batches_give_all_that_can_be_found_as_search_scores_it(tmp_path):
    rows = some_rows(50, 0)
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, replace(PAPER_LIKE, max_latents=4))
    writer.add([str(i) for i in range(30)], csr_array(rows[:30]))
    writer.add([str(i) for i in range(30, 50)], csr_array(rows[30:]))
    index = writer.delete(["3", "31"])
    found = list(index.batches(11))
    assert [len(batch.ids) for batch in found] == [11, 11, 7, 11, 8]
    ids = [name for batch in found for name in batch.ids]
    assert ids == [str(i) for i in range(50) if i not in {3, 31}]
    together = csr_array(vstack([batch.impacts for batch in found]))
    for place, position in enumerate(index.positions(ids).tolist()):
        latents, impacts = index.impacts(position)
        assert together[[place]].indices.tolist() == latents.tolist()
        assert together[[place]].data.tolist() == impacts.tolist()


def test_a_first_search_that_has_to_compile_says_so(index_of, monkeypatch, tmp_path):
    index, told = index_of(np.ones((2, 3), np.float32), DOT), []
    index.hits(np.array([0]), np.ones(1))

    class Watch:
        steps = None

        def say(self, line):
            told.append(line)

    class NeverCompiled:
        signatures = ()
        py_func = kernels.search_one.py_func
        _cache = SimpleNamespace(cache_path=str(tmp_path))

        def __call__(self, *arguments):
            return compiled(*arguments)

    compiled = kernels.search_one
    with watched(Watch()):
        index.hits(np.array([0]), np.ones(1))
        assert told == []  # it is compiled
        monkeypatch.setattr(kernels, "search_one", NeverCompiled())
        index.hits(np.array([0]), np.ones(1))
        index.hits(np.array([0]), np.ones(1))
    assert told == ["compiling the search, once after installation: some seconds"]


def test_no_kernel_of_a_search_is_compiled_twice(tmp_path):
    """Each takes seconds; an index in memory and on disk, with and without deletions or a filter, need the same."""
    rows = some_rows(20, 0)
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, DEFAULT)
    for index in (
        ConceptIndex.build(csr_array(rows)),
        writer.add([str(i) for i in range(20)], csr_array(rows)),
        writer.delete(["3"]),
        writer.add(["more"], csr_array(rows[:1])),
    ):
        for weights in (np.ones(2, np.float32), np.ones(2)):
            weights.flags.writeable = weights.dtype != np.float32
            index.hits(np.array([0, 1]), weights, 3)
            index.hits(np.array([0, 1], np.int32), weights, 3, allowed=np.arange(index.n_positions) > 4)
    for kernel in (kernels.search_one, kernels.scan, kernels.begin, kernels.score_all):
        assert len(kernel.signatures) == 1, kernel


# --- in memory -------------------------------------------------------------------------------------


def test_an_index_without_a_folder_goes_away_with_the_last_who_holds_it():
    index = ConceptIndex.build(csr_array(some_rows(30, 0)))
    assert index.scoring == DEFAULT
    assert found_by(index, {5: 1.0}, 3) == found_by(index.latest(), {5: 1.0}, 3)
    folder = index.folder
    IndexWriter(folder).add(["another"], csr_array(some_rows(1, 1)))
    latest = index.latest()
    del index
    assert latest.n_passages == 31
    assert latest.folder.exists()
    del latest
    assert not folder.parent.exists()


def test_an_index_that_cannot_be_built_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(BadData, match="occurs more than once"):
        ConceptIndex.build(csr_array(np.ones((2, 3), np.float32)), ["a", "a"])
    gc.collect()  # the error's traceback held it
    assert not list(tmp_path.iterdir())


def test_a_child_process_that_ends_leaves_the_index_to_its_parent():
    index = ConceptIndex.build(csr_array(np.ones((2, 3), np.float32)))
    done = multiprocessing.get_context("fork").Process(target=lambda: index.__dict__.clear())
    done.start()
    done.join()
    assert index.folder.exists()


def test_idf_is_that_of_the_formula_for_what_can_be_found(index_of):
    # Of 4 passages, 1 has latent 0, 3 have latent 1, none has latent 2: ln(1 + 3.5 / 1.5), ln(1 + 1.5 / 3.5), 0.
    index = index_of(np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]], np.float32), DEFAULT)
    np.testing.assert_allclose(index.idf, [np.log(1 + 3.5 / 1.5), np.log(1 + 1.5 / 3.5), 0], rtol=1e-6)


# --- what it was built from ------------------------------------------------------------------------


def test_an_index_in_which_a_passage_was_replaced_is_not_as_built_though_all_counts_fit(tmp_path):
    rows = csr_array(some_rows(20, 0))
    built = ConceptIndex.build(rows, [f"p{i}" for i in range(20)], DEFAULT, folder=tmp_path / "index")
    assert built.as_built
    writer = IndexWriter(tmp_path / "index")
    writer.add(["p3"], rows[[3]])
    index = writer.compact(fully=True)
    assert len(index.segments) == 1
    assert index.n_passages == index.n_positions == 20
    assert index.ids([3, 19]) == ["p4", "p3"]  # a corpus of twenty would show another passage's text
    assert not index.as_built
    assert built.as_built  # an opened state never changes


def test_whatever_changes_an_index_makes_it_no_longer_as_built(tmp_path):
    rows = csr_array(some_rows(4, 0))

    def built() -> IndexWriter:
        assert ConceptIndex.build(rows, folder=tmp_path / "index").as_built
        return IndexWriter(tmp_path / "index")

    assert built().compact(fully=True).as_built
    assert built().delete([]).as_built
    assert not built().add(["another"], rows[[0]]).as_built
    assert not built().delete(["2"]).as_built
    assert not IndexWriter(tmp_path / "index").compact(fully=True).as_built
    assert not IndexWriter.create(tmp_path / "other", N_LATENTS, DEFAULT).add(["a"], rows[[0]]).as_built


# --- segments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "first"),
    [([], 0), ([5], 1), ([100, 5], 2), ([100, 60], 0), ([100, 30, 10, 4], 4), ([100, 30, 10, 6], 1), ([9, 9, 9], 0)],
)
def test_segments_are_merged_until_sizes_fall_geometrically(sizes, first):
    assert _first_to_merge(sizes) == first


def test_many_small_additions_leave_few_segments(tmp_path):
    writer = IndexWriter.create(tmp_path / "index", 3, DEFAULT)
    for number in range(40):
        writer.add([str(number)], csr_array(np.ones((1, 3), np.float32)))
        index = writer.compact()
    assert index.n_passages == 40
    assert len(index.segments) <= 5
    assert index.ids(range(40)) == [str(number) for number in range(40)]


def test_readers_keep_their_state_while_others_write(tmp_path):
    rows = some_rows(200, 0)
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, DOT)
    old = writer.add([f"old {i}" for i in range(100)], csr_array(rows[:100]))
    query = dict.fromkeys(range(N_LATENTS), 1.0)
    before = found_by(old, query, 200)
    writer.add([f"new {i}" for i in range(100)], csr_array(rows[100:]))
    writer.delete([f"old {i}" for i in range(0, 100, 2)])
    writer.compact(fully=True)
    assert found_by(old, query, 200) == before  # though its files are gone by name
    new = old.latest()
    assert new.n_passages == 150
    assert new.latest() is new


def test_only_one_process_compacts(tmp_path):
    writer = IndexWriter.create(tmp_path / "index", 3, DEFAULT)
    with writer._locked("compacting"), pytest.raises(ArtifactInUse, match="another process works on"):
        writer.compact()


def test_what_is_deleted_while_segments_are_merged_stays_deleted(tmp_path, monkeypatch):
    rows = some_rows(60, 3)
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, DOT)
    ids = [str(i) for i in range(60)]
    for part in (slice(0, 30), slice(30, 60)):
        writer.add(ids[part], csr_array(rows[part]))
    writer.delete(["3", "40"])
    commit = IndexWriter._with_merged

    def late(self, now, merged, name):
        # Between the copy and the commit, another writer deletes and adds.
        monkeypatch.setattr(IndexWriter, "_with_merged", commit)
        other = now
        manifest = self._delete(other.manifest, other, concept_index.as_bytes(["7", "41", "59"]))
        write_manifest(self.folder, manifest)
        return commit(self, ConceptIndex.open(self.folder), merged, name)

    monkeypatch.setattr(IndexWriter, "_with_merged", late)
    index = writer.compact(fully=True)
    corpus = {name: row for name, row in zip(ids, rows, strict=True) if name not in {"3", "40", "7", "41", "59"}}
    assert index.n_passages == 55
    assert len(index.segments) == 1
    index.verify()
    assert_exact(index, corpus, np.random.default_rng(0))


# --- many at once ----------------------------------------------------------------------------------


def test_every_concurrent_search_answers_for_some_committed_state(tmp_path):
    random = np.random.default_rng(0)
    writer, corpus = IndexWriter.create(tmp_path / "index", N_LATENTS, DOT), Corpus()
    first = some_rows(400, 0)
    corpus = {f"0-{i}": row for i, row in enumerate(first)}
    writer.add(list(corpus), csr_array(first))
    states = [dict(corpus)]
    queries = [some_query(random, signed=False) for _ in range(5)]
    answers: list[tuple[int, list]] = []
    stop, wrong = threading.Event(), []

    def read() -> None:
        index = ConceptIndex.open(tmp_path / "index")
        try:
            while not stop.is_set():
                for number, query in enumerate(queries):
                    answers.append((number, found_by(index, query, 10)))
                index = index.latest()
        except Exception as error:
            wrong.append(error)

    def compact() -> None:
        try:
            while not stop.is_set():
                IndexWriter(tmp_path / "index").compact(fully=True)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)] + [threading.Thread(target=compact)]
    for thread in threads:
        thread.start()
    for step in range(1, 13):
        ids, rows = [f"{step}-{i}" for i in range(20)], some_rows(20, step)
        writer.add(ids, csr_array(rows))
        corpus |= dict(zip(ids, rows, strict=True))
        states.append(dict(corpus))
        gone = [name for name in corpus if random.random() < 0.05]
        writer.delete(gone)
        corpus = {name: row for name, row in corpus.items() if name not in gone}
        states.append(dict(corpus))
    while len(answers) < 1000 and not wrong:
        stop.wait(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    held = [stored(state, DOT, 1.0) for state in states]
    allowed = [[oracle(passages, query, 10) for passages in held] for query in queries]
    assert len(answers) >= 1000
    for number, answer in answers:
        assert answer in allowed[number]


def test_two_who_add_at_once_lose_nothing(tmp_path):
    IndexWriter.create(tmp_path / "index", 3, DEFAULT)

    def add(who: int) -> None:
        for number in range(4):
            IndexWriter(tmp_path / "index").add([f"{who}-{number}"], csr_array(np.ones((1, 3), np.float32)))

    threads = [threading.Thread(target=add, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = ConceptIndex.open(tmp_path / "index")
    index.verify()
    assert sorted(index.ids(range(16))) == sorted(f"{who}-{number}" for who in range(4) for number in range(4))


# --- damage ----------------------------------------------------------------------------------------


def damaged_copy(index: ConceptIndex, to: Path, name: str, at: int, bit: int) -> Path:
    """A copy of an index with one bit of a file flipped."""
    shutil.copytree(index.folder, to)
    path = to / name
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return to


@pytest.fixture(scope="module")
def changed_index(tmp_path_factory) -> ConceptIndex:
    """Two segments, one with deleted passages: those of `changed_corpus`."""
    writer, rows = (
        IndexWriter.create(tmp_path_factory.mktemp("changed") / "index", N_LATENTS, DEFAULT),
        some_rows(300, 5),
    )
    ids = [f"p{i}" for i in range(300)]
    writer.add(ids[:200], csr_array(rows[:200]))
    writer.add(ids[200:], csr_array(rows[200:]))
    return writer.delete(ids[50:60])


def changed_corpus() -> Corpus:
    return {f"p{i}": row for i, row in enumerate(some_rows(300, 5)) if not 50 <= i < 60}


def every_file(index: ConceptIndex) -> list[str]:
    return [MANIFEST, *index.manifest.files]


FUZZING = int(os.environ.get("UNWEAVE_FUZZING", "1"))
"""So many times as many damaged files are tried; CONTRIBUTING.md says what an hour of it found, from which seeds."""


@given(st.data())
@settings(max_examples=150 * FUZZING)
def test_a_flipped_bit_is_an_error_or_changes_no_answer(changed_index, tmp_path_factory, data):
    index, corpus = changed_index, changed_corpus()
    name = data.draw(st.sampled_from(every_file(index)))
    at = data.draw(st.integers(0, (index.folder / name).stat().st_size - 1))
    folder = damaged_copy(index, tmp_path_factory.mktemp("bit") / "index", name, at, data.draw(st.integers(0, 7)))
    random = np.random.default_rng(0)
    try:
        damaged = ConceptIndex.open(folder)
        assert_exact(damaged, corpus, random)
        assert damaged.ids(damaged.positions(list(corpus))) == list(corpus)
        for position in damaged.positions(list(corpus)).tolist():
            assert damaged.row(position).latents.tolist() == index.row(position).latents.tolist()
    except (CorruptArtifact, MissingArtifact):
        pass
    with pytest.raises((CorruptArtifact, MissingArtifact)) as caught:
        ConceptIndex.open(folder).verify()
    if name != MANIFEST:
        assert name.split(".")[0] in str(caught.value)  # it names the segment and the array


@given(st.data())
@settings(max_examples=60 * FUZZING)
def test_a_file_of_other_bytes_never_breaks_the_reader(changed_index, tmp_path_factory, data):
    index = changed_index
    folder = tmp_path_factory.mktemp("bytes") / "index"
    shutil.copytree(index.folder, folder)
    name = data.draw(st.sampled_from(every_file(index)))
    content = (folder / name).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    changed = content[:start] + data.draw(st.binary(max_size=200)) + content[start + data.draw(st.integers(0, 300)) :]
    (folder / name).write_bytes(changed)
    if changed == content:
        return
    with pytest.raises((CorruptArtifact, MissingArtifact)):
        ConceptIndex.open(folder).verify()


CRAFTED = st.sampled_from(
    ["lists", "starts", "directory", "scales", "document_frequency", "forward", "forward_offsets", "ids", "id_offsets",
     "id_order"]
)  # fmt: skip


@given(CRAFTED, st.integers(0, 2**32 - 1), st.sampled_from(["bytes", "size", "zero", "high"]))
@example("forward", 4294967294, "bytes")  # an activation that is no number, met by a query with negative weights
@settings(max_examples=150 * FUZZING)
def test_an_index_that_was_made_to_deceive_cannot_crash_the_reader(changed_index, tmp_path_factory, name, seed, how):
    # Every checksum is right; only the numbers make no sense. Answers may be wrong, but nothing out of bounds is read.
    from unweave.base import pages
    from unweave.base.files import file_digest
    from unweave.index.segment import PAGED

    index, corpus = changed_index, changed_corpus()
    folder = tmp_path_factory.mktemp("crafted") / "index"
    shutil.copytree(index.folder, folder)
    random = np.random.default_rng(seed)
    path = folder / "segments" / "000002" / f"{name}.npy"
    array = np.load(path)
    flat = array.reshape(-1).view(np.uint8)
    if how == "bytes":
        flat[random.integers(0, len(flat), 20)] = random.integers(0, 256, 20)
    elif how == "zero":
        flat[:] = 0
    elif how == "high":
        flat[:] = 255
    else:
        array = array[: random.integers(0, len(array) + 1)]
    np.save(path, array)
    np.save(path.with_name("sums.npy"), pages.sums_of(path.parent, PAGED))
    manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
    for changed in (path, path.with_name("sums.npy")):
        entry = manifest.files[str(changed.relative_to(folder))]
        entry.update(bytes=changed.stat().st_size, sha256=file_digest(changed))
    write_manifest(folder, manifest)
    try:
        deceiving = ConceptIndex.open(folder)
        deceiving.verify()
        for query in (some_query(random, signed=False), some_query(random, signed=True)):
            found_by(deceiving, query, 50)
            found_by(deceiving, query, 50, banned=[3], passage_k=2)
        deceiving.positions(list(corpus))
        deceiving.reconstructed(np.ones(N_LATENTS), np.arange(deceiving.n_positions))
    except (CorruptArtifact, BadData):
        pass


def test_a_number_in_the_manifest_makes_no_allocation(changed_index, tmp_path):
    index = changed_index
    for wrong in ({"n_latents": 10**12}, {"n_latents": -1}, {"scoring": {}}, {"scoring": asdict(DEFAULT) | {"b": -1}}):
        folder = tmp_path / str(abs(hash(str(wrong))))
        shutil.copytree(index.folder, folder)
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
        write_manifest(folder, replace(manifest, settings=manifest.settings | wrong))
        with pytest.raises(CorruptArtifact):
            ConceptIndex.open(folder)


def test_the_manifest_cannot_name_a_file_outside_the_index(changed_index, tmp_path):
    index = changed_index
    shutil.copytree(index.folder, tmp_path / "index")
    manifest = Manifest(**json.loads((tmp_path / "index" / MANIFEST).read_text()))
    manifest.state["segments"][0]["name"] = "../../elsewhere"
    write_manifest(tmp_path / "index", manifest)
    with pytest.raises(CorruptArtifact, match="does not state an index"):
        ConceptIndex.open(tmp_path / "index")


def test_only_what_is_read_is_checked_and_it_is_checked_once(index_of):
    index = index_of(some_rows(20_000, 7), DEFAULT)
    (segment,) = index.segments
    assert not segment.postings.lists.seen.any()
    index.hits(np.array([5]), np.ones(1))
    seen = segment.postings.lists.seen.copy()
    assert 0 < seen.sum() < len(seen)
    assert len(seen) == -(-segment.postings.lists.data.nbytes // PAGE)


# --- a disk that fills, and a process that dies ----------------------------------------------------


def test_a_full_disk_loses_nothing_and_leaves_nothing(small_disk):
    writer = IndexWriter.create(small_disk / "index", 3, DEFAULT)
    writer.add(["a"], csr_array(np.ones((1, 3), np.float32)))
    before = ConceptIndex.open(small_disk / "index")
    rows = csr_array(np.ones((20_000, 3), np.float32))
    with pytest.raises(OSError, match=r"No space left|File too large"):
        writer.add([str(i) for i in range(20_000)], rows)
    after = ConceptIndex.open(small_disk / "index")
    after.verify()
    assert after.manifest == before.manifest
    assert writer.delete(["a"]).n_passages == 0


@pytest.mark.parametrize("limit", [0, 60, 130, 500, 1_000, 3_000, 8_000])
def test_a_write_that_is_cut_short_anywhere_commits_nothing(tmp_path, limit):
    # The kernel refuses to let any file grow beyond the limit, so that writes are torn at that byte.
    writer = IndexWriter.create(tmp_path / "index", N_LATENTS, DEFAULT)
    rows = some_rows(400, 0)
    writer.add([str(i) for i in range(200)], csr_array(rows[:200]))
    before = (tmp_path / "index" / MANIFEST).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    changes = {
        "add": lambda: writer.add([str(i) for i in range(200, 400)], csr_array(rows[200:])),
        "delete": lambda: writer.delete(["3", "4"]),
        "replace": lambda: writer.add(["5"], csr_array(rows[:1])),
    }
    for change in list(changes.values())[: 3 if limit <= 1_000 else 1]:  # the others write less
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(OSError, match=r"File too large"):
                change()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (tmp_path / "index" / MANIFEST).read_bytes() == before
        index = ConceptIndex.open(tmp_path / "index")
        index.verify()
        assert index.n_passages == 200
    assert changes["add"]().n_passages == 400


@pytest.mark.parametrize("kills", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_and_shows_nothing_half_written(tmp_path, kills):
    script = Path(__file__).with_name("killed_writers.py")
    done = subprocess.run([sys.executable, script, tmp_path / "index", str(kills)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["kills"] == kills
    assert counted["cut_off"] > kills / 4  # most kills hit a change
