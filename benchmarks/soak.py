"""Does an hour of serving, writing and reading at once leave anything behind?

    python benchmarks/soak.py [--minutes 60] [--round 120] [--quick]

`unweave serve` serves a project of some hundred of the demo's articles. Beside it work, all the time: a writer who
adds and replaces passages, embeds, trains on from the last SAE, names, indexes and renames concepts, a round every two
minutes; three people who search and read over HTTP; one who holds the project open from Python; one who types
`unweave search`. Each thinks for a while between two requests. See soak_people.py.

Every answer is checked: each score is the sum of its parts, and all passages of an answer are of one edition, since the
writer replaces them together, and never of an older one than the same reader saw before. A refusal that says what is
out of date and what to run is none of the errors; it is counted beside them.

Every five seconds the server's memory, open files, threads, mapped files that were removed, and the bytes of the
project are written down. The verdict: the slope of each over the second half of the time, with its 95 % interval, from
the medians of whole rounds. Writes results/soak.json; the last line is one JSON object with the verdict. --quick is
three minutes, from which no slope is told, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environments import CACHE
from measuring import about
from scipy.stats import theilslopes
from serving import Server, served
from soak_people import Answer, Typist, Visitor, Writer, base_project

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.report.svg import Palette, framed, style, text

RESULTS = Path(__file__).parent / "results" / "soak.json"
EVERY = 5.0
"""Seconds from one look at the server to the next."""
WATCHED = {
    "memory_mb": "resident memory, MB", "own_mb": "of it the server's own, MB", "files": "open files",
    "threads": "threads", "removed": "mapped files that were removed", "disk_mb": "the project's bytes, MB",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--round", type=float, default=120, help="seconds from one round of the writer to the next")
    parser.add_argument("--quick", action="store_true", help="three minutes; writes nothing")
    options = parser.parse_args()
    minutes = 3 if options.quick else options.minutes
    made = base_project(CACHE / "soak" / "project")
    with tempfile.TemporaryDirectory(prefix="unweave-soak-") as folder:
        project = Path(shutil.copytree(made, Path(folder) / "project"))
        with served(project) as server:
            found = soaked(server, 60 * minutes, options.round)
            server.process.terminate()
            found["exit_code"] = server.process.wait(60)
    if not options.quick:
        write_atomically(RESULTS, lambda aside: aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8"))
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


# --- the hour -------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """The server at one moment."""

    seconds: float
    memory_mb: float
    own_mb: float
    """Without pages of files, which the system takes back when it likes."""
    files: int
    threads: int
    removed: int
    """Files that it maps though they are gone: an index that was replaced, and not let go of."""
    disk_mb: float


def soaked(server: Server, seconds: float, every_round: float) -> dict[str, Any]:
    """What became of the server and of every request."""
    over, answers = threading.Event(), list[Answer]()
    began, used = time.monotonic(), _processor_seconds(server)
    writer = Writer(server, over, answers, began, every_round)
    people = [
        Visitor(server, over, answers, began, "explained searches", think=2.0),
        Visitor(server, over, answers, began, "searches", think=1.5),
        Visitor(server, over, answers, began, "concepts", think=2.5),
        Typist(server, over, answers, began, think=45.0),
        writer,
    ]
    library = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("soak_people.py"), server.project, str(seconds)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for one in people:
        one.start()
    samples = []
    while time.monotonic() - began < seconds:
        samples.append(look(server, time.monotonic() - began))
        time.sleep(EVERY)
    over.set()
    for one in people:
        one.join()
    said, _ = library.communicate()
    held = json.loads(said.splitlines()[-1])
    answers += [Answer(*row) for row in held["answers"]]
    return {
        "about": about("numpy", "fastapi", "uvicorn")
        | {"minutes": round(seconds / 60, 1), "round_s": every_round, "passages": writer.passages},
        "rounds": writer.rounds,
        "writes": dict(writer.done),
        "cores": round((_processor_seconds(server) - used) / seconds, 3),
        "requests": by_kind(answers),
        "problems": [one.problem for one in answers if one.problem][:20],
        "refusals": dict(Counter(one.refused for one in answers if one.refused).most_common(12)),
        "minutes": by_minute(samples, answers, int(seconds // 60)),
        "slopes": {name: slope(samples, name, every_round) for name in WATCHED},
        "library": held["memory"],
    }


def _processor_seconds(server: Server) -> float:
    """Of the server, of this process and of all that this one waited for."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(one.ru_utime + one.ru_stime for one in both) + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def look(server: Server, seconds: float) -> Sample:
    """The server now."""
    process = Path(f"/proc/{server.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="ascii").splitlines())
    maps = (process / "maps").read_text(encoding="utf-8", errors="replace").splitlines()
    removed = {line.split(maxsplit=5)[-1] for line in maps if line.endswith("(deleted)") and "/project/" in line}
    n_bytes = 0
    for path in server.project.rglob("*"):
        try:
            n_bytes += path.lstat().st_size
        except OSError:  # it went meanwhile
            continue
    return Sample(
        round(seconds, 1), int(status["VmRSS"].split()[0]) / 1e3, int(status["RssAnon"].split()[0]) / 1e3,
        len(list((process / "fd").iterdir())), int(status["Threads"]), len(removed), round(n_bytes / 1e6, 3),
    )  # fmt: skip


# --- what it says ---------------------------------------------------------------------------------


def by_kind(answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    """Of each kind of request how many there were, how long they took, and how many went wrong."""
    kinds = dict.fromkeys(one.kind for one in answers)
    return {kind: _counts([one for one in answers if one.kind == kind]) for kind in kinds}


def _counts(answers: Sequence[Answer]) -> dict[str, Any]:
    took = [one.ms for one in answers if not one.refused and not one.problem]
    p50, p99 = np.percentile(took, [50, 99]).round(1).tolist() if took else (None, None)
    return {
        "requests": len(answers), "refused": sum(bool(one.refused) for one in answers),
        "errors": sum(bool(one.problem) for one in answers), "p50_ms": p50, "p99_ms": p99,
    }  # fmt: skip


def by_minute(samples: Sequence[Sample], answers: Sequence[Answer], minutes: int) -> list[dict[str, Any]]:
    """The medians of each minute, and its requests over HTTP."""
    rows = []
    for minute in range(minutes):
        seen = [one for one in samples if minute <= one.seconds / 60 < minute + 1]
        asked = [one for one in answers if minute <= one.seconds / 60 < minute + 1 and one.kind in Visitor.KINDS]
        rows.append(
            {name: round(statistics.median(getattr(one, name) for one in seen), 2) for name in WATCHED if seen}
            | _counts(asked)
        )
    return rows


def slope(samples: Sequence[Sample], name: str, every_round: float) -> dict[str, float]:
    """Growth in an hour over the second half, by Theil and Sen, of medians of rounds, with its 95 % interval."""
    half = samples[-1].seconds / 2
    rounds: dict[int, list[float]] = {}
    for one in samples:
        if one.seconds >= half:
            rounds.setdefault(int(one.seconds // every_round), []).append(getattr(one, name))
    medians = [statistics.median(values) for values in rounds.values()]
    if len(medians) < 3:
        return {"an_hour": 0.0, "low": float("-inf"), "high": float("inf"), "level": medians[-1]}
    hours = np.array(list(rounds)) * every_round / 3600
    found = theilslopes(medians, hours, 0.95)
    return {
        "an_hour": round(float(found.slope), 3), "low": round(float(found.low_slope), 3),
        "high": round(float(found.high_slope), 3), "level": round(statistics.median(medians), 3),
    }  # fmt: skip


def headline(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a change is held against."""
    memory = found["slopes"]["memory_mb"]
    return {
        "minutes": found["about"]["minutes"], "requests": sum(one["requests"] for one in found["requests"].values()),
        "errors": sum(one["errors"] for one in found["requests"].values()), "rounds": found["rounds"],
        "memory_mb": memory["level"], "growth_mb_an_hour": [memory["low"], memory["high"]],
        "grows": [name for name, one in found["slopes"].items() if one["low"] > 0],
        "exit_code": found["exit_code"],
    }  # fmt: skip


def summary(found: Mapping[str, Any]) -> list[str]:
    """What the documentation shows."""
    rows = [
        {
            "requests": kind, "number": f"{one['requests']:,}", "errors": one["errors"],
            "refused": one["refused"] or "",
            "p50": "" if one["p50_ms"] is None else f"{one['p50_ms']:,.0f} ms",
            "p99": "" if one["p99_ms"] is None else f"{one['p99_ms']:,.0f} ms",
        }
        for kind, one in found["requests"].items()
    ]  # fmt: skip
    grown = [
        {
            "of the server": said, "second half": f"{one['level']:,.1f}".removesuffix(".0"),
            "growth an hour": f"{one['an_hour']:+.2f}", "95 % interval": f"{one['low']:+.2f} to {one['high']:+.2f}",
        }
        for said, one in ((WATCHED[name], one) for name, one in found["slopes"].items())
    ]  # fmt: skip
    ended = (
        f"{found['about']['minutes']:g} minutes, {found['rounds']} rounds of writing, {found['cores']:.0%} of a core; "
        f"told to stop, the server ended with {found['exit_code']}"
    )
    return [*table(rows), "", *table(grown), "", ended]


# --- the picture ----------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 760, 420, 70, 20
_PANELS = (
    ("memory_mb", "the server's resident memory, MB", "blue", 60, 120),
    ("p99_ms", "the slowest of a hundred requests (p99), ms", "orange", 240, 120),
)


def picture(found: Mapping[str, Any]) -> str:
    """Memory and latency, minute by minute."""
    minutes = found["minutes"]
    memory = found["slopes"]["memory_mb"]
    title = f"{found['about']['minutes']:g} minutes of serving, writing and reading at once"
    counts = headline(found)
    said = (
        f"Resident memory at {memory['level']:,.0f} MB in the second half, growth {memory['low']:+.2f} to "
        f"{memory['high']:+.2f} MB an hour; {counts['errors']} errors in {counts['requests']:,} requests."
    )
    shapes = [text(20, 50, said, "soft")]
    for name, label, colour, top, height in _PANELS:
        shapes += _panel([row.get(name) for row in minutes], label, colour, top + 30, height)
    shapes.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, "minutes", "soft", "middle"))
    css = style("soak", ".soak .line { fill: none; stroke-width: 2; }", _colours)
    return framed("soak", title, said, (_WIDTH, _HEIGHT), css, shapes)


def _colours(of: Palette) -> dict[str, str]:
    return {".blue": f"stroke: {of.blue}", ".orange": f"stroke: {of.orange}"}


def _panel(values: Sequence[float | None], label: str, colour: str, top: int, height: int) -> Iterator[str]:
    """One line over the minutes, from 0 up."""
    highest = max((value for value in values if value is not None), default=1) or 1
    step = (_WIDTH - _LEFT - _RIGHT) / max(1, len(values) - 1)
    yield text(_LEFT, top - 8, label)
    for share in (0, 0.5, 1):
        y = top + height * (1 - share)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:g}" y2="{y:g}"/>'
        yield text(_LEFT - 8, y + 4, f"{highest * share:,.0f}", "soft", "end")
    points = " ".join(
        f"{_LEFT + step * minute:.1f},{top + height * (1 - value / highest):.1f}"
        for minute, value in enumerate(values)
        if value is not None
    )
    yield f'<polyline class="line {colour}" points="{points}"/>'


if __name__ == "__main__":
    main()
