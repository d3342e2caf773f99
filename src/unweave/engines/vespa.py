"""Vespa: documents whose impacts are a tensor of floats, in a server or as files for one.

application/                     the application package, to be deployed before anything is fed: `vespa_application`
passages-FIRST-END.jsonl         what `vespa feed` reads
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.sparse import csr_array

from unweave.base.extras import require
from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.engines.engine import DEPTH, Found, Question, Rows, Shape
from unweave.engines.numbers import shortest
from unweave.engines.parts import Parts
from unweave.engines.vespa_application import SCHEMA, SERVICES, schema
from unweave.engines.written import rows_from
from unweave.errors import BadData

if TYPE_CHECKING:
    from vespa.application import Vespa as Application
    from vespa.io import VespaResponse

_REFUSED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that no string of Vespa's may have."""
_DELETED = 400
"""Documents that a query finds at most, unless its limit is raised."""


class _Asked:
    """What Vespa is told and asked, in a server or by hand."""

    numbers = (
        "floats of single precision and an exact product with every passage that shares a concept; a character that "
        "Vespa refuses, such as NUL, becomes a replacement character"
    )
    posting_bytes: float = 25
    ran = False

    def mapping(self, shape: Shape) -> str:
        return schema(shape.width, shape.texts)

    def request(self, queries: csr_array, cutoff: int) -> str:
        return json.dumps(search_body(*_row(queries, 0), cutoff))

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        if question.text is None and question.embedding is None:
            return None
        body, found = search_body(*_row(question.weights, 0), cutoff), [_sharing(question.weights.indices.tolist())]
        if question.text is not None:
            found.append(f"({{targetHits:{DEPTH}}}userInput(@words))")
            body["words"] = question.text
        if question.embedding is not None:
            found.append(f"({{targetHits:{DEPTH}}}nearestNeighbor(embedding, embedding))")
            body["input.query(embedding)"] = shortest(question.embedding)
        return json.dumps({**body, "yql": _yql(" or ".join(found)), "ranking": "hybrid"})


def search_body(latents: Sequence[int], weights: Sequence[float], cutoff: int, state: str = "") -> dict[str, Any]:
    """A search by concepts: all that share one are ranked; only those of one state, if one is given."""
    among = f' and state contains "{state}"' if state else ""
    cells = ",".join(f"{{concept:{latent}}}:{weight}" for latent, weight in zip(latents, weights, strict=True))
    return {
        "yql": _yql(_sharing(latents) + among), "ranking": "concepts", "hits": cutoff,
        "input.query(weights)": f"{{{cells}}}",
    }  # fmt: skip


def _yql(where: str, field: str = "id") -> str:
    """A query by what this module has made; nothing of a corpus or a person is in it."""
    return f"select {field} from {SCHEMA} where {where}"  # noqa: S608


def _sharing(latents: Sequence[int]) -> str:
    return f"concepts in ({', '.join(map(str, latents))})"


def named(state: str) -> str:
    """A state by some letters, as each passage has it."""
    return sha256(state.encode()).hexdigest()[:16]


def documents(rows: Rows, state: str) -> Iterator[dict[str, Any]]:
    """The fields of each passage; its concepts are there twice, to find it and to rank it."""
    for i, passage_id in enumerate(rows.ids):
        latents, impacts = _row(rows.impacts, i)
        cells = dict(zip(map(str, latents), impacts, strict=True))
        fields = {"id": _allowed(passage_id), "state": state, "concepts": latents, "impacts": {"cells": cells}}
        for name, value in rows.fields[i].items():
            fields[name] = _allowed(value if isinstance(value, str) else json.dumps(value, default=str))
        if rows.embeddings is not None:
            fields["embedding"] = {"values": shortest(rows.embeddings[i])}
        yield fields


def _row(rows: csr_array, nth: int) -> tuple[list[int], list[float]]:
    row = slice(rows.indptr[nth], rows.indptr[nth + 1])
    there = rows.data[row] != 0
    return rows.indices[row][there].tolist(), shortest(rows.data[row][there])


def _allowed(text: str) -> str:
    return _REFUSED.sub("\ufffd", text)


def _write(path: Path, text: str) -> None:
    write_atomically(path, lambda new: new.write_text(text, encoding="utf-8"))


