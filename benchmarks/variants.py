"""Which variant of SAE, and which encoder on its dictionary, reconstructs and retrieves best?

    python benchmarks/variants.py [--quick] [--reuse]

Every variant is trained once, with one seed, on the same batches of all-MiniLM-L6-v2 embeddings of glosses and of the
passages of three collections (never their queries), 5 % held out. On the default variant's dictionary the passages are
then coded by each other encoder too. `--quick` takes few texts, steps and queries, to see that all runs, and writes no
results; `--reuse` takes the SAEs of an earlier run of the same size from the cache.

What a row states:
- NMSE and L0 on one half of the held-out texts. Thresholds are those at which the other half has L0 = k; for all other
  figures, those at which training texts have it. JumpReLU's thresholds are scaled together. Top-k has at most k, and so
  has a pursuit.
- live latents over all texts, seconds of training, texts encoded a second.
- nDCG@10 of CL-SR's first stage (default profile) and of its best 1,000 rescored by q . x_hat_d, as shares of the dense
  model's, mean over the collections; and what share of the dense top 10 is among the ten highest q . x_hat_d.
- A pursuit is searched in three ways: one-shot queries on pursued passages, queries pursued as well, and passages found
  by their one-shot codes and rescored from the pursued.
- For names: how much the passages that a latent would be named by, and the latents of a passage, stay the same
  (Jaccard index of the two sets).

Writes results/variants.json and .png. The last line holds the headline figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import texts
from measuring import about, nmse
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.artifact import read_manifest
from unweave.cli.show import table
from unweave.config import MATCHING_PURSUIT, THRESHOLD, TOP_K, SAEConfig, TrainConfig
from unweave.evaluation.measures import measure
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.systems import Dense
from unweave.sae.model import SAE, pursue, strongest
from unweave.sae.pursuit import METHODS
from unweave.sae.training.recipe import recommend
from unweave.sae.training.run import run_training
from unweave.sae.training.variants import VARIANTS
from unweave.texts.open import open_collection
from unweave.texts.queries import Qrels

RESULTS = Path(__file__).parent / "results" / "variants.json"
GLOSSES, COLLECTIONS = "wordnet-glosses", ("scifact", "squad-sentences", "cranfield")
CONFIG = SAEConfig(d_in=384, n_latents=6144, k=32)
BATCH = 1024
DEFAULT = "batch_topk"
KL_WEIGHTS = (0.3, 1.0)
SLOW = MATCHING_PURSUIT
"""The variant that gets fewer steps; another row shows the default after as few."""
HELD_OUT = 0.05
CUTOFF, CANDIDATES = 10, 1000
NAMED_BY = 10
"""Passages that show what a latent is about."""

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]
Row = dict[str, Any]
Search = Callable[[EmbeddedQuery], Hits]


class Size(NamedTuple):
    """How much a run takes on."""

    glosses: int | None
    collections: tuple[str, ...]
    queries: int
    """At most so many judged queries a collection, drawn at random."""
    steps: int
    slow_steps: int


WHOLE = Size(None, COLLECTIONS, 1000, 600, 200)
QUICK = Size(5000, ("cranfield",), 100, 12, 3)


class Collection(NamedTuple):
    """Passages, queries and judgements, with the dense model's answers."""

    passages: Floats
    ids: list[str]
    place: slice
    """Where the passages are among all texts."""
    queries: dict[str, EmbeddedQuery]
    qrels: Qrels
    dense: dict[str, Hits]


class Data(NamedTuple):
    """All texts, and which of them are for what."""

    texts: Floats
    training: Positions
    calibration: Positions
    test: Positions
    collections: dict[str, Collection]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few texts, steps and queries")
    parser.add_argument("--reuse", action="store_true", help="the SAEs of an earlier run")
    options = parser.parse_args()
    size = QUICK if options.quick else WHOLE
    results: dict[str, Any] = {"about": about("torch", "sentence-transformers", "numpy", "bm25s", "ir-measures")}
    data = read(size)
    results |= described(data)
    results["rows"], results["names"] = measured(data, size, options.reuse)
    show(results)
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        plot(results["rows"], RESULTS.with_suffix(".png"))
    print(json.dumps(headline(results["rows"])))


