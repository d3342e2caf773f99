"""The application: routes, the pages' built files, and the guards before both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from unweave import __version__
from unweave.server.bounds import Bounded, ReadWhole
from unweave.server.built import WithPages, built_files
from unweave.server.guards import HEALTH, Gate, Guarded
from unweave.server.held import HeldProject
from unweave.server.problems import STATUSES, answer_errors
from unweave.server.routes import concepts, evaluation, jobs, maps, project, search
from unweave.server.shapes import Problem
from unweave.server.tags import Tagged

THREADS = 8
"""Requests that compute at the same time; others wait for their turn. Of two cores, 2, 4 and 8 make as much; the more
there are, the fewer searches of milliseconds stand behind answers of seconds."""
_COMPRESSED_FROM = 2_048
"""Bytes of an answer; smaller ones fit a few packets anyway."""


def make_app() -> FastAPI:
    """The application without a project: enough for its OpenAPI document."""
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": Problem, "description": said} for status, said in STATUSES.items()
    }
    app = FastAPI(
        title="unweave", version=__version__, responses=problems, docs_url=None, redoc_url=None, lifespan=_few_threads
    )
    for of in (project, search, concepts, evaluation, maps, jobs):
        app.include_router(of.router)
    app.add_route(HEALTH, lambda request: PlainTextResponse("ok\n"), include_in_schema=False)
    answer_errors(app)
    return app


def serving(held: HeldProject, gate: Gate) -> ASGIApp:
    """The application with a project, its pages, and the guards, the outermost of which sees a request first."""
    app = make_app()
    app.state.held = held
    tagged = WithPages(Tagged(app), built_files())
    return Guarded(ReadWhole(Bounded(GZipMiddleware(tagged, minimum_size=_COMPRESSED_FROM, compresslevel=1))), gate)


@asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    """Routes run in anyio's threads, forty of them unless told otherwise: more than cores have use for."""
    to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