class VespaFiles(_Asked, Parts):
    """An application package and the operations to feed, for who does both by hand."""

    extension = "jsonl"

    def prepare(self, shape: Shape) -> None:
        super().prepare(shape)
        application = self.folder / "application"
        (application / "schemas").mkdir(parents=True, exist_ok=True)
        _write(application / "services.xml", SERVICES)
        _write(application / "schemas" / f"{SCHEMA}.sd", schema(shape.width, shape.texts))

    def write(self, path: Path, rows: Rows) -> None:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for number, fields in enumerate(documents(rows, named(self.shape.state)), rows.first):
                put = {"put": f"id:{SCHEMA}:{SCHEMA}::{number}", "fields": fields}
                file.write(json.dumps(put, ensure_ascii=False) + "\n")

    def read(self, path: Path, first: int) -> Rows:
        with path.open(encoding="utf-8") as file:
            lines = [json.loads(line)["fields"] for line in file]
        cells = [line["impacts"]["cells"] for line in lines]
        latents, weights = [list(map(int, one)) for one in cells], [list(one.values()) for one in cells]
        return rows_from(first, [line["id"] for line in lines], latents, weights, self.shape.n_latents)


class Vespa(_Asked):
    """An application that has the schema: deploying one takes the place of all that is there, so nothing is deployed.

    The id of a document is the passage's number. Each has the state of its export, by which those of an earlier one
    are told from it, and taken away at the end.
    """

    def __init__(self, address: str) -> None:
        """Take the address of an application, such as http://localhost:8080, without a password: it is noted.

        Raises:
            BadData: it is none.
        """
        require("Vespa", "vespa", "vespa")
        if not re.match(r"https?://[^/@]+/?$", str(address)):
            raise BadData(
                f"{plain(str(address), 100)} is no address of Vespa; expected such as http://localhost:8080, whose "
                "token comes from VESPA_CLOUD_SECRET_TOKEN"
            )
        self.address = str(address).rstrip("/")
        self._application: Application | None = None
        self.state = ""

    @property
    def application(self) -> Application:
        """The client; nothing is asked before it has to be."""
        if self._application is None:
            from vespa.application import Vespa as Application

            token = os.environ.get("VESPA_CLOUD_SECRET_TOKEN")
            self._application = Application(self.address, vespa_cloud_secret_token=token)
        return self._application

    def prepare(self, shape: Shape) -> None:
        self.state = named(shape.state)
        self._counted("true")  # an application without the schema is said before any passage is sent

    def count(self) -> int:
        return self._counted(f'state contains "{self.state}"')

    def add(self, rows: Rows) -> None:
        numbered = enumerate(documents(rows, self.state), rows.first)
        self._feed(({"id": str(number), "fields": fields} for number, fields in numbered), "feed")

    def finish(self) -> None:
        others = f'true and !(state contains "{self.state}")'
        while True:
            asked = {"yql": _yql(others, "documentid"), "hits": _DELETED, "ranking": "unranked"}
            hits = self._ask(asked).get("children", [])
            if not hits:
                return
            numbers = (hit["fields"]["documentid"].rsplit(":", 1)[1] for hit in hits)
            self._feed(({"id": number} for number in numbers), "delete")

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return [self._found(*_row(queries, row), cutoff) for row in range(queries.shape[0])]

    def close(self) -> None:
        self._application = None

    def _found(self, latents: list[int], weights: list[float], cutoff: int) -> Found:
        if not latents:
            return Found([], [])
        hits = self._ask(search_body(latents, weights, cutoff, self.state)).get("children", [])
        return Found([hit["fields"]["id"] for hit in hits], [float(hit["relevance"]) for hit in hits])

    def _counted(self, where: str) -> int:
        asked = {"yql": _yql(where), "hits": 0, "ranking": "unranked"}
        return int(self._ask(asked)["fields"]["totalCount"])

    def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """The root of an answer, which is of all passages or an error."""
        with self._answering():
            root: dict[str, Any] = self.application.query(body).json["root"]
        if root.get("errors") or root.get("coverage", {}).get("coverage", 100) < 100:
            raise BadData(f"Vespa does not answer for all passages: {plain(json.dumps(root), 300)}")
        return root

    def _feed(self, operations: Iterator[dict[str, Any]], kind: str) -> None:
        """Some requests at once, and none twice at once; a request that Vespa is too busy for is sent again."""
        failed: list[str] = []

        def done(response: VespaResponse, number: str) -> None:
            if not response.is_successful():
                failed.append(f"document {number}: {json.dumps(response.json)}")

        with self._answering():
            self.application.feed_iterable(
                operations, schema=SCHEMA, namespace=SCHEMA, operation_type=kind, callback=done, max_queue_size=256
            )
        if failed:
            raise BadData(f"Vespa did not take {len(failed):,} documents, such as {plain(failed[0], 300)}")

    @contextmanager
    def _answering(self) -> Iterator[None]:
        from httpr import HTTPError
        from requests.exceptions import RequestException
        from vespa.exceptions import VespaError

        try:
            yield
        except (VespaError, RequestException, HTTPError) as error:
            raise BadData(
                f"Vespa does not answer as it should: {plain(str(error), 300)}; the application needs the schema that "
                "`unweave export vespa PROJECT OUT` writes to OUT/passages/application"
            ) from error
