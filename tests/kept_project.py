"""Makes the small project that every later version opens, searches and explains: `tests/kept`.

    python tests/kept_project.py

Its texts are paragraphs of this repository's own documentation. Run it only when a format changes on purpose: then an
older project is refused in one line that says how to make it anew, and this one is made with the version that does so.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from click.testing import CliRunner

from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.project import Project
from unweave.stages.asked import QueryId
from unweave.texts.collection import Collection

HERE = Path(__file__).parent
KEPT, EXPECTED = HERE / "kept" / "project", HERE / "kept" / "expected.json"
QUERIES = {
    "q1": "how a score becomes a sum of named concepts",
    "q2": "what an inverted index takes in bytes",
    "q3": "training a sparse autoencoder on embeddings",
}
SYSTEMS = ("BM25", "dense", "CL-SR", "CL-SR rescored", "CL-SR then dense", "codes", "tokens", "BM25 + 2 codes")
COMMANDS = (
    ("embed", "--sentences", "40", "--precision", "float32"),
    ("fit", "--n-latents", "128", "--k", "16", "--steps", "60", "--batch-size", "32"),
    ("name",),
    ("judge",),
    ("index", "build"),
    ("tokens", "--n-latents", "256", "--steps", "40", "--batch-size", "128"),
    ("evaluate", "--sums", "BM25 + 2 codes"),
)
CUTOFF = 5


def paragraphs(folder: Path) -> list[Passage]:
    """The paragraphs of the documentation's pages that are sentences, the first of each page first."""
    found = []
    for page in sorted(folder.glob("*.md")):
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for number, text in enumerate(re.split(r"\n\s*\n", prose)):
            words = re.sub(r"\s+", " ", text).strip()
            if re.match(r"[A-Z]", words) and len(words) > 120:
                found.append(Passage(f"{page.stem}-{number}", "", words, {"page": page.stem}))
    return found[:80]


def make() -> None:
    """Make the project and write down what its searches find."""
    shutil.rmtree(KEPT.parent, ignore_errors=True)
    passages = paragraphs(HERE.parent / "docs")
    qrels = {"test": {query_id: {passages[i].passage_id: 1} for i, query_id in enumerate(QUERIES)}}
    queries = [Query(query_id, text) for query_id, text in QUERIES.items()]
    Project.create(KEPT, Collection(passages=passages, queries=queries, qrels=qrels))
    for command, *rest in COMMANDS:
        words = [command, *[word for word in rest if not word.startswith("--") and command == "index"], str(KEPT)]
        done = CliRunner().invoke(main, words + ([] if command == "index" else rest))
        assert done.exit_code == 0, done.output
    for lock in KEPT.glob(".*.unweave-*"):
        lock.unlink()
    EXPECTED.write_text(json.dumps(found(Project.open(KEPT)), indent=1) + "\n", encoding="utf-8")


def found(project: Project) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """The best passages of every query by every system, each explained."""
    runs: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for system in SYSTEMS:
        for query_id in QUERIES:
            hits = project.search(QueryId(query_id), CUTOFF, system=system, explain=True)
            runs.setdefault(system, {})[query_id] = [(hit.passage.passage_id, hit.score) for hit in hits]
    return runs


if __name__ == "__main__":
    make()
