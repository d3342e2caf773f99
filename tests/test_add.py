"""A project that grows: what is added stands beside what was there, and nothing is lost on the way."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from invoked import unweave
from unweave.base import locks
from unweave.base.artifact import replaced
from unweave.base.records import Passage, Query
from unweave.errors import ArtifactInUse, BadData
from unweave.project import Project
from unweave.stages.places import STAGED
from unweave.texts.collection import Collection


@pytest.fixture
def project(tmp_path) -> Project:
    """Three passages, two queries, one judgement."""
    passages = [Passage(name, "", f"text of {name}", {"old": True}) for name in ("a", "b", "c")]
    queries = [Query("q1", "one?"), Query("q2", "two?")]
    qrels = {"test": {"q1": {"a": 1}}}
    return Project.create(tmp_path / "project", Collection(passages=passages, queries=queries, qrels=qrels))


def passage(name: str, text: str = "new") -> Passage:
    return Passage(name, "", text)


def contents(project: Project) -> list[tuple[str, str]]:
    return [(one.passage_id, one.text) for one in Project.open(project.path).corpus]


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_new_passages_stand_after_the_old_ones_and_a_known_id_takes_the_old_place(project):
    same = Passage("a", "", "text of a", {"old": True})
    added = project.add(Collection(passages=[passage("d"), passage("b"), same], about={"source": "later"}))
    assert added == (1, 1, 1, 4, 0, 0, 2)  # d is new, b is replaced, a is as it was
    assert contents(project) == [("a", "text of a"), ("b", "new"), ("c", "text of c"), ("d", "new")]
    assert project.corpus.position("d") == 3
    assert project.corpus.manifest.settings["about"] == {"added": [{"source": "later"}]}


def test_a_passage_whose_metadata_changed_is_replaced(project):
    assert project.add(Collection(passages=[Passage("a", "", "text of a", {"old": False})])).replaced == 1
    assert project.corpus[0].metadata == {"old": False}


def test_adding_what_is_there_changes_no_byte(project):
    before = state(project.path)
    queries, qrels = project.queries.all, {"test": {"q1": {"a": 1}}}
    added = project.add(Collection(passages=list(project.corpus), queries=queries, qrels=qrels))
    assert added == (0, 0, 3, 3, 0, 0, 2)
    assert state(project.path) == before


def test_what_a_kill_left_after_the_last_step_goes_although_nothing_is_left_to_add(project):
    before = state(project.path)
    shutil.copytree(project.corpus.folder, replaced(project.corpus.folder))
    assert project.add(Collection(passages=list(project.corpus))) == (0, 0, 3, 3, 0, 0, 2)
    assert state(project.path) == before


def test_queries_and_judgements_are_added_and_may_judge_old_passages(project):
    qrels = {"test": {"q3": {"a": 2, "d": 1}, "q1": {"d": 1}}, "train": {"q2": {"b": 1}}}
    added = project.add(Collection(passages=[passage("d")], queries=[Query("q3", "three?")], qrels=qrels))
    assert (added.new_queries, added.new_judgements, added.n_queries) == (1, 4, 3)
    queries = Project.open(project.path).queries
    assert [query.query_id for query in queries.all] == ["q1", "q2", "q3"]
    assert queries.qrels("test") == {"q1": {"a": 1, "d": 1}, "q3": {"a": 2, "d": 1}}
    assert queries.qrels("train") == {"q2": {"b": 1}}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"passages": []}, "the corpus is empty"),
        ({"passages": [passage("d"), passage("d")]}, "occur more than once, first 'd'"),
        ({"passages": [passage("")]}, "has an empty id"),
        ({"queries": [Query("q1", "another?")]}, "'q1' asks something else"),
        ({"queries": [Query("", "none?")]}, "has an empty id"),
        ({"qrels": {"test": {"q1": {"a": 2}}}}, "are judged 1 in the project and 2 in what is added"),
        ({"qrels": {"test": {"q1": {"z": 1}}}}, "name 1 passage id.* that the corpus does not have, first 'z'"),
        ({"qrels": {"test": {"q9": {"a": 1}}}}, "judge 1 query id.*, first 'q9'"),
    ],
)
def test_what_is_wrong_with_a_collection_is_said_and_nothing_changes(project, wrong, said):
    before = state(project.path)
    with pytest.raises(BadData, match=said):
        project.add(Collection(**{"passages": [passage("d")], **wrong}))
    assert state(project.path) == before


def test_judgements_of_unknown_passages_are_left_out_if_that_is_said(project):
    qrels = {"test": {"q2": {"z": 1, "d": 1}}}
    added = project.add(Collection(passages=[passage("d")], qrels=qrels), drop_unknown=True)
    assert added.new_judgements == 1
    assert project.queries.qrels("test") == {"q1": {"a": 1}, "q2": {"d": 1}}


def test_two_who_add_at_once_are_told_of_each_other(project):
    with (
        locks.held(project.path / ".corpus.unweave-adding"),
        pytest.raises(ArtifactInUse, match=r"\(process \d+, since .* is adding to"),
    ):
        project.add(Collection(passages=[passage("d")]))


@pytest.mark.parametrize("before", ["the corpus is swapped", "the queries are written"])
def test_whoever_is_killed_while_adding_leaves_a_whole_project_and_goes_on(project, before):
    # Four artefacts are swapped in: passages and queries aside, then the corpus and the queries.
    script = """
        import os, signal, sys
        from unweave.base import building
        from unweave.base.records import Passage, Query
        from unweave.project import Project
        from unweave.texts.collection import Collection

        swap, left = building._swap_in, [int(sys.argv[2])]

        def dies(partial, folder):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            swap(partial, folder)

        building._swap_in = dies
        added = Collection(
            passages=[Passage("d", "", "new"), Passage("b", "", "new")], queries=[Query("q3", "three?")],
            qrels={"test": {"q3": {"d": 1}}},
        )
        Project.open(sys.argv[1]).add(added)
    """
    swaps = {"the corpus is swapped": 3, "the queries are written": 4}[before]

    def run(until: int) -> int:
        command = [sys.executable, "-c", textwrap.dedent(script), str(project.path), str(until)]
        return subprocess.run(command, timeout=120).returncode

    assert run(swaps) == -signal.SIGKILL
    left = Project.open(project.path)
    assert len(left.corpus) == (3 if swaps == 3 else 4)
    assert len(left.queries) == 2 and left.queries.qrels("test") == {"q1": {"a": 1}}
    assert run(until=9) == 0
    assert contents(project) == [("a", "text of a"), ("b", "new"), ("c", "text of c"), ("d", "new")]
    assert left.queries.qrels("test") == {"q1": {"a": 1}, "q3": {"d": 1}}
    assert not (project.path / STAGED).exists()
    assert {path.name for path in project.path.iterdir()} == {"corpus", "queries", "unweave.toml"}


def test_the_command_says_what_became_of_the_passages_and_what_to_run(project, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps({"_id": "d", "text": "new"}) + "\n", encoding="utf-8")
    copy = tmp_path / "copy"
    shutil.copytree(project.path, copy)
    said = unweave("add", str(project.path), "--corpus", str(more)).output
    assert "4 passages (1 new, 0 replaced, 0 as they were), 2 queries (0 new), 0 new judgements" in said
    assert f"next: unweave embed {project.path}, then fit, name and index build" in said
    shown = json.loads(unweave("add", str(copy), "--corpus", str(more), "--json").output)
    assert (shown["new"], shown["n_passages"], shown["n_queries"]) == (1, 4, 2)
