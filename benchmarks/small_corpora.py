"""What somebody sees who brings a few passages of their own: sums of concepts, drawn by lot, to be read.

    UNWEAVE_DATA=… python benchmarks/small_corpora.py [--folder FOLDER] [--dictionary own]

From each of five collections 20, 60, 300 and 1,000 passages are drawn by lot, and `unweave demo` makes a project of
them. Of one passage each, drawn by lot too, the five strongest concepts are printed, with their share of its embedding,
and of every passage it is counted whether a name stands twice among its five strongest. Whether a concept fits its
passage is for a reader to say.

Writes results/small_corpora.json, without the passages' texts, which are not ours to copy. The counts of
--dictionary own stand there beside those of the packaged one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import texts
from measuring import about

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.project import Project
from unweave.texts.open import open_collection

RESULTS = Path(__file__).parent / "results" / "small_corpora.json"
COLLECTIONS = ("scifact", "fiqa-mini", "squad-sentences", "dbpedia-entity-5k", "medquad-liveqa")
SIZES = (20, 60, 300, 1000)
STRONGEST = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=texts.CACHE / "small", help="where the projects go")
    parser.add_argument("--dictionary", choices=["pretrained", "own"], default="pretrained")
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=list(SIZES))
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = []
    for name in COLLECTIONS:
        for size in options.sizes:
            rows.append(read(options.folder / options.dictionary / f"{name}-{size}", name, size, options.dictionary))
            print("\n".join(shown(rows[-1])), flush=True)
    found[options.dictionary] = [{key: of for key, of in row.items() if key != "text"} for row in rows]
    found["about"] = about("numpy", "torch")
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomically(RESULTS, lambda aside: aside.write_text(text, encoding="utf-8"))
    print("\n".join(summary(found)))


def read(folder: Path, name: str, size: int, dictionary: str) -> dict[str, Any]:
    """One project, and what its concepts say of one passage."""
    random = np.random.default_rng(size)
    if not (folder / "report.html").exists():
        folder.mkdir(parents=True, exist_ok=True)
        passages = list(open_collection(str(texts.data() / name)).passages)
        corpus = folder.with_suffix(".jsonl")
        with corpus.open("w", encoding="utf-8") as file:
            for at in sorted(random.choice(len(passages), size, replace=False).tolist()):
                one = passages[at]
                file.write(json.dumps({"_id": one.passage_id, "title": one.title, "text": one.text}) + "\n")
        if dictionary == "own":
            for step in (
                ["init", folder, "--corpus", corpus],
                ["embed", folder],
                ["fit", folder, "--dictionary", "own"],
            ):
                unweave(*step)
        unweave("demo", folder, "--corpus", corpus)
    project = Project.open(folder)
    sums = [strongest(project, position) for position in range(size)]
    drawn = int(np.random.default_rng(size).integers(size))
    return {
        "collection": name, "passages": size, "position": drawn,
        "text": project.corpus[drawn].content[:300], "concepts": sums[drawn],
        "names_twice": sum(len({label for label, _, _ in one}) < len(one) for one in sums) / size,
    }  # fmt: skip


def unweave(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "unweave", *map(str, arguments)], check=True, capture_output=True)


def strongest(project: Project, position: int) -> list[tuple[str, float, str]]:
    """Name, share of the embedding and mark of a passage's strongest concepts."""
    parts = project.decompose(project.embedded("passages").rows(position, position + 1)[0]).contributions[:STRONGEST]
    return [
        (part.name or f"#{part.latent}", round(part.value, 3), "" if part.trust is None else str(part.trust))
        for part in parts
    ]


def shown(row: dict[str, Any]) -> list[str]:
    lines = [f"{row['collection']}, {row['passages']:,} passages: {row['text'][:160]}"]
    return lines + [f"    {share:6.1%}  {label}  {trust}" for label, share, trust in row["concepts"]]


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    rows = [
        {"dictionary": kind, "passages": f"{size:,}", "a name twice": f"{np.mean(twice):.1%}"}
        for kind in ("pretrained", "own") if kind in found
        for size in SIZES
        if (twice := [row["names_twice"] for row in found[kind] if row["passages"] == size])
    ]  # fmt: skip
    return list(table(rows))


if __name__ == "__main__":
    main()
