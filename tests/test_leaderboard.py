"""Leaderboards over collections, and two systems query by query."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.cli import main
from unweave.errors import BadData, MissingArtifact
from unweave.evaluation import leaderboard as boards
from unweave.evaluation.table import Evaluation
from unweave.project import Project


def queries(values):
    return {f"q{i}": float(value) for i, value in enumerate(values)}


def noisy(mean, seed, n=60):
    return queries(np.random.default_rng(seed).normal(mean, 0.05, n))


@pytest.fixture
def board():
    """Two collections: concepts are better on the first for sure, worse on the second; BM25 misses the second."""
    return boards.from_values(
        {
            "first": {"dense": noisy(0.5, 0), "concepts": noisy(0.7, 1), "BM25": noisy(0.5, 2)},
            "second": {"dense": noisy(0.6, 3), "concepts": noisy(0.45, 4)},
        },
        {"dense": 1536.0, "concepts": 100.0},
    )


@pytest.fixture(scope="module")
def two_projects(project_folder, tmp_path_factory):
    """The small evaluated project, twice, once with a name that LaTeX and terminals would take for commands."""
    folder = tmp_path_factory.mktemp("projects")
    names = ("plain", "a_b\\input{x}%\x1b[31m")
    return [shutil.copytree(project_folder, folder / name) for name in names]


def test_the_macro_average_is_the_mean_of_the_collections(board):
    dense = next(entry for entry in board.entries if entry.system == "dense")
    assert dense.macro == pytest.approx((dense.values["first"] + dense.values["second"]) / 2)
    assert dense.low < dense.macro < dense.high
    assert not dense.against


def test_a_system_that_misses_a_collection_has_no_average_and_comes_last(board):
    last = board.entries[-1]
    assert (last.system, last.macro, last.low) == ("BM25", None, None)
    row = boards.rows(board)[-1]
    assert (row["macro"], row["second"].strip()) == ("-", "-")


def test_what_is_better_or_worse_for_sure_is_marked(board):
    concepts = next(entry for entry in board.entries if entry.system == "concepts")
    assert (concepts.better, concepts.worse) == (["first"], ["second"])
    row = next(row for row in boards.rows(board) if row["system"] == "concepts")
    assert row["first"].endswith("▲") and row["second"].endswith("▼")


def test_p_is_corrected_over_the_whole_board():
    few = {"only": {"dense": queries([0.1] * 6), "other": queries([0.2] * 6)}}
    many = {"only": few["only"] | {f"same {i}": queries([0.1] * 6) for i in range(4)}}
    alone, among = (
        next(e for e in boards.from_values(of, {}).entries if e.system == "other").against["only"].p
        for of in (few, many)
    )
    assert alone == pytest.approx(2 / 2**6)
    assert among == pytest.approx(5 * alone)


def test_an_unknown_baseline_says_what_there_is(board):
    with pytest.raises(BadData, match=r"no system 'SPLADE'.*dense"):
        boards.from_values({"c": {"dense": queries([1])}}, {}, baseline="SPLADE")


def test_latex_shows_names_as_text():
    shown = boards.latex(boards.from_values({"a_b\\input{x}%\n": {"dense": queries([0.5, 0.7])}}, {}))
    assert r"a\_b\textbackslash{}input\{x\}\%" in shown
    assert shown.count("\n") == 8
    assert r"dense & \textbf{0.600} & \textbf{0.600} \\" in shown


def test_the_plot_is_a_picture_of_its_size(board, tmp_path):
    boards.plot(board, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_real_projects_side_by_side(two_projects, tmp_path):
    words = [*map(str, two_projects), "--latex", str(tmp_path / "t.tex"), "--plot", str(tmp_path / "p.png")]
    done = CliRunner().invoke(main, ["leaderboard", *words])
    assert done.exit_code == 0, done.output
    header, _, *lines = done.output.splitlines()
    assert "\x1b" not in done.output and header.split()[:2] == ["system", "macro"]
    there = Evaluation.load(two_projects[0] / "evaluation")
    dense = next(row for row in there.rows if row.system == "dense").measures["nDCG@10"]
    assert any(line.startswith("dense ") and f"{dense:.3f}" in line for line in lines)
    assert r"\input{" not in (tmp_path / "t.tex").read_text()
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_the_same_name_twice_is_refused(two_projects):
    done = CliRunner().invoke(main, ["leaderboard", str(two_projects[0]), str(two_projects[0])])
    assert done.exit_code == 1
    assert "must be its own" in done.output


def test_two_systems_query_by_query(two_projects):
    diff = Project.open(two_projects[0]).compare("BM25", "dense")
    gains = [query.value for query in diff.queries]
    assert gains == sorted(gains, reverse=True)
    assert np.mean(gains) == pytest.approx(diff.whole.difference)
    assert all(query.text for query in diff.queries)
    done = CliRunner().invoke(main, ["compare", str(two_projects[0]), "BM25", "dense", "--json"])
    assert json.loads(done.stdout)["whole"][0] == pytest.approx(diff.whole.difference)
    shown = CliRunner().invoke(main, ["compare", str(two_projects[0]), "BM25", "dense", "--top", "2"])
    assert shown.exit_code == 0 and "BM25 less dense" in shown.output


def test_a_system_that_was_not_evaluated_is_named(two_projects):
    done = CliRunner().invoke(main, ["compare", str(two_projects[0]), "SPLADE", "dense"])
    assert done.exit_code == 1
    assert "no system 'SPLADE'" in done.output and "CL-SR" in done.output


# --- runs of other systems ---------------------------------------------------------------------------


@pytest.fixture
def theirs(two_projects, tmp_path):
    """Dense's own run as another tool would write it: gzipped, by worst rank first, with what is not the project's."""
    lines = (two_projects[0] / "evaluation/runs/dense.trec").read_text().splitlines()
    foreign = ["not-here Q0 Wind_turbine 1 9.0 x", f"{lines[0].split()[0]} Q0 nowhere 1 -1000 x"]
    path = tmp_path / "theirs.trec.gz"
    path.write_bytes(gzip.compress("\n".join([*reversed(lines), *foreign]).encode()))
    return path


def test_a_run_of_another_system_is_compared_by_its_path(two_projects, theirs):
    project = Project.open(two_projects[0])
    ours, brought = project.compare("BM25", "dense"), project.compare("BM25", theirs)
    assert (brought.second, ours.notes) == ("theirs", [])
    assert brought.queries == ours.queries and brought.whole == ours.whole
    assert [note.split(": ", 1)[1] for note in brought.notes] == [
        "1 queries are not judged here and do not count, the first 'not-here'",
        "1 passages are not in the corpus, the first 'nowhere'",
    ]
    assert project.compare(theirs, theirs).whole.difference == 0


def test_a_run_of_the_same_systems_name_is_told_by_its_path(two_projects, tmp_path):
    run = tmp_path / "dense.trec"
    run.write_bytes((two_projects[1] / "evaluation" / "runs" / "dense.trec").read_bytes())
    diff = Project.open(two_projects[1]).compare("dense", run)
    assert (diff.first, diff.second) == ("dense", str(run))


def test_runs_are_compared_on_the_command_line(two_projects, theirs):
    words = ["compare", str(two_projects[0])]
    done = CliRunner().invoke(main, [*words, "BM25", "--run", str(theirs)])
    assert done.exit_code == 0, done.output
    assert "nDCG@10: BM25 less theirs = " in done.stdout and "1 passages are not in the corpus" in done.stderr
    both = CliRunner().invoke(main, [*words, "--run", str(theirs), "--run", str(theirs), "--json"])
    assert json.loads(both.stdout)["whole"][0] == 0
    for few in ([], ["dense"], ["dense", "BM25", "--run", str(theirs)]):
        refused = CliRunner().invoke(main, [*words, *few])
        assert refused.exit_code == 2 and "two systems or runs are compared, got" in refused.output


def test_a_project_that_was_not_evaluated_compares_runs_by_its_judgements(two_projects, theirs, tmp_path):
    shutil.copytree(two_projects[0], tmp_path / "bare", ignore=shutil.ignore_patterns("evaluation"))
    bare = Project.open(tmp_path / "bare")
    assert bare.compare(theirs, theirs).whole.difference == 0
    with pytest.raises(MissingArtifact, match="has no evaluation yet"):
        bare.compare("dense", theirs)


def test_a_run_of_other_queries_is_refused(two_projects, tmp_path):
    (tmp_path / "other.run").write_text("q1 Q0 d1 1 0.5 x\n")
    with pytest.raises(BadData, match=r"other\.run ranks no query that is judged here; its first is 'q1'"):
        Project.open(two_projects[0]).compare("dense", tmp_path / "other.run")


def test_a_leaderboard_takes_runs_of_other_systems(two_projects, theirs, tmp_path):
    collection = two_projects[0].resolve().name
    folder = tmp_path / "runs" / collection
    folder.mkdir(parents=True)
    shutil.copy(theirs, folder / "SPLADE.trec.gz")
    words = ["leaderboard", str(two_projects[0]), "--runs", str(tmp_path / "runs"), "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    entries = {entry["system"]: entry for entry in json.loads(done.stdout)["entries"]}
    assert entries["SPLADE"]["values"] == entries["dense"]["values"]
    assert entries["SPLADE"]["against"][collection][0] == 0
    assert "1 queries are not judged here" in done.stderr
    shutil.copy(theirs, folder / "dense.trec.gz")
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 1 and "there is a system 'dense' already" in again.output
    none = CliRunner().invoke(main, ["leaderboard", str(two_projects[0]), "--runs", str(folder)])
    assert none.exit_code == 1 and "COLLECTION/SYSTEM.trec" in none.output
