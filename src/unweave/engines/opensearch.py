"""OpenSearch: an index with `rank_features`, asked by `neural_sparse`, in a server or as files for one.

Its `sparse_vector`, which is approximate, holds a byte a weight below a ceiling that is set when the index is made.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from typing import Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.engines.bulk import BulkFiles, BulkServer, Dialect, properties, words
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Question, Shape
from unweave.engines.numbers import at_most, positive, shortest

CEILING = 64
"""The largest weight of a query by features that Lucene takes."""


class _Dialect(Dialect):
    numbers = (
        "9 significant bits an impact, the rest cut off; an exact product; a query's negative weights, which "
        f"OpenSearch refuses, are left out, and where a weight is above {CEILING}, all of that query become smaller by "
        "one factor"
    )

    def index_body(self, shape: Shape) -> dict[str, Any]:
        embedding = {"type": "knn_vector", "dimension": shape.width, "space_type": "innerproduct"}
        body = {"dynamic": False, "properties": properties(shape, {"type": "rank_features"}, embedding)}
        return {"mappings": body, **({"settings": {"index.knn": True}} if shape.width else {})}

    def weights(self, queries: csr_array) -> csr_array:
        return at_most(positive(queries), CEILING)

    def clause(self, weights: dict[str, float]) -> dict[str, Any]:
        return {"neural_sparse": {"impacts": {"query_tokens": weights}}}

    def fused(self, question: Question, cutoff: int) -> dict[str, Any]:
        depth = max(DEPTH, cutoff)
        queries: list[dict[str, Any]] = [self.clause(words(question.weights, 0))]
        if question.text is not None:
            queries.append({"multi_match": {"query": question.text, "fields": ["title", "text"]}})
        if question.embedding is not None:
            queries.append({"knn": {"embedding": {"vector": shortest(question.embedding), "k": depth}}})
        fusion = {"combination": {"technique": "rrf", "rank_constant": RANK_CONSTANT}}
        return {
            "size": cutoff, "_source": ["id"], "query": {"hybrid": {"queries": queries, "pagination_depth": depth}},
            "search_pipeline": {"phase_results_processors": [{"score-ranker-processor": fusion}]},
        }  # fmt: skip


class OpenSearchFiles(_Dialect, BulkFiles):
    """The files, for who sends them by hand."""


class OpenSearch(_Dialect, BulkServer):
    """A server; OPENSEARCH_USER and OPENSEARCH_PASSWORD are those of the environment."""

    product = "OpenSearch"

    def __init__(self, address: str) -> None:
        """Take the address of a server, such as https://localhost:9200."""
        require("OpenSearch", "opensearch", "opensearchpy")
        super().__init__(address)

    def connect(self) -> Any:
        import opensearchpy

        self.errors = (opensearchpy.OpenSearchException,)
        user, password = (os.environ.get(f"OPENSEARCH_{name}") for name in ("USER", "PASSWORD"))
        options: dict[str, Any] = {"http_auth": (user, password)} if user and password else {}
        if self.address.startswith("https"):
            options["ssl_context"] = ssl.create_default_context()
        return opensearchpy.OpenSearch(self.address, timeout=120, **options)

    def bulk(self, client: Any, actions: Iterator[dict[str, Any]], **retries: Any) -> tuple[int, Any]:
        from opensearchpy.helpers import bulk

        sent: tuple[int, Any] = bulk(client, actions, **retries)
        return sent
