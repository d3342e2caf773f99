"""Passages as Elasticsearch and OpenSearch take them in bulk: lines of JSON, to be sent by hand or by a client.

mapping.json                     the body of the request that makes the index
passages-FIRST-END.ndjson        the body of a request to `_bulk`, which names the index
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from scipy.sparse import csr_array

from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.engines.engine import Found, Question, Rows, Shape, latent_of, term
from unweave.engines.numbers import as_features, shortest
from unweave.engines.parts import Parts
from unweave.engines.written import rows_from
from unweave.errors import BadData

INDEX = "unweave_passages"
"""The index that is made by hand, or the alias of the one that a client has made."""
_OURS = re.compile(INDEX + "_[0-9a-f]{16}")
_RETRIES = {"max_retries": 8, "initial_backoff": 1, "max_backoff": 60}
_FIELDS = {"id": {"type": "keyword", "ignore_above": 8_000}}
_TEXTS = {"title": {"type": "text"}, "text": {"type": "text"}, "metadata": {"type": "object", "enabled": False}}


class Dialect(ABC):
    """What one of the two engines calls the field of impacts, and how it is asked."""

    numbers: str
    posting_bytes: float = 9
    ran = False

    @abstractmethod
    def index_body(self, shape: Shape) -> dict[str, Any]:
        """The body of the request that makes an index."""

    @abstractmethod
    def clause(self, weights: dict[str, float]) -> dict[str, Any]:
        """A query by concepts, as a part of other queries."""

    @abstractmethod
    def fused(self, question: Question, cutoff: int) -> dict[str, Any]:
        """A search for a question in all its forms."""

    @abstractmethod
    def weights(self, queries: csr_array) -> csr_array:
        """The weights of queries as the engine takes them."""

    def mapping(self, shape: Shape) -> str:
        return json.dumps(self.index_body(shape))

    def request(self, queries: csr_array, cutoff: int) -> str:
        return json.dumps(self.body(words(self.weights(queries[[0]]), 0), cutoff))

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        if question.text is None and question.embedding is None:
            return None
        return json.dumps(self.fused(question._replace(weights=self.weights(question.weights)), cutoff))

    def body(self, weights: dict[str, float], cutoff: int) -> dict[str, Any]:
        """The body of a search by concepts."""
        return {"size": cutoff, "_source": ["id"], "query": self.clause(weights)}


def properties(shape: Shape, impacts: dict[str, Any], embedding: dict[str, Any]) -> dict[str, Any]:
    """The fields of a passage; metadata are kept and not looked into, for they may hold anything."""
    fields = {**_FIELDS, "impacts": impacts, **(_TEXTS if shape.texts else {})}
    return {**fields, "embedding": embedding} if shape.width else fields


def words(rows: csr_array, nth: int) -> dict[str, float]:
    """A row by the names of its concepts."""
    row = slice(rows.indptr[nth], rows.indptr[nth + 1])
    return dict(zip(map(term, rows.indices[row].tolist()), shortest(rows.data[row]), strict=True))


def documents(rows: Rows) -> Iterator[dict[str, Any]]:
    """Each passage as both engines take it; halves of characters, which are no UTF-8, become question marks."""
    for i, passage_id in enumerate(rows.ids):
        held = {"id": passage_id, "impacts": words(rows.impacts, i), **rows.fields[i]}
        if rows.embeddings is not None:
            held["embedding"] = shortest(rows.embeddings[i])
        text = json.dumps(held, ensure_ascii=False, default=str)
        yield json.loads(text.encode("utf-8", "replace"))


class BulkFiles(Dialect, Parts):
    """Files for `_bulk`. Reading them back, a weight is what the engine will make of it, so that it is known before."""

    extension = "ndjson"

    def prepare(self, shape: Shape) -> None:
        super().prepare(shape)
        body = json.dumps(self.index_body(shape), indent=1) + "\n"
        write_atomically(self.folder / "mapping.json", lambda path: path.write_text(body, encoding="utf-8"))

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        return Dialect.hybrid(self, question, cutoff)

    def write(self, path: Path, rows: Rows) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for number, document in enumerate(documents(rows), rows.first):
                action = {"index": {"_index": INDEX, "_id": str(number)}}
                file.write(json.dumps(action) + "\n" + json.dumps(document, ensure_ascii=False) + "\n")

    def read(self, path: Path, first: int) -> Rows:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line) for line in file][1::2]
        latents = [[latent_of(word) for word in line["impacts"]] for line in lines]
        weights, ids = [list(line["impacts"].values()) for line in lines], [line["id"] for line in lines]
        rows = rows_from(first, ids, latents, weights, self.shape.n_latents)
        return rows._replace(impacts=as_features(rows.impacts))

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return super().search(self.weights(queries), cutoff)


class BulkServer(Dialect):
    """An index an export, named for its state, and an alias that is moved to it once it is whole.

    The id of a document is the passage's number. A client sends some hundred documents at once, waits for what became
    of them, and sends those again, ever later, that the server was too busy for.
    """

    product: str
    errors: tuple[type[Exception], ...] = ()
    """What the client raises, known once it is imported."""

    def __init__(self, address: str) -> None:
        """Take a server's address, without a password: it is noted.

        Raises:
            BadData: it is none, or has a password.
        """
        if not re.match(r"https?://[^/@]+/?$", str(address)):
            raise BadData(
                f"{plain(str(address), 100)} is no address of {self.product}; expected such as http://localhost:9200, "
                "without a password, which comes from the environment"
            )
        self.address = str(address)
        self.index = INDEX
        self._client: Any = None

    @abstractmethod
    def connect(self) -> Any:
        """A client of the package's own, and `errors`."""

    @abstractmethod
    def bulk(self, client: Any, actions: Iterator[dict[str, Any]], **retries: Any) -> tuple[int, Any]:
        """The client's own helper for many documents: how many it sent, and what was refused."""

    @property
    def client(self) -> Any:
        """The client; nothing is asked before it has to be."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        client = self.client
        try:
            yield client
        except self.errors as error:
            raise BadData(f"{self.product} does not answer as it should: {plain(str(error), 300)}") from error

    def prepare(self, shape: Shape) -> None:
        self.index = f"{INDEX}_{sha256(shape.state.encode()).hexdigest()[:16]}"
        with self._asking() as client:
            if client.indices.exists(index=INDEX) and not client.indices.exists_alias(name=INDEX):
                raise BadData(f"the index {INDEX} is in the way and is no export of unweave; rename it")
            if not client.indices.exists(index=self.index):
                client.indices.create(index=self.index, body=self.index_body(shape))

    def count(self) -> int:
        with self._asking() as client:
            client.indices.refresh(index=self.index)
            return int(client.count(index=self.index)["count"])

    def add(self, rows: Rows) -> None:
        numbered = enumerate(documents(rows), rows.first)
        actions = ({"_index": self.index, "_id": str(i), "_source": one} for i, one in numbered)
        with self._asking() as client:
            # Told to raise, the helpers do so before they send again what a server was too busy for.
            _, refused = self.bulk(client, actions, raise_on_error=False, **_RETRIES)
        if refused:
            (said,) = refused[0].values()
            why = plain(json.dumps({name: said.get(name) for name in ("_id", "status", "error")}), 300)
            raise BadData(f"{self.product} did not take {len(refused):,} documents, such as {why}")

    def finish(self) -> None:
        with self._asking() as client:
            client.indices.refresh(index=self.index)
            known = [name for name in client.indices.get(index=f"{INDEX}_*") if _OURS.fullmatch(name)]
            earlier = [name for name in known if name != self.index]
            actions = [{"add": {"index": self.index, "alias": INDEX}}]
            actions += [{"remove_index": {"index": name}} for name in earlier]
            client.indices.update_aliases(body={"actions": actions})

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        kept = self.weights(queries)
        return [self._found(words(kept, row), cutoff) for row in range(kept.shape[0])]

    def _found(self, weights: dict[str, float], cutoff: int) -> Found:
        if not weights:
            return Found([], [])
        with self._asking() as client:
            hits = client.search(index=self.index, body=self.body(weights, cutoff))["hits"]["hits"]
        return Found([hit["_source"]["id"] for hit in hits], [float(hit["_score"]) for hit in hits])

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
