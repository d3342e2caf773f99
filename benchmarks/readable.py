"""Which dictionary reads better over ten thousand articles: the packaged one, or one that was trained on them?

    python benchmarks/readable.py [--folder FOLDER] [--sheet FILE] [--marks FILE]

The demo is made twice, once by each dictionary. Of both are measured: the share of the dense scores of hits that
concepts with a name that holds there carry; how often a name stands twice among a passage's five strongest concepts;
for how many of these no name holds; what retrieval keeps of dense; and the errors on texts seen and unseen.

--sheet writes pairs of a passage and one of its five strongest concepts, of passages drawn by lot, without a word on
which dictionary found it, in an order drawn by lot. A reader writes a line for each, 1 where the name fits and 0 where
it does not, and gives the lines as --marks. Writes results/readable.json, without a passage's text.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import texts
from measuring import about
from small_corpora import strongest

from unweave.base.files import write_atomically
from unweave.base.records import NO_NAME_HOLDS, Trust
from unweave.cli.show import table
from unweave.config import OWN, PRETRAINED
from unweave.evaluation.table import KIND, Evaluation
from unweave.project import Project

RESULTS = Path(__file__).parent / "results" / "readable.json"
DICTIONARIES = (PRETRAINED, OWN)
STEPS = (["name"], ["index", "build"], ["evaluate"])
PASSAGES, QUERIES, HITS = 1000, 200, 10
DRAWN = 25
"""Passages that a reader reads."""
SYSTEMS = ("codes", "CL-SR")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=texts.CACHE / "readable", help="where both projects go")
    parser.add_argument("--sheet", type=Path, help="where the pairs to be read go")
    parser.add_argument("--marks", type=Path, help="what was read, a line a pair")
    options = parser.parse_args()
    projects = {kind: Project.open(made(options.folder, kind)) for kind in DICTIONARIES}
    pairs = list(drawn(projects))
    if options.sheet:
        options.sheet.write_text("\n\n".join(f"{n}. {of.shown()}" for n, of in enumerate(pairs, 1)) + "\n")
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if options.marks:
        marks = [bool(int(line)) for line in options.marks.read_text().split()]
        found["read"] = [of.kept() | {"fits": fits} for of, fits in zip(pairs, marks, strict=True)]
    found |= {kind: measured(project) for kind, project in projects.items()}
    found["about"] = about("numpy", "torch")
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomically(RESULTS, lambda aside: aside.write_text(text, encoding="utf-8"))
    print("\n".join(summary(found)))


def made(folder: Path, kind: str) -> Path:
    """The demo by one dictionary; the other one's embeddings serve both."""
    project, other = folder / kind, folder / next(one for one in DICTIONARIES if one != kind)
    if not project.exists() and (other / "embeddings").exists():
        shutil.copytree(other, project)
    if not project.exists():
        unweave("init", project, "--corpus", "vital-articles")
        unweave("embed", project)
    unweave("fit", project, "--dictionary", kind)
    for step in STEPS:
        unweave(*step, project)
    return project


def unweave(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "unweave", *map(str, arguments)], check=True)


def measured(project: Project) -> dict[str, Any]:
    evaluation = Evaluation.load(project.path / KIND)
    rows = {row.system: row.measures["nDCG@10"] for row in evaluation.rows}
    some = range(0, len(project.corpus), len(project.corpus) // PASSAGES)
    sums = [strongest(project, position) for position in some]
    judged = project.queries.judged(evaluation.split)[:QUERIES]
    named = [share for at in judged for share in named_shares(project, project.queries.all[at].text)]
    marks = [mark for of in sums for _, _, mark in of]
    return {
        **{system: rows[system] / rows["dense"] for system in SYSTEMS},
        "named": float(np.mean(named)),
        "twice": float(np.mean([len({label for label, _, _ in of}) < len(of) for of in sums])),
        "seen": evaluation.sae["nmse"], "unseen": evaluation.sae["held_out"]["passages"]["nmse"],
        **{str(trust): marks.count(str(trust)) / len(marks) for trust in Trust},
    }  # fmt: skip


def named_shares(project: Project, query: str) -> Iterator[float]:
    """Of the dense score of each of a query's best hits, the share that names which hold there carry."""
    for hit in project.search(query, HITS, system="dense", explain=True):
        if hit.explanation is not None:
            yield hit.explanation.named_share or 0.0


class Pair(NamedTuple):
    """A passage and the name of one of its strongest concepts."""

    dictionary: str
    title: str
    text: str
    name: str
    mark: str

    def shown(self) -> str:
        return f"{self.title}: {self.text[:300]}\n   «{self.name}»"

    def kept(self) -> dict[str, str]:
        return {"dictionary": self.dictionary, "title": self.title, "name": self.name, "mark": self.mark}


def drawn(projects: dict[str, Project]) -> Iterator[Pair]:
    """The strongest concepts of passages drawn by lot, of both dictionaries, in an order drawn by lot."""
    random = np.random.default_rng(0)
    corpus = projects[OWN].corpus
    positions = random.choice(len(corpus), DRAWN, replace=False)
    pairs = [
        Pair(kind, corpus[position].title, corpus[position].text, name, mark)
        for position in map(int, positions)
        for kind, project in projects.items()
        for name, _, mark in strongest(project, position)
        if mark != str(Trust.NONE)
    ]
    yield from (pairs[at] for at in random.permutation(len(pairs)))


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    rows = []
    for kind in DICTIONARIES:
        of = found[kind]
        read = [pair for pair in found["read"] if pair["dictionary"] == kind]
        rows.append(
            {
                "dictionary": kind,
                "names read": f"{len(read)}",
                "fits": f"{np.mean([pair['fits'] for pair in read]):.0%}",
                "of a score named": f"{of['named']:.0%}",
                f"{NO_NAME_HOLDS}": f"{of[str(Trust.NONE)]:.0%}",
                "a name twice": f"{of['twice']:.1%}",
                **{system: f"{of[system]:.1%}" for system in SYSTEMS},
                "NMSE seen": f"{of['seen']:.3f}",
                "unseen": f"{of['unseen']:.3f}",
            }
        )
    return list(table(rows))


if __name__ == "__main__":
    main()
