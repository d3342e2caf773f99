"""The stage that counts words: made once, in the language of the settings, and anew when one of the two changes."""

from __future__ import annotations

import sys

import pytest

from unweave import settings
from unweave.base.records import Passage
from unweave.errors import MissingArtifact
from unweave.stages.lexical import bm25, counted
from unweave.stages.workspace import Workspace
from unweave.texts.collection import Collection

PASSAGES = [Passage("m", "Mühlen", "Der Wind treibt sie."), Passage("b", "", "Brot und Korn")]


@pytest.fixture
def project(tmp_path):
    return Workspace.create(tmp_path / "p", Collection(passages=PASSAGES))


def test_words_are_counted_once(project):
    with pytest.raises(MissingArtifact, match="has no bm25 yet; run: unweave index build"):
        counted(project)
    assert [bm25(project).fresh, bm25(project).fresh] == [True, False]
    assert counted(project) is counted(project)
    assert counted(project).search("wind", 5).passages.tolist() == [0]  # titles are counted too
    assert counted(project).search("mühlen", 5).passages.tolist() == [0]


def test_another_language_counts_them_anew(project):
    # "und" is a German stop word, and "Mühle" has the stem of "Mühlen".
    assert bm25(project).results["stemmer"] == "english"
    assert len(counted(project).search("und", 5).passages) == 1
    settings.update(project.path / settings.FILE, {"embed": {"language": "de"}})
    german = Workspace.open(project.path)
    assert bm25(german).fresh
    assert len(counted(german).search("und", 5).passages) == 0
    assert counted(german).search("Mühle", 5).passages.tolist() == [0]


def test_without_its_packages_the_rest_goes_on_and_it_is_said(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    assert "pip install 'unweave[evaluate]'" in bm25(project).results["undefined"]
    assert not project.has("bm25")
