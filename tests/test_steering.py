"""Steering: whatever is accounted for as a sum over concepts is bent by them, by exactly what the account says."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from invoked import refused, unweave
from unweave.errors import BadData, MissingArtifact
from unweave.index.codes import Codes, coded
from unweave.index.scoring import PROFILES
from unweave.project import Project
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.passage_latents import PassageLatents
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import Steering
from unweave.retrieval.sums import Sum
from unweave.retrieval.systems import (
    CLSR,
    ConceptCodes,
    Dense,
    DenseRescored,
    Lexical,
    Reconstructed,
    RescoredCLSR,
    TokenConcepts,
)
from unweave.stages.asked import QueryId

N = 30
"""Passages of the random examples, by an SAE of 24 latents on 8 dimensions."""
factors = st.dictionaries(st.integers(0, 23), st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]), max_size=4)
bans = st.sets(st.integers(0, 23), max_size=2).map(sorted)
seeds = st.integers(0, 5)


def dense_over(sae, passages) -> Dense:
    z = sae.encode(passages)
    return Dense(passages, sae, latents=lambda: PassageLatents(z, z.tocsc()))


def vectors(seed: int) -> tuple[np.ndarray, EmbeddedQuery]:
    random = np.random.default_rng(seed)
    return random.normal(size=(N, 8)).astype(np.float32), EmbeddedQuery(None, random.normal(size=8).astype(np.float32))


@pytest.fixture(scope="module")
def example(random_sae, index_of):
    """SAE, passages, query and a searcher whose codes are of 3 latents, by seed; made once each."""
    made = {}

    def of(seed: int):
        if seed not in made:
            sae, (passages, query) = random_sae(seed), vectors(seed)
            codes = Codes.of(coded(sae, passages, 3))
            searcher = ConceptSearcher(sae, index_of(sae.encode(passages), PROFILES["default"]), codes)
            made[seed] = sae, passages, query, searcher
        return made[seed]

    return of


def best_first(scores: dict[int, float], cutoff: int) -> list[int]:
    return sorted(scores, key=lambda passage: (-scores[passage], passage))[:cutoff]


def slowly(sae, query, activations, rest, steering) -> dict[int, float]:
    """The score of each passage that may be found, concept by concept: sum_c f_c z_c (w_c . q), and the rest."""
    scores = {}
    for passage, z in enumerate(activations):
        if any(z[latent] > 0 for latent in steering.banned):
            continue
        parts = [steering.boosts.get(c, 1.0) * z[c] * float(sae.W_dec[c] @ query) for c in np.flatnonzero(z)]
        scores[passage] = sum(parts) + rest[passage]
    return scores


def check_found(hits, expected: dict[int, float], cutoff: int) -> None:
    """Passages of expected scores, and none with a higher one left out; near ties may stand in either order."""
    best = best_first(expected, cutoff)
    np.testing.assert_allclose(hits.scores, [expected[passage] for passage in best], atol=1e-5)
    np.testing.assert_allclose(hits.scores, [expected[passage] for passage in hits.passages.tolist()], atol=1e-5)


def rows_of(codes, n_latents: int) -> np.ndarray:
    """Stored codes as they are scored, (n_passages, n_latents)."""
    rows = np.zeros((len(codes), n_latents))
    for passage in range(len(codes)):
        row = codes.row(passage)
        rows[passage, row.latents] = row.activations
    return rows


# --- dense ------------------------------------------------------------------------------------------


def test_dense_scores_are_steered_by_hand(identity_sae):
    # z = (2, 1, 0) and (1, 3, 0): what is at most .5 counts as 0 and stays in the residual. With q = (1, 1, 1) the
    # scores are 3.1 and 4.1. Without latent 1 they are 3.1 - 1 and 4.1 - 3; with -1 times it, 3.1 - 2 and 4.1 - 6.
    dense = dense_over(identity_sae, np.array([[2, 1, 0.1], [1, 3, 0.1]], np.float32))
    query = EmbeddedQuery(None, np.ones(3, np.float32))
    for boosts, passages, scores in (
        ({}, [1, 0], [4.1, 3.1]),
        ({1: 0.0}, [0, 1], [2.1, 1.1]),
        ({1: -1.0}, [0, 1], [1.1, -1.9]),
        ({0: 2.0, 1: 0.0}, [0, 1], [4.1, 2.1]),
        ({2: 5.0}, [1, 0], [4.1, 3.1]),
    ):
        hits = dense.search(query, 2, Steering(boosts=boosts))
        assert hits.passages.tolist() == passages, boosts
        np.testing.assert_allclose(hits.scores, scores, rtol=1e-6)
    assert dense.search(query, 2, Steering(banned=[1])).passages.tolist() == []
    assert dense.search(query, 2, Steering(banned=[2])).passages.tolist() == [1, 0]  # .1 is no activation


@given(seeds, factors, bans)
def test_steered_dense_scores_are_those_of_a_slow_sum(example, seed, boosts, banned):
    sae, passages, query, _ = example(seed)
    z = sae.encode(passages).toarray()
    rest = (passages - z @ sae.W_dec) @ query.vector
    steering = Steering(boosts=boosts, banned=banned)
    dense = dense_over(sae, passages)
    expected = slowly(sae, query.vector, z, rest, steering)
    check_found(dense.search(query, 7, steering), expected, 7)
    check_found(dense.search(query, N, steering), expected, N)


def test_a_search_that_is_not_steered_asks_for_no_latents_and_gives_the_same_bits(example):
    sae, passages, query, _ = example(0)

    def refuse():
        raise AssertionError("an unsteered search asked for latents")

    allowed = np.arange(N) % 2 == 0
    for steering in (Steering(), Steering(allowed=allowed)):
        hits = Dense(passages, sae, latents=refuse).search(query, N, steering)
        plain = Dense(passages).search(query, N, steering)
        assert hits.passages.tolist() == plain.passages.tolist()
        assert hits.scores.tobytes() == plain.scores.tobytes()
    factor_1 = dense_over(sae, passages).search(query, N, Steering(boosts={3: 1.0}))
    assert factor_1.scores.tobytes() == Dense(passages).search(query, N).scores.tobytes()


def test_without_an_sae_or_latents_dense_takes_filters_alone(example):
    sae, passages, query, searcher = example(0)
    for dense in (Dense(passages), Dense(passages, sae)):
        with pytest.raises(BadData, match="dense cannot be steered by boosts; it can be steered by allowed"):
            dense.search(query, 3, Steering(boosts={1: 2.0}))
        with pytest.raises(BadData, match=r"CL-SR then dense cannot be steered by boosts; it can be .* banned"):
            DenseRescored(searcher, N, dense, 1.0).search(query, 3, Steering(boosts={1: 2.0}))
    with pytest.raises(BadData, match="reconstructed dense cannot be steered by boosts"):
        Reconstructed(sae, passages).search(query, 3, Steering(boosts={1: 2.0}))


# --- codes ------------------------------------------------------------------------------------------


def test_scores_by_codes_are_steered_by_hand(identity_sae, index_of):
    # Of the second passage latent 1 was cut from the code. With q = (1, 1, 1): 4 + 4 and 6; with latent 1 times -1,
    # 4 - 4 and 6 still, and a ban of latent 1 finds the second passage, whose code lacks it.
    index = index_of(np.array([[4.0, 4, 0], [6, 3, 0]]), PROFILES["default"])
    codes = Codes.of(csr_array(np.array([[4.0, 4, 0], [6, 0, 0]], np.float32)))
    system = ConceptCodes(ConceptSearcher(identity_sae, index, codes), 1.0)
    query = EmbeddedQuery(None, np.ones(3, np.float32))
    for steering, passages, scores in (
        (Steering(), [0, 1], [8, 6]),
        (Steering(boosts={1: -1.0}), [1, 0], [6, 0]),
        (Steering(boosts={0: 0.0, 2: 7.0}), [0, 1], [4, 0]),
        (Steering(banned=[1]), [1], [6]),
        (Steering(banned=[1], allowed=np.array([True, False])), [], []),
    ):
        hits = system.search(query, 2, steering)
        assert hits.passages.tolist() == passages, steering
        np.testing.assert_allclose(hits.scores, scores, rtol=1e-6, atol=1e-6)


@given(seeds, factors, bans)
def test_steered_scores_by_codes_are_those_of_a_slow_sum(example, seed, boosts, banned):
    sae, _, query, searcher = example(seed)
    steering = Steering(boosts=boosts, banned=banned)
    rest = np.full(N, float(sae.b_pre @ query.vector))
    expected = slowly(sae, query.vector, rows_of(searcher.codes, 24), rest, steering)
    check_found(ConceptCodes(searcher, 1.0).search(query, 7, steering), expected, 7)


# --- candidates by concepts ---------------------------------------------------------------------------


@given(seeds, factors, bans)
def test_boosts_bend_both_what_is_found_and_how_it_is_ordered(example, seed, boosts, banned):
    sae, passages, query, searcher = example(seed)
    steering, dense = Steering(boosts=boosts, banned=banned), dense_over(sae, passages)
    candidates = set(searcher.search(query.vector, 6, steering).passages.tolist())
    systems = [
        (RescoredCLSR(searcher, 6, 1.0), ConceptCodes(searcher, 1.0)),
        (DenseRescored(searcher, 6, dense, 1.0), dense),
    ]
    for system, of_all in systems:
        every = of_all.search(query, N, Steering(boosts=boosts))
        scored = zip(every.passages.tolist(), every.scores.tolist(), strict=True)
        check_found(
            system.search(query, 4, steering),
            {passage: score for passage, score in scored if passage in candidates},
            min(4, len(candidates)),
        )


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("steering", [Steering(boosts={24: 2.0}), Steering(banned=[24])])
def test_a_concept_that_is_not_there_is_refused(example, steering):
    sae, passages, query, searcher = example(0)
    dense = dense_over(sae, passages)
    both = Sum("CL-SR + dense", {"CL-SR": CLSR(searcher), "dense": dense}, (1.0, 1.0))
    what = "boost" if steering.boosts else "ban"
    for system in (dense, ConceptCodes(searcher, 1.0), both):
        with pytest.raises(BadData, match=f"there is no concept 24 to {what}; they are numbered from 0 to 23"):
            system.search(query, 3, steering)


def test_a_filter_of_another_number_of_passages_is_refused(example):
    sae, passages, query, searcher = example(0)
    for system in (dense_over(sae, passages), ConceptCodes(searcher, 1.0)):
        with pytest.raises(BadData, match=r"allowed has the shape \(3,\), expected one value for each of 30"):
            system.search(query, 3, Steering(banned=[1], allowed=np.ones(3, np.bool_)))


# --- sums -------------------------------------------------------------------------------------------------


TEXTS = ["wind over the sea", "wind and light", "the sea at night", "wind"]
Z = np.array([[2.0, 1, 0], [1, 3, 0], [4, 0, 0], [0, 0, 2]], np.float32)


@pytest.fixture
def words_and_vectors(tmp_path, identity_sae) -> Sum:
    systems = {"BM25": Lexical(BM25.write(tmp_path / "words", TEXTS, 4)), "dense": dense_over(identity_sae, Z)}
    return Sum("BM25 + dense", systems, (1.0, 1.0))


WIND = EmbeddedQuery("wind", np.ones(3, np.float32))


def test_a_passage_that_is_banned_is_found_by_no_system_of_a_sum(words_and_vectors):
    assert words_and_vectors.steers == {"allowed", "banned", "boosts"}
    assert sorted(words_and_vectors.search(WIND, 4).passages.tolist()) == [0, 1, 2, 3]
    banned = words_and_vectors.search(WIND, 4, Steering(banned=[1]))  # BM25 alone would find passages 0 and 1
    assert sorted(banned.passages.tolist()) == [2, 3]
    allowed = np.array([True, True, True, False])
    assert words_and_vectors.search(WIND, 4, Steering(banned=[1], allowed=allowed)).passages.tolist() == [2]


def test_boosts_go_to_the_systems_of_a_sum_that_take_them(words_and_vectors):
    # Dense: 3, 4, 4, 2, of which the lowest is worth 0 and the highest 1; without latent 1: 2, 1, 4, 2.
    steering = Steering(boosts={1: 0.0})
    hits = words_and_vectors.search(WIND, 4, steering)
    whys = words_and_vectors.explain(WIND, hits, steering)
    plain = words_and_vectors.explain(WIND, words_and_vectors.search(WIND, 4))
    parts = {}
    for passage, why in zip(hits.passages.tolist(), whys, strict=True):
        why.check()
        parts[passage] = [part.value for part in why.parts]
    np.testing.assert_allclose([parts[d][1] for d in range(4)], [(s - 1) / 3 / 2 for s in (2, 1, 4, 2)], atol=1e-6)
    plain_words = sorted(why.parts[0].value for why in plain)
    assert sorted(of_words for of_words, _ in parts.values()) == plain_words  # BM25 is as it was


def test_a_sum_bans_what_its_search_by_concepts_bans_alone(example):
    sae, passages, query, searcher = example(1)
    alone = CLSR(searcher)
    for latent in range(24):
        steering = Steering(banned=[latent])
        without = set(range(N)) - set(np.flatnonzero(alone.having([latent])).tolist())
        assert set(alone.search(query, N, steering).passages.tolist()) <= without
        both = Sum("CL-SR + dense", {"CL-SR": alone, "dense": dense_over(sae, passages)}, (1.0, 1.0))
        assert set(both.search(query, N, steering).passages.tolist()) == without


def test_a_sum_of_two_kinds_of_concepts_takes_no_numbers_of_them(example, tmp_path):
    sae, passages, query, searcher = example(0)
    tokens, dense = TokenConcepts(searcher), dense_over(sae, passages)
    both = Sum("tokens + dense", {"tokens": tokens, "dense": dense}, (1.0, 1.0))
    assert both.steers == {"allowed"}
    for steering, what in ((Steering(boosts={1: 2.0}), "boosts"), (Steering(banned=[1]), "banned")):
        with pytest.raises(BadData, match=f"tokens . dense cannot be steered by {what}: .* a number would mean two"):
            both.search(query._replace(tokens=passages[:1]), 3, steering)
    words = Lexical(BM25.write(tmp_path / "words", TEXTS, 4))
    assert Sum("BM25 + tokens", {"BM25": words, "tokens": tokens}, (1.0, 1.0)).steers >= {"boosts", "banned"}


# --- a project --------------------------------------------------------------------------------------------


SYSTEMS = ["dense", "codes", "CL-SR", "CL-SR rescored", "CL-SR then dense", "BM25 + 2 codes", "BM25 + dense",
           "CL-SR + dense by rank", "BM25 + CL-SR + codes"]  # fmt: skip


def concepts_of(hits) -> list[int]:
    """The concepts of some hits' explanations, of a sum those of its last system, strongest of each hit first."""
    found = [hit.explanation.parts[-1].explanation if hit.explanation.parts else hit.explanation for hit in hits]
    return list(dict.fromkeys(c.latent for of in found if of is not None for c in of.contributions))


