"""The commands that export a project, and what lies beside the engine's own files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import engines_here as here
import numpy as np
import pytest
from click.testing import CliRunner
from hybrid_requests import asked

from unweave.cli import main
from unweave.cli.engines import ENGINE_COMMANDS
from unweave.engines.catalogue import ENGINES
from unweave.errors import BadData, CorruptArtifact
from unweave.index.concept_index import ConceptIndex
from unweave.project import Project
from unweave.retrieval.query_reader import QueryReader
from unweave.stages import send

FILES = [name for name, kind in ENGINES.items() if (kind.files or not kind.place) and name != "parquet"]


def run(*words: object) -> str:
    done = CliRunner().invoke(main, ["export", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_engine_has_a_command():
    assert [command.name for command in ENGINE_COMMANDS] == list(ENGINES)


@pytest.mark.parametrize("name", FILES)
def test_a_command_writes_and_says_how_far_they_agree(name, kept_copy, tmp_path):
    said = json.loads(run(name, kept_copy, tmp_path / "out", "--json", "--texts"))
    assert said["agreement"]["share"] >= 0.95 and said["n_passages"] == 59
    before = files_of(tmp_path / "out")
    again = json.loads(run(name, kept_copy, tmp_path / "out", "--json", "--texts"))
    assert again["resumed_at"] == 59 and files_of(tmp_path / "out") == before


def test_names_and_the_query_side_travel(kept_copy, tmp_path):
    run("jsonl", kept_copy, tmp_path / "out")
    project, index = Project.open(kept_copy), ConceptIndex.open(kept_copy / "index" / "default")
    names = project.concepts.shown()
    lines = [json.loads(line) for line in (tmp_path / "out" / "concepts.jsonl").read_text().splitlines()]
    assert {line["concept"]: line["name"] for line in lines if line["name"]} == {
        latent: label.name for latent, label in names.items() if index.document_frequency[latent]
    }
    query = project.embedded("queries").rows(0, 1)[0]
    read = QueryReader.load(tmp_path / "out" / "queries").read(query)
    weights = dict(zip(read.latents.tolist(), read.weights.tolist(), strict=True))
    (written,) = (tmp_path / "out" / "passages").iterdir()
    scores = {
        line["id"]: sum(weights.get(j, 0) * w for j, w in zip(line["concepts"], line["weights"], strict=True))
        for line in map(json.loads, written.read_text(encoding="utf-8").splitlines())
    }
    hits = index.hits(*read, 10)
    found = dict(zip(index.ids(hits.passages.tolist()), hits.scores.tolist(), strict=True))
    assert {one: scores[one] for one in found} == pytest.approx(found, rel=1e-5)
    assert np.sort(list(scores.values()))[::-1][:10] == pytest.approx(hits.scores, rel=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_a_dry_run_says_what_it_would_do_and_writes_nothing(name, kept_copy, tmp_path):
    said = run(name, kept_copy, tmp_path / "out", "--dry-run")
    assert "59 passages" in said and "numbers: " in said and "mapping: " in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name, kind in ENGINES.items() if kind.rounding])
def test_a_dry_run_says_what_will_be_found_for_rounded_numbers(name, kept_copy, tmp_path):
    plan = Project.open(kept_copy).export_plan(name, tmp_path / "out")
    assert Project.open(kept_copy).export_engine(name, tmp_path / "out").agreement == plan.predicted
    assert plan.predicted.error > 0
    assert "will be found" in run(name, kept_copy, tmp_path / "out", "--dry-run")


def test_texts_are_sent_only_if_they_are_wanted(kept_copy, tmp_path):
    run("jsonl", kept_copy, tmp_path / "without")
    run("jsonl", kept_copy, tmp_path / "with", "--texts")
    first = [next((tmp_path / of / "passages").iterdir()).read_text().splitlines()[0] for of in ("without", "with")]
    assert set(json.loads(first[0])) == {"id", "concepts", "weights"}
    assert json.loads(first[1])["text"] == Project.open(kept_copy).corpus[0].text


def test_embeddings_are_sent_only_if_they_are_wanted_and_only_to_what_has_a_place(kept_copy, tmp_path):
    run("jsonl", kept_copy, tmp_path / "with", "--dense")
    project = Project.open(kept_copy)
    (written,) = (tmp_path / "with" / "passages").iterdir()
    lines = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in lines] == list(project.corpus.ids)
    sent = np.array([line["embedding"] for line in lines], np.float32)
    assert np.array_equal(sent, project.embedded("passages").rows())
    assert not (tmp_path / "with" / "hybrid.txt").exists()  # files have no query of their own
    with pytest.raises(BadData, match="no place for embeddings; leave out --dense"):
        project.export_engine("anserini", tmp_path / "out", dense=True)


@pytest.mark.skipif(here.missing("qdrant-edge") is not None, reason=str(here.missing("qdrant-edge")))
def test_the_hybrid_request_that_is_written_is_the_projects_first_query(kept_copy, tmp_path):
    run("qdrant-edge", kept_copy, tmp_path / "out", "--to", tmp_path / "shard", "--dense", "--texts")
    project, request = Project.open(kept_copy), (tmp_path / "out" / "hybrid.txt").read_text()
    by_concepts, by_embedding, by_words = json.loads(request)["prefetch"]
    query = project.embedded("queries").rows(0, 1)[0]
    read = QueryReader.load(tmp_path / "out" / "queries").read(query)
    assert by_concepts["query"]["indices"] == read.latents.tolist()
    assert np.array_equal(np.array(by_embedding["query"], np.float32), query)
    shard = pytest.importorskip("qdrant_edge").EdgeShard.load(str(tmp_path / "shard" / "data"))
    found = asked("qdrant-edge", SimpleNamespace(shard=shard), request)
    shard.close()
    assert by_words["using"] == "words" and len(found.ids) == 10 and set(found.ids) <= set(project.corpus.ids)


def test_an_artefact_of_another_kind_is_not_replaced(kept_copy):
    with pytest.raises(CorruptArtifact, match="holds a sae"):
        Project.open(kept_copy).export_engine("jsonl", kept_copy / "sae")


def test_what_is_wrong_is_said_before_any_work(kept_copy, tmp_path):
    project = Project.open(kept_copy)
    with pytest.raises(BadData, match="no engine 'solr'; there are: jsonl"):
        project.export_engine("solr", tmp_path / "out")
    with pytest.raises(BadData, match="takes no place"):
        project.export_engine("jsonl", tmp_path / "out", to="somewhere")
    assert not list(tmp_path.glob("out"))


def test_an_export_that_was_broken_off_goes_on(kept_copy, tmp_path, monkeypatch):
    monkeypatch.setattr("unweave.engines.sending.BATCH", 16)
    project = Project.open(kept_copy)
    with monkeypatch.context() as broken:
        broken.setattr(send, "_write_beside", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            project.export_engine("jsonl", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert project.export_engine("jsonl", tmp_path / "out").resumed_at == 59


def test_the_shown_python_runs(kept_copy, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    kept_copy.rename(kept_copy.parent / "demo")
    monkeypatch.chdir(kept_copy.parent)
    exec(code, {"__name__": "example"})


def test_every_engine_is_on_the_page():
    page = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in ENGINES)
