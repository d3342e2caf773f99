"""Whether explanations name causes: erasing and keeping what they name first."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.base.records import Contribution, Explanation
from unweave.cli import main
from unweave.errors import BadData
from unweave.evaluation.causes import ExplainedHits, causes
from unweave.explaining.accounting import explain_dense
from unweave.explaining.faithfulness import faithfulness, largest_alone, without_largest, without_others
from unweave.sae.model import SAE


def one(latent: int, value: float, passage: float) -> Contribution:
    return Contribution(latent, None, value / passage, passage, value)


@pytest.fixture
def by_hand() -> Explanation:
    """1 = .5 + .3 - .1 + .1 by concepts, .1 by bias and .1 left over; activations 2, 1, 1 and .5."""
    concepts = (one(4, 0.5, 2.0), one(1, 0.3, 1.0), one(2, -0.1, 1.0), one(3, 0.1, 0.5))
    return Explanation("dense", 1.0, concepts, bias=0.1, residual=0.1)


def test_what_adds_most_is_erased_and_kept_by_hand(by_hand):
    assert without_largest(by_hand, 1) == pytest.approx(0.5)
    assert without_largest(by_hand, 2) == pytest.approx(0.2)
    assert largest_alone(by_hand, 2) == pytest.approx(0.9)  # with the bias, without what is left over
    assert without_largest(by_hand, 9) == pytest.approx(0.2)  # all four of them: .8


def test_others_are_taken_in_the_same_amount(by_hand):
    # Beside the first alone, activation 2: the second twice (1 - .6), the third twice (1 + .2), the fourth four times.
    random = np.random.default_rng(0)
    found = {round(without_others(by_hand, 1, random), 6) for _ in range(60)}
    assert found == {0.4, 1.2, 0.6}
    nothing_else = Explanation("dense", 0.5, (one(4, 0.5, 2.0),))
    assert without_others(nothing_else, 1, random) == 0.5


def test_shares_of_a_querys_hits(by_hand):
    weak = Explanation("dense", 0.9, (one(1, 0.05, 1.0), one(2, 0.05, 1.0)), residual=0.8)
    found = faithfulness([by_hand, weak], 0.6, 1, np.random.default_rng(0))
    assert found is not None and (found.erased, found.kept) == (0.5, 0.5)  # the second stands by what is left over
    assert faithfulness([], 0.6, 1, np.random.default_rng(0)) is None


def test_erasing_by_the_account_is_erasing_from_the_vector(random_sae):
    sae: SAE = random_sae(3)
    random = np.random.default_rng(1)
    query, passages = random.normal(size=8), random.normal(size=(5, 8)).astype(np.float32)
    scores = (passages.astype(float) @ query).tolist()
    for why, passage in zip(explain_dense(scores, query, passages, sae), passages, strict=True):
        first = max(why.contributions, key=lambda c: c.value)
        erased = passage - first.passage * sae.W_dec[first.latent].astype(float)
        assert without_largest(why, 1) == pytest.approx(float(erased @ query))


def test_shares_are_means_over_queries_with_intervals(by_hand):
    # Without its first concept each hit scores .5: it leaves where the eleventh has .7, and stays where that has .4.
    found = causes([ExplainedHits([by_hand, by_hand], 0.7), ExplainedHits([by_hand], 0.4)], counts=[1])
    assert found[0].n == 1 and found[0].erased.value == 0.5
    assert (found[0].erased.low, found[0].erased.high) == (0, 1)
    assert found[0].kept.value == 0.5  # .5 + .1 of bias stays above .4 only
    with pytest.raises(BadData, match="no query has more than 10 hits"):
        causes([])


def test_the_command_measures_a_project(tiny_project_folder):
    said = CliRunner().invoke(main, ["faithfulness", str(tiny_project_folder)])
    assert said.exit_code == 0, said.output
    assert [line.split()[0] for line in said.stdout.splitlines()[2:]] == ["1", "2", "3", "5", "10"]
    record = json.loads(CliRunner().invoke(main, ["faithfulness", str(tiny_project_folder), "--json"]).stdout)
    assert all(0 <= one["erased"]["low"] <= one["erased"]["value"] <= 1 for one in record["causes"])


def test_a_sum_has_no_concepts_of_its_own_to_take_away(tiny_project_folder):
    said = CliRunner().invoke(main, ["faithfulness", str(tiny_project_folder), "--system", "BM25 + dense"])
    assert said.exit_code == 1 and "has no concepts of its own to take away; ask one of the systems" in said.output


def test_a_project_without_queries_is_told_to_add_some(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "text": "the moon"}) + "\n")
    assert (
        CliRunner().invoke(main, ["init", str(tmp_path / "p"), "--corpus", str(tmp_path / "corpus.jsonl")]).exit_code
        == 0
    )
    said = CliRunner().invoke(main, ["faithfulness", str(tmp_path / "p")])
    assert said.exit_code == 1 and "has no queries to ask" in said.output
