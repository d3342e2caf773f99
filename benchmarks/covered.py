"""Which lines and branches of src do the tests run?

    python benchmarks/covered.py [TEST …]

Runs all tests, or those that are named, under coverage.py, which is installed beside the environment and not into it.
Commands that tests start in processes of their own are counted, but for processes that a test kills. Compiled kernels
are not: what numba has compiled is out of coverage's sight, and mutation.py tries it instead.

A whole run takes half an hour of two cores; it writes results/covered.json, by room. A run of named tests writes
nothing and prints what those tests alone cover. The last line is one JSON object: the shares of lines and of branches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from environments import CACHE
from measuring import about

from unweave.cli.show import table

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "covered.json"
PACKAGE = "coverage==7.17.5"
SETTINGS = """[run]
branch = true
parallel = true
source_pkgs = unweave
data_file = {folder}/data
patch = _exit
sigterm = true
[report]
exclude_also =
    @njit
    @_kernel
    if TYPE_CHECKING:
    class .*\\(Protocol\\)
    raise NotImplementedError
"""
WORKERS = 2


def main() -> None:
    tests = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="unweave-coverage-") as folder:
        report = measured(Path(folder), tests)
    rooms = by_room(report["files"])
    results = {"about": about("pytest") | {"coverage": PACKAGE}, "rooms": rooms}
    if not tests:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(headline(results)))


def measured(folder: Path, tests: Iterable[str]) -> dict[str, Any]:
    """Coverage's own report, in JSON, of a run of tests.

    Raises:
        SystemExit: a test failed.
    """
    library = _installed()
    settings, starting = folder / "settings", folder / "starting"
    settings.write_text(SETTINGS.format(folder=folder), encoding="utf-8")
    starting.mkdir()
    # Every process of Python imports this first, the workers and the commands that tests start among them.
    (starting / "sitecustomize.py").write_text("import coverage\ncoverage.process_startup()\n", encoding="utf-8")
    path = os.pathsep.join([*map(str, (starting, library)), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {
        **os.environ, "PYTHONPATH": path, "COVERAGE_PROCESS_START": str(settings), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    words = list(tests)
    commands = [["-n", str(WORKERS), "--dist", "worksteal", "--ignore=tests/explorer"], ["tests/explorer"]]
    for command in [[*words]] if words else commands:
        if _tested(command, environment) and (failed := _tested(["--last-failed", *command[-1:]], environment)):
            raise SystemExit(f"the tests ended with {failed}; nothing is measured of tests that fail")
    of_coverage = {**os.environ, "PYTHONPATH": str(library)}
    report = folder / "report.json"
    run = [sys.executable, "-m", "coverage"]
    subprocess.run([*run, "combine", "-q", f"--rcfile={settings}"], cwd=ROOT, env=of_coverage, check=True)
    subprocess.run(
        [*run, "json", "-q", f"--rcfile={settings}", "-o", str(report)], cwd=ROOT, env=of_coverage, check=True
    )
    return dict(json.loads(report.read_text(encoding="utf-8")))


def _tested(words: list[str], environment: Mapping[str, str]) -> int:
    """With what the tests ended; what failed on a busy machine may pass by itself."""
    run = [sys.executable, "-m", "pytest", "-q", *words]
    return subprocess.run(run, cwd=ROOT, env=environment, check=False).returncode


def _installed() -> Path:
    """A folder with coverage.py, made once."""
    folder = CACHE / PACKAGE.replace("==", "-")
    if not (folder / "coverage").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), PACKAGE]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    return folder


def by_room(files: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lines and branches of each room, and how many of them ran."""
    rooms: dict[str, dict[str, Any]] = {}
    for path, of_file in sorted(files.items()):
        below = Path(path).parts[Path(path).parts.index("unweave") + 1 :]
        room = rooms.setdefault(below[0].removesuffix(".py"), dict.fromkeys(_COUNTED, 0))
        for name, counted in _COUNTED.items():
            room[name] += of_file["summary"][counted]
    return [{"room": name, **counts} for name, counts in rooms.items() if counts["lines"]]


_COUNTED = {"lines": "num_statements", "ran": "covered_lines", "branches": "num_branches", "taken": "covered_branches"}


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    whole = _whole(results["rooms"])
    return {"lines": round(_share(whole["ran"], whole["lines"]), 4),
            "branches": round(_share(whole["taken"], whole["branches"]), 4)}  # fmt: skip


def _whole(rooms: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    rooms = list(rooms)
    return {name: sum(room[name] for room in rooms) for name in _COUNTED}


def _share(some: int, of: int) -> float:
    return some / of if of else 1.0


def summary(results: Mapping[str, Any]) -> list[str]:
    """A line a room, the least covered first, and one for all."""
    rooms = sorted(results["rooms"], key=lambda room: _share(room["taken"], room["branches"]))
    rows = [
        {
            "room": room["room"],
            "lines": f"{room['lines']:,}", "run": f"{_share(room['ran'], room['lines']):.1%}",
            "branches": f"{room['branches']:,}", "taken": f"{_share(room['taken'], room['branches']):.1%}",
        }
        for room in [*rooms, {"room": "all", **_whole(results["rooms"])}]
    ]  # fmt: skip
    return list(table(rows))


if __name__ == "__main__":
    main()
