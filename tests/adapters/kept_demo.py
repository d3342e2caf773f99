"""What the adapters' tests share: the project that the repository keeps, opened once, and the modules' examples."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from unweave.project import Project

QUERY = "how a score becomes a sum of named concepts"
_FOLDER = tempfile.TemporaryDirectory()


@functools.cache
def kept() -> Project:
    """A copy of the kept project in a folder `demo`; read-only."""
    folder = Path(_FOLDER.name) / "demo"
    shutil.copytree(Path(__file__).parents[1] / "kept" / "project", folder)
    return Project.open(folder)


def run_example(module: str, **given: Any) -> str:
    """Run the example in an adapter's docstring beside the folder `demo`, and return what it prints."""
    found = importlib.import_module(f"unweave.adapters.{module}")
    assert found.__doc__ is not None
    lines = [line for line in found.__doc__.splitlines() if line.startswith("    ")]
    assert 0 < len(lines) <= 4
    printed = io.StringIO()
    with contextlib.chdir(kept().path.parent), contextlib.redirect_stdout(printed):
        exec(textwrap.dedent("\n".join(lines)), {**vars(found), **given})
    return printed.getvalue()


def assert_adds_up(record: dict[str, Any]) -> None:
    """The parts of a record's explanation are its score."""
    why = record["explanation"]
    parts = [c["value"] for c in why["concepts"]] + [
        why["rest"],
        why["bias"],
        why["residual"],
        *why["systems"].values(),
    ]
    assert sum(parts) == pytest.approx(record["score"], rel=1e-4, abs=1e-6) == why["score"]
