"""Requests to a served project with the token that lets them in."""

from __future__ import annotations

from starlette.testclient import TestClient

from unweave.project import Project
from unweave.server.app import serving
from unweave.server.guards import Gate
from unweave.server.held import HeldProject

TOKEN = "a-token-of-the-tests"
HERE = "http://127.0.0.1:8765"


def gate(**other) -> Gate:
    return Gate(**{"token": TOKEN, "host": "127.0.0.1", "port": 8765, **other})


def client_of(project: Project, **other) -> TestClient:
    app = serving(HeldProject(project, read_only=other.get("read_only", False)), gate(**other))
    return TestClient(app, base_url=HERE, headers={"Authorization": f"Bearer {TOKEN}"}, follow_redirects=False)
