"""Walks the journeys of docs/journeys, command by command, and keeps what a person sees and waits for.

    python benchmarks/journeys.py [--demo FOLDER] [--folder FOLDER] [--only JOURNEY …]

The first journey makes the demo's project, unless --demo names a finished one; each other journey begins with a copy of
it, in a folder of its own. Nothing else should run meanwhile, since seconds are measured. Writes results/journeys.json,
from which render.py writes the pages; a test walks the same commands on a small project.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from measuring import about

from unweave.cli.show import table

RESULTS = Path(__file__).parent / "results" / "journeys.json"
QUERY = "Device to generate electricity from wind"
SCURVY = (
    "what kept sailors from getting scurvy",
    "Scurvy killed more sailors than storms and battles together; on some voyages half of the crew died of it.",
    "Lemons and oranges were handed out daily, and the gums of the crew stopped bleeding.",
)
"""A question, the chunk that an engine put first, and the chunk that answers it."""
WIDTH = 110
"""Columns of the terminal."""
LINES = 26
"""Lines of an output that a page shows, at most."""


class Step(NamedTuple):
    """A command as it is typed, and words that everybody sees who types it."""

    command: str
    sees: tuple[str, ...]
    long: bool = False
    """It trains, or asks for as many steps as that: other tests run such a command, and this one's are spared it."""


class Journey(NamedTuple):
    """What one kind of user types, in this order; files that they have written stand in the folder."""

    steps: tuple[Step, ...]
    files: Mapping[str, str] = {}
    before: str = ""
    """What makes another of them, and is no part of the transcript."""


ARTICLES = """import csv

import unweave as uw

with open("articles.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["id", "title", "text", "topic"])
    for passage in list(uw.open_collection("vital-articles").passages)[::5]:
        rows.writerow([passage.passage_id, passage.title, passage.text, passage.metadata["topic"]])
"""

WHY = f'''"""Which concepts carry the hits of a query, together?"""

from collections import defaultdict
from pathlib import Path

import unweave as uw


def carried(project: uw.Project, query: str, cutoff: int = 10) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for hit in project.search(query, cutoff, system="dense", explain=True):
        explanation: uw.Explanation | None = hit.explanation
        assert explanation is not None
        explanation.check()  # the parts and the residual are the score, to 1e-5
        for contribution in explanation.contributions:
            if contribution.latent is not None:
                total[str(project.concepts.get(contribution.latent))] += contribution.value
    return total


if __name__ == "__main__":
    total = carried(uw.Project.open(Path("demo")), "{QUERY}")
    for name, score in sorted(total.items(), key=lambda pair: -pair[1])[:5]:
        print(f"{{score:+.3f}}  {{name}}")
'''

