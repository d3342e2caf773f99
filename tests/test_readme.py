"""What the README shows is what the program prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from benchmarks_of_the_repository import load_benchmark
from unweave.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
demo, readme = load_benchmark("demo"), load_benchmark("readme")


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    return readme.results(demo.RESULTS)  # type: ignore[no-any-return]


def test_every_shown_output_is_printed_from_the_measured_results() -> None:
    assert readme.renewed(README) == README
    assert set(re.findall(r"<!-- begin (\w+) -->", README)) == set(readme.blocks())


def test_the_shown_explanations_add_up(results: dict[str, object]) -> None:
    hit = demo.hit_of(results["hit"])
    for explanation in (hit.explanation, hit.dense_explanation):
        explanation.check()
    assert "text" not in results["hit"]  # type: ignore[operator]


def test_every_shown_command_exists_with_its_options() -> None:
    lines = re.findall(r"^(unweave [a-z][^`]+?)(?:\s+#.*)?$", README, flags=re.MULTILINE)
    lines += re.findall(r"`(unweave [^`]+)`", README)
    assert len(lines) >= 9
    for line in lines:
        name, *arguments = shlex.split(line)[1:]
        command = main.commands[name]
        while isinstance(command, click.Group):
            name, *arguments = arguments
            command = command.commands[name]
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
