"""Qdrant in this process: a folder that Qdrant Edge, and Qdrant's own code in it, reads and searches exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Found, Question, Rows, Shape, contents
from unweave.engines.own_folder import claim

if TYPE_CHECKING:
    import qdrant_edge

_VECTOR, _EMBEDDING, _WORDS = "concepts", "embedding", "words"
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
        self._texts = False

    def mapping(self, shape: Shape) -> str:
        vectors = {"vectors": {_EMBEDDING: {"size": shape.width, "distance": "Dot"}}} if shape.width else {}
        words = {_WORDS: {"datatype": "float32", "modifier": "idf"}} if shape.texts else {}
        return json.dumps({**vectors, "sparse_vectors": {_VECTOR: {"datatype": "float32", "modifier": None}, **words}})

    def request(self, queries: csr_array, cutoff: int) -> str:
        return json.dumps({"query": _pair(queries[[0]]), "using": _VECTOR, "limit": cutoff, "with_payload": True})

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        prefetch: list[tuple[str, Any]] = [(_VECTOR, _pair(question.weights))]
        if question.embedding is not None:
            prefetch.append((_EMBEDDING, question.embedding.tolist()))
        if question.text is not None:
            from qdrant_edge import Bm25

            words = Bm25().embed_query(question.text)
            prefetch.append((_WORDS, {"indices": list(words.indices), "values": list(words.values)}))
        return json.dumps({  # Qdrant counts ranks from 0
            "prefetch": [{"query": query, "using": name, "limit": max(DEPTH, cutoff)} for name, query in prefetch],
            "query": {"rrf": {"k": RANK_CONSTANT + 1}}, "limit": cutoff, "with_payload": True,
        })  # fmt: skip

    def prepare(self, shape: Shape) -> None:
        import qdrant_edge

        self.close()
        self._texts = shape.texts
        shard = claim(self.folder, shape.state)
        if (shard / _WHOLE).is_file():
            self._shard = qdrant_edge.EdgeShard.load(str(shard))
            return
        if shard.exists():
            shutil.rmtree(shard)
        shard.mkdir()
        self._shard = qdrant_edge.EdgeShard.create(str(shard), _config(shape))
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

        points, words = [], qdrant_edge.Bm25()
        for i, passage_id in enumerate(rows.ids):
            row = slice(rows.impacts.indptr[i], rows.impacts.indptr[i + 1])
            vector = qdrant_edge.SparseVector(rows.impacts.indices[row].tolist(), rows.impacts.data[row].tolist())
            vectors: dict[str, Any] = {_VECTOR: vector}
            if rows.embeddings is not None:
                vectors[_EMBEDDING] = rows.embeddings[i].tolist()
            if self._texts and (text := contents(rows.fields[i])):
                vectors[_WORDS] = words.embed_document(text)
            points.append(qdrant_edge.Point(rows.first + i, vectors, {"id": passage_id, **rows.fields[i]}))
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


def _config(shape: Shape) -> qdrant_edge.EdgeConfig:
    import qdrant_edge as qdrant

    float32 = qdrant.VectorStorageDatatype.Float32
    sparse = {_VECTOR: qdrant.EdgeSparseVectorParams(datatype=float32)}
    if shape.texts:
        sparse[_WORDS] = qdrant.EdgeSparseVectorParams(datatype=float32, modifier=qdrant.Modifier.Idf)
    dense = {_EMBEDDING: qdrant.EdgeVectorParams(shape.width, qdrant.Distance.Dot)} if shape.width else None
    return qdrant.EdgeConfig(vectors=dense, sparse_vectors=sparse)


def _pair(query: csr_array) -> dict[str, list[Any]]:
    return {"indices": query.indices.tolist(), "values": query.data.tolist()}
