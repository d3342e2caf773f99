"""Does concept retrieval find what the dense model finds, at a tenth of its bytes? On every collection at hand.

    python benchmarks/effectiveness.py [--quick] [--model all-MiniLM-L6-v2 | all-mpnet-base-v2] [--seeds 3]

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
matched by their decoder directions. Writes results/effectiveness.json, to which another model's run adds,
effectiveness-MODEL.png, and for each seed every query's values, results/effectiveness/MODEL-SEED.json.gz: what is
there is not measured again (delete it, or the folder of the cache, to begin anew). The last line holds the headline
figures.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dictionaries
import environments
import numpy as np
import texts
from judged import COLLECTIONS, DEPTH, MEASURE, Collection, Floats, System, as_run, collection, faithful, values
from measuring import about
from scipy.sparse import csr_array

from unweave.artifact import write_atomically
from unweave.cli.show import table
from unweave.errors import ScoringUndefined
from unweave.evaluation import leaderboard as boards
from unweave.evaluation import significance
from unweave.evaluation.mismatch import mismatched
from unweave.fusion import by_normalized_score
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits, best
from unweave.index.scoring import DOT, PROFILES, TOKENS, Scoring, inverse_document_frequency, query_weights
from unweave.retrieval import ConceptSearcher
from unweave.sae.model import SAE, strongest
from unweave.sae.pursuit import pursue
from unweave.systems import BM25, EmbeddedQuery

RESULTS = Path(__file__).parent / "results" / "effectiveness.json"
VALUES = RESULTS.with_suffix("")
PEERS = Path(__file__).parent / "effectiveness_peers"
CANDIDATES, DEEP = 1000, 1000
MISMATCH_DEPTH = 100
EXPANDED = 1024
CODES = (16, dictionaries.K)
BLEND = 0.2
"""The weight of CL-SR beside its own codes; the same everywhere."""
QUANTISED, QUANTISER_TRAINING = ("PQ 96 B", "PQ 48 B", "int8", "binary"), 10_000
FUSED = (("BM25", "dense"), ("BM25", "codes 32"), ("tokens", "codes 32"), ("BM25", "tokens"),
         ("BM25", "tokens", "codes 32"))  # fmt: skip
SINGLE = ("CL-SR", "CL-SR rescored", "codes 32", "expanded", "CL-SR + codes", "tokens", "tokens + codes 32")
"""Systems of concepts alone."""
SHOWN = ("BM25", "dense", "CL-SR paper", "CL-SR", "codes 32", "PQ 96 B", "tokens", "tokens + codes 32", "BM25 + dense",
         "BM25 + tokens + codes 32")  # fmt: skip
"""Systems that are shown collection by collection."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small collections, one seed, short training")
    parser.add_argument("--model", choices=[texts.MINILM, texts.MPNET], default=texts.MINILM)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=list(COLLECTIONS))
    options = parser.parse_args()
    names = ["cranfield", "medline", "fiqa-mini"] if options.quick else options.collections
    found = measured(names, options.model, 1 if options.quick else options.seeds, 100 if options.quick else None)
    whole = board(found)
    kept = condensed(found, whole)
    if not options.quick:
        publish(names, options.model, options.seeds)
        keep(options.model, kept)
        boards.plot(whole, RESULTS.with_name(f"effectiveness-{options.model}.png"))
    print("\n".join(summary(kept)))
    print(json.dumps(kept["headline"]))


def keep(model: str, kept: Mapping[str, Any]) -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"models": {}}
    results["about"] = about("numpy", "torch", "sentence-transformers", "bm25s", "ir-measures", "scikit-learn")
    results["models"][model] = kept
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


# --- systems --------------------------------------------------------------------------------------


def of_dense(of: Collection) -> Iterator[tuple[str, System]]:
    lexical = BM25(of.contents)
    asked = [EmbeddedQuery(*pair) for pair in zip(of.query_texts, of.queries, strict=True)]
    every = np.arange(len(of.passages))
    yield "BM25", System(lambda i: lexical.search(asked[i], DEEP), lexical.bytes_per_passage)
    yield "dense", System(lambda i: best(of.passages @ of.queries[i], every, DEEP), 4.0 * of.passages.shape[1])


