"""The examples of the page on adapters run as they stand, where their packages are installed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from kept_demo import kept

from unweave import adapters
from unweave.errors import MissingExtra

PAGE = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
SHARED = {"__init__", "needed", "record", "source", "sparse", "build"}
SHOWN_AS_A_COMMAND = {"mcp", "mcp_cards", "mcp_http", "mcp_shapes"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: re.findall(r"unweave\.adapters\.(\w+)", code)[0])
def test_the_shown_python_runs(code, tmp_path, monkeypatch):
    if "get_tasks" in code:
        pytest.skip("it fetches a data set")
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    shutil.copytree(kept().path, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    try:
        exec(code, {"__name__": "example"})
    except (ModuleNotFoundError, MissingExtra) as missing:
        assert "unweave." not in str(missing)
        pytest.skip(str(missing))


def test_every_adapter_is_on_the_page():
    folder = Path(adapters.__path__[0])
    for module in {path.stem for path in folder.glob("*.py")} - SHARED - SHOWN_AS_A_COMMAND:
        assert f"unweave.adapters.{module} import" in PAGE


def test_every_extra_that_an_adapter_names_is_one_of_the_package():
    extras = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for path in Path(adapters.__path__[0]).glob("*.py"):
        for extra in re.findall(r'^with needed\(".*", "(.*)"\):', path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert re.search(rf"^{extra} = \[", extras, flags=re.MULTILINE), (path.name, extra)
            assert f"`{extra}`" in PAGE
