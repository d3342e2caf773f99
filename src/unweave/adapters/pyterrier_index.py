"""PyTerrier: a corpus becomes a project, and a project's folder an artifact that PyTerrier loads, shares and packs.

An example, with some `documents`:

    concepts = ConceptIndexer("index").index(documents)
    print(concepts.retriever(num_results=3).search("bread"))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unweave import settings
from unweave.adapters.build import DEFAULTS, build_project
from unweave.adapters.needed import needed
from unweave.adapters.pyterrier import ConceptRetriever, ExplainResults
from unweave.base.records import Passage
from unweave.explaining.engine_hits import AUTO

with needed("the indexer for PyTerrier", "pyterrier"):
    import pyterrier as pt


class ConceptIndex(pt.Artifact):
    """A project's folder."""

    ARTIFACT_TYPE, ARTIFACT_FORMAT = "concept_index", "unweave"

    def retriever(self, num_results: int = 1000, system: str = "CL-SR") -> ConceptRetriever:
        return ConceptRetriever(self.path, num_results, system)

    def explainer(self, measure: str = AUTO) -> ExplainResults:
        return ExplainResults(self.path, measure)


class ConceptIndexer(pt.Indexer):
    """Documents with `docno`, `text` and maybe `title` to a project: embedded, fitted, named and indexed."""

    def __init__(self, folder: Path | str, settings: Mapping[str, Mapping[str, Any]] = DEFAULTS) -> None:
        """Take where the project will be, and settings that are not the default, by stage."""
        self.folder, self.settings = folder, settings

    def index(self, iter: Iterable[Mapping[str, Any]], **_: Any) -> ConceptIndex:  # noqa: A002 - as PyTerrier calls it
        passages = (Passage(str(row["docno"]), row.get("title") or "", row["text"]) for row in iter)
        return ConceptIndex(build_project(self.folder, passages, self.settings).path)


def artifact_metadata(_: str, listing: list[str]) -> dict[str, str] | None:
    """What PyTerrier calls a folder that holds these files, if it is a project's: an entry point of this package."""
    known = settings.FILE in listing
    return {"type": ConceptIndex.ARTIFACT_TYPE, "format": ConceptIndex.ARTIFACT_FORMAT} if known else None
