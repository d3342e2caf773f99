"""When a tenth of new texts is added, which latents keep their number, and what does that cost?

    python benchmarks/refit.py [--quick] [COLLECTION …]

An SAE is trained on nine tenths of a collection's passages and their sentences, as `unweave fit` would, and then
trained on with all of them, as `unweave fit` does after `unweave add`. Beside it one that is trained anew on all of
them from the same seed. Both are measured on passages, with their sentences, that neither has seen. Three seeds;
--quick: one seed of the first collection. Writes results/refit.json, but for --quick.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import texts
from measuring import about
from numpy.typing import NDArray

from unweave.cli.show import table
from unweave.config import EmbedConfig, FitConfig
from unweave.sae.agreement import CLOSELY, agreement, directions_of
from unweave.sae.model import SAE
from unweave.sae.training.recipe import continued, planned
from unweave.sae.training.run import run_training
from unweave.texts.open import open_collection
from unweave.texts.sentences import PASSAGE, draw_sentences

RESULTS = Path(__file__).parent / "results" / "refit.json"
COLLECTIONS = ("scifact", "fiqa-mini")
SEEDS = (0, 1, 2)
NEW = 0.1
"""Share of the passages that are added later."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", metavar="COLLECTION", default=list(COLLECTIONS))
    parser.add_argument("--quick", action="store_true", help="one seed of the first collection")
    options = parser.parse_args()
    if unknown := set(options.collections) - set(texts.COLLECTIONS):
        parser.error(f"no such collection: {', '.join(sorted(unknown))}")
    chosen = [(name, SEEDS) for name in options.collections]
    rows = []
    for name, seeds in [(chosen[0][0], SEEDS[:1])] if options.quick else chosen:
        for row in of_collection(name, seeds):
            print(row, flush=True)
            rows.append(row)
    results = {"about": about("numpy", "torch"), "rows": rows}
    if not options.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(headline(rows)))


def of_collection(name: str, seeds: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    passages = texts.embeddings(f"{name}/passages")
    sentences = texts.embeddings(f"{name}/sentences")
    chosen, corpus = EmbedConfig(), list(open_collection(str(texts.data() / name)).passages)
    drawn = draw_sentences(corpus, chosen.sentences, chosen.language)
    of_passage = np.array([sentence.metadata[PASSAGE] for sentence in drawn])

    def of(chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Some passages and their sentences."""
        return np.concatenate([passages[chosen], sentences[chosen[of_passage]]])

    for seed in seeds:
        config, random = FitConfig(seed=seed), np.random.default_rng(seed)
        held_out, new = (random.random(len(passages)) < share for share in (config.held_out, NEW))
        before, every, unseen = of(~held_out & ~new), of(~held_out), of(held_out)
        first = trained(before, unseen, config)
        on, anew = trained(every, unseen, config, first), trained(every, unseen, config)
        live = np.unique(first.encode(every).indices)
        yield {
            "collection": name,
            "seed": seed,
            "texts": [len(before), len(every)],
            "latents": first.config.n_latents,
            "live": len(live),
            "trained_on": kept(first, on, live) | measured(on, unseen),
            "anew": kept(first, anew, live) | measured(anew, unseen),
            "found_again": agreement(first, anew, every).found["all"].latents_above_09,
            "before": measured(first, unseen),
        }


def trained(rows: NDArray[np.float32], unseen: NDArray[np.float32], config: FitConfig, start: SAE | None = None) -> SAE:
    """What `unweave fit` makes of these texts: from the beginning, or from an SAE that is there."""
    plan = planned(config, len(rows), rows.shape[1], texts.MINILM)
    if start is not None:
        sized = FitConfig(seed=config.seed, n_latents=start.config.n_latents)
        plan = continued(planned(sized, len(rows), rows.shape[1], texts.MINILM), config)
    return run_training(rows, unseen, plan.sae, plan.training, start=start).sae


def kept(before: SAE, now: SAE, live: NDArray[np.int64]) -> dict[str, float]:
    """Shares of the live latents whose number has almost the same direction as before."""
    was, of_now = directions_of(before, live), directions_of(now, live)
    decoder, encoder = (np.einsum("nd,nd->n", a, b) for a, b in zip(was, of_now, strict=True))
    return {
        "decoder": float((decoder > CLOSELY).mean()),
        "both": float((np.minimum(decoder, encoder) > CLOSELY).mean()),
    }


def measured(sae: SAE, unseen: NDArray[np.float32]) -> dict[str, float | None]:
    found = sae.measure(unseen)
    return {"nmse": found.nmse, "l0": found.l0}


def summary(results: Mapping[str, Any]) -> list[str]:
    """What the documentation shows: means over the seeds."""
    rows = results["rows"]
    shown = []
    for name in dict.fromkeys(row["collection"] for row in rows):
        of_name = [row for row in rows if row["collection"] == name]
        for label, key in (("trained on", "trained_on"), ("anew", "anew")):
            mean = {of: float(np.mean([row[key][of] for row in of_name])) for of in ("decoder", "both", "nmse", "l0")}
            shown.append(
                {
                    "collection": name,
                    "SAE": label,
                    "decoder above .9": f"{mean['decoder']:.1%}",
                    "encoder too": f"{mean['both']:.1%}",
                    "unseen NMSE": f"{mean['nmse']:.4f}",
                    "L0": f"{mean['l0']:.1f}",
                }
            )
    return list(table(shown))


def headline(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The worst of all seeds, and the mean error in times that of training anew."""
    return {
        "ids_kept": round(min(row["trained_on"]["decoder"] for row in rows), 4),
        "ids_kept_both": round(min(row["trained_on"]["both"] for row in rows), 4),
        "ids_kept_anew": round(max(row["anew"]["decoder"] for row in rows), 4),
        "nmse_over_anew": round(float(np.mean([row["trained_on"]["nmse"] / row["anew"]["nmse"] for row in rows])), 4),
    }


if __name__ == "__main__":
    main()
