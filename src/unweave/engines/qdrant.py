"""Qdrant: a collection with a sparse vector, in a server or, by its client's local mode, in a folder.

The local mode is Python that reads every point; `qdrant_edge` is Qdrant's own code in this process.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.base.plain import plain
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Found, Question, Rows, Shape, contents
from unweave.engines.numbers import shortest
from unweave.engines.own_folder import claim
from unweave.errors import BadData

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

ALIAS = "unweave_passages"
_OURS = re.compile(ALIAS + "_[0-9a-f]{16}")
_IMPACTS, _EMBEDDING, _WORDS = "concepts", "embedding", "words"
_AT_ONCE = 256
"""Points a request, whose size a server limits to 32 MB unless it is told otherwise."""


class Qdrant:
    """A collection an export, named for its state, and an alias that is moved to it once it is whole.

    The id of a point is the passage's number, its own id is in the payload. Words are weighed for BM25 by Qdrant's own
    code, which comes with Qdrant Edge, and their idf by the collection.
    """

    numbers = "floats of single precision and an exact dot product; no modifier, for idf is in the query's weights"
    posting_bytes: float = 24

    def __init__(self, address: str) -> None:
        """Take a server's address, such as http://localhost:6333, or a folder for the client's local mode.

        Raises:
            BadData: it has a password, or may be meant as an address and does not say http.
        """
        require("Qdrant", "qdrant", "qdrant_client", "qdrant_edge")
        self.address = str(address)
        self.is_server = re.match(r"https?://[^/@]+/?$", self.address) is not None
        if not self.is_server and ("://" in self.address or re.fullmatch(r"[\w.-]+:\d+", self.address)):
            raise BadData(
                f"{plain(self.address, 100)} is no address of Qdrant; expected such as http://localhost:6333, whose "
                "key comes from QDRANT_API_KEY, or a folder"
            )
        self.ran = not self.is_server
        self._client: QdrantClient | None = None
        self.collection = ALIAS

    @property
    def client(self) -> QdrantClient:
        """The client, open since `prepare`."""
        assert self._client is not None
        return self._client

    def mapping(self, shape: Shape) -> str:
        dense = {"vectors": {_EMBEDDING: {"size": shape.width, "distance": "Dot"}}} if shape.width else {}
        index = {"index": {"datatype": "float32"}}
        words = {_WORDS: {**index, "modifier": "idf"}} if shape.texts else {}
        return json.dumps({**dense, "sparse_vectors": {_IMPACTS: index, **words}})

    def request(self, queries: csr_array, cutoff: int) -> str:
        return json.dumps({"query": _sparse(queries, 0), "using": _IMPACTS, "limit": cutoff, "with_payload": ["id"]})

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        ranked: dict[str, Any] = {_IMPACTS: _sparse(question.weights, 0)}
        if question.embedding is not None:
            ranked[_EMBEDDING] = shortest(question.embedding)
        if question.text is not None:
            from qdrant_edge import Bm25

            words = Bm25().embed_query(question.text)
            ranked[_WORDS] = {"indices": list(words.indices), "values": list(words.values)}
        prefetch = [{"query": one, "using": name, "limit": max(DEPTH, cutoff)} for name, one in ranked.items()]
        fused = {"rrf": {"k": RANK_CONSTANT + 1}}  # its ranks are from 0
        return json.dumps({"prefetch": prefetch, "query": fused, "limit": cutoff, "with_payload": ["id"]})

    def prepare(self, shape: Shape) -> None:
        from qdrant_client import QdrantClient

        self.close()
        self.collection = f"{ALIAS}_{sha256(shape.state.encode()).hexdigest()[:16]}"
        if not self.is_server:
            self._client = QdrantClient(path=str(claim(Path(self.address), shape.state)))
        else:
            key = os.environ.get("QDRANT_API_KEY")
            self._client = QdrantClient(url=self.address, api_key=key, timeout=120, check_compatibility=False)
        with _answering():
            self._make(shape)

    def _make(self, shape: Shape) -> None:
        from qdrant_client import models

        names = [one.name for one in self.client.get_collections().collections]
        if ALIAS in names:
            raise BadData(f"the collection {ALIAS} is in the way and is no export of unweave; rename it")
        if self.collection in names:
            return
        asked = models.CreateCollection(**json.loads(self.mapping(shape)))
        self.client.create_collection(
            self.collection, vectors_config=asked.vectors or {}, sparse_vectors_config=asked.sparse_vectors
        )

    def count(self) -> int:
        with _answering():
            return self.client.count(self.collection, exact=True).count

    def add(self, rows: Rows) -> None:
        from qdrant_client import models
        from qdrant_edge import Bm25

        points, bm25 = [], Bm25()
        for i, passage_id in enumerate(rows.ids):
            vector: dict[str, Any] = {_IMPACTS: models.SparseVector(**_sparse(rows.impacts, i))}
            if rows.embeddings is not None:
                vector[_EMBEDDING] = rows.embeddings[i].tolist()
            if text := contents(rows.fields[i]):
                words = bm25.embed_document(text)
                vector[_WORDS] = models.SparseVector(indices=list(words.indices), values=list(words.values))
            payload = json.loads(json.dumps({"id": passage_id, **rows.fields[i]}, default=str))
            points.append(models.PointStruct(id=rows.first + i, vector=vector, payload=payload))
        with _answering():
            self.client.upload_points(self.collection, points, batch_size=_AT_ONCE, max_retries=8, wait=True)

    def finish(self) -> None:
        with _answering():
            self._move_alias()

    def _move_alias(self) -> None:
        from qdrant_client import models

        alias = models.CreateAlias(collection_name=self.collection, alias_name=ALIAS)
        moved: list[Any] = [models.CreateAliasOperation(create_alias=alias)]
        if any(one.alias_name == ALIAS for one in self.client.get_aliases().aliases):
            moved.insert(0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=ALIAS)))
        self.client.update_collection_aliases(moved)
        for one in self.client.get_collections().collections:
            if _OURS.fullmatch(one.name) and one.name != self.collection:
                self.client.delete_collection(one.name)

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return [self._found(_sparse(queries, row), cutoff) for row in range(queries.shape[0])]

    def _found(self, query: dict[str, list[Any]], cutoff: int) -> Found:
        from qdrant_client import models

        if not query["indices"]:
            return Found([], [])
        asked = models.SparseVector(**query)
        with _answering():
            points = self.client.query_points(
                self.collection, query=asked, using=_IMPACTS, limit=cutoff, with_payload=["id"]
            ).points
        return Found([(point.payload or {})["id"] for point in points], [point.score for point in points])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


@contextmanager
def _answering() -> Iterator[None]:
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except ApiException as error:
        raise BadData(f"Qdrant does not answer as it should: {plain(str(error), 300)}") from error


def _sparse(rows: csr_array, nth: int) -> dict[str, list[Any]]:
    """A row as Qdrant takes it, without what is 0."""
    row = slice(rows.indptr[nth], rows.indptr[nth + 1])
    there = rows.data[row] != 0
    return {"indices": rows.indices[row][there].tolist(), "values": shortest(rows.data[row][there])}
