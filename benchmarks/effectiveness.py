"""Does concept retrieval find what the dense model finds, at a tenth of its bytes? On every collection at hand.

    python benchmarks/effectiveness.py [--quick] [--model all-MiniLM-L6-v2 | all-mpnet-base-v2] [--seeds 3]

Collections are those below $UNWEAVE_DATA with full judgements; of their test queries at most 1,000 are drawn. For each
seed one SAE is trained on WordNet's glosses and the passages of all collections (never their queries). Systems:

- BM25; the dense model; its vectors by product quantisation, 8-bit and 1-bit (FAISS, in an environment of its own);
- CL-SR: the paper's constants and ours, from the SAE's one-shot codes; its best 1,000 rescored from a pursuit's codes
  of 32 latents, 100 bytes; all passages by those codes, no inverted lists ("codes"), and by 24 and 16 latents;
- expanded: an index of the codes, the query's 1,024 best directions;
- fused, by normalised scores: CL-SR and codes (the same SAE twice); BM25 and dense; BM25, CL-SR and codes;
- controls, coded and searched alike: a random dictionary, principal and independent components in both directions.

Each is compared with dense query by query (sign flips, Holm's correction), on the mismatch subset too. Fidelity is the
share of dense's top 10 and 100 that is kept, and the rank correlation of dense's top 100. Two seeds' concepts are
matched by their decoder directions. Writes results/effectiveness.json, to which another model's run adds, and
effectiveness-MODEL.png. The last line holds the headline figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import environments
import numpy as np
import texts
from measuring import about
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import rankdata

from unweave.cli.show import table
from unweave.collections import open_collection
from unweave.evaluation import leaderboard as boards
from unweave.evaluation.measures import measure
from unweave.evaluation.mismatch import mismatched
from unweave.evaluation.runs import Run
from unweave.evaluation.systems import BM25, EmbeddedQuery
from unweave.fusion import by_normalized_score
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits, best
from unweave.index.scoring import DOT, PROFILES
from unweave.queries import Qrels
from unweave.retrieval import ConceptSearcher
from unweave.sae.model import SAE, SAEConfig
from unweave.sae.pursuit import pursue
from unweave.sae.recipe import recommend
from unweave.sae.training import TrainConfig, train

RESULTS = Path(__file__).parent / "results" / "effectiveness.json"
PEERS = Path(__file__).parent / "effectiveness_peers"
GLOSSES = "wordnet-glosses"
COLLECTIONS = ("scifact", "climate-fever-evidence", "fiqa-mini", "nfcorpus-stopped", "dbpedia-entity-5k",
               "msmarco-dl-5k", "squad-sentences", "cranfield", "cacm", "cisi", "medline", "npl-vaswani",
               "medquad-liveqa")  # fmt: skip
QUERIES, DEPTH, CANDIDATES, DEEP = 1000, 100, 1000, 1000
MISMATCH_DEPTH = 100
EXPANDED = 1024
N_LATENTS, K = 8192, 32
CODES = (16, 24, 32)
BLEND = 0.2
"""The weight of CL-SR beside its own codes; the same everywhere."""
SEEDED = ("CL-SR", "CL-SR paper", "CL-SR rescored", "expanded", "codes 32", "codes 24", "codes 16", "CL-SR + codes",
          "BM25 + concepts")  # fmt: skip
QUANTISED, QUANTISER_TRAINING = ("PQ 96 B", "PQ 48 B", "int8", "binary"), 10_000
MEASURE = "nDCG@10"
SHOWN = ("BM25", "dense", "CL-SR paper", "CL-SR", "CL-SR rescored", "codes 32", "CL-SR + codes", "PQ 96 B",
         "BM25 + dense", "BM25 + concepts")  # fmt: skip
"""Systems that are shown collection by collection."""

Floats = NDArray[np.float32]
Search = Callable[[int], Hits]
"""The hits of the i-th query."""


class Collection(NamedTuple):
    """One collection, embedded."""

    name: str
    ids: list[str]
    passages: Floats
    queries: Floats
    query_ids: list[str]
    query_texts: list[str]
    qrels: Qrels
    contents: list[str]


class System(NamedTuple):
    """A way to rank a collection."""

    search: Search
    bytes_per_passage: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small collections, one seed, short training")
    parser.add_argument("--model", choices=[texts.MINILM, texts.MPNET], default=texts.MINILM)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--collections", nargs="+", choices=COLLECTIONS, default=list(COLLECTIONS))
    options = parser.parse_args()
    names = ["cranfield", "medline", "fiqa-mini"] if options.quick else options.collections
    seeds, steps = (1, 100) if options.quick else (options.seeds, None)
    found = measured(names, options.model, seeds, steps)
    kept = condensed(found)
    if not options.quick:
        (texts.CACHE / "effectiveness" / f"{options.model}.json").write_text(json.dumps(found), encoding="utf-8")
        keep(options.model, kept)
        boards.plot(board(found), RESULTS.with_name(f"effectiveness-{options.model}.png"))
    print("\n".join(summary(kept)))
    print(json.dumps(kept["headline"]))


def keep(model: str, kept: Mapping[str, Any]) -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"models": {}}
    results["about"] = about("numpy", "torch", "sentence-transformers", "bm25s", "ir-measures", "scikit-learn")
    results["models"][model] = kept
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


# --- data -----------------------------------------------------------------------------------------


def collection(name: str, model: str) -> Collection:
    """Read a collection, and at most QUERIES of its test queries, drawn at random."""
    opened = open_collection(str(texts.data() / name))
    passages, queries = list(opened.passages), list(opened.queries)
    judged = opened.qrels["test"]
    rows = [i for i, query in enumerate(queries) if query.query_id in judged]
    if len(rows) > QUERIES:
        rows = sorted(np.random.default_rng(0).choice(rows, QUERIES, replace=False).tolist())
    return Collection(
        name,
        [passage.passage_id for passage in passages],
        texts.embeddings(f"{name}/passages", model),
        texts.embeddings(f"{name}/queries", model)[rows],
        [queries[i].query_id for i in rows],
        [queries[i].text for i in rows],
        {queries[i].query_id: judged[queries[i].query_id] for i in rows},
        [passage.content for passage in passages],
    )


def trained(training: Floats, model: str, seed: int, steps: int | None) -> SAE:
    """The SAE of one seed, from the cache if it was trained on the same texts before."""
    folder = texts.CACHE / "effectiveness" / f"{model}-{len(training)}-{N_LATENTS}-{steps}-{seed}"
    if folder.exists():
        return SAE.load(folder)
    config = SAEConfig(d_in=training.shape[1], n_latents=N_LATENTS, k=K, encoder=model)
    recipe = recommend(len(training), config.d_in, K, n_latents=N_LATENTS, batch_size=1024, steps=steps or 1500)
    chosen = TrainConfig(
        steps=recipe.steps, batch_size=recipe.batch_size, lr=recipe.lr, warmup_steps=recipe.warmup_steps,
        dead_after=recipe.dead_after, seed=seed,
    )  # fmt: skip
    sae = train(training, training[:2000], config, chosen).sae
    sae.save(folder)
    return sae


def dictionary(directions: Floats, training: Floats) -> SAE:
    """Directions, (n, d_in), as an SAE that a pursuit can code with; one-shot, it takes the k best."""
    W = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    config = SAEConfig(d_in=W.shape[1], n_latents=len(W), k=K, selection="top_k")
    mean = training.mean(axis=0)
    return SAE(config, W, np.zeros(len(W), np.float32), W, mean, threshold=np.zeros(1, np.float32))


def controls(training: Floats, model_seed: int) -> Iterator[tuple[str, SAE]]:
    """Dictionaries in which there are no concepts to find."""
    from sklearn.decomposition import PCA, FastICA

    random = np.random.default_rng(model_seed)
    d = training.shape[1]
    yield "random dictionary", dictionary(random.normal(size=(N_LATENTS, d)), training)
    some = training[random.choice(len(training), min(len(training), 20_000), replace=False)]
    components = PCA(random_state=0).fit(some).components_
    yield "PCA axes", dictionary(np.concatenate([components, -components]), training)
    ica = FastICA(n_components=min(d, 128), random_state=0, max_iter=100, tol=1e-2, whiten="unit-variance").fit(some)
    axes = ica.mixing_.T
    yield "ICA axes", dictionary(np.concatenate([axes, -axes]), training)


# --- systems --------------------------------------------------------------------------------------


def of_dense(of: Collection) -> Iterator[tuple[str, System]]:
    lexical = BM25(of.contents)
    asked = [EmbeddedQuery(*pair) for pair in zip(of.query_texts, of.queries, strict=True)]
    every = np.arange(len(of.passages))
    yield "BM25", System(lambda i: lexical.search(asked[i], DEEP), lexical.bytes_per_passage)
    yield "dense", System(lambda i: best(of.passages @ of.queries[i], every, DEEP), 4.0 * of.passages.shape[1])


def of_quantisers(collections: Sequence[Collection], training: Floats) -> dict[str, dict[str, System]]:
    """What FAISS finds by quantised vectors, by collection."""
    python = environments.python_of(PEERS / "requirements-shared.txt")
    found: dict[str, dict[str, System]] = {}
    with tempfile.TemporaryDirectory() as aside:
        np.save(Path(aside) / "training.npy", training[:QUANTISER_TRAINING])
        folders = [Path(aside) / of.name for of in collections]
        for folder, of in zip(folders, collections, strict=True):
            folder.mkdir()
            np.save(folder / "passages.npy", of.passages)
            np.save(folder / "queries.npy", of.queries)
        command = [python, PEERS / "run_faiss.py", Path(aside) / "training.npy", str(DEPTH), *folders]
        subprocess.run(command, check=True)
        for folder, of in zip(folders, collections, strict=True):
            arrays = dict(np.load(folder / "found.npz"))
            found[of.name] = {
                name: System(
                    lambda i, p=arrays[f"{name}.passages"], s=arrays[f"{name}.scores"]: Hits(p[i], s[i]),
                    float(arrays[f"{name}.bytes"]),
                )
                for name in QUANTISED
            }
    return found


def of_sae(of: Collection, sae: SAE, folder: Path, lexical: System) -> Iterator[tuple[str, System]]:
    """Everything that one SAE gives."""
    latents, n = sae.encode(of.passages), len(of.passages)
    pursued = {k: as_long(sae, of.passages, pursue(sae, of.passages, k)) for k in CODES}
    codes = {k: Codes.of(found) for k, found in pursued.items()}
    searchers = {}
    for name, profile in (("CL-SR", "default"), ("CL-SR paper", "paper")):
        index = ConceptIndex.build(folder / profile, latents, PROFILES[profile])
        searchers[name] = searcher = ConceptSearcher(sae, index, codes[K])
        yield name, System(lambda i, s=searcher: s.search(of.queries[i], DEEP), index.bytes(forward=True) / n)
    clsr = searchers["CL-SR"]
    size = (clsr.index.bytes(forward=True) + codes[K].bytes) / n
    yield "CL-SR rescored", System(lambda i: clsr.rescored(of.queries[i], DEEP, CANDIDATES), size)
    for k in CODES:
        searcher = ConceptSearcher(sae, clsr.index, codes[k])
        yield f"codes {k}", System(lambda i, s=searcher: s.scanned(of.queries[i], DEEP), codes[k].bytes / n)
    yield "expanded", expanded(of, sae, pursued[K], folder / "expanded")
    both = lambda i: [clsr.search(of.queries[i], DEEP), clsr.scanned(of.queries[i], DEEP)]  # noqa: E731
    yield "CL-SR + codes", System(lambda i: by_normalized_score(both(i), DEEP, [BLEND, 1 - BLEND]).hits, size)
    yield (
        "BM25 + concepts",
        System(
            lambda i: by_normalized_score([lexical.search(i), *both(i)], DEEP, [0.5, BLEND / 2, (1 - BLEND) / 2]).hits,
            size + lexical.bytes_per_passage,
        ),
    )


def expanded(of: Collection, sae: SAE, codes: csr_array, folder: Path) -> System:
    """The codes in inverted lists, and of each query the directions that it is nearest to."""
    index = ConceptIndex.build(folder, codes, DOT)

    def search(i: int) -> Hits:
        products = sae.W_dec @ of.queries[i]
        nearest = np.argpartition(-products, EXPANDED)[:EXPANDED]
        nearest = nearest[products[nearest] > 0]
        return index.search(nearest.astype(np.int32), products[nearest], DEEP)

    return System(search, index.bytes(forward=True) / len(of.passages))


def of_control(of: Collection, sae: SAE) -> Iterator[tuple[str, System]]:
    codes = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, K)))
    products = of.queries.astype(np.float64) @ sae.W_dec.T.astype(np.float64)
    every = np.arange(len(of.passages))
    size = codes.bytes / len(of.passages)

    def search(i: int) -> Hits:
        return best(codes.reconstructed(products[i], every).astype(np.float32), every, DEEP)

    yield "codes 32", System(search, size)


# --- what is measured -----------------------------------------------------------------------------


def measured(names: Sequence[str], model: str, seeds: int, steps: int | None) -> dict[str, Any]:
    """Per-query values of all systems, and what follows from them."""
    collections = [collection(name, model) for name in names]
    training = np.concatenate([texts.embeddings(GLOSSES, model), *(of.passages for of in collections)])
    np.random.default_rng(0).shuffle(training)
    saes = [trained(training, model, seed, steps) for seed in range(seeds)]
    of_controls = dict(controls(training, 0))
    quantised = of_quantisers(collections, training)
    values: dict[str, dict[str, Any]] = {}
    for of in collections:
        values[of.name] = one_collection(of, saes, of_controls, quantised[of.name])
        means = {name: round(float(np.mean(there["values"])), 4) for name, there in values[of.name]["systems"].items()}
        print(of.name, means, flush=True)
    return {
        "collections": values,
        "seeds": seeds,
        "training": len(training),
        "saes": [sae.measure(training[:20_000])._asdict() for sae in saes],
        "matched": matched(saes),
    }


def one_collection(
    of: Collection, saes: Sequence[SAE], of_controls: Mapping[str, SAE], quantised: Mapping[str, System]
) -> dict[str, Any]:
    """Every system on one collection; those of an SAE once a seed, their per-query values then averaged."""
    systems: dict[str, Any] = {}
    runs: dict[str, list[Hits]] = {}

    def add(name: str, system: System) -> None:
        hits = [system.search(i) for i in range(len(of.queries))]
        runs.setdefault(name, hits)
        values, fidelity = judged(of, hits), faithful(hits, runs["dense"]) if "dense" in runs else {}
        there = systems.setdefault(name, {"bytes": system.bytes_per_passage, "seeds": [], "fidelity": []})
        there["seeds"].append(values)
        there["fidelity"].append(fidelity)

    plain = dict(of_dense(of))
    for name, system in plain.items():
        add(name, system)
    both = lambda i: [plain["BM25"].search(i), plain["dense"].search(i)]  # noqa: E731
    size = plain["BM25"].bytes_per_passage + plain["dense"].bytes_per_passage
    add("BM25 + dense", System(lambda i: by_normalized_score(both(i), DEEP, [0.5, 0.5]).hits, size))
    for name, system in quantised.items():
        add(name, system)
    for sae in saes:
        with tempfile.TemporaryDirectory() as aside:
            for name, system in of_sae(of, sae, Path(aside), plain["BM25"]):
                add(name, system)
    for control, sae in of_controls.items():
        for name, system in of_control(of, sae):
            add(f"{control}, {name}", system)
    missed = mismatched(as_run(of, runs["BM25"]), of.qrels, MISMATCH_DEPTH)
    for there in systems.values():
        there["values"] = np.mean([[of_query[q] for q in of.query_ids] for of_query in there["seeds"]], axis=0).tolist()
        there["by_seed"] = [float(np.mean(list(of_query.values()))) for of_query in there.pop("seeds")]
        there["fidelity"] = {key: float(np.mean([f[key] for f in there["fidelity"]])) for key in there["fidelity"][-1]}
    return {"queries": of.query_ids, "n_passages": len(of.passages), "mismatch": sorted(missed), "systems": systems}


def judged(of: Collection, hits: Sequence[Hits]) -> dict[str, float]:
    return measure(as_run(of, hits), of.qrels, (MEASURE,))[MEASURE].per_query


def as_run(of: Collection, hits: Sequence[Hits]) -> Run:
    found = [zip(h.passages[:DEPTH].tolist(), h.scores[:DEPTH].tolist(), strict=True) for h in hits]
    return {q: [(of.ids[p], score) for p, score in pairs] for q, pairs in zip(of.query_ids, found, strict=True)}


def faithful(hits: Sequence[Hits], dense: Sequence[Hits]) -> dict[str, float]:
    """How much of dense's ranking is kept: overlap of the best 10 and 100, and Spearman's rho over dense's best 100.

    A passage of dense's best 100 that was not found ranks behind all that were.
    """
    overlaps: dict[int, list[float]] = {10: [], 100: []}
    correlations = []
    for found, wanted in zip(hits, dense, strict=True):
        for depth, values in overlaps.items():
            values.append(float(np.isin(wanted.passages[:depth], found.passages[:depth]).mean()))
        place = {p: rank for rank, p in enumerate(found.passages.tolist())}
        ranks = rankdata([place.get(p, len(place)) for p in wanted.passages[:100].tolist()])
        if ranks.std() > 0:
            correlations.append(float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]))
    return {"top10": float(np.mean(overlaps[10])), "top100": float(np.mean(overlaps[100])),
            "rho": float(np.mean(correlations)) if correlations else 0.0}  # fmt: skip


def matched(saes: Sequence[SAE]) -> dict[str, float] | None:
    """How alike the concepts of two seeds are: each direction's best cosine in the other dictionary."""
    if len(saes) < 2:
        return None
    first, second = saes[0].W_dec, saes[1].W_dec
    starts = range(0, len(first), 1024)
    every = np.concatenate([(first[start : start + 1024] @ second.T).max(axis=1) for start in starts])
    return {"mean": float(every.mean()), "above_0.7": float((every > 0.7).mean())}


