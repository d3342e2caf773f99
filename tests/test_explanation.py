"""Exact accounting: whatever is explained, the parts add up to the score."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unweave.base.records import Contribution, Explanation
from unweave.errors import AccountingError, BadData, DimensionMismatch
from unweave.explaining.accounting import explain, explain_dense, explain_rescored
from unweave.index.scoring import PROFILES
from unweave.retrieval.searcher import ConceptSearcher

vectors = arrays(np.float32, 8, elements=st.floats(-4, 4, width=32))


@pytest.fixture
def by_hand(sae_with_biases) -> Explanation:
    """Query (1, 2), passage (3, 4); see the fixture sae_with_biases for z = (2, 0, 4.5) and x_hat = (5.7, 5.6)."""
    return explain(np.array([1.0, 2.0]), np.array([3.0, 4.0]), sae_with_biases, names={2: "sourdough"})


def test_an_explanation_by_hand(by_hand):
    # Score 1 * 3 + 2 * 4 = 11.
    # Directions times query: (1, 0) . (1, 2) = 1 and (0.6, 0.8) . (1, 2) = 2.2; values 2 * 1 = 2 and 4.5 * 2.2 = 9.9.
    # Bias (1, 2) . (1, 2) = 5. Residual (3 - 5.7, 4 - 5.6) . (1, 2) = -2.7 - 3.2 = -5.9.  9.9 + 2 + 5 - 5.9 = 11.
    assert by_hand.of == "dense"
    assert by_hand.score == 11
    assert [c.latent for c in by_hand.contributions] == [2, 0]
    assert [c.query for c in by_hand.contributions] == pytest.approx([2.2, 1], rel=1e-6)
    assert [c.passage for c in by_hand.contributions] == [4.5, 2]
    assert [c.value for c in by_hand.contributions] == pytest.approx([9.9, 2], rel=1e-6)
    assert by_hand.bias == 5
    assert by_hand.residual == pytest.approx(-5.9, rel=1e-6)
    assert by_hand.explained == pytest.approx(11.9, rel=1e-6)
    by_hand.check()


def test_the_explained_share_by_hand(by_hand):
    # |residual| = 5.9, |explained + bias| = 16.9: 16.9 / 22.8
    assert by_hand.explained_share == pytest.approx(16.9 / 22.8, rel=1e-6)


def test_an_unnamed_latent_has_no_name_rather_than_a_made_up_one(by_hand, sae_with_biases):
    assert [c.name for c in by_hand.contributions] == ["sourdough", None]
    unnamed = explain(np.array([1.0, 2.0]), np.array([3.0, 4.0]), sae_with_biases)
    assert [c.name for c in unnamed.contributions] == [None, None]


def test_contributions_come_largest_first_whatever_their_sign(identity_sae):
    # Activations (1, 2, 3) times the query (1, -2, 1): 1, -4, 3.
    explanation = explain(np.array([1.0, -2.0, 1.0]), np.array([1.0, 2.0, 3.0]), identity_sae)
    assert [c.value for c in explanation.contributions] == [-4, 3, 1]
    assert explanation.explained_share == 1.0


def test_a_boosted_score_of_a_code_by_hand(identity_sae):
    # Query (1, 5, 4), code 2 of latent 0 and 3 of latent 2, which is boosted by a half: 2 * 1 + 3 * (4 / 2) = 8.
    code = np.array([0, 2]), np.array([2.0, 3.0], np.float32)
    (explanation,) = explain_rescored([8.0], np.array([1.0, 5.0, 4.0]), [code], identity_sae, boosts={2: 0.5})
    assert [(c.latent, c.query, c.value) for c in explanation.contributions] == [(2, 2.0, 6.0), (0, 1.0, 2.0)]
    explanation.check()


def test_passages_explained_together_are_explained_as_each_is_alone(identity_sae):
    query, passages = np.array([1.0, -2.0, 1.0]), np.array([[1.0, 2.0, 3.0], [0.25, 0.0, 0.5], [0.0, 4.0, 1.0]])
    together = explain_dense([float(query @ passage) for passage in passages], query, passages, identity_sae)
    assert together == [explain(query, passage, identity_sae) for passage in passages]
    assert explain_dense([], query, passages[:0], identity_sae) == explain_rescored([], query, [], identity_sae) == []


def test_a_passage_without_latents_is_all_bias_and_residual(identity_sae):
    explanation = explain(np.array([1.0, 1.0, 1.0]), np.array([0.25, 0.25, 0.5]), identity_sae)
    assert explanation.contributions == ()
    assert (explanation.residual, explanation.explained_share) == (1.0, 0.0)
    explanation.check()


@given(st.integers(0, 10_000), vectors, vectors.filter(np.any))
def test_the_parts_of_a_dense_score_add_up_to_it(random_sae, seed, query, passage):
    sae = random_sae(seed)
    explanation = explain(query, passage, sae)
    assert explanation.score == pytest.approx(float(query.astype(float) @ passage.astype(float)), rel=1e-12, abs=1e-12)
    total = sum(c.value for c in explanation.contributions) + explanation.bias + explanation.residual
    assert total == pytest.approx(explanation.score, rel=1e-5, abs=1e-9)
    explanation.check()
    assert [c.latent for c in explanation.contributions] != [] or sae.encode(passage).nnz == 0
    for c in explanation.contributions:
        assert c.value == c.query * c.passage


@given(st.integers(0, 10_000), vectors, vectors.filter(np.any))
def test_every_part_is_what_its_name_says(random_sae, seed, query, passage):
    sae = random_sae(seed)
    explanation = explain(query, passage, sae)
    code = sae.encode(passage).toarray()[0]
    assert {c.latent: c.passage for c in explanation.contributions} == {int(j): code[j] for j in np.flatnonzero(code)}
    for c in explanation.contributions:
        assert c.query == pytest.approx(float(sae.W_dec[c.latent].astype(float) @ query), abs=1e-9)
    missed = passage.astype(float) - sae.reconstruct(passage)[0]
    assert explanation.residual == pytest.approx(float(missed @ query), abs=1e-4)
    assert explanation.bias == pytest.approx(float(sae.b_pre.astype(float) @ query), abs=1e-9)


@pytest.fixture(scope="module")
def searcher(random_sae, index_of) -> ConceptSearcher:
    sae = random_sae(0)
    return ConceptSearcher(sae, index_of(sae.encode(passages_of(30)), PROFILES["default"]))


def passages_of(n: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(n, 8)).astype(np.float32)


@given(vectors.filter(np.any))
def test_the_parts_of_a_concept_score_add_up_to_what_the_index_gave(searcher, query):
    hits = searcher.search(query, cutoff=30)
    explanations = searcher.explain(query, hits, names={3: "rye"})
    for passage, score, explanation in zip(hits.passages.tolist(), hits.scores.tolist(), explanations, strict=True):
        explanation.check()
        shared = set(searcher.read(query).latents) & set(searcher.index.row(passage).latents)
        assert {c.latent for c in explanation.contributions} == shared
        assert all(c.name == ("rye" if c.latent == 3 else None) for c in explanation.contributions)
        assert (explanation.of, explanation.score, explanation.bias, explanation.residual) == ("concepts", score, 0, 0)


@given(st.integers(0, 29))
def test_the_parts_of_a_rescored_score_add_up_to_what_rescoring_gave(searcher, number):
    query = passages_of(30)[number]
    hits = searcher.rescored(query, cutoff=3)
    assert len(hits.passages) == 3
    for passage, explanation in zip(hits.passages.tolist(), searcher.explain_rescored(query, hits), strict=True):
        explanation.check()
        assert {c.latent for c in explanation.contributions} == set(searcher.index.row(passage).latents.tolist())
        assert explanation.of == "rescored"
        assert explanation.bias == pytest.approx(float(searcher.sae.b_pre @ query), rel=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: replace(e, score=e.score * 1.0001),
        lambda e: replace(e, contributions=e.contributions[:-1]),
        lambda e: replace(e, contributions=(*e.contributions, e.contributions[0])),
        lambda e: replace(e, bias=0.0),
        lambda e: replace(e, residual=-e.residual),
        lambda e: replace(e, residual=math.nan),
    ],
    ids=["score", "part lost", "part twice", "no bias", "residual's sign", "nan"],
)
def test_an_explanation_that_was_tampered_with_does_not_pass_its_check(by_hand, change):
    with pytest.raises(AccountingError, match=r"parts of this dense score add up to .*another SAE or index"):
        change(by_hand).check()


def test_an_explanation_survives_json(by_hand):
    record = json.loads(json.dumps(by_hand.to_dict()))
    assert Explanation.from_dict(record) == by_hand
    assert record["explained_share"] == by_hand.explained_share
    second = {"latent": 0, "name": None, "query": 1.0, "passage": 2.0, "value": 2.0, "trust": None, "returns": None}
    second["group"] = "unnamed"
    assert record["contributions"][1] == second


def test_an_empty_explanation_of_zero_is_whole():
    nothing = Explanation(of="dense", score=0.0, contributions=())
    nothing.check()
    assert nothing.explained_share == 1.0


def test_the_check_can_be_as_strict_as_asked():
    off_by_a_millionth = Explanation("dense", 1.0, (Contribution(0, None, 1.0, 1.000001, 1.000001),))
    off_by_a_millionth.check()
    with pytest.raises(AccountingError, match=r"add up to 1\.000001, not to 1\.0"):
        off_by_a_millionth.check(rtol=1e-7)


def test_vectors_of_another_width_are_refused(sae_with_biases):
    for query, passage in ((np.ones(3), np.ones(2)), (np.ones(2), np.ones(3)), (np.ones((1, 2)), np.ones(2))):
        with pytest.raises(DimensionMismatch, match="expected one vector of 2 values, got shape"):
            explain(query, passage, sae_with_biases)


def test_a_zero_passage_is_refused(sae_with_biases):
    with pytest.raises(BadData, match="zero vector"):
        explain(np.ones(2), np.zeros(2), sae_with_biases)
