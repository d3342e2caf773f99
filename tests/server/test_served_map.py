"""The map: places of concepts by their directions, of passages amid their concepts, over HTTP and as Parquet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from scipy.sparse import csr_array

from conftest import unit
from invoked import unweave
from unweave.base.artifact import MANIFEST
from unweave.base.contributions import Label
from unweave.base.records import Trust
from unweave.concepts.layout import ConceptMap, lay_out
from unweave.errors import CorruptArtifact
from unweave.project import Project
from unweave.server.app import make_app
from unweave.server.held import HeldProject
from unweave.stages.export import _called

KEPT = Path(__file__).parents[1] / "kept" / "project"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """The small real project, with a map."""
    folder = tmp_path_factory.mktemp("mapped") / "project"
    shutil.copytree(KEPT, folder)
    opened = Project.open(folder)
    assert opened.map().fresh
    return opened


@pytest.fixture(scope="module")
def client(project) -> TestClient:
    app = make_app()
    app.state.held = HeldProject(project)
    return TestClient(app)


# --- places ---------------------------------------------------------------------------------------


def test_directions_that_are_close_stand_close():
    # Three bundles of twenty directions each, .05 around three axes: neighbours on the map are of the same bundle.
    random = np.random.default_rng(0)
    directions = unit(np.repeat(np.eye(3, 16), 20, axis=0) + random.normal(0, 0.05, (60, 16)))
    places = lay_out(directions)
    assert places.shape == (60, 2) and np.abs(places).max() == pytest.approx(1)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(60)
    assert (distances.argmin(axis=1) // 20 == np.arange(60) // 20).all()
    np.testing.assert_array_equal(places, lay_out(directions))


@pytest.mark.parametrize("n", [1, 2, 3, 11, 12, 13])
@pytest.mark.parametrize("same", [False, True])
def test_few_and_equal_directions_have_places_too(n, same):
    directions = np.ones((n, 8)) if same else np.random.default_rng(1).normal(size=(n, 8))
    places = lay_out(directions)
    assert places.shape == (n, 2) and np.isfinite(places).all() and np.abs(places).max() <= 1


def test_a_passage_stands_at_the_mean_of_its_concepts_weighted_by_activation():
    # (1, 0) once and (0, 1) three times: (.25, .75). Latent 2 has no place, so that a passage of it alone has none.
    found = ConceptMap(np.array([0, 1, 3], np.int32), np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
    latents = csr_array(np.array([[1, 3, 0, 0], [0, 0, 5, 0], [0, 0, 0, 0], [0, 2, 9, 0]], np.float32))
    np.testing.assert_allclose(found.of_passages(latents), [[0.25, 0.75], [np.nan] * 2, [np.nan] * 2, [0, 1]])


def test_places_of_passages_are_those_of_a_slow_loop(project):
    place = dict(zip(project.concept_map.latents.tolist(), project.concept_map.places.astype(float), strict=True))
    for row, found in zip(project.latents.toarray().astype(float), project.places, strict=True):
        active = [j for j in np.flatnonzero(row) if j in place]
        np.testing.assert_allclose(found, sum(row[j] * place[j] for j in active) / row[active].sum(), atol=1e-5)


def test_a_map_is_made_once_and_anew_for_other_concepts(project, tmp_path):
    assert not project.map().fresh
    shutil.copytree(project.path, tmp_path / "p")
    copied = Project.open(tmp_path / "p")
    shutil.rmtree(copied.path / "sae")
    shutil.copytree(copied.path / "tokens" / "sae", copied.path / "sae")
    assert not copied.has("map")


@pytest.mark.parametrize(
    ("name", "array"),
    [("latents", np.array([3, 3], np.int32)), ("latents", np.array([-1, 3], np.int32)),
     ("places", np.full((2, 2), np.nan, np.float32)), ("places", np.full((2, 2), 7, np.float32)),
     ("places", np.zeros((1, 2), np.float32))],
)  # fmt: skip
def test_a_map_that_is_none_is_refused(project, tmp_path, tamper, name, array):
    folder = tmp_path / "map"
    shutil.copytree(project.path / "map", folder)
    for of, usual in (("latents", np.array([1, 3], np.int32)), ("places", np.zeros((2, 2), np.float32))):
        np.save(tmp_path / "x.npy", array if of == name else usual)
        tamper(folder / f"{of}.npy", (tmp_path / "x.npy").read_bytes())
    with pytest.raises(CorruptArtifact, match="holds no places of concepts"):
        ConceptMap.load(folder)


# --- over HTTP ------------------------------------------------------------------------------------


def test_concepts_on_the_map_have_their_names(client, project):
    found = client.get("/api/map/concepts").json()
    assert found["latent"] == project.concept_map.latents.tolist()
    np.testing.assert_allclose(np.array([found["x"], found["y"]]).T, project.concept_map.places, atol=5.1e-5)
    assert found["name"] == [project.concepts.get(latent) for latent in found["latent"]]
    frequency = np.bincount(project.latents.indices, minlength=project.latents.shape[1])
    assert found["document_frequency"] == frequency[found["latent"]].tolist()


def test_passages_are_drawn_evenly_and_by_concept(client, project):
    found = client.get("/api/map/passages").json()
    assert found["total"] == len(project.corpus) == len(found["position"])
    np.testing.assert_allclose(np.array([found["x"], found["y"]]).T, project.places, atol=5.1e-5)
    some = client.get("/api/map/passages", params={"most": 5}).json()
    assert some["position"] == np.linspace(0, found["total"] - 1, 5).astype(int).tolist()
    latent = project.concepts.by_document_frequency()[0].latent
    of_concept = client.get("/api/map/passages", params={"latent": latent}).json()
    assert of_concept["position"] == np.flatnonzero(project.latents.toarray()[:, latent]).tolist()
    assert client.get("/api/map/passages", params={"latent": 100_000}).status_code == 404


def test_passages_are_named_by_their_places(client, project):
    rows = client.get("/api/map/names", params={"at": [2, 0]}).json()["rows"]
    assert [(row["position"], row["passage_id"]) for row in rows] == [
        (2, project.corpus[2].passage_id), (0, project.corpus[0].passage_id),
    ]  # fmt: skip
    assert client.get("/api/map/names", params={"at": [len(project.corpus)]}).status_code == 404


def test_a_project_without_a_map_says_how_to_make_one(kept_copy):
    app = make_app()
    app.state.held = HeldProject(Project.open(kept_copy))
    for path in ("concepts", "passages"):
        answer = TestClient(app).get(f"/api/map/{path}")
        assert answer.status_code == 409
        assert answer.json()["error"].endswith(f"has no map yet; run: unweave map {kept_copy}")


# --- as commands ----------------------------------------------------------------------------------


def test_the_map_is_a_command_whose_result_is_looked_after(kept_copy):
    assert json.loads(unweave("map", kept_copy, "--json").stdout)["map"]["fresh"]
    assert "map: already there" in unweave("map", kept_copy).stdout
    assert "map" in unweave("verify", kept_copy).stdout
    (kept_copy / "map" / MANIFEST).write_text("{}")
    assert f"unweave map {kept_copy}" in unweave("doctor", kept_copy).stdout


def test_passages_are_written_for_the_atlas(project, tmp_path):
    said = json.loads(unweave("export", "atlas", project.path, tmp_path / "a.parquet", "--json").stdout)
    assert said == {
        "file": str(tmp_path / "a.parquet"), "n_passages": len(project.corpus), "n_features": project.latents.nnz,
    }  # fmt: skip
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["id", "title", "text", "map_x", "map_y", "features"]
    struct = table.schema.field("features").type.value_type
    assert str(struct) == "struct<feature: string, source: string, index: int32>"
    labels, rows = project.concepts.shown(), table.to_pylist()
    for position, row in enumerate(rows):
        passage = project.corpus[position]
        assert (row["id"], row["title"], row["text"]) == (passage.passage_id, passage.title, passage.content)
        np.testing.assert_allclose([row["map_x"], row["map_y"]], project.places[position])
        active = project.activated_by(passage.passage_id)
        assert [feature["index"] for feature in row["features"]] == list(active)
        for feature in row["features"]:
            label = labels[feature["index"]]
            assert feature["source"] == label.group(active[feature["index"]])
    called = {feature["feature"]: feature["index"] for row in rows for feature in row["features"]}
    assert len(set(called.values())) == len({f["index"] for row in rows for f in row["features"]}) == len(called)


def test_features_are_called_differently_and_a_name_that_does_not_hold_is_none():
    names = {1: Label("sea"), 2: Label("sea"), 3: Label("wind"), 4: Label("bad", Trust.NONE), 5: Label("\ud800")}
    assert _called(names) == {1: "sea #1", 2: "sea #2", 3: "wind", 4: "(no name holds) #4", 5: "?"}
