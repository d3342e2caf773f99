"""Hits of other engines, explained: real FAISS and Qdrant beside the project's own accounts."""

from __future__ import annotations

import json
import math

import faiss
import numpy as np
import pytest
import qdrant_edge
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import unweave as uw
from conftest import unit
from unweave.cli import main
from unweave.errors import BadData
from unweave.explaining.engine_hits import MEASURES, explain_hits, explain_scores
from unweave.explaining.lucene import as_lucene
from unweave.project import Project
from unweave.stages.asked import QueryId
from unweave.texts.hits import EngineHit, read_hits

TEXTS = ["Banks ask for more on loans.", "Rivers have green banks.", "A turbine turns wind into power."]


def by_measure(query: np.ndarray, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure as its engine's manual has it."""
    dot = vectors @ query
    cosine = dot / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    l2 = np.linalg.norm(vectors - query, axis=1)
    return {
        "cosine": cosine, "half cosine": (1 + cosine) / 2, "cosine distance": 1 - cosine, "dot": dot,
        "negative dot": -dot, "squared L2": l2**2, "L2": l2, "inverse L2": 1 / (1 + l2**2),
    }  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=st.integers(0, 10_000))
def test_every_measure_adds_up_and_is_found_by_itself(measure, seed, random_sae):
    random, sae = np.random.default_rng(seed), random_sae(seed)
    query, vectors = random.normal(size=8), random.normal(size=(5, 8))
    scores = by_measure(query, vectors)[measure]
    for asked in (measure, "auto"):
        found = explain_scores(query, vectors, scores, sae, measure=asked)
        for why, score, exact in zip(found, scores, by_measure(query, vectors)["squared L2"], strict=True):
            why.check()
            assert why.score == pytest.approx(exact if "L2" in measure else score)
    assert found[0].of == ("dense" if measure in ("cosine", "half cosine", "dot") else "distance")


def test_a_cosine_distance_by_hand(identity_sae):
    # q = (1, 0, 0), d = (.6, .8, 0): the first latent (.6) and the second (.8, at right angles to q) are above .5.
    (why,) = explain_scores(np.array([2.0, 0, 0]), np.array([[3.0, 4.0, 0]]), np.array([0.4]), identity_sae)
    assert {c.latent: c.value for c in why.contributions} == {0: pytest.approx(-0.6), 1: pytest.approx(0)}
    assert (why.of, why.score, why.bias, why.residual) == ("distance", 0.4, 1.0, pytest.approx(0, abs=1e-7))


def test_what_an_engine_rounds_off_is_in_the_residual(random_sae):
    random = np.random.default_rng(0)
    query, vectors = random.normal(size=8), random.normal(size=(5, 8))
    exact = by_measure(query, vectors)["cosine"]
    rounded = explain_scores(query, vectors, exact + 0.004, random_sae(0))
    for why, whole in zip(rounded, explain_scores(query, vectors, None, random_sae(0)), strict=True):
        why.check()
        assert why.residual - whole.residual == pytest.approx(0.004)


def test_scores_of_other_vectors_are_refused(random_sae):
    random = np.random.default_rng(0)
    query, vectors = random.normal(size=8), random.normal(size=(5, 8))
    with pytest.raises(BadData, match=r"none that their vectors have by cosine, .*nearest is"):
        explain_scores(query, vectors, np.full(5, 77.0), random_sae(0))
    with pytest.raises(BadData, match="hit 1 came with a score that is"):
        explain_scores(query, vectors, by_measure(query, vectors)["L2"], random_sae(0), measure="cosine")
    with pytest.raises(BadData, match="no measure 'manhattan'; expected auto or one of cosine"):
        explain_scores(query, vectors, None, random_sae(0), measure="manhattan")
    with pytest.raises(BadData, match=r"expected \(8,\) and \(n, 8\)"):
        explain_scores(query, vectors[:, :7], None, random_sae(0))
    for bad in (np.nan, np.inf):
        with pytest.raises(BadData, match="none that their vectors have"):
            explain_scores(query, vectors, np.full(5, bad), random_sae(0))


