"""Milvus: a collection with a sparse vector, in a server or, by Milvus Lite, in a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.base.plain import plain
from unweave.engines.engine import DEPTH, RANK_CONSTANT, Found, Question, Rows, Shape, contents
from unweave.engines.numbers import positive
from unweave.errors import BadData

if TYPE_CHECKING:
    from pymilvus import MilvusClient

ALIAS = "unweave_passages"
_OURS = re.compile(ALIAS + "_[0-9a-f]{16}")
_INDEX = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP",
          "params": {"inverted_index_algo": "TAAT_NAIVE"}}  # fmt: skip
_LONGEST = 65_535
"""Bytes of a text in a column."""
_AT_ONCE = 1_024
"""Passages a request, whose size a server limits to 64 MB."""
_WHOLE = {"drop_ratio_search": 0.0}


@contextmanager
def _answering() -> Iterator[None]:
    """What Milvus does not do, as one error."""
    from pymilvus import MilvusException

    try:
        yield
    except MilvusException as error:
        raise BadData(
            f"Milvus does not answer as it should: {plain(str(error), 300)}; when it does, run the export again, "
            "which goes on where it stopped, or ask again"
        ) from error


class Milvus:
    """A collection an export, named for its state, and an alias that is moved to it once it is whole.

    Milvus Lite keeps no description, by which another collection could be told from an export. The primary key is the
    passage's number, its id is a field.
    """

    numbers: str = (
        "floats of single precision and an exact product by TAAT_NAIVE with nothing dropped; a query's negative "
        "weights, which Milvus refuses, are left out"
    )
    posting_bytes: float = 7
    ran: bool = True

    def __init__(self, address: str) -> None:
        """Take a server's address, or the path of a file for Milvus Lite, which ends in .db."""
        require("Milvus", "milvus", "pymilvus")
        self.address = str(address)
        self._client: MilvusClient | None = None
        self._texts = False
        self.collection = ALIAS

    @property
    def client(self) -> Any:
        """The open client."""
        if self._client is None:
            from pymilvus import MilvusClient

            with _answering():
                self._client = MilvusClient(self.address, token=os.environ.get("MILVUS_TOKEN", ""))
        return self._client

    def mapping(self, shape: Shape) -> str:
        fields = {"number": "INT64, primary", "id": f"VARCHAR({_LONGEST})", "impacts": "SPARSE_FLOAT_VECTOR",
                  "fields": "JSON"}  # fmt: skip
        if shape.width:
            fields["embedding"] = f"FLOAT_VECTOR({shape.width}), FLAT, IP"
        if shape.texts:
            fields |= {"contents": f"VARCHAR({_LONGEST}), analyzed", "words": "BM25(contents), SPARSE_INVERTED_INDEX"}
        return json.dumps({"fields": fields, "index": _INDEX})

    def request(self, queries: csr_array, cutoff: int) -> str:
        return json.dumps({"data": [_pairs(positive(queries), 0)], "annsField": "impacts", "limit": cutoff,
                           "outputFields": ["id"], "searchParams": {"params": _WHOLE}})  # fmt: skip

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        asked: list[tuple[str, Any, dict[str, Any]]] = [("impacts", _pairs(positive(question.weights), 0), _WHOLE)]
        if question.embedding is not None:
            asked.append(("embedding", question.embedding.tolist(), {}))
        if question.text is not None:
            asked.append(("words", question.text, {}))
        search = [
            {"annsField": field, "data": [query], "limit": max(DEPTH, cutoff), "params": params}
            for field, query, params in asked
        ]
        rerank = {"strategy": "rrf", "params": {"k": RANK_CONSTANT}}
        return json.dumps({"collectionName": ALIAS, "search": search, "rerank": rerank, "limit": cutoff,
                           "outputFields": ["id"]})  # fmt: skip

    @_answering()
    def prepare(self, shape: Shape) -> None:
        self._texts = shape.texts
        self.collection = f"{ALIAS}_{sha256(shape.state.encode()).hexdigest()[:16]}"
        if ALIAS in self.client.list_collections():
            raise BadData(f"the collection {ALIAS} is in the way and is no export of unweave; rename it")
        if self.client.has_collection(self.collection):
            self.client.load_collection(self.collection)
            return
        self._create(shape)

    def _create(self, shape: Shape) -> None:
        from pymilvus import DataType, Function, FunctionType

        schema, index = self.client.create_schema(auto_id=False), self.client.prepare_index_params()
        schema.add_field("number", DataType.INT64, is_primary=True)
        schema.add_field("id", DataType.VARCHAR, max_length=_LONGEST)
        schema.add_field("impacts", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_field("fields", DataType.JSON)
        index.add_index("impacts", **_INDEX)
        if shape.width:
            schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=shape.width)
            index.add_index("embedding", index_type="FLAT", metric_type="IP")
        if shape.texts:
            schema.add_field("contents", DataType.VARCHAR, max_length=_LONGEST, enable_analyzer=True)
            schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
            schema.add_function(Function("words", FunctionType.BM25, ["contents"], ["words"]))
            index.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        self.client.create_collection(self.collection, schema=schema, index_params=index)

    @_answering()
    def count(self) -> int:
        found = self.client.query(self.collection, filter="", output_fields=["count(*)"], consistency_level="Strong")
        return int(found[0]["count(*)"])

    @_answering()
    def add(self, rows: Rows) -> None:
        for start in range(0, len(rows.ids), _AT_ONCE):
            lines = [self._line(rows, i) for i in range(start, min(start + _AT_ONCE, len(rows.ids)))]
            self.client.upsert(self.collection, lines)
        self.client.flush(self.collection)

    def _line(self, rows: Rows, i: int) -> dict[str, Any]:
        fields = json.loads(json.dumps(dict(rows.fields[i]), default=str))
        line = {"number": rows.first + i, "id": rows.ids[i], "impacts": _pairs(rows.impacts, i), "fields": fields}
        if rows.embeddings is not None:
            line["embedding"] = rows.embeddings[i].tolist()
        if self._texts:
            line["contents"] = contents(fields).encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
        return line

    @_answering()
    def finish(self) -> None:
        self.client.load_collection(self.collection)
        known = self.client.has_collection(ALIAS)
        (self.client.alter_alias if known else self.client.create_alias)(self.collection, ALIAS)
        for name in self.client.list_collections():
            if _OURS.fullmatch(name) and name != self.collection:
                self.client.drop_collection(name)

    @_answering()
    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        kept = positive(queries)
        return [self._found(_pairs(kept, row), cutoff) for row in range(kept.shape[0])]

    def _found(self, query: dict[int, float], cutoff: int) -> Found:
        if not query:
            return Found([], [])
        asked = {"params": _WHOLE}
        (hits,) = self.client.search(
            self.collection, [query], anns_field="impacts", limit=cutoff, output_fields=["id"], search_params=asked,
            consistency_level="Strong",
        )  # fmt: skip
        return Found([hit["entity"]["id"] for hit in hits], [float(hit["distance"]) for hit in hits])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _pairs(rows: csr_array, nth: int) -> dict[int, float]:
    row = slice(rows.indptr[nth], rows.indptr[nth + 1])
    return dict(zip(rows.indices[row].tolist(), rows.data[row].tolist(), strict=True))