@pytest.mark.parametrize("system", SYSTEMS)
def test_steered_scores_add_up_and_each_boosted_concept_counts_so_many_times(tiny_project_folder, system):
    project = Project.open(tiny_project_folder)
    one, other, *_ = concepts_of(project.search(QueryId("q1"), 5, system=system, explain=True))
    for boosts in ({one: 0.0}, {one: -2.0, other: 3.0}, {one: 1e6, other: -1e6}):
        steering = Steering(boosts=boosts)
        for hit in project.search(QueryId("q1"), 60, system=system, steering=steering, explain=True):
            hit.explanation.check()
            assert hit.explanation.score == hit.score
            if system in ("dense", "codes", "CL-SR"):
                plain = project.explain(QueryId("q1"), hit.passage.passage_id, system=system)
                weights = {c.latent: c.query for c in plain.contributions}
                for c in hit.explanation.contributions:
                    if c.latent in weights:
                        assert c.query == pytest.approx(boosts.get(c.latent, 1.0) * weights[c.latent], rel=1e-5)


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_hit_has_a_banned_concept(tiny_project_folder, system):
    project = Project.open(tiny_project_folder)
    (first, *_) = project.search(QueryId("q1"), 1, system=system, explain=True)
    banned, *_ = concepts_of([first])
    hits = project.search(QueryId("q1"), 60, system=system, steering=Steering(banned=[banned]), explain=True)
    assert first.passage.passage_id not in [hit.passage.passage_id for hit in hits]
    for hit in hits:
        parts = [part.explanation for part in hit.explanation.parts] or [hit.explanation]
        if system in ("dense", "codes", "CL-SR"):
            assert all(c.latent != banned for part in parts for c in part.contributions)


