"""Suites of collections: their ids are known to ir_datasets, and a folder of collections is evaluated whole."""

from __future__ import annotations

import json

import ir_datasets
import pytest
from click.testing import CliRunner

from conftest import small_collection
from unweave.cli import main
from unweave.errors import BadData
from unweave.texts.suites import SUITES, collections_of

IDS = sorted({identifier for suite in SUITES.values() for identifier in suite.values()})


@pytest.mark.parametrize("identifier", IDS)
def test_ir_datasets_has_every_collection_of_a_suite_with_queries_and_judgements(identifier):
    dataset = ir_datasets.load(identifier)
    assert dataset.has_docs() and dataset.has_queries() and dataset.has_qrels()


def test_a_suite_that_is_none_is_refused(tmp_path):
    with pytest.raises(BadData, match=r"no suite \(beir-small, beir, trec-dl, classic\), nor a folder"):
        collections_of(str(tmp_path))


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """Two judged collections of a few real articles each, and one without judgements, in BEIR's layout."""
    folder = tmp_path_factory.mktemp("collections")
    whole = small_collection()
    passages, queries = list(whole.passages), list(whole.queries)
    for name, some in (("even", passages[:120:2]), ("odd", passages[1:120:2])):
        ids = {passage.passage_id for passage in some}
        judged = {q: of for q, of in whole.qrels["test"].items() if of.keys() <= ids}
        below = folder / name
        (below / "qrels").mkdir(parents=True)
        lines(below / "corpus.jsonl", [{"_id": p.passage_id, "title": p.title, "text": p.text} for p in some])
        lines(below / "queries.jsonl", [{"_id": q.query_id, "text": q.text} for q in queries if q.query_id in judged])
        rows = [f"{q}\t{p}\t{grade}" for q, of in judged.items() for p, grade in of.items()]
        (below / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]))
    (folder / "alone").mkdir()
    lines(folder / "alone" / "corpus.jsonl", [{"_id": "p", "text": "A text that nobody judged."}])
    return folder


def lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def test_every_judged_collection_of_a_folder_is_evaluated_with_the_same_settings(collections, tmp_path):
    given = tmp_path / "given.toml"
    given.write_text(
        '[embed]\nsentences = 0\n[fit]\nsteps = 20\nn_latents = 96\nk = 8\n[evaluate]\nsums = "BM25 + dense"\n'
    )
    asked = ["suite", str(collections), str(tmp_path / "made"), "--settings", str(given)]
    done = CliRunner().invoke(main, [*asked, "--latex", str(tmp_path / "table.tex")])
    assert done.exit_code == 0, done.output
    board = done.stdout.rpartition("$ unweave evaluate")[2]
    assert all(system in board for system in ("CL-SR rescored", "BM25 + dense"))
    assert "even" in board and "odd" in board and "alone" not in done.stdout
    assert (tmp_path / "table.tex").exists()
    again = CliRunner().invoke(main, asked)
    assert again.exit_code == 0
    assert "made in" not in again.stdout and "$ unweave init" not in again.stdout


def test_settings_that_are_wrong_are_refused_before_anything_is_made(collections, tmp_path):
    (tmp_path / "given.toml").write_text("[fit]\nstep = 20\n")
    asked = ["suite", str(collections), str(tmp_path / "made"), "--settings", str(tmp_path / "given.toml")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 1
    assert "unknown setting 'step'" in done.stderr
    assert not (tmp_path / "made").exists()
