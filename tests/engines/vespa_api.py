"""What Vespa's documentation says of the requests that an export makes, in memory: documents, counts and searches."""

from __future__ import annotations

import re
from typing import Any

from http_api import Answer, Asked

SCHEMA = "unweave_passages"
_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class VespaApi:
    """The documents of one schema; `__call__` answers a request."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.has_schema = True
        self.busy: set[str] = set()
        """Documents that are refused once, because the server has too much to do."""
        self.dies_after: int | None = None
        """Documents after which the server is gone."""

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == "/search/":
            return self._search(asked.json())
        number = asked.path.removeprefix(f"/document/v1/{SCHEMA}/{SCHEMA}/docid/")
        assert number.isdigit(), asked.path
        if self.dies_after is not None and len(self.documents) >= self.dies_after:
            return Answer(507, {"message": "507: no space left"})
        if number in self.busy:
            self.busy.remove(number)
            return Answer(429, {"message": "rejected due to backpressure"})
        if asked.method == "DELETE":
            self.documents.pop(number, None)
        else:
            fields = asked.json()["fields"]
            if any(_REFUSED.search(value) for value in fields.values() if isinstance(value, str)):
                return Answer(400, {"message": "a string has illegal code points"})
            self.documents[number] = fields
        return Answer(200, {"id": f"id:{SCHEMA}:{SCHEMA}::{number}", "pathId": asked.path})

    def _search(self, body: dict[str, Any]) -> Answer:
        if not self.has_schema:
            error = {"code": 3, "message": f"Could not resolve source ref '{SCHEMA}'"}
            return Answer(400, {"root": {"errors": [error], "fields": {"totalCount": 0}}})
        asked = re.fullmatch(rf"select (id|documentid) from {SCHEMA} where (.+)", body["yql"])
        assert asked, body["yql"]
        found = {number: one for number, one in self.documents.items() if _matches(one, asked[2])}
        cells = re.findall(r"\{concept:(\d+)\}:([\d.e-]+)", body.get("input.query(weights)", ""))
        weights = {concept: float(weight) for concept, weight in cells}
        hits = []
        for number, one in found.items():
            impacts = one["impacts"]["cells"]
            score = sum(weight * impacts.get(concept, 0) for concept, weight in weights.items())
            said = one["id"] if asked[1] == "id" else f"id:{SCHEMA}:{SCHEMA}::{number}"
            hits.append({"relevance": score if body["ranking"] == "concepts" else 0.0, "fields": {asked[1]: said}})
        hits.sort(key=lambda hit: -hit["relevance"])
        root = {"fields": {"totalCount": len(hits)}, "coverage": {"coverage": 100}}
        return Answer(200, {"root": {**root, **({"children": hits[: body["hits"]]} if hits and body["hits"] else {})}})


def _matches(fields: dict[str, Any], where: str) -> bool:
    """One of the conditions that an export asks by."""
    for condition in where.split(" and "):
        if condition == "true":
            continue
        if concepts := re.fullmatch(r"concepts in \(([\d, ]+)\)", condition):
            if not set(map(int, concepts[1].split(", "))) & set(fields["concepts"]):
                return False
        elif state := re.fullmatch(r'(!?)\(?state contains "(\w+)"\)?', condition):
            if (fields["state"] == state[2]) == bool(state[1]):
                return False
        else:
            raise AssertionError(where)
    return True
