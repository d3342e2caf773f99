"""Concepts over HTTP: the table, a card, texts that are tried, and edits, each against a plain calculation."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from fastapi.testclient import TestClient

from unweave.base.records import Trust
from unweave.concepts import edits
from unweave.concepts.listing import COLUMNS, Filter, Listed, in_order
from unweave.encode.words import Word
from unweave.errors import BadData
from unweave.project import Project
from unweave.server.app import make_app
from unweave.server.card import rounded
from unweave.server.held import HeldProject
from unweave.server.marked import marked
from unweave.server.routes.concepts import Sort
from unweave.server.table import spark, table_of

KEPT = Path(__file__).parents[1] / "kept" / "project"


def client_of(project: Project) -> TestClient:
    app = make_app()
    app.state.held = HeldProject(project)
    return TestClient(app)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The small real project, which no test here changes."""
    folder = tmp_path_factory.mktemp("served") / "project"
    shutil.copytree(KEPT, folder)
    return Project.open(folder)


@pytest.fixture(scope="module")
def client(project) -> TestClient:
    return client_of(project)


@pytest.fixture
def edited(kept_copy) -> tuple[TestClient, Project]:
    """A copy that may be changed."""
    opened = Project.open(kept_copy)
    return client_of(opened), opened


def get(client: TestClient, path: str, **query: object) -> dict:
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- the words of a text --------------------------------------------------------------------------


def test_words_are_listed_by_share_and_the_rest_is_summed_up():
    # "is" and the sign are not listed, nor what is of no word: .1 + .05 + .25; the largest listed word is "sea".
    words = [(Word("The", None), 0.25), (Word("sea", 4), 0.4), (Word("is", 8), 0.1), (Word("deep", 11), -0.2),
             (Word(".", 15), 0.05)]  # fmt: skip
    found = marked("p1", 7, words)
    assert [(word.start, word.end, word.share, word.value) for word in found.words] == [
        (4, 7, 1.0, 0.4), (11, 15, -0.5, -0.2),
    ]  # fmt: skip
    assert found.others == pytest.approx(0.4)
    assert found.others + sum(word.value for word in found.words) == pytest.approx(sum(value for _, value in words))


def test_words_that_all_speak_against_have_shares_below_0():
    found = marked("p1", 7, [(Word("sea", 0), -0.1), (Word("deep", 4), -0.4)])
    assert [word.share for word in found.words] == [-0.25, -1.0]
    assert marked("p1", 7, []).words == []


def test_a_language_without_a_list_has_no_function_words():
    word = [(Word("the", 0), 1.0)]
    assert marked("p", 0, word, language="en-GB").words == []
    assert len(marked("p", 0, word, language="tlh").words) == 1
    assert marked("p", 0, [(Word("und", 0), 1.0)], language="de").words == []


# --- what a stranger's database holds -----------------------------------------------------------


def test_a_concept_that_the_sae_does_not_have_is_told_as_damage(edited):
    (client, project), beyond = edited, 10**6
    with closing(sqlite3.connect(project.concepts.database)) as db, db:
        db.execute("INSERT INTO concepts VALUES (?, 3, 1.0, NULL, NULL)", (beyond,))
    for path in ("", "/words", "/passages"):
        answer = client.get(f"/api/concepts/{beyond}{path}")
        assert (answer.status_code, answer.json()["kind"]) == (409, "CorruptArtifact"), answer.text
        assert f"has a concept {beyond}, and the SAE has" in answer.json()["error"]
    assert client.post("/api/try", json={"text": "sea", "latent": beyond}).status_code == 409
    assert get(client, "concepts", sparks=True)["n_concepts"] > 1


def test_a_family_without_a_head_is_told_as_damage(edited):
    client, project = edited
    with closing(sqlite3.connect(project.concepts.database)) as db, db:
        (latent,) = db.execute("SELECT min(latent) FROM concepts").fetchone()
        db.execute("INSERT INTO related VALUES (?, 'family', 1000000, 1.0)", (latent,))
    for path in ("families", f"concepts/{latent}"):
        answer = client.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["kind"]) == (409, "CorruptArtifact"), answer.text


