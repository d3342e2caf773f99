"""What the front page and the pages of docs/ show is what the program prints, has and does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import util
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import unweave as uw
from benchmarks_of_the_repository import load_benchmark
from unweave.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
demo, render, structure, tutorial = (load_benchmark(name) for name in ("demo", "render", "structure", "tutorial"))
PAGES = {page: page.read_text(encoding="utf-8") for page in render.pages()}
WRITTEN = {**PAGES, ROOT / "CONTRIBUTING.md": CONTRIBUTING}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)]+)\)")


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return render.results(demo.RESULTS)  # type: ignore[no-any-return]


def _fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


# What is shown.


def test_every_shown_output_is_printed_from_the_measured_results() -> None:
    shown = render.blocks()
    for page, text in PAGES.items():
        assert render.renewed(text, shown) == text, f"{page.name}: run python benchmarks/render.py"
    assert sorted(re.findall(r"<!-- begin (\w+) -->", "".join(PAGES.values()))) == sorted(shown)


def test_a_block_is_written_anew_and_nothing_else() -> None:
    page = "before\n<!-- begin a -->\nold\nold\n<!-- end a -->\nbetween\n<!-- begin b -->\n<!-- end b -->\nafter\n"
    assert render.renewed(page, {"a": ["new"], "b": ["1", "2"]}) == (
        "before\n<!-- begin a -->\nnew\n<!-- end a -->\nbetween\n<!-- begin b -->\n1\n2\n<!-- end b -->\nafter\n"
    )


def test_the_shown_explanations_add_up(results: dict[str, Any]) -> None:
    hit = demo.hit_of(results["hit"])
    for explanation in (hit.explanation, hit.dense_explanation):
        explanation.check()
    assert "text" not in results["hit"]


def test_the_pictures_are_drawn_from_the_measured_results() -> None:
    shown = "".join(PAGES.values())
    for path, drawn in render.pictures().items():
        assert path.read_text(encoding="utf-8") == drawn, f"{path.name}: run python benchmarks/render.py"
        assert f"]({path.name})" in shown or f"]({path.relative_to(ROOT)})" in README


def test_the_tutorial_shows_the_commands_that_were_run() -> None:
    page = PAGES[ROOT / "docs" / "tutorial.md"]
    lines = [line for block in _fenced(page, "sh") for line in block.splitlines()]
    for name, command in tutorial.COMMANDS.items():
        assert command in lines and f"<!-- begin tutorial_{name} -->" in page


# What is said to exist.


def test_the_readme_is_a_front_page() -> None:
    assert len(README.splitlines()) <= 200


def test_the_readme_shows_the_two_commands_and_the_makefile_has_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target} " in README
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)


def _shown_commands(page: str) -> Iterator[tuple[str, bool]]:
    """Each shown command line of ours, and whether it is one to type as it stands."""
    for block in _fenced(page, "sh"):
        for line in block.splitlines():
            if line.startswith("unweave "):
                yield re.sub(r"\s+#.*$", "", line), True
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", prose):
        words = " ".join(code.split())
        if ran := re.match(r"(?:torchrun .* -m )?(unweave [a-z].*)", words):
            yield ran[1], False


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words name, and the words after its name; a group, if they name no more."""
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        name, *words = words
        command = command.commands[name]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_shown_command_exists_with_its_options_and_arguments(page: Path) -> None:
    for line, to_type in _shown_commands(PAGES[page]):
        _check_typed(line, to_type)


def _check_typed(line: str, to_type: bool) -> None:
    """Fail unless a command line is one: of a command that is there, with options and arguments that it takes."""
    command, words = _command(shlex.split(line)[1:])
    try:
        given, more, _ = command.make_parser(click.Context(command)).parse_args(words)
    except click.UsageError as error:
        pytest.fail(f"{line}: {error.format_message()}")
    assert not more, f"{line}: {more} are too many"
    missing = [
        p.name for p in command.params if isinstance(p, click.Argument) and p.required and not given.get(p.name or "")
    ]
    assert not (to_type and missing), f"{line}: {missing} are missing"


def test_every_help_has_examples_of_its_own_command_that_are_taken() -> None:
    for name, command in render.every_command():
        lines = [line.strip() for line in cleandoc(command.help or "").partition("\b\nExamples:\n")[2].splitlines()]
        assert lines and all(line.startswith(name) for line in lines), name
        for line in lines:
            _check_typed(line, to_type=True)


def test_the_commands_of_the_front_page_are_looked_at() -> None:
    lines = [line for line, to_type in _shown_commands(README) if to_type]
    assert lines[:2] == ["unweave init mine --corpus my_folder", lines[1]] and len(lines) >= 8


def test_every_shown_option_is_one_of_a_command() -> None:
    options = {option for _, c in render.every_command() for p in c.params for option in p.opts} | {"--help"}
    for page, text in PAGES.items():
        shown = {code.split()[0] for code in re.findall(r"`(--[^`]+)`", text)}
        assert shown <= options, (page.name, shown - options)


def test_every_shown_benchmark_is_there_with_its_options() -> None:
    for page, text in WRITTEN.items():
        for code in re.findall(r"`python\s+(benchmarks/[^`]+)`", text):
            path, *words = code.split()
            source = (ROOT / path).read_text(encoding="utf-8")
            assert all(word in source for word in words if word.startswith("--")), (page.name, code)


