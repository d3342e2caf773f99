"""What does a larger dictionary cost? Retrieval beside how many of its concepts another seed finds again.

    python benchmarks/stability.py [COLLECTION …]

Dictionaries of several sizes of a collection's embeddings, trained as in dictionaries.py, two seeds each. A concept's
match is its best cosine among the other seed's decoder directions, many to one, which is laxer than `unweave sae
compare`; beside it the same of two random dictionaries.
Writes results/stability.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dictionaries
import numpy as np
import retrievers
import texts
from dictionaries import BATCH, STEPS, K, Sparse
from judged import COLLECTIONS, Collection, Measured, collection
from measuring import about

from unweave.cli.show import table
from unweave.config import SAEConfig
from unweave.index.scoring import PROFILES
from unweave.sae.model import SAE

RESULTS = Path(__file__).parent / "results" / "stability.json"
EXPANSIONS = (2, 4, 8, 16, 32)
"""Latents over the width of the embeddings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", metavar="COLLECTION", default=["scifact", "cranfield"])
    options = parser.parse_args()
    if unknown := set(options.collections) - set(COLLECTIONS):
        parser.error(f"no such collection: {', '.join(sorted(unknown))}")
    rows = []
    for name in options.collections:
        for row in of_collection(collection(name, texts.MINILM)):
            print(row, flush=True)
            rows.append(row)
    results = {"about": about("numpy", "torch"), "rows": rows}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))


def of_collection(of: Collection) -> Iterator[dict[str, Any]]:
    training = dictionaries.training_texts(of.name, texts.MINILM)
    n, d = training.shape
    for expansion in (e for e in EXPANSIONS if e * d <= dictionaries.n_latents(n, d)):
        config = SAEConfig(d_in=d, n_latents=expansion * d, k=K, encoder=texts.MINILM)
        one, other = (dictionaries.trained(training, config, STEPS, BATCH, seed) for seed in range(2))
        random = (dictionaries.random_dictionary(config.n_latents, training, seed) for seed in range(2))
        yield {
            "collection": of.name,
            "latents": config.n_latents,
            "texts a latent": n / config.n_latents,
            "nmse": one.measure(training[:20_000]).nmse,
            **shares_of_dense(of, one),
            "matched": dictionaries.nearest(one, other),
            "random": dictionaries.nearest(*random),
        }


def shares_of_dense(of: Collection, sae: SAE) -> dict[str, float]:
    every = Measured(of)
    every.add("dense", retrievers.of_dense(of))
    latents = Sparse(sae.encode(of.passages), sae.encode(of.queries))
    with tempfile.TemporaryDirectory() as aside:
        every.add("CL-SR", retrievers.of_sparse(of, latents, Path(aside) / "index", PROFILES["default"]))
    every.add("codes 32", retrievers.of_codes(of, sae))
    means = {name: float(np.mean(found["values"])) for name, found in every.systems.items()}
    return {name: means[name] / means["dense"] for name in ("CL-SR", "codes 32")}


def summary(results: Mapping[str, Any]) -> list[str]:
    return list(
        table(
            [
                {
                    "collection": row["collection"],
                    "latents": f"{row['latents']:,}",
                    "texts a latent": f"{row['texts a latent']:.1f}",
                    "NMSE": f"{row['nmse']:.3f}",
                    "CL-SR": f"{row['CL-SR']:.1%}",
                    "codes 32": f"{row['codes 32']:.1%}",
                    "best cosine": f"{row['matched']['mean']:.2f}",
                    "above .7": f"{row['matched']['above_0.7']:.0%}",
                    "of random": f"{row['random']['mean']:.2f}",
                }
                for row in results["rows"]
            ]
        )
    )


if __name__ == "__main__":
    main()
