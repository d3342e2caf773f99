"""A real browser on a real server: `unweave serve` on a small project, and Chromium from wherever there is one."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from unweave.server.built import built_files

WEB = Path(__file__).parents[2] / "web"
PATIENCE = 30_000.0
"""Milliseconds until what a page should show is missed: it mostly comes at once, but not on a busy machine."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip

BREACHES = """
document.addEventListener("securitypolicyviolation", (breach) =>
  console.error(`a breach of the content policy: ${breach.violatedDirective} ${breach.blockedURI}`));
"""
MARKED = re.compile(r"/api/(words\?|concepts/\d+/words)")


class Served(NamedTuple):
    """A running server."""

    address: str
    """With the token, as it is printed."""
    project: Path

    @property
    def origin(self) -> str:
        parts = urlsplit(self.address)
        return f"{parts.scheme}://{parts.netloc}"


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Served]]:
    """Starts `unweave serve` on a project; all servers end with the tests, gracefully."""
    running: list[subprocess.Popen[str]] = []

    def start(project: Path, *options: str) -> Served:
        command = [sys.executable, "-m", "unweave", "serve", str(project), "--no-open", "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        running.append(process)
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the server printed no address"
        return Served(found.group(), project)

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        with process:  # closes its output, too
            assert process.wait(20) == 0


@pytest.fixture(scope="session")
def chromium() -> tuple[str, dict[str, str]]:
    """Where Chromium is, and what it needs in its environment."""
    if not built_files():
        pytest.skip("the pages are not built: make web, which needs Node 20.19 or newer")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(os.environ.get("UNWEAVE_CHROMIUM", name))) is not None:
            return found, {}
    script = WEB / "scripts" / "chromium.mjs"
    unpacked = subprocess.run(["node", script], cwd=WEB, capture_output=True, text=True, check=False)
    if unpacked.returncode:
        pytest.skip("there is no Chromium: install one, or set UNWEAVE_CHROMIUM to where it is")
    path, *libraries = unpacked.stdout.split()
    return path, {"LD_LIBRARY_PATH": ":".join(libraries)} if libraries else {}


@pytest.fixture(scope="package")
def browser(chromium) -> Iterator[Any]:
    """Chromium, while tests of this folder run: as long as Playwright does, `asyncio.run` is refused in its thread."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    sync_api.expect.set_options(timeout=PATIENCE)
    path, environment = chromium
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS, env={**os.environ, **environment})
        yield opened
        opened.close()


class Watched(NamedTuple):
    """A page, and what it did that it must not do."""

    page: Any
    wrong: list[str]


@pytest.fixture
def visit(browser) -> Iterator[Callable[..., Any]]:
    """Opens a page of a server; whatever it did wrong fails the test at its end.

    Wrong are a dialog of the browser, an error or a breach of the content policy, a request to anywhere but the server,
    and an answer of 500 or above. What a test expects to be answered with an error it says with `refused`, part of the
    address: the browser notes such an answer in its console. Only with `words` are the words of texts asked for, which
    takes the encoder a second a page.
    """
    opened: list[Any] = []
    wrong: list[str] = []

    def open_page(
        served: Served, path: str = "/", *, words: bool = False, refused: str = "", script: str = "", **options: Any
    ) -> Any:
        settings = {"viewport": {"width": 1440, "height": 1000}, "reduced_motion": "reduce", **options}
        context = browser.new_context(**settings)
        context.set_default_timeout(PATIENCE)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.origin)
        context.request.get(served.address)  # the token becomes a cookie
        context.add_init_script(BREACHES + script)
        if not words:
            context.route(MARKED, lambda route: route.fulfill(json={"marked": []}))
        opened.append(context)
        page = context.new_page()
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda said: _noted(said, refused, wrong))
        page.on("request", lambda asked: _foreign(asked.url, served, wrong))
        page.on("response", lambda got: wrong.append(f"{got.status}: {got.url}") if got.status >= 500 else None)
        page.goto(served.origin + path)
        return page

    yield open_page
    for context in opened:
        context.close()
    assert not wrong


def _noted(said: Any, refused: str, wrong: list[str]) -> None:
    expected = refused and refused in said.location.get("url", "") and "Failed to load resource" in said.text
    if said.type == "error" and not expected:
        wrong.append(f"console: {said.text} at {said.location.get('url', '')}")


def _foreign(url: str, served: Served, wrong: list[str]) -> None:
    if not url.startswith((served.origin + "/", "data:", "blob:" + served.origin)):
        wrong.append(f"a request to {url}")


@pytest.fixture(scope="session")
def explored(serve, project_folder, tmp_path_factory) -> Served:
    """A server on a copy of the small project, which tests may edit."""
    folder = tmp_path_factory.mktemp("explored") / "mine"
    shutil.copytree(project_folder, folder)
    return serve(folder)
