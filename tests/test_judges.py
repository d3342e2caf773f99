"""Judges without a language model: by hand, against other libraries, and on real text beside their controls."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from unweave.base.records import Trust
from unweave.concepts.concept import DETECTION, ITSELF, Naming, Score
from unweave.concepts.evidence import Evidence, Samples
from unweave.concepts.judges import controls, embedding, simulations, verdicts
from unweave.concepts.judges.embedding import AUROC, auroc, mean, odd_one_out, picked, question, share
from unweave.concepts.store import add_namings
from unweave.project import Project
from unweave.stages import judge, name
from unweave.stages.evidence import evidence_of

# --- formulas -------------------------------------------------------------------------------------


def test_as_many_texts_are_picked_as_are_active():
    active = np.array([True, True, False, False])
    assert picked(np.array([4.0, 3, 2, 1]), active) == 1
    assert picked(np.array([4.0, 1, 3, 2]), active) == 0.5
    assert picked(np.array([1.0, 2, 3, 4]), active) == 0


def test_equal_values_are_picked_by_chance_wherever_they_stand():
    active = np.array([True, True, False, False])
    assert picked(np.zeros(4), active) == 0.5
    assert picked(np.array([2.0, 1, 1, 1]), active) == pytest.approx((1 + 1 / 3) / 2)


halves = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, 2 * n, elements=st.integers(-3, 3)), st.permutations([True] * n + [False] * n)
    )
)


@given(halves, st.randoms(use_true_random=False))
def test_the_order_of_the_texts_does_not_matter(half, random):
    values, active = half[0], np.array(half[1])
    order = list(range(len(values)))
    random.shuffle(order)
    assert picked(values[order], active[order]) == pytest.approx(picked(values, active))
    assert auroc(values[order], active[order]) == pytest.approx(auroc(values, active))


@given(halves)
def test_auroc_is_scikit_learns_and_turns_with_the_values(half):
    values, active = half[0], np.array(half[1])
    assert auroc(values, active) == pytest.approx(roc_auc_score(active, values))
    assert auroc(values, active) + auroc(-values, active) == pytest.approx(1)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (3, 5), (5, 5), (17, 24), (1, 1), (120, 200)])
def test_the_interval_is_wilsons(right, n):
    score = share("any", right / n, n)
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert (score.low, score.high) == (pytest.approx(expected.low, abs=1e-4), pytest.approx(expected.high, abs=1e-4))


def test_the_mean_counts_each_latent_once():
    scores = [Score("any", value, 0, 1, n) for value, n in ((0.5, 3), (0.9, 300), (0.7, 30))]
    found = mean(scores)
    assert (found.value, found.n) == (pytest.approx(0.7), 3)
    assert found.high - found.value == pytest.approx(1.96 * 0.2 / np.sqrt(3))


def test_the_odd_one_is_the_least_like_the_others():
    east, north = np.array([1.0, 0]), np.array([0, 1.0])
    texts = np.stack([east, east, north, east]).astype(np.float32)
    assert odd_one_out(texts) == 2


# --- questions ------------------------------------------------------------------------------------


def samples(n: int, near_misses: int = 5, random: int = 100) -> Samples:
    """Texts 0 to n - 1 are active; near misses are from 1,000 on, random ones from 2,000 on."""
    near = np.full(n, -1)
    near[:near_misses] = 1000 + np.arange(min(n, near_misses))
    return Samples(np.arange(n), np.linspace(1, 0.1, n).astype(np.float32), near, 2000 + np.arange(random))


@given(st.integers(1, 200), st.integers(0, 30), st.integers(0, 100), st.integers(0, 5))
def test_half_of_the_texts_of_a_question_are_active(n, near_misses, random, seed):
    asked = question(samples(n, near_misses, random), latent=3, seed=seed)
    if asked is None:
        return
    assert len(np.unique(asked.texts)) == len(asked.texts) == 2 * asked.active.sum()
    assert (asked.texts[asked.active] < n).all() and (asked.texts[~asked.active] >= 1000).all()
    assert (asked.near_miss == ((asked.texts >= 1000) & (asked.texts < 2000))).all()
    assert asked.near_miss.sum() <= asked.active.sum() // 2


def test_active_texts_are_of_three_bands_alike():
    texts = question(samples(90), 0, 0).texts
    counts = [((texts >= low) & (texts < low + 30)).sum() for low in (0, 30, 60)]
    assert counts == [embedding.A_BAND] * 3


def test_there_is_no_question_without_enough_silent_texts():
    assert question(samples(20, near_misses=0, random=5), 0, 0) is None
    assert question(samples(0), 0, 0) is None


# --- words ----------------------------------------------------------------------------------------


class Lengths:
    """Embeds a text as its length and its number of blanks."""

    def encode_passages(self, texts):
        return np.array([[len(text), text.count(" ")] for text in texts], np.float32)


def test_a_mix_of_phrases_is_read_as_their_weighted_sum():
    words = {1: [("ab", 2.0), ("a b", 1.0)], 2: [("abc", 1.0)], 3: []}
    found = embedding.embedded(Lengths(), words)
    assert found.keys() == {1, 2}
    assert found[1].tolist() == [2 * 2 + 3, 1]


def test_of_many_texts_the_mean_is_taken_away():
    words = {n: [("a" * n, 1.0)] for n in range(1, 17)}
    found = embedding.embedded(Lengths(), words)
    assert found[1][0] == pytest.approx(1 - 8.5)
    assert np.sum(list(found.values()), axis=0) == pytest.approx(0, abs=1e-4)


def test_a_description_is_read_as_its_mix_or_after_its_name():
    mixed = Naming("lexicon", "sea", "sea 0.70, salt 0.20", provenance={"mix": [["sea", 0.7], ["salt", 0.2]]})
    assert embedding.wordings(mixed, described=True) == [("sea", 0.7), ("salt", 0.2)]
    assert embedding.wordings(mixed) == [("sea", 1.0)]
    assert embedding.wordings(Naming("x", "sea", "Salt water."), described=True) == [("sea: Salt water.", 1.0)]
    assert embedding.wordings(Naming("x", None)) == []


# --- controls -------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 1000), min_size=2, max_size=30), st.integers(0, 5))
def test_no_shuffled_name_is_at_home(latents, seed):
    namings = {latent: Naming("x", str(latent)) for latent in latents}
    found = controls.shuffled(namings, seed)
    assert found.keys() == namings.keys()
    assert sorted(n.name for n in found.values()) == sorted(n.name for n in namings.values())
    assert all(found[latent] != namings[latent] for latent in latents)


def test_a_random_dictionary_is_as_sparse_as_the_other(random_sae):
    embeddings = np.random.default_rng(0).normal(size=(3000, 8)).astype(np.float32)
    sae = random_sae(0)
    found = controls.random_dictionary(sae, embeddings)
    assert found.W_dec.shape == sae.W_dec.shape
    assert np.linalg.norm(found.W_dec, axis=1) == pytest.approx(1, abs=1e-5)
    assert found.encode(embeddings).nnz / 3000 == pytest.approx(sae.config.k, rel=0.1)
    assert (found.W_dec == controls.random_dictionary(sae, embeddings).W_dec).all()


# --- on real text ---------------------------------------------------------------------------------


@pytest.fixture
def project(project_folder: Path, tmp_path: Path) -> Project:
    shutil.copytree(project_folder, tmp_path / "project")
    return Project.open(tmp_path / "project")


@pytest.fixture(scope="module")
def evidence(project_folder: Path) -> Evidence:
    project = Project.open(project_folder)
    return evidence_of(project)


def test_judges_ask_about_texts_that_no_namer_has_seen(evidence):
    latents = evidence.live.tolist()
    seen = {j: set(s.texts.tolist()) | set(s.near_misses.tolist()) for j, s in evidence.for_naming(latents)}
    asked = embedding.questions(evidence, latents)
    assert len(asked) > 50
    for latent, (texts, active, _) in asked.items():
        assert not seen[latent] & set(texts.tolist())
        assert set(texts[active].tolist()) <= set(evidence.active(latent)[0].tolist())
        assert not set(texts[~active].tolist()) & set(evidence.active(latent)[0].tolist())


def test_names_are_far_above_shuffled_ones_which_are_at_chance(evidence, project_folder):
    namings = verdicts.by_namer(Project.open(project_folder).concepts.by_document_frequency(), "keyphrases")
    asked = embedding.questions(evidence, list(namings))

    def detection(of):
        scores = [score for _, score in embedding.judge_names(evidence, of, asked)]
        return mean([s for s in scores if s.judge == DETECTION]), mean([s for s in scores if s.judge == AUROC])

    true, shuffled = detection(namings), detection(controls.shuffled(namings))
    assert true[0].low > shuffled[0].high + 0.1
    assert true[1].low > shuffled[1].high + 0.1
    assert shuffled[0].low < 0.53 and shuffled[0].high > 0.47


def test_the_direction_itself_is_told_better_than_a_random_one(evidence):
    (real,) = {s.judge for _, s in embedding.judge_intruders(evidence, evidence.live.tolist())}
    assert real == embedding.INTRUDER
    scores = [score for _, score in embedding.judge_intruders(evidence, evidence.live.tolist())]
    assert mean(scores).low > embedding.CHANCE[embedding.INTRUDER] + 0.3


def test_coherence_of_random_texts_is_nothing(evidence):
    class Noise:
        def encode_passages(self, texts):
            return np.random.default_rng(len(texts)).normal(size=(len(texts), 200)).astype(np.float32)

    latents = evidence.live.tolist()[:100]
    found = mean([score for _, score in embedding.judge_coherence(evidence, latents, Noise())])
    assert found.value == pytest.approx(0, abs=0.02)
    same = mean([score for _, score in embedding.judge_coherence(evidence, latents, evidence.encoder)])
    assert same.low > 0.05


def test_what_is_judged_is_stored_and_judged_once(project):
    evidence = evidence_of(project)
    queries = project.embedded("queries").rows()
    found = verdicts.judge(project.concepts, evidence, queries)
    assert [v.score.judge for v in found] == [
        "intruder", "detection", "auroc", "cycle-retrieves", "cycle-activates", "identification",
        "identification-hard", "ranking",
    ]  # fmt: skip
    concepts = {c.latent: c for c in project.concepts.by_document_frequency()}
    scored = [j for j, c in concepts.items() if c.score(DETECTION) is not None]
    assert found[1].score.n == len(scored)
    assert found[1].score.value == pytest.approx(np.mean([concepts[j].score(DETECTION).value for j in scored]))
    trusted = verdicts.marks(list(concepts.values()))
    assert sum(trusted.values()) == sum(c.name is not None for c in concepts.values())
    assert trusted[Trust.UNSCORED] < len(concepts) / 2

    renamed = scored[0]
    add_namings(project.concepts.database, [(renamed, Naming("keyphrases", "nothing that fits"))])
    project = Project.open(project.path)
    assert project.concepts.concept(renamed).trust is Trust.UNSCORED
    verdicts.judge(project.concepts, evidence, queries)
    again = {c.latent: c for c in project.concepts.by_document_frequency()}
    assert again[renamed].score(DETECTION).value < concepts[renamed].score(DETECTION).value + 0.25
    assert all(again[j].scores == concepts[j].scores for j in scored[1:])


def test_controls_are_of_every_namer(project):
    name.name_by(project, name.lexicon_namer(project))
    found = judge.controls(project, n=60)
    assert {(v.namer, v.control) for v in found} == {
        ("keyphrases", "shuffled names"), ("lexicon", "shuffled names"), (ITSELF, "random dictionary"),
        ("keyphrases", "random dictionary"), ("lexicon", "random dictionary"),
    }  # fmt: skip


# --- the two tests of names together --------------------------------------------------------------


def test_a_choice_has_one_right_passage_and_nine_others(evidence):
    named = np.ones(evidence.latents.shape[1], np.bool_)
    for hard in (False, True):
        for passages, latents in simulations.choices(evidence, named, 20, hard=hard):
            assert len(set(passages.tolist())) == 10
            strongest = set(np.flatnonzero(evidence.latents[[passages[0]]].toarray()[0]).tolist())
            assert set(latents.tolist()) <= strongest
    hard = simulations.choices(evidence, named, 1, hard=True)[0].passages
    nearness = evidence.embeddings[: len(evidence.passages)] @ evidence.embeddings[hard[0]]
    assert set(np.argsort(-nearness)[:10].tolist()) == set(hard.tolist())


def test_a_pair_is_in_the_order_of_the_dense_ranking(evidence, project_folder):
    queries = Project.open(project_folder).embeddings("queries")
    queries = queries.rows(0, len(queries))
    pairs = simulations.pairs(evidence, queries, 50)
    assert len(pairs) == 50
    for query, (first, second) in pairs:
        assert queries[query] @ evidence.embeddings[first] >= queries[query] @ evidence.embeddings[second]


def test_perfect_words_identify_and_other_latents_words_do_not(evidence, project_folder):
    named = np.ones(evidence.latents.shape[1], np.bool_)
    asked = simulations.choices(evidence, named, 100)
    W = evidence.sae.W_dec
    perfect = dict(enumerate(W))
    other = dict(enumerate(np.roll(W, 1, axis=0)))
    assert simulations.read_choices(evidence, asked, perfect).value > 0.95
    assert simulations.read_choices(evidence, asked, other).high < 0.5
    queries = Project.open(project_folder).embeddings("queries")
    queries = queries.rows(0, len(queries))
    pairs = simulations.pairs(evidence, queries, 200)
    assert simulations.read_pairs(evidence, queries, pairs, perfect).low > 0.55


# --- what is no negative --------------------------------------------------------------------------


def test_no_near_miss_is_of_a_passage_that_speaks_of_the_concept_itself(project_folder):
    # A silent sentence of an active passage is often the nearest text to it, and says nothing against a name.
    evidence = evidence_of(Project.open(project_folder))
    seen = 0
    for draw in (evidence.for_naming, evidence.for_judging):
        for latent, samples in draw(evidence.live[:150].tolist()):
            active = set(evidence.passage_of[evidence.active(latent)[0]].tolist())
            for silent in (samples.near_misses[samples.near_misses >= 0], samples.random):
                assert not active & set(evidence.passage_of[silent].tolist())
                seen += len(silent)
    assert seen > 1000
