"""The paper's protocol, on a small real project."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from unweave.base.records import Passage
from unweave.cli import main
from unweave.errors import BadData
from unweave.evaluation.mismatch import depth_for, mismatched
from unweave.evaluation.reproduction import DIFFERENCES
from unweave.evaluation.table import Evaluation
from unweave.project import Project
from unweave.stages import reproduce as protocol
from unweave.texts.collection import Collection

WORDS = ["--k", "24", "--k", "32", "--expansion", "2", "--steps", "80"]


@pytest.fixture(scope="module")
def reproduced(project_folder, tmp_path_factory):
    """A copy of the small project, and what the command printed."""
    folder = tmp_path_factory.mktemp("reproduced") / "project"
    shutil.copytree(project_folder, folder)
    done = CliRunner().invoke(main, ["reproduce", "cl-sr", str(folder), *WORDS])
    assert done.exit_code == 0, done.output
    return folder, done.output


def test_queries_whose_answers_share_no_words_are_the_mismatch_subset():
    run = {"found": [("a", 3.0), ("b", 2.0)], "late": [("x", 3.0), ("b", 2.0)], "missed": [("x", 1.0)]}
    qrels = {
        "found": {"a": 1}, "late": {"b": 2}, "missed": {"a": 1, "x": 0}, "nothing": {"a": 1}, "unanswerable": {"a": 0},
    }  # fmt: skip
    assert set(mismatched(run, qrels, depth=1)) == {"late", "missed", "nothing"}
    assert mismatched(run, qrels, depth=2) == {"missed": {"a": 1, "x": 0}, "nothing": {"a": 1}}


def test_a_small_corpus_is_looked_through_less_deeply():
    assert (depth_for(99_999), depth_for(100_000)) == (100, 1000)


def test_every_k_has_reconstructions_and_both_indexes(reproduced):
    found = protocol.Reproduction.load(reproduced[0])
    assert [(row.system, row.k) for row in found.rows] == [
        ("BM25", None), ("dense", None),
        ("reconstructed dense", 24), ("CL-SR Efficient", 24), ("CL-SR Max", 24),
        ("reconstructed dense", 32), ("CL-SR Efficient", 32), ("CL-SR Max", 32),
    ]  # fmt: skip
    assert set(found.saes) == {24, 32}
    assert found.saes[32]["passages"]["nmse"] < found.saes[24]["passages"]["nmse"]


def test_dense_is_what_evaluate_measures(reproduced):
    there = {row.system: row.measures for row in Evaluation.load(reproduced[0] / "evaluation").rows}
    here = {row.system: row.measures for row in protocol.Reproduction.load(reproduced[0]).rows}
    for measure in ("RR@10", "nDCG@10"):
        assert here["dense"][measure] == pytest.approx(there["dense"][measure])
        assert here["BM25"][measure] == pytest.approx(there["BM25"][measure])


def test_a_sparse_query_takes_fewer_products_than_a_dense_one(reproduced):
    rows = {(row.system, row.k): row for row in protocol.Reproduction.load(reproduced[0]).rows}
    project = Project.open(reproduced[0])
    assert rows["dense", None].products == len(project.corpus) * 384
    assert 0 < rows["CL-SR Efficient", 32].products < rows["dense", None].products


def test_an_index_that_the_formula_does_not_allow_says_why(reproduced):
    for row in protocol.Reproduction.load(reproduced[0]).rows:
        assert row.measures or "is not positive" in row.note


def test_bm25_answers_none_of_the_mismatch_subset(reproduced):
    found = protocol.Reproduction.load(reproduced[0])
    assert found.mismatch_depth == 100
    if found.n_mismatch:
        assert found.rows[0].on_mismatch["RR@10"] == 0
    else:
        assert all(not row.on_mismatch for row in found.rows)


def test_the_table_says_where_it_differs_from_the_published_code(reproduced):
    _, printed = reproduced
    assert "CL-SR Efficient, k=24" in printed and "of dense" in printed
    assert all(difference in printed for difference in DIFFERENCES)


def test_what_is_done_is_not_done_again(reproduced):
    folder, _ = reproduced
    weights = folder / "reproduction" / "sae-24" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    again = CliRunner().invoke(main, ["reproduce", "cl-sr", str(folder), *WORDS, "--json"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["rows"][1]["system"] == "dense"
    assert weights.stat().st_mtime_ns == before
    assert not list((folder / "reproduction").glob("tmp*"))


@pytest.mark.parametrize("ks", [(), (0,), (8, 8)])
def test_ks_must_make_sense(ks):
    with pytest.raises(ValueError, match="ks must be different"):
        protocol.ReproduceConfig(ks=ks)


def test_a_corpus_that_came_alone_is_refused(tmp_path):
    project = Project.create(tmp_path / "alone", Collection(passages=[Passage("1", "", "one", {})]))
    with pytest.raises(BadData, match="no queries"):
        protocol.reproduce(project, protocol.ReproduceConfig())
