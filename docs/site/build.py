"""Builds the documentation into static files, with warnings as errors and without asking anything of the network.

    python docs/site/build.py [OUT]

What Sphinx reads is laid out in a temporary folder as the repository is, so that a link works in both places: the pages
of docs/, beside them those that are generated: reference/ from docstrings, commands, routes, settings and a project's
files, and measured/ from the results of the benchmarks. At the end every link inside of the site is followed, and a
page that would load anything from elsewhere is an error. OUT is the folder `site` unless another is given.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import artefacts
import library
import measured
import routes
from sphinx.cmd.build import build_main

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
_LOADED = {
    ("link", "href"),
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("object", "data"),
}
"""Where a page names what a browser fetches by itself; `a` is followed by people alone."""


def main() -> int:
    """Build the site; 0 if nothing is wrong with it."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").resolve()
    with tempfile.TemporaryDirectory(prefix="unweave-site-") as folder:
        source, doctrees = Path(folder, "source"), Path(folder, "doctrees")
        lay_out(source)
        shutil.rmtree(out, ignore_errors=True)
        options = ["-W", "--keep-going", "-n", "-q", "-c", str(HERE), "-d", str(doctrees)]
        if failed := build_main([*options, str(source), str(out)]):
            return failed
    wrong = list(wrong_links(out))
    sys.stderr.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(f"{out / 'index.html'}\n")
    return bool(wrong)


def lay_out(source: Path) -> None:
    """The pages of the repository in their places, and the generated ones."""
    for name in ("docs", "reference", "measured", "benchmarks/results"):
        (source / name).mkdir(parents=True)
    shutil.copytree(
        ROOT / "docs", source / "docs", ignore=shutil.ignore_patterns("README.md", "site"), dirs_exist_ok=True
    )
    for picture in (ROOT / "benchmarks" / "results").glob("*.png"):
        shutil.copy(picture, source / "benchmarks" / "results")
    for page in ("CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / page, source)
    shutil.copy(HERE / "index.md", source)
    shutil.copy(HERE / "commands.md", source / "reference")
    library.write(source / "reference")
    routes.write(source / "reference")
    artefacts.write(source / "reference", ROOT / "tests" / "kept" / "project")
    measured.write(source / "measured", ROOT)


def wrong_links(site: Path) -> Iterator[str]:
    """A line for each link that leads to no file or no place, and for each thing that is loaded from elsewhere."""
    pages = {page: _Page(page) for page in sorted(site.rglob("*.html"))}
    for page, read in pages.items():
        for (tag, attribute), target in read.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if (tag, attribute) in _LOADED and parts.scheme != "data":
                    yield f"{page.relative_to(site)}: <{tag}> loads {target}"
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not file.is_file():
                yield f"{page.relative_to(site)}: no file at {target}"
            elif parts.fragment and file in pages and unquote(parts.fragment) not in pages[file].places:
                yield f"{page.relative_to(site)}: no such place: {target}"


class _Page(HTMLParser):
    """What a page links to, and where it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[tuple[tuple[str, str], str]] = []
        self.places = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.places.add(value)
            elif value and ((tag, name) in _LOADED or (tag, name) == ("a", "href")):
                self.links.append(((tag, name), value))


if __name__ == "__main__":
    sys.exit(main())