def measured(data: Data, size: Size, reuse: bool) -> tuple[dict[str, Row], dict[str, Row]]:
    """A row for each variant with its own encoder and for each other encoder of the default; what names become."""
    rows: dict[str, Row] = {}
    for name, config in configs(len(data.training), size).items():
        sae, row = trained(name, config, data, reuse)
        at_k = calibrated(sae, data.texts[data.training[: 8 * BATCH]])
        found, codes = quality(at_k, data)
        rows[name] = row | found | {"ways": {"own": retrieved(data, at_k, codes, codes)}}
        if name == DEFAULT:
            default, one_shot = at_k, codes
        print(f"done: {name}, {row['seconds']:.0f} s of training", flush=True)
    names = {}
    for encoder, sae in encoders(default):
        name = f"{DEFAULT}, {encoder}"
        found, codes = quality(sae, data)
        rows[name] = {"encoder": encoder, **found, "ways": dict(ways(data, default, one_shot, sae, codes))}
        names[encoder] = kept_names(one_shot, codes)
        print(f"done: {name}", flush=True)
    return rows, names


# --- data -------------------------------------------------------------------------------------------


def read(size: Size) -> Data:
    glosses = texts.embeddings(GLOSSES, most=size.glosses)
    parts, collections = [glosses], {}
    for name in size.collections:
        collections[name] = collection(name, sum(map(len, parts)), size.queries)
        parts.append(collections[name].passages)
    everything = np.concatenate(parts)
    order = np.random.default_rng(0).permutation(len(everything))
    n_held_out = round(HELD_OUT * len(everything))
    calibration, test = np.array_split(order[:n_held_out], 2)
    return Data(everything, order[n_held_out:], calibration, test, collections)


def collection(name: str, start: int, most_queries: int) -> Collection:
    """A collection with test judgements; its passages begin at `start` among all texts."""
    source = open_collection(str(Path(os.environ["UNWEAVE_DATA"]) / name))
    passages, vectors = texts.embeddings(f"{name}/passages"), texts.embeddings(f"{name}/queries")
    ids, all_queries, judged = [p.passage_id for p in source.passages], list(source.queries), source.qrels["test"]
    positions = [i for i, query in enumerate(all_queries) if query.query_id in judged]
    if len(positions) > most_queries:
        positions = sorted(np.random.default_rng(0).choice(positions, most_queries, replace=False).tolist())
    queries = {all_queries[i].query_id: EmbeddedQuery(all_queries[i].text, vectors[i]) for i in positions}
    qrels = {query_id: judged[query_id] for query_id in queries}
    place = slice(start, start + len(passages))
    return Collection(passages, ids, place, queries, qrels, answers(dense_search(passages), queries))


def described(data: Data) -> dict[str, Any]:
    """What was trained on and what searched; the dense model's own figures."""
    return {
        "sae": {"d_in": CONFIG.d_in, "n_latents": CONFIG.n_latents, "k": CONFIG.k},
        "n_texts": {name: len(getattr(data, name)) for name in ("texts", "training", "calibration", "test")},
        "collections": {
            name: {"n_passages": len(c.ids), "n_queries": len(c.queries), "dense_ndcg": ndcg(c.dense, c)}
            for name, c in data.collections.items()
        },
    }


# --- the systems ------------------------------------------------------------------------------------


def configs(n_texts: int, size: Size) -> dict[str, TrainConfig]:
    """How each is trained: by the recipe, all alike."""
    recipe = recommend(n_texts, CONFIG.d_in, CONFIG.k, n_latents=CONFIG.n_latents, batch_size=BATCH, steps=size.steps)
    base = TrainConfig(
        steps=recipe.steps,
        batch_size=BATCH,
        lr=recipe.lr,
        warmup_steps=recipe.warmup_steps,
        dead_after=recipe.dead_after,
        variant=DEFAULT,
    )
    few = min(size.slow_steps, base.steps)
    return {
        **{name: replace(base, variant=name, steps=few if name == SLOW else base.steps) for name in VARIANTS},
        **{f"{DEFAULT} + {w:g} kl": replace(base, retrieval_loss="kl", retrieval_weight=w) for w in KL_WEIGHTS},
        f"{DEFAULT}, {few} steps": replace(base, steps=few),
    }


