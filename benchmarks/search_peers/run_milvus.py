"""Milvus Lite, served in this process as its client does it: a sparse inverted index with the inner product, exact.

Milvus Lite offers one algorithm for sparse vectors, TAAT_NAIVE in plain Python (it refuses DAAT_MAXSCORE, and any drop
ratio but 0), and each search goes over all passages in Python besides: it is made for development and small workloads,
says its own documentation. The collection is flushed, closed and opened again; the first search then makes the inverted
index anew in memory, which is part of opening here. Search talks to the server, a thread of this process, through gRPC.
All queries together are one request, answered on one thread whatever is asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from serving import Engine, Query, serve

AT_ONCE = 5_000
COLLECTION, FIELD = "passages", "latents"
EXACT = {"metric_type": "IP", "params": {"drop_ratio_search": 0.0}}


class Milvus(Engine):
    name = "milvus lite"
    package = "milvus-lite"
    kind = "exact"

    def build(self) -> None:
        data, client = self.data, self._client()
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field(FIELD, DataType.SPARSE_FLOAT_VECTOR)
        index = client.prepare_index_params()
        index.add_index(FIELD, index_type="SPARSE_INVERTED_INDEX", metric_type="IP",
                        params={"inverted_index_algo": "TAAT_NAIVE"})  # fmt: skip
        client.create_collection(COLLECTION, schema=schema, index_params=index)
        for start in range(0, data.n_passages, AT_ONCE):
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            latents, impacts = data.read("latents", part).tolist(), data.read("impacts", part).tolist()
            ends = (data.offsets[start : end + 1] - part.start).tolist()
            rows = []
            for i in range(end - start):
                entries = slice(ends[i], ends[i + 1])
                rows.append({"id": start + i, FIELD: dict(zip(latents[entries], impacts[entries], strict=True))})
            client.insert(COLLECTION, rows)
        client.flush(COLLECTION)
        client.close()

    def open(self) -> None:
        self.client = self._client()
        self.client.load_collection(COLLECTION)
        self.search(self.prepared(self.data.queries[0]), 1, None)

    def prepared(self, query: Query) -> dict[int, float]:
        return dict(zip(query.latents.tolist(), query.weights.tolist(), strict=True))

    def search(self, prepared: dict[int, float], k: int, setting: Any) -> Any:
        return self.search_all([prepared], k, setting)[0]

    def search_all(self, prepared: list[dict[int, float]], k: int, setting: Any) -> list[Any]:
        return list(self.client.search(COLLECTION, prepared, anns_field=FIELD, limit=k, search_params=EXACT))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.array([hit["id"] for hit in answer], np.int64)

    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.out.rglob("*") if "milvus.db" in path.parts and path.is_file())

    def _client(self) -> MilvusClient:
        return MilvusClient(str(self.out / "milvus.db"))


if __name__ == "__main__":
    serve(Milvus)
