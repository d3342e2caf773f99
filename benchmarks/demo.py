"""How well and how fast does the main job run? On Wikipedia's vital articles and, where it is at hand, on SciFact.

    python benchmarks/demo.py [--projects FOLDER] [--quick]

Runs `unweave demo` for each collection (a project that is done is not done again), then collects the tables, the
time of each step and one explained hit into `benchmarks/results/demo.json`. SciFact is read from $UNWEAVE_DATA/scifact.
A copy of the demo then learns concepts of tokens, and is evaluated and searched by sums of systems. `--quick` leaves
SciFact out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from measuring import about

from unweave.base.artifact import read_manifest
from unweave.base.records import Explanation, Hit, Passage
from unweave.cli import show
from unweave.evaluation.table import KIND, Evaluation, SystemRow, table
from unweave.project import Project
from unweave.stages.places import ARTIFACTS

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "demo.json"
QUERY = "Device to generate electricity from wind"
STAGES = ("embed", "fit", "name", "index", "evaluate")
SUMS = ("BM25 + dense", "BM25 + codes", "tokens + codes", "BM25 + tokens + codes")
TOKEN_ARTIFACTS = ("tokens/sae", "tokens/latents", "index/tokens")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=Path, default=ROOT, help="folder of the projects (default: the repository)")
    parser.add_argument("--quick", action="store_true", help="the vital articles alone")
    options = parser.parse_args()
    collections = {"demo": "vital-articles"}
    data = os.environ.get("UNWEAVE_DATA")
    if data and not options.quick:
        collections["scifact"] = str(Path(data) / "scifact")
    results: dict[str, Any] = {
        "about": about("torch", "sentence-transformers", "numpy", "bm25s", "ir-measures"),
        "collections": {},
    }
    for name, corpus in collections.items():
        folder = options.projects / name
        subprocess.run([sys.executable, "-m", "unweave", "demo", folder, "--corpus", corpus], check=True)
        results["collections"][name] = measured(folder)
    project = Project.open(options.projects / "demo")
    results["hit"] = without_text(project.search(QUERY, 1, explain=True)[0])
    results["tokens"] = with_tokens(project.path)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(headline(results)))


def measured(folder: Path) -> dict[str, Any]:
    """A project's evaluation and the seconds of each of its stages."""
    seconds = dict.fromkeys(STAGES, 0.0)
    for name, place in ARTIFACTS.items():
        command = place.command.split()[0]
        if (folder / name / "config.json").exists() and command in seconds:
            seconds[command] += read_manifest(folder / name, place.kind).seconds
    evaluation = Evaluation.load(folder / KIND)
    return {
        "evaluation": {
            "split": evaluation.split,
            "n_queries": evaluation.n_queries,
            "rows": [vars(row) for row in evaluation.rows],
            "sae": evaluation.sae,
        },
        "seconds": {name: round(taken, 1) for name, taken in seconds.items()},
    }


def with_tokens(demo: Path) -> dict[str, Any]:
    """What concepts of tokens and sums add: the table, the time of `unweave tokens`, and one explained hit."""
    folder = demo.with_name(f"{demo.name}-tokens")
    if not folder.exists():
        shutil.copytree(demo, folder)
    for command in (["tokens", folder], ["evaluate", folder, "--sums", ", ".join(SUMS)]):
        subprocess.run([sys.executable, "-m", "unweave", *command], check=True)
    hit = Project.open(folder).search(QUERY, 1, system="tokens + codes + BM25", explain=True)[0]
    rows = {row["system"]: row for row in measured(folder)["evaluation"]["rows"]}
    shown = ("BM25", "dense", "codes", "tokens", *SUMS)
    seconds = {name: read_manifest(folder / name, ARTIFACTS[name].kind).seconds for name in TOKEN_ARTIFACTS}
    return {"rows": [rows[name] for name in shown], "hit": without_text(hit), "seconds": seconds}


def without_text(hit: Hit) -> dict[str, Any]:
    """A hit without its passage's text, which is not ours to copy."""
    record = hit.to_dict()
    del record["text"]
    return record


def headline(results: dict[str, Any]) -> dict[str, float]:
    """Ratios of nDCG@10 on the vital articles."""
    rows = {row["system"]: row for row in results["collections"]["demo"]["evaluation"]["rows"]}
    dense = rows["dense"]["measures"]["nDCG@10"]
    shares = {
        "clsr_share_of_dense": rows["CL-SR"]["measures"]["nDCG@10"] / dense,
        "rescored_share_of_dense": rows["CL-SR rescored"]["measures"]["nDCG@10"] / dense,
        "seconds": sum(results["collections"]["demo"]["seconds"].values()),
    }
    return {name: round(value, 4) for name, value in shares.items()}


def blocks(results: dict[str, Any]) -> dict[str, list[str]]:
    """What the documentation shows, by the name of its block, as the command line prints it."""
    shown = {"hit": list(show.hit(hit_of(results["hit"])))}
    for name, collection in results["collections"].items():
        shown[name] = list(show.evaluation(Evaluation.from_dict({**collection["evaluation"], "usefulness": []})))
    seconds = results["collections"]["demo"]["seconds"]
    of_tokens = results["tokens"]
    evaluation = Evaluation("test", 0, [SystemRow(**row) for row in of_tokens["rows"]], {}, [])
    shown["tokens"] = list(show.table(table(evaluation)))
    shown["tokens"].append(f"unweave tokens took {sum(of_tokens['seconds'].values()):.0f} s")
    shown["fused_hit"] = list(show.hit(hit_of(of_tokens["hit"]), top=3))
    shown["seconds"] = [", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())]
    return shown


def hit_of(record: dict[str, Any]) -> Hit:
    dense = record.get("dense_explanation")
    return Hit(
        record["rank"],
        record["score"],
        Passage(record["passage_id"], record["title"], ""),
        Explanation.from_dict(record["explanation"]),
        dense and Explanation.from_dict(dense),
    )


if __name__ == "__main__":
    main()
