"""What a reader may rely on in a score: named concepts, unnamed ones, traces, bias and residual."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import unweave as uw
from unweave.base.contributions import Label
from unweave.base.records import Contribution, Explanation, Group, Hit, HitList, Part, Passage, Trust, adds_up
from unweave.cli import show
from unweave.errors import AccountingError
from unweave.index.scoring import PROFILES
from unweave.retrieval.searcher import ConceptSearcher

vectors = arrays(np.float32, 8, elements=st.floats(-4, 4, width=32))


class Names(dict[int, str]):
    """Names that say how far each is to be trusted, as a project's do."""

    def __init__(self, labels: Mapping[int, Label]) -> None:
        super().__init__({latent: label.name for latent, label in labels.items()})
        self.labels = labels

    def shown(self) -> Mapping[int, Label]:
        return self.labels

    def returning(self) -> Mapping[int, bool]:
        return {}


@pytest.mark.parametrize(
    ("label", "activation", "group"),
    [
        (Label("sea", Trust.HOLDS, 0.2), 0.2, Group.NAMED),
        (Label("sea", Trust.HOLDS, 0.2), 0.19, Group.TRACES),
        (Label("sea", Trust.VAGUE, 0.2), 0.3, Group.NAMED),
        (Label("sea", Trust.VAGUE, 0.2), 0.1, Group.TRACES),
        (Label("sea", Trust.VAGUE, None), 0.9, Group.UNNAMED),
        (Label("sea", Trust.CONFIRMED, 0.0), 0.01, Group.NAMED),
        (Label("sea", Trust.NONE, 0.2), 0.9, Group.UNNAMED),
        (Label("sea"), 0.9, Group.UNNAMED),
    ],
    ids=str,
)
def test_a_name_counts_from_the_activation_on_that_it_holds_from(label, activation, group):
    assert label.group(activation) is group


def contribution(value: float, group: Group, *, returns: bool | None = None, latent: int = 0) -> Contribution:
    return Contribution(latent, "sea", 1.0, value, value, Trust.HOLDS, returns, group)


@pytest.fixture
def by_hand() -> Explanation:
    parts = (
        contribution(4, Group.NAMED, returns=True, latent=1),
        contribution(-2, Group.UNNAMED, returns=True, latent=2),
        contribution(1, Group.NAMED, returns=False, latent=3),
        contribution(0.5, Group.TRACES, latent=4),
        contribution(-0.25, Group.TRACES, latent=5),
    )
    return Explanation("dense", 4.25, parts, bias=2.0, residual=-1.0)


def test_shares_by_hand(by_hand):
    # All that adds or takes away: 4 + 2 + 1 + .5 + .25 + 2 + 1 = 10.75.
    by_hand.check()
    assert by_hand.named_share == pytest.approx(5 / 10.75)
    assert by_hand.returning_share == pytest.approx(6 / 10.75)
    assert by_hand.named_returning_share == pytest.approx(4 / 10.75)
    assert by_hand.carried == "named 47%, ↻ 56%, both 37%"
    assert by_hand.groups == {
        Group.NAMED: 5, Group.UNNAMED: -2, Group.TRACES: 0.25, Group.BIAS: 2, Group.RESIDUAL: -1,
    }  # fmt: skip


def test_traces_are_folded_into_one_line_and_never_dropped(by_hand):
    assert list(show.explain(by_hand, top=2)) == [
        "dense score 4.2500 (named 47%, ↻ 56%, both 37%) =", "    +4.0000  ●↻ sea  #1", "    -2.0000  ●↻ sea  #2",
        "    +1.0000  1 more concept", "    +0.2500  traces of 2 concepts",
        "    +2.0000  shared by all passages (bias)", "    -1.0000  residual: 84% explained",
    ]  # fmt: skip
    assert "traces of 2 concepts" in by_hand._repr_html_()
    assert math.fsum(piece.value for piece in by_hand.pieces()) == pytest.approx(by_hand.score)


def test_a_name_that_does_no_better_than_chance_is_not_shown_as_one():
    assert show.named(12, "talc", Trust.NONE, None) == "○ (no name holds)  #12"
    failed = Contribution(12, "talc", 1.0, 1.0, 1.0, Trust.NONE, None, Group.UNNAMED)
    page = Explanation("concepts", 1.0, (failed,))._repr_html_()
    assert "(no name holds)" in page and "talc" not in page


