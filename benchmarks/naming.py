"""How good are the names, and how long do they take? On the demo's SAE and on one trained on 113,233 short texts.

    python benchmarks/naming.py [--quick] [--projects FOLDER]
    python benchmarks/naming.py --model-url http://127.0.0.1:8080/v1 [--named-by-model N]

Projects that are not there are made first: the demo (in FOLDER, by default the repository) and WordNet's glosses (in
the cache, from $UNWEAVE_DATA/corpora). Names are made anew in a copy of each, in a process of its own. All are judged
without a language model, on texts that no namer has seen, beside two controls: names of other latents, and names that
the same namers give to random directions. Two questions go further: how many phrases a description needs before a
random direction is told as well as a trained one, and what names of each mark of trust do on decisions that did not
decide the mark. The second command, after the first, adds what a language model does: it names N of the demo's
concepts, half as many random directions, and is the judge of a tenth as many.

Writes results/naming.json and .png. The last line holds the headline figures, of the demo.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import texts
from measuring import about

from unweave.base.artifact import read_manifest
from unweave.base.records import Trust
from unweave.cli.show import table
from unweave.concepts import store
from unweave.concepts.concept import DETECTION, Concept
from unweave.concepts.evidence import Evidence, Samples
from unweave.concepts.judges import controls, embedding
from unweave.concepts.judges import verdicts as judging
from unweave.concepts.namers import base
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.namers.language_model import LanguageModelNamer, shown
from unweave.concepts.namers.lexicon import LexiconNamer
from unweave.concepts.store import Concepts
from unweave.project import Project
from unweave.stages import judge
from unweave.stages import name as naming
from unweave.stages.evidence import evidence_of

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results" / "naming.json"
GLOSSES = "wordnet-glosses"
MIXES = (1, 2, 4, 8, 16, 32)
FREE = ("keyphrases", "lexicon")
LEAST_FRESH = 9
"""Active texts in a fresh question, at least."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the demo alone, and fewer latents in the controls")
    parser.add_argument("--projects", type=Path, default=ROOT, help="folder of the project `demo`")
    parser.add_argument("--model-url", help="an OpenAI-compatible endpoint, e.g. of: unweave serve-model")
    parser.add_argument("--named-by-model", type=int, default=50, help="concepts that the model names")
    options = parser.parse_args()
    texts.CACHE.mkdir(parents=True, exist_ok=True)
    demo = made_demo(options.projects / "demo")
    if options.model_url:
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=texts.CACHE) as folder:
            project = copied(demo, Path(folder) / "demo", without=())
            unweave("name", "--namer", "lexicon", project)
            results["projects"]["demo"]["model"] = by_model(project, options.model_url, options.named_by_model)
    else:
        n = 200 if options.quick else 1000
        results = {"about": about("numpy", "sentence-transformers", "scikit-learn"), "projects": {}}
        sources = {"demo": demo} | ({} if options.quick else {"glosses": made_glosses(texts.CACHE / "glosses")})
        with tempfile.TemporaryDirectory(dir=texts.CACHE) as folder:
            for name, source in sources.items():
                project = copied(source, Path(folder) / name, without=("concepts", "lexicon"))
                results["projects"][name] = measured(project, n)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, RESULTS.with_suffix(".png"))
    print("\n".join(summary(results)))
    print(json.dumps(headline(results["projects"]["demo"])))


# --- projects -------------------------------------------------------------------------------------


def made_demo(folder: Path) -> Path:
    unweave("demo", folder)
    return folder


def made_glosses(folder: Path) -> Path:
    if not (folder / "unweave.toml").exists():
        data = Path(os.environ["UNWEAVE_DATA"]) / "corpora" / f"{GLOSSES}.jsonl.gz"
        with tempfile.TemporaryDirectory() as aside, gzip.open(data) as packed:
            unpacked = Path(aside) / f"{GLOSSES}.jsonl"
            unpacked.write_bytes(packed.read())
            unweave("init", folder, "--corpus", unpacked)
    unweave("embed", folder, "--sentences", "0")
    unweave("fit", folder)
    return folder