# --- the table ------------------------------------------------------------------------------------


def row(latent: int, name: str | None, trust: Trust = Trust.HOLDS, **more: object) -> Listed:
    given = {"returns": None, "holds_from": None, "document_frequency": 1, "strongest": 1.0, "detection": None,
             "namer": None, "flag": None, "merged_into": None}  # fmt: skip
    return Listed(latent=latent, name=name, trust=trust, **(given | more))


ROWS = [
    row(3, "sea and Wind", returns=True, holds_from=0.2, flag="odd"),
    row(1, None, Trust.UNSCORED),
    row(2, "wind", Trust.CONFIRMED, returns=False, holds_from=0.1),
    row(12, "12 tides", Trust.NONE),
]


@pytest.mark.parametrize(
    ("wanted", "latents"),
    [
        (Filter(), [3, 1, 2, 12]),
        (Filter("WIND"), [3, 2]),
        (Filter("wind sea"), [3]),
        (Filter("#12"), [12]),
        (Filter("12"), [12]),
        (Filter("2"), [2]),
        (Filter("#2 wind"), []),
        (Filter(trust=frozenset({Trust.CONFIRMED, Trust.NONE})), [2, 12]),
        (Filter(returns=False), [2]),
        (Filter(flag="odd"), [3]),
        (Filter("wind", returns=True, flag="odd"), [3]),
        (Filter("wind", flag="nothing"), []),
        (Filter(flagged=True), [3]),
        (Filter("wind", flagged=False), [2]),
        (Filter("tides"), []),  # the name of 12 does not hold, and is not shown
        (Filter("12 tides"), []),
    ],
)
def test_filters_hold_together(wanted, latents):
    assert [one.latent for one in wanted.rows(ROWS)] == latents


def test_a_request_can_sort_by_every_column():
    assert set(get_args(Sort)) == COLUMNS.keys()


@pytest.mark.parametrize(
    ("by", "rising", "falling"),
    [
        ("latent", [1, 2, 3, 12], [12, 3, 2, 1]),
        ("name", [3, 2, 1, 12], [2, 3, 1, 12]),
        ("trust", [1, 12, 3, 2], [2, 3, 12, 1]),
        ("holds", [2, 3, 1, 12], [3, 2, 1, 12]),
        ("returns", [2, 3, 1, 12], [3, 2, 1, 12]),
        ("df", [3, 1, 2, 12], [3, 1, 2, 12]),
        ("activation", [3, 1, 2, 12], [3, 1, 2, 12]),
    ],
)
def test_rows_without_a_value_stand_last_whatever_the_direction(by, rising, falling):
    assert [one.latent for one in in_order(ROWS, by, descending=False)] == rising
    assert [one.latent for one in in_order(ROWS, by, descending=True)] == falling


def test_the_table_has_every_concept_and_comes_in_pages(client, project):
    every = project.concepts.by_document_frequency()
    whole = get(client, "concepts", limit=1000)
    assert whole["total"] == whole["n_concepts"] == len(every)
    assert [one["latent"] for one in whole["rows"]] == [concept.latent for concept in every]
    for one, concept in zip(whole["rows"], every, strict=True):
        assert one["name"] == project.concepts.get(concept.latent)
        assert one["trust"] == (project.concepts.trust(concept.latent) or Trust.UNSCORED)
        assert one["holds_from"] == project.concepts.holds_from(concept.latent)
    pages = [get(client, "concepts", offset=start, limit=30)["rows"] for start in range(0, len(every), 30)]
    assert [one for page in pages for one in page] == whole["rows"]
    assert get(client, "concepts", offset=100_000)["rows"] == []