def test_the_extras_are_those_of_the_package() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    listed = [
        name
        for names, _ in _rows(PAGES[ROOT / "docs" / "install.md"], "| extra |")
        for name in re.findall(r"`([\w-]+)`", names)
    ]
    assert sorted([*listed, "all"]) == sorted(extras)
    (all_of_them,) = extras["all"]
    within = set(re.findall(r"[\w-]+", all_of_them)) - {"unweave"}
    adapters = ["haystack", "langchain", "langchain-qdrant", "llama-index", "opentelemetry", "pyterrier"]
    engines = ["qdrant-edge", "qdrant", "postgresql", "milvus", "elasticsearch", "opensearch", "vespa"]
    assert sorted(set(listed) - within - {"demo", "dev", "docs"}) == sorted(
        [*adapters, *engines, "cluster", "local-model", "mteb"]
    )  # as docs/install.md says


def test_every_linked_file_is_there() -> None:
    for page, text in WRITTEN.items():
        for _, _, target in LINK.findall(text):
            assert target.startswith("https://") or (page.parent / target).is_file(), (page.name, target)


def test_every_page_is_linked_from_the_front_page_and_from_the_index() -> None:
    index, of_journeys = PAGES[ROOT / "docs" / "README.md"], PAGES[ROOT / "docs" / "journeys.md"]
    for page in PAGES:
        if page.parent.name == "journeys":
            assert f"(journeys/{page.name})" in of_journeys
        elif page.name != "README.md":
            assert f"(docs/{page.name})" in README and f"({page.name})" in index
            question = PAGES[page].splitlines()[0].removeprefix("# ")
            assert question.endswith("?") and question in README and question in index


def test_every_public_name_is_there() -> None:
    for name in uw.__all__:
        assert getattr(uw, name) is not None


@pytest.mark.parametrize("pages", ["README.md docs/tutorial.md docs/ideas.md", "docs/library.md"])
def test_the_shown_python_runs(pages: str, project_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").symlink_to(project_folder)
    snippets = [snippet for page in pages.split() for snippet in _fenced(PAGES[ROOT / page], "python")]
    assert len(snippets) >= len(pages.split())
    # One process, so that what takes seconds is imported once; each snippet begins with no names.
    each = "import sys\nfor snippet in sys.argv[1:]: exec(compile(snippet, snippet, 'exec'), {'__name__': '__main__'})"
    ran = subprocess.run([sys.executable, "-c", each, *snippets], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


# What a package index shows.


def _links_for_an_index() -> ModuleType:
    spec = util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_of_the_package_has_no_link_that_an_index_cannot_follow() -> None:
    shown = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    assert all(target.startswith("https://") for _, _, target in LINK.findall(shown))
    assert re.findall(r"<!-- begin (\w+) -->", shown) == re.findall(r"<!-- begin (\w+) -->", README)


def test_a_link_of_the_readme_names_its_file_in_case_it_cannot_be_followed() -> None:
    for is_picture, text, target in LINK.findall(README):
        assert is_picture or target.startswith("https://") or text == target


def test_links_are_made_absolute_where_the_repository_has_an_address() -> None:
    page = (
        "# Title\n\n![A picture](docs/a.svg)\n\nSee [docs/b.md](docs/b.md), [there](https://x.org/y) and [it](#here).\n"
    )
    links = _links_for_an_index()
    assert links.for_an_index(page, "https://code.org/us/it/") == (
        "# Title\n\n![A picture](https://code.org/us/it/raw/HEAD/docs/a.svg)\n\n"
        "See [docs/b.md](https://code.org/us/it/blob/HEAD/docs/b.md), [there](https://x.org/y) and [it](#here).\n"
    )
    assert links.for_an_index(page, None) == (
        f"# Title\n\n{links.HOMELESS}See `docs/b.md`, [there](https://x.org/y) and [it](#here).\n"
    )


# How the house is said to be built.


def _rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows below a table's heading."""
    lines = page[page.index(heading) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_rooms_of_contributing_are_the_layers_in_their_order() -> None:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (floors,) = (contract for contract in contracts if contract["type"] == "layers")
    rows = _rows(CONTRIBUTING, "| floor | room |")
    told = [[room.strip("`") for _, room, _ in group] for _, group in groupby(rows, key=lambda row: row[0])]
    assert told == [layer.split(" | ") for layer in floors["layers"]]
    assert [int(floor) for floor, _ in groupby(row[0] for row in rows)] == list(range(len(told), 0, -1))


def test_the_drawing_of_the_rooms_is_of_the_imports_as_they_are() -> None:
    drawn = structure.picture()
    assert structure.PICTURE.read_text(encoding="utf-8") == drawn, "run python benchmarks/structure.py"
    assert f"]({structure.PICTURE.relative_to(ROOT)})" in CONTRIBUTING


def test_every_room_imports_only_from_rooms_below_it() -> None:
    floor_of = {room: number for number, floor in enumerate(structure.floors()) for room in floor}
    for importer, imported in structure.imports():
        if importer in floor_of and imported in floor_of:
            assert floor_of[importer] < floor_of[imported], (importer, imported)


def test_the_contracts_of_contributing_are_those_that_are_checked() -> None:
    told = [row[0] for row in _rows(CONTRIBUTING, "| contract |")]
    assert told == [contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]]


def test_the_places_of_contributing_are_there() -> None:
    for code in re.findall(r"`([\w/]+(?:\.py|/))`", CONTRIBUTING):
        places = [ROOT / code, ROOT / "src" / "unweave" / code]
        assert code == "__init__.py" or any(place.exists() for place in places), code
