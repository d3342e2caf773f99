"""Elasticsearch: an index with a `sparse_vector`, which is not pruned, in a server or as files for one."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.engines.bulk import BulkFiles, BulkServer, Dialect, properties, words
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Question, Shape
from unweave.engines.numbers import positive, shortest


class _Dialect(Dialect):
    numbers = (
        "9 significant bits an impact, the rest cut off; an exact product, since pruning, which is the default, is "
        "turned off; a query's negative weights, which Elasticsearch refuses, are left out"
    )

    def index_body(self, shape: Shape) -> dict[str, Any]:
        impacts = {"type": "sparse_vector", "index_options": {"prune": False}}
        embedding = {"type": "dense_vector", "dims": shape.width, "index": True, "similarity": "max_inner_product",
                     "index_options": {"type": "hnsw"}}  # fmt: skip
        return {"mappings": {"dynamic": False, "properties": properties(shape, impacts, embedding)}}

    def weights(self, queries: csr_array) -> csr_array:
        return positive(queries)

    def clause(self, weights: dict[str, float]) -> dict[str, Any]:
        return {"sparse_vector": {"field": "impacts", "query_vector": weights, "prune": False}}

    def fused(self, question: Question, cutoff: int) -> dict[str, Any]:
        depth = max(DEPTH, cutoff)
        retrievers: list[dict[str, Any]] = [{"standard": {"query": self.clause(words(question.weights, 0))}}]
        if question.text is not None:
            matching = {"query": question.text, "fields": ["title", "text"]}
            retrievers.append({"standard": {"query": {"multi_match": matching}}})
        if question.embedding is not None:
            near = {"field": "embedding", "query_vector": shortest(question.embedding)}
            retrievers.append({"knn": {**near, "k": depth, "num_candidates": 2 * depth}})
        fusion = {"retrievers": retrievers, "rank_constant": RANK_CONSTANT, "rank_window_size": depth}
        return {"size": cutoff, "_source": ["id"], "retriever": {"rrf": fusion}}


class ElasticsearchFiles(_Dialect, BulkFiles):
    """The files, for who sends them by hand."""


class Elasticsearch(_Dialect, BulkServer):
    """A server; the key to it comes from ELASTICSEARCH_API_KEY."""

    product = "Elasticsearch"

    def __init__(self, address: str) -> None:
        """Take the address of a server, such as https://localhost:9200."""
        require("Elasticsearch", "elasticsearch", "elasticsearch")
        super().__init__(address)

    def connect(self) -> Any:
        import elasticsearch

        self.errors = (elasticsearch.ApiError, elasticsearch.TransportError)
        key = os.environ.get("ELASTICSEARCH_API_KEY")
        secure: dict[str, Any] = {}
        if self.address.startswith("https"):
            secure["ssl_context"] = ssl.create_default_context()
        return elasticsearch.Elasticsearch(self.address, api_key=key, request_timeout=120, **secure)

    def bulk(self, client: Any, actions: Iterator[dict[str, Any]], **retries: Any) -> tuple[int, Any]:
        from elasticsearch.helpers import bulk

        sent: tuple[int, Any] = bulk(client, actions, **retries)
        return sent
