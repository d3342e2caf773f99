"""Elasticsearch and OpenSearch: their own clients before a server that remembers what they asked, and answers.

Neither engine can be had here; `test_servers_elsewhere` runs where an address of one is given.
"""

from __future__ import annotations

import inspect
import json

import pytest

pytest.importorskip("elasticsearch", reason="elasticsearch is not installed")
pytest.importorskip("opensearchpy", reason="opensearchpy is not installed")

import engines_here as here
import numpy as np
from elastic_api import ELASTICSEARCH, OPENSEARCH, ElasticApi
from http_api import serving
from scipy.sparse import csr_array

from unweave.engines import sending
from unweave.engines.agreement import agreement
from unweave.engines.bulk import INDEX
from unweave.engines.catalogue import ENGINES
from unweave.engines.engine import Question
from unweave.engines.rehearsal import Rehearsal
from unweave.engines.sending import rows_of, send, shape_of
from unweave.errors import BadData

pytestmark = pytest.mark.filterwarnings("ignore")  # what clients say of their own


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return here.index_of(tmp_path_factory.mktemp("index") / "index", 300)


@pytest.fixture(params=[ELASTICSEARCH, OPENSEARCH])
def api(request, monkeypatch):
    monkeypatch.setattr(sending, "BATCH", 64)
    answers = ElasticApi(request.param)
    with serving(answers) as server:
        server.answers = answers
        yield server


@pytest.fixture
def engine(api):
    engine = ENGINES[api.answers.product].open(api.address)
    yield engine
    engine.close()


def test_its_server_finds_what_was_predicted(index, api, engine):
    assert send(index, engine, shape_of(index, "")) == 0
    found = agreement(index, engine, here.queries())
    rounding = ENGINES[api.answers.product].rounding
    predicted = agreement(index, Rehearsal(index, shape_of(index, ""), rounding, engine.numbers), here.queries())
    assert found.share == predicted.share >= 0.99 and found.error == pytest.approx(predicted.error, rel=1e-3)
    assert found.n_queries == 40 and "9 significant bits" in found.why


def test_every_id_comes_back_as_it_was(index, engine):
    rows = next(rows_of(index))
    send(index, engine, shape_of(index, ""))
    for i, passage_id in enumerate(here.HARD_IDS):
        assert passage_id in engine.search(rows.impacts[[i]], 300)[0].ids


def test_what_goes_over_the_wire(index, api, engine):
    send(
        index, engine, shape_of(index, ""), lambda ids: [{"title": "half \ud800", "metadata": {"a.b": 1}} for _ in ids]
    )
    (made,) = [one for one in api.asked if one.method == "PUT" and one.path.startswith(f"/{INDEX}")]
    assert made.path == f"/{engine.index}" and made.json() == json.loads(engine.mapping(shape_of(index, "")))
    action, document = api.of("/_bulk")[0].lines()[:2]
    assert action == {"index": {"_index": engine.index, "_id": "0"}}
    rows = next(rows_of(index))
    weights = rows.impacts[[0]]
    words = [f"c{latent:07d}" for latent in weights.indices.tolist()]
    assert (document["id"], document["title"], document["metadata"]) == ("a/b", "half ?", {"a.b": 1})
    assert list(document["impacts"]) == words
    assert np.array_equal(np.array(list(document["impacts"].values()), np.float32), weights.data)
    assert api.answers.aliases == {INDEX: engine.index}


def test_an_export_that_comes_again_doubles_nothing(index, api, engine):
    send(index, engine, shape_of(index, ""))
    n_bulks = api.answers.bulks
    assert send(index, engine, shape_of(index, "")) == 300 and api.answers.bulks == n_bulks
    for rows in rows_of(index):
        engine.add(rows)
    assert engine.count() == 300


def test_a_server_that_is_gone_in_the_midst_of_a_batch_has_lost_nothing(index, api, engine):
    api.answers.dies_at = 3
    with pytest.raises(BadData, match="does not answer as it should"):
        send(index, engine, shape_of(index, ""))
    api.answers.dies_at = None
    assert engine.count() == 128 + 32 and INDEX not in api.answers.aliases
    assert send(index, engine, shape_of(index, "")) == 160
    assert engine.count() == 300 and agreement(index, engine, here.queries()).share >= 0.99


