"""Qdrant in this process: a folder that Qdrant Edge, and Qdrant's own code in it, reads and searches exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.engines.engine import Found, Rows, Shape
from unweave.engines.own_folder import claim

if TYPE_CHECKING:
    import qdrant_edge

_VECTOR = "concepts"
_WHOLE = "edge_config.json"
"""A file that a shard has once it was made."""


class QdrantEdge:
    """A shard of sparse vectors; the id of a point is the passage's number, its own id is in the payload."""

    numbers = "floats of single precision and an exact dot product; no modifier, for idf is in the query's weights"
    posting_bytes: float = 24
    ran = True

    def __init__(self, folder: Path) -> None:
        """Take the folder that the shard is or will be in."""
        require("Qdrant Edge", "qdrant-edge", "qdrant_edge")
        self.folder = folder
        self._shard: qdrant_edge.EdgeShard | None = None

    def mapping(self, shape: Shape) -> str:
        return json.dumps({"sparse_vectors": {_VECTOR: {"datatype": "float32", "modifier": None}}})

    def request(self, queries: csr_array, cutoff: int) -> str:
        first = queries[[0]]
        vector = {"indices": first.indices.tolist(), "values": first.data.tolist()}
        return json.dumps({"query": vector, "using": _VECTOR, "limit": cutoff, "with_payload": True})

    def prepare(self, shape: Shape) -> None:
        import qdrant_edge

        sparse = {_VECTOR: qdrant_edge.EdgeSparseVectorParams(datatype=qdrant_edge.VectorStorageDatatype.Float32)}
        self.close()
        shard = claim(self.folder, shape.state)
        if (shard / _WHOLE).is_file():
            self._shard = qdrant_edge.EdgeShard.load(str(shard))
            return
        if shard.exists():
            shutil.rmtree(shard)
        shard.mkdir()
        self._shard = qdrant_edge.EdgeShard.create(str(shard), qdrant_edge.EdgeConfig(sparse_vectors=sparse))
        self._shard.flush()

    @property
    def shard(self) -> qdrant_edge.EdgeShard:
        """The open shard, which `prepare` has made or found."""
        assert self._shard is not None
        return self._shard

    def count(self) -> int:
        import qdrant_edge

        return self.shard.count(qdrant_edge.CountRequest(exact=True))

    def add(self, rows: Rows) -> None:
        import qdrant_edge

        points = []
        for i, passage_id in enumerate(rows.ids):
            row = slice(rows.impacts.indptr[i], rows.impacts.indptr[i + 1])
            vector = qdrant_edge.SparseVector(rows.impacts.indices[row].tolist(), rows.impacts.data[row].tolist())
            payload = {"id": passage_id, **rows.fields[i]}
            points.append(qdrant_edge.Point(rows.first + i, {_VECTOR: vector}, payload))
        self.shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
        self.shard.flush()

    def finish(self) -> None:
        self.shard.optimize()
        self.shard.flush()

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return [self._found(queries[[row]], cutoff) for row in range(queries.shape[0])]

    def _found(self, query: csr_array, cutoff: int) -> Found:
        import qdrant_edge

        vector = qdrant_edge.SparseVector(query.indices.tolist(), query.data.tolist())
        nearest = qdrant_edge.Query.Nearest(vector, using=_VECTOR)
        found = self.shard.query(qdrant_edge.QueryRequest(limit=cutoff, query=nearest, with_payload=True))
        return Found([(point.payload or {})["id"] for point in found], [point.score for point in found])

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None
