"""Sheets to read and name a dictionary's concepts by, and how the names that readers gave compare with the others.

    python benchmarks/curate.py carry PROJECT OLD_DICTIONARY CURATED OUT
    python benchmarks/curate.py sheets PROJECT FOLDER [--sheets 24] [--but OUT]
    python benchmarks/curate.py compare PROJECT

A sheet shows, concept by concept, texts that namers may see: strong and middle ones, a weak one, and near misses. Each
concept is on one sheet, the one that contributes most first. A reader writes a JSON object a line, with `latent`,
`name` (null: there is none that fits) and `description`, which `unweave concepts import PROJECT FILE --curated` stores
and `unweave name PROJECT` judges. The packaged dictionary's are in `curated.jsonl`.

`carry` writes the names that a reader gave to latents of an older dictionary for those of PROJECT's that are the same,
matched one to one with an agreement of .8 or more; `--but` leaves them off the sheets.

`compare` says, of concepts that have both, how well they tell texts that no namer has seen, beside keyphrases.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unweave.base.plain import plain
from unweave.cli.show import table
from unweave.concepts.concept import CURATED, DETECTION, Concept, trust_of
from unweave.concepts.evidence import Evidence, Samples
from unweave.concepts.judges.detection import LEXICAL, MIDDLE, STRONG, WEAK
from unweave.project import Project
from unweave.sae.agreement import agreement
from unweave.sae.model import SAE
from unweave.stages.evidence import evidence_of

STRONGEST, BETWEEN, NEAR = 6, 5, 3
"""Texts of a concept on its sheet."""
SAME = 0.8
"""Agreement of two dictionaries' latents from which on a name is carried from the one to the other."""
LONGEST = 150
"""Characters of a text that are shown."""
KEYPHRASES = "keyphrases"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("sheets")
    making.add_argument("project", type=Path)
    making.add_argument("folder", type=Path)
    making.add_argument("--sheets", type=int, default=24)
    making.add_argument("--but", type=Path, help="leave out the latents that this file names already")
    making.set_defaults(run=lambda options: sheets(options.project, options.folder, options.sheets, options.but))
    carrying = commands.add_parser("carry")
    for name in ("project", "dictionary", "curated", "out"):
        carrying.add_argument(name, type=Path)
    carrying.set_defaults(run=lambda of: carry(Project.open(of.project), of.dictionary, of.curated, of.out))
    comparing = commands.add_parser("compare")
    comparing.add_argument("project", type=Path)
    comparing.set_defaults(run=lambda options: print("\n".join(compared(Project.open(options.project)))))
    options = parser.parse_args()
    options.run(options)


def carry(project: Project, dictionary: Path, curated: Path, out: Path) -> None:
    """Give names that a reader gave to the latents that an older dictionary's have become."""
    old = {row["latent"]: row for row in map(json.loads, curated.read_text(encoding="utf-8").splitlines())}
    matching = agreement(project.sae, SAE.load(dictionary)).matching
    again = np.flatnonzero(matching.agreement >= SAME)
    partners = [(latent, int(matching.partners[latent])) for latent in again.tolist()]
    rows = [{**old[partner], "latent": latent} for latent, partner in partners if partner in old]
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows):,} of {len(old):,} names carried over")


def sheets(path: Path, folder: Path, n: int, but: Path | None = None) -> None:
    """Write the sheets, the concepts dealt out by how much they contribute, so that each has heavy and light ones."""
    project = Project.open(path)
    evidence = evidence_of(project)
    folder.mkdir(parents=True)
    contributed = np.asarray(evidence.latents.sum(axis=0)).ravel()
    lines = [] if but is None else but.read_text(encoding="utf-8").splitlines()
    named = {json.loads(line)["latent"] for line in lines}
    by_contribution = evidence.live[np.argsort(-contributed[evidence.live], kind="stable")].tolist()
    order = [latent for latent in by_contribution if latent not in named]
    for number in range(n):
        lines = [line for latent, samples in evidence.for_naming(order[number::n])
                 for line in of_concept(evidence, project.concepts, latent, samples)]  # fmt: skip
        (folder / f"{number:02}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def of_concept(evidence: Evidence, names: dict[int, str], latent: int, samples: Samples) -> Iterator[str]:
    yield f"#{latent}  in {len(samples.texts):,} of these texts; by keyphrases: {plain(names.get(latent) or '-', 60)}"
    strong, rest = samples.texts[:STRONGEST], samples.texts[STRONGEST:]
    middle = rest[np.linspace(0, len(rest) - 1, min(BETWEEN, len(rest))).astype(np.int64)] if len(rest) else rest
    near = samples.near_misses[samples.near_misses >= 0]
    for sign, texts in (("+", strong), ("~", middle), ("-", np.unique(near[: 4 * NEAR])[:NEAR])):
        yield from (f"{sign} {plain(evidence.content(int(text)), LONGEST)}" for text in texts)
    yield ""


def compared(project: Project) -> Iterator[str]:
    """Means over concepts that both have named and judges have judged, and how often each is shown."""
    both = [
        concept for concept in project.concepts.by_document_frequency()
        if all(concept.score(DETECTION, namer) is not None for namer in (CURATED, KEYPHRASES))
    ]  # fmt: skip
    yield from table([of_namer(both, namer) for namer in (CURATED, KEYPHRASES)])


def of_namer(concepts: list[Concept], namer: str) -> dict[str, str]:
    def mean(judge: str) -> str:
        found = [score.value for one in concepts if (score := one.score(judge, namer)) is not None]
        return f"{statistics.mean(found):.3f}" if found else "-"

    holding = sum(trust_of(namer, one.scores[namer]).value == "holds" for one in concepts)
    shown = sum(one.namer == namer for one in concepts)
    return {
        "names": namer, "concepts": f"{len(concepts):,}", "detection": mean(DETECTION), "strong": mean(STRONG),
        "middle": mean(MIDDLE), "weak": mean(WEAK), "lexical": mean(LEXICAL), "hold": f"{holding / len(concepts):.1%}",
        "shown": f"{shown / len(concepts):.1%}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
