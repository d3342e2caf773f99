"""Does one dictionary, trained on texts of many kinds, read collections that it has never seen, and does it come back?

    UNWEAVE_DATA=… python benchmarks/dictionary.py [--texts 600000] [--n-latents 3072] [--folder FOLDER] [--only PART …]

`unweave pretrain` makes the dictionary from the text corpora below $UNWEAVE_DATA, of which none holds a text or a query
of an evaluation collection, and `--package` puts it into the package; every part goes on where it was broken off. Of
the packaged one are measured

- reads:   NMSE and mean L0 on texts trained on, on held-out texts of the corpora, and on the collections' passages;
- returns: two more dictionaries, of disjoint halves of the texts and from other seeds: which share of what latents
           contribute to unseen texts is found again (agreement of .7, matched one to one by encoder and decoder), how
           many of a text's five strongest concepts; and, of the latents that a twin of the first half's marks as
           returning, how many the other half has;
- finds:   codes of 32 and first-stage CL-SR as shares of dense nDCG@10 on each collection, by the dictionary alone,
           with latents of the collection's own, and by a dictionary of its own, as `unweave fit --dictionary own`
           trains it; those on its passages and sentences, never on queries;
- answers: seconds of `unweave explain "a" "b"` in a new process.

Writes results/dictionary.json; the last line is one JSON object with the figures to hold a change against.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import retrievers
import texts
from dictionaries import training_texts
from judged import COLLECTIONS, Collection, Measured, collection
from measuring import about, kept
from numpy.typing import NDArray

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.config import FitConfig
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.project import Project
from unweave.retrieval import systems
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.agreement import RETURNS, agreement
from unweave.sae.hub import CARD
from unweave.sae.model import RETURNING, SAE
from unweave.sae.training.consensus import run_consensus
from unweave.sae.training.recipe import planned, planned_beside
from unweave.sae.training.run import run_training
from unweave.stages.fit import draw_training_texts

RESULTS = Path(__file__).parent / "results" / "dictionary.json"
PACKAGED = Path(__file__).parents[1] / "src" / "unweave" / "pretrained"
PARTS = ("reads", "returns", "finds", "answers")
MOST = 20_000
"""Texts on which an error or an agreement is measured, at most."""
PAIR = ("how is electricity made from wind", "A turbine turns the wind's motion into electric power.")
TIMES = 5
OWN = "own dictionary"
Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=600_000, help="texts to train on (default: 600,000)")
    parser.add_argument("--n-latents", type=int, default=3072)
    parser.add_argument("--folder", type=Path, default=texts.CACHE / "dictionary", help="where the project goes")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--package", action="store_true", help="put it into the package, and measure nothing")
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=list(COLLECTIONS))
    options = parser.parse_args()
    if options.package:
        package(made(options.folder, options.texts, options.n_latents))
        return
    shipped = SAE.load(PACKAGED)
    found = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    measures: dict[str, Callable[[], Any]] = {
        "reads": lambda: reads(shipped, made(options.folder, options.texts, options.n_latents), options.collections),
        "returns": lambda: returns(made(options.folder, options.texts, options.n_latents), options.folder),
        "finds": lambda: finds(shipped, options.folder, options.collections),
        "answers": answers,
    }
    for part in options.only:
        found[part] = measures[part]()
        found["about"] = about("numpy", "torch") | {"texts": options.texts, "n_latents": options.n_latents}
        write_atomically(RESULTS, lambda aside: aside.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8"))
    print("\n".join(summary(found)))
    print(json.dumps(headline(found)))


def made(folder: Path, most: int, n_latents: int) -> Project:
    """The project that `unweave pretrain` makes."""
    path = folder / "project"
    command = [sys.executable, "-m", "unweave", "pretrain", path, "--texts", texts.data() / "corpora", "--most", most]
    subprocess.run([*map(str, command), "--n-latents", str(n_latents)], check=True)
    return Project.open(path)


def package(project: Project) -> None:
    """Copy the dictionary into the package, its card completed by where the texts come from and on what terms."""
    shutil.rmtree(PACKAGED, ignore_errors=True)
    shutil.copytree(project.path / "dictionary", PACKAGED)
    lines = (texts.data() / "corpora" / "README.md").read_text(encoding="utf-8").splitlines()
    sources = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")]
    terms = [
        f"- {name.strip('`').removesuffix('.jsonl.gz')}: {of} {on}"
        for name, _, of, on, *_ in (cells for cells in sources if len(cells) == 5)
    ]
    with (PACKAGED / CARD).open("a", encoding="utf-8") as card:
        card.write("\n".join(["## Origin and terms of its texts", "", *terms, ""]))


# --- what it makes of texts -----------------------------------------------------------------------


def reads(sae: SAE, project: Project, collections: list[str]) -> dict[str, Any]:
    """NMSE, L0 and live latents by kind of text."""
    seen, unseen = split(project)
    found = {"trained on": sae.measure(seen[:MOST])._asdict(), "held out": sae.measure(unseen[:MOST])._asdict()}
    for name in collections:
        found[name] = sae.measure(some(texts.embeddings(f"{name}/passages")))._asdict()
    return found


def split(project: Project) -> tuple[Floats, Floats]:
    """Embeddings of the texts that were trained on, and of the others, in the order of the pool."""
    drawn, embedded = draw_training_texts(project), project.embedded("passages")
    trained, others = drawn.trained["passages"], drawn.held_out["passages"]
    return embedded.take(np.sort(trained)), embedded.take(np.sort(others))


def some(rows: Floats) -> Floats:
    """At most MOST of them, drawn evenly."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST)).astype(np.int64)]