def copied(source: Path, folder: Path, without: Sequence[str]) -> Path:
    """A project that can be changed, without some of its artefacts."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("index", "evaluation", "report.html", *without))
    return folder


def unweave(*words: object) -> float:
    """Run a command; returns the seconds of the whole process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "unweave", *map(str, words)], check=True, stdout=sys.stderr)
    return time.perf_counter() - start


# --- what is measured -----------------------------------------------------------------------------


def measured(folder: Path, n: int) -> dict[str, Any]:
    seconds = {"keyphrases": unweave("name", folder)}
    summary = read_manifest(folder / "concepts", store.KIND).results
    seconds["lexicon, phrases embedded"] = unweave("name", "--namer", "lexicon", folder)
    project = Project.open(folder)
    evidence = evidence_of(project)
    start = time.perf_counter()
    verdicts = project.judge()
    seconds["judging"] = time.perf_counter() - start
    verdicts += judge.controls(project, n)
    return {
        "n_texts": len(evidence),
        "n_passages": len(project.corpus),
        "n_latents": project.sae.config.n_latents,
        "phrases": len(project.lexicon),
        "live": summary["live"],
        "named": summary["named"],
        "mean_coverage": summary["mean_coverage"],
        "seconds": {name: round(taken, 1) for name, taken in seconds.items()},
        "verdicts": recorded(verdicts),
        "mixes": mixes(project, evidence, n),
        "marks": marks(project, evidence),
    }  # fmt: skip


