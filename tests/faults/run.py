"""Makes faults, and counts what is lost, wrong or a traceback after them.

    python tests/faults/run.py [--only KIND …] [--jobs N] [--quick]

The last line is one JSON object: how many faults of each kind were tried, and after how many something was lost, wrong
or a traceback. What was found is written to stderr as it is found.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import preloaded

KINDS = ("kills", "disk_full", "power_cuts", "races", "flips", "links", "strangers")
_SHOWN = 4
_QUICK = {"kills": 1, "disk_full": 2, "power_cuts": 1, "races": 3, "flips": 18, "links": 12, "strangers": 20}
"""Every so many-th case is tried where there is no time, of these scenarios."""
_QUICK_SCENARIOS = ("init", "fit anew", "name", "rename", "settings", "index compact")


def main() -> None:
    options = parsed(sys.argv[1:])
    if preloaded.active():
        write_all(work(options), options.write)
        return
    if reason := preloaded.missing():
        sys.exit(reason)
    sys.stdout.write(json.dumps(summary(measured(sys.argv[1:]))) + "\n")


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--scenarios", nargs="+", help="only these, by their names")
    parser.add_argument("--kills", type=int, default=10**6, help="kills of each scenario; default: at every change")
    parser.add_argument("--full", type=int, default=24, help="full disks of each scenario")
    parser.add_argument("--cuts", type=int, default=15, help="power cuts of each scenario")
    parser.add_argument("--pauses", type=int, default=6, help="moments at which the first of two commands is stopped")
    parser.add_argument("--stride", type=int, default=1, help="only each so many-th case")
    parser.add_argument("--each", type=int, default=20, help="flips in each file")
    parser.add_argument("--jobs", type=int, default=min(2, len(os.sched_getaffinity(0))), help="processes")
    parser.add_argument("--job", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="a few of each kind, in a minute")
    options = parser.parse_args(words)
    if options.quick:
        options.scenarios = _QUICK_SCENARIOS
        options.kills = options.full = options.cuts = options.pauses = options.each = 1
    return options


def measured(words: list[str]) -> list[dict[str, Any]]:
    """Every case with what was found, by several processes, each with the library preloaded and a core of its own."""
    options = parsed(words)
    with tempfile.TemporaryDirectory() as aside:
        environment = preloaded.environment(preloaded.compiled(Path(aside)))
        files = [Path(aside) / f"{job}.jsonl" for job in range(options.jobs)]
        processes = [
            subprocess.Popen([sys.executable, __file__, *words, "--jobs", str(options.jobs), "--job", str(job),
                              "--write", str(file)], env=environment)
            for job, file in enumerate(files)
        ]  # fmt: skip
        codes = [process.wait() for process in processes]
        if any(codes):
            sys.exit(f"a process ended with {max(codes)}")
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def summary(cases: list[dict[str, Any]]) -> dict[str, int]:
    """How many faults of each kind, and after how many of them something was lost, wrong or a traceback."""
    tried = Counter(case["kind"] for case in cases)
    bad = Counter(kind for case in cases for kind in {problem[0] for problem in case["problems"]})
    return {kind: tried[kind] for kind in KINDS} | {
        "lost": bad["lost"], "wrong": bad["wrong"], "tracebacks": bad["traceback"]
    }  # fmt: skip


# --- one process ------------------------------------------------------------------------------------------------------


def write_all(cases: Iterator[dict[str, Any]], to: Path) -> None:
    with to.open("w") as file:
        for case in cases:
            file.write(json.dumps(case) + "\n")
            for kind, what in case["problems"][:_SHOWN]:
                sys.stderr.write(f"{case['kind']}: {case['name']}: {kind.upper()} {what}\n")
            file.flush()


def work(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """This process's share of the cases, done."""
    import tqdm

    tqdm.tqdm.monitor_interval = 0  # a thread, which no fork would have
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[options.job % len(cores)]})  # on one core the order of events is always the same
    from world import World

    world = World(preloaded.Shim())
    try:
        for kind, cases in _cases(world, options):
            began, n = time.monotonic(), 0
            for case in islice(cases, options.job, None, options.jobs):
                n += 1
                yield {"kind": kind, "name": case.name, "problems": case.problems()}
            sys.stderr.write(f"{kind}: {n} cases in {time.monotonic() - began:.0f} s\n")
    finally:
        world.close()


def _cases(world: Any, options: argparse.Namespace) -> Iterator[tuple[str, Iterator[Any]]]:
    import kinds
    from races import races
    from scenarios import every
    from strangers import links, strangers

    scenarios = [s for s in every(world) if not options.scenarios or s.name in options.scenarios]
    made = {
        "kills": lambda: kinds.kills(world, scenarios, options.kills),
        "disk_full": lambda: kinds.disk_full(world, scenarios, options.full),
        "power_cuts": lambda: kinds.power_cuts(world, scenarios, options.cuts),
        "races": lambda: races(world, scenarios, options.pauses),
        "flips": lambda: kinds.flips(world, options.each),
        "links": lambda: links(world, scenarios),
        "strangers": lambda: strangers(world),
    }
    for kind in options.only:
        yield kind, islice(made[kind](), None, None, _QUICK[kind] if options.quick else options.stride)


if __name__ == "__main__":
    main()