# --- what comes back ------------------------------------------------------------------------------


def returns(project: Project, folder: Path) -> dict[str, Any]:
    """How much of a dictionary of one half of the texts a dictionary of the other half has."""
    seen, unseen = split(project)
    one, other = (half(project, folder, seen[start::2], start) for start in (0, 1))
    found = agreement(one, other, unseen[:MOST])
    assert one.twin is not None
    again, marked = found.matching.agreement >= RETURNS, one.twin >= RETURNING
    known = ~np.isnan(found.matching.agreement) & ~np.isnan(one.twin)
    bands = [(0.95, 1.01), (0.9, 0.95), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (-1.0, 0.5)]
    chosen = [known & (one.twin >= low) & (one.twin < high) for low, high in bands]
    return {
        "all": found.found["all"]._asdict(), "random": found.random["all"]._asdict(),
        "top5": found.top5, "top5_random": found.top5_random,
        "marked": int((known & marked).sum()), "known": int(known.sum()),
        "precision": float(again[known & marked].mean()),
        "by_twin": [
            {"from": low, "latents": int(of.sum()), "found again": float(again[of].mean()) if of.any() else None}
            for (low, _), of in zip(bands, chosen, strict=True)
        ],
    }  # fmt: skip


def half(project: Project, folder: Path, rows: Floats, seed: int) -> SAE:
    """A dictionary of half of the texts, as the whole one is trained."""
    path = folder / f"half-{seed}"
    if not path.exists():
        config = project.settings.fit
        plan = planned(
            replace(config, n_latents=project.sae.config.n_latents, seed=100 + seed), *rows.shape,
            project.sae.config.encoder,
        )  # fmt: skip
        run_consensus(rows, rows[:2000], plan.sae, plan.training, runs=config.consensus).sae.save(path)
    return SAE.load(path)


# --- what is found by it --------------------------------------------------------------------------


def finds(sae: SAE, folder: Path, collections: list[str]) -> dict[str, Any]:
    """nDCG@10 of dense, and of both ways to search by concepts, with and without own latents."""
    found = {}
    for name in collections:
        found[name] = kept(folder / "finds" / f"{name}.json", partial(of_collection, sae, name))
        print(name, found[name], flush=True)
    return found


def of_collection(sae: SAE, name: str) -> dict[str, Any]:
    of = collection(name, texts.MINILM)
    rows = training_texts(of.name, texts.MINILM)
    plan = planned_beside(sae.config, FitConfig(), len(rows))
    saes = {"never seen": sae}
    if plan is not None:
        saes["own latents"] = run_training(rows, rows[:2000], plan.sae, plan.training, given=sae).sae
    found = by_dictionaries(of, saes) | by_own_dictionary(of, rows, sae.config.encoder)
    return found | {"own": 0 if plan is None else plan.sae.n_latents, "texts": len(rows)}


