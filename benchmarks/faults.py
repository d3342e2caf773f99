"""Is anything lost, wrong or a traceback when a command is killed, disturbed, or finds a damaged folder?

    python benchmarks/faults.py [--only KIND …] [--jobs N] [--kills N] [--full N] [--cuts N] [--pauses N] [--each N]

Every command that changes something, on a project of forty passages that has everything a project can have, disturbed
in every way that tests/faults knows. Kills, full disks and power cuts of each command, moments at which the first of
two commands is stopped, and flips in each file: at most so many, by default all, or many. A kind that is not measured
again keeps its figures. Writes results/faults.json after each kind; its last line is one JSON object: how many faults
were tried, by kind, and after how many something was lost, wrong or a traceback.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "faults"))

import run
from measuring import about

from unweave.cli.show import table

RESULTS = Path(__file__).parent / "results" / "faults.json"
SAID = {
    "kills": "killed (SIGKILL) at a change of a file",
    "disk_full": "disk full, or failing, from a write on",
    "power_cuts": "power cut, unsynced changes lost",
    "races": "two commands at once",
    "flips": "a bit flipped in a file of an artefact",
    "links": "a link at a name that is written",
    "strangers": "a stranger's project",
}


def main() -> None:
    kinds = json.loads(RESULTS.read_text(encoding="utf-8"))["kinds"] if RESULTS.exists() else {}
    began, every = time.monotonic(), []
    for kind in run.parsed(sys.argv[1:]).only:
        cases = run.measured([*sys.argv[1:], "--only", kind])
        counts = run.summary(cases)
        kinds[kind] = {"tried": counts[kind], **{bad: counts[bad] for bad in ("lost", "wrong", "tracebacks")}}
        every += cases
        results = {"about": about("numpy"), "seconds": round(time.monotonic() - began), "kinds": kinds}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(run.summary(every)))


def summary(results: Mapping[str, Any]) -> list[str]:
    """A line a kind."""
    return list(
        table(
            [
                {"fault": said, **{column: f"{n:,}" for column, n in results["kinds"][kind].items()}}
                for kind, said in SAID.items()
                if kind in results["kinds"]
            ]
        )
    )


if __name__ == "__main__":
    main()
