"""Haystack: our search as a retriever component, and a component that explains the documents of any retriever.

An example, with a project in the folder `demo`:

    retriever = ConceptRetriever("demo", top_k=3)
    documents = retriever.run(query="wind power")["documents"]
    print(ExplainDocuments("demo").run(query="wind power", documents=documents)["documents"][0].meta["unweave"])
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.adapters.needed import needed
from unweave.adapters.record import explained, metadata_of, record_of
from unweave.adapters.source import Source, explainer_of, named, project_of
from unweave.errors import BadData
from unweave.explaining.engine_hits import AUTO
from unweave.project import Project
from unweave.retrieval.steering import AS_IT_IS, Steering
from unweave.texts.hits import EngineHit

with needed("the components for Haystack", "haystack"):
    from haystack import Document, component, default_to_dict


@component
class ConceptRetriever:
    """A project's search; each document's `meta` says why it was found."""

    def __init__(self, source: Project | Path | str, top_k: int = 10, system: str = "CL-SR") -> None:
        """Take a project, or its folder, how many documents to find at most, and a system."""
        self.source, self.top_k, self.system = source, top_k, system

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, source=named(self.source), top_k=self.top_k, system=self.system)

    @component.output_types(documents=list[Document])
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """The best documents for a query, among those whose metadata fits filters with ==, !=, AND, OR and NOT."""
        of = project_of(self.source)
        steering = Steering(allowed=_allowed(of, filters, self.system)) if filters else AS_IT_IS
        hits = of.search(query, top_k or self.top_k, system=self.system, steering=steering, explain=True)
        found = [(hit.passage, metadata_of(hit.passage.metadata, record_of(hit)), hit.score) for hit in hits]
        return {"documents": [Document(id=p.passage_id, content=p.content, meta=m, score=s) for p, m, s in found]}


@component
class ExplainDocuments:
    """Explains each document's score by concepts; order and scores stay as they are."""

    def __init__(self, source: Source = "pretrained", measure: str = AUTO) -> None:
        """Take what explains, and how the documents were scored; see `explaining.engine_hits.MEASURES`."""
        self.source, self.measure = source, measure

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, source=named(self.source), measure=self.measure)

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document]) -> dict[str, Any]:
        """The documents with the record that explains them in their `meta`."""
        known = all(d.embedding is not None for d in documents)
        vectors = [np.array(d.embedding) if known else None for d in documents]
        hits = [EngineHit(d.id, d.score, v, text=d.content or "") for d, v in zip(documents, vectors, strict=True)]
        records = explained(explainer_of(self.source), query, hits, measure=self.measure)
        pairs = zip(documents, records, strict=True)
        return {"documents": [replace(one, meta=metadata_of(one.meta, record)) for one, record in pairs]}


def _allowed(of: Project, asked: dict[str, Any], system: str) -> NDArray[np.bool_]:
    operator = asked.get("operator")
    if operator in ("==", "!="):
        found = of.where({asked["field"].removeprefix("meta."): str(asked["value"])}, system=system)
        return found == (operator == "==")
    if operator not in ("AND", "OR", "NOT"):
        raise BadData(f"a filter with {operator!r} came in; expected ==, !=, AND, OR or NOT")
    parts = [_allowed(of, one, system) for one in asked["conditions"]]
    return np.any(parts, axis=0) if operator == "OR" else np.all(parts, axis=0) == (operator == "AND")
