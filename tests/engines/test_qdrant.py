"""What Qdrant's client sends to a server or keeps in a folder; the tests of the contract run its local mode too."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("qdrant_client", reason="qdrant_client is not installed")
pytest.importorskip("qdrant_edge", reason="qdrant_edge is not installed")

import engines_here as here
from http_api import Answer, serving
from qdrant_client import models
from scipy.sparse import csr_array

from unweave.engines.qdrant import ALIAS, Qdrant
from unweave.engines.sending import send, shape_of
from unweave.errors import BadData


def test_texts_travel_in_the_payload_and_the_alias_is_moved(tmp_path):
    index, engine = here.index_of(tmp_path / "index", 20), Qdrant(tmp_path / "own")
    here.send_with_texts(index, engine)
    (point,) = engine.client.retrieve(ALIAS, [0])
    assert point.payload == {"id": "a/b", "title": "a/b", "metadata": {"n": 1}}
    engine.close()


def test_the_requests_are_what_the_package_has_types_for(tmp_path):
    engine, index = Qdrant(tmp_path / "own"), here.index_of(tmp_path / "index", 20)
    asked = models.QueryRequest(**json.loads(engine.request(here.queries(1), 10)))
    assert asked.using == "concepts" and asked.limit == 10
    made = models.CreateCollection(**json.loads(engine.mapping(shape_of(index, "", 4))))
    assert made.vectors["embedding"].size == 4 and made.sparse_vectors["concepts"].modifier is None
    assert made.sparse_vectors["concepts"].index.datatype == "float32"


def test_a_weight_of_nothing_is_not_sent(tmp_path):
    engine = Qdrant(tmp_path / "own")
    asked = json.loads(engine.request(csr_array(([0.5, 0.0], [3, 4], [0, 2]), shape=(1, 8)), 10))
    assert asked["query"] == {"indices": [3], "values": [0.5]}


# --- a server: what is sent to it, over the wire -----------------------------------------------------


class Collections:
    """What Qdrant's documentation says of the requests that an export makes: collections, points and aliases."""

    def __init__(self):
        self.points, self.aliases = {}, {}

    def __call__(self, asked):
        _, *path = asked.path.split("/")
        return Answer(200, {"result": self._result(asked, path), "status": "ok", "time": 0.001})

    def _result(self, asked, path):
        body = asked.json()
        if path == [""]:
            return {}
        if path == ["collections"]:
            return {"collections": [{"name": name} for name in self.points]}
        if path == ["aliases"]:
            return {"aliases": [{"alias_name": a, "collection_name": c} for a, c in self.aliases.items()]}
        if path == ["collections", "aliases"]:
            for action in body["actions"]:
                ((verb, of),) = action.items()
                self.aliases[of["alias_name"]] = of.get("collection_name") if verb == "create_alias" else None
            return True
        name, *rest = path[1:]
        if rest == [] and asked.method == "PUT":
            self.points[name] = {}
            return True
        if rest == [] and asked.method == "DELETE":
            return bool(self.points.pop(name, None)) or True
        if rest == ["points"]:
            self.points[name].update({point["id"]: point for point in body["points"]})
            return {"operation_id": 1, "status": "completed"}
        assert rest == ["points", "count"], asked.path
        return {"count": len(self.points[name])}


@pytest.mark.filterwarnings("ignore")
def test_what_goes_over_the_wire_to_a_server(tmp_path, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "secret")
    index, answers = here.index_of(tmp_path / "index", 300), Collections()
    with serving(answers) as server:
        engine = Qdrant(server.address)
        assert engine.ran is False
        assert send(index, engine, shape_of(index, "")) == 0
        assert send(index, engine, shape_of(index, "")) == 300
        engine.close()
    (made,) = [one for one in server.asked if one.path == f"/collections/{engine.collection}" and one.method == "PUT"]
    assert made.json()["sparse_vectors"] == {"concepts": {"index": {"datatype": "float32"}}}
    sent = [one for one in server.asked if one.path.endswith("/points")]
    assert [len(one.json()["points"]) for one in sent] == [256, 44] and sent[0].query["wait"] == ["true"]
    assert {one.headers.get("api-key") for one in sent} == {"secret"}
    assert sent[0].json()["points"][0]["payload"] == {"id": "a/b"}
    assert answers.aliases == {ALIAS: engine.collection}


def test_an_address_without_http_is_not_taken_for_a_folder():
    for address in ("localhost:6333", "http://me:secret@localhost:6333", "grpc://localhost"):
        with pytest.raises(BadData, match="no address of Qdrant"):
            Qdrant(address)


@pytest.mark.filterwarnings("ignore")
def test_a_server_that_is_not_there_is_said_in_a_line(tmp_path):
    index = here.index_of(tmp_path / "index", 20)
    with pytest.raises(BadData, match="does not answer as it should"):
        Qdrant("http://127.0.0.1:1").prepare(shape_of(index, ""))