JOURNEYS: dict[str, Journey] = {
    "first_minute": Journey(
        (
            Step(f'unweave explain "{QUERY}" "A turbine turns wind into power."', ("dense score", "residual")),
            Step('unweave decompose "A turbine turns wind into power."', ("squared length", "residual")),
            Step("unweave demo", ("nDCG@10", "together", "next, for example"), long=True),
        )
    ),
    "researcher": Journey(
        (
            Step("unweave reproduce cl-sr demo --k 32 --expansion 8", ("CL-SR", "BM25"), long=True),
            Step("cp -r demo idea", ()),
            Step("unweave fit idea --dictionary own --variant matryoshka", ("NMSE",), long=True),
            Step("unweave index build idea", ("passages",), long=True),
            Step("unweave evaluate idea", ("nDCG@10", "codes"), long=True),
            Step(
                "unweave compare demo codes --run idea/evaluation/runs/codes.trec --top 3", ("95 %", "wins"), long=True
            ),
            Step("unweave sae compare demo idea", ("return",), long=True),
        )
    ),
    "rag": Journey(
        (
            Step('unweave difference "{}" "{}" "{}"'.format(*SCURVY), ("first - second", "the smallest change")),
            Step(
                f'unweave explain --query "{SCURVY[0]}" --hits hits.jsonl --top 3', ("chunk-17", "chunk-4", "residual")
            ),
            Step(f'unweave explain "{SCURVY[0]}" "{SCURVY[1]}" --by-words --top 3', ("scurvy",)),
            Step(f'unweave difference demo "{QUERY}" Wind_turbine Transpiration --top 4', ("first - second",)),
            Step(f'unweave search demo "{QUERY}" -k 3 --system "BM25 + dense"', ("Wind turbine",)),
        ),
        {
            "hits.jsonl": json.dumps({"id": "chunk-17", "text": SCURVY[1], "score": 0.741})
            + "\n"
            + json.dumps({"id": "chunk-4", "text": SCURVY[2], "score": 0.22})
            + "\n"
        },
    ),
    "search_engineer": Journey(
        (
            Step("unweave evaluate demo", ("bytes/passage", "ms/query", "codes")),
            Step("unweave compare demo codes dense --top 2", ("95 %",)),
            Step("unweave index recall demo", ("recall@10", "ms/query")),
            Step("unweave export qdrant-edge demo exported --to shard --dry-run", ("passages",)),
            Step("unweave export qdrant-edge demo exported --to shard", ("of the index's best ten",)),
            Step("du -sh --apparent-size demo/embeddings/passages demo/index/default demo/codes shard", ("shard",)),
        )
    ),
    "auditor": Journey(
        (
            Step("unweave verify demo", ("whole", "corpus")),
            Step("unweave audit demo", ("tested", "the whole audit of"), long=True),
            Step("unweave faithfulness demo", ("leave by chance", "95%"), long=True),
            Step(f'unweave report demo --query "{QUERY}"', ("report.html",)),
            Step("ls demo/audit.html demo/audit.json demo/report.html", ("audit.json",), long=True),
        )
    ),
    "data_scientist": Journey(
        (
            Step("head -n 1 articles.csv", ("id,title,text,topic",)),
            Step("unweave init mine --corpus articles.csv", ("passages",)),
            Step("unweave embed mine", ("embed",), long=True),
            Step("unweave fit mine", ("NMSE",), long=True),
            Step("unweave name mine", ("named",), long=True),
            Step("unweave index build mine", ("passages",), long=True),
            Step("unweave concepts list mine --top 12", ("#",), long=True),
            Step('unweave prevalent mine "plants that people eat" --top 3', ("x: how many times",), long=True),
            Step('unweave search mine "plants that people eat" --where topic=Geography -k 3', ("1",), long=True),
            Step("unweave map mine", ("map",), long=True),
            Step("unweave export atlas mine concepts.parquet", ("concepts.parquet",), long=True),
        ),
        {"articles.py": ARTICLES},
        before="python articles.py",
    ),
    "developer": Journey(
        (
            Step("python why.py", ("+0.",)),
            Step("mypy --strict why.py", ("Success: no issues found",), long=True),
        ),
        {"why.py": WHY},
    ),
}
"""Each journey by its name, which is its page's too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="a finished project of the demo, in place of making one")
    parser.add_argument("--folder", type=Path, help="where to walk (default: a new folder)")
    parser.add_argument("--only", nargs="+", choices=JOURNEYS, default=list(JOURNEYS))
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results |= {"about": about("torch", "numpy"), "journeys": results.get("journeys", {})}
    demo = options.demo or folder / "first_minute" / "demo"
    for name in options.only:
        walked = walk(JOURNEYS[name], folder / name, None if name == "first_minute" else demo)
        results["journeys"][name] = walked
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(name, f"{sum(step['seconds'] for step in walked):.0f} s", flush=True)


def walk(journey: Journey, folder: Path, demo: Path | None = None, *, long: bool = True) -> list[dict[str, Any]]:
    """What each step of a journey shows, and its seconds; a step that fails, or shows something else, ends it.

    Args:
        demo: a project that a copy is made of, called `demo`.
        long: walk long steps too.
    """
    folder.mkdir(parents=True)
    if demo is not None:
        shutil.copytree(demo, folder / "demo")
    for name, text in journey.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if journey.before:
        _run(journey.before, folder)
    walked = []
    for step in journey.steps:
        if step.long and not long:
            continue
        began = time.monotonic()
        shown = _run(step.command, folder)
        seconds = time.monotonic() - began
        if missed := [word for word in step.sees if word not in shown]:
            raise SystemExit(f"{step.command} does not show {missed}:\n{shown}")
        walked.append({"command": step.command, "shown": shown.splitlines(), "seconds": round(seconds, 1)})
    return walked


def _run(command: str, folder: Path) -> str:
    """What a command leaves on the terminal: results and remarks, without the bars that came and went."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        command,
        shell=True,
        executable=shutil.which("bash"),
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = _lasting(done.stdout).replace(f"{folder.resolve()}{os.sep}", "")
    if done.returncode:
        raise SystemExit(f"{command} ended with status {done.returncode}:\n{shown}")
    return shown


def _lasting(output: str) -> str:
    """The lines of an output but for those of bars, which a terminal writes over; never two empty ones together."""
    lines = [line.rstrip() for line in output.splitlines() if not re.search(r"\d+%\|", line)]
    return "\n".join(line for before, line in pairwise(["", *lines]) if line or before).strip("\n")


def blocks(results: dict[str, Any]) -> dict[str, list[str]]:
    """What the pages show, by the name of its block: each step of each journey, and the table of all."""
    shown = {"journeys": list(table(times(results)))}
    for name, steps in results["journeys"].items():
        for number, step in enumerate(steps, 1):
            shown[f"{name}_{number}"] = list(_transcript(step))
    return shown


def _transcript(step: Mapping[str, Any]) -> Iterator[str]:
    lines, seconds = step["shown"], step["seconds"]
    yield f"$ {step['command']}"
    if len(lines) > LINES:
        begin, end = LINES // 3, LINES - LINES // 3
        yield from (*lines[:begin], f"… {len(lines) - LINES} lines more …", *lines[-end:])
    else:
        yield from lines
    yield f"# {seconds:.0f} s" if seconds >= 10 else f"# {seconds:.1f} s"


def times(results: dict[str, Any]) -> list[dict[str, str]]:
    """Seconds of each journey, its commands one after the other."""
    return [
        {
            "journey": name.replace("_", " "),
            "commands": str(len(steps)),
            "seconds": f"{sum(s['seconds'] for s in steps):.0f}",
        }
        for name, steps in results["journeys"].items()
    ]


if __name__ == "__main__":
    main()