def trained(name: str, config: TrainConfig, data: Data, reuse: bool) -> tuple[SAE, Row]:
    """The SAE as training gave it, and how long that took."""
    training, held_out = data.texts[data.training], data.texts[data.test]
    folder = texts.CACHE / "variants" / f"{name.replace(' ', '-')}-{config.steps}-steps-{len(training)}-texts"
    if not (reuse and folder.exists()):
        run_training(training, held_out, CONFIG, replace(config, steps=1))  # compiles kernels, if they are not yet
        start = time.perf_counter()
        sae, history = run_training(training, held_out, CONFIG, config)
        seconds = time.perf_counter() - start
        results = {"seconds": seconds, "l0_as_trained": history[-1]["l0_held_out"]}
        sae.save(folder, training=vars(config), results=results)
    settings = {key: getattr(config, key) for key in ("steps", "lr", "retrieval_weight")}
    return SAE.load(folder), settings | read_manifest(folder, "sae").results


@dataclass(frozen=True, eq=False)
class Pursued(SAE):
    """An SAE that encodes by pursuit."""

    method: str = ""

    def encode(self, embeddings: NDArray[np.floating[Any]], max_latents: int | None = None) -> csr_array:
        return pursue(self, embeddings, max_latents, self.method)


def encoders(sae: SAE) -> Iterator[tuple[str, SAE]]:
    """Other encoders on one dictionary."""
    yield TOP_K, replace(sae, config=replace(sae.config, selection=TOP_K))
    parts = {field.name: getattr(sae, field.name) for field in fields(SAE)}
    for method in METHODS:
        yield method, Pursued(**parts, method=method)


def calibrated(sae: SAE, embeddings: Floats) -> SAE:
    """The SAE with its thresholds, all scaled by one factor, such that these embeddings have L0 = k."""
    if sae.config.selection != THRESHOLD or isinstance(sae, Pursued):
        return sae
    activations = (embeddings - sae.b_pre) @ sae.W_enc.T + sae.b_enc
    relative = (activations / np.maximum(sae.threshold, np.finfo(np.float32).tiny)).ravel()
    first_out = relative.size - 1 - sae.config.k * len(embeddings)
    relative.partition(first_out)
    return replace(sae, threshold=sae.threshold * max(relative[first_out], np.float32(0)))


# --- measuring --------------------------------------------------------------------------------------


def quality(sae: SAE, data: Data) -> tuple[Row, csr_array]:
    """How well it gives texts back, without a query but for fidelity; and the codes of all texts."""
    sae.encode(data.texts[:64])  # compiles, or calculates the Gram matrix
    start = time.perf_counter()
    codes = sae.encode(data.texts)
    per_second = len(data.texts) / (time.perf_counter() - start)
    unseen = calibrated(sae, data.texts[data.calibration]).measure(data.texts[data.test])
    live = len(np.unique(codes.indices))
    row = {
        "nmse_held_out": unseen.nmse,
        "l0_held_out": unseen.l0,
        "nmse_training": nmse(sae, data.texts[data.training], codes[data.training]),
        "l0_training": codes[data.training].nnz / len(data.training),
        "live": live,
        "dead_share": 1 - live / sae.config.n_latents,
        "texts_per_second": per_second,
        "overlap": {name: fidelity(sae, c, codes[c.place]) for name, c in data.collections.items()},
    }
    return row, codes


def fidelity(sae: SAE, c: Collection, codes: csr_array) -> float:
    """Share of the dense top 10 that is in the top 10 by q . x_hat_d, mean over the queries."""
    found = answers(dense_search(sae.decode(codes)), c.queries)
    return statistics.fmean(
        len(np.intersect1d(found[query_id].passages, dense.passages)) / len(dense.passages)
        for query_id, dense in c.dense.items()
    )


