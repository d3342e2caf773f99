"""The pages' built files, read once into a table: what a client names is looked up there, never on the disk."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from unweave.base.packaged import PAGES
from unweave.server.guards import HEALTH
from unweave.server.problems import problem

INDEX = "index.html"
NOT_BUILT = (
    "The pages are not built in this checkout. Build them with: make web\nThe API answers all the same: /openapi.json\n"
)
_OF_THE_API = ("/api", "/openapi.json", HEALTH)
_HASHED = re.compile(r"/assets/[^/]+-[\w-]{8,}\.\w+")
"""Names that change with what they hold, as Vite makes them."""
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2", ".map": "application/json",
          ".webmanifest": "application/manifest+json"}  # fmt: skip
"""What systems do not agree on."""


@dataclass(frozen=True)
class BuiltFile:
    """One file of the pages."""

    content: bytes
    media_type: str
    cached: str
    """Its Cache-Control."""


def built_files(folder: Path = PAGES) -> dict[str, BuiltFile]:
    """Every file below a folder, by the path that asks for it; none if the pages are not built."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {(name := f"/{path.relative_to(folder).as_posix()}"): _built(name, path) for path in found}


def _built(name: str, path: Path) -> BuiltFile:
    guessed = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    cached = "private, max-age=31536000, immutable" if _HASHED.fullmatch(name) else "no-store"
    return BuiltFile(path.read_bytes(), guessed, cached)


class WithPages:
    """Answers GET with the pages' files, and any other address that a browser opens with the page that reads it."""

    def __init__(self, app: ASGIApp, files: Mapping[str, BuiltFile]) -> None:
        self._app = app
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        of_the_api = path in _OF_THE_API or path.startswith("/api/")
        if scope["type"] != "http" or of_the_api or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        await self._page(path, Headers(scope=scope))(scope, receive, send)

    def _page(self, path: str, headers: Headers) -> Response:
        file = self._files.get(path)
        if file is None and (path == "/" or "text/html" in headers.get("accept", "")):
            file = self._files.get(f"/{INDEX}")
            if file is None:
                return PlainTextResponse(NOT_BUILT, status_code=200 if path == "/" else 404)
        if file is None:
            return problem(404, "NotThere", f"there is no {path} here; /openapi.json lists what there is")
        return Response(file.content, media_type=file.media_type, headers={"Cache-Control": file.cached})
