"""Evaluation: our measures against trec_eval's, runs on disk, and each compared system against an obvious one."""

from __future__ import annotations

import gzip
import subprocess
import sys

import ir_measures
import numpy as np
import pytest
import pytrec_eval
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unweave.config import DEEPEST_MEASURE, EvaluateConfig
from unweave.errors import BadData
from unweave.evaluation.measures import MEASURES, measure, parse
from unweave.evaluation.runs import read_run, trec_id, trec_qrels, write_run, write_trec_qrels
from unweave.index.scoring import PROFILES
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.systems import CLSR, Dense, DenseRescored, Reconstructed, RescoredCLSR

# --- measures --------------------------------------------------------------------------------------

BY_NAME = {
    "nDCG@10": ir_measures.nDCG @ 10,
    "R@100": ir_measures.R @ 100,
    "MRR@10": ir_measures.RR @ 10,
    "AP": ir_measures.AP,
    "P@5": ir_measures.P @ 5,
    "R(rel=2)@50": ir_measures.R(rel=2) @ 50,
    "P(rel=2, cutoff=7)": ir_measures.P(rel=2, cutoff=7),
    "SetF(beta=0.5)": ir_measures.SetF(beta=0.5),
    "nDCG(dcg='log2')@20": ir_measures.nDCG(dcg="log2") @ 20,
    "Judged@ 10": ir_measures.Judged @ 10,
}


def random_run_and_qrels(seed: int):
    """Twelve judged queries with grades 0 to 3; the last two have no hits, one of them not even an empty list."""
    random = np.random.default_rng(seed)
    queries = [f"q{i}" for i in range(12)]
    passages = [f"d{i}" for i in range(150)]
    qrels = {
        q: {str(d): int(random.integers(0, 4)) for d in random.choice(passages, 30, replace=False)} for q in queries
    }
    run = {}
    for q in queries[:10]:
        hits = random.choice(passages, int(random.integers(1, 140)), replace=False).tolist()
        run[q] = list(zip(hits, sorted(random.random(len(hits)).tolist(), reverse=True), strict=True))
    return run | {"q10": []}, qrels


