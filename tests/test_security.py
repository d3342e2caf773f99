"""What docs/security.md says is kept: each test that it names is there, and the rules that have no test elsewhere."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import click
import numpy as np
import pytest

from invoked import unweave
from misbehaving_server import serving
from unweave.cli import main
from unweave.settings import Settings

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
RULES = re.findall(r"^\| ([^|]+) \| (`tests/[^|]+) \|$", PAGE, flags=re.MULTILINE)


@cache
def functions_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("rule", "tests"), RULES, ids=[rule[:40] for rule, _ in RULES])
def test_every_rule_is_held_by_tests_that_are_there(rule, tests):
    named = [one.strip().strip("`") for one in tests.split(", ")]
    assert named
    for one in named:
        path, test = one.split("::")
        assert test in functions_in(path), f"{rule}: {one} is not there"


def test_no_rule_of_the_page_stands_without_a_test():
    rows = [line for line in PAGE.split("## Which rule")[1].split("## What is not")[0].splitlines() if line[:2] == "| "]
    assert len(rows) == len(RULES) + 2 * PAGE.count("| rule | tests |")


def test_addresses_and_paths_in_texts_are_never_followed(tmp_path):
    secret = "not-for-strangers-0123456789"
    (tmp_path / "private.txt").write_text(secret)
    with serving() as server:
        followed = f"{server.base_url}/x.png"
        lures = [followed, (tmp_path / "private.txt").as_uri(), "../private.txt", str(tmp_path / "private.txt")]
        rows = [
            {"_id": lure, "title": f"![{lure}]({lure})", "text": f'<img src="{lure}"> [moon]({lure}) sea', "url": lure,
             "file": lure, "metadata": {"source": lure}}
            for lure in [*lures, *(f"{followed}?{n}" for n in range(36))]
        ]  # fmt: skip
        (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "topics.tsv").write_text(f"q0\t{followed}\nq1\t{lures[1]}\n")
        vectors = np.random.default_rng(0).normal(size=(42, 8)).astype(np.float32)
        np.save(tmp_path / "passages.npy", vectors[2:])
        np.save(tmp_path / "queries.npy", vectors[:2])
        said = ""
        for command, *rest in (
            ("init", "--corpus", tmp_path / "corpus.jsonl", "--queries", tmp_path / "topics.tsv"),
            ("embed", "--passages", tmp_path / "passages.npy", "--queries", tmp_path / "queries.npy"),
            ("fit", "--n-latents", 16, "--k", 2, "--steps", 20, "--batch-size", 16),
            ("name",), ("index build",), ("report",),
            ("search", "--query-id", "q0", "--explain"), ("search", "--query-id", "q1", "--system", "BM25"),
        ):  # fmt: skip
            done = unweave(*command.split(), tmp_path / "mine", *rest)
            assert done.exit_code == 0, done.output
            said += done.output
        assert followed in said  # it is shown, as a text
        assert server.headers == []
    assert secret not in said
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file())


def test_no_command_and_no_setting_takes_a_key():
    def commands(command: click.Command):
        yield command
        for one in getattr(command, "commands", {}).values():
            yield from commands(one)

    secret = re.compile(r"(^|[-_])(api[-_]?)?(keys?|tokens?|secrets?|passwords?|passwd|credentials?|auth)$")
    options = {
        option for one in commands(main) for param in one.params for option in param.opts if secret.search(option)
    }
    assert options == {"--output-tokens", "--tokens"}  # of a model's answers; of texts
    settings = {name for stage in vars(Settings()).values() for name in vars(stage) if secret.search(name)}
    assert settings == {"output_tokens"}