def test_a_text_finds_the_concepts_that_it_activates_as_a_passage(client, project):
    text = "a sparse autoencoder is trained on embeddings"
    (row_of,) = project.sae.encode(project.encoder.encode_passages([text])).toarray()
    known = {concept.latent for concept in project.concepts.by_document_frequency()}
    expected = sorted((j for j in np.flatnonzero(row_of).tolist() if j in known), key=lambda j: -row_of[j])
    found = get(client, "concepts", text=text)["rows"]
    assert [one["latent"] for one in found] == expected
    np.testing.assert_allclose([one["activation"] for one in found], row_of[expected], rtol=1e-6)
    assert [one["latent"] for one in get(client, "concepts", text=text, sort="latent", descending=False)["rows"]] == (
        sorted(expected)
    )
    assert client.get("/api/concepts", params={"text": " \u200b "}).status_code == 400


def test_sparks_count_passages_by_activation(client, project):
    latents = project.latents.toarray()
    for one in get(client, "concepts", sparks=True, limit=1000)["rows"]:
        column = latents[:, one["latent"]]
        counted, _ = np.histogram(column[column > 0], bins=12, range=(0, one["strongest"]))
        assert sum(one["spark"]) == one["document_frequency"] == counted.sum()
        assert np.abs(np.array(one["spark"]) - counted).sum() <= 2  # one on a border may fall to either side


def test_a_spark_of_columns_with_nothing_and_of_more_than_the_top():
    # Column 0: .1 and 1 of a top of 1; column 1 empty; column 2 goes beyond its top of .5.
    from scipy.sparse import csc_array

    counts = spark(csc_array(np.array([[0.1, 0, 0.7], [1.0, 0, 0.04]])), np.array([1.0, 0.0, 0.5]))
    assert counts.sum(axis=1).tolist() == [2, 0, 2]
    assert (counts[0, 1], counts[0, 11], counts[2, 0], counts[2, 11]) == (1, 1, 1, 1)


# --- a card ---------------------------------------------------------------------------------------


def test_a_card_says_all_that_is_known(client, project):
    latent = project.concepts.by_document_frequency()[0].latent
    concept, card = project.concepts.concept(latent), get(client, f"concepts/{latent}")
    assert card["row"] == get(client, "concepts", words=f"#{latent}")["rows"][0]
    assert [one["namer"] for one in card["names"]] == [naming.namer for naming in concept.namings]
    assert [one["in_use"] for one in card["names"]] == [True] + [False] * (len(concept.namings) - 1)
    assert card["names"][0]["trust"] == concept.trust
    assert {score["judge"] for score in card["names"][0]["scores"]} == {s.judge for s in concept.scores[concept.namer]}
    assert [one["number"] for one in card["examples"]] == list(range(len(concept.examples)))
    for shown, example in zip(card["examples"], concept.examples, strict=True):
        source = project.corpus if example.source == "passages" else project.sentences
        text = source[example.position]
        assert shown["text"] == text.content[:1200]
        passage = text if example.source == "passages" else project.corpus[text.metadata["passage"]]
        assert (shown["passage_id"], shown["title"]) == (passage.passage_id, passage.title)
    assert [(one["relation"], one["other"]) for one in card["related"]] == [
        (one.relation, one.other) for one in concept.related if one.relation != "family"
    ]
    assert card["edits"] == []
    assert card["agreement"] is None or -1 <= card["agreement"] <= 1


def test_a_histogram_counts_the_passages_and_those_from_where_the_name_holds(client, project):
    latents = project.latents.toarray()
    for one in get(client, "concepts", limit=1000)["rows"]:
        found, column = get(client, f"concepts/{one['latent']}")["histogram"], latents[:, one["latent"]]
        active = column[column > 0].astype(float)
        assert sum(found["counts"]) == len(active) and len(found["edges"]) == len(found["counts"]) + 1
        assert found["edges"][0] == 0 and found["edges"][-1] >= active.max(initial=0)
        holds = one["holds_from"]
        assert found["above"] == (None if holds is None else (active >= holds).sum())


