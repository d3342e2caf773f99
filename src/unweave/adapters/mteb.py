"""MTEB: concept search, or any other system of a project, measured on retrieval and reranking tasks.

An example, with some `tasks`:

    model = ConceptSearch(system="CL-SR rescored")
    print(mteb.evaluate(model, tasks, cache=None).task_results[0].get_score())
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from unweave import __version__
from unweave.adapters.build import DEFAULTS, build_project
from unweave.adapters.needed import needed
from unweave.base.owned import OwnFolder
from unweave.base.records import Passage
from unweave.errors import MissingArtifact
from unweave.project import Project

with needed("the model for MTEB", "mteb"):
    from mteb.models import ModelMeta


class ConceptSearch:
    """A model in the sense of MTEB's `SearchProtocol`: each corpus becomes a project that is taken away after it."""

    def __init__(
        self, system: str = "CL-SR", settings: Mapping[str, Mapping[str, Any]] = DEFAULTS, name: str = "unweave/search"
    ) -> None:
        """Take what ranks, settings of the projects that are not the default, and the model's name for MTEB."""
        self.system, self.settings = system, settings
        options = {
            "name": name,
            "revision": __version__,
            "modalities": ["text"],
            "experiment_kwargs": {"system": system},
        }
        self.mteb_model_meta = ModelMeta.create_empty(options)
        self.project: Project | None = None
        self._folder: OwnFolder | None = None

    def index(self, corpus: Iterable[Mapping[str, Any]], **_: Any) -> None:
        """Make a project of a corpus, in place of the one before."""
        self._folder = OwnFolder()
        passages = (Passage(str(row["id"]), row.get("title") or "", row["text"]) for row in corpus)
        self.project = build_project(self._folder.path / "project", passages, self.settings, names=False)

    def search(
        self, queries: Iterable[Mapping[str, Any]], *, top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None, **_: Any,
    ) -> dict[str, dict[str, float]]:  # fmt: skip
        """The best documents of each query and their scores; of a reranking task, those among `top_ranked` alone."""
        if self.project is None:
            raise MissingArtifact("there is no corpus yet; call index first")
        asked = {str(row["id"]): str(row["text"]) for row in queries}
        if top_ranked is None:
            return self.project.search_all(asked, top_k, system=self.system)
        run = self.project.search_all(asked, len(self.project.corpus), system=self.system)
        among = {query_id: set(top_ranked.get(query_id, ())) for query_id in asked}
        return {
            query_id: dict([(i, score) for i, score in found.items() if i in among[query_id]][:top_k])
            for query_id, found in run.items()
        }