def by_own_dictionary(of: Collection, rows: Floats, encoder: str) -> dict[str, float]:
    """By what the collection trains for itself, which is the same beside every other dictionary, so trained once."""

    def measure() -> dict[str, float]:
        plan = planned(FitConfig(), *rows.shape, encoder)
        return by_dictionaries(of, {OWN: run_training(rows, rows[:2000], plan.sae, plan.training).sae})

    return kept(texts.CACHE / "own-dictionary" / f"{of.name}.json", measure)


def by_dictionaries(of: Collection, saes: dict[str, SAE]) -> dict[str, float]:
    """nDCG@10 of dense, and of both ways to search by concepts of each SAE."""
    every = Measured(of)
    every.add("dense", retrievers.of_dense(of))
    for kind, one in saes.items():
        every.add(f"codes, {kind}", retrievers.of_codes(of, one))
        index = ConceptIndex.build(one.encode(of.passages), of.ids, PROFILES["default"])
        every.add(f"CL-SR, {kind}", retrievers.of(of, systems.CLSR(ConceptSearcher(one, index), name="CL-SR")))
    return {name: float(np.mean(system["values"])) for name, system in every.systems.items()}


# --- how soon it answers --------------------------------------------------------------------------


def answers() -> dict[str, float]:
    """Seconds of a new process, the median and the longest of some."""
    command = [sys.executable, "-m", "unweave", "explain", *PAIR]
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return {"median": statistics.median(seconds), "most": max(seconds)}


# --- what is shown --------------------------------------------------------------------------------


def share(found: dict[str, Any], system: str) -> tuple[float, float]:
    """The mean and the lowest share of dense over the collections; without own latents where there were none."""
    shares = [of.get(system, of[system.replace("own latents", "never seen")]) / of["dense"] for of in found.values()]
    return statistics.mean(shares), min(shares)


def headline(found: dict[str, Any]) -> dict[str, float | None]:
    reading, again, finding = (found.get(part) for part in ("reads", "returns", "finds"))
    figures: dict[str, float | None] = {}
    if reading:
        figures["nmse_unseen_over_seen"] = reading["held out"]["nmse"] / reading["trained on"]["nmse"]
    if again:
        figures |= {"mass_returning_halves": again["all"]["contribution_above_07"], "top5_overlap": again["top5"],
                    "mark_precision": again["precision"]}  # fmt: skip
    if finding:
        for key, system in (("codes", "codes"), ("clsr", "CL-SR")):
            figures[f"{key}_never_seen"] = share(finding, f"{system}, never seen")[0]
            figures[f"{key}_with_residual"] = share(finding, f"{system}, own latents")[0]
    if "answers" in found:
        figures["explain_pair_s"] = found["answers"]["median"]
    return {name: None if value is None else round(value, 4) for name, value in figures.items()}


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    return list(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if "reads" in found:
        yield from table(
            [
                {"texts": kind, "NMSE": f"{of['nmse']:.3f}", "L0": f"{of['l0']:.1f}", "live": f"{of['live_latents']:,}"}
                for kind, of in found["reads"].items()
            ]
        )
        yield ""
    if "returns" in found:
        again = found["returns"]
        yield (
            f"of two disjoint halves: {again['all']['latents_above_07']:.0%} of latents return, "
            f"{again['all']['contribution_above_07']:.0%} of contribution (by chance "
            f"{again['random']['contribution_above_07']:.0%}); of a text's five strongest {again['top5']:.0%}"
        )
        yield f"marked as returning: {again['marked']:,} of {again['known']:,}, {again['precision']:.1%} found again"
        yield ""
    if "finds" in found:
        systems_shown = [f"{s}, {kind}" for s in ("codes", "CL-SR") for kind in ("never seen", "own latents", OWN)]
        rows = [
            {"collection": name, "dense": f"{of['dense']:.3f}", "own": f"{of['own']:,}"}
            | {s: f"{of[s] / of['dense']:.1%}" if s in of else "-" for s in systems_shown}
            for name, of in found["finds"].items()
        ]
        means = {s: share(found["finds"], s) for s in systems_shown}
        rows.append({"collection": "mean", "dense": "", "own": ""} | {s: f"{m:.1%}" for s, (m, _) in means.items()})
        yield from table(rows)


if __name__ == "__main__":
    main()
