"""Which sentence of a passage carries a concept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.base.records import Passage
from unweave.cli import main
from unweave.config import SAEConfig
from unweave.errors import BadData
from unweave.explaining.sentences import sentences_of
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.stages.carry import carrying

SEA, WIND = 0, 1


class Counting:
    """Embeds a text by how often it says sea and wind, which are the two latents."""

    identity = {"model": "counting"}  # noqa: RUF012

    def encode_queries(self, texts):
        return self.encode_passages(texts)

    def encode_passages(self, texts):
        return np.array(
            [[text.casefold().count("sea"), text.casefold().count("wind"), 1] for text in texts], np.float32
        )


@pytest.fixture
def sae() -> SAE:
    axes = np.eye(3, dtype=np.float32)[:2]
    nothing = np.zeros(3, np.float32)
    return SAE(SAEConfig(d_in=3, n_latents=2, k=1), axes, nothing[:2], axes, nothing, np.array([0.5], np.float32))


def test_each_sentence_has_its_own_activation_and_what_is_lost_without_it(sae):
    text = "The sea meets the sea here. A strong wind blows today. Nothing happens after that."
    first, second, third = sentences_of(Passage("a", "", text), SEA, Counting(), sae, "en")
    assert (first.alone, first.lost, first.carries) == (2, 2, True)
    assert (second.alone, second.lost, second.carries) == (0, 0, False)
    assert (third.alone, third.lost, third.carries) == (0, 0, False)
    assert [text[s.start :].startswith(s.text) for s in (first, second, third)] == [True] * 3
    carriers = [s.carries for s in sentences_of(Passage("a", "", text), WIND, Counting(), sae, "en")]
    assert carriers == [False, True, False]


def test_a_title_can_carry_a_concept(sae):
    passage = Passage("a", "Sea", "A strong wind blows today.")
    title, sentence = sentences_of(passage, SEA, Counting(), sae, "en")
    assert (title.text, title.start, title.carries) == ("Sea", None, True)
    assert sentence.start == 0 and not sentence.carries


def test_a_passage_of_one_sentence_or_of_none_is_its_own(sae):
    for text in ("The sea is wide and deep.", "Sea"):
        (only,) = sentences_of(Passage("a", "", text), SEA, Counting(), sae, "en")
        assert (only.text, only.alone, only.lost, only.carries) == (text, 1, 1, True)


def test_nothing_carries_what_the_passage_does_not_activate(sae):
    found = sentences_of(Passage("a", "", "A strong wind blows. Nobody goes out today."), SEA, Counting(), sae, "en")
    assert [(s.alone, s.lost, s.carries) for s in found] == [(0, 0, False)] * 2


def test_where_only_the_whole_activates_the_concept_what_is_lost_decides():
    axes = np.array([[1, 0, 0]], np.float32)
    nothing = np.zeros(3, np.float32)
    demanding = SAE(SAEConfig(d_in=3, n_latents=1, k=1), axes, nothing[:1], axes, nothing, np.array([2.5], np.float32))
    text = "Sea and sea and more. The sea is also here. No water in this one."
    found = sentences_of(Passage("a", "", text), SEA, Counting(), demanding, "en")
    assert [s.alone for s in found] == [0, 0, 0]
    assert [s.carries for s in found] == [True, False, False]


def test_on_real_text_the_sentence_on_the_subject_carries_it(project_folder: Path):
    project = Project.open(project_folder)
    wind = "A turbine turns wind into electricity with three long blades."
    other = "The committee elected a new chairman on Thursday evening."
    passage = Passage("new", "", f"{other} {wind}")
    vector = project.encoder.encode_passages([wind])
    latents = project.sae.encode(vector)
    strongest = int(latents.indices[np.argmax(latents.data)])
    found = sentences_of(passage, strongest, project.encoder, project.sae, "en")
    assert found[1].alone == pytest.approx(float(latents.data.max()), rel=1e-3)
    assert found[1].alone > found[0].alone


def test_what_is_not_there_is_said(project_folder: Path):
    project = Project.open(project_folder)
    with pytest.raises(BadData, match="no passage with the id 'nowhere'"):
        carrying(project, "nowhere", 0)
    with pytest.raises(BadData, match="latent 99999 never fired"):
        carrying(project, "Wind_turbine", 99999)


def test_the_command_marks_the_sentence(project_folder: Path):
    project = Project.open(project_folder)
    position = project.corpus.position("Wind_turbine")
    row = project.latents[[position]]
    concept = str(int(row.indices[np.argmax(row.data)]))
    done = CliRunner().invoke(main, ["carrying", str(project_folder), "Wind_turbine", concept])
    assert done.exit_code == 0, done.output
    assert sum(line[16:17] == ">" for line in done.stdout.splitlines()) == 1
    record = json.loads(
        CliRunner().invoke(main, ["carrying", str(project_folder), "Wind_turbine", concept, "--json"]).stdout
    )
    assert [s["carries"] for s in record["sentences"]].count(True) == 1
