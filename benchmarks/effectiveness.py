"""Does concept retrieval find what the dense model finds, at a tenth of its bytes? On every collection at hand.

    python benchmarks/effectiveness.py [--quick] [--model all-MiniLM-L6-v2 | all-mpnet-base-v2 | untrained] [--seeds 3]
                                       [--collections scifact …]

Collections are those below $UNWEAVE_DATA with full judgements; of their test queries at most 1,000 are drawn. Each
collection has dictionaries of its own, see dictionaries.py, trained on its texts and never on queries. Systems:

- BM25; the dense model; its vectors by product quantisation, 8-bit and 1-bit (FAISS, in an environment of its own),
  trained on the same texts;
- pooled concepts: CL-SR with the paper's constants and ours, from the SAE's one-shot codes; its best 1,000 rescored
  from a pursuit's codes of 32 latents, 100 bytes; all passages by those codes, no inverted lists ("codes"), and by 16
  latents; an index of the codes, searched with the query's 1,024 best directions ("expanded");
- tokens: concepts of single tokens, summed over a text, in the same index;
- fused, by normalised scores: CL-SR and codes (the same SAE twice), one to four; with equal weights BM25, tokens and
  codes with one another, and BM25 with dense;
- controls, coded and searched alike: a random dictionary, principal and independent components in both directions.

Each is compared with dense query by query (sign flips, Holm's correction), on the mismatch subset too. Fidelity is the
share of dense's top 10 and 100 that is kept, and the rank correlation of dense's top 100. Two seeds' concepts are
matched by their decoder directions. Encoders are shown side by side on the collections that all have, and
beside ours the systems that retrieval_peers.py measured. Writes results/effectiveness.json, to which another model's
run adds, effectiveness-MODEL.png if it is of all collections, and for each seed every query's values,
results/effectiveness/MODEL-SEED.json.gz: what is there is not measured again (delete it, or the folder of the cache,
to begin anew). The last line holds the headline figures.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dictionaries
import numpy as np
import retrievers
import texts
from judged import COLLECTIONS, MEASURE, Collection, Floats, Measured, as_run, collection
from measuring import about

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.evaluation import leaderboard as boards
from unweave.evaluation import significance
from unweave.evaluation.mismatch import mismatched
from unweave.sae.model import SAE

RESULTS = Path(__file__).parent / "results" / "effectiveness.json"
VALUES = RESULTS.with_suffix("")
PEER_VALUES = VALUES / "peers.json.gz"
MISMATCH_DEPTH = 100
FUSED = (("BM25", "dense"), ("BM25", "codes 32"), ("tokens", "codes 32"), ("BM25", "tokens"),
         ("BM25", "tokens", "codes 32"))  # fmt: skip
SINGLE = ("CL-SR", "CL-SR rescored", "codes 32", "expanded", "CL-SR + 4 codes", "tokens", "tokens + codes 32")
"""Systems of concepts alone."""
SHOWN = ("BM25", "dense", "CL-SR paper", "CL-SR", "codes 32", "PQ 96 B", "tokens", "tokens + codes 32", "BM25 + dense",
         "BM25 + tokens + codes 32")  # fmt: skip
"""Systems that are shown collection by collection."""
BESIDE_PEERS = ("BM25", "dense", "CL-SR", "codes 32", "tokens", "tokens + codes 32")
"""Systems that are shown beside those of others."""
BY_ENCODER = ("BM25", "dense", "CL-SR", "codes 32", "random dictionary, codes 32", "PQ 96 B", "tokens",
              "tokens + codes 32", "BM25 + dense", "BM25 + tokens + codes 32")  # fmt: skip
"""Systems that are shown by several encoders."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small collections, one seed, short training")
    parser.add_argument("--model", choices=texts.MODELS, default=texts.MINILM)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=list(COLLECTIONS))
    options = parser.parse_args()
    names = ["cranfield", "medline", "fiqa-mini"] if options.quick else options.collections
    found = measured(names, options.model, 1 if options.quick else options.seeds, 100 if options.quick else None)
    whole = board(found)
    kept = condensed(found, whole)
    print("\n".join(summary(kept)))
    if not options.quick:
        publish(names, options.model, options.seeds)
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"models": {}}
        results["about"] = about("numpy", "torch", "sentence-transformers", "bm25s", "ir-measures", "scikit-learn")
        results["models"][options.model] = kept
        results["encoders"] = by_encoder()
        if options.model == texts.MINILM:
            results["peers"] = beside_peers(found)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print("\n".join(["", *table(results["encoders"]), "", *table(results.get("peers", []))]))
    if names == list(COLLECTIONS):
        boards.plot(whole, RESULTS.with_name(f"effectiveness-{options.model}.png"))
    print(json.dumps(kept["headline"]))