@pytest.mark.parametrize(
    ("value", "end"), [(0.351, 0.4), (0.4, 0.4), (1.01, 1.2), (0.83, 1.0), (97, 100), (0, 1), (2, 2), (0.0061, 0.008)]
)
def test_an_axis_ends_at_a_round_number(value, end):
    assert rounded(value) == pytest.approx(end)


def test_passages_come_strongest_first_in_pages(client, project):
    latent = project.concepts.by_document_frequency()[0].latent
    column = project.latents.toarray()[:, latent]
    order = sorted(np.flatnonzero(column).tolist(), key=lambda i: (-column[i], i))
    found = get(client, f"concepts/{latent}/passages")
    assert found["total"] == len(order)
    assert [one["passage_id"] for one in found["rows"]] == [project.corpus[i].passage_id for i in order[:100]]
    assert get(client, f"concepts/{latent}/passages", offset=2, limit=3)["rows"] == found["rows"][2:5]


def test_the_words_of_examples_are_those_of_their_texts(client, project):
    latent = project.concepts.by_document_frequency()[0].latent
    examples = get(client, f"concepts/{latent}")["examples"]
    found = get(client, f"concepts/{latent}/words")["marked"]
    assert [one["key"] for one in found] == [str(one["number"]) for one in examples]
    for one, example, whole in zip(found, examples, project.words_of(latent), strict=True):
        known = {word.start: word.text for word, _ in whole if word.start is not None}
        for word in one["words"]:
            if word["end"] <= len(example["text"]):
                assert example["text"][word["start"] : word["end"]] == known[word["start"]]
        total = sum(value for _, value in whole)
        assert one["others"] + sum(word["value"] for word in one["words"]) == pytest.approx(total)


@pytest.mark.parametrize("latent", [100_000, 2**31 - 1])
@pytest.mark.parametrize("path", ["concepts/{}", "concepts/{}/words", "concepts/{}/passages", "edits?latent={}"])
def test_a_concept_that_is_not_there_is_said(client, path, latent):
    answer = client.get(f"/api/{path.format(latent)}")
    assert answer.status_code == 404
    assert "never fired or does not exist" in answer.json()["error"]


def test_a_text_of_ones_own_is_tried(client, project):
    text, latent = "An inverted index takes bytes.", project.concepts.by_document_frequency()[0].latent
    found = client.post("/api/try", json={"text": text, "latent": latent}).json()
    assert {one["latent"]: one["activation"] for one in found["activations"]} == pytest.approx(project.activated(text))
    (words,) = found["marked"]
    said = {text[word["start"] : word["end"]] for word in words["words"]}
    assert said <= {"An", "inverted", "index", "takes", "bytes"}
    assert client.post("/api/try", json={"text": text}).json()["marked"] == []
    assert client.post("/api/try", json={"text": text, "latent": 100_000}).status_code == 404


def test_an_encoder_without_words_marks_none(client, project, monkeypatch):
    def shows_none(*_: object) -> None:
        raise BadData("this encoder shows no words")

    monkeypatch.setattr("unweave.stages.active.in_words", shows_none)
    latent = project.concepts.by_document_frequency()[0].latent
    found = client.post("/api/try", json={"text": "wind", "latent": latent}).json()
    assert found["activations"] and not found["marked"]


def test_a_text_cannot_be_tried_where_nobody_knows_what_embedded_the_passages(tiny_project_folder):
    answer = client_of(Project.open(tiny_project_folder)).post("/api/try", json={"text": "the moon"})
    assert (answer.status_code, answer.json()["kind"]) == (409, "UnweaveError")
    assert "it is not known what made them" in answer.json()["error"]


def test_families_have_the_names_of_their_concepts(client, project):
    found = get(client, "families")["families"]
    expected = project.families()
    assert [one["head"]["other"] for one in found] == [family.head for family in expected]
    for one, family in zip(found, expected, strict=True):
        assert [member["other"] for member in one["members"]] == list(family.members)
        assert one["head"]["name"] == project.concepts.get(family.head)
        assert one["trust"] == project.concepts.concept(family.head).family_trust
        for latent in (family.head, *family.members):
            assert get(client, f"concepts/{latent}")["family"] == one