def ways(data: Data, default: SAE, one_shot: csr_array, sae: SAE, codes: csr_array) -> Iterator[tuple[str, Row]]:
    """An encoder's codes beside the default's: in index and forward lists, for queries too, or to rescore from."""
    yield "one-shot queries", retrieved(data, default, codes, codes)
    yield "its own queries", retrieved(data, sae, codes, codes)
    yield "one-shot first stage", retrieved(data, default, one_shot, codes)


def retrieved(data: Data, queries: SAE, indexed: csr_array, stored: csr_array) -> Row:
    """nDCG@10 of both stages on each collection, and the mean of their shares of dense.

    Args:
        queries: what encodes queries.
        indexed: codes of all texts for the first stage.
        stored: their codes to rescore from.
    """
    found: Row = {"clsr": {}, "rescored": {}}
    shares: dict[str, list[float]] = {stage: [] for stage in found}
    for name, c in data.collections.items():
        with tempfile.TemporaryDirectory() as folder:
            index, codes = (
                ConceptIndex.build(latents[c.place], folder=Path(folder) / part)
                for part, latents in (("indexed", indexed), ("stored", stored))
            )
            searcher = ConceptSearcher(queries, index, codes)
            for stage, search in {"clsr": concept_search(searcher), "rescored": rescored_search(searcher)}.items():
                found[stage][name] = ndcg(answers(search, c.queries), c)
        for stage in found:
            shares[stage].append(found[stage][name] / ndcg(c.dense, c))
    return found | {f"{stage}_share": statistics.fmean(of_each) for stage, of_each in shares.items()}


def dense_search(passages: Floats) -> Search:
    dense = Dense(passages)
    return lambda query: dense.search(query, CUTOFF)


def concept_search(searcher: ConceptSearcher) -> Search:
    return lambda query: searcher.search(query.vector, CUTOFF)


def rescored_search(searcher: ConceptSearcher) -> Search:
    return lambda query: searcher.rescored(query.vector, CUTOFF, CANDIDATES)


def answers(search: Search, queries: dict[str, EmbeddedQuery]) -> dict[str, Hits]:
    return {query_id: search(query) for query_id, query in queries.items()}


def ndcg(found: dict[str, Hits], c: Collection) -> float:
    run = {
        query_id: [(c.ids[p], s) for p, s in zip(hits.passages.tolist(), hits.scores.tolist(), strict=True)]
        for query_id, hits in found.items()
    }
    name = f"nDCG@{CUTOFF}"
    return measure(run, c.qrels, [name])[name].mean


# --- names ------------------------------------------------------------------------------------------


def kept_names(before: csr_array, after: csr_array) -> Row:
    """How much of what names are made from stays, from one encoder's codes to another's, (n_texts, n_latents).

    Latents count that had enough texts to be named by; one that is dead afterwards counts 0.
    """
    by_latent = [strongest(csr_array(codes.T), NAMED_BY) for codes in (before, after)]
    named = np.diff(by_latent[0].indptr) == NAMED_BY
    with_latents = np.diff(before.indptr) > 0
    return {
        "top_passages": float(jaccard(*by_latent)[named].mean()),
        "n_named": int(named.sum()),
        "latents_of_passage": float(jaccard(before, after)[with_latents].mean()),
        "strongest_stays": float(jaccard(strongest(before, 1), strongest(after, 1))[with_latents].mean()),
        "n_passages": int(with_latents.sum()),
    }


def jaccard(left: csr_array, right: csr_array) -> NDArray[np.float64]:
    """|A and B| / |A or B| of the entries of each row, (n_rows,); 0 where both are empty."""
    a, b = (csr_array((np.ones(m.nnz), m.indices, m.indptr), shape=m.shape) for m in (left, right))
    both = np.asarray(a.multiply(b).sum(axis=1)).ravel()
    either = np.diff(a.indptr) + np.diff(b.indptr) - both
    return both / np.maximum(either, 1)


# --- showing ----------------------------------------------------------------------------------------


