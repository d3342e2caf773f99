"""What is published: licences of what others made, what the wheel carries, and that it is the same bytes again."""

import json
import re
import shutil
import zipfile
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest
from hatchling import build

ROOT = Path(__file__).parent.parent
THIRD_PARTY = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
SHIPPED = ("pretrained/model.safetensors", "pretrained/latents.jsonl", "pretrained/config.json", "py.typed",
           "report/page.html", "audits/page.html", "server/pages/index.html", "report/built/report.js")  # fmt: skip


def _script() -> ModuleType:
    spec = util.spec_from_file_location("third_party", ROOT / "release" / "third_party.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


third_party = _script()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The repository as a wheel is built from it, with pages that need no Node."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "THIRD_PARTY.md", ".gitignore", "release"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    left_out = shutil.ignore_patterns("__pycache__", "pages", "built")
    shutil.copytree(ROOT / "src", folder / "src", ignore=left_out)
    for page in ("server/pages/index.html", "report/built/report.js"):
        path = folder / "src" / "unweave" / page
        path.parent.mkdir()
        path.write_text("made up")
    return folder


def _wheel(checkout: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    (checkout / where).mkdir()
    return checkout / where / build.build_wheel(str(checkout / where))


# --- licences and parts ---------------------------------------------------------------------------


def test_the_licences_are_of_the_packages_that_the_pages_are_locked_to():
    listed = re.findall(r"^\| ([@\w]\S+) \| (\S+) \| ([\w.-]+) \|$", THIRD_PARTY, flags=re.MULTILINE)
    assert listed == [(one.name, one.version, one.licence) for one in third_party.bundled()], (
        "run make web, then python release/third_party.py"
    )
    for name, _, licence in listed:
        text = THIRD_PARTY.partition(f"### {name}\n")[2].partition("\n### ")[0]
        assert licence == "MIT" and "Permission is hereby granted" in text and "Copyright" in text, name


def test_the_terms_are_those_of_every_source_of_the_dictionary():
    assert third_party.terms() and THIRD_PARTY.rstrip().endswith(third_party.terms())


def test_the_list_of_parts_names_the_same_packages():
    parts = json.loads((ROOT / "release" / "web.cdx.json").read_text(encoding="utf-8"))
    assert parts["bomFormat"] == "CycloneDX"
    named = {(one["name"], one["version"]) for one in parts["components"]}
    assert named == {(one.name, one.version) for one in third_party.bundled()}, "run make sbom"
    assert {one["ref"] for one in parts["dependencies"]} >= {one["bom-ref"] for one in parts["components"]}


# --- the wheel ------------------------------------------------------------------------------------


def test_the_wheel_carries_pages_dictionary_types_licences_and_the_list_of_parts(checkout, monkeypatch):
    names = zipfile.ZipFile(_wheel(checkout, "whole", monkeypatch)).namelist()
    assert {f"unweave/{name}" for name in SHIPPED} <= set(names)
    (about,) = {name.partition("/")[0] for name in names if name.endswith("/METADATA")}
    licences = {f"{about}/licenses/{name}" for name in ("LICENSE", "THIRD_PARTY.md")}
    assert licences | {f"{about}/sboms/web.cdx.json"} <= set(names)
    assert all(name.startswith(("unweave/", f"{about}/")) for name in names)


def test_a_wheel_is_the_same_bytes_again(checkout, monkeypatch):
    first = _wheel(checkout, "first", monkeypatch).read_bytes()
    for path in checkout.rglob("*.py"):
        path.touch()
    assert _wheel(checkout, "second", monkeypatch).read_bytes() == first