# --- what is shown --------------------------------------------------------------------------------


def board(found: Mapping[str, Any], baseline: str = "dense", *, mismatch: bool = False) -> boards.Leaderboard:
    per_query: dict[str, dict[str, dict[str, float]]] = {}
    for name, of in found["collections"].items():
        chosen = set(of["mismatch"] if mismatch else of["queries"])
        if chosen:
            per_query[name] = {
                system: {q: v for q, v in zip(of["queries"], there["values"], strict=True) if q in chosen}
                for system, there in of["systems"].items()
            }
    sizes = {system: float(np.mean([of["systems"][system]["bytes"] for of in found["collections"].values()]))
             for system in next(iter(found["collections"].values()))["systems"]}  # fmt: skip
    return boards.from_values(per_query, sizes, MEASURE, baseline)


def condensed(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a run: the tables, without each query's values, which stay in the cache."""
    whole, on_mismatch = board(found), board(found, mismatch=True)
    collections = found["collections"].values()
    entries = {entry.system: entry for entry in whole.entries}
    missed = {entry.system: entry.macro for entry in on_mismatch.entries}
    rows = [of_system(entry, entries["dense"], missed, [of["systems"][entry.system] for of in collections])
            for entry in whole.entries]  # fmt: skip
    n_missed = sum(len(of["mismatch"]) for of in collections)
    ranges = {s: np.ptp(np.mean([of["systems"][s]["by_seed"] for of in collections], axis=0)) for s in SEEDED}
    notes = [
        f"{len(whole.collections)} collections; ▲ ▼: on so many better or worse than dense for sure",
        f"mismatch: mean over the collections of the {n_missed:,} queries for which BM25 finds nothing in 100",
        f"range over {found['seeds']} seeds: " + ", ".join(f"{s} {v:.4f}" for s, v in ranges.items()),
    ]
    if found["matched"]:
        mean, share = found["matched"]["mean"], found["matched"]["above_0.7"]
        notes.append(f"concepts of two seeds, best cosine: mean {mean:.3f}, {share:.1%} above .7")
    by_collection = [{"collection": c, **{s: f"{entries[s].values[c]:.3f}" for s in SHOWN}} for c in whole.collections]
    return {"rows": rows, "notes": notes, "by_collection": by_collection, "headline": headline(whole),
            "saes": found["saes"], "training": found["training"], "seeds": found["seeds"]}  # fmt: skip


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
    single = max((entries[s] for s in ("CL-SR", "CL-SR rescored", "codes 32", "expanded", "CL-SR + codes")),
                 key=lambda e: e.macro)  # fmt: skip
    return {
        "rescored_share_of_dense": round(entries["codes 32"].macro / dense, 4),
        "clsr_share_of_dense": round(entries["CL-SR"].macro / dense, 4),
        "best_concept_vs_dense": round(single.macro / dense, 4),
        "best_concept_vs_bm25": round(single.macro / lexical, 4),
        "bytes_per_passage": round(entries["codes 32"].bytes_per_passage, 1),
    }


if __name__ == "__main__":
    main()