# --- edits ----------------------------------------------------------------------------------------


def make(client: TestClient, action: str, *latents: int, status: int = 200, **more: object) -> dict:
    answer = client.post("/api/edits", json={"action": action, "latents": list(latents), **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_edit_is_seen_at_once_and_undone(edited):
    client, project = edited
    first, second, *_ = [concept.latent for concept in project.concepts.by_document_frequency()]
    before = get(client, "concepts", limit=1000)
    (one,) = make(client, "rename", first, name="tides", description="of the sea")["edits"]
    assert (one["action"], one["before"], one["after"]) == ("rename", None, "tides: of the sea")
    shown = get(client, f"concepts/{first}")["row"]
    assert (shown["name"], shown["trust"], shown["namer"]) == ("tides", "confirmed", "person")
    assert make(client, "rename", first, name="tides", description="of the sea")["edits"] == []
    make(client, "flag", first, second, remark="odd")
    assert {row["latent"] for row in get(client, "concepts", flag="odd")["rows"]} == {first, second}
    assert [one["action"] for one in get(client, "edits")["edits"]] == ["flag", "flag", "rename"]
    assert len(get(client, "edits", latent=second)["edits"]) == 1
    for number in (3, 2, 1):
        (undone,) = client.post("/api/edits/undo", json={}).json()["edits"]
        assert (undone["number"], undone["undone"]) == (number, True)
    assert get(client, "concepts", limit=1000) == before
    assert client.post("/api/edits/undo", json={}).status_code == 400
    assert client.post("/api/edits/undo", json={"number": 99}).status_code in (400, 404)


def test_an_edit_of_another_process_is_seen_at_the_next_request(edited):
    client, project = edited
    latent = get(client, "concepts")["rows"][0]["latent"]
    edits.rename(Project.open(project.path).concepts.database, latent, "by another")
    assert get(client, "concepts", words="by another")["rows"][0]["latent"] == latent
    assert table_of(project) is table_of(project)


def test_several_concepts_are_changed_or_none(edited):
    client, project = edited
    first, second, *_ = [concept.latent for concept in project.concepts.by_document_frequency()]
    make(client, "rename", first, 100_000, name="tides", status=404)
    make(client, "merge", second, first, into=first, status=400)
    assert get(client, "edits")["edits"] == []
    assert len(make(client, "lock", first, second, first)["edits"]) == 2


def test_a_merged_concept_has_the_others_name_and_a_namers_name_becomes_a_persons(edited):
    client, project = edited
    first, second, *_ = [concept.latent for concept in project.concepts.by_document_frequency()]
    make(client, "merge", second, into=first)
    merged = get(client, f"concepts/{second}")
    assert merged["row"]["name"] == get(client, f"concepts/{first}")["row"]["name"] is not None
    assert merged["row"]["merged_into"] == first
    assert not any(one["in_use"] for one in merged["names"])
    namer = get(client, f"concepts/{first}")["names"][0]
    (used,) = make(client, "use", first, namer=namer["namer"])["edits"]
    assert used["after"].startswith(namer["name"])
    assert get(client, f"concepts/{first}")["row"]["trust"] == "confirmed"
    assert "there are names by" in make(client, "use", first, namer="nobody", status=400)["error"]


@pytest.mark.parametrize(("action", "field"), [("rename", "name"), ("merge", "into"), ("use", "namer")])
def test_what_an_edit_lacks_is_said(edited, action, field):
    client, project = edited
    latent = project.concepts.by_document_frequency()[0].latent
    assert f"{field} is needed" in make(client, action, latent, status=400)["error"]


def test_a_project_without_names_says_how_to_make_them(edited):
    client, project = edited
    shutil.rmtree(project.path / "concepts")
    answer = client.get("/api/concepts")
    assert answer.status_code == 409
    assert answer.json()["error"].endswith(f"run: unweave name {project.path}")
