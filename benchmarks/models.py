"""What sets two models of the same texts apart? The packaged encoder, pooled in two ways.

    python benchmarks/models.py

Two projects of every tenth of the demo's articles, with the queries that describe them: embedded by the packaged model
as it is, the mean of its tokens' outputs, and by the first token's output, which it was not trained for. Shown is what
`unweave models` says of them. Writes results/models.json; the last line is one JSON object with the shares of the first
model's concepts of each kind, and of queries whose winner changes.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from measuring import about

from unweave.cli import main as unweave
from unweave.project import Project
from unweave.stages.models import compare_models
from unweave.texts.collection import Collection
from unweave.texts.vital_articles import vital_articles

RESULTS = Path(__file__).parent / "results" / "models.json"
NAMES = ("mean", "cls")
EVERY = 10
SENTENCES = 3000
SHOWN = 2


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, other = (made(Path(folder) / name, name) for name in NAMES)
        found = compare_models(one, other)
        lines = run("models", str(one.path), str(other.path), "--top", str(SHOWN)).splitlines()
    shown = [line.replace(str(one.path), NAMES[0]).replace(str(other.path), NAMES[1]) for line in lines]
    kinds = {kind.value: n for kind, n in found.one.kinds.items()}
    share = len(found.queries.changed) / found.queries.n_shared
    results = {"about": about("numpy"), "kinds": kinds, "winners_that_change": share, "shown": shown}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(shown))
    print(json.dumps({"kinds": kinds, "winners_that_change": round(share, 4)}))


def made(folder: Path, pooling: str) -> Project:
    """A project of the articles, embedded by the packaged model with its tokens pooled so."""
    Project.create(folder, articles())
    of_pooling = [] if pooling == "mean" else ["--pooling", pooling]
    run("embed", str(folder), "--sentences", str(SENTENCES), *of_pooling)
    run("fit", str(folder))
    run("name", str(folder))
    return Project.open(folder)


def articles() -> Collection:
    whole = vital_articles()
    passages = [passage for i, passage in enumerate(whole.passages) if i % EVERY == 0]
    ids = {passage.passage_id for passage in passages}
    qrels = {
        split: {query: judged for query, judged in of_split.items() if set(judged) <= ids}
        for split, of_split in whole.qrels.items()
    }
    asked = {query for of_split in qrels.values() for query in of_split}
    return Collection(passages=passages, queries=[q for q in whole.queries if q.query_id in asked], qrels=qrels)


def run(*words: str) -> str:
    done = CliRunner().invoke(unweave, list(words))
    if done.exit_code:
        raise SystemExit(done.output)
    return done.stdout


def summary(found: dict[str, Any]) -> dict[str, list[str]]:
    """What the documentation shows: what becomes of concepts, and of queries."""
    lines = found["shown"]
    start = next(i for i, line in enumerate(lines) if " queries have another winner" in line)
    return {"models": lines[:start], "winners": lines[start:]}


if __name__ == "__main__":
    main()
