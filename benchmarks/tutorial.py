"""What does the tutorial print? Its commands, run one after the other on the demo.

    make demo
    python benchmarks/tutorial.py [--project demo]

Runs each command of docs/tutorial.md that prints something, and writes down what it printed and the processor time that
it took, its start included, which is most of it. Draws docs/tutorial.svg, too. Writes results/tutorial.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import about

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "tutorial.json"
PICTURE = HERE.parent / "docs" / "tutorial.svg"
QUERY = "how money loses its value"
COMMANDS = {
    "search": f'unweave search demo "{QUERY}" --system dense --cutoff 4',
    "difference": f'unweave difference demo "{QUERY}" Market_failure Inflation --top 5',
    "steered": f'unweave search demo "{QUERY}" --system dense --cutoff 4 --boost 825=0',
    "counterfactual": f'unweave counterfactual demo "{QUERY}" Market_failure --scale 825=0 --cutoff 4',
    "decompose": 'unweave decompose "Banks lend money to people who buy houses." --top 5',
}
"""The commands of the tutorial, by the name of what they show."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--project", type=Path, default=HERE.parent / "demo")
    project = parser.parse_args().project
    found: dict[str, Any] = {"about": about("numpy", "numba"), "printed": {}, "cpu_s": {}}
    for name, command in COMMANDS.items():
        drawn = ["--svg", str(PICTURE)] if name == "difference" else []
        before = _cpu()
        words = [str(project) if word == "demo" else word for word in shlex.split(command)[1:]]
        ran = subprocess.run(
            [sys.executable, "-m", "unweave", *words, *drawn], check=True, capture_output=True, text=True
        )
        found["cpu_s"][name] = round(_cpu() - before, 2)
        found["printed"][name] = [line for line in ran.stdout.splitlines() if str(PICTURE) not in line]
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(found["cpu_s"]))


def blocks(found: dict[str, Any]) -> dict[str, list[str]]:
    """What the documentation shows, by the name of its block."""
    return {f"tutorial_{name}": lines for name, lines in found["printed"].items()}


def _cpu() -> float:
    of = resource.getrusage(resource.RUSAGE_CHILDREN)
    return of.ru_utime + of.ru_stime


if __name__ == "__main__":
    main()
