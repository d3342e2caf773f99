"""Every option of every command with nonsense in it: one line that says what is wrong, never a traceback.

What is taken from the sixty made-up texts needs no encoder; a command that does is refused for that after its options
are read, and is asked with good options elsewhere.
"""

import contextlib
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from unweave.cli import main
from unweave.errors import BadData
from unweave.evaluation.measures import MEASURES, parse

NONSENSE = ["nonsense", "", "-1", "1e400", "nan", "9" * 23, "0=x", "5=1e999"]
NOT_ASKED = {
    "demo": "runs the other commands",
    "suite": "runs the other commands",
    "serve-model": "serves until it is stopped",
    "plan": "has no project; tests/cluster/test_plan.py asks it",
    "serve": "serves until it is stopped",
    "mcp": "serves until it is stopped",
    "sae push": "asks the hub",
    "sae pull": "asks the hub",
}
ASKS_THE_HUB = {("embed", "--model"), ("pretrain", "--model"), ("judge", "--other-encoder")}
"""Any text may be a model's name; test_cli_errors has one that is not there."""
FILES = ("jsonl", "parquet", "anserini", "ciff", "elasticsearch", "opensearch", "vespa")
PLACES = ("qdrant-edge", "qdrant", "postgresql", "milvus")
"""Engines that passages are written for as files, and those that have to be told a place."""
ARGUMENTS = {
    "init": ["--corpus", "FOLDER/corpus.jsonl"],
    "search": ["moon"], "explain": ["moon", "p1"],
    "difference": ["moon", "p1", "p2"], "counterfactual": ["moon", "p1", "--add", "1=.1"],
    "prevalent": ["moon"], "paths": ["p1"], "decompose": ["moon"],
    "phrases": ["moon"], "contrast": ["FOLDER/project"], "models": ["FOLDER/project"],
    "carrying": ["p1", "0"], "compare": ["dense", "BM25"],
    **{f"concepts {name}": ["0"] for name in ("show", "lock", "unlock")},
    "concepts rename": ["0", "tides"], "concepts flag": ["0", "mine"], "concepts merge": ["0", "1"],
    "export atlas": ["FOLDER/out.parquet"], "concepts export": ["FOLDER/out.csv"], "concepts import": ["FOLDER/in.csv"],
    "concepts adopt": ["FOLDER/project"],
    **{f"export {engine}": ["FOLDER/out"] for engine in FILES},
    **{f"export {engine}": ["FOLDER/out", "--to", "FOLDER/own"] for engine in PLACES},
    "sae import": ["FOLDER/new"], "sae export": ["FOLDER/new", "--format", "saelens"],
}  # fmt: skip


def options() -> Iterator[tuple[str, str]]:
    """Every option that takes a value, by its command."""
    for name, command in main.commands.items():
        group = command.commands if isinstance(command, click.Group) else {}
        for called, one in ({f"{name} {sub}": of for sub, of in group.items()} or {name: command}).items():
            if called not in NOT_ASKED:
                taking = [p.opts[0] for p in one.params if isinstance(p, click.Option) and not p.is_flag]
                yield from ((called, option) for option in taking if (called, option) not in ASKS_THE_HUB)


@pytest.fixture
def folder(tiny_project_folder, tmp_path_factory) -> Path:
    """A copy of the made-up project, and files to read."""
    folder = tmp_path_factory.mktemp("nonsense")
    shutil.copytree(tiny_project_folder, folder / "project")
    (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "moon"}\n')
    (folder / "in.csv").write_text("latent,name\n")
    return folder


@pytest.fixture(autouse=True)
def notes_end_with_the_test(monkeypatch):
    monkeypatch.setattr(logging.getLogger("unweave"), "handlers", [])


