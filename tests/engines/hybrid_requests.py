"""Puts the hybrid requests that an export writes, as they are written, to the engines themselves."""

from __future__ import annotations

import json
from typing import Any

from unweave.engines.engine import Found


def asked(name: str, engine: Any, request: str) -> Found:
    """What an engine that is open answers."""
    by_name = {"postgresql": _postgresql, "milvus": _milvus, "qdrant-edge": _qdrant_edge, "qdrant": _qdrant}
    found: Found = by_name[name](engine, request)
    return found


def _postgresql(engine: Any, request: str) -> Found:
    rows = engine.connection.execute(request).fetchall()
    return Found([row[0] for row in rows], [float(row[1]) for row in rows])


def _milvus(engine: Any, request: str) -> Found:
    from pymilvus import AnnSearchRequest, RRFRanker

    body = json.loads(request)
    assert body["rerank"]["strategy"] == "rrf"
    asked = [
        # JSON has texts as keys; Milvus' own client takes numbers.
        AnnSearchRequest([_numbered(one["data"][0])], one["annsField"], {"params": one["params"]}, one["limit"])
        for one in body["search"]
    ]
    (hits,) = engine.client.hybrid_search(
        body["collectionName"], asked, RRFRanker(**body["rerank"]["params"]), body["limit"], body["outputFields"]
    )
    return Found([hit["entity"]["id"] for hit in hits], [hit["distance"] for hit in hits])


def _numbered(query: Any) -> Any:
    return {int(latent): weight for latent, weight in query.items()} if isinstance(query, dict) else query


def _qdrant_edge(engine: Any, request: str) -> Found:
    import qdrant_edge as qdrant

    body = json.loads(request)
    prefetches = [
        qdrant.Prefetch(one["limit"], qdrant.Query.Nearest(_vector(one["query"]), using=one["using"]))
        for one in body["prefetch"]
    ]
    asked = qdrant.QueryRequest(
        body["limit"], query=qdrant.Fusion.Rrf(**body["query"]["rrf"]), prefetches=prefetches,
        with_payload=body["with_payload"],
    )  # fmt: skip
    points = engine.shard.query(asked)
    return Found([point.payload["id"] for point in points], [point.score for point in points])


def _qdrant(engine: Any, request: str) -> Found:
    from qdrant_client import models

    asked = models.QueryRequest(**json.loads(request))
    (answer,) = engine.client.query_batch_points(engine.collection, [asked])
    return Found([point.payload["id"] for point in answer.points], [point.score for point in answer.points])


def _vector(query: Any) -> Any:
    import qdrant_edge as qdrant

    return qdrant.SparseVector(query["indices"], query["values"]) if isinstance(query, dict) else query