def of_quantisers(of: Collection, training: Floats) -> Iterator[tuple[str, System]]:
    """What FAISS finds by quantised vectors."""
    python = environments.python_of(PEERS / "requirements-shared.txt")
    with tempfile.TemporaryDirectory() as aside:
        arrays = {"training": training[:QUANTISER_TRAINING], "passages": of.passages, "queries": of.queries}
        for name, rows in arrays.items():
            np.save(Path(aside) / f"{name}.npy", rows)
        subprocess.run([python, PEERS / "run_faiss.py", aside, str(DEPTH)], check=True)
        found = dict(np.load(Path(aside) / "found.npz"))
    for name in QUANTISED:
        passages, scores = found[f"{name}.passages"], found[f"{name}.scores"]
        yield name, System(lambda i, p=passages, s=scores: Hits(p[i], s[i]), float(found[f"{name}.bytes"]))


def of_sae(of: Collection, sae: SAE, folder: Path) -> Iterator[tuple[str, System]]:
    """Everything that one SAE of pooled embeddings gives."""
    latents, n = sae.encode(of.passages), len(of.passages)
    pursued = {k: as_long(sae, of.passages, pursue(sae, of.passages, k)) for k in CODES}
    codes = {k: Codes.of(found) for k, found in pursued.items()}
    searchers = {}
    for name, profile in (("CL-SR", "default"), ("CL-SR paper", "paper")):
        try:
            index = ConceptIndex.build(folder / profile, latents, PROFILES[profile])
        except ScoringUndefined:
            continue  # the paper's formula, for a collection with very short passages
        searchers[name] = searcher = ConceptSearcher(sae, index, codes[dictionaries.K])
        yield name, System(lambda i, s=searcher: s.search(of.queries[i], DEEP), index.bytes(forward=True) / n)
    clsr = searchers["CL-SR"]
    size = (clsr.index.bytes(forward=True) + codes[dictionaries.K].bytes) / n
    yield "CL-SR rescored", System(lambda i: clsr.rescored(of.queries[i], DEEP, CANDIDATES), size)
    for k in CODES:
        searcher = ConceptSearcher(sae, clsr.index, codes[k])
        yield f"codes {k}", System(lambda i, s=searcher: s.scanned(of.queries[i], DEEP), codes[k].bytes / n)
    both = lambda i: [clsr.search(of.queries[i], DEEP), clsr.scanned(of.queries[i], DEEP)]  # noqa: E731
    yield "CL-SR + codes", System(lambda i: by_normalized_score(both(i), DEEP, [BLEND, 1 - BLEND]).hits, size)
    yield "expanded", expanded(of, sae, pursued[dictionaries.K], folder / "expanded")


def expanded(of: Collection, sae: SAE, codes: csr_array, folder: Path) -> System:
    """The codes in inverted lists, and of each query the directions that it is nearest to."""
    index = ConceptIndex.build(folder, codes, DOT)

    def search(i: int) -> Hits:
        products = sae.W_dec @ of.queries[i]
        nearest = np.argpartition(-products, EXPANDED)[:EXPANDED]
        nearest = nearest[products[nearest] > 0]
        return index.search(nearest.astype(np.int32), products[nearest], DEEP)

    return System(search, index.bytes(forward=True) / len(of.passages))


def of_tokens(of: Collection, latents: dictionaries.TokenLatents, folder: Path, scoring: Scoring = TOKENS) -> System:
    """Concepts of single tokens, summed over each text."""
    kept = latents.passages if scoring.max_latents is None else strongest(latents.passages, scoring.max_latents)
    index = ConceptIndex.build(folder, kept, scoring)
    idf = inverse_document_frequency(index.document_frequency, index.n_passages, scoring)
    asked = csr_array(latents.queries[of.query_rows])

    def search(i: int) -> Hits:
        found = slice(asked.indptr[i], asked.indptr[i + 1])
        active = asked.indices[found]
        weights = query_weights(asked.data[found], idf[active], scoring)
        return index.search(active[weights != 0].astype(np.int32), weights[weights != 0], DEEP)

    return System(search, index.bytes(forward=True) / len(of.passages))