def test_json_has_groups_and_shares(by_hand):
    record = json.loads(json.dumps(by_hand.to_dict()))
    assert record["groups"] == {"named": 5, "unnamed": -2, "traces": 0.25, "bias": 2, "residual": -1}
    assert record["named_share"] == by_hand.named_share
    assert record["named_returning_share"] == by_hand.named_returning_share
    assert [part["group"] for part in record["contributions"]] == ["named", "unnamed", "named", "traces", "traces"]
    assert Explanation.from_dict(record) == by_hand


def test_where_nobody_judged_there_is_no_named_share(identity_sae):
    query, passage = np.ones(3), np.array([1.0, 2.0, 3.0])
    assert uw.explain(query, passage, identity_sae).named_share is None
    assert uw.explain(query, passage, identity_sae, names={0: "rye"}).named_share is None
    assert uw.explain(query, passage, identity_sae).carried == ""


def test_what_counts_is_the_passage_s_activation_whatever_the_query_s_part(identity_sae):
    names = Names({0: Label("rye", Trust.HOLDS, 1.5), 1: Label("oats", Trust.HOLDS, 1.5)})
    why = uw.explain(np.array([9.0, 0.1, 0.0]), np.array([1.0, 2.0, 3.0]), identity_sae, names)
    assert {c.latent: c.group for c in why.contributions} == {
        0: Group.TRACES, 1: Group.NAMED, 2: Group.UNNAMED,
    }  # fmt: skip


@given(vectors.filter(np.any), st.floats(0.01, 5))
def test_an_account_of_the_index_groups_by_activation_too_and_not_by_impact(random_sae, index_of, query, holds_from):
    sae = random_sae(0)
    passages = np.random.default_rng(5).normal(size=(30, 8)).astype(np.float32)
    searcher = ConceptSearcher(sae, index_of(sae.encode(passages), PROFILES["default"]))
    names = Names({j: Label(str(j), Trust.HOLDS, holds_from) for j in range(sae.config.n_latents)})
    hits = searcher.search(query, cutoff=30)
    for position, why in zip(hits.passages.tolist(), searcher.explain(query, hits, names), strict=True):
        why.check()
        activations = dict(zip(*(part.tolist() for part in searcher.index.row(position)), strict=True))
        for c in why.contributions:
            assert c.group is (Group.NAMED if activations[c.latent] >= holds_from else Group.TRACES)
        assert math.fsum(why.groups.values()) == pytest.approx(why.score, rel=1e-5, abs=1e-9)


def test_a_sum_is_drawn_by_its_systems_with_their_ranks():
    parts = (Part("BM25", 0.7, 3, None), Part("codes", 0.2, None, None))
    drawn = Explanation("sum", 0.9, (), parts=parts).pieces()
    assert [(piece.label, piece.value, piece.note) for piece in drawn[:2]] == [
        ("BM25", 0.7, "rank 3"),
        ("codes", 0.2, ""),
    ]


def test_a_sum_with_its_parts_survives_json_and_is_checked_part_by_part():
    why = Explanation("dense", 0.7, (contribution(0.4, Group.NAMED),), bias=0.2, residual=0.1)
    of_sum = Explanation("sum", 0.9, (), parts=(Part("dense", 0.7, 1, why), Part("BM25", 0.2, None, None)))
    of_sum.check()
    record = json.loads(json.dumps(of_sum.to_dict()))
    assert Explanation.from_dict(record) == of_sum
    assert [part["explanation"] is None for part in record["parts"]] == [False, True]
    assert "parts" not in why.to_dict()
    wrong = replace(of_sum, parts=(Part("dense", 0.7, 1, replace(why, bias=0.5)), of_sum.parts[1]))
    with pytest.raises(AccountingError, match="the parts of this dense score"):
        wrong.check()


def test_shares_take_every_part_as_positive():
    # |1| + |-3| + |2| = 6 of which 1 is named; explained and bias are 1 - 3 = -2, as much as the residual of 2.
    one = contribution(1.0, Group.NAMED)
    explanation = Explanation("dense", 0.0, (one,), bias=-3.0, residual=2.0)
    assert explanation.named_share == pytest.approx(1 / 6)
    assert explanation.explained_share == 0.5
    drawn = {piece.label: piece.plain for piece in explanation.pieces()}
    assert (drawn["bias"], drawn["residual"]) == (True, True)


def test_what_is_not_known_of_all_is_told_of_those_of_which_it_is_known():
    unscored = contribution(1.0, Group.UNNAMED, latent=1)._replace(trust=Trust.UNSCORED)
    explanation = Explanation("dense", 2.0, (contribution(1.0, Group.NAMED), unscored))
    assert (explanation.named_share, explanation.named_returning_share) == (0.5, None)
    assert Explanation("dense", 1.0, (unscored,)).named_share is None
    returns = replace(explanation, contributions=(contribution(1.0, Group.NAMED, returns=True), unscored))
    assert returns.named_returning_share == 0.5


