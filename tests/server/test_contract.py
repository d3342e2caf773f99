"""The server against its own OpenAPI document: schemathesis asks whatever it allows, and much that it does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from unweave.project import Project
from unweave.server.app import make_app, serving
from unweave.server.guards import Gate
from unweave.server.held import HeldProject
from unweave.server.problems import STATUSES

schemathesis = pytest.importorskip("schemathesis")
GenerationMode = schemathesis.GenerationMode

TOKEN = {"Authorization": "Bearer a-token-of-the-tests", "Host": "127.0.0.1:8765"}
KEPT_TO = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection",
}  # fmt: skip
"""No 5xx, no status or body that is not documented, and nothing wrong accepted. That all that is allowed is accepted
nobody claims: a passage may not be there."""
REFUSED = [status for status in STATUSES if status < 500]
OPERATIONS = [
    (method.upper(), path) for path, methods in make_app().openapi()["paths"].items() for method in methods
]  # fmt: skip
CHANGES = [(method, path) for method, path in OPERATIONS if method != "GET"]
PATIENCE = 120.0
"""Seconds that an answer may take: the first of a kind imports what it needs, and the machine may be busy."""
BEGINS = [(method, path) for method, path in CHANGES if path.startswith("/api/jobs")]
"""What begins or ends real work is asked of a server alone that only shows."""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("contract") / "project"
    shutil.copytree(Path(__file__).parents[1] / "kept" / "project", folder)
    return Project.open(folder)


def schema_of(project: Project, *, read_only: bool):
    app = serving(HeldProject(project, read_only), Gate("a-token-of-the-tests", "127.0.0.1", 8765, read_only))
    refusals = {"checks": {"negative_data_rejection": {"expected-statuses": list(map(str, REFUSED))}}}
    config = schemathesis.Config.from_dict(refusals | {"request-timeout": PATIENCE})
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config, headers=TOKEN)


@pytest.fixture(scope="module")
def served(project):
    return schema_of(project, read_only=False)


@pytest.fixture(scope="module")
def only_shown(project):
    return schema_of(project, read_only=True)


def ask(schema, path: str, method: str) -> None:
    checks = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in KEPT_TO]
    assert len(checks) == len(KEPT_TO)

    operation = schema[path][method]
    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if operation.body or list(operation.iter_parameters()):
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=cases)
    def answered_as_documented(case) -> None:
        case.call_and_validate(headers=TOKEN, checks=checks)

    answered_as_documented()


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one not in BEGINS])
def test_every_answer_is_as_documented(served, method, path):
    ask(served, path, method)


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_every_refusal_of_a_change_is_as_documented(only_shown, method, path):
    ask(only_shown, path, method)