def of_control(of: Collection, sae: SAE) -> System:
    codes = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, dictionaries.K)))
    products = of.queries.astype(np.float64) @ sae.W_dec.T.astype(np.float64)
    every = np.arange(len(of.passages))

    def search(i: int) -> Hits:
        return best(codes.reconstructed(products[i], every).astype(np.float32), every, DEEP)

    return System(search, codes.bytes / len(of.passages))


# --- what is measured -----------------------------------------------------------------------------


class Measured:
    """What was measured of every system on one collection with one seed's dictionaries."""

    def __init__(self, of: Collection) -> None:
        self.of = of
        self.runs: dict[str, list[Hits]] = {}
        self.systems: dict[str, dict[str, Any]] = {}

    def add(self, name: str, system: System) -> None:
        self._add(name, [system.search(i) for i in range(len(self.of.queries))], system.bytes_per_passage)

    def add_fused(self, names: Sequence[str]) -> None:
        """A system that gives each of these the same weight."""
        found = zip(*(self.runs[name] for name in names), strict=True)
        hits = [by_normalized_score(each, DEEP, [1 / len(names)] * len(names)).hits for each in found]
        self._add(" + ".join(names), hits, sum(self.systems[name]["bytes"] for name in names))

    def _add(self, name: str, hits: list[Hits], size: float) -> None:
        self.runs[name] = hits
        fidelity = faithful(hits, self.runs["dense"]) if "dense" in self.runs else {}
        self.systems[name] = {
            "bytes": size, "values": [round(value, 4) for value in values(self.of, hits)], "fidelity": fidelity,
        }  # fmt: skip


def measured(names: Sequence[str], model: str, seeds: int, steps: int | None) -> dict[str, Any]:
    """Per-query values of all systems, and what follows from them."""
    collections = {}
    for name in names:
        of_seeds = [of_seed(name, model, seed, steps) for seed in range(seeds)]
        saes = [dictionaries.pooled(name, model, seed, steps or dictionaries.STEPS) for seed in range(min(2, seeds))]
        systems = {
            system: averaged([of["systems"][system] for of in of_seeds if system in of["systems"]])
            for system in of_seeds[0]["systems"]
        }
        matched = dictionaries.matched(saes) if seeds > 1 else None
        collections[name] = of_seeds[0] | {"systems": systems, "matched": matched}
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
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda aside: aside.write_text(json.dumps(found), encoding="utf-8"))
    return dict(json.loads(path.read_text(encoding="utf-8")))


def of_results(model: str, seed: int) -> dict[str, Any]:
    """What the results hold of one seed, by collection."""
    path = VALUES / f"{model}-{seed}.json.gz"
    return dict(json.loads(gzip.decompress(path.read_bytes()))) if path.exists() else {}


def publish(names: Sequence[str], model: str, seeds: int) -> None:
    """Put what was measured of each seed, without ids or texts of the collections, into the results."""
    VALUES.mkdir(exist_ok=True)
    for seed in range(seeds):
        found = of_results(model, seed) | {name: of_seed(name, model, seed, None) for name in names}
        packed = gzip.compress(json.dumps(found).encode(), mtime=0)
        write_atomically(VALUES / f"{model}-{seed}.json.gz", lambda path, packed=packed: path.write_bytes(packed))


def one_collection(
    of: Collection, training: Floats, sae: SAE, latents: dictionaries.TokenLatents, seed: int
) -> dict[str, Any]:
    """Every system on one collection; what does not depend on the seed, with the first alone."""
    every = Measured(of)
    for name, system in of_dense(of):
        every.add(name, system)
    every.add_fused(FUSED[0])
    with tempfile.TemporaryDirectory() as aside:
        for name, system in of_sae(of, sae, Path(aside)):
            every.add(name, system)
        every.add("tokens", of_tokens(of, latents, Path(aside) / "tokens"))
    for names in FUSED[1:]:
        every.add_fused(names)
    if seed == 0:
        for name, system in of_quantisers(of, training):
            every.add(name, system)
        for control, dictionary in dictionaries.controls(training, sae.config.n_latents):
            every.add(f"{control}, codes 32", of_control(of, dictionary))
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
    mean, share = (np.mean([of["matched"][key] for of in collections]) for key in ("mean", "above_0.7"))
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
