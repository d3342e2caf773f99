"""Vespa: its own client before a server that remembers what it asked, and the package of its own making beside ours.

Vespa cannot be had here; `test_servers_elsewhere` runs where an address of one is given.
"""

from __future__ import annotations

import json

import engines_here as here
import numpy as np
import pytest
from http_api import serving
from vespa_api import VespaApi

from unweave.engines import sending
from unweave.engines.agreement import agreement
from unweave.engines.engine import Question
from unweave.engines.sending import rows_of, send, shape_of
from unweave.engines.vespa import Vespa, VespaFiles
from unweave.engines.vespa_application import SCHEMA, SERVICES, schema
from unweave.errors import BadData

pytestmark = pytest.mark.filterwarnings("ignore")  # what the client says of its own


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return here.index_of(tmp_path_factory.mktemp("index") / "index", 150)


@pytest.fixture
def api(monkeypatch):
    pytest.importorskip("vespa.application", reason="pyvespa is not installed")
    monkeypatch.setattr(sending, "BATCH", 64)
    answers = VespaApi()
    with serving(answers) as server:
        server.answers = answers
        yield server


def test_its_server_finds_what_the_index_finds(index, api):
    engine = Vespa(api.address)
    assert send(index, engine, shape_of(index, "")) == 0
    found = agreement(index, engine, here.queries())
    assert found.share == 1 and found.error < 1e-5 and found.n_queries == 40
    rows = next(rows_of(index))
    for i, passage_id in enumerate(here.HARD_IDS):
        assert passage_id in engine.search(rows.impacts[[i]], 300)[0].ids
    assert engine.search(here.queries(1) * 0, 10) == [([], [])]


def test_an_export_that_comes_again_doubles_nothing(index, api):
    engine = Vespa(api.address)
    send(index, engine, shape_of(index, ""))
    n_asked = len(api.asked)
    assert send(index, engine, shape_of(index, "")) == 150
    assert {one.path for one in api.asked[n_asked:]} == {"/search/"}
    engine.add(next(rows_of(index)))
    assert engine.count() == 150


def test_a_server_that_takes_no_more_has_lost_nothing(index, api):
    engine = Vespa(api.address)
    api.answers.dies_after = 100
    with pytest.raises(BadData, match=r"did not take .* documents, such as document \d+: .*507"):
        send(index, engine, shape_of(index, ""))
    api.answers.dies_after = None
    assert send(index, engine, shape_of(index, "")) == 100
    assert engine.count() == 150 and agreement(index, engine, here.queries()).share == 1


def test_what_the_server_is_too_busy_for_is_sent_again(index, api):
    api.answers.busy = {"3", "70"}
    engine = Vespa(api.address)
    send(index, engine, shape_of(index, ""))
    assert engine.count() == 150 and api.answers.busy == set()
    assert len([one for one in api.asked if one.path.startswith("/document")]) == 152


def test_an_index_that_changed_takes_the_place_of_the_earlier_one(index, api, tmp_path):
    smaller, engine = here.index_of(tmp_path / "index", 100), Vespa(api.address)
    send(index, engine, shape_of(index, ""))
    assert send(smaller, engine, shape_of(smaller, "")) == 0
    assert engine.count() == len(api.answers.documents) == 100


def test_an_application_without_the_schema_is_said_before_a_passage_is_sent(index, api):
    api.answers.has_schema = False
    with pytest.raises(BadData, match="needs the schema that `unweave export vespa PROJECT OUT` writes"):
        send(index, Vespa(api.address), shape_of(index, ""))
    assert [one.path for one in api.asked] == ["/search/"]


def test_a_server_that_is_not_there_and_a_wrong_address_are_said_in_a_line(index, monkeypatch):
    pytest.importorskip("vespa.application", reason="pyvespa is not installed")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(BadData, match="does not answer as it should"):
        Vespa("http://127.0.0.1:1").prepare(shape_of(index, ""))
    with pytest.raises(BadData, match="no address of Vespa"):
        Vespa("http://me:secret@localhost:8080")


