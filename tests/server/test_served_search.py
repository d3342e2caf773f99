"""What the routes of the project and of searches say of a real small project, beside what `Project` says itself."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from let_in import client_of

from unweave.base.records import Passage
from unweave.concepts import edits
from unweave.project import Project
from unweave.retrieval.steering import Steering
from unweave.server.document import document
from unweave.texts.collection import Collection

QUERY = "how a score becomes a sum of named concepts"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(Path(__file__).parents[1] / "kept" / "project", folder)
    return Project.open(folder)


@pytest.fixture(scope="module")
def client(project):
    with client_of(project) as opened:
        yield opened


def test_a_project_says_what_there_is_of_it(client, project):
    told = client.get("/api/project").json()
    assert told["n_passages"] == len(project.corpus) > 50
    assert told["n_judged"] == told["n_queries"] == 3
    assert told["n_concepts"] == sum(told["marks"].values())
    assert {"dense", "BM25", "CL-SR", "codes", "tokens"} <= set(told["systems"])
    assert "reconstructed dense" not in told["systems"]  # whose scores are not explained
    assert "boosts" in told["steerable"]["dense"] and told["steerable"]["BM25"] == ["allowed"]
    assert told["metadata"]["page"][0] == min(passage.metadata["page"] for passage in project.corpus)
    stages = {stage["name"]: stage for stage in told["stages"]}
    assert stages["index/default"] == {"name": "index/default", "state": "there", "said": ""}
    assert stages["lexicon"]["state"] == "missing"
    assert stages["lexicon"]["said"].endswith(f"run: unweave name --namer lexicon {project.path}")
    assert told["examples"][0] == QUERY and told["words"]


@pytest.mark.parametrize("system", ["dense", "BM25", "CL-SR", "CL-SR rescored", "CL-SR then dense", "codes", "tokens",
                                    "BM25 + 2 codes", "BM25 + codes by rank"])  # fmt: skip
def test_a_search_is_the_projects_and_its_sums_add_up(client, project, system):
    found = client.get("/api/search", params={"q": QUERY, "system": system, "k": 5}).json()
    expected = project.search(QUERY, 5, system=system)
    assert [hit["passage_id"] for hit in found["hits"]] == [hit.passage.passage_id for hit in expected]
    for hit in found["hits"]:
        why = hit["explanation"]
        parts = [c["value"] for c in why["contributions"]] + [part["value"] for part in why["parts"]]
        assert sum(parts) + why["bias"] + why["residual"] == pytest.approx(hit["score"], abs=1e-5)
        assert hit["unsteered"] is None
    words = system in ("BM25", "tokens")
    latents = [c["latent"] for hit in found["hits"] for c in hit["explanation"]["contributions"]]
    assert all((latent < 0) == words for latent in latents)


def test_a_steered_search_says_what_moved(client, project):
    as_it_is = client.get("/api/search", params={"q": QUERY, "k": 5}).json()["hits"]
    banned = as_it_is[0]["explanation"]["contributions"][0]["latent"]
    steered = client.get("/api/search", params={"q": QUERY, "k": 5, "ban": banned}).json()
    expected = project.search(QUERY, 5, system="dense", steering=Steering(banned=[banned]))
    assert [hit["passage_id"] for hit in steered["hits"]] == [hit.passage.passage_id for hit in expected]
    ranks = {hit.passage.passage_id: (hit.rank, hit.score) for hit in project.search(QUERY, 100, system="dense")}
    for hit in steered["hits"]:
        assert (hit["unsteered"]["rank"], hit["unsteered"]["score"]) == ranks[hit["passage_id"]]
    first = steered["left"][0]
    assert (first["passage_id"], first["rank"], first["now"]) == (as_it_is[0]["passage_id"], 1, None)


def test_a_boost_is_in_the_sum_and_in_the_difference(client):
    plain = client.get("/api/search", params={"q": QUERY, "k": 2}).json()["hits"]
    strongest = plain[0]["explanation"]["contributions"][0]
    boosted = client.get("/api/search", params={"q": QUERY, "k": 80, "boost": f"{strongest['latent']}:2"}).json()[
        "hits"
    ]
    same = next(hit for hit in boosted if hit["passage_id"] == plain[0]["passage_id"])
    assert same["score"] == pytest.approx(plain[0]["score"] + strongest["value"], abs=1e-4)
    two = {"first": plain[0]["passage_id"], "second": plain[1]["passage_id"], "q": QUERY}
    compared = client.get("/api/difference", params={**two, "boost": f"{strongest['latent']}:2"}).json()
    assert compared["difference"]["first"] == pytest.approx(same["score"], abs=1e-5)
    unsteered = client.get("/api/difference", params=two).json()["difference"]
    assert unsteered["difference"] == pytest.approx(plain[0]["score"] - plain[1]["score"], abs=1e-5)


@pytest.mark.parametrize("system", ["dense", "BM25", "CL-SR", "codes", "tokens", "BM25 + 2 codes"])
def test_one_passage_is_explained_as_it_is_among_the_hits(client, system):
    found = client.get("/api/search", params={"q": QUERY, "system": system, "k": 5}).json()
    asked = {"q": QUERY, "system": system}
    for hit in found["hits"]:
        one = client.get("/api/explain", params={**asked, "passage": hit["passage_id"]}).json()
        assert one["rank"] == hit["rank"]
        assert one["explanation"]["score"] == pytest.approx(hit["explanation"]["score"], rel=1e-6)
        assert [c["latent"] for c in one["explanation"]["contributions"][:3]] == [
            c["latent"] for c in hit["explanation"]["contributions"][:3]
        ]


def test_one_passage_is_explained_with_its_boosts_and_ranked_among_those_that_are_let_in(client, project):
    steering = {"boost": ["7:3"], "where": ["page=library"]}
    found = client.get("/api/search", params={"q": QUERY, "k": 3, **steering}).json()["hits"]
    for hit in found:
        one = client.get("/api/explain", params={"q": QUERY, "passage": hit["passage_id"], **steering}).json()
        assert one["rank"] == hit["rank"]
        assert one["explanation"]["score"] == pytest.approx(hit["score"], rel=1e-6)
    elsewhere = next(passage for passage in project.corpus if passage.metadata["page"] != "library")
    one = client.get("/api/explain", params={"q": QUERY, "passage": elsewhere.passage_id, **steering}).json()
    assert one["rank"] is None and one["looked_at"] == 100 and one["explanation"]["score"]


def test_a_passage_that_a_system_does_not_find_has_no_score(client, project):
    answer = client.get("/api/explain", params={"q": "zymurgy", "passage": project.corpus[0].passage_id,
                                                "system": "BM25"})  # fmt: skip
    assert answer.status_code == 404 and "BM25 does not find the passage" in answer.json()["error"]
    assert client.get("/api/explain", params={"q": QUERY, "passage": "nowhere"}).status_code == 404


def test_filters_hold_for_what_stands_without_steering_too(client, project):
    page = project.corpus[0].metadata["page"]
    found = client.get("/api/search", params={"q": QUERY, "where": f"page={page}", "boost": "3:2"}).json()
    ids = {passage.passage_id for passage in project.corpus if passage.metadata["page"] == page}
    assert {hit["passage_id"] for hit in found["hits"]} <= ids
    assert {hit["unsteered"]["rank"] for hit in found["hits"]} <= set(range(1, len(ids) + 1))


def test_words_are_where_the_text_has_them(client, project):
    hit = client.get("/api/search", params={"q": QUERY, "k": 1}).json()["hits"][0]
    latents = [c["latent"] for c in hit["explanation"]["contributions"][:3]]
    told = client.get("/api/words", params={"passage": hit["passage_id"], "latent": [*latents, 99_999]}).json()[
        "marked"
    ]
    assert [(one["key"], one["latent"]) for one in told] == [(hit["passage_id"], latent) for latent in latents]
    text = project.corpus[project.position(hit["passage_id"])].content
    for one in told:
        whole = sum(word["value"] for word in one["words"]) + one["others"]
        assert whole == pytest.approx(sum(v for _, v in project.words_in(text, one["latent"])), abs=1e-6)
        assert all(text[word["start"] : word["end"]].strip() for word in one["words"])


def test_pairs_of_words_add_up_to_the_dense_score(client):
    hit = client.get("/api/search", params={"q": QUERY, "k": 1}).json()["hits"][0]
    told = client.get("/api/pairs", params={"q": QUERY, "passage": hit["passage_id"]}).json()
    assert sum(map(sum, told["pairs"])) == pytest.approx(told["score"], abs=1e-5)
    assert (len(told["pairs"]), len(told["pairs"][0])) == (len(told["query_words"]), len(told["words"]))


def test_a_passage_comes_whole_with_its_concepts(client, project):
    passage = project.corpus[0]
    told = client.get("/api/passage", params={"id": passage.passage_id}).json()
    assert (told["text"], told["metadata"]) == (passage.text, passage.metadata)
    row = project.latents[[0]].toarray()[0]
    assert {one["latent"]: one["activation"] for one in told["concepts"]} == pytest.approx(
        {latent: float(row[latent]) for latent in row.nonzero()[0].tolist()}
    )


def test_what_another_process_edits_is_seen_at_once(client, project):
    hit = client.get("/api/search", params={"q": QUERY, "k": 1}).json()["hits"][0]
    latent = hit["explanation"]["contributions"][0]["latent"]
    edits.rename(project.path / "concepts" / "concepts.sqlite", latent, "a name of today")
    again = client.get("/api/search", params={"q": QUERY, "k": 1}).json()["hits"][0]["explanation"]["contributions"][0]
    assert (again["latent"], again["name"], again["trust"]) == (latent, "a name of today", "confirmed")


def test_what_was_answered_before_is_not_sent_again(client):
    first = client.get("/api/families")
    tag = first.headers["etag"]
    again = client.get("/api/families", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/api/families", headers={"If-None-Match": '"other"'}).status_code == 200
    assert "etag" not in client.get("/api/nowhere").headers


def test_many_searches_at_once_find_what_one_finds(project):
    texts = [f"{QUERY} {number}" for number in range(24)]
    alone = {text: [hit.passage.passage_id for hit in project.search(text, 5, system="dense")] for text in texts}
    fresh = Project.open(project.path)
    with client_of(fresh) as client, ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda text: client.get("/api/search", params={"q": text, "k": 5}).json(), texts * 2)
        assert all([hit["passage_id"] for hit in one["hits"]] == alone[one["query"]] for one in found)


def test_the_committed_document_is_of_these_routes():
    committed = (Path(__file__).parents[2] / "web" / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(committed) == json.loads(document()), "run: python -m unweave.server.document > web/openapi.json"


def test_a_project_that_has_only_begun_says_what_to_do_next(tmp_path):
    collection = Collection(passages=[Passage("p1", "Tides", "The moon pulls the sea.", {"kind": ["a", "b"]})])
    with client_of(Project.create(tmp_path / "begun", collection)) as client:
        told = client.get("/api/project").json()
        assert (told["n_passages"], told["n_queries"], told["n_concepts"], told["words"]) == (1, 0, None, False)
        assert (told["systems"], told["dictionary"], told["examples"]) == ([], "", ["Tides"])
        assert told["metadata"] == {"kind": ["a", "b"]}
        for path in ("/api/search?q=sea", "/api/words?passage=p1&latent=3", "/api/pairs?q=sea&passage=p1"):
            answer = client.get(path)
            assert answer.status_code == 409
            assert "run: unweave " in answer.json()["error"]
        assert client.get("/api/passage?id=p1").json()["concepts"] == []


def test_what_is_damaged_or_out_of_date_is_told_of_the_project_and_refused_to_who_asks_for_it(kept_copy):
    (kept_copy / "bm25" / "config.json").write_text("{}")
    with client_of(Project.open(kept_copy)) as client:
        stages = {stage["name"]: stage for stage in client.get("/api/project").json()["stages"]}
        assert stages["bm25"]["state"] == "damaged" and "unweave index build" in stages["bm25"]["said"]
        answer = client.get("/api/search?q=sea&system=BM25")
        assert (answer.status_code, answer.json()["kind"]) == (409, "CorruptArtifact")