@pytest.mark.parametrize("metric", ["METRIC_INNER_PRODUCT", "METRIC_L2"])
def test_hits_of_faiss_have_the_accounts_of_our_own_dense_search(tiny_project_folder, metric):
    project = Project.open(tiny_project_folder)
    passages, queries = (project.embedded(of).rows() for of in ("passages", "queries"))
    index = faiss.IndexFlat(8, getattr(faiss, metric))
    index.add(passages)
    scores, positions = index.search(queries[1:2], 10)
    hits = [
        EngineHit(project.corpus[i].passage_id, float(score), index.reconstruct(i))
        for i, score in zip(positions[0].tolist(), scores[0].tolist(), strict=True)
    ]
    found = project.explain_hits(queries[1], hits)
    assert [hit.passage.passage_id for hit in found] == [hit.hit_id for hit in hits]
    for hit in found:
        hit.explanation.check()
        own = project.explain(QueryId("q1"), hit.passage.passage_id)
        factor = 1 if metric == "METRIC_INNER_PRODUCT" else -2
        values = {c.latent: c.value for c in own.contributions}
        assert {c.latent: c.value for c in hit.explanation.contributions} == {
            latent: pytest.approx(factor * value, abs=1e-6) for latent, value in values.items()
        }
        assert hit.score == pytest.approx(own.score if factor == 1 else 2 - 2 * own.score, abs=1e-5)


@pytest.mark.parametrize("distance", ["Cosine", "Dot", "Euclid"])
def test_hits_of_qdrant_have_the_accounts_of_our_own_dense_search(tiny_project_folder, tmp_path, distance):
    project = Project.open(tiny_project_folder)
    passages, queries = (project.embedded(of).rows() for of in ("passages", "queries"))
    parameters = qdrant_edge.EdgeVectorParams(size=8, distance=getattr(qdrant_edge.Distance, distance))
    (tmp_path / "shard").mkdir()
    shard = qdrant_edge.EdgeShard.create(str(tmp_path / "shard"), qdrant_edge.EdgeConfig(vectors=parameters))
    points = [qdrant_edge.Point(i, row.tolist(), {}) for i, row in enumerate(passages)]
    shard.update(qdrant_edge.UpdateOperation.upsert_points(points))
    request = qdrant_edge.QueryRequest(limit=10, query=qdrant_edge.Query.Nearest(queries[1].tolist()), with_vector=True)
    points = shard.query(request)
    hits = [EngineHit(project.corpus[point.id].passage_id, point.score, np.array(point.vector)) for point in points]
    found = project.explain_hits(queries[1], hits)
    for hit in found:
        hit.explanation.check()
        own = project.explain(QueryId("q1"), hit.passage.passage_id)
        assert hit.score == pytest.approx(own.score if distance != "Euclid" else 2 - 2 * own.score, abs=1e-5)
    shard.close()


def test_texts_without_vectors_are_embedded_and_foreign_scores_are_not_explained(caplog):
    dictionary = uw.from_pretrained()
    rows = dictionary.encoder.encode_passages(TEXTS)
    query = dictionary.encoder.encode_queries(["interest on loans"])[0]
    ours = [EngineHit(str(i), float(query @ rows[i]), text=text) for i, text in enumerate(TEXTS)]
    found = dictionary.explain_hits("interest on loans", ours)
    assert [hit.score for hit in found] == [pytest.approx(hit.score, abs=1e-6) for hit in ours] and not caplog.records
    foreign = [hit._replace(score=17.3 - i) for i, hit in enumerate(ours)]
    again = dictionary.explain_hits("interest on loans", foreign)
    assert [hit.score for hit in again] == [pytest.approx(hit.score, abs=1e-6) for hit in ours]
    assert "not this encoder's" in caplog.text
    assert dictionary.explain_hits("interest on loans", []) == []


def test_hits_that_do_not_fit_together_are_refused(random_sae):
    query, vector = np.ones(8), np.ones(8)
    for hits, said in (
        ([EngineHit("1", vector=vector), EngineHit("2", text="a")], "1 of 2 hits have vectors"),
        ([EngineHit("1", 0.5, vector), EngineHit("2", None, vector)], "1 of 2 hits have scores"),
        ([EngineHit("1", vector=vector), EngineHit("2", vector=np.ones(7))], "not of one width"),
        ([EngineHit("1", text="a")], "no encoder here"),
    ):
        with pytest.raises(BadData, match=said):
            explain_hits(query, hits, random_sae(0))


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_command_explains_a_file_of_hits(tmp_path):
    hits = write(tmp_path / "hits.jsonl", [{"_id": i, "text": text} for i, text in enumerate(TEXTS)])
    asked = ["explain", "--query", "interest on loans", "--hits", str(hits)]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0, said.output
    assert "Banks ask for more on loans.  [0]" in said.stdout and "dense score 0." in said.stdout
    record = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert [hit["passage_id"] for hit in record["hits"]] == ["0", "1", "2"]
    lucene = json.loads(CliRunner().invoke(main, [*asked, "--lucene"]).stdout)
    assert lucene["hits"][0]["_id"] == "0" and lucene["hits"][0]["matched"] is True
    checked(lucene["hits"][0]["explanation"])


