"""The reference of a project's folder: settings from their definitions, and files as a small project has them.

What the files mean is told by the modules that write them, in their first lines. What they are like is read from the
project that the tests keep, so that this page and that project are of one version, which a test of the project holds.
"""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from routes import cell
from safetensors import safe_open

from unweave.base.artifact import MANIFEST, MARK
from unweave.settings import Settings, choices_of, default_of, documentation, value_type
from unweave.stages.places import ARTIFACTS
from unweave.texts.corpus import Corpus

_SETTINGS = """# Settings

Each table of a project's `unweave.toml`; the options of the commands are the same. A setting without a default is
chosen from the texts, or means that there is none. What a value of a stranger's project may not do without your word is
in [security.md](../docs/security.md).

"""
_FILES = """# Files of a project

One section an artefact: what its files mean, as the modules that write them say, and what they are like in a project
of {n} passages. Beside them stands an empty file `.unweave`, by which unweave knows what it may replace, and
`config.json`, the manifest: {manifest}. `.npy` is NumPy's format, never with pickled objects.
[formats.md](../docs/formats.md) says which command makes which folder, and what other tools read.

"""
WRITTEN_BY = {
    "corpus": ("texts.corpus", "texts.metadata", "base.strings"),
    "queries": ("texts.queries",),
    "embeddings/passages": ("encode.embeddings",),
    "sae": ("sae.model", "dictionaries.latents"),
    "latents": ("sae.latents",),
    "concepts": ("concepts.store", "concepts.identity"),
    "index/default": ("index.concept_index", "index.segment"),
    "bm25": ("retrieval.bm25",),
    "codes": ("index.codes",),
    "tokens/sae": ("sae.tokens",),
    "evaluation": ("evaluation.table",),
}
"""One artefact of each kind, and the modules that say what its files mean."""
_OWN = {MARK, MANIFEST}
_MOST_KEYS = 12


def write(folder: Path, project: Path) -> None:
    """Write the page of settings and the page of files, of which `project` is the example."""
    (folder / "settings.md").write_text(_SETTINGS + "\n".join(settings()) + "\n", encoding="utf-8")
    n = len(Corpus.load(project / "corpus"))
    head = _FILES.format(n=n, manifest=like(project / "corpus" / MANIFEST).removeprefix("JSON: "))
    (folder / "files.md").write_text(head + "\n".join(files(project)) + "\n", encoding="utf-8")


# --- settings -------------------------------------------------------------------------------------


def settings() -> Iterator[str]:
    """A section a table of the file, a row a setting."""
    for stage, config in get_type_hints(Settings).items():
        meanings = documentation(config)
        yield f"## `[{stage}]`\n\n{config.__doc__}\n\n| setting | type | default | |\n| --- | --- | --- | --- |"
        for setting in fields(config):
            kind = ", ".join(f"`{choice}`" for choice in choices_of(setting) if choice)
            default = default_of(setting)
            shown = "" if default is None or default == "" else f"`{json.dumps(default)}`"
            meaning = cell(meanings[setting.name])
            yield f"| `{setting.name}` | {kind or value_type(config, setting.name).__name__} | {shown} | {meaning} |"
        yield ""


# --- files ----------------------------------------------------------------------------------------


def files(project: Path) -> Iterator[str]:
    """A section an artefact: what its modules say, then a row a file."""
    for name, modules in WRITTEN_BY.items():
        yield f"## {name}\n\nMade by `unweave {ARTIFACTS[name].command}`.\n"
        for module in modules:
            yield f"```text\n{told_by(f'unweave.{module}')}\n```\n"
        yield "| file | what it holds |\n| --- | --- |"
        databases = []
        for path in sorted(found for found in (project / name).rglob("*") if found.is_file()):
            if path.name not in _OWN:
                yield f"| `{path.relative_to(project / name).as_posix()}` | {like(path)} |"
                databases += [path] if path.suffix == ".sqlite" else []
        yield ""
        for path in databases:
            yield f"The tables of `{path.name}`:\n\n```sql\n" + "\n".join(tables(path)) + "\n```\n"


def told_by(module: str) -> str:
    """The first lines of a module, which is not run for it."""
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    return ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""


def like(path: Path) -> str:
    """What a file holds, in a cell of a table."""
    match path.suffix:
        case ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return f"{array.dtype} {tuple(map(int, array.shape))}"
        case ".safetensors":
            with safe_open(path, framework="numpy") as opened:
                parts = {key: opened.get_slice(key) for key in sorted(opened.keys())}
                return ", ".join(f"`{key}` {of.get_dtype()} {tuple(of.get_shape())}" for key, of in parts.items())
        case ".json":
            return f"JSON: {_keys(json.loads(path.read_text(encoding='utf-8')))}"
        case ".jsonl":
            line = path.read_text(encoding="utf-8").partition("\n")[0]
            return f"JSON, an object a line: {_keys(json.loads(line))}"
        case ".trec":
            return "TREC's columns, separated by spaces"
        case ".tsv":
            return "columns, separated by tabs"
        case ".sqlite":
            return "SQLite: see below"
        case _:
            return "text, UTF-8"


def _keys(of: Any) -> str:
    """The keys of an object and the types of their values."""
    if not isinstance(of, Mapping):
        return _type(of)
    shown = [f"`{key}` {_type(value)}" for key, value in list(of.items())[:_MOST_KEYS]]
    return ", ".join([*shown, "…"] if len(of) > _MOST_KEYS else shown)


def _type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names[type(value)]


def tables(path: Path) -> Iterator[str]:
    """The statements that make the tables of a database, with their comments."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        for (statement,) in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
            if "sqlite_sequence" not in statement:  # SQLite's own
                yield f"{statement};"
