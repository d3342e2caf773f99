"""Directions and embeddings written in phrases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from unweave.base.records import Passage
from unweave.cli import main
from unweave.concepts.namers.lexicon import Ingredient, Lexicon, LexiconNamer, name
from unweave.concepts.namers.lexicon_sources import LONGEST_PHRASE, corpus_phrases, digests, file_phrases
from unweave.config import LexiconConfig
from unweave.errors import BadData, MissingArtifact
from unweave.project import Project
from unweave.stages import name as naming
from unweave.texts.corpus import Corpus


def lexicon_of(tmp_path: Path, embeddings: np.ndarray, phrases: list[str] | None = None) -> Lexicon:
    phrases = phrases or [f"phrase {i}" for i in range(len(embeddings))]
    entries = [Passage(str(i), phrase, "") for i, phrase in enumerate(phrases)]
    return Lexicon(Corpus.write(tmp_path / "lexicon", entries, settings={}), embeddings.astype(np.float32))


@pytest.fixture
def random_lexicon(tmp_path: Path) -> tuple[Lexicon, np.ndarray]:
    """Two hundred phrases, and their directions."""
    embeddings = np.random.default_rng(0).normal(size=(200, 24)) + 3  # far from the origin, as real ones are
    centred = embeddings - embeddings.mean(axis=0)
    return lexicon_of(tmp_path, embeddings), centred / np.linalg.norm(centred, axis=1, keepdims=True)


# --- mixes ----------------------------------------------------------------------------------------


def test_a_phrases_own_direction_is_that_phrase_alone(random_lexicon):
    lexicon, directions = random_lexicon
    for phrase in (0, 57, 199):
        (part,) = lexicon.mixes(directions[phrase][None], 1)[0]
        assert (part.phrase, part.text) == (f"phrase {phrase}", f"phrase {phrase}")
        assert part.weight == pytest.approx(1, abs=1e-4)


def test_a_sum_of_two_phrases_is_found_with_its_weights(tmp_path):
    embeddings = np.eye(6) * 5  # less their mean they point away from each other
    lexicon = lexicon_of(tmp_path, embeddings)
    centred = embeddings - embeddings.mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    target = 3 * directions[1] + 1 * directions[4]
    first, second = lexicon.mixes(target[None], 2)[0]
    assert (first.phrase, second.phrase) == ("phrase 1", "phrase 4")
    assert first.weight / second.weight == pytest.approx(3, rel=1e-3)


def test_weights_are_the_non_negative_least_squares_of_the_phrases(random_lexicon):
    lexicon, directions = random_lexicon
    targets = np.random.default_rng(1).normal(size=(10, 24)).astype(np.float32)
    for target, mix in zip(targets, lexicon.mixes(targets, 8), strict=True):
        assert 0 < len(mix) <= 8
        weights = [part.weight for part in mix]
        assert min(weights) > 0 and weights == sorted(weights, reverse=True)
        chosen = [int(part.phrase.split()[1]) for part in mix]
        best, _ = nnls(directions[chosen].T, target / np.linalg.norm(target))
        assert weights == pytest.approx(best.tolist(), abs=1e-3)


def test_more_phrases_come_closer(random_lexicon):
    lexicon, directions = random_lexicon
    target = np.random.default_rng(2).normal(size=(1, 24)).astype(np.float32)
    target /= np.linalg.norm(target)
    missed = []
    for k in (1, 4, 16):
        mix = lexicon.mixes(target, k)[0]
        given_back = sum(part.weight * directions[int(part.phrase.split()[1])] for part in mix)
        missed.append(np.linalg.norm(target[0] - given_back))
    assert missed[0] > missed[1] > missed[2]


# --- names ----------------------------------------------------------------------------------------


def part(phrase: str, weight: float) -> Ingredient:
    return Ingredient(phrase, phrase, weight)


def test_a_name_is_the_weightiest_phrase_and_another_one_of_weight():
    assert name([part("tide", 0.9), part("moon", 0.5), part("salt", 0.4)]) == "tide, moon"
    assert name([part("tide", 0.9), part("moon", 0.2)]) == "tide"
    assert name([part("high tide", 0.9), part("low tide", 0.8), part("moon", 0.5)]) == "high tide, moon"


@given(st.lists(st.tuples(st.text(min_size=1), st.floats(0.01, 1)), min_size=1, max_size=6))
def test_names_are_safe_to_print_and_short(parts):
    found = name([part(phrase, weight) for phrase, weight in parts])
    assert len(found) <= 60
    assert found.isprintable()


def test_the_whole_mix_is_the_description_and_is_kept(random_lexicon):
    lexicon, directions = random_lexicon
    namer = LexiconNamer(directions.astype(np.float32), lexicon, LexiconConfig(mix=3), made_of="here")
    found = dict(namer.names([4, 2]))
    assert list(found) == [4, 2]
    assert found[4].name == "phrase 4"
    assert found[4].description.startswith("phrase 4 1.00")
    assert found[4].provenance["mix"][0] == ["phrase 4", pytest.approx(1, abs=1e-3)]
    assert namer.made_with != LexiconNamer(directions, lexicon, LexiconConfig(mix=4), made_of="here").made_with
    assert namer.made_with != LexiconNamer(directions, lexicon, LexiconConfig(mix=3), made_of="there").made_with


# --- where phrases come from ----------------------------------------------------------------------


def test_the_corpus_phrases_are_those_in_enough_texts_as_they_are_written_most():
    texts = ["The Wind turbine turns.", "A wind turbine hums.", "Wind turbine blades.", "The sea."]
    assert [p.title for p in corpus_phrases(texts, 3)] == ["turbine", "Wind", "Wind turbine"]
    assert "sea" not in [p.title for p in corpus_phrases(texts, 2)]
    with pytest.raises(BadData, match=r"no phrase stands in 5 .*--frequent-texts"):
        corpus_phrases(texts, 5)


def test_a_list_has_a_phrase_a_line_and_may_have_glosses(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes("\ufeffwind turbine\tmakes electricity\n\n  tide \nwind turbine\n\x1b[31mred\u202e\n".encode())
    found = list(file_phrases(file))
    assert [(p.title, p.text) for p in found] == [("wind turbine", "makes electricity"), ("tide", ""), ("[31mred", "")]
    assert found[0].content == "wind turbine makes electricity"


def test_a_long_phrase_is_cut(tmp_path):
    (tmp_path / "list.txt").write_text("x" * 1000)
    assert len(next(file_phrases(tmp_path / "list.txt")).title) == LONGEST_PHRASE


@pytest.mark.parametrize(("content", "why"), [(b"", "no phrase"), (b"\n \n", "no phrase"), (b"caf\xe9\n", "not UTF-8")])
def test_a_list_that_cannot_be_used(tmp_path, content, why):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(BadData, match=why):
        list(file_phrases(tmp_path / "list.txt"))


NOUN = '00000001 05 n 02 blue_gizmo 0 gizmo 0 000 | a device nobody has seen; "the gizmo hums"\n'
LICENCE = "  1 This is no licence.\n"


def wordnet(folder: Path, **lines: str) -> Path:
    """A folder like WordNet's, of invented words."""
    folder.mkdir()
    for kind in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{kind}").write_text(LICENCE + lines.get(kind, ""))
    return folder