@pytest.mark.parametrize("seed", range(4))
def test_our_measures_are_trec_evals(seed):
    run, qrels = random_run_and_qrels(seed)
    scored = {q: dict(hits) for q, hits in run.items() if hits}
    trec = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100"}).evaluate(scored)
    # trec_eval has no cutoff for the reciprocal rank: only the ten best are shown to it.
    ten = {q: dict(hits[:10]) for q, hits in run.items() if hits}
    reciprocal = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(ten)
    ours = measure(run, qrels)
    assert set(ours) == set(MEASURES)
    for name, column, values in (
        ("nDCG@10", "ndcg_cut_10", trec),
        ("R@100", "recall_100", trec),
        ("RR@10", "recip_rank", reciprocal),
    ):
        # As `trec_eval -c`: the mean is over all 12 judged queries, the two without hits count 0.
        expected = {q: values[q][column] if q in values else 0.0 for q in qrels}
        assert ours[name].per_query == pytest.approx(expected, abs=1e-9)
        assert ours[name].per_query["q10"] == ours[name].per_query["q11"] == 0
        assert ours[name].mean == pytest.approx(sum(expected.values()) / 12, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_our_means_are_those_of_ir_measures(seed):
    run, qrels = random_run_and_qrels(seed)
    scored = {q: dict(hits) for q, hits in run.items() if hits}
    expected = ir_measures.calc_aggregate(BY_NAME.values(), qrels, scored)
    ours = measure(run, qrels, BY_NAME)
    assert {BY_NAME[name]: found.mean for name, found in ours.items()} == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_measure_is_read_from_its_name(name):
    assert parse(name) == BY_NAME[name]


def test_measures_by_hand():
    # Query a: the relevant passage is second: RR 1/2, recall 1, nDCG (1 / log2 3) / 1. Query b finds nothing: 0.
    measured = measure({"a": [("x", 2.0), ("y", 1.0)]}, {"a": {"y": 1, "x": 0}, "b": {"z": 1}})
    assert measured["RR@10"].per_query == {"a": 0.5, "b": 0.0}
    assert measured["R@100"].mean == 0.5
    assert measured["nDCG@10"].mean == pytest.approx(1 / np.log2(3) / 2)


def test_a_query_without_judgements_does_not_count():
    measured = measure({"a": [("y", 1.0)], "unjudged": [("y", 1.0)]}, {"a": {"y": 1}})
    assert measured["R@100"] == (1.0, {"a": 1.0})


# --- runs on disk ----------------------------------------------------------------------------------

identifiers = st.text(st.sampled_from("aZ0-_. %+\t\n\r\x0b\x0c\x85\xa0ß漢#/?&"), min_size=1, max_size=8)
scores = st.floats(allow_nan=False)


@given(st.dictionaries(identifiers, st.dictionaries(identifiers, scores, min_size=1, max_size=4), max_size=4))
def test_a_run_survives_its_file_best_first(tmp_path_factory, run):
    path = tmp_path_factory.mktemp("run") / "a.trec"
    assume(distinct_in_trec(run) and all(map(distinct_in_trec, run.values())))
    write_run(path, {query: list(hits.items()) for query, hits in run.items()}, "toy")
    expected = {
        trec_id(query): sorted(((trec_id(p), s) for p, s in hits.items()), key=lambda hit: -hit[1])
        for query, hits in run.items()
    }
    assert read_run(path) == expected


def distinct_in_trec(identifiers) -> bool:
    """Whether they stay apart, which `a b` beside `a%20b` does not."""
    return len(set(map(trec_id, identifiers))) == len(identifiers)


def test_only_blanks_are_encoded(tmp_path):
    # So that "50%25" and an address stand in a run as in their owner's judgements.
    write_run(tmp_path / "a.trec", {"wind power": [("https://x/50%20rye?q=%", 1.5), ("b\xa0", 0.25)]}, "toy it")
    assert (tmp_path / "a.trec").read_text() == (
        "wind%20power Q0 https://x/50%20rye?q=% 1 1.5 toy%20it\nwind%20power Q0 b%C2%A0 2 0.25 toy%20it\n"
    )


def test_ids_that_become_one_are_refused(tmp_path):
    with pytest.raises(BadData, match="query 'q', or a passage judged for it, has the id of another"):
        write_trec_qrels(tmp_path / "qrels.trec", {"q": {"a b": 1, "a%20b": 0}})
    with pytest.raises(BadData, match="query 'q%201'"):
        trec_qrels({"q 1": {"a": 1}, "q%201": {"a": 1}})


AWKWARD = {"wind power": {"50% rye": 1, "a": 2}, "100%": {"x%20y": 1, "漢\u3000字": 0}, "q3": {"z": 1}}


def test_trec_eval_and_ir_measures_read_a_run_and_its_judgements(tmp_path):
    # Queries "wind power" and "100%": the relevant passages are first, and second of two. "q3" finds nothing.
    run = {"wind power": [("a", 3.0), ("50% rye", 2.0)], "100%": [("漢\u3000字", 3.0), ("x%20y", 2.0)], "q3": []}
    write_run(tmp_path / "toy.trec", run, "toy")
    write_trec_qrels(tmp_path / "qrels.trec", AWKWARD)
    files = [str(tmp_path / "qrels.trec"), str(tmp_path / "toy.trec")]
    read = ir_measures.calc_aggregate([ir_measures.RR @ 10], *map(list, (
        ir_measures.read_trec_qrels(files[0]), ir_measures.read_trec_run(files[1])
    )))  # fmt: skip
    assert read[ir_measures.RR @ 10] == pytest.approx((1 + 1 / 2 + 0) / 3)
    printed = subprocess.run([sys.executable, "-m", "ir_measures", *files, "RR@10"], capture_output=True, text=True)
    assert printed.stdout.split() == ["RR@10", "0.5000"], printed.stderr
    with (tmp_path / "qrels.trec").open() as qrels, (tmp_path / "toy.trec").open() as hits:
        evaluator = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(qrels), {"recip_rank"})
        per_query = evaluator.evaluate(pytrec_eval.parse_run(hits))
    assert {q: of["recip_rank"] for q, of in per_query.items()} == {"wind%20power": 1.0, "100%": 0.5}
    ours = measure(read_run(tmp_path / "toy.trec"), trec_qrels(AWKWARD), ["RR@10"])["RR@10"]
    assert ours.per_query == {"wind%20power": 1.0, "100%": 0.5, "q3": 0.0}


def test_an_untouched_run_file_is_read_by_ir_measures_too(tmp_path):
    write_run(tmp_path / "a.trec", {"q": [("d1", 2.0), ("d2", 1.0)]}, "toy")
    docs = list(ir_measures.read_trec_run(str(tmp_path / "a.trec")))
    assert [(d.query_id, d.doc_id, d.score) for d in docs] == [("q", "d1", 2.0), ("q", "d2", 1.0)]


def test_scores_decide_the_order_and_ties_keep_the_files(tmp_path):
    (tmp_path / "a.trec").write_text("q Q0 d1 1 0.5 x\nq Q0 d2 2 0.5 x\nq Q0 d3 3 7e0 x\n")
    assert read_run(tmp_path / "a.trec") == {"q": [("d3", 7.0), ("d1", 0.5), ("d2", 0.5)]}


def test_a_gzipped_run_is_read_and_a_truncated_one_refused(tmp_path):
    packed = gzip.compress(b"q Q0 d 1 0.5 toy\n" * 1)
    (tmp_path / "a.trec.gz").write_bytes(packed)
    assert read_run(tmp_path / "a.trec.gz") == {"q": [("d", 0.5)]}
    (tmp_path / "b.trec.gz").write_bytes(packed[:-9])
    with pytest.raises(BadData, match=r"b\.trec\.gz: cannot be read to its end"):
        read_run(tmp_path / "b.trec.gz")
    with pytest.raises(BadData, match="there is no run at"):
        read_run(tmp_path / "c.trec")


