"""A language model as judge, on a real project with a real server: its answers count as those of other judges do."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from misbehaving_server import serving
from unweave.cli import main
from unweave.concepts import prompts
from unweave.concepts.concept import ITSELF
from unweave.concepts.database import writing
from unweave.concepts.judges import language_model as by_model
from unweave.concepts.judges import simulations
from unweave.concepts.judges.questions import questions
from unweave.concepts.judges.verdicts import by_namer
from unweave.project import Project
from unweave.stages import judge, name
from unweave.stages.evidence import evidence_of


@pytest.fixture
def folder(project_folder: Path, tmp_path: Path) -> Path:
    """A copy of the project, to change."""
    shutil.copytree(project_folder, tmp_path / "project")
    return tmp_path / "project"


def unweave(*arguments: object) -> Result:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done


def passages(request: dict[str, Any]) -> list[str]:
    """The numbered passages of a question."""
    return re.findall(r"^\d+\. <\w+>(.*)</\w+>$", request["messages"][-1]["content"], flags=re.MULTILINE)


def answering(numbers: Callable[[dict[str, Any]], list[int]]) -> Callable[[dict[str, Any]], str]:
    return lambda request: json.dumps({"numbers": ", ".join(str(n + 1) for n in numbers(request))})


def judged(project: Project, answer: Callable[[dict[str, Any]], str], n: int = 8) -> dict[str, float]:
    with serving(answer=answer) as server:
        opened = Project.open(project.path, {"language_model": {"base_url": server.base_url, "timeout": 5.0}})
        verdicts = judge.judge_by_model(opened, n)
    return {f"{v.namer} {v.score.judge}".strip(): v.score.value for v in verdicts}


def test_a_question_shows_what_is_right_and_what_is_not(project_folder: Path) -> None:
    project = Project.open(project_folder)
    evidence = evidence_of(project)
    text_of = {prompts.plain(evidence.content(t), prompts.LONGEST_PASSAGE): t for t in range(len(evidence))}
    namings = by_namer(project.concepts.by_document_frequency(), "keyphrases")
    asked_about = questions(evidence, list(namings)[:20])
    asked = [
        *by_model.detection(evidence, namings, asked_about),
        *by_model.intruders(evidence, evidence.live.tolist()[:20]),
    ]
    assert {one.judge for one in asked} == {by_model.DETECTION, by_model.INTRUDER}
    for one in asked:
        shown = [text_of[text] for text in passages({"messages": one.messages})]
        active = set(evidence.active(one.latent)[0].tolist())
        is_right = [(text in active) == (one.judge == by_model.DETECTION) for text in shown]
        assert {i for i, right in enumerate(is_right) if right} == one.right
        assert len(shown) == one.n


def test_which_of_two_is_ranked_higher_is_asked_in_both_orders(project_folder: Path) -> None:
    project = Project.open(project_folder)
    evidence = evidence_of(project)
    stored = project.embeddings("queries")
    assert stored is not None
    queries = stored.rows(0, len(stored))
    namings = by_namer(project.concepts.by_document_frequency(), "keyphrases")
    asked = list(by_model.ranking(evidence, queries, namings, simulations.pairs(evidence, queries, 30)))
    assert {tuple(one.right) for one in asked} == {(0,), (1,)}
    assert all(re.search(r"\(0\.\d\d\)", one.messages[-1]["content"]) for one in asked)


def test_always_the_first_is_near_chance_and_what_is_judged_is_stored(folder: Path) -> None:
    project = Project.open(folder)
    found = judged(project, answering(lambda request: list(range(5))), n=40)
    assert found["keyphrases detection-by-model"] == pytest.approx(0.5, abs=0.12)
    assert found["keyphrases identification-by-model"] < 0.4
    assert found["keyphrases ranking-by-model"] == pytest.approx(0.5, abs=0.3)
    concepts = Project.open(folder).concepts.by_document_frequency()
    stored = [c for c in concepts if c.score(by_model.DETECTION, "keyphrases") is not None]
    assert stored
    with writing(project.concepts.database) as db:
        requests, still_open = db.execute("SELECT count(*), count(*) - count(cost) FROM spending").fetchone()
    assert requests >= 3 * 40 - 5 and still_open == 0


def test_what_is_judged_is_not_asked_again(folder: Path) -> None:
    project = Project.open(folder)
    judged(project, answering(lambda _: [0]))
    with serving(answer=answering(lambda _: [0])) as server:
        again = Project.open(folder, {"language_model": {"base_url": server.base_url}})
        judge.judge_by_model(again, 8)
        asked = [request["messages"][-1]["content"] for request in server.requests]
    assert not any("is called" in content or "all but one" in content for content in asked)


def test_an_answer_without_numbers_is_no_decision(folder: Path) -> None:
    found = judged(Project.open(folder), lambda _: "no idea", n=4)
    assert not [name for name in found if name.endswith("by-model")]
    assert all(
        c.score(by_model.INTRUDER, ITSELF) is None for c in Project.open(folder).concepts.by_document_frequency()
    )


@given(st.text(max_size=40), st.integers(1, 12))
def test_numbers_of_any_answer_are_in_range_and_differ(answer: str, most: int) -> None:
    found = prompts.numbers(answer, most)
    assert len(set(found)) == len(found)
    assert all(0 <= one < most for one in found)


def test_numbers_are_read_as_they_are_counted() -> None:
    assert prompts.numbers("1, 3 and 3, 99", 10) == [0, 2]


# --- the commands ---------------------------------------------------------------------------------


def test_the_command_forecasts_names_and_judges(folder: Path) -> None:
    def answer(request: dict[str, Any]) -> str:
        if "numbers" in request["messages"][-1]["content"]:
            return '{"numbers": "1"}'
        return '{"name": "a named thing", "description": "One sentence."}'

    with serving(answer=answer) as server:
        by = ["--namer", "language-model", "--base-url", server.base_url, "--most", "6"]
        forecast = json.loads(unweave("name", folder, *by, "--dry-run", "--json").stdout)
        assert (forecast["concepts"], forecast["cost"]) == (6, 0)
        assert server.requests == []
        said = unweave("name", folder, *by, "--dry-run").stdout
        assert re.search(r"^requests +6 ", said, flags=re.MULTILINE)
        assert "namer language-model, named 6, unnamed 0" in unweave("name", folder, *by).stdout
        assert "already there" in unweave("name", folder, *by).stdout.splitlines()[-1]
        verdicts = json.loads(unweave("judge", folder, "--by-model", "3", "--json").stdout)["verdicts"]
    assert {v["judge"] for v in verdicts} >= {"detection", "intruder", by_model.INTRUDER, by_model.DETECTION}
    assert "language-model" in {v["namer"] for v in verdicts}


def test_only_what_is_not_trusted_is_named_again(folder: Path) -> None:
    unweave("judge", folder)
    project = Project.open(folder)
    low = name.chosen(project, below=0.7)
    assert 0 < len(low) < len(name.chosen(project))
    scores = {c.latent: c.score("detection") for c in project.concepts.by_document_frequency()}
    assert all(scores[latent] is None or scores[latent].value < 0.7 for latent in low)


def test_a_dry_run_of_what_costs_nothing_is_refused(folder: Path) -> None:
    done = CliRunner().invoke(main, ["name", str(folder), "--dry-run"])
    assert done.exit_code == 2 and "--namer language-model" in done.stderr