def test_latents_that_are_gone_are_missed_by_steered_searches_alone(tiny_project_folder, tmp_path):
    shutil.copytree(tiny_project_folder, tmp_path / "project")
    shutil.rmtree(tmp_path / "project" / "latents")
    project = Project.open(tmp_path / "project")
    assert len(project.search(QueryId("q1"), 3, system="dense")) == 3
    with pytest.raises(MissingArtifact, match="has no latents yet; run: unweave fit"):
        project.search(QueryId("q1"), 3, system="dense", steering=Steering(boosts={1: 2.0}))


# --- commands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["dense", "CL-SR", "codes"])
def test_a_boosted_score_is_explained_on_the_command_line_as_it_was_found(kept_copy, system):
    query = "what an inverted index takes in bytes"
    project, by = Project.open(kept_copy), ["--system", system]
    strongest = project.search(query, 1, system=system, explain=True)[0].explanation.contributions[0].latent
    boost = ["--boost", f"{strongest}=3", "--boost", "7=0.5"]
    first, second = project.search(query, 2, system=system, steering=Steering(boosts={strongest: 3.0, 7: 0.5}))
    ids = [hit.passage.passage_id for hit in (first, second)]
    record = json.loads(unweave("explain", kept_copy, query, ids[0], *by, *boost, "--json").stdout)
    assert record["score"] == pytest.approx(first.score, rel=1e-6)
    record = json.loads(unweave("difference", kept_copy, query, *ids, *by, *boost, "--json").stdout)
    assert record["difference"] == pytest.approx(first.score - second.score, abs=1e-5)
    as_it_is = json.loads(unweave("explain", kept_copy, query, ids[0], *by, "--json").stdout)
    assert as_it_is["score"] < first.score


def test_what_is_not_bent_by_boosts_refuses_them(kept_copy):
    asked = ["explain", kept_copy, "sea", Project.open(kept_copy).corpus[0].passage_id, "--boost", "3=2"]
    assert unweave(*asked, "--by-words").exit_code == 2
    assert "leave --system and --boost out" in unweave(*asked, "--two-sided").output
    assert "BM25 cannot be steered by boosts" in refused(unweave(*asked, "--system", "BM25"))
    assert "is not of the form CONCEPT=FACTOR" in unweave(*asked, "--boost", "3").output