# --- what is measured -----------------------------------------------------------------------------


def measured(names: Sequence[str], model: str, seeds: int, steps: int | None) -> dict[str, Any]:
    """Per-query values of all systems, and what follows from them."""
    collections = {}
    for name in names:
        of_seeds = [of_seed(name, model, seed, steps) for seed in range(seeds)]
        systems = {
            system: averaged([of["systems"][system] for of in of_seeds if system in of["systems"]])
            for system in of_seeds[0]["systems"]
        }
        collections[name] = of_seeds[0] | {"systems": systems, "matched": [of["matched"] for of in of_seeds[1:]]}
        means = {system: round(float(np.mean(there["values"])), 4) for system, there in systems.items()}
        print(name, means, flush=True)
    return {"collections": collections, "seeds": seeds}


def of_seed(name: str, model: str, seed: int, steps: int | None) -> dict[str, Any]:
    """`one_collection`, measured once: as the results have it, or the cache."""
    if steps is None and name in (published := of_results(model, seed)):
        return dict(published[name])
    path = texts.CACHE / "effectiveness" / model / f"{name}-{steps or 'whole'}-{seed}.json"
    if not path.exists():
        sae = dictionaries.pooled(name, model, seed, steps or dictionaries.STEPS)
        latents = dictionaries.token_latents(name, model, seed, steps or dictionaries.TOKEN_STEPS)
        found = one_collection(collection(name, model), dictionaries.training_texts(name, model), sae, latents, seed)
        if seed:
            found["matched"] = dictionaries.nearest(
                dictionaries.pooled(name, model, 0, steps or dictionaries.STEPS), sae
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda aside: aside.write_text(json.dumps(found), encoding="utf-8"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def of_results(model: str, seed: int) -> dict[str, Any]:
    """What the results hold of one seed, by collection."""
    return unpacked(VALUES / f"{model}-{seed}.json.gz")


def publish(names: Sequence[str], model: str, seeds: int) -> None:
    """Put what was measured of each seed, without ids or texts of the collections, into the results."""
    for seed in range(seeds):
        found = of_results(model, seed) | {name: of_seed(name, model, seed, None) for name in names}
        pack(VALUES / f"{model}-{seed}.json.gz", found)


def unpacked(path: Path) -> dict[str, Any]:
    """Values as `pack` wrote them; where nothing was written, none."""
    return dict(json.loads(gzip.decompress(path.read_bytes()))) if path.exists() else {}


def pack(path: Path, found: Mapping[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    packed = gzip.compress(json.dumps(found).encode(), mtime=0)
    write_atomically(path, lambda aside: aside.write_bytes(packed))


def one_collection(
    of: Collection, training: Floats, sae: SAE, latents: dictionaries.Sparse, seed: int
) -> dict[str, Any]:
    """Every system on one collection; what does not depend on the seed, with the first alone."""
    every = Measured(of)
    every.add("BM25", retrievers.of_words(of))
    every.add("dense", retrievers.of_dense(of))
    every.add_fused(FUSED[0])
    with tempfile.TemporaryDirectory() as aside:
        for name, system in retrievers.of_sae(of, sae, Path(aside)):
            every.add(name, system)
        every.add("tokens", retrievers.of_sparse(of, latents.asking(of.query_rows), Path(aside) / "tokens"))
    for names in FUSED[1:]:
        every.add_fused(names)
    if seed == 0:
        for name, system in retrievers.of_quantisers(of, training):
            every.add(name, system)
        for control, dictionary in dictionaries.controls(training, sae.config.n_latents):
            every.add(f"{control}, codes 32", retrievers.of_codes(of, dictionary))
    missed = mismatched(as_run(of, every.runs["BM25"]), of.qrels, MISMATCH_DEPTH)
    return {
        "n_passages": len(of.passages),
        "n_queries": len(of.query_ids),
        "mismatch": [i for i, query_id in enumerate(of.query_ids) if query_id in missed],
        "sae": {"texts": len(training), "latents": sae.config.n_latents} | sae.measure(training[:20_000])._asdict(),
        "systems": every.systems,
    }


def averaged(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A system's bytes, and means over the seeds, of each query's value too."""
    return {
        "bytes": seeds[0]["bytes"],
        "values": np.mean([of["values"] for of in seeds], axis=0).tolist(),
        "by_seed": [float(np.mean(of["values"])) for of in seeds],
        "fidelity": {key: float(np.mean([of["fidelity"][key] for of in seeds])) for key in seeds[0]["fidelity"]},
    }


# --- what is shown --------------------------------------------------------------------------------


def board(found: Mapping[str, Any], *, mismatch: bool = False) -> boards.Leaderboard:
    per_query: dict[str, dict[str, dict[str, float]]] = {}
    for name, of in found["collections"].items():
        chosen = of["mismatch"] if mismatch else range(of["n_queries"])
        if chosen:
            per_query[name] = {system: by_query(there["values"], chosen) for system, there in of["systems"].items()}
    systems = [of["systems"] for of in found["collections"].values()]
    sizes = {
        s: float(np.mean([of[s]["bytes"] for of in systems if s in of])) for s in {s for of in systems for s in of}
    }
    return boards.from_values(per_query, sizes, MEASURE, "dense")


def by_query(found: Sequence[float], chosen: Iterable[int]) -> dict[str, float]:
    """Values by the number of their query, which is the same for every system."""
    return {f"{i:06d}": found[i] for i in chosen}


def condensed(found: Mapping[str, Any], whole: boards.Leaderboard) -> dict[str, Any]:
    """What is shown of a run: the tables, without each query's values."""
    on_mismatch = board(found, mismatch=True)
    collections = found["collections"].values()
    entries = {entry.system: entry for entry in whole.entries}
    missed = {entry.system: entry.macro for entry in on_mismatch.entries}
    rows = [of_system(entry, entries["dense"], missed, [of["systems"][entry.system] for of in collections])
            for entry in whole.entries if entry.macro is not None]  # fmt: skip
    saes = {name: of["sae"] for name, of in found["collections"].items()}
    by_collection = [
        {
            "collection": c,
            "latents": saes[c]["latents"],
            **{s: f"{entries[s].values[c]:.3f}" if c in entries[s].values else "-" for s in SHOWN},
        }
        for c in whole.collections
    ]
    return {"rows": rows, "notes": list(notes(found)), "by_collection": by_collection, "headline": headline(whole),
            "saes": saes, "seeds": found["seeds"]}  # fmt: skip


def of_peers() -> dict[str, Any]:
    """What retrieval_peers.py measured: by collection, peer and system."""
    return unpacked(PEER_VALUES)


def by_encoder() -> list[dict[str, str]]:
    """Each system by each encoder, on the collections that all were measured on: nDCG@10 and share of dense."""
    of_models = {model: of_results(model, 0) for model in texts.MODELS}
    names = [name for name in COLLECTIONS if all(name in of for of in of_models.values())]
    if not names:
        return []
    means = {
        model: {s: np.mean([np.mean(of[name]["systems"][s]["values"]) for name in names]) for s in BY_ENCODER}
        for model, of in of_models.items()
    }
    return [
        {"system": s, **{model: f"{of[s]:.3f} {of[s] / of['dense']:4.0%}" for model, of in means.items()}}
        for s in BY_ENCODER
    ]


def beside_peers(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Our systems and those of others, on the collections that these were measured on."""
    peers, collections = of_peers(), {}
    for name in (name for name in found["collections"] if name in peers):
        of = found["collections"][name]
        ours = {s: of["systems"][s] for s in BESIDE_PEERS}
        theirs = {s: there for systems in peers[name].values() for s, there in systems.items()}
        collections[name] = of | {"systems": ours | theirs}
    entries = board({"collections": collections}).entries if collections else []
    return [
        {
            "system": entry.system,
            "mean": "-" if entry.macro is None else f"{entry.macro:.3f}",
            **{c: f"{entry.values[c]:.3f}" if c in entry.values else "-" for c in collections},
            "▲": str(len(entry.better)),
            "▼": str(len(entry.worse)),
            "B/passage": f"{entry.bytes_per_passage:,.0f}",
        }
        for entry in entries
    ]


def notes(found: Mapping[str, Any]) -> Iterator[str]:
    """What the table leaves out, a line each."""
    collections = found["collections"].values()
    n_missed = sum(len(of["mismatch"]) for of in collections)
    yield f"{len(collections)} collections; ▲ ▼: on so many better or worse than dense for sure"
    yield f"mismatch: mean over the collections of the {n_missed:,} queries for which BM25 finds nothing in 100"
    for system, baseline in (("tokens + codes 32", "BM25"), ("BM25 + tokens + codes 32", "BM25 + dense")):
        better, worse = surely(found, system, baseline)
        yield f"{system} against {baseline}: better for sure on {better}, worse on {worse}"
    for system, lacking in undefined(found).items():
        there = [of["systems"] for name, of in found["collections"].items() if name not in lacking]
        share = np.mean([np.mean(of[system]["values"]) for of in there]) / np.mean(
            [np.mean(of["dense"]["values"]) for of in there]
        )
        yield f"{system} is undefined on {', '.join(lacking)}; elsewhere it keeps {share:.1%} of dense"
    if found["seeds"] == 1:
        yield "one seed"
        return
    seeds = {s: np.mean([of["systems"][s]["by_seed"] for of in collections], axis=0) for s in SINGLE}
    yield f"range over {found['seeds']} seeds: " + ", ".join(f"{s} {np.ptp(of):.4f}" for s, of in seeds.items())
    pairs = [pair for of in collections for pair in of["matched"]]
    mean, share = (np.mean([pair[key] for pair in pairs]) for key in ("mean", "above_0.7"))
    yield f"concepts of two seeds, best cosine: mean {mean:.3f}, {share:.1%} above .7"


def undefined(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """By system, the collections that it cannot rank."""
    every = {system for of in found["collections"].values() for system in of["systems"]}
    lacking = {s: [name for name, of in found["collections"].items() if s not in of["systems"]] for s in sorted(every)}
    return {system: names for system, names in lacking.items() if names}


def surely(found: Mapping[str, Any], system: str, baseline: str) -> tuple[int, int]:
    """On how many collections a system is better and worse than another, corrected for asking on each."""
    compared = []
    for of in found["collections"].values():
        both = [by_query(of["systems"][s]["values"], range(of["n_queries"])) for s in (system, baseline)]
        compared.append(significance.compare(*both))
    sure = [c.difference for c, p in zip(compared, significance.holm([c.p for c in compared]), strict=True) if p < 0.05]
    return sum(difference > 0 for difference in sure), sum(difference < 0 for difference in sure)


def of_system(
    entry: boards.Entry, dense: boards.Entry, missed: Mapping[str, float | None], there: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """A system's line of the table; `there` is what was measured of it on each collection."""
    fidelity = [of["fidelity"] for of in there]
    kept = {f"top-{n}": np.mean([f[f"top{n}"] for f in fidelity]) if all(fidelity) else None for n in (10, 100)}
    kept["rho"] = np.mean([f["rho"] for f in fidelity]) if all(fidelity) else None
    on_mismatch = missed.get(entry.system)
    return {
        "system": entry.system,
        "nDCG@10": round(entry.macro, 4),
        "95 %": f"{entry.low:.3f} to {entry.high:.3f}",
        "of dense": round(entry.macro / dense.macro, 4),
        "worst": f"{min(value / dense.values[c] for c, value in entry.values.items()):.1%}",
        "▲": str(len(entry.better)),
        "▼": str(len(entry.worse)),
        "B/passage": f"{entry.bytes_per_passage:,.0f}",
        "mismatch": "-" if on_mismatch is None else f"{on_mismatch:.3f}",
        **{name: "-" if value is None else f"{value:.3f}" for name, value in kept.items()},
    }


def summary(kept: Mapping[str, Any]) -> list[str]:
    """Systems over all collections, then each collection."""
    return [*table(kept["rows"]), "", *kept["notes"], "", *table(kept["by_collection"])]


def headline(whole: boards.Leaderboard) -> dict[str, float]:
    """Of macro averages of nDCG@10; differences are ratios."""
    entries = {e.system: e for e in whole.entries}
    dense, lexical = entries["dense"].macro, entries["BM25"].macro
    single = max((entries[s] for s in SINGLE), key=lambda e: e.macro)
    return {
        "rescored_share_of_dense": round(entries["codes 32"].macro / dense, 4),
        "clsr_share_of_dense": round(entries["CL-SR"].macro / dense, 4),
        "best_concept_vs_dense": round(single.macro / dense, 4),
        "best_concept_vs_bm25": round(single.macro / lexical, 4),
        "bytes_per_passage": round(entries["codes 32"].bytes_per_passage, 1),
    }


if __name__ == "__main__":
    main()