@pytest.mark.parametrize("line", ["q Q0 d 1 0.5", "q Q0 d 1 high toy", "q Q0 d 1 nan toy", "q Q0 d e 1 0.5 toy", ""])
def test_a_malformed_line_is_an_error_with_its_number(tmp_path, line):
    (tmp_path / "a.trec").write_text(f"q Q0 d 1 0.5 toy\n{line}\nq Q0 e 2 0.25 toy\n")
    with pytest.raises(BadData, match=rf"a\.trec:2: not a line of a TREC run: '{line}'"):
        read_run(tmp_path / "a.trec")


def test_a_passage_that_a_query_has_twice_is_an_error(tmp_path):
    (tmp_path / "a.trec").write_text("q Q0 d 1 0.5 toy\np Q0 d 1 0.5 toy\nq Q0 d 2 0.25 toy\n")
    with pytest.raises(BadData, match=r"a\.trec:3: query 'q' has the passage 'd' a second time"):
        read_run(tmp_path / "a.trec")


# --- the compared systems --------------------------------------------------------------------------


@given(
    arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0])),
    arrays(np.float32, 3, elements=st.sampled_from([-1.0, 1.0, 2.0])),
    st.integers(1, 15),
)
def test_dense_search_equals_brute_force(passages, vector, cutoff):
    products = [sum(float(a) * float(b) for a, b in zip(p, vector, strict=True)) for p in passages]
    expected = sorted(range(len(passages)), key=lambda d: (-products[d], d))[:cutoff]
    hits = Dense(passages).search(EmbeddedQuery("", vector), cutoff)
    assert hits.passages.tolist() == expected
    assert hits.scores.tolist() == [products[d] for d in expected]


def test_reconstructed_dense_by_hand(identity_sae):
    # The identity SAE drops what is not above 0.5. Passages: (3, 4, 0.1) -> (3, 4, 0), of length 5 -> (0.6, 0.8, 0);
    # (0, 2, 0.5) -> (0, 2, 0) -> (0, 1, 0). Query (1, 1, 0.2) -> (1, 1, 0) -> (0.7071, 0.7071, 0).
    # Scores 0.7071 * 1.4 = 0.98995 and 0.7071.
    passages = identity_sae.reconstruct(np.array([[0.0, 2.0, 0.5], [3.0, 4.0, 0.1]]))
    system = Reconstructed(identity_sae, passages)
    hits = system.search(EmbeddedQuery("", np.array([1, 1, 0.2], np.float32)), cutoff=5)
    assert hits.passages.tolist() == [1, 0]
    np.testing.assert_allclose(hits.scores, [1.4 / np.sqrt(2), 1 / np.sqrt(2)], rtol=1e-6)


def test_a_passage_that_reconstructs_to_nothing_scores_zero(identity_sae):
    system = Reconstructed(identity_sae, np.array([[0, 0, 0], [0, 2, 0]], np.float32))
    hits = system.search(EmbeddedQuery("", np.array([0, 1, 0], np.float32)), cutoff=5)
    assert (hits.passages.tolist(), hits.scores.tolist()) == ([1, 0], [1, 0])


def test_the_concept_systems_search_as_their_searcher_does(random_sae, index_of):
    sae = random_sae(0)
    embeddings = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    searcher = ConceptSearcher(sae, index_of(sae.encode(embeddings), PROFILES["default"]))
    query = EmbeddedQuery("", embeddings[3])
    for system, hits in (
        (CLSR(searcher), searcher.search(query.vector, 5)),
        (RescoredCLSR(searcher, 8, 1.0), searcher.rescored(query.vector, 5, 8)),
    ):
        found = system.search(query, 5)
        assert found.passages.tolist() == hits.passages.tolist()
        assert found.scores.tolist() == hits.scores.tolist()
        assert len(found.passages) == 5


def test_dense_orders_what_concepts_find_as_it_orders_everything(random_sae, index_of):
    sae = random_sae(0)
    embeddings = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    searcher = ConceptSearcher(sae, index_of(sae.encode(embeddings), PROFILES["default"]))
    query, dense = EmbeddedQuery("", embeddings[3]), Dense(embeddings, sae)
    candidates = set(searcher.search(query.vector, 8).passages.tolist())
    expected = [p for p in dense.search(query, 30).passages.tolist() if p in candidates][:5]
    system = DenseRescored(searcher, 8, dense, 1.0)
    hits = system.search(query, 5)
    assert hits.passages.tolist() == expected
    for explanation in system.explain(query, hits):
        explanation.check()


def test_the_size_of_what_is_searched_is_counted():
    assert Dense(np.ones((7, 384), np.float32)).bytes_per_passage == 384 * 4


def test_a_ranking_is_as_deep_as_its_deepest_measure():
    assert max(int(name.rpartition("@")[2]) for name in MEASURES) == DEEPEST_MEASURE
    with pytest.raises(ValueError, match="cutoff must be at least 100, got 10"):
        EvaluateConfig(cutoff=10)
