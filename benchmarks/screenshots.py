"""What does the explorer look like? Pictures of each of its views, light and dark, for docs/explorer.md.

    python benchmarks/screenshots.py [--project FOLDER] [--only VIEW …]

Serves a copy of the demo, which is made first where it is not there, and takes the pictures in Chromium. What they show
is the product on Wikipedia's text; nothing is put into the pages for them.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from serving import chromium, served

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "explorer"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
QUERY = "how do volcanoes change the climate"
COLOURS = 128
THEMES = ("light", "dark")


class View(NamedTuple):
    """One picture: an address, what to wait for, and what to do before it is taken."""

    address: str
    ready: str
    """A selector of what has to be there."""
    then: Callable[[Page], Any] | None = None
    size: dict[str, int] = WIDE


def strongest_concept(page: Page) -> None:
    page.keyboard.press("Shift+A")
    page.locator("mark").first.wait_for()


def steered(page: Page) -> None:
    slider = page.locator(".steer input[type=range]").first
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.locator(".moved-n").first.wait_for()


def two_compared(page: Page) -> None:
    for number in (0, 1):
        page.locator("li.hit").nth(number).hover()
        page.locator("li.hit").nth(number).get_by_role("button", name="Compare").click()
    page.get_by_role("table").first.wait_for()


def first_concept(page: Page) -> None:
    page.locator("table.grid tbody .name a").first.click()
    page.locator(".hist").wait_for()
    page.locator("mark").first.wait_for()


def first_passage(page: Page) -> None:
    page.locator("li.hit h2 a").first.click()
    page.locator("mark").first.wait_for()


def _search(**more: str) -> str:
    return "/search?" + "&".join(f"{name}={value}" for name, value in {"q": QUERY.replace(" ", "+"), **more}.items())


VIEWS = {
    "search": View(_search(system="dense"), "li.hit mark", strongest_concept),
    "steered": View(_search(system="dense"), "li.hit mark", steered),
    "compared": View(_search(system="dense"), "li.hit mark", two_compared),
    "side-by-side": View(_search(view="systems"), ".cols li .bar"),
    "sum": View(_search(system="BM25+%2B+codes"), "li.hit .bar"),
    "passage": View(_search(system="dense"), "li.hit mark", first_passage),
    "concepts": View("/concepts?words=volcan", "table.grid tbody .name a"),
    "concept": View("/concepts?words=volcan", "table.grid tbody .name a", first_concept),
    "evaluation": View("/evaluation?a=BM25&b=dense", "table"),
    "map": View("/map", "canvas"),
    "project": View("/", "table"),
    "narrow": View(_search(system="dense"), "li.hit mark", None, NARROW),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=ROOT / "demo")
    parser.add_argument("--only", nargs="+", choices=VIEWS, default=list(VIEWS))
    options = parser.parse_args()
    if not (options.project / "unweave.toml").exists():
        subprocess.run([sys.executable, "-m", "unweave", "demo", options.project], check=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "demo"
        shutil.copytree(options.project, copy)
        subprocess.run([sys.executable, "-m", "unweave", "map", copy], check=True)
        found = chromium()
        if found is None:
            raise SystemExit("there is no Chromium: install one, set UNWEAVE_CHROMIUM to where it is, or run make web")
        path, environment = found
        # From within the folder, so that no picture shows where on this machine it lies.
        with chdir(folder), served(Path(copy.name)) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
                env={**os.environ, **environment},
            )  # fmt: skip
            for name in options.only:
                for theme in THEMES:
                    context = browser.new_context(
                        viewport=VIEWS[name].size, color_scheme=theme, reduced_motion="reduce", device_scale_factor=1
                    )
                    page = context.new_page()
                    page.goto(f"{server.origin}/?token={server.token}")
                    kept(picture(page, server.origin, VIEWS[name]), name, theme)
                    context.close()
            browser.close()


def picture(page: Page, origin: str, view: View) -> bytes:
    page.goto(origin + view.address)
    page.locator(view.ready).first.wait_for(timeout=60_000)
    if view.then is not None:
        view.then(page)
    page.wait_for_load_state("networkidle", timeout=120_000)
    taken: bytes = page.screenshot()
    return taken


def kept(taken: bytes, name: str, theme: str) -> None:
    """Written with few colours, which pages of text and bars have anyway."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}-{theme}.webp"
    with Image.open(io.BytesIO(taken)) as image:
        few = image.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.convert("RGB").save(path, lossless=True, quality=100, method=6)
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
