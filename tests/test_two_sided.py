"""A dense score with both texts written in concepts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import unweave as uw
from unweave.base.contributions import Label
from unweave.base.records import Group, Trust
from unweave.cli import main
from unweave.config import SAEConfig
from unweave.errors import AccountingError, DimensionMismatch
from unweave.explaining.accounting import explain
from unweave.explaining.two_sided import explain_both
from unweave.project import Project
from unweave.sae.model import SAE

ASKED, SAID = "interest rates", "The central bank raised borrowing costs."


def by_hand() -> SAE:
    """x, y, and a direction between them (.6, .8) that reads y alone; b_pre is (.1, 0)."""
    W_dec = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    W_enc = np.array([[1, 0], [0, 1], [0, 0.5]], np.float32)
    return SAE(
        SAEConfig(d_in=2, n_latents=3, k=3), W_enc, np.zeros(3, np.float32), W_dec, np.array([0.1, 0], np.float32),
        np.array([0.0], np.float32),
    )  # fmt: skip


class Named(dict):
    """Names that hold from .3 on."""

    def shown(self):
        return {latent: Label(name, Trust.HOLDS, 0.3) for latent, name in self.items()}

    def returning(self):
        return {}


def test_a_two_sided_score_by_hand():
    # q - b = (.9, .4): z = .9, .4, .2; d - b = (0, 1): z = 0, 1, .5.
    found = explain_both(np.array([1.0, 0.4]), np.array([0.1, 1.0]), by_hand(), Named({1: "y", 2: "slope"}))
    assert [(one.latent, one.query, one.passage) for one in found.shared] == [
        (1, pytest.approx(0.4), pytest.approx(1)), (2, pytest.approx(0.2), pytest.approx(0.5)),
    ]  # fmt: skip
    assert [one.value for one in found.shared] == [pytest.approx(0.4), pytest.approx(0.1)]
    assert [one.group for one in found.shared] == [Group.NAMED, Group.TRACES]  # .2 is below what the name holds from
    pairs = {(one.query, one.passage): one.value for one in found.crossing}
    # x with the slope .9 * .5 * .6, y with it .4 * .5 * .8, the slope with y .2 * 1 * .8; x and y are at right angles.
    assert pairs == {(0, 2): pytest.approx(0.27), (1, 2): pytest.approx(0.16), (2, 1): pytest.approx(0.16)}
    assert [one.query_name for one in found.crossing] == [None, "y", "slope"]
    # d_hat = (.4, 1.4), q_hat = (1.12, .56): b . d_hat + (q_hat - b) . b
    assert found.bias == pytest.approx(0.04 + 0.102)
    assert found.residual_query == pytest.approx(-0.12 * 0.4 - 0.16 * 1.4)
    assert found.residual_passage == pytest.approx(1.12 * -0.3 + 0.56 * -0.4)
    assert found.residual_both == pytest.approx(0.12 * 0.3 + 0.16 * 0.4)
    assert found.score == pytest.approx(0.5)
    found.check()
    with pytest.raises(AccountingError, match="two-sided score"):
        replace(found, bias=0.0).check()


@given(st.integers(0, 10_000))
def test_it_adds_up_and_its_parts_are_those_of_an_obvious_slow_sum(seed):
    random = np.random.default_rng(seed)
    directions = random.normal(size=(24, 8))
    sae = SAE(
        SAEConfig(d_in=8, n_latents=24, k=4), random.normal(size=(24, 8)).astype(np.float32),
        random.normal(size=24).astype(np.float32) / 4,
        (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32),
        random.normal(size=8).astype(np.float32) / 10, np.array([0.1], np.float32),
    )  # fmt: skip
    q, d = random.normal(size=(2, 8))
    found = explain_both(q, d, sae)
    found.check()
    z_q, z_d = (sae.encode(x[None]).toarray()[0].astype(float) for x in (q, d))
    W = sae.W_dec.astype(float)
    slow = {(i, j): z_q[i] * z_d[j] * (W[i] @ W[j]) for i, j in product(range(24), repeat=2) if z_q[i] and z_d[j]}
    assert {one.latent: one.value for one in found.shared} == pytest.approx(
        {i: value for (i, j), value in slow.items() if i == j}
    )
    assert {(one.query, one.passage): one.value for one in found.crossing} == pytest.approx(
        {(i, j): value for (i, j), value in slow.items() if i != j and value}
    )
    values = [abs(one.value) for one in found.crossing]
    assert values == sorted(values, reverse=True)


def test_both_ways_are_of_one_score():
    dictionary = uw.from_pretrained()
    both, one = dictionary.two_sided(ASKED, SAID), dictionary.explain(ASKED, SAID)
    both.check()
    assert both.score == pytest.approx(one.score, abs=1e-9)
    assert both.sums["crossing"] > 0.1, "different concepts of one subject add to a score too"


def test_parts_that_miss_the_score_are_said_with_what_they_add_up_to():
    found = explain_both(np.array([0.1, 0.0]), np.array([-1.0, -1.0]), by_hand())
    with pytest.raises(AccountingError, match=r"add up to -?\d[\d.e-]*, not to 7"):
        replace(found, score=7.0).check()


def test_a_vector_of_another_width_is_refused():
    with pytest.raises(DimensionMismatch, match="expected one vector of 2 values"):
        explain_both(np.ones(3), np.ones(2), by_hand())


def test_texts_without_a_concept_have_only_bias_and_residuals():
    found = explain_both(np.array([0.1, 0.0]), np.array([-1.0, -1.0]), by_hand())
    assert (found.shared, found.crossing) == ((), ())
    found.check()


def test_the_command_shows_each_kind_of_part_and_a_project_has_the_same(project_folder):
    said = CliRunner().invoke(main, ["explain", ASKED, SAID, "--two-sided", "--top", "2"])
    assert said.exit_code == 0, said.output
    for part in ("concepts that both share", "pairs of different concepts", "residual of the query", "of both"):
        assert part in said.output
    project = Project.open(project_folder)
    passage_id = project.corpus[2].passage_id
    command = ["explain", str(project_folder), ASKED, passage_id, "--two-sided", "--json"]
    told = json.loads(CliRunner().invoke(main, command).output)
    assert sum(told["sums"].values()) == pytest.approx(told["score"], abs=1e-5)
    assert told["score"] == pytest.approx(project.explain(ASKED, passage_id).score, abs=1e-6)
    assert [one["latent"] for one in told["shared"]] == [
        one.latent for one in project.two_sided(ASKED, passage_id).shared
    ]
    wrong = CliRunner().invoke(main, [*command, "--system", "CL-SR"])
    assert wrong.exit_code == 2 and "--two-sided is for the dense score" in wrong.output


def test_one_sided_and_two_sided_agree_on_what_the_passage_is_made_of():
    dictionary = uw.from_pretrained()
    one = explain(*(dictionary._embedding(text) for text in (ASKED, SAID)), dictionary.sae)
    both = dictionary.two_sided(ASKED, SAID)
    of_passage = {contribution.latent: contribution.passage for contribution in one.contributions}
    for shared in both.shared:
        assert shared.passage == pytest.approx(of_passage[shared.latent], abs=1e-6)
