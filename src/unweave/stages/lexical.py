"""The stage that counts words: BM25's lists of a project's passages."""

from __future__ import annotations

from unweave.errors import MissingExtra
from unweave.retrieval.bm25 import BM25
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace

NAME = "bm25"


def bm25(project: Workspace) -> Outcome:
    """Count the words of the passages, unless they are; without the packages that this takes, say so."""
    try:
        return count_words(project)
    except MissingExtra as error:
        return Outcome(NAME, False, 0.0, {"undefined": str(error)})


def count_words(project: Workspace) -> Outcome:
    """Count the words of the passages, in the language of the settings, unless they are.

    Raises:
        MissingExtra: bm25s or PyStemmer is not installed.
    """
    language = project.settings.embed.language
    made_from = project.made_from("corpus")

    def make() -> None:
        texts = (passage.content for passage in project.corpus)
        BM25.write(project.path / NAME, texts, len(project.corpus), language=language, made_from=made_from)

    return ensure(project, NAME, make, settings={"language": language}, made_from=made_from)


def counted(project: Workspace) -> BM25:
    """What `bm25` made.

    Raises:
        MissingArtifact, StaleArtifact: it is not there, or was made of another corpus.
    """
    return project.kept(NAME, [NAME], lambda: BM25.load(project.path / NAME))
