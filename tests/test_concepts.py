"""Names of latents: chosen by contrast with all texts, shown as written, stored with their evidence."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

import unweave as uw
from unweave.base.building import build
from unweave.concepts import store
from unweave.concepts.concept import Concept, Example, Naming
from unweave.concepts.namers.keyphrases import Phrases
from unweave.concepts.store import Concepts
from unweave.config import KeyphraseConfig, SAEConfig
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.sae.model import SAE

ANY_COUNT = KeyphraseConfig(least_texts=1)

WIND = [
    "The old wind turbine on the ridge turned all night.",
    "A wind turbine hums when its blades need oil.",
    "Two wind turbines power the harbour; nobody hears a wind turbine from there.",
    "Children drew the blades of Wind Turbines with chalk.",
]
# "wind" and "turbine" occur here too, but never as "wind turbine".
BREAD = [
    "Sourdough bread wants a slow rise and a hot oven.",
    "She kneads the sourdough while the oven warms.",
    "The mill that grinds our flour runs on a water turbine.",
    "Cold wind came in with the flour and the apprentice.",
    "Sourdough keeps for a week in linen.",
    "Flour, water and salt are all that it takes.",
]


class Name(NamedTuple):
    text: str
    coverage: float


def name_of(texts: list[str], activations: dict[int, float], config: KeyphraseConfig = ANY_COUNT) -> Name | None:
    """The phrase that sets apart most what these texts, given by position, strongest first, have in common."""
    phrases = Phrases(texts, config)
    active = np.array(list(activations)), np.array(list(activations.values()), np.float32)
    return next((Name(phrases.written(one), one.coverage) for one in phrases.candidates(*active)), None)


# --- choosing a name -------------------------------------------------------------------------------


def test_coverage_and_choice_by_hand():
    # The latent's texts are 0 (activation 3) and 1 (activation 1); four texts in all.
    #   kite:     coverage (3 + 1) / 4 = 1,   in 2 of 4 texts: 1 ln(1 / 0.5) = 0.69
    #   festival: coverage 3 / 4 = 0.75,      in 2 of 4:       0.75 ln(0.75 / 0.5) = 0.30
    #   repair:   coverage 1 / 4 = 0.25,      in 2 of 4:       0.25 ln(0.25 / 0.5) = -0.17
    # "kite" comes first; "repair" is less frequent there than anywhere. Phrases of one text only are left out.
    texts = ["kite festival", "kite repair", "boat festival", "boat repair"]
    assert name_of(texts, {0: 3, 1: 1}, KeyphraseConfig(least_texts=2)) == Name("kite", 1.0)


def test_stronger_texts_have_the_larger_say():
    texts = ["kite", "boat", *["lamp"] * 8]
    assert name_of(texts, {1: 9, 0: 1}) == Name("boat", pytest.approx(0.9))


def test_the_phrase_that_sets_the_texts_apart_is_shown_as_it_is_written_most_often():
    # "wind" and "turbine" also occur among the bread, "wind turbine" does not.
    # Written "wind turbine" three times, "wind turbines" and "Wind Turbines" once each: all have the same stems.
    assert name_of(WIND + BREAD, {0: 4, 1: 3, 2: 2, 3: 1}, KeyphraseConfig()) == Name(
        "wind turbine", pytest.approx(1.0)
    )


def test_different_spellings_of_one_phrase_count_as_one():
    # "kneading", "kneads" and "kneaded" have one stem, in 3 of 6 texts; each alone would cover a third.
    texts = ["kneading", "kneads", "kneaded", "rest", "salt", "linen"]
    assert name_of(texts, {0: 1, 1: 1, 2: 1}).coverage == pytest.approx(1.0)


def test_a_latent_that_tells_no_texts_apart_has_no_name():
    # It is equally active for all four texts: each phrase's coverage is its share, and ln 1 = 0.
    texts = ["kite festival", "kite repair", "boat festival", "boat repair"]
    assert name_of(texts, {0: 1, 1: 1, 2: 1, 3: 1}) is None


def test_texts_without_a_phrase_leave_a_latent_unnamed():
    assert name_of(["of the and", "12 345", "kite", "boat"], {0: 2, 1: 1}) is None


words = st.sampled_from(["the", "of", "and", "not", "kite", "boat", "oven", "7", "x", "Sourdough", "turbines"])
sentences = st.lists(words, min_size=1, max_size=8).map(" ".join)


@given(st.lists(sentences, min_size=2, max_size=8), st.data())
def test_no_phrase_begins_or_ends_with_a_stop_word(texts, data):
    texts = ["kite of the boat", *texts]
    active = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, unique=True))
    found = name_of(texts, {t: float(len(texts) - i) for i, t in enumerate(active)})
    if found is not None:
        for phrase in found.text.split(", "):
            parts = phrase.casefold().split()
            assert 1 <= len(parts) <= 3
            for edge in (parts[0], parts[-1]):
                assert edge not in ENGLISH_STOP_WORDS
                assert len(edge) > 1
                assert not edge.isdigit()
        assert 0 < found.coverage <= 1 + 1e-6


def test_a_stop_word_may_stand_inside_a_phrase():
    # "bread" and "butter" occur elsewhere too, the three words together only in the first two texts.
    texts = ["bread and butter", "bread and butter", "bread", "butter", "bread", "butter"]
    assert name_of(texts, {0: 1, 1: 1}).text == "bread and butter"


def test_a_phrase_does_not_reach_across_punctuation():
    texts = ["kite, boat", "kite. boat", "kite", "boat", "lamp"]
    assert name_of(texts, {0: 1, 1: 1}).text in {"boat", "kite"}


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mturbine\x1b[0m",
        "turbine\x07\x00",
        "\u202eturbine\u202c",
        "<b>turbine</b>",
        "<img src=1 onerror=2>turbine",
        "turbine\u2028turbine",
        "\ufeffturbine",
    ],
)
def test_control_characters_and_markup_do_not_reach_a_name(text):
    texts = [f"{text} {text}", text, "kite", "boat", "lamp", "oven"]
    # Words and digits are all that can be left, of escape sequences and tags too.
    assert re.fullmatch(r"[a-z0-9]+(,? [a-z0-9]+)*", name_of(texts, {0: 2, 1: 1}).text)


def test_a_name_has_at_most_sixty_characters_and_says_when_it_was_cut():
    longer = "x" * 80
    names = uw.name(CATS_APART, [longer] * 9 + ["kite", "boat"], np.eye(2, dtype=np.float32)[[0] * 9 + [1] * 2])
    assert names[0] == "x" * 59 + "…"


CATS_APART = SAE(
    SAEConfig(d_in=2, n_latents=2, k=1), np.eye(2, dtype=np.float32), np.zeros(2, np.float32),
    np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.array([0.1], np.float32),
)  # fmt: skip
"""Latent 0 is active for texts whose embedding is (1, 0), latent 1 for (0, 1)."""


def test_of_the_phrases_that_set_texts_apart_the_one_that_means_what_they_have_in_common_is_the_name():
    # "Monday" stands in all nine texts of latent 0 and in no other, "cat" in six: it is the first candidate. But the
    # texts are about cats.
    cats = ["A cat sleeps", "The cat purrs", "Our old cat eats", "Kittens play", "A tomcat meows", "Feline fur"]
    texts = [f"{what} on Monday." for what in (cats * 2)[:9]] + [f"Bread number {n} is baked." for n in range(9)]
    assert name_of(texts, dict.fromkeys(range(9), 1.0)).text == "Monday"
    names = uw.name(CATS_APART, texts, np.eye(2, dtype=np.float32)[[0] * 9 + [1] * 9])
    assert "cat" in names[0].casefold()
    assert "bread" in names[1].casefold()


def test_a_name_covers_a_quarter_of_what_the_phrase_that_covers_most_does():
    # All fifteen texts are about wind instruments, but only three say so: a fifth of what "wind" covers.
    players = [
        "oboe",
        "flute",
        "horn",
        "trumpet",
        "clarinet",
        "bassoon",
        "tuba",
        "cornet",
        "piccolo",
        "trombone",
        "saxophone",
        "fife",
    ]
    texts = [*(f"{one} in the wind" for one in players), *["wind instruments"] * 3, *(f"Bread {n}" for n in range(15))]
    assert uw.name(CATS_APART, texts, np.eye(2, dtype=np.float32)[[0] * 15 + [1] * 15])[0] == "wind"


def test_names_are_the_same_in_every_process():
    # Sets and dicts of strings have another order for another hash seed; names must not.
    script = f"""
