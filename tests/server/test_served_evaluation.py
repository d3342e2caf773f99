"""The leaderboard, two systems query by query, judgements, and the last audit, over HTTP."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fastapi.testclient import TestClient

from unweave.evaluation.table import Evaluation
from unweave.project import Project
from unweave.server.app import make_app
from unweave.server.held import HeldProject
from unweave.stages.compare import leaderboard as stage_leaderboard


@pytest.fixture
def served(kept_copy) -> tuple[TestClient, Project]:
    app, project = make_app(), Project.open(kept_copy)
    app.state.held = HeldProject(project)
    return TestClient(app), project


def test_the_table_is_that_of_the_last_evaluation(served):
    client, project = served
    found, table = client.get("/api/evaluation").json(), Evaluation.load(project.path / "evaluation")
    assert (found["split"], found["n_queries"]) == (table.split, table.n_queries)
    assert [row["system"] for row in found["rows"]] == [row.system for row in table.rows]
    assert [row["measures"] for row in found["rows"]] == [row.measures for row in table.rows]
    assert set(found["measures"]) == set(found["rows"][0]["measures"])


def test_the_leaderboard_claims_of_each_system_what_the_command_claims(served):
    client, project = served
    asked = {"measure": "RR@10", "against": "BM25"}
    found, again = (client.get("/api/evaluation/verdicts", params=asked).json() for _ in range(2))
    board = stage_leaderboard([project.path], "RR@10", "BM25")
    assert found == again and (found["measure"], found["baseline"]) == ("RR@10", "BM25")
    assert [one["system"] for one in found["rows"]] == [entry.system for entry in board.entries]
    for one, entry in zip(found["rows"], board.entries, strict=True):
        assert (one["low"], one["high"]) == (entry.low, entry.high)
        if one["system"] == "BM25":
            assert one["against"] is None
            continue
        (expected,) = entry.against.values()
        verdict = one["against"].pop("verdict")
        assert one["against"] == expected._asdict()
        assert verdict == {(1, 0): "better", (0, 1): "worse", (0, 0): "unclear"}[len(entry.better), len(entry.worse)]
    assert client.get("/api/evaluation/verdicts", params={"against": "nobody's"}).status_code == 400


def test_two_systems_are_compared_query_by_query(served):
    client, project = served
    asked = {"first": "dense", "second": "BM25", "measure": "RR@10"}
    found, again = (client.get("/api/evaluation/difference", params=asked).json() for _ in range(2))
    whole = project.compare("dense", "BM25", "RR@10")
    assert found == again
    assert [(q["query_id"], q["first"], q["second"]) for q in found["queries"]] == [
        (q.query_id, q.first, q.second) for q in whole.queries
    ]
    assert found["first_mean"] == pytest.approx(np.mean([query.first for query in whole.queries]))
    assert found["first_mean"] - found["second_mean"] == pytest.approx(whole.whole.difference)
    assert (found["low"], found["high"], found["p"]) == (whole.whole.low, whole.whole.high, whole.whole.p)


@pytest.mark.parametrize(
    ("asked", "said"),
    [({"first": "/etc/passwd", "second": "dense"}, "no system '/etc/passwd' was evaluated"),
     ({"first": "dense", "second": "BM25", "measure": "foo"}, "foo")],
)  # fmt: skip
def test_a_system_that_was_not_evaluated_and_a_measure_that_is_none_are_refused(served, asked, said):
    answer = served[0].get("/api/evaluation/difference", params=asked)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_the_judgements_of_a_query_come_best_first(served):
    client, project = served
    grades = project.queries.qrels("test")["q1"]
    found = client.get("/api/evaluation/query", params={"id": "q1"}).json()
    assert {one["passage_id"]: one["grade"] for one in found["judged"]} == grades
    assert [one["grade"] for one in found["judged"]] == sorted(grades.values(), reverse=True)
    assert found["text"] == project.queries.all[0].text
    assert client.get("/api/evaluation/query", params={"id": "nobody's"}).status_code == 404


def test_what_was_not_measured_says_how_to(served):
    client, project = served
    shutil.rmtree(project.path / "evaluation")
    for path, command in (("evaluation", "evaluate"), ("evaluation/query?id=q1", "evaluate"), ("audit", "audit")):
        answer = client.get(f"/api/{path}")
        assert answer.status_code == 409, path
        assert answer.json()["error"].endswith(f"run: unweave {command} {project.path}")


def test_the_last_audit_is_as_it_was_written(served):
    client, project = served
    made = project.audit()
    assert client.get("/api/audit").json()["audit"] == made.to_dict()
