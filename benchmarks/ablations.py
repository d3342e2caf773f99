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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import dictionaries
import numpy as np
import retrievers
import texts
from judged import COLLECTIONS, DEEP, Collection, collection, values
from measuring import about

from unweave.cli.show import table
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.scoring import NO_IDF, PROFILES, SIGNED, TOKENS, Scoring
from unweave.retrieval.fusion import by_normalized_score
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.model import pursue

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
    found: dict[tuple[str, str], list[Measured]] = {}
    for name in names:
        for part, choice, measured in of_collection(name, options.model, 100 if options.quick else None):
            found.setdefault((part, choice), []).append(measured)
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


class Measured(NamedTuple):
    """One choice on one collection."""

    mean: float
    bytes_per_passage: float


def of_collection(name: str, model: str, steps: int | None) -> Iterator[tuple[str, str, Measured]]:
    """By part and choice, what it gives on one collection."""
    of = collection(name, model)
    sae = dictionaries.pooled(name, model, 0, steps or dictionaries.STEPS)
    found = sae.encode(of.passages)
    first: dict[str, Ranked] = {}
    for choice, scoring in varied(PROFILES["default"], POOLED):
        with tempfile.TemporaryDirectory() as aside:
            searcher = ConceptSearcher(sae, ConceptIndex.build(found, scoring=scoring, folder=Path(aside) / "index"))
            size = searcher.index.bytes(forward=True) / len(of.passages)
            first[choice] = Ranked([searcher.search(q, DEEP) for q in of.queries], size)
        yield "CL-SR", choice, measured(of, first[choice])
    latents = dictionaries.token_latents(name, model, 0, steps or dictionaries.TOKEN_STEPS).asking(of.query_rows)
    tokens: dict[str, Ranked] = {}
    for choice, scoring in varied(TOKENS, OF_TOKENS):
        with tempfile.TemporaryDirectory() as aside:
            system = retrievers.of_sparse(of, latents, Path(aside), scoring)
            hits = [system.search(i) for i in range(len(of.queries))]
        tokens[choice] = Ranked(hits, system.bytes_per_passage)
        yield "tokens", choice, measured(of, tokens[choice])
    codes: dict[int, Ranked] = {}
    for k in (dictionaries.K, *CODES):
        coded = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, k)))
        searcher = ConceptSearcher(sae, searcher.index, coded)
        hits = [searcher.scanned(query, DEEP) for query in of.queries]
        codes[k] = Ranked(hits, coded.bytes / len(of.passages))
        yield "codes", DEFAULT if k == dictionaries.K else f"k = {k}", measured(of, codes[k])
    for part, other, weights, usual in (
        ("CL-SR + codes", first[DEFAULT], BLENDS, retrievers.BLEND),
        ("tokens + codes", tokens[DEFAULT], TOKEN_WEIGHTS, 0.5),
    ):
        for weight in (usual, *weights):
            choice = DEFAULT if weight == usual else f"{weight:g} to {1 - weight:g}"
            yield part, choice, measured(of, fused(other, codes[dictionaries.K], weight))
    for choice, other in tokens.items():
        if choice.startswith("max_latents"):
            yield "tokens + codes", choice, measured(of, fused(other, codes[dictionaries.K], 0.5))


class Ranked(NamedTuple):
    """A system's hits for every query."""

    hits: list[Hits]
    bytes_per_passage: float


def fused(one: Ranked, other: Ranked, weight: float) -> Ranked:
    pairs = zip(one.hits, other.hits, strict=True)
    hits = [by_normalized_score(pair, DEEP, [weight, 1 - weight]).hits for pair in pairs]
    return Ranked(hits, one.bytes_per_passage + other.bytes_per_passage)


def measured(of: Collection, ranked: Ranked) -> Measured:
    return Measured(float(np.mean(values(of, ranked.hits))), ranked.bytes_per_passage)


def varied(scoring: Scoring, choices: dict[str, Sequence[Any]]) -> Iterator[tuple[str, Scoring]]:
    """A scoring, and each that differs from it in one constant."""
    yield DEFAULT, scoring
    for name, others in choices.items():
        for value in others:
            yield (
                f"{name} {'all' if name == 'max_latents' and value is None else value}",
                replace(scoring, **{name: value}),
            )


def in_rows(found: Mapping[tuple[str, str], Sequence[Measured]]) -> list[dict[str, Any]]:
    rows = []
    for (part, choice), of in found.items():
        usual = found[part, DEFAULT]
        worst = min(here.mean / default.mean for here, default in zip(of, usual, strict=True))
        rows.append({"part": part, "choice": choice, "nDCG@10": round(macro(of), 4),
                     "of default": f"{macro(of) / macro(usual):.1%}", "worst": f"{worst:.1%}",
                     "B/passage": f"{np.mean([here.bytes_per_passage for here in of]):,.0f}"})  # fmt: skip
    return rows


def macro(of: Sequence[Measured]) -> float:
    return float(np.mean([here.mean for here in of]))


def headline(found: Mapping[tuple[str, str], Sequence[Measured]]) -> dict[str, float]:
    """By part: the default's mean over the best mean."""
    best: dict[str, float] = {}
    for (part, _), of in found.items():
        best[part] = max(best.get(part, 0.0), macro(of))
    return {part: round(macro(found[part, DEFAULT]) / most, 4) for part, most in best.items()}


if __name__ == "__main__":
    main()