def by_model(folder: Path, base_url: str, n: int) -> dict[str, Any]:
    """N concepts, evenly over their frequency, named and judged by a language model, and the same by the free namers.

    Half as many directions of a random dictionary are named by it too.
    """
    project = Project.open(folder, {"language_model": {"base_url": base_url, "concurrency": 1}})
    every = [concept.latent for concept in project.concepts.by_document_frequency()]
    some = [every[i] for i in np.linspace(0, len(every) - 1, n).astype(int)]
    namer = naming.language_model_namer(project)
    start = time.perf_counter()
    naming.name_by(project, namer, some)
    seconds = (time.perf_counter() - start) / n
    evidence = evidence_of(project)
    asked = embedding.questions(evidence, some)
    concepts = project.concepts.by_document_frequency()
    verdicts = []
    for kind in (*FREE, namer.namer):
        namings = judging.by_namer(concepts, kind)
        judged_here = {j: asked[j] for j in asked if j in namings}
        verdicts += judging.means(kind, "", embedding.judge_names(evidence, namings, judged_here))
        if kind == namer.namer:
            shuffled = controls.shuffled(namings)
            verdicts += judging.means(kind, judging.SHUFFLED, embedding.judge_names(evidence, shuffled, judged_here))
    verdicts += of_random_dictionary(project, evidence, namer.config, n // 2)
    project = Project.open(folder, {"language_model": {"base_url": base_url, "concurrency": 1}})
    verdicts += judge.judge_by_model(project, n // 10)
    return {
        "model": base_url_model(base_url),
        "n": n,
        "seconds_a_concept": round(seconds, 1),
        "named": len(judging.by_namer(concepts, namer.namer).keys() & set(some)),
        "verdicts": recorded(verdicts),
    }


def base_url_model(base_url: str) -> str:
    with urllib.request.urlopen(f"{base_url}/models") as answer:
        return str(json.load(answer)["data"][0]["id"])


def of_random_dictionary(project: Project, evidence: Evidence, config: Any, n: int) -> list[judging.Verdict]:
    """What is found of names that the language model gives random directions."""
    random = controls.random_dictionary(project.sae, evidence.embeddings)
    of_random = evidence.seen_by(random)
    some = np.sort(np.random.default_rng(3).choice(of_random.live, n, replace=False)).tolist()
    hints = dict(KeyphraseNamer(of_random, project.settings.name).names(some))
    with tempfile.TemporaryDirectory() as aside:
        database = Path(aside) / store.DATABASE
        store.create(database)
        store.add(database, [Concept(j, 1, 1.0, (hints[j],)) for j in some])
        show = functools.partial(shown, of_random, Concepts(database))
        namer = LanguageModelNamer(database, show, config, evidence.config)
        base.run(database, namer, some)
        namings = judging.by_namer(Concepts(database).by_document_frequency(), namer.namer)
    scores = embedding.judge_names(of_random, namings, embedding.questions(of_random, list(namings)))
    return list(judging.means(namer.namer, judging.RANDOM, scores))


def recorded(verdicts: Iterable[judging.Verdict]) -> list[dict[str, Any]]:
    return [{"namer": v.namer, "control": v.control, **v.score._asdict(), "chance": v.chance} for v in verdicts]


def mixes(project: Project, evidence: Evidence, n: int) -> dict[str, dict[str, float]]:
    """Detection by descriptions of more and more phrases, for the SAE and for a random dictionary."""
    rng = np.random.default_rng(7)
    random = controls.random_dictionary(project.sae, evidence.embeddings, seed=7)
    found: dict[str, dict[str, float]] = {}
    for name, sae, of in (
        ("SAE", project.sae, evidence),
        ("random dictionary", random, evidence.seen_by(random)),
    ):
        some = np.sort(rng.choice(of.live, min(n, len(of.live)), replace=False)).tolist()
        asked = embedding.questions(of, some)
        found[name] = {}
        for phrases in MIXES:
            config = dataclasses.replace(project.settings.lexicon, mix=phrases)
            named = dict(LexiconNamer(sae.W_dec, project.lexicon, config, made_of="").names(some))
            scores = [
                score for _, score in embedding.judge_names(of, named, asked) if score.judge == embedding.DESCRIBED
            ]
            found[name][str(phrases)] = embedding.mean(scores).value
        directions = [embedding.picked(of.embeddings[q.texts] @ sae.W_dec[j], q.active) for j, q in asked.items()]
        found[name]["0"] = float(np.mean(directions))  # 0 phrases: the direction itself, which no words can beat
    return found


def marks(project: Project, evidence: Evidence) -> dict[str, dict[str, float]]:
    """Of the names of each mark, the detection that decided it and that on texts which did not."""
    shown = {c.latent: c for c in project.concepts.by_document_frequency() if c.name is not None}
    words = {
        namer: embedding.embedded(
            evidence.encoder, {j: embedding.wordings(n) for j, n in judging.by_namer(shown.values(), namer).items()}
        )
        for namer in FREE
    }
    found: dict[Trust, list[tuple[float, float]]] = {}
    for latent, samples in evidence.for_judging(list(shown)):
        concept = shown[latent]
        decided = concept.score(DETECTION)
        first = embedding.question(samples, latent, evidence.config.seed)
        if first is None or decided is None or concept.namer not in words:
            continue
        again = embedding.question(without(samples, first.texts), latent, evidence.config.seed + 1)
        if again is not None and again.active.sum() >= LEAST_FRESH:
            values = evidence.embeddings[again.texts] @ words[concept.namer][latent]
            found.setdefault(concept.trust, []).append((decided.value, embedding.picked(values, again.active)))
    return {
        trust.value: {
            "names": len(found[trust]),
            "decided": float(np.mean([a for a, _ in found[trust]])),
            "fresh": float(np.mean([b for _, b in found[trust]])),
        }
        for trust in Trust
        if trust in found
    }


def without(samples: Samples, asked: np.ndarray) -> Samples:
    """A latent's texts without those that were asked about."""
    fresh = ~np.isin(samples.texts, asked)
    near = samples.near_misses[fresh]
    return Samples(
        samples.texts[fresh],
        samples.activations[fresh],
        np.where(np.isin(near, asked), -1, near),
        np.setdiff1d(samples.random, asked),
    )


# --- what is shown --------------------------------------------------------------------------------


def headline(project: Mapping[str, Any]) -> dict[str, Any]:
    """Of the best free namer: detection by its name or description, whichever is higher, and by how much it is more."""
    rows = [
        row for row in project["verdicts"] if row["namer"] in FREE and row["judge"] in (DETECTION, embedding.DESCRIBED)
    ]
    best = max((row for row in rows if not row["control"]), key=lambda row: row["value"])
    by_control = {
        row["control"]: row["value"] for row in rows if (row["namer"], row["judge"]) == (best["namer"], best["judge"])
    }
    (intruder,) = (r["value"] for r in project["verdicts"] if r["judge"] == embedding.INTRUDER and not r["control"])
    figures = {
        "detection": best["value"],
        "detection_over_random_dictionary": best["value"] - by_control[judging.RANDOM],
        "detection_over_shuffled_names": best["value"] - by_control[judging.SHUFFLED],
        "intruder": intruder,
        "named_share": project["named"] / project["live"],
    }
    return {name: round(value, 4) for name, value in figures.items()}


def summary(results: Mapping[str, Any], *names: str) -> list[str]:
    """The judges' table of each project, or of those named, and what a longer description and a mark are worth."""
    lines: list[str] = []
    for name in names or results["projects"]:
        project = results["projects"][name]
        taken = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in project["seconds"].items())
        lines += [
            f"{name}: {project['live']:,} concepts of {project['n_passages']:,} passages, {project['named']:,} named",
            taken,
            "",
            *table(judged(project["verdicts"])),
            "",
            *table(by_phrases(project["mixes"])),
            "",
            *of_model(project),
            *table([
                {"mark": f"{Trust(mark).mark} {mark}", "names": f"{of['names']:,}",
                 "detection": f"{of['decided']:.3f}", "on other texts": f"{of['fresh']:.3f}"}
                for mark, of in project["marks"].items()
            ]),
            "",
        ]  # fmt: skip
    return lines[:-1]


def headlines(results: Mapping[str, Any]) -> list[str]:
    """The headline figures of each project, a row each."""
    shown = ("detection", "over random dictionary", "over shuffled names", "intruder", "named share")
    rows = []
    for name, project in results["projects"].items():
        values = (f"{value:.3f}" for value in headline(project).values())
        rows.append({"project": name, **dict(zip(shown, values, strict=True))})
    return table(rows)


def of_model(project: Mapping[str, Any]) -> list[str]:
    """The same judges of those concepts that a language model named, and what it says as a judge."""
    if "model" not in project:
        return []
    of = project["model"]
    said = f"{of['named']} of {of['n']} concepts named by {of['model']}, {of['seconds_a_concept']:.0f} s each"
    return [said, "", *table(judged(of["verdicts"])), ""]


def judged(verdicts: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Namers and judges, each with its interval, the two controls and chance."""
    controls_of = {(v["namer"], v["judge"], v["control"]): v["value"] for v in verdicts}
    rows = []
    for verdict in verdicts:
        if verdict["control"]:
            continue
        beside = [controls_of.get((verdict["namer"], verdict["judge"], c)) for c in (judging.RANDOM, judging.SHUFFLED)]
        rows.append({
            "names": verdict["namer"] or "(none)",
            "judge": verdict["judge"],
            "mean": f"{verdict['value']:.3f}",
            "95 %": f"{verdict['low']:.3f} to {verdict['high']:.3f}",
            "n": f"{verdict['n']:,}",
            "random dictionary": "" if beside[0] is None else f"{beside[0]:.3f}",
            "shuffled names": "" if beside[1] is None else f"{beside[1]:.3f}",
            "chance": "" if verdict["chance"] is None else f"{verdict['chance']:g}",
        })  # fmt: skip
    return rows


def by_phrases(found: Mapping[str, Mapping[Any, float]]) -> list[dict[str, str]]:
    names = {str(k): f"{k} phrase{'s' * (k > 1)}" for k in MIXES} | {"0": "direction"}
    return [
        {"detection by": name, **{names[str(k)]: f"{value:.3f}" for k, value in of.items()}}
        for name, of in found.items()
    ]


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Detection by the number of phrases, for each project's SAE and for a random dictionary."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    projects = results["projects"]
    figure, axes = pyplot.subplots(1, len(projects), figsize=(5.2 * len(projects), 3.8), sharey=True, squeeze=False)
    for axis, (name, project) in zip(axes[0], projects.items(), strict=True):
        for of, style in (("SAE", "o-"), ("random dictionary", "s--")):
            values = project["mixes"][of]
            axis.plot(MIXES, [values[str(k)] for k in MIXES], style, label=of)
        axis.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        axis.set_xscale("log", base=2)
        axis.set_xticks(MIXES, [str(k) for k in MIXES])
        axis.set_xlabel("phrases in the description")
        axis.set_title(name)
    axes[0][0].set_ylabel("detection, balanced accuracy")
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
