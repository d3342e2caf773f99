"""How long does a person wait for the first answer? Help, a cold search, explanations, a filter.

    python benchmarks/start.py [--project FOLDER] [--quick]

Measures on a finished demo (made first, where there is none): `unweave --help` and `unweave search` as new processes,
their wall and processor time; then, in one process that holds the project open, a thousand hits explained, ten hits
with and without explanations, and a filter by metadata on a project that was just opened. Each figure is the median of
`--rounds` rounds. `--quick` takes fewer rounds and writes nothing. Results go to
`benchmarks/results/start.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from measuring import about

from unweave.cli.show import table
from unweave.project import Project
from unweave.stages.asked import vector_of

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "start.json"
QUERIES = (
    "Device to generate electricity from wind",
    "Supernatural beings from Japanese folklore",
    "Deliberate use of someone else's identity",
)
MANY = 1000
FILTER = {"topic": "History"}


class Spent(NamedTuple):
    """What a process took."""

    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=ROOT / "demo", help="a finished demo (default: demo)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement (default: 7)")
    parser.add_argument("--quick", action="store_true", help="three rounds; writes nothing")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    if not (options.project / "index" / "default").exists():
        subprocess.run([sys.executable, "-m", "unweave", "demo", options.project], check=True)
    found = {**of_processes(options.project, rounds), **of_an_open_project(options.project, rounds)}
    if not options.quick:
        record = {"about": about("numpy", "numba", "tokenizers"), "rounds": rounds, **found}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


def summary(results: dict[str, Any]) -> list[str]:
    """One line a question."""
    return list(table([
        {"what a person waits for": what, "median": shown}
        for what, shown in (
            ("unweave --help", f"{results['help_s']:.2f} s"),
            ("unweave search, a new process", f"{results['search_cold_s']:.2f} s"),
            ("  of which processor time, all cores", f"{results['search_cold_cpu_s']:.2f} s"),
            ("ten hits, on an open project", f"{results['top_10_ms']:.1f} ms"),
            ("ten hits explained", f"{results['explained_top_10_ms']:.1f} ms"),
            ("a thousand hits explained", f"{results['explain_1000_s']:.2f} s"),
            ("a filter by metadata, project just opened", f"{results['where_s']:.3f} s"),
        )
    ]))  # fmt: skip


def of_processes(project: Path, rounds: int) -> dict[str, float]:
    """Commands, each in a process of its own; one run before, so that files are in memory and kernels are compiled."""
    search = ["search", str(project), QUERIES[0]]
    spent(search)
    helped = [spent(["--help"]).wall for _ in range(rounds)]
    searched = [spent(search) for _ in range(rounds)]
    return {
        "help_s": round(statistics.median(helped), 3),
        "search_cold_s": round(statistics.median(one.wall for one in searched), 3),
        "search_cold_cpu_s": round(statistics.median(one.processor for one in searched), 3),
    }


def spent(arguments: list[str]) -> Spent:
    """Wall and processor seconds of one command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "unweave", *arguments], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def of_an_open_project(folder: Path, rounds: int) -> dict[str, float]:
    """Searches by vectors, so that no time is the encoder's."""
    project = Project.open(folder)
    vectors = [vector_of(project, query) for query in QUERIES]

    def all_of(cutoff: int, explain: bool) -> Callable[[], Any]:
        return lambda: [project.search(vector, cutoff, explain=explain) for vector in vectors]

    many, plain, explained = (
        seconds(all_of(*how), rounds) / len(vectors) for how in ((MANY, True), (10, False), (10, True))
    )
    return {
        "explain_1000_s": round(many, 3),
        "top_10_ms": round(1000 * plain, 2),
        "explained_top_10_ms": round(1000 * explained, 2),
        "explained_over_plain": round(explained / plain, 2),
        "where_s": round(seconds(lambda: Project.open(folder).where(FILTER), rounds), 4),
    }


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The median time of some work, after one run that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