def test_wordnets_folder_gives_lemmas_with_their_glosses(tmp_path):
    adjective = "00000002 00 s 01 gizmoid(p) 0 000 | like a gizmo\n"
    found = list(file_phrases(wordnet(tmp_path / "dict", noun=NOUN, adj=adjective)))
    assert [(p.title, p.text) for p in found] == [
        ("blue gizmo", "a device nobody has seen"),
        ("gizmoid", "like a gizmo"),
    ]


def test_a_line_that_is_not_wordnets_is_named(tmp_path):
    folder = wordnet(tmp_path / "dict", noun=NOUN + "<html>\n")
    with pytest.raises(BadData, match=r"data\.noun, line 3: not a line of WordNet's data"):
        list(file_phrases(folder))


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(BadData, match=r"nowhere is not there; expected a text file .*WordNet"):
        digests(tmp_path / "nowhere")
    (tmp_path / "dict").mkdir()
    with pytest.raises(BadData, match=r"data\.noun is not there"):
        digests(tmp_path / "dict")


# --- on real text ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(project_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose concepts were named by a list of phrases too."""
    folder = tmp_path_factory.mktemp("lexicon") / "project"
    shutil.copytree(project_folder, folder)
    phrases = folder.parent / "list.txt"
    phrases.write_text(
        "\n".join(["volcano", "river", "opera", "chess", "beetle", "parliament", "vaccine", "wind power"])
    )
    done = CliRunner().invoke(
        main, ["name", str(folder), "--namer", "lexicon", "--lexicon", str(phrases), "--mix", "3"]
    )
    assert done.exit_code == 0, done.output
    return Project.open(folder)


def test_names_of_the_lexicon_stand_beside_those_by_keyphrases(project):
    concepts = [c for c in project.concepts.by_document_frequency() if c.naming("lexicon") and c.naming("keyphrases")]
    assert len(concepts) > 100
    named = concepts[0].naming("lexicon")
    assert named.name.split(", ")[0] in (
        "volcano",
        "river",
        "opera",
        "chess",
        "beetle",
        "parliament",
        "vaccine",
        "wind power",
    )
    assert {concept.namer for concept in concepts} == {"keyphrases", "lexicon"}, "shown is what is told better"


def test_what_is_named_is_not_named_again(project):
    assert not naming.name_by(project, naming.lexicon_namer(project)).fresh


def test_a_text_is_written_in_phrases_of_what_it_is_about(project):
    assert project.phrases("a volcano erupts")[0].phrase == "volcano"
    assert project.phrases(project.encoder.encode_passages(["an opera singer"])[0], k=1)[0].phrase == "opera"


def test_the_command_prints_a_mix(project):
    done = CliRunner().invoke(main, ["phrases", str(project.path), "the game of chess", "--top", "2", "--json"])
    mix = json.loads(done.stdout)["mix"]
    assert mix[0]["phrase"] == "chess" and len(mix) <= 2
    shown = CliRunner().invoke(main, ["phrases", str(project.path), "the game of chess"]).stdout
    assert shown.splitlines()[0].endswith("chess")


def test_without_a_lexicon_the_command_that_makes_it_is_named(project_folder):
    with pytest.raises(MissingArtifact, match=r"run: unweave name --namer lexicon"):
        Project.open(project_folder).phrases("a text")
