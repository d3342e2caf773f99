"""The wheel carries the explorer's pages, which a user could not build; none is built without them."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hatchling import build

ROOT = Path(__file__).parents[2]
PAGES = "unweave/server/pages"


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """As much of the repository as a wheel needs."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "THIRD_PARTY.md", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "release", tmp_path / "release")
    (tmp_path / "src" / "unweave").mkdir(parents=True)
    shutil.copy(ROOT / "src" / "unweave" / "__init__.py", tmp_path / "src" / "unweave")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_wheel_without_the_pages_is_not_built(checkout):
    with pytest.raises(FileNotFoundError, match="pages are not built, and a wheel needs them: run make web first"):
        build.build_wheel(str(checkout / "dist"))


def test_a_checkout_is_installed_without_them(checkout):
    assert build.build_editable(str(checkout / "dist")).endswith(".whl")


def test_a_wheel_and_a_source_distribution_carry_them_though_git_does_not(checkout):
    pages = checkout / "src" / PAGES
    (pages / "assets").mkdir(parents=True)
    (pages / "index.html").write_text("<!doctype html>")
    (pages / "assets" / "index-a1B2c3D4.js").write_text("export {}")
    with zipfile.ZipFile(checkout / "dist" / build.build_wheel(str(checkout / "dist"))) as wheel:
        assert {f"{PAGES}/index.html", f"{PAGES}/assets/index-a1B2c3D4.js"} <= set(wheel.namelist())
    source = checkout / "dist" / build.build_sdist(str(checkout / "dist"))
    with tarfile.open(source) as files:
        assert any(name.endswith(f"/src/{PAGES}/index.html") for name in files.getnames())
