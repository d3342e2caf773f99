"""What Elasticsearch's and OpenSearch's documentation says of the requests that an export makes, in memory.

Weights are held as Lucene holds them, by the bits of a float; queries of the other engine, and what both refuse, are
refused.
"""

from __future__ import annotations

import fnmatch
import struct
from typing import Any

from http_api import Answer, Asked

ELASTICSEARCH, OPENSEARCH = "elasticsearch", "opensearch"


def held(weight: float) -> float:
    """A weight with the upper 17 bits of a float of single precision: sign, exponent, and 8 of the mantissa."""
    (bits,) = struct.unpack(">I", struct.pack(">f", weight))
    return float(struct.unpack(">f", struct.pack(">I", bits >> 15 << 15))[0])


class ElasticApi:
    """Indices, aliases and documents; `__call__` answers a request."""

    def __init__(self, product: str) -> None:
        self.product = product
        self.indices: dict[str, dict[str, Any]] = {}
        self.documents: dict[str, dict[str, dict[str, Any]]] = {}
        self.aliases: dict[str, str] = {}
        self.busy: set[str] = set()
        """Documents that are refused once, because the server has too much to do."""
        self.dies_at: int | None = None
        """The request to `_bulk` in which the server is gone after half of the documents, until this is None."""
        self.bulks, self.is_gone = 0, False

    def __call__(self, asked: Asked) -> Answer:
        self.is_gone = self.is_gone and self.dies_at is not None
        answer = Answer(0) if self.is_gone else self._answer(asked)
        product = {"X-Elastic-Product": "Elasticsearch"} if self.product == ELASTICSEARCH else {}
        kind = asked.headers.get("accept", "")
        typed = {"Content-Type": kind} if kind.startswith("application/vnd.elasticsearch") else {}
        return answer._replace(headers={**product, **typed})

    def _answer(self, asked: Asked) -> Answer:
        first, *rest = asked.path.strip("/").split("/")
        if first == "":
            number = "9.1.0" if self.product == ELASTICSEARCH else "3.0.0"
            return Answer(200, {"version": {"number": number}, "tagline": "You Know, for Search"})
        if first == "_bulk":
            return self._bulk(asked.lines())
        if first == "_aliases":
            return self._move(asked.json()["actions"])
        if first == "_alias":
            return Answer(200 if rest[0] in self.aliases else 404)
        name = self.aliases.get(first, first)
        if rest == [] and asked.method == "PUT":
            return self._create(name, asked.json())
        if rest == [] and asked.method == "GET":
            return Answer(200, {one: body for one, body in self.indices.items() if fnmatch.fnmatch(one, name)})
        if name not in self.indices:
            return Answer(404, {"error": {"type": "index_not_found_exception", "reason": f"no such index [{name}]"}})
        if rest == ["_count"]:
            return Answer(200, {"count": len(self.documents[name])})
        return self._search(name, asked.json()) if rest == ["_search"] else Answer(200, {})

    def _create(self, name: str, body: dict[str, Any]) -> Answer:
        field = body["mappings"]["properties"]["impacts"]
        wanted = {"type": "sparse_vector", "index_options": {"prune": False}}
        if field != (wanted if self.product == ELASTICSEARCH else {"type": "rank_features"}):
            return Answer(400, {"error": {"type": "mapper_parsing_exception", "reason": str(field)}})
        self.indices[name], self.documents[name] = body, {}
        return Answer(200, {"acknowledged": True, "index": name})

    def _move(self, actions: list[dict[str, dict[str, str]]]) -> Answer:
        for action in actions:
            ((verb, of),) = action.items()
            if verb == "remove_index":
                del self.indices[of["index"]], self.documents[of["index"]]
            else:
                self.aliases[of["alias"]] = of["index"]
        return Answer(200, {"acknowledged": True})

    def _bulk(self, lines: list[dict[str, Any]]) -> Answer:
        self.bulks += 1
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
        dies = self.is_gone = self.bulks == self.dies_at
        items = [self._index(action["index"], document) for action, document in pairs[: len(pairs) // (1 + dies)]]
        failed = any(item["index"]["status"] >= 400 for item in items)
        return Answer(0) if dies else Answer(200, {"took": 1, "errors": failed, "items": items})

    def _index(self, action: dict[str, str], document: dict[str, Any]) -> dict[str, Any]:
        number = action["_id"]
        if number in self.busy:
            self.busy.remove(number)
            error = {"type": "es_rejected_execution_exception", "reason": "the queue is full"}
            return {"index": {"_id": number, "status": 429, "error": error}}
        if any(weight <= 0 for weight in document["impacts"].values()):
            error = {"type": "document_parsing_exception", "reason": "feature weights have to be positive"}
            return {"index": {"_id": number, "status": 400, "error": error}}
        impacts = {word: held(weight) for word, weight in document["impacts"].items()}
        self.documents[action["_index"]][number] = {"source": document, "impacts": impacts}
        return {"index": {"_id": number, "status": 201}}

    def _weights(self, query: dict[str, Any]) -> dict[str, float] | None:
        if self.product == ELASTICSEARCH:
            of = query["sparse_vector"]
            return None if of["prune"] or of["field"] != "impacts" else dict(of["query_vector"])
        weights: dict[str, float] = query["neural_sparse"]["impacts"]["query_tokens"]
        return None if any(weight > 64 for weight in weights.values()) else weights

    def _search(self, name: str, body: dict[str, Any]) -> Answer:
        weights = self._weights(body["query"])
        if weights is None or any(weight <= 0 for weight in weights.values()):
            return Answer(400, {"error": {"type": "illegal_argument_exception", "reason": "weight must be in ]0, 64]"}})
        hits = []
        for number, one in self.documents[name].items():
            shared = weights.keys() & one["impacts"].keys()
            if shared:
                score = sum(weights[word] * one["impacts"][word] for word in shared)
                source = {field: one["source"][field] for field in body["_source"]}
                hits.append({"_index": name, "_id": number, "_score": score, "_source": source})
        hits.sort(key=lambda hit: (-hit["_score"], int(hit["_id"])))
        return Answer(200, {"hits": {"total": {"value": len(hits)}, "hits": hits[: body["size"]]}})