@pytest.mark.parametrize(("command", "option"), [pytest.param(*one, id=" ".join(one)) for one in options()])
def test_nonsense_in_an_option_is_refused_in_one_line_or_taken(folder, monkeypatch, command, option):
    monkeypatch.chdir(folder)
    arguments = [word.replace("FOLDER", str(folder)) for word in ARGUMENTS.get(command, [])]
    for value in NONSENSE:
        target = folder / "new-project" if command == "init" else folder / "project"
        done = CliRunner().invoke(main, [*command.split(), str(target), *arguments, option, value])
        assert done.exception is None or isinstance(done.exception, SystemExit), f"{value!r}: {done.exception!r}"
        if done.exit_code:
            *before, line = done.stderr.splitlines()  # before it: notes, and what training chose
            assert line.startswith("Error: "), f"{value!r}: {done.stderr}"
            assert not any(one.startswith(("Error", "Traceback")) for one in before), f"{value!r}: {done.stderr}"
        for made in ("new-project", "new", "out.csv"):
            shutil.rmtree(folder / made, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                (folder / made).unlink()


# --- measures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*MEASURES, "AP", "P(rel=2)@10", "P(rel=2147483647)@10", "Judged@10", "MRR@10"])
def test_a_measure_is_known_by_its_name(name):
    assert parse(name) is parse(name)


def test_what_is_no_measure_is_told_those_that_there_are():
    with pytest.raises(BadData, match=r"'foo@10' is no measure .*\(it is not one of AP, AP_IA"):
        parse("foo@10")


# Some of these end the whole process in trec_eval's code, some raise when they are calculated.
@pytest.mark.parametrize(
    "name",
    ["foo", "nDCG@", "", "ndcg@10", "P", "nDCG@0", "nDCG@-1", "nDCG@1.5", "nDCG@True", "P(rel=0)@10", "AP@0",
     "P(rel=2147483648)@10", "RBP(p=2)", "nDCG@99999999999999999999999", "P@10; import os", "nDCG(dcg='bad')@10"],
)  # fmt: skip
def test_what_is_no_measure_is_refused(name):
    with pytest.raises(
        BadData, match=r"is no measure that can be calculated here \(.*\); measures are such as nDCG@10"
    ):
        parse(name)


@pytest.mark.parametrize(
    "command", [["compare", "project", "dense", "BM25"], ["leaderboard", "project"], ["suite", "nowhere", "new"]]
)
def test_a_wrong_measure_is_said_before_any_work(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(main, [*command, "--measure", "nDCG@"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: 'nDCG@' is no measure")
    assert not (folder / "new").exists()


# --- what is not there ----------------------------------------------------------------------------


def without(module: str, *arguments: object) -> str:
    """What a command says where a package is not installed."""
    script = f"import sys; sys.modules[{module!r}] = None; from unweave.cli import main; main()"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


def test_what_judging_needs_is_said_at_once(folder):
    said = "Error: judging names needs an extra: pip install 'unweave[encode]'"
    assert without("torch", "judge", folder / "project") == said
    assert without("sentence_transformers", "judge", folder / "project") == said


def test_what_naming_needs_is_said_at_once(folder):
    said = "Error: naming and judging concepts needs an extra: pip install 'unweave[name]'"
    assert without("wordllama", "name", folder / "project") == said
    assert without("sklearn", "name", folder / "project") == said


def test_what_reproducing_needs_is_said_at_once(folder):
    said = "Error: training an SAE needs an extra: pip install 'unweave[fit]'"
    assert without("torch", "reproduce", "cl-sr", folder / "project", "--k", 2) == said


def test_a_package_that_nobody_thought_of_is_one_line_too(folder):
    said = "Error: this needs scipy, which is not installed: pip install 'unweave[all]'"
    assert without("scipy", "verify", folder / "project") == said


def test_a_k_above_the_latents_is_refused_before_anything_is_ranked(folder):
    done = CliRunner().invoke(main, ["reproduce", "cl-sr", str(folder / "project"), "--k", "100000"])
    assert (done.exit_code, done.stdout) == (1, "")
    # 32 latents for each of 8 dimensions
    assert done.stderr == "Error: k must be at most 256, the latents of an SAE with 32 a dimension; got 100000\n"
    assert not (folder / "project" / "reproduction").exists()


def test_a_collection_that_cannot_be_downloaded_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    import ir_datasets

    class Dataset:
        """As ir_datasets behaves without a network: known by name, and nothing can be read."""

        def has_docs(self):
            return True

        has_qrels = has_queries = has_docs

        def qrels_iter(self):
            raise RuntimeError("All download sources failed", [OSError("no network")])

        queries_iter = docs_iter = qrels_iter

    monkeypatch.setattr(ir_datasets, "load", lambda name: Dataset())
    done = CliRunner().invoke(main, ["init", str(tmp_path / "p"), "--corpus", "irds:vaswani"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: irds:vaswani is not on this machine and could not be downloaded (All download sources failed); try "
        "again with a network, or give a folder in BEIR's layout\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_no_memory_is_one_line(folder, monkeypatch):
    def evaluate(self):
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr("unweave.project.Project.evaluate", evaluate)
    done = CliRunner().invoke(main, ["evaluate", str(folder / "project")])
    assert (done.exit_code, done.stderr) == (1, "Error: not enough memory: Unable to allocate 3 TiB\n")


def test_a_device_that_is_not_there_is_refused_before_training(folder, tmp_path):
    shutil.copytree(folder / "project", tmp_path / "p")
    done = CliRunner().invoke(main, ["fit", str(tmp_path / "p"), "--device", "xpu", "--seed", "9"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no device 'xpu' here" in done.stderr.splitlines()[-1]