# --- hits, as a notebook and a program have them -----------------------------------------------------

WIND = Explanation("concepts", 2.0, (Contribution(3, "wind", 1.0, 2.0, 2.0, Trust.HOLDS),))
PASSAGE = Passage("p1", "Wind turbine", "It turns wind into power.")


def test_a_hit_is_a_row_with_its_title_and_the_parts_of_its_score():
    row = Hit(2, 2.0, PASSAGE, WIND).shown()
    assert (row.rank, row.score, row.passage_id, row.text) == (2, 2.0, "Wind turbine", PASSAGE.text)
    assert [piece.label for piece in row.pieces] == ["wind ● #3", "bias", "residual"]
    assert Hit(1, 2.0, PASSAGE._replace(title="")).shown() == (1, 2.0, "p1", PASSAGE.text, ())


def test_a_hit_as_json_has_the_explanations_that_it_has():
    record = {"rank": 1, "score": 2.0, "passage_id": "p1", "title": "Wind turbine", "text": PASSAGE.text}
    assert Hit(1, 2.0, PASSAGE).to_dict() == record
    both = Hit(1, 2.0, PASSAGE, WIND, replace(WIND, of="dense")).to_dict()
    assert both == record | {"explanation": WIND.to_dict(), "dense_explanation": WIND.to_dict() | {"of": "dense"}}


def test_a_name_has_its_mark_and_a_latent_without_one_has_only_its_number():
    judged, unnamed = Contribution(3, "wind", 1.0, 2.0, 2.0, Trust.VAGUE), Contribution(5, None, 1, 1, 1, Trust.HOLDS)
    pieces = Explanation("concepts", 3.0, (judged, unnamed)).pieces()
    assert [piece.label for piece in pieces[:2]] == ["wind ◐ #3", "#5"]


def test_parts_without_an_account_and_concepts_without_a_group_survive_json():
    unknown = Explanation("sum", 3.0, (), parts=(Part("BM25", 1.0, None, None), Part("CL-SR", 2.0, 1, WIND)))
    assert Explanation.from_dict(json.loads(json.dumps(unknown.to_dict()))) == unknown
    named = replace(WIND, contributions=(WIND.contributions[0]._replace(group=Group.NAMED),))
    assert Explanation.from_dict(named.to_dict()) == named


@pytest.mark.parametrize(
    ("whole", "rtol", "holds"),
    [(2.5, 0.125, True), (2.53125, 0.125, False), (0.0, 0.0, False), (2.0, 0.0, True), (2 + 5e-10, 0.0, True)],
)
def test_parts_may_miss_their_whole_by_a_share_of_all_of_them_taken_as_positive(whole, rtol, holds):
    assert adds_up([3.0, -1.0], whole, rtol) == holds  # 2 of parts that are 4 in all: 4 / 8 is allowed


def test_what_a_console_shows_of_hits_and_of_an_account():
    hit = Hit(1, 2.0, PASSAGE, WIND)
    assert repr(hit) == "Hit(1, 2, 'p1', 'Wind turbine')"
    assert repr(hit) == repr(Hit(1, 2.0, PASSAGE._replace(title="", text="Wind turbine")))
    assert repr(HitList([])) == "HitList(0 hits)"
    assert repr(HitList([hit] * 3)) == f"HitList(3 hits: {hit!r}, {hit!r}, {hit!r})"
    assert repr(HitList([hit] * 4)) == f"HitList(4 hits: {hit!r}, {hit!r}, {hit!r}, …)"
    strongest = (*WIND.contributions, *(Contribution(n, None, 1.0, 1.0, 1.0) for n in (5, 6, 7)))
    said = "concepts score 5 = 4 concepts 5 + bias 0.5 + residual -0.5; strongest: wind 2, #5 1, #6 1"
    assert repr(Explanation("concepts", 5.0, strongest, 0.5, -0.5)) == f"Explanation({said})"
    assert repr(Explanation("concepts", 0.0, ())) == "Explanation(concepts score 0 = nothing)"
    parts = (Part("BM25", 0.7, 3, None), Part("codes", 0.2, None, None))
    assert repr(Explanation("sum", 0.9, (), parts=parts)) == "Explanation(sum score 0.9 = BM25 0.7 + codes 0.2)"
