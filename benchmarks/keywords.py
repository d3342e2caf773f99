"""Do sums of systems find what one exact word asks for? Queries of a rare word, beside each collection's own queries.

    python benchmarks/keywords.py [--quick] [--collections cranfield medline …]

A keyword query is a word that one to three passages of a collection have, drawn at random; those passages are its
answers. Dense vectors often miss it; BM25 does not. Compared are BM25, dense, and their sum with equal weights in two
ways: BM25 counted from 0, as the product's sums do, and from the lowest score found, as they did before: then a
system's only hit is worth as much as none. The collections' own judged queries stand beside, to see what that costs
there. Collections are those below $UNWEAVE_DATA. `--quick` takes Cranfield alone. Results go to results/keywords.json.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import retrievers
import texts
from judged import DEEP, Collection, collection, summed
from measuring import about

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.evaluation.measures import measure
from unweave.index.hits import Hits

RESULTS = Path(__file__).parent / "results" / "keywords.json"
COLLECTIONS = ("cranfield", "medline", "fiqa-mini")
KEYWORDS, MOST_PASSAGES = 300, 3
MEASURES = ("RR@10", "nDCG@10")
SUMS = {"BM25 + dense": 0.0, "BM25 + dense, from the lowest found": None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="Cranfield alone")
    parser.add_argument("--collections", nargs="+", default=list(COLLECTIONS))
    options = parser.parse_args()
    rows = []
    for name in ["cranfield"] if options.quick else options.collections:
        judged = collection(name, texts.MINILM)
        for kind, of in (("keywords", keywords(judged)), ("judged", judged)):
            rows += [{"collection": name, "queries": kind, "n": len(of.query_ids), **row} for row in measured(of)]
    print("\n".join(summary({"rows": rows})))
    if not options.quick:
        record = json.dumps({"about": about("numpy", "torch", "sentence-transformers"), "rows": rows}, indent=1) + "\n"
        write_atomically(RESULTS, lambda path: path.write_text(record, encoding="utf-8"))
    print(json.dumps(headline(rows)))


def keywords(of: Collection) -> Collection:
    """The same passages, asked for by single words that few of them have."""
    held = [{word for word in content.lower().split() if word.isalpha() and len(word) > 3} for content in of.contents]
    frequency = Counter(word for words in held for word in words)
    rare = sorted(word for word, n in frequency.items() if n <= MOST_PASSAGES)
    asked = np.random.default_rng(0).choice(rare, min(KEYWORDS, len(rare)), replace=False).tolist()
    qrels = {word: {of.ids[i]: 1 for i, words in enumerate(held) if word in words} for word in asked}
    encoder = texts.encoder()
    vectors = np.concatenate([encoder.encode_queries([word]) for word in asked])
    return of._replace(query_ids=asked, query_texts=asked, queries=vectors, qrels=qrels)


def measured(of: Collection) -> list[dict[str, Any]]:
    """Each system's measures over a collection's queries."""
    systems = {"BM25": retrievers.of_words(of), "dense": retrievers.of_dense(of)}
    found = {name: [system.search(i) for i in range(len(of.query_ids))] for name, system in systems.items()}
    for name, lowest in SUMS.items():
        pairs = zip(*found.values(), strict=False)
        found[name] = [summed(pair[:2], (0.5, 0.5), (lowest, None)) for pair in pairs]
    return [{"system": name, **means(of, hits)} for name, hits in found.items()]


def means(of: Collection, hits: list[Hits]) -> dict[str, float]:
    """The mean of each measure."""
    run = {
        query: [
            (of.ids[p], score) for p, score in zip(h.passages[:DEEP].tolist(), h.scores[:DEEP].tolist(), strict=True)
        ]
        for query, h in zip(of.query_ids, hits, strict=True)
    }
    return {name: round(found.mean, 4) for name, found in measure(run, of.qrels, MEASURES).items()}


def summary(results: dict[str, Any]) -> list[str]:
    """A row a system, a column a collection and kind of query."""
    systems = dict.fromkeys(row["system"] for row in results["rows"])
    columns = dict.fromkeys((row["collection"], row["queries"]) for row in results["rows"])
    value = {(row["system"], row["collection"], row["queries"]): row["nDCG@10"] for row in results["rows"]}
    return list(table([
        {"system": system, **{f"{name}, {kind}": f"{value[system, name, kind]:.3f}" for name, kind in columns}}
        for system in systems
    ]))  # fmt: skip


def headline(rows: list[dict[str, Any]]) -> dict[str, float]:
    """nDCG@10 of BM25 + dense, BM25 counted from 0, as a share of the same from the lowest found."""
    new, old = SUMS
    found = {}
    for kind in ("keywords", "judged"):
        mean = {
            name: np.mean([r["nDCG@10"] for r in rows if (r["system"], r["queries"]) == (name, kind)]) for name in SUMS
        }
        found[f"{kind}_from_0_over_lowest_found"] = round(float(mean[new] / mean[old]), 4)
    return found


if __name__ == "__main__":
    main()