def test_what_the_server_is_too_busy_for_is_sent_again_and_alone(index, api, engine, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    api.answers.busy = {"3", "70"}
    send(index, engine, shape_of(index, ""))
    assert engine.count() == 300
    assert [len(one.lines()) // 2 for one in api.of("/_bulk")] == [64, 1, 64, 1, 64, 64, 44]


def test_what_the_server_refuses_is_said(index, api, engine):
    shape = shape_of(index, "")
    engine.prepare(shape)
    rows = next(rows_of(index))
    wrong = csr_array((-rows.impacts.data, rows.impacts.indices, rows.impacts.indptr), rows.impacts.shape)
    with pytest.raises(BadData, match=r'not take 64 documents, such as .*"_id": "0", "status": 400.* to be positive'):
        engine.add(rows._replace(impacts=wrong))


def test_an_index_that_changed_takes_the_place_of_the_earlier_one_when_it_is_whole(index, api, engine, tmp_path):
    send(index, engine, shape_of(index, ""))
    earlier, smaller = engine.index, here.index_of(tmp_path / "index", 100)
    api.answers.dies_at = api.answers.bulks + 1
    with pytest.raises(BadData):
        send(smaller, engine, shape_of(smaller, ""))
    api.answers.dies_at = None
    assert api.answers.aliases == {INDEX: earlier}
    send(smaller, engine, shape_of(smaller, ""))
    assert api.answers.aliases == {INDEX: engine.index} and list(api.answers.indices) == [engine.index]
    assert engine.count() == 100


def test_an_index_that_is_not_ours_is_left_alone(index, api, engine):
    api.answers.indices = {INDEX: {"mappings": {}}, f"{INDEX}_mine": {"mappings": {}}}
    with pytest.raises(BadData, match="in the way"):
        send(index, engine, shape_of(index, ""))
    del api.answers.indices[INDEX]
    send(index, engine, shape_of(index, ""))
    assert f"{INDEX}_mine" in api.answers.indices


def test_a_query_without_concepts_is_not_asked(index, api, engine):
    send(index, engine, shape_of(index, ""))
    n_asked = len(api.asked)
    assert engine.search(here.queries(1) * -1, 10) == [([], [])] and len(api.asked) == n_asked


def test_weights_above_the_ceiling_of_opensearch_rank_as_before(index, api, engine):
    send(index, engine, shape_of(index, ""))
    (small,), (large,) = engine.search(here.queries(1), 10), engine.search(here.queries(1) * 1_000, 10)
    assert small.ids == large.ids


def test_keys_come_from_the_environment_and_never_from_the_address(api, monkeypatch):
    for name, value in {
        "ELASTICSEARCH_API_KEY": "c2VjcmV0",
        "OPENSEARCH_USER": "me",
        "OPENSEARCH_PASSWORD": "x",
    }.items():
        monkeypatch.setenv(name, value)
    engine = ENGINES[api.answers.product].open(api.address)
    engine.client.indices.exists(index=INDEX)
    sent = api.asked[-1].headers["authorization"]
    assert sent == {ELASTICSEARCH: "ApiKey c2VjcmV0", OPENSEARCH: "Basic bWU6eA=="}[api.answers.product]
    engine.close()
    with pytest.raises(BadData, match="without a password"):
        ENGINES[api.answers.product].open("http://me:secret@localhost:9200")


def test_certificates_of_this_machine_are_trusted(api):
    engine = ENGINES[api.answers.product].open("https://127.0.0.1:1")
    assert engine.client is engine.client
    engine.close()


def test_a_server_that_is_not_there_is_said_in_a_line(index, api):
    engine = ENGINES[api.answers.product].open("http://127.0.0.1:1")
    with pytest.raises(BadData, match="does not answer as it should"):
        engine.prepare(shape_of(index, ""))
    engine.close()


# --- what the packages know of the engines -----------------------------------------------------------


def question(index, text="a text", width=4):
    return Question(here.queries(1), text, np.arange(width, dtype=np.float32) if width else None)


def test_elasticsearch_has_a_class_for_each_field_and_query(index):
    dsl = pytest.importorskip("elasticsearch.dsl", reason="this version of elasticsearch has no dsl")
    from elasticsearch import Elasticsearch
    from elasticsearch.dsl import field, query

    engine = ENGINES[ELASTICSEARCH].files(here.Path("nowhere"))
    mapping = json.loads(engine.mapping(shape_of(index, "", 4, texts=True)))["mappings"]["properties"]
    assert dsl.Mapping()._update_from_dict({"properties": mapping}) is None
    for said in mapping.values():
        kind = field.construct_field(said)
        known = inspect.signature(type(kind).__init__).parameters
        assert set(said) - {"type"} <= set(known), said
    body = json.loads(engine.hybrid(question(index), 10))
    assert {name.lstrip("_") for name in body} <= set(inspect.signature(Elasticsearch.search).parameters)
    sparse, words, dense = body["retriever"]["rrf"]["retrievers"]
    knn = query.Q({"knn": dict(dense["knn"])})
    assert set(knn._params) <= set(inspect.signature(query.Knn.__init__).parameters)
    for standard in (sparse, words):
        asked = query.Q(standard["standard"]["query"])
        assert set(asked._params) <= set(inspect.signature(type(asked).__init__).parameters)
        assert asked.to_dict() == standard["standard"]["query"]


def test_opensearch_has_a_message_for_its_hybrid_query(index):
    common = pytest.importorskip("opensearch.protobufs.schemas.common_pb2", reason="opensearch-protobufs is missing")
    from google.protobuf.json_format import ParseDict

    body = json.loads(ENGINES[OPENSEARCH].files(here.Path("nowhere")).hybrid(question(index), 10))
    sparse, words, dense = body["query"]["hybrid"]["queries"]
    known = {"queries": [words, {"knn": {"field": "embedding", **dense["knn"]["embedding"]}}], "pagination_depth": 100}
    assert ParseDict(known, common.HybridQuery()).queries[1].knn.k == 100
    assert list(sparse) == ["neural_sparse"]  # of which the package has no message


@pytest.mark.parametrize("name", [ELASTICSEARCH, OPENSEARCH])
def test_a_hybrid_query_is_of_what_was_sent(name, index, tmp_path):
    engine = ENGINES[name].files(tmp_path)
    assert engine.hybrid(question(index, None, 0), 10) is None
    for text, width, parts in ((None, 4, 2), ("a text", 0, 2), ("a text", 4, 3)):
        body = json.loads(engine.hybrid(question(index, text, width), 10))
        fused = body["retriever"]["rrf"]["retrievers"] if name == ELASTICSEARCH else body["query"]["hybrid"]["queries"]
        assert len(fused) == parts
    assert "60" in json.dumps(body)


@pytest.mark.parametrize("name", [ELASTICSEARCH, OPENSEARCH])
def test_the_files_are_what_the_client_sends(name, index, tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "BATCH", 64)
    answers, files = ElasticApi(name), ENGINES[name].files(tmp_path)
    send(index, files, shape_of(index, ""))
    with serving(answers) as server:
        import urllib.request

        made = urllib.request.Request(
            f"{server.address}/{INDEX}", (tmp_path / "mapping.json").read_bytes(), method="PUT"
        )
        assert urllib.request.urlopen(made).status == 200
        for path in sorted(tmp_path.glob("*.ndjson")):
            with urllib.request.urlopen(f"{server.address}/_bulk", path.read_bytes()) as answer:
                assert json.load(answer)["errors"] is False
        engine = ENGINES[name].open(server.address)
        assert engine.count() == 300
        assert [one.ids for one in engine.search(here.queries(), 10)] == [
            one.ids for one in files.search(here.queries(), 10)
        ]
        engine.close()
