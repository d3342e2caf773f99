"""LlamaIndex: our search as a retriever, and a postprocessor that explains the nodes which any retriever found.

An example, with a project in the folder `demo`:

    retriever = ConceptRetriever("demo", similarity_top_k=3)
    nodes = ExplainNodes(source="demo").postprocess_nodes(retriever.retrieve("wind power"), query_str="wind power")
    print(nodes[0].node.metadata["unweave"]["explanation"]["concepts"])
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unweave.adapters.needed import needed
from unweave.adapters.record import KEY, Record, explained, metadata_of, record_of
from unweave.adapters.source import explainer_of, project_of
from unweave.explaining.engine_hits import AUTO
from unweave.project import Project
from unweave.texts.hits import EngineHit

with needed("the retriever for LlamaIndex", "llama-index"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode


class ConceptRetriever(BaseRetriever):
    """A project's search; the metadata of each node says why it was found, to people and programs, not to a model."""

    def __init__(
        self, source: Project | Path | str, similarity_top_k: int = 10, system: str = "CL-SR", **options: Any
    ) -> None:
        """Take a project, or its folder, how many nodes to find at most, and a system."""
        self._source, self._top_k, self._system = source, similarity_top_k, system
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        asked = query_bundle.query_str if query_bundle.embedding is None else np.array(query_bundle.embedding)
        hits = project_of(self._source).search(asked, self._top_k, system=self._system, explain=True)
        return [
            _explained(TextNode(id_=p.passage_id, text=p.content, metadata=dict(p.metadata)), hit.score, record_of(hit))
            for hit in hits
            for p in (hit.passage,)
        ]


class ExplainNodes(BaseNodePostprocessor):
    """Explains each node's score by concepts; order and scores stay as they are."""

    source: Any
    """A project, a dictionary, the folder of one, or a dictionary's name."""
    measure: str = AUTO
    """How the nodes were scored; see `explaining.engine_hits.MEASURES`."""

    @classmethod
    def class_name(cls) -> str:
        return cls.__name__

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("no query came in; give the one that found these nodes: query_str=…")
        asked = query_bundle.query_str if query_bundle.embedding is None else np.array(query_bundle.embedding)
        vectors = [one.node.embedding for one in nodes]
        known = None not in vectors
        texts = [one.node.get_content(MetadataMode.NONE) for one in nodes]
        hits = [
            EngineHit(one.node_id, one.score, np.array(vector) if known else None, text=text)
            for one, vector, text in zip(nodes, vectors, texts, strict=True)
        ]
        records = explained(explainer_of(self.source), asked, hits, measure=self.measure)
        return [_explained(one.node, one.score, record) for one, record in zip(nodes, records, strict=True)]


def _explained(node: BaseNode, score: float | None, record: Record) -> NodeWithScore:
    hidden = {"excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, KEY],
              "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, KEY]}  # fmt: skip
    changed = node.model_copy(update={"metadata": metadata_of(node.metadata, record), **hidden})
    return NodeWithScore(node=changed, score=score)
