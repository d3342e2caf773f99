"""Judges without a language model: by hand, against other libraries, and on real text beside their controls."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from unweave.base.records import Trust
from unweave.concepts.concept import (
    CURATED,
    DETECTION,
    HOLDS_FROM,
    HOLDS_FROM_ELSEWHERE,
    ITSELF,
    OF_FAMILY,
    OVER_NULLS,
    OVER_NULLS_ELSEWHERE,
    PERSON,
    Concept,
    Naming,
    Score,
    came_with,
    holds_from,
    shown_first,
    trust_of,
)
from unweave.concepts.evidence import Evidence, Samples
from unweave.concepts.judges import detection, embedding, families, forms, nulls, simulations, verdicts
from unweave.concepts.judges.detection import HELD_OUT_PRECISION, IN_SPACE, LEXICAL, MIDDLE, STRONG, WEAK, Space
from unweave.concepts.judges.embedding import odd_one_out
from unweave.concepts.judges.families import judge_families
from unweave.concepts.judges.questions import A_BAND, Question, auroc, mean, question, questions, share, told
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.namers.language_model import shown
from unweave.concepts.relations.stored import Family
from unweave.concepts.store import add_namings
from unweave.config import KeyphraseConfig
from unweave.encode.static import RUN, StaticEncoder
from unweave.project import Project
from unweave.stages import judge, name
from unweave.stages.evidence import evidence_of

# --- formulas -------------------------------------------------------------------------------------


def test_pairs_are_told_by_hand():
    assert auroc(np.array([4.0, 3]), np.array([2.0, 1])) == 1
    assert auroc(np.array([4.0, 2]), np.array([3.0, 1])) == 0.75
    assert auroc(np.zeros(2), np.zeros(3)) == 0.5


halves = st.tuples(*[st.integers(1, 12).flatmap(lambda n: arrays(np.float64, n, elements=st.integers(-3, 3)))] * 2)


@given(halves)
def test_auroc_is_scikit_learns_and_turns_with_the_values(half):
    active, silent = half
    labels = np.repeat([1, 0], [len(active), len(silent)])
    assert auroc(active, silent) == pytest.approx(roc_auc_score(labels, np.concatenate(half)))
    assert auroc(active, silent) + auroc(-active, -silent) == pytest.approx(1)


def test_the_interval_of_pairs_is_newcombes():
    # Of one active and one silent text a pair is a decision, and the interval is Wilson's: 1 / (1 + z^2) and 1.
    assert told("any", np.ones(1), np.zeros(1))[1:] == (1.0, pytest.approx(1 / (1 + 1.96**2)), 1.0, 1)
    assert told("any", np.zeros(1), np.ones(1))[1:] == (0.0, 0.0, pytest.approx(1 - 1 / (1 + 1.96**2)), 1)
    # Of many, it is nearly what Hanley and McNeil's error gives.
    active, silent = np.arange(0, 100, 2.0) + 30, np.arange(0, 100, 1.0)
    found = told("any", active, silent)
    a = found.value
    variance = (a * (1 - a) + 49 * (a / (2 - a) - a**2) + 99 * (2 * a**2 / (1 + a) - a**2)) / 5000
    assert found.low == pytest.approx(a - 1.96 * variance**0.5, abs=0.02)
    assert found.high == pytest.approx(a + 1.96 * variance**0.5, abs=0.02)


@given(halves)
def test_the_interval_holds_its_value_and_mirrors(half):
    one, other = told("any", *half), told("any", *(-values for values in half))
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert (one.low, one.high) == (pytest.approx(1 - other.high, abs=1e-6), pytest.approx(1 - other.low, abs=1e-6))


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


def test_a_mean_below_nothing_keeps_its_interval():
    # Texts can be less alike than any texts are; a share cannot be below 0.
    below = [(latent, Score(embedding.COHERENCE, value, value, value, 10)) for latent, value in enumerate((-0.1, -0.3))]
    (found,) = verdicts.means(ITSELF, "", below)
    assert found.score.value == pytest.approx(-0.2) and found.score.low == pytest.approx(-0.2 - 0.196)
    (share_of,) = verdicts.means(ITSELF, "", [(0, Score("any", 0.0, 0, 0, 9)), (1, Score("any", 0.2, 0, 1, 9))])
    assert share_of.score.low == 0


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
    asked = question(samples(90), 0, 0)
    assert [band.stop - band.start for band in asked.bands] == [A_BAND] * 3
    texts = asked.texts
    counts = [((texts >= low) & (texts < low + 30)).sum() for low in (0, 30, 60)]
    assert counts == [A_BAND] * 3


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
    found = embedding.mixed(Lengths(), words)
    assert found.keys() == {1, 2}
    assert found[1].tolist() == [2 * 2 + 3, 1]


def test_of_many_names_the_mean_is_taken_away():
    names = ["a" * n for n in range(1, 17)]
    found = detection.embedded(Lengths(), [*names, names[0]])
    assert found[0, 0] == pytest.approx(1 - 8.5) and (found[0] == found[-1]).all()
    assert found[:-1].sum(axis=0) == pytest.approx(0, abs=1e-4)


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
    found = nulls.shuffled(namings, seed)
    assert found.keys() == namings.keys()
    assert sorted(n.name for n in found.values()) == sorted(n.name for n in namings.values())
    assert all(found[latent] != namings[latent] for latent in latents)


# --- nulls ----------------------------------------------------------------------------------------


def beside(*detections: float, frequency: int = 10) -> nulls.Nulls:
    return nulls.Nulls(np.full(len(detections), frequency), np.array(detections))


def test_a_name_is_held_against_nulls_by_its_value_and_by_the_ends_of_its_interval():
    of = beside(*np.linspace(0.4, 0.79, 40))
    found = of.beaten(10, Score(DETECTION, 0.705, 0.595, 0.9, 30))
    assert found == Score(OVER_NULLS, pytest.approx(31 / 40), pytest.approx(20 / 40), 1.0, 40)
    assert beside(*[0.5] * 39).beaten(10, Score(DETECTION, 0.7, 0.6, 0.8, 30)) is None, "too few to know the best"


def test_only_nulls_about_as_frequent_count():
    of = nulls.Nulls(np.repeat([10, 1000], 100), np.repeat([0.9, 0.5], 100))
    rare, common = (of.beaten(frequency, Score(DETECTION, 0.7, 0.65, 0.8, 30)) for frequency in (12, 800))
    assert (rare.value, common.value) == (0, 1)


def test_nulls_are_active_as_often_as_latents_are_and_the_same_each_time(evidence):
    counts = np.diff(evidence.latents.indptr)
    for make in (nulls.random_directions, nulls.single_texts):
        sae = make(evidence, 50, 0)
        of = evidence.seen_by(sae)
        assert set(np.diff(of.latents.indptr).tolist()) <= set(counts[evidence.live].tolist())
        assert np.linalg.norm(sae.W_dec, axis=1) == pytest.approx(1, abs=1e-5)
        assert (sae.W_dec == make(evidence, 50, 0).W_dec).all() and (sae.W_dec != make(evidence, 50, 1).W_dec).any()


def test_the_texts_of_another_sae_are_the_same_texts(evidence):
    of = evidence.seen_by(nulls.random_directions(evidence, 5, 0))
    assert of.latents.shape == (len(evidence), 5) and of.contents() == evidence.contents()
    assert of.neighbours is evidence.neighbours, "which are the dearest part"
    assert evidence.latents.shape[1] != 5


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((), Trust.UNSCORED),
        ((Score(DETECTION, 0.8, 0.7, 0.9, 30),), Trust.UNSCORED),
        ((Score(DETECTION, 0.8, 0.7, 0.9, 30), Score(OVER_NULLS, 1, 0.95, 1, 100)), Trust.HOLDS),
        ((Score(DETECTION, 0.8, 0.7, 0.9, 30), Score(OVER_NULLS, 1, 0.94, 1, 100)), Trust.VAGUE),
        ((Score(DETECTION, 0.6, 0.5, 0.7, 30), Score(OVER_NULLS, 0.6, 0.2, 1, 100)), Trust.NONE),
        ((*came_with(0.95, None, None),), Trust.HOLDS),
        ((*came_with(0.94, None, None),), Trust.VAGUE),
        (
            (*came_with(0.95, None, None), Score(DETECTION, 0.6, 0.4, 0.8, 8), Score(OVER_NULLS, 0.6, 0.2, 1, 100)),
            Trust.HOLDS,
        ),
        (
            (*came_with(0.95, None, None), Score(DETECTION, 0.7, 0.4, 0.8, 9), Score(OVER_NULLS, 0.95, 0.2, 1, 100)),
            Trust.HOLDS,
        ),
        (
            (*came_with(0.95, None, None), Score(DETECTION, 0.7, 0.6, 0.8, 9), Score(OVER_NULLS, 0.94, 0.2, 1, 100)),
            Trust.VAGUE,
        ),
    ],
)
def test_a_name_holds_if_the_low_end_is_above_nearly_all_nulls(scores, expected):
    assert trust_of("keyphrases", scores) is expected
    assert trust_of(PERSON, scores) is Trust.CONFIRMED


def test_what_came_with_a_dictionary_is_kept_as_what_was_found_elsewhere():
    over, holds = came_with(0.97, 0.15, 0.18)
    assert over == Score(OVER_NULLS_ELSEWHERE, 0.97, 0.97, 1.0, 0)
    assert holds == Score(HOLDS_FROM_ELSEWHERE, 0.18, 0.18, 0.18, 0)  # not below the median activation there
    assert list(came_with(None, None, 0.18)) == []


# --- how far a name holds ---------------------------------------------------------------------------


def test_a_name_holds_from_the_weakest_activation_above_which_it_tells_enough():
    # Of 60 active texts the strongest 20 are told from each of 60 silent ones, the others from none. Tried are the
    # first 9, 14, 21, 32, 48 and 60: of 21 one in 21 is told from none, of 32 twelve, which is too many.
    activations = np.linspace(1.0, 0.41, 60, dtype=np.float32)
    likeness = np.where(np.arange(60) < 20, 1.0, -1.0)
    found = detection.holds_from(activations, likeness, np.zeros(60))
    assert found == Score(HOLDS_FROM, pytest.approx(activations[20]), found.low, found.high, 21)


def test_a_name_that_tells_all_holds_from_the_weakest_text_and_one_that_tells_none_nowhere():
    activations, silent = np.linspace(0.9, 0.1, 30, dtype=np.float32), np.zeros(30)
    every = detection.holds_from(activations, np.ones(30), silent)
    assert every is not None and every.value == pytest.approx(0.1)
    assert detection.holds_from(activations, np.zeros(30), silent) is None, "chance"
    assert detection.holds_from(activations[:8], np.ones(8), silent) is None, "too few to say so"


@given(likeness=st.lists(st.integers(0, 3), min_size=9, max_size=40), silent=st.lists(st.integers(0, 3), min_size=9))
def test_where_a_name_holds_it_surely_tells_so_many(likeness, silent):
    activations = np.linspace(1, 0, len(likeness), dtype=np.float32)
    of_active, of_silent = np.array(likeness, float), np.array(silent, float)
    found = detection.holds_from(activations, of_active, of_silent)
    if found is not None:
        above = of_active[activations >= found.value]
        assert len(above) == found.n
        assert told(HOLDS_FROM, above, of_silent).low >= HELD_OUT_PRECISION


@pytest.mark.parametrize(
    ("namer", "scores", "expected"),
    [
        ("keyphrases", (), None),
        (PERSON, (), 0.0),
        (PERSON, (Score(DETECTION, 0.9, 0.8, 1, 30), Score(HOLDS_FROM, 0.2, 0.2, 0.2, 20)), 0.2),
        ("keyphrases", (Score(DETECTION, 0.9, 0.8, 1, 30), Score(HOLDS_FROM, 0.2, 0.2, 0.2, 20)), 0.2),
        ("keyphrases", (Score(DETECTION, 0.6, 0.4, 0.8, 30),), None),
        ("dictionary", (*came_with(0.97, 0.15, None),), 0.15),
        ("dictionary", (*came_with(0.97, 0.15, None), Score(DETECTION, 0.9, 0.6, 1, 8)), 0.15),
        # Judged here, and here it does not hold: what was found elsewhere does not count.
        ("dictionary",
         (*came_with(0.97, 0.15, None), Score(DETECTION, 0.5, 0.4, 0.6, 30), Score(OVER_NULLS, 0.5, 0.2, 0.8, 100)),
         None),
        ("dictionary",
         (*came_with(0.97, 0.15, None), Score(DETECTION, 0.9, 0.8, 1, 30), Score(OVER_NULLS, 0.98, 0.9, 1, 100),
          Score(HOLDS_FROM, 0.1, 0.1, 0.1, 20)), 0.15),
        # Nothing is known from there: from where it holds here.
        ("dictionary",
         (*came_with(0.97, None, None), Score(DETECTION, 0.9, 0.8, 1, 30), Score(OVER_NULLS, 0.98, 0.9, 1, 100),
          Score(HOLDS_FROM, 0.1, 0.1, 0.1, 20)), 0.1),
        # Vague here, and not said from where: as there, but not below its median there.
        ("dictionary",
         (*came_with(0.97, 0.15, 0.18), Score(DETECTION, 0.7, 0.6, 0.8, 30), Score(OVER_NULLS, 0.5, 0.2, 0.8, 100)),
         0.18),
    ],
)  # fmt: skip
def test_from_which_activation_a_name_holds(namer, scores, expected):
    assert holds_from(namer, scores) == expected


# --- spaces ---------------------------------------------------------------------------------------


def test_detection_is_told_by_the_name_in_its_space_and_by_bands():
    # Texts 0 and 1 are active, strong and weak; 2 and 3 are silent. The name's row picks out 0, and puts 1 between.
    texts = np.array([[1.0, 0], [0.4, 0], [0.5, 0], [0.0, 1]], np.float32)
    read = lambda names: np.array([[1.0, 0] for _ in names], np.float32)  # noqa: E731
    space = Space(DETECTION, read, detection.products(texts))
    bands = (slice(0, 1), slice(1, 1), slice(1, 2))
    activations = np.array([0.9, 0.2], np.float32)
    asked = {7: Question(np.arange(4), np.array([1, 1, 0, 0], bool), activations, np.zeros(4, bool), bands)}
    found = detection.detect(space, {7: Naming("x", "east"), 8: Naming("x", None)}, asked, bands=True)
    assert [(latent, s.judge, s.value) for latent, s in found] == [
        (7, DETECTION, 0.75), (7, STRONG, 1.0), (7, WEAK, 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "holding", "lacking"),
    [
        ("the word 'rock'", ["Rocks fall.", "a ROCK song"], ["rocketry", "stone"]),
        ("the verb 'be'", ["To be or not"], ["because", ""]),
        ("words that begin with glu-", ["Glutamate binds", "the glue"], ["ugly", "unglued"]),
        ("words and acronyms that begin with op- or ap-", ["apples", "OPAC"], ["hope"]),
        ("place names ending in -ton or -ham", ["in Boston.", "Durham"], ["tonics", "hammer"]),
        ("words with 'perl'", ["libperl5", "PERL"], ["pearl"]),
        ("polarity and the word 'polar'", ["a polar bear"], ["north pole"]),
    ],
)
def test_a_name_that_speaks_of_words_is_told_by_those(name, holding, lacking):
    form = forms.form_of(name)
    assert all(map(form, holding)) and not any(map(form, lacking))


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_name_and_any_text_can_be_read_for_a_form(name, text):
    form = forms.form_of(f"{name} the word '{text}'") or (lambda _: True)
    assert form(text) in (True, False)
    assert forms.form_of("birds of prey") is None


def test_a_form_is_told_by_words_and_of_two_things_the_nearer_one_counts():
    texts = ["Glutamate binds.", "Unglued paper.", "A ship at sea.", "Bread and flour."]
    vectors = np.array([[0, 0], [0, 0], [1.0, 0], [0, 1.0]], np.float32)
    of = {"ships": [1.0, 0], "bread": [0, 1.0]}
    read = lambda names: np.array([of.get(n, [0, 0]) for n in names], np.float32)  # noqa: E731
    space = Space(DETECTION, read, detection.products(vectors))
    every, names = np.arange(4), ["words that begin with glu-", "ships; also bread"]
    by_meaning = space.reader(names)
    assert by_meaning(0, every).tolist() == [0, 0, 0, 0]
    assert by_meaning(1, every).tolist() == [0, 0, 1, 1]
    by_word = space._replace(content=texts.__getitem__).reader([*names, "the word 'bread'"])
    first, *others = by_word(0, every).tolist()
    assert first > 1 > 0 == max(others)
    assert np.argsort(-by_word(2, every), kind="stable").tolist() == [3, 0, 1, 2]


def test_a_readers_name_is_shown_unless_another_is_surely_better():
    def told_so(namer: str, low: float, high: float, over: float) -> dict[str, list[Score]]:
        return {namer: [Score(DETECTION, (low + high) / 2, low, high, 40), Score(OVER_NULLS, 1.0, over, 1.0, 100)]}

    namings = [Naming("keyphrases", "pen, pence"), Naming(CURATED, "words that begin with pen-")]
    near = told_so("keyphrases", 0.7, 0.9, 0.97) | told_so(CURATED, 0.65, 0.85, 0.96)
    assert shown_first(namings, near)[0].namer == CURATED
    assert shown_first(namings, near | told_so(CURATED, 0.5, 0.69, 0.96))[0].namer == "keyphrases", "surely worse"
    assert shown_first(namings, near | told_so(CURATED, 0.65, 0.85, 0.9))[0].namer == CURATED, "of a lesser mark too"
    assert shown_first([*namings, Naming(PERSON, "pens")], near)[0].namer == PERSON
    came = [namings[0], Naming("dictionary", "words that begin with pen-", provenance={"by": CURATED})]
    assert shown_first(came, near | told_so("dictionary", 0.65, 0.85, 0.96))[0].namer == "dictionary"


def test_the_second_encoder_knows_what_is_alike_and_knows_nothing_of_an_empty_text():
    encoder = StaticEncoder()
    wind, power, poem, nothing = encoder.encode_passages(["wind turbines", "offshore wind power", "medieval verse", ""])
    assert wind @ power > 0.5 > wind @ poem
    assert not nothing.any() and np.linalg.norm(wind) == pytest.approx(1, abs=1e-5)
    assert encoder.encode_passages([]).shape == (0, 256)
    assert encoder.identity["weights"].startswith("sha256 ")


def test_a_phrase_is_compared_with_a_text_as_a_whole_and_with_the_run_of_words_nearest_to_it():
    encoder = StaticEncoder()
    short, long = "wind turbines", "A poem. " * 30 + "There is offshore wind power off the coast. " + "A verse. " * 30
    texts = [short, "", long, "A poem. " * 60, "one"]
    meanings, phrases = encoder.read(texts), encoder.encode_passages(["wind energy", "bread"])
    np.testing.assert_allclose(meanings.whole, encoder.encode_passages(texts), atol=1e-6)
    compare, chosen = meanings.likeness(phrases), np.array([3, 2, 1, 0, 2, 4])
    for number, phrase in enumerate(phrases):  # an obvious slow version
        found = []
        for text in chosen.tolist():
            words = [encoder._vectors[word] for word in next(encoder._words([texts[text]]))]
            runs = [np.sum(words[i : i + RUN], axis=0) for i in range(max(1, len(words) - RUN + 1))] if words else []
            nearest = max((float(phrase @ run / np.linalg.norm(run)) for run in runs), default=0)
            found.append(phrase @ meanings.whole[text] + nearest)
        np.testing.assert_allclose(compare(number, chosen), found, atol=1e-5)
    poems, with_wind, nothing, wind, *_ = compare(0, chosen).tolist()
    assert wind > with_wind > poems + 0.3 and nothing == 0
    assert with_wind - poems > 2 * (phrases[0] @ (meanings.whole[2] - meanings.whole[3]))  # the mean drowns it


def test_more_phrases_than_are_compared_at_a_time():
    encoder = StaticEncoder()
    meanings, phrases = encoder.read(["the sea", "bread and butter"]), encoder.encode_passages(["bread", "sea"] * 70)
    compare = meanings.likeness(phrases)
    for number in range(140):
        (sea, bread) = compare(number, np.arange(2)).tolist()
        assert (sea > bread) == bool(number % 2)
    assert encoder.read([]).likeness(phrases)(3, np.empty(0, np.int64)).shape == (0,)


def test_words_are_compared_by_their_stems(evidence):
    space = detection.lexical(evidence)
    likeness, every = space.reader(["rivers", "river", "xylophonic"]), np.arange(len(evidence))
    one, same, other = (likeness(name, every) for name in range(3))
    assert (one == same).all() and one.any() and not other.any()


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
    asked = questions(evidence, latents)
    assert len(asked) > 50
    for latent, (texts, active, *_) in asked.items():
        assert not seen[latent] & set(texts.tolist())
        assert set(texts[active].tolist()) <= set(evidence.active(latent)[0].tolist())
        assert not set(texts[~active].tolist()) & set(evidence.active(latent)[0].tolist())


def test_of_several_prompts_each_shows_other_texts_and_others_choose_the_name(evidence, project_folder):
    concepts = Project.open(project_folder).concepts
    latents = [latent for latent in evidence.live.tolist() if len(evidence.active(latent)[0]) > 60][:8]
    assert latents
    once, thrice = (dict(shown(evidence, concepts, n, latents)) for n in (1, 3))
    may_see = dict(evidence.for_naming(latents))
    better = 0
    for latent in latents:
        assert once[latent].prompts == thrice[latent].prompts[:1]
        first, *others = thrice[latent].prompts
        assert len({tuple(prompt.middle) for prompt in (first, *others)}) == 3
        told_by = thrice[latent].active.tolist(), thrice[latent].silent.tolist()
        in_prompts = {text for prompt in (first, *others) for of in prompt[:5] for text in of}
        assert not in_prompts & {evidence.content(text) for of in told_by for text in of}
        assert set(told_by[0]) <= set(may_see[latent].texts.tolist())
        assert not set(told_by[1]) & set(evidence.active(latent)[0].tolist())
        name, wrong = concepts.concept(latent).naming("keyphrases").name, "the office of the chief accountant"
        better += int(np.argmax(detection.tell(evidence, [wrong, name], *map(np.array, told_by))) == 1)
    assert better >= 7
    nothing = np.empty(0, np.int64)
    assert detection.tell(evidence, ["a", "b"], nothing, nothing) == [0.5, 0.5]


@pytest.mark.parametrize("space", [
    detection.in_space, detection.lexical, detection.by_second_encoder,
])  # fmt: skip
def test_names_are_far_above_shuffled_ones_which_are_at_chance(evidence, project_folder, space):
    namings = verdicts.by_namer(Project.open(project_folder).concepts.by_document_frequency(), "keyphrases")
    asked, where = questions(evidence, list(namings)), space(evidence)
    true, shuffled = (
        mean([score for _, score in detection.detect(where, of, asked)]) for of in (namings, nulls.shuffled(namings))
    )
    assert true.low > shuffled.high + 0.02
    assert shuffled.low < 0.53 and shuffled.high > 0.47


def test_the_direction_itself_is_told_better_than_a_random_one(evidence):
    (real,) = {s.judge for _, s in embedding.judge_intruders(evidence, evidence.live.tolist())}
    assert real == embedding.INTRUDER
    scores = [score for _, score in embedding.judge_intruders(evidence, evidence.live.tolist())]
    assert mean(scores).low > verdicts.CHANCE[embedding.INTRUDER] + 0.3


def test_coherence_of_random_texts_is_nothing(evidence):
    class Noise:
        def encode_passages(self, texts):
            return np.random.default_rng(len(texts)).normal(size=(len(texts), 200)).astype(np.float32)

    latents = evidence.live.tolist()[:100]
    found = mean([score for _, score in embedding.judge_coherence(evidence, latents, Noise())])
    assert found.value == pytest.approx(0, abs=0.02)
    same = mean([score for _, score in embedding.judge_coherence(evidence, latents, evidence.encoder)])
    assert same.low > 0.05


def test_a_familys_name_is_judged_on_texts_of_all_its_members_that_its_heads_namer_has_not_seen(project, evidence):
    beside = partial(nulls.of_random_directions, evidence, KeyphraseNamer(evidence, KeyphraseConfig()).beside)
    latents = sorted(evidence.live.tolist(), key=lambda latent: -len(evidence.active(latent)[0]))[:6]
    kin = [Family(latents[0], tuple(latents[1:3]), (0.5, 0.4)), Family(latents[3], tuple(latents[4:6]), (0.5, 0.4))]
    judge_families(project.concepts, evidence, kin, beside)
    for family in kin:
        concept = project.concepts.concept(family.head)
        assert concept.family_trust is not Trust.UNSCORED
        assert concept.score(OF_FAMILY + DETECTION).n >= 9
    grouped = evidence.seen_in_groups(families._groups(kin, evidence.latents.shape[1]))
    together = evidence.latents[:, [kin[0].head, *kin[0].members]].sum(axis=1)
    np.testing.assert_allclose(grouped.latents[:, [0]].toarray()[:, 0], np.asarray(together).ravel(), rtol=1e-6)
    ((_, seen),) = evidence.for_naming([kin[0].head])
    ((_, asked),) = families._questions(evidence, grouped, kin, [0])
    assert not set(asked.texts.tolist()) & {*seen.texts.tolist(), *seen.near_misses.tolist(), *seen.random.tolist()}
    judge_families(project.concepts, evidence, kin[1:], beside)  # one is a family no more
    assert project.concepts.concept(kin[0].head).family_trust is Trust.UNSCORED
    assert project.concepts.concept(kin[1].head).family_trust is not Trust.UNSCORED


def test_a_name_that_fits_one_member_alone_does_not_hold_for_a_family():
    scores = {"keyphrases": (
        Score(DETECTION, 0.9, 0.85, 0.95, 60), Score(OVER_NULLS, 1.0, 0.99, 1.0, 100),
        Score(OF_FAMILY + DETECTION, 0.52, 0.4, 0.6, 60), Score(OF_FAMILY + OVER_NULLS, 0.3, 0.1, 0.6, 100),
    )}  # fmt: skip
    concept = Concept(1, 9, 1.0, (Naming("keyphrases", "silk"),), scores=scores)
    assert (concept.trust, concept.family_trust) == (Trust.HOLDS, Trust.NONE)
    named = replace(concept, namings=(Naming(PERSON, "textiles"), *concept.namings))
    assert named.family_trust is Trust.UNSCORED, "what was judged was another name"


def test_what_is_judged_is_stored_and_judged_once(project):
    evidence = evidence_of(project)
    of_nulls = KeyphraseNamer(evidence, KeyphraseConfig()).beside
    before = {c.latent: c for c in project.concepts.by_document_frequency()}
    assert any(c.trust is Trust.VAGUE for c in before.values()), "naming judges what it names"
    found = verdicts.judge(project.concepts, evidence, of_nulls, project.embedded("queries").rows())
    assert [v.score.judge for v in found] == [
        "intruder", DETECTION, STRONG, MIDDLE, WEAK, OVER_NULLS, LEXICAL, IN_SPACE, "cycle-retrieves",
        "cycle-activates", "family-detection", "family-over-nulls", "identification", "identification-hard", "ranking",
    ]  # fmt: skip
    concepts = {c.latent: c for c in project.concepts.by_document_frequency()}
    scored = [j for j, c in concepts.items() if c.score(DETECTION) is not None]
    assert found[1].score.n == len(scored)
    assert found[1].score.value == pytest.approx(np.mean([concepts[j].score(DETECTION).value for j in scored]))
    assert all(concepts[j].score(DETECTION) == before[j].score(DETECTION) for j in scored)
    trusted = verdicts.marks(list(concepts.values()))
    assert sum(trusted.values()) == sum(c.name is not None for c in concepts.values())
    assert trusted[Trust.UNSCORED] < len(concepts) / 2

    renamed = next(j for j in scored if concepts[j].trust is Trust.VAGUE)
    add_namings(project.concepts.database, [(renamed, Naming("keyphrases", "nothing that fits"))])
    project = Project.open(project.path)
    assert project.concepts.concept(renamed).trust is Trust.UNSCORED
    verdicts.judge_names(project.concepts, evidence, partial(nulls.of_random_directions, evidence, of_nulls))
    again = {c.latent: c for c in project.concepts.by_document_frequency()}
    assert again[renamed].trust in (Trust.VAGUE, Trust.NONE)
    assert all(again[j].scores == concepts[j].scores for j in scored if j != renamed)


def test_controls_are_of_every_namer_and_hardly_any_random_direction_holds(project):
    name.name_by(project, name.lexicon_namer(project))
    found = judge.controls(project, n=60)
    assert {(v.namer, v.control) for v in found} == {
        (namer, control) for namer in ("keyphrases", "lexicon") for control in (
            verdicts.SHUFFLED, verdicts.RANDOM, verdicts.TEXTS)
    } | {(ITSELF, verdicts.RANDOM), (ITSELF, verdicts.TEXTS)}  # fmt: skip
    holding = {(v.namer, v.control): v.score.value for v in found if v.score.judge == verdicts.HOLDING}
    assert holding["keyphrases", verdicts.RANDOM] <= 0.05 >= holding["keyphrases", verdicts.SHUFFLED]


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