def test_characters_that_vespa_refuses_are_replaced_in_the_files(index, tmp_path):
    files = VespaFiles(tmp_path)
    files.prepare(shape_of(index, "", texts=True))
    rows = next(rows_of(index, lambda ids: [{"text": "a\0b\ud800\n", "metadata": {"n": 1}} for _ in ids]))
    files.add(rows)
    first = json.loads(next(tmp_path.glob("*.jsonl")).read_text(encoding="utf-8").splitlines()[0])
    assert first["put"] == f"id:{SCHEMA}:{SCHEMA}::0"
    fields = first["fields"]
    assert fields["text"] == "a\ufffdb\ufffd\n" and json.loads(fields["metadata"]) == {"n": 1}
    assert list(map(str, fields["concepts"])) == list(fields["impacts"]["cells"])
    assert (tmp_path / "application" / "services.xml").read_text() == SERVICES
    assert (tmp_path / "application" / "schemas" / f"{SCHEMA}.sd").read_text() == schema(0, texts=True)


def test_a_hybrid_query_is_of_what_was_sent(tmp_path):
    files, asked = VespaFiles(tmp_path), here.queries(1)
    assert files.hybrid(Question(asked, None, None), 10) is None
    body = json.loads(files.hybrid(Question(asked, 'say "so"', np.ones(4, np.float32)), 10))
    assert body["words"] == 'say "so"' and "say" not in body["yql"]
    assert body["yql"].count(" or ") == 2 and body["input.query(embedding)"] == [1.0] * 4
    assert body["ranking"] == "hybrid" and "rank-profile hybrid" in schema(4, True)


# --- the package of Vespa's own making ---------------------------------------------------------------


@pytest.mark.parametrize(("width", "texts"), [(0, False), (384, False), (0, True), (384, True)])
def test_its_own_package_writes_the_same_schema(width, texts):
    package = pytest.importorskip("vespa.package", reason="pyvespa is not installed")
    made = package.Schema(SCHEMA, package.Document(fields_of(package, width, texts)))
    if texts:
        made.add_field_set(package.FieldSet("default", ["title", "text"]))
    for profile in profiles_of(package, width, texts):
        made.add_rank_profile(profile)
    assert made.schema_to_text.split() == schema(width, texts).split()


def fields_of(package, width, texts):
    Field = package.Field
    fields = [
        Field("id", "string", ["attribute", "summary"]),
        Field("state", "string", ["attribute"], attribute=["fast-search"], rank="filter"),
        Field("concepts", "array<int>", ["attribute"], attribute=["fast-search"], rank="filter"),
        Field("impacts", "tensor<float>(concept{})", ["attribute", "summary"]),
    ]
    if texts:
        fields += [Field(name, "string", ["index", "summary"], index="enable-bm25") for name in ("title", "text")]
        fields.append(Field("metadata", "string", ["summary"]))
    if width:
        ann = package.HNSW(distance_metric="dotproduct", max_links_per_node=16, neighbors_to_explore_at_insert=200)
        fields.append(Field("embedding", f"tensor<float>(x[{width}])", ["attribute", "index"], ann=ann))
    return fields


def profiles_of(package, width, texts):
    Function = package.Function
    yield package.RankProfile(
        "concepts", "by_concepts", inputs=[("query(weights)", "tensor<float>(concept{})")],
        functions=[Function("contributions", "query(weights) * attribute(impacts)"),
                   Function("by_concepts", "sum(contributions)")],
        match_features=["contributions"],
    )  # fmt: skip
    if not (width or texts):
        return
    by_words = [Function("by_words", "bm25(title) + bm25(text)")] if texts else []
    by_embedding = [Function("by_embedding", "closeness(field, embedding)")] if width else []
    ranked = ["by_concepts", *(one.name for one in [*by_words, *by_embedding])]
    fused = package.GlobalPhaseRanking(" + ".join(f"reciprocal_rank({one}, 60.0)" for one in ranked), rerank_count=1000)
    inputs = [("query(embedding)", f"tensor<float>(x[{width}])")] if width else None
    yield package.RankProfile(
        "hybrid", inherits="concepts", functions=[*by_words, *by_embedding], global_phase=fused,
        **({"inputs": inputs} if inputs else {}),
    )  # fmt: skip


def test_its_own_package_writes_the_same_services():
    package = pytest.importorskip("vespa.package", reason="pyvespa is not installed")
    theirs = package.ApplicationPackage(SCHEMA.replace("_", ""), [package.Schema(SCHEMA, package.Document())])
    own = theirs.services_to_text.replace("unweavepassages_container", "default")
    assert own.replace("unweavepassages_content", "passages").split() == SERVICES.split()