def test_the_command_takes_the_vectors_that_an_engine_searched(tmp_path, tiny_project_folder):
    project = Project.open(tiny_project_folder)
    passages, queries = (project.embedded(of).rows() for of in ("passages", "queries"))
    np.save(tmp_path / "query.npy", queries[1])
    rows = [{"id": f"p{i}", "vector": passages[i].tolist(), "_score": float(0.5 + passages[i] @ queries[1] / 2)}
            for i in range(3)]  # fmt: skip
    hits = write(tmp_path / "hits.jsonl", rows)
    asked = ["explain", str(tiny_project_folder), "--query-vector", str(tmp_path / "query.npy"), "--hits", str(hits)]
    record = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert [hit["score"] for hit in record["hits"]] == [pytest.approx(row["_score"]) for row in rows]
    refused = CliRunner().invoke(main, [*asked, "--measure", "L2"])
    assert refused.exit_code == 1 and "came with a score" in refused.output


def test_files_that_are_no_hits_are_refused(tmp_path):
    for rows, said in (
        ([], "has no hits"),
        ([{"text": "a"}], "by which to name the hit"),
        ([{"id": 1}], "neither a vector nor a text"),
        ([{"id": 1, "vector": "0.1 0.2"}], "a list of 1 to"),
        ([{"id": 1, "vector": [1, None]}], "a list of 1 to"),
        ([{"id": 1, "vector": []}], "a list of 1 to"),
        ([{"id": 1, "vector": [10**400]}], "a list of 1 to"),
        ([{"id": 1, "text": "a", "score": "high"}], "a score must be a number"),
        ([{"id": 1, "text": "a", "score": True}], "a score must be a number"),
        ([{"id": 1.5, "text": "a"}], "an id must be"),
        ([[1, 2]], "expected a JSON object"),
    ):
        with pytest.raises(BadData, match=said):
            read_hits(write(tmp_path / "hits.jsonl", rows))


def test_what_does_not_go_together_is_refused(tmp_path):
    hits = str(write(tmp_path / "hits.jsonl", [{"id": 1, "text": "a"}]))
    for arguments, said in (
        (["--hits", hits], "one of --query and --query-vector"),
        (["--hits", hits, "--query", "a", "--by-words"], "--hits takes neither"),
        (["a", "b", "--query", "c"], "go with --hits"),
        (["a", "b", "--by-words", "--lucene"], "without --lucene"),
    ):
        done = CliRunner().invoke(main, ["explain", *arguments])
        assert done.exit_code == 2 and said in done.output, done.output


def checked(node: dict) -> None:
    """Every value is the sum, or the product, of its details, as tools that read Lucene's explanations expect."""
    assert set(node) == {"value", "description", "details"}
    values = [detail["value"] for detail in node["details"]]
    if node["description"].endswith("product of:"):
        assert math.prod(values) == pytest.approx(node["value"], abs=1e-9)
    elif values:
        assert math.fsum(values) == pytest.approx(node["value"], abs=1e-5)
    for detail in node["details"]:
        checked(detail)


@pytest.mark.parametrize("system", ["dense", "codes", "CL-SR", "BM25", "BM25 + 2 codes"])
def test_explanations_in_the_shape_of_lucenes_add_up(tiny_project_folder, system):
    project = Project.open(tiny_project_folder)
    (hit, *_) = project.search(QueryId("q1"), system=system)
    why = project.explain(QueryId("q1"), hit.passage.passage_id, system=system)
    found = as_lucene(why)
    assert found["value"] == why.score
    for node in found["details"] if why.parts else [found]:
        for detail in node["details"] if why.parts else [node]:
            checked(detail)


def test_a_name_from_outside_stays_on_its_line(identity_sae):
    (why,) = explain_scores(unit(np.ones((1, 3)))[0], np.eye(3)[:1], None, identity_sae, {0: "a\x1b[31m\nb"})
    described = json.dumps(as_lucene(why), ensure_ascii=False)
    assert "\x1b" not in described and "\\u001b" not in described and "\\n" not in described
