"""Qdrant Edge, the engine of Qdrant in this process: a sparse vector index of float32 weights in memory, exact.

Points are upserted in batches and the optimiser then makes one immutable segment of them, as a server does in the
background; the shard is closed and loaded again. A query is one `EdgeShard.query` for ids and scores only; all queries
together are one `query_batch`. That runs on one thread whatever is asked: one thread reads a segment, and Python's lock
is held meanwhile, so that threads of Python do not help either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray
from serving import Engine, Query, serve

AT_ONCE = 10_000
FIELD = "latents"
BLOCK = 512
ANY_SIZE_KB = 1 << 30


class Qdrant(Engine):
    name = "qdrant edge"
    package = "qdrant-edge-py"
    kind = "exact"

    def build(self) -> None:
        data, shard = self.data, edge.EdgeShard.create(str(self._folder()), self._config())
        for start in range(0, data.n_passages, AT_ONCE):
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            latents, impacts = data.read("latents", part).tolist(), data.read("impacts", part).tolist()
            ends = (data.offsets[start : end + 1] - part.start).tolist()
            points = []
            for i in range(end - start):
                entries = slice(ends[i], ends[i + 1])
                vector = edge.SparseVector(latents[entries], impacts[entries])
                points.append(edge.Point(start + i, {FIELD: vector}))
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.flush()
        shard.optimize()
        shard.close()

    def open(self) -> None:
        self.shard = edge.EdgeShard.load(str(self._folder()), self._config())

    def prepared(self, query: Query) -> Any:
        return edge.Query.Nearest(edge.SparseVector(query.latents.tolist(), query.weights.tolist()), using=FIELD)

    def search(self, prepared: Any, k: int, setting: Any) -> Any:
        return self.shard.query(edge.QueryRequest(limit=k, query=prepared))

    def search_all(self, prepared: list[Any], k: int, setting: Any) -> list[Any]:
        requests = [edge.QueryRequest(limit=k, query=query) for query in prepared]
        return list(self.shard.query_batch(edge.QueryBatchRequest(requests)))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.array([point.id for point in answer], np.int64)

    def bytes(self) -> int:
        # Most pages of Qdrant's files are reserved ahead and never written.
        return sum(path.stat().st_blocks * BLOCK for path in self._folder().rglob("*") if path.is_file())

    def _folder(self) -> Path:
        folder = self.out / "shard"
        folder.mkdir(exist_ok=True)
        return folder

    def _config(self) -> edge.EdgeConfig:
        # Pinned is the default and Qdrant's fastest; a threshold of 1 KB so that few passages are indexed too.
        sparse = edge.EdgeSparseVectorParams(memory=edge.Memory.Pinned, datatype=edge.VectorStorageDatatype.Float32)
        one = edge.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=ANY_SIZE_KB, indexing_threshold=1)
        return edge.EdgeConfig(sparse_vectors={FIELD: sparse}, optimizers=one, max_search_threads=1, wal_enabled=False)


if __name__ == "__main__":
    serve(Qdrant)