def show(results: dict[str, Any]) -> None:
    rows, n_texts = results["rows"], results["n_texts"]
    print(
        f"\n{n_texts['training']:,} training texts; NMSE on {n_texts['test']:,} held out; live of {n_texts['texts']:,}"
    )
    print("\n".join(table([reconstruction(name, row) for name, row in rows.items()])))
    print("\nnDCG@10 of the first stage / rescored, and their mean shares of dense")
    print("\n".join(table(list(retrieval(results)))))
    print(f"\nAgainst the default's one-shot codes ({DEFAULT})")
    print("\n".join(table([kept(name, row) for name, row in results["names"].items()])))


def summary(results: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    return list(table([
        {
            "SAE, encoder": name,
            "NMSE": f"{row['nmse_held_out']:.3f}",
            "dead": f"{row['dead_share']:.1%}",
            "seconds": f"{row['seconds']:.0f}" if "seconds" in row else "",
            "overlap@10": f"{statistics.fmean(row['overlap'].values()):.3f}",
            "first stage": f"{next(iter(row['ways'].values()))['clsr_share']:.1%}",
            "rescored": f"{next(iter(row['ways'].values()))['rescored_share']:.1%}",
        }
        for name, row in results["rows"].items()
    ]))  # fmt: skip


def reconstruction(name: str, row: Row) -> dict[str, str]:
    return {
        "SAE, encoder": name,
        "NMSE": f"{row['nmse_held_out']:.4f}",
        "L0": f"{row['l0_held_out']:.1f}",
        "NMSE, training": f"{row['nmse_training']:.4f}",
        "L0, training": f"{row['l0_training']:.1f}",
        "live": f"{row['live']:,}",
        "dead": f"{row['dead_share']:.1%}",
        "steps": f"{row['steps']:,}" if "steps" in row else "",
        "seconds": f"{row['seconds']:.0f}" if "seconds" in row else "",
        "texts/s": f"{row['texts_per_second']:,.0f}",
        "overlap@10": f"{statistics.fmean(row['overlap'].values()):.3f}",
    }


def retrieval(results: dict[str, Any]) -> Iterator[dict[str, str]]:
    dense = {name: f"{c['dense_ndcg']:.3f}" for name, c in results["collections"].items()}
    yield {"SAE, encoder": "dense", "way": "", **dense, "first stage": "", "rescored": "100.0%"}
    for name, row in results["rows"].items():
        for way, found in row["ways"].items():
            yield {
                "SAE, encoder": name,
                "way": way,
                **{c: f"{found['clsr'][c]:.3f} / {found['rescored'][c]:.3f}" for c in dense},
                "first stage": f"{found['clsr_share']:.1%}",
                "rescored": f"{found['rescored_share']:.1%}",
            }


def kept(name: str, row: Row) -> dict[str, str]:
    return {
        "encoder": name,
        f"a latent's top {NAMED_BY}": f"{row['top_passages']:.3f}",
        "latents": f"{row['n_named']:,}",
        "a passage's latents": f"{row['latents_of_passage']:.3f}",
        "strongest stays": f"{row['strongest_stays']:.1%}",
        "passages": f"{row['n_passages']:,}",
    }


def headline(rows: dict[str, Row]) -> dict[str, Any]:
    default, pursued = rows[DEFAULT]["ways"]["own"], rows[f"{DEFAULT}, orthogonal"]["ways"]["one-shot queries"]
    variants = {name: row for name, row in rows.items() if "steps" in row}
    return {
        "best_nmse_variant": min(variants, key=lambda name: variants[name]["nmse_held_out"]),
        "default_share_of_dense": round(default["clsr_share"], 4),
        "rescored_share_of_dense": round(default["rescored_share"], 4),
        "orthogonal_rescored_share_of_dense": round(pursued["rescored_share"], 4),
    }


def plot(rows: dict[str, Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 5), sharex=True, layout="constrained")
    for axis, stage in zip(axes, ("clsr", "rescored"), strict=True):
        for name, row in rows.items():
            found = next(iter(row["ways"].values()))
            axis.plot(row["nmse_held_out"], 100 * found[f"{stage}_share"], "o" if "steps" in row else "s", label=name)
        axis.set_xlabel(f"held-out NMSE at {CONFIG.k} latents a text")
        axis.set_ylabel(f"nDCG@10 of {stage}, % of dense")
    axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
