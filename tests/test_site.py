"""The documentation site: every page is in it, the generated ones are whole, and no link leads nowhere."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import unweave as uw
from unweave.settings import write_new

ROOT = Path(__file__).parent.parent
SITE = ROOT / "docs" / "site"
pytest.importorskip("sphinx", reason="pip install '.[docs]'")


@pytest.fixture(scope="module", autouse=True)
def _its_modules() -> None:
    sys.path.insert(0, str(SITE))


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return importlib.import_module("build")


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^(docs/[\w/]+)$", (SITE / "index.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    files = (page.relative_to(ROOT) for page in (ROOT / "docs").rglob("*.md") if SITE not in page.parents)
    pages = [str(page.with_suffix("")) for page in files if page.name != "README.md"]
    assert sorted(listed) == sorted(pages)


def test_the_front_page_is_short() -> None:
    said = (SITE / "index.md").read_text(encoding="utf-8").split("```")[0]
    assert len(said.split("\n\n", 1)[1].splitlines()) <= 14 and "docs/hit.svg" in said


def test_every_exported_name_is_described(tmp_path: Path) -> None:
    importlib.import_module("library").write(tmp_path)
    written = "".join(page.read_text(encoding="utf-8") for page in tmp_path.iterdir())
    assert sorted(re.findall(r"^.. auto\w+:: unweave\.(\w+)$", written, flags=re.MULTILINE)) == sorted(uw.__all__)


def test_every_route_and_shape_is_described(tmp_path: Path) -> None:
    from unweave.server.app import make_app

    importlib.import_module("routes").write(tmp_path)
    written = (tmp_path / "http.md").read_text(encoding="utf-8")
    document = make_app().openapi()
    shown = re.findall(r"^### `(\w+) ([^`]+)`$", written, flags=re.MULTILINE)
    assert sorted(shown) == sorted((m.upper(), path) for path, routes in document["paths"].items() for m in routes)
    places = {heading.lower() for heading in re.findall(r"^### (\w+)$", written, flags=re.MULTILINE)}
    assert places == {name.lower() for name in document["components"]["schemas"]}
    assert set(re.findall(r"\]\(#(\w+)\)", written)) <= places


def test_every_setting_and_every_file_of_a_project_is_described(tmp_path: Path) -> None:
    artefacts, project = importlib.import_module("artefacts"), ROOT / "tests" / "kept" / "project"
    artefacts.write(tmp_path, project)
    settings = (tmp_path / "settings.md").read_text(encoding="utf-8")
    write_new(tmp_path / "unweave.toml", {})
    new = (tmp_path / "unweave.toml").read_text(encoding="utf-8")
    names = re.findall(r"^(?:# )?(\w+) =", new, flags=re.MULTILINE)
    assert names and re.findall(r"^\| `(\w+)` \|", settings, flags=re.MULTILINE) == names
    for artefact, modules in artefacts.WRITTEN_BY.items():
        told = " ".join(artefacts.told_by(f"unweave.{module}") for module in modules)
        files = [path.name for path in (project / artefact).rglob("*") if path.is_file()]
        of_runs = (".trec", ".tsv")  # named after systems and splits
        assert [
            name
            for name in files
            if not name.endswith(of_runs) and name not in ("config.json", ".unweave", "sums.npy") and name not in told
        ] == [], artefact


def test_every_benchmark_has_a_plot() -> None:
    results = {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.json")}
    assert results <= set(importlib.import_module("plots").DRAWN)


def test_what_leads_nowhere_or_is_loaded_from_elsewhere_is_found(build: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text('<h1 id="here">Here</h1>', encoding="utf-8")
    (tmp_path / "page.html").write_text(
        '<a href="other.html#here">good</a><a href="#top">good</a><a href="https://x.org">good</a>'
        '<img src="data:image/png;base64,AA=="><a href="gone.html">1</a><a href="other.html#there">2</a>'
        '<script src="//x.org/a.js"></script><link href="https://x.org/a.css">',
        encoding="utf-8",
    )
    assert list(build.wrong_links(tmp_path)) == [
        "page.html: no file at gone.html",
        "page.html: no such place: other.html#there",
        "page.html: <script> loads //x.org/a.js",
        "page.html: <link> loads https://x.org/a.css",
    ]


@pytest.mark.slow  # it takes half a minute, and `make docs` does the same
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, str(SITE / "build.py"), str(tmp_path / "site")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    assert (tmp_path / "site" / "docs" / "retrieval.html").is_file()
    for results in (ROOT / "benchmarks" / "results").glob("*.json"):
        page = (tmp_path / "site" / "measured" / f"{results.stem}.html").read_text(encoding="utf-8")
        assert f"{results.stem}.svg" in page
