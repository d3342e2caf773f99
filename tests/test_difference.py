"""Why one passage scores above another."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import unweave as uw
from unweave.base.records import Contribution, Explanation, Group, Part, Trust
from unweave.cli import accounts, main
from unweave.errors import AccountingError, BadData
from unweave.explaining.accounting import explain
from unweave.explaining.difference import difference
from unweave.project import Project
from unweave.retrieval.steering import Steering
from unweave.stages.asked import QueryId

ASKED = "why do interest payments rise"
RIGHT = "When the central bank raises its rate, banks ask for more on loans."
WRONG = "Photosynthesis turns light into sugar; banks of rivers are green."


def scored(*values: float, residual: float = 0.0, groups: dict[int, Group] | None = None) -> Explanation:
    """A dense score of concepts 0, 1, …; one that adds 0 is not active."""
    found = [
        Contribution(j, f"c{j}", 1.0, value, value, Trust.HOLDS, True, (groups or {}).get(j, Group.NAMED))
        for j, value in enumerate(values) if value
    ]  # fmt: skip
    return Explanation("dense", sum(values) + 0.1 + residual, tuple(found), 0.1, residual)


def test_a_difference_by_hand():
    # .6 + .1 + .1 + .05 = .85 against .2 + .3 + .1 - .05 = .55
    found = difference(scored(0.6, 0.1, residual=0.05), scored(0.2, 0, 0.3, residual=-0.05))
    assert found.score == pytest.approx(0.3)
    assert [(one.latent, one.only) for one in found.concepts] == [(0, None), (2, "second"), (1, "first")]
    assert [one.difference for one in found.concepts] == [pytest.approx(0.4), pytest.approx(-0.3), pytest.approx(0.1)]
    assert (found.bias, found.residual) == (0.0, pytest.approx(0.1))
    found.check()
    # With the weight of concept 0 times f the scores are .25 + .6 f and .35 + .2 f: equal at f = .25.
    assert found.swap == (0, pytest.approx(0.25))
    with pytest.raises(AccountingError, match="differences"):
        replace(found, concepts=found.concepts[1:]).check()
    assert json.loads(json.dumps(found.to_dict()))["concepts"][1]["only"] == "second"


def test_one_concept_that_differs_is_enough_for_a_swap():
    # .6 + .3 against .2 + .3: concept 1 is the same in both. Alone, concept 0 is weakened until it is gone.
    assert difference(scored(0.6, 0.3), scored(0.2, 0.3)).swap == (0, pytest.approx(0.0))
    assert difference(scored(0.6), scored(0.2)).swap == (0, pytest.approx(0.0))


def test_a_part_that_found_only_one_of_two_passages_has_no_account_of_its_own():
    part = Part("codes", 0.7, 1, scored(0.6))
    one, other = (
        Explanation("sum", of.value, (), parts=(of,)) for of in (part, part._replace(value=0.2, explanation=None))
    )
    found = difference(one, other)
    assert found.parts == (("codes", 0.7, 0.2, None),)
    assert found.to_dict()["parts"] == [{"system": "codes", "first": 0.7, "second": 0.2, "account": None}]
    assert "parts" not in difference(scored(0.6), scored(0.2)).to_dict()
    assert difference(one, one).to_dict()["parts"][0]["account"]["first"] == pytest.approx(0.7)


def test_a_concept_is_named_if_its_name_holds_for_one_of_both():
    first, second = scored(0.6, groups={0: Group.TRACES}), scored(0.9)
    assert difference(first, second).concepts[0].group is Group.NAMED
    assert difference(first, first).concepts[0].group is Group.TRACES


def test_equal_scores_need_no_swap():
    assert difference(scored(0.6), scored(0.6)).swap is None
    assert difference(scored(), scored()).swap is None


@given(seed=st.integers(0, 10_000))
def test_it_adds_up_and_the_swap_makes_scores_equal(seed, random_sae):
    random, sae = np.random.default_rng(seed), random_sae(seed)
    query, one, other = random.normal(size=(3, 8))
    found = difference(explain(query, one, sae), explain(query, other, sae))
    found.check()
    back = difference(found.second, found.first)
    assert back.score == -found.score and {c.latent for c in back.concepts} == {c.latent for c in found.concepts}
    if found.swap is not None:
        moved = [
            of.score + (found.swap.factor - 1) * sum(c.value for c in of.contributions if c.latent == found.swap.latent)
            for of in (found.first, found.second)
        ]
        assert moved[0] == pytest.approx(moved[1], abs=1e-9 * max(1, abs(found.swap.factor)))
        factors = [1 - found.score / c.difference for c in found.concepts if c.difference]
        assert abs(found.swap.factor - 1) == pytest.approx(min(abs(factor - 1) for factor in factors))


@pytest.mark.parametrize("system", ["CL-SR", "dense", "codes", "CL-SR rescored", "CL-SR then dense"])
def test_steering_a_search_by_the_swap_makes_the_scores_equal(tiny_project_folder, system):
    project = Project.open(tiny_project_folder)
    first, second, *_ = project.search(QueryId("q1"), system=system)
    found = project.difference(QueryId("q1"), first.passage.passage_id, second.passage.passage_id, system=system)
    found.check()
    assert found.swap is not None
    swap = Steering(boosts={found.swap.latent: found.swap.factor})
    steered = project.search(QueryId("q1"), 60, system=system, steering=swap)
    scores = {hit.passage.passage_id: hit.score for hit in steered}
    assert scores[first.passage.passage_id] == pytest.approx(scores[second.passage.passage_id], abs=1e-4)


def test_a_sum_of_systems_differs_system_by_system(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    hits = project.search(QueryId("q1"), system="BM25 + codes")
    first, second = (hit.passage.passage_id for hit in hits[:2])
    found = project.difference(QueryId("q1"), first, second, system="BM25 + codes")
    found.check()
    assert [part.system for part in found.parts] == ["BM25", "codes"]
    assert sum(part.first - part.second for part in found.parts) == pytest.approx(found.score, abs=1e-5)
    lines = list(accounts.difference(found))
    assert any("BM25: " in line for line in lines) and any(line.startswith("      ") for line in lines)
    json.dumps(found.to_dict())


def test_scores_of_two_kinds_are_refused():
    with pytest.raises(BadData, match="kind 'dense' and one of kind 'terms'"):
        difference(scored(0.6), Explanation("terms", 0.0, ()))


def test_two_texts_differ_without_a_project():
    found = uw.from_pretrained().difference(ASKED, RIGHT, WRONG)
    found.check()
    assert found.score > 0.2
    assert any("bank" in (c.name or "") for c in found.concepts[:5] if c.only == "first")


def test_the_command_says_what_makes_the_difference():
    said = CliRunner().invoke(main, ["difference", ASKED, RIGHT, WRONG, "--top", "2", "--by-words"])
    assert said.exit_code == 0, said.output
    lines = said.stdout.splitlines()
    assert lines[0].startswith("dense score of the first 0.") and lines[1].startswith("first - second +0.")
    assert "which the second lacks" in said.stdout and "first: " in said.stdout
    assert lines[-1].startswith("the smallest change that makes them equal: in the query, ")
    record = json.loads(CliRunner().invoke(main, ["difference", ASKED, RIGHT, WRONG, "--json"]).stdout)
    parts = [*(c["difference"] for c in record["concepts"]), record["bias"], record["residual"]]
    assert sum(parts) == pytest.approx(record["difference"], abs=1e-6)


def test_what_does_not_go_together_is_refused():
    for arguments, said in (
        ([ASKED, RIGHT], "2 arguments came in"),
        ([ASKED, RIGHT, WRONG, "--system", "codes"], "goes with a PROJECT"),
        (["mine", ASKED, "1", "2", "--system", "codes", "--by-words"], "leave --system and --boost out"),
        (["mine", ASKED, "1", "2", "--boost", "3=2", "--by-words"], "leave --system and --boost out"),
        ([ASKED, RIGHT, WRONG, "--boost", "3=2"], "--boost goes with a PROJECT"),
    ):
        done = CliRunner().invoke(main, ["difference", *arguments])
        assert done.exit_code == 2 and said in done.output, done.output
