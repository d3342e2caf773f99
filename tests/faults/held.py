"""What a folder holds, unit by unit, read without the code that is tested, but for what undoes a broken-off swap.

A unit is an artefact, or a file that stands alone. What differs from run to run (times, and checksums of files with
times in them) is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unweave.base.artifact import recover
from unweave.stages.places import ARTIFACTS

MANIFEST, DATABASE = "config.json", "concepts.sqlite"
_TIMED = re.compile(r"seconds|ms_|made|checksum|^date|^time|fingerprint|^sha256$|^transactions$")
Unit = dict[str, Any]
"""Digest of each file by its path; of a database, its rows as a frozenset."""
Units = dict[str, Unit]


def held(case: Path) -> Units:
    """What a case holds besides its inputs and the files that are somebody else's."""
    project, units = case / "project", Units()
    for old in case.rglob(".*.unweave-old"):  # whoever opens an artefact undoes a swap that was broken off
        recover(old.with_name(old.name[1:].removesuffix(".unweave-old")))
    for name in ARTIFACTS:
        if (project / name / MANIFEST).exists():
            units[name] = dict(_artifact(project / name))
    for single in (project / "unweave.toml", project / "report.html", project / "audit.html", project / "audit.json"):
        if single.exists():
            units[single.name] = {single.name: _content(single)}
    for made in sorted((case / "out").iterdir()) if (case / "out").exists() else []:
        if made.name.startswith("."):
            continue
        if (made / MANIFEST).exists():
            units[f"out/{made.name}"] = dict(_artifact(made))
        elif made.is_dir():
            units[f"out/{made.name}"] = {str(p.relative_to(made)): _content(p) for p in made.rglob("*") if p.is_file()}
        else:
            units[f"out/{made.name}"] = {made.name: _content(made)}
    return units


def names(case: Path) -> Counter[str]:
    """Every file and folder of a case, by its path; of numbered ones, how many there are."""
    return Counter(_numberless(str(path.relative_to(case))) for path in case.rglob("*"))


def aside(case: Path) -> dict[str, str]:
    """What is somebody else's: every file that no command may touch, with its digest, and every name."""
    found = {}
    for root in (case / "guard", case / "inputs"):
        for path in sorted(root.rglob("*")):
            found[str(path.relative_to(case))] = _sha256(path.read_bytes()) if path.is_file() else "folder"
    found.update({path.name: "" for path in case.iterdir()})
    return found


def _artifact(folder: Path) -> Iterator[tuple[str, Any]]:
    """What the manifest states, and what is in the files that it lists."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = sorted(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        yield MANIFEST, f"damaged: {error}"
        return
    stated = {key: manifest.get(key) for key in ("kind", "settings", "state")}
    yield MANIFEST, _sha256(_numberless(json.dumps(_timeless(stated), sort_keys=True)).encode())
    for number, name in enumerate(files):
        yield f"{number} {_numberless(name)}", _content(folder / name)
    if (folder / DATABASE).exists():
        yield DATABASE, rows(folder / DATABASE)


def rows(database: Path) -> frozenset[tuple[Any, ...]] | str:
    """Every row of a database with the name of its table, without times; or what is wrong with it."""
    db = sqlite3.connect(database)
    try:
        (sound,) = db.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            return f"damaged: {sound}"
        found = set()
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table.startswith("sqlite_"):
                continue
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            kept = [column for column in columns if column != "made"]
            for row in db.execute(f"SELECT {', '.join(kept)} FROM {table}"):
                found.add((table, *map(_timeless_text, row)))
        return frozenset(found)
    except sqlite3.Error as error:
        return f"damaged: {error}"
    finally:
        db.close()


def _numberless(name: str) -> str:
    """A name without what is drawn, or counts up: of a segment, a shard or what was deleted."""
    return re.sub(r"(?<![0-9a-f])\d{6}(?![0-9a-f])", "N", re.sub(r"[0-9a-f]{16}", "R", name))


def _content(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"damaged: {error}"
    if path.suffix in (".json", ".jsonl"):
        try:
            lines = [data.decode()] if path.suffix == ".json" else data.decode().splitlines()
            data = json.dumps([_timeless(json.loads(line)) for line in lines]).encode()
        except ValueError as error:
            return f"damaged: {error}"
    if path.suffix == ".html":
        return without_times(data.decode(errors="replace"))
    return _sha256(data)


def without_times(report: str) -> str:
    """The digest of a report, without the last column of its table of systems: milliseconds."""
    return _sha256(re.sub(r"<td>[\d.]+</td></tr>", "</tr>", report).encode())


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(of) for key, of in value.items() if not _TIMED.search(key)}
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    return value


def _timeless_text(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("{"):
        return json.dumps(_timeless(json.loads(value)), sort_keys=True)
    return value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
