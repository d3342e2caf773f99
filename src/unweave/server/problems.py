"""Errors as the pages get them: a status, a sentence for a person, and nothing of the machine's insides."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from unweave.base.failures import sentence_of
from unweave.base.plain import plain
from unweave.errors import (
    AccountingError,
    BadData,
    DimensionMismatch,
    EarlierVersion,
    NotThere,
    NotTrusted,
    ScoringUndefined,
    UnweaveError,
)
from unweave.server.shapes import Problem

LONGEST = 2_000
"""Characters of a sentence that goes out."""
CONFLICT = 409
"""Of all that the user can mend in the project: what is missing, out of date, damaged, in use or not installed."""
_STATUS = {
    NotThere: 404, EarlierVersion: CONFLICT, BadData: 400, DimensionMismatch: 400, ScoringUndefined: 400,
    NotTrusted: 403, AccountingError: 500,
}  # fmt: skip
"""By class of error, the first that fits; `CONFLICT` of all others."""
STATUSES = {
    400: "What came in cannot be answered.",
    401: "The server asks for its token.",
    403: "This server does not do that, or not for who asks.",
    404: "What was asked for is not there.",
    405: "The address is not asked so.",
    408: "The request took too long to come in.",
    CONFLICT: "The project has to be mended: something is missing, out of date, damaged, in use or not installed.",
    413: "More came in than is read.",
    414: "The address is too long.",
    415: "The body is not JSON.",
    422: "A parameter is missing, or has no such value.",
    500: "A bug, or an account that does not add up.",
    503: "The server is busy, is ending, or took too long.",
}
"""All that a request may be answered with instead of what it asked for."""


def problem(status: int, kind: str, error: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says why there is none.

    Args:
        error: may quote what came in; it is made safe to show.
    """
    body = Problem(error=plain(error, LONGEST), kind=kind)
    return JSONResponse(body.model_dump(), status_code=status, headers=dict(headers or {}))


def answer_errors(app: FastAPI) -> None:
    """Answer every error of the routes with a `Problem`."""
    for kind in (UnweaveError, OSError, sqlite3.Error, MemoryError, ModuleNotFoundError):
        app.add_exception_handler(kind, _of_the_project)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_a_bug)


def status_of(error: Exception) -> int:
    """The status that an error is answered with which a user can act on."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), CONFLICT)


def _of_the_project(request: Request, error: Exception) -> Response:
    said = sentence_of(error)
    if said is None:
        raise error
    return problem(status_of(error), type(error).__name__, said)


def _of_parameters(request: Request, error: Exception) -> Response:
    """The first parameter that is wrong: which it is, what came in and what was expected."""
    assert isinstance(error, RequestValidationError)
    first: Mapping[str, Any] = error.errors()[0]
    where, *path = map(str, first["loc"])
    name = ".".join(path) or where
    said = f"{name} cannot be {plain(repr(first.get('input')), 100)}: {first['msg']}"
    if first["type"] == "missing":
        said = f"{name} is missing"
    elif first["type"] == "json_invalid":
        said = f"the body is no JSON: {first.get('ctx', {}).get('error', 'it cannot be read')}"
    return problem(422, "Invalid", f"{said}; see /openapi.json")


def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {
        400: f"the request cannot be read: {error.detail}",
        404: f"there is no {request.url.path} here; /openapi.json lists what there is",
        405: f"{request.method} is not what {request.url.path} takes; /openapi.json says what is",
    }
    return problem(
        error.status_code, "Refused", said.get(error.status_code, str(error.detail)), headers=error.headers
    )  # fmt: skip


def _of_a_bug(request: Request, error: Exception) -> Response:
    """Whoever runs the server finds the error in its log, where Starlette's server sends it."""
    return problem(500, "Internal", "something went wrong here; the terminal that serves says what")
