"""What does each choice of the scoring change? One at a time, from the dictionaries of effectiveness.py, one seed.

    python benchmarks/ablations.py [--quick] [--model all-MiniLM-L6-v2 | all-mpnet-base-v2]

Mean nDCG@10 over the collections, and its share of that of the default. Pooled and token-level concepts are searched
with each constant changed alone; codes are scanned with more and fewer latents, and fused with CL-SR and with tokens in
other weights. Nothing was chosen by this table: what it shows is how much the choices, which were made before, matter.
Writes results/ablations.json and results/ablations.txt. The last line holds, for each part, the default's share of the
best that was tried.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dictionaries
import effectiveness
import numpy as np
import texts
from judged import COLLECTIONS, Collection, System, collection, values
from measuring import about

from unweave.cli.show import table
from unweave.fusion import by_normalized_score
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.scoring import NO_IDF, PROFILES, SIGNED, TOKENS, Scoring
from unweave.retrieval import ConceptSearcher
from unweave.sae.pursuit import pursue

RESULTS = Path(__file__).parent / "results" / "ablations.json"
POOLED = {
    "max_latents": (16, 24, 32, None), "k1": (1.0, 3.0, 30.0, None), "k2": (1.0, 3.0, 30.0, None),
    "b": (0.25, 0.5, 0.75), "root": (False,), "idf": (SIGNED, NO_IDF),
}  # fmt: skip
OF_TOKENS = {
    "max_latents": (64, 128, 512, None), "k1": (0.4, 2.4, 8.0, None), "k2": (0.4, 2.4, 8.0, None),
    "b": (0.0, 0.4, 1.0), "root": (False,), "idf": (SIGNED, NO_IDF),
}  # fmt: skip
CODES = (8, 16, 24, 48)
BLENDS = (0.1, 0.3, 0.5)
TOKEN_WEIGHTS = (0.2, 0.35, 0.65, 0.8)
DEFAULT = "default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small collections, short training")
    parser.add_argument("--model", choices=[texts.MINILM, texts.MPNET], default=texts.MINILM)
    options = parser.parse_args()
    names = ["cranfield", "medline", "fiqa-mini"] if options.quick else COLLECTIONS
    found: dict[tuple[str, str], list[float]] = {}
    for name in names:
        for choice, mean in of_collection(name, options.model, 100 if options.quick else None):
            found.setdefault(choice, []).append(mean)
        print(name, flush=True)
    rows = in_rows(found)
    lines = table(rows)
    text = "\n".join(lines)
    if not options.quick:
        results = {"about": about("numpy", "torch"), "model": options.model, "collections": len(names), "rows": rows}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    print(json.dumps(headline(found)))


def of_collection(name: str, model: str, steps: int | None) -> Iterator[tuple[tuple[str, str], float]]:
    """The mean of each choice on one collection."""
    of = collection(name, model)
    sae = dictionaries.pooled(name, model, 0, steps or dictionaries.STEPS)
    found = sae.encode(of.passages)
    for choice, scoring in varied(PROFILES["default"], POOLED):
        with tempfile.TemporaryDirectory() as aside:
            searcher = ConceptSearcher(sae, ConceptIndex.build(Path(aside) / "index", found, scoring))
            ranked = [searcher.search(q, effectiveness.DEEP) for q in of.queries]
        if choice == DEFAULT:
            clsr = ranked
        yield ("CL-SR", choice), mean(of, ranked)
    latents = dictionaries.token_latents(name, model, 0, steps or dictionaries.TOKEN_STEPS)
    for choice, scoring in varied(TOKENS, OF_TOKENS):
        with tempfile.TemporaryDirectory() as aside:
            ranked = every(of, effectiveness.of_tokens(of, latents, Path(aside), scoring))
        if choice == DEFAULT:
            tokens = ranked
        yield ("tokens", choice), mean(of, ranked)
    searched = {}
    for k in (dictionaries.K, *CODES):
        codes = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, k)))
        searched[k] = scanned(of, ConceptSearcher(sae, searcher.index, codes))
        yield ("codes", DEFAULT if k == dictionaries.K else f"k = {k}"), mean(of, searched[k])
    codes_32 = searched[dictionaries.K]
    for part, other, weights, usual in (
        ("CL-SR + codes", clsr, BLENDS, effectiveness.BLEND),
        ("tokens + codes", tokens, TOKEN_WEIGHTS, 0.5),
    ):
        for weight in (usual, *weights):
            fused = [
                by_normalized_score(pair, effectiveness.DEEP, [weight, 1 - weight]).hits
                for pair in zip(other, codes_32, strict=True)
            ]
            yield (part, DEFAULT if weight == usual else f"{weight:g} to {1 - weight:g}"), mean(of, fused)


def varied(scoring: Scoring, choices: dict[str, Sequence[Any]]) -> Iterator[tuple[str, Scoring]]:
    """A scoring, and each that differs from it in one constant."""
    yield DEFAULT, scoring
    for name, others in choices.items():
        for value in others:
            yield (
                f"{name} {'all' if name == 'max_latents' and value is None else value}",
                replace(scoring, **{name: value}),
            )


def every(of: Collection, system: System) -> list[Hits]:
    return [system.search(i) for i in range(len(of.queries))]


def scanned(of: Collection, searcher: ConceptSearcher) -> list[Hits]:
    return [searcher.scanned(query, effectiveness.DEEP) for query in of.queries]


def mean(of: Collection, hits: list[Hits]) -> float:
    return float(np.mean(values(of, hits)))


def in_rows(found: dict[tuple[str, str], list[float]]) -> list[dict[str, Any]]:
    rows = []
    for (part, choice), means in found.items():
        share = np.mean(means) / np.mean(found[part, DEFAULT])
        worst = min(a / b for a, b in zip(means, found[part, DEFAULT], strict=True))
        rows.append({"part": part, "choice": choice, "nDCG@10": round(float(np.mean(means)), 4),
                     "of default": f"{share:.1%}", "worst": f"{worst:.1%}"})  # fmt: skip
    return rows


def headline(found: dict[tuple[str, str], list[float]]) -> dict[str, float]:
    """By part: the default's mean over the best mean."""
    best: dict[str, float] = {}
    for (part, _), means in found.items():
        best[part] = max(best.get(part, 0.0), float(np.mean(means)))
    return {part: round(float(np.mean(found[part, DEFAULT])) / most, 4) for part, most in best.items()}


if __name__ == "__main__":
    main()
