"""LangChain: our search as a retriever, and a step of a chain that explains what any retriever found.

An example, with a project in the folder `demo`:

    retriever = ConceptRetriever(source="demo", k=3)
    chain = {"documents": retriever, "query": RunnablePassthrough()} | explain_documents("demo")
    print(chain.invoke("wind power")[0].metadata["unweave"]["explanation"]["concepts"])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unweave.adapters.needed import needed
from unweave.adapters.record import explained, metadata_of, record_of
from unweave.adapters.source import Source, explainer_of, project_of
from unweave.explaining.engine_hits import AUTO
from unweave.project import Project
from unweave.texts.hits import EngineHit

with needed("the retriever for LangChain", "langchain"):
    from langchain_core.callbacks import CallbackManagerForRetrieverRun
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable, RunnableLambda


class ConceptRetriever(BaseRetriever):
    """A project's search; the metadata of each document says why it was found."""

    source: Project | Path | str
    """A project, or its folder."""
    k: int = 10
    """Documents at most."""
    system: str = "CL-SR"

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        hits = project_of(self.source).search(query, self.k, system=self.system, explain=True)
        return [
            Document(p.content, id=p.passage_id, metadata=metadata_of(p.metadata, record_of(hit)))
            for hit in hits
            for p in (hit.passage,)
        ]


def explain_documents(source: Source, *, measure: str = AUTO) -> Runnable[dict[str, Any], list[Document]]:
    """A step that takes a `query` and `documents`, and gives each document's metadata the record that explains it.

    Args:
        source: a project, a dictionary, the folder of one, or a dictionary's name.
        measure: how the documents were scored, where they come as pairs of a document and its score, as
            `similarity_search_with_score` gives them; see `explaining.engine_hits.MEASURES`.
    """

    def explain(asked: dict[str, Any]) -> list[Document]:
        pairs = [one if isinstance(one, tuple) else (one, None) for one in asked["documents"]]
        hits = [
            EngineHit(document.id or str(at), None if score is None else float(score), text=document.page_content)
            for at, (document, score) in enumerate(pairs)
        ]
        records = explained(explainer_of(source), asked["query"], hits, measure=measure)
        return [
            document.model_copy(update={"metadata": metadata_of(document.metadata, record)})
            for (document, _), record in zip(pairs, records, strict=True)
        ]

    return RunnableLambda(explain, name="explain_documents")
