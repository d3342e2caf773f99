"""What the README shows is what the program prints."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from benchmarks_of_the_repository import load_benchmark
from unweave.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
benchmark = load_benchmark("demo")


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    return json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_every_shown_output_is_printed_from_the_measured_results(results: dict[str, object]) -> None:
    assert benchmark.renewed(README, results) == README
    assert set(re.findall(r"<!-- begin (\w+) -->", README)) == set(benchmark.blocks(results))


def test_the_shown_explanations_add_up(results: dict[str, object]) -> None:
    hit = benchmark.hit_of(results["hit"])
    for explanation in (hit.explanation, hit.dense_explanation):
        explanation.check()
    assert "text" not in results["hit"]  # type: ignore[operator]


def test_every_shown_command_exists_with_its_options() -> None:
    lines = re.findall(r"^(unweave [^`]+?)(?:\s+#.*)?$", README, flags=re.MULTILINE)
    lines += re.findall(r"`(unweave [^`]+)`", README)
    assert len(lines) >= 9
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        command = main.commands[name]
        options = {option for p in command.params if isinstance(p, click.Option) for option in p.opts}
        assert {a for a in arguments if a.startswith("--")} <= options, line


def test_the_readme_shows_the_two_commands_and_the_makefile_has_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target} " in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def test_every_linked_file_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).is_file(), target