import numpy as np
from unweave.concepts.namers.keyphrases import KeyphraseConfig, Phrases
phrases = Phrases({WIND + BREAD!r}, KeyphraseConfig(least_texts=1))
active = [(np.array([a, a + 1]), np.array([1, 1], np.float32)) for a in range(9)]
print([[phrases.written(one) for one in phrases.candidates(*texts)] for texts in active])
"""
    phrases = Phrases(WIND + BREAD, ANY_COUNT)
    active = [(np.array([a, a + 1]), np.array([1, 1], np.float32)) for a in range(9)]
    here = [[phrases.written(one) for one in phrases.candidates(*texts)] for texts in active]
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.strip() == str(here)


# --- storing names ---------------------------------------------------------------------------------

NAMED = Concept(
    latent=7,
    document_frequency=3,
    strongest=1.5,
    namings=(Naming("keyphrases", "wind turbine", coverage=0.75),),
    examples=(Example("passages", 12, 1.5), Example("sentences", 4, 1.25), Example("passages", 0, 1.0)),
)
UNNAMED = Concept(
    latent=2,
    document_frequency=9,
    strongest=0.5,
    namings=(Naming("keyphrases", None),),
    examples=(Example("passages", 1, 0.5),),
)


@pytest.fixture
def concepts_folder(tmp_path):
    """Two stored concepts, one of them unnamed, and one without examples."""
    folder = tmp_path / "concepts"
    with build(folder, store.KIND, settings={}, made_from={}, mutable=frozenset({store.DATABASE})) as made:
        store.create(made.path / store.DATABASE)
        store.add(made.path / store.DATABASE, [NAMED, UNNAMED])
    return folder


def test_storing_and_loading_concepts_changes_nothing_and_keeps_examples_in_order(concepts_folder):
    concepts = Concepts.load(concepts_folder)
    assert concepts.concept(7) == NAMED
    assert concepts.concept(2) == UNNAMED


def test_concepts_are_a_mapping_from_latent_to_name_without_the_unnamed(concepts_folder):
    concepts = Concepts.load(concepts_folder)
    assert dict(concepts) == {7: "wind turbine"}
    assert concepts.get(2) is None
    assert 2 not in concepts
    with pytest.raises(KeyError):
        concepts[2]


def test_an_unnamed_concept_stays_visible_and_a_latent_that_never_fired_is_none(concepts_folder):
    concepts = Concepts.load(concepts_folder)
    assert concepts.concept(2).name is None
    assert concepts.concept(2).coverage is None
    assert concepts.concept(3) is None


def test_concepts_are_listed_by_document_frequency(concepts_folder):
    # Latent 2 is in 9 passages, 7 in 3, 5 in 3 too: then the lower latent.
    database = concepts_folder / store.DATABASE
    store.add(database, [Concept(5, 3, 2.0, (Naming("keyphrases", "sourdough"),))])
    listed = Concepts.load(concepts_folder).by_document_frequency()
    assert [(c.latent, c.document_frequency) for c in listed] == [(2, 9), (5, 3), (7, 3)]
    assert all(c.examples == () for c in listed)


def test_a_name_with_quotes_is_stored_as_it_is(concepts_folder):
    name = 'baker\'s "rise"; DROP TABLE concepts --'
    store.add(concepts_folder / store.DATABASE, [Concept(1, 1, 1.0, (Naming("keyphrases", name),))])
    assert dict(Concepts.load(concepts_folder)) == {1: name, 7: "wind turbine"}


def test_missing_concepts_are_said_to_be_missing(tmp_path):
    with pytest.raises(MissingArtifact, match="there is no concepts in"):
        Concepts.load(tmp_path / "nowhere")


def test_a_lost_database_is_refused(concepts_folder):
    (concepts_folder / store.DATABASE).unlink()
    with pytest.raises(CorruptArtifact, match=r"has lost its concepts\.sqlite; name the concepts again"):
        Concepts.load(concepts_folder)
    assert not (concepts_folder / store.DATABASE).exists()


@pytest.mark.parametrize("content", [b"", b"not a database" * 100], ids=["empty", "garbage"])
def test_a_damaged_database_is_refused(concepts_folder, content):
    (concepts_folder / store.DATABASE).write_bytes(content)
    with pytest.raises(CorruptArtifact, match=r"concepts\.sqlite (is damaged|has no table) .*name the concepts again"):
        Concepts.load(concepts_folder)


def test_a_failing_transaction_stores_nothing(tmp_path):
    database = tmp_path / store.DATABASE
    store.create(database)

    def one_then_an_error():
        yield NAMED
        raise RuntimeError("the namer broke")

    with pytest.raises(RuntimeError, match="the namer broke"):
        store.add(database, one_then_an_error())
    assert store.stored_latents(database) == set()


def test_a_killed_run_keeps_what_it_had_stored_and_goes_on_from_there(tmp_path):
    database = tmp_path / store.DATABASE
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_STORING, str(database)], capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store.create(database)  # as every run does
    assert store.stored_latents(database) == {1}
    store.add(database, [c for c in (UNNAMED, NAMED) if c.latent not in store.stored_latents(database)])
    assert store.stored_latents(database) == {1, 2, 7}
    assert Concepts(database).concept(7) == NAMED


_KILLED_WHILE_STORING = """
import os, pathlib, signal, sys
from unweave.concepts import store
from unweave.concepts.store import Concept, Naming

def one_then_the_end():
    yield Concept(2, 1, 1.0, (Naming("keyphrases", "lost"),))
    os.kill(os.getpid(), signal.SIGKILL)

database = pathlib.Path(sys.argv[1])
store.create(database)
store.add(database, [Concept(1, 1, 1.0, (Naming("keyphrases", "kept"),))])
store.add(database, one_then_the_end())
"""
