"""The rates that `unweave plan` calculates with, gathered from what the other benchmarks found.

    python benchmarks/rates.py [--measure]

Writes `src/unweave/cluster/rates.json`. Each rate names its day, machine and script. With --measure, what no other
benchmark has is measured first, in some minutes, and written to results/rates.json: what `unweave plan --calibrate`
measures on a user's machine, here on texts of the demo; how many tokens the demo's texts are; how many bytes an index
takes; and how the times of exact searches spread over queries and over shards (generated vectors, as in search.py).

Where another benchmark has a rate on the machine of the other results, that one is taken: its wall time counts for all
of its cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from concept_vectors import BATCH, Generator
from concept_vectors import Shape as VectorShape
from measuring import about

from unweave.cli.plan import MEASURED, shown
from unweave.cluster import rates as cluster_rates
from unweave.cluster.assumptions import Assumptions
from unweave.cluster.calibration import calibrated, search_seconds
from unweave.cluster.encoders import shape_of
from unweave.cluster.order import Order, Prices, count
from unweave.cluster.plan import planned
from unweave.cluster.rates import Rate, Rates, Spread, Training, quantiles
from unweave.config import DEFAULT_MODEL, PRETRAINED, EmbedConfig, EncoderConfig
from unweave.encode.encoders import open_encoder
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.index.segment import Batch
from unweave.sae.given import located, read_sae
from unweave.sae.training.recipe import recommend
from unweave.texts.sentences import draw_sentences
from unweave.texts.vital_articles import vital_articles

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "rates.json"
SHARD, WHOLE, QUERIES = 65_536, 1_000_000, 300
VECTORS = VectorShape(6144, 28.0)
TEXTS = 2000
WORDS = 120.0
"""Of a passage, in the plans of the documentation."""
MEASURING = "python benchmarks/rates.py --measure"
FORWARD = ("forward.npy", "forward_offsets.npy")
IDS = ("ids.npy", "id_offsets.npy", "id_order.npy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure first what no other benchmark measures")
    if parser.parse_args().measure:
        RESULTS.write_text(json.dumps(measured(), indent=1) + "\n", encoding="utf-8")
    written = cluster_rates.as_dict(gathered())
    cluster_rates.PACKAGED.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: rate["value"] for name, rate in written["rates"].items()}))


# --- what no other benchmark measures --------------------------------------------------------------


def measured() -> dict[str, Any]:
    """Speeds of one core, tokens of the demo, bytes of an index, and the spread of search times."""
    before = about("numpy", "numba", "torch")
    demo, encoder, shape = vital_articles(), open_encoder(EncoderConfig()), shape_of(DEFAULT_MODEL)
    texts = [passage.content for passage in demo.passages]
    found = calibrated(encoder, shape, texts[:TEXTS], read_sae(located(PRETRAINED)), script=MEASURING)
    return {
        "about": before,
        "rates": {name: vars(rate) | {"machine": before["machine"]} for name, rate in found.items()},
        "demo_tokens": demo_tokens(encoder, texts, [query.text for query in demo.queries]),
        "committed": {"gpu": committed("gpu")},
        **shards(),
    }


def demo_tokens(encoder: Any, passages: list[str], queries: list[str]) -> int:
    """Tokens of all that `unweave embed` embeds of the demo: passages, their sentences and queries."""
    config = EmbedConfig()
    sentences = [one.text for one in draw_sentences(vital_articles().passages, config.sentences, config.language)]
    return sum(len(words) for texts in (passages, sentences, queries) for words in encoder.words(texts))


def shards() -> dict[str, Any]:
    """Bytes of an index by what they are for, and how the times of searching shards spread."""
    generator = Generator(VECTORS)
    queries, batches = generator.vectors(QUERIES, first=1), list(generator.batches(WHOLE))
    seconds = [search_seconds(ConceptIndex.build(batch[:SHARD]), queries) for batch in batches]
    ids = (range(number * BATCH, number * BATCH + batch.shape[0]) for number, batch in enumerate(batches))
    whole = ConceptIndex.from_batches(
        (Batch([str(i) for i in of], batch) for of, batch in zip(ids, batches, strict=True)), PROFILES["default"],
        VECTORS.n_latents,
    )  # fmt: skip
    return {
        "passages_a_shard": SHARD, "shards": len(seconds), "queries": QUERIES, "sizes": sizes_of(whole),
        "spread": asdict(spread(np.array(seconds))),
    }  # fmt: skip


def sizes_of(index: ConceptIndex) -> dict[str, int]:
    """Bytes of an index by what they are for, and its postings."""
    size = {path: path.stat().st_size for path in index.folder.rglob("*") if path.is_file()}
    forward = sum(n for path, n in size.items() if path.name in FORWARD)
    ids = sum(n for path, n in size.items() if path.name in IDS)
    return {
        "lists": sum(size.values()) - forward - ids, "forward": forward, "ids": ids, "passages": index.n_passages,
        "postings": int(index.document_frequency.sum()),
    }  # fmt: skip


# --- all of them -----------------------------------------------------------------------------------


def gathered() -> Rates:
    """The rates of all benchmarks."""
    own = results("rates")
    rates = {name: Rate(**rate) for name, rate in own["rates"].items()}
    size, machine = own["sizes"], own["about"]

    def of_sizes(value: float, unit: str, what: str) -> Rate:
        return Rate(value, unit, what, machine["date"], machine["machine"], MEASURING)

    rates |= of_demo(own["demo_tokens"]) | of_pursuit() | of_search() | of_million() | {"product": of_gpu()}
    rates |= {
        "lists": of_sizes(size["lists"] / size["postings"], "bytes / posting", "lists, directory and checksums"),
        "forward": of_sizes(size["forward"] / size["postings"], "bytes / posting", "each passage's own latents"),
        "ids": of_sizes(size["ids"] / size["passages"], "bytes / passage", "ids of up to six characters"),
    }
    return Rates(
        rates,
        training(),
        training_on_gpu(),
        shard_seconds(),
        Spread(**{of: tuple(values) for of, values in own["spread"].items()}),
    )


def shard_seconds() -> tuple[tuple[int, float], ...]:
    """From search.py: the median of an exact search for ten, by size, of the generated collections."""
    rows = [row for row in results("search")["rows"] if exact(row) and row["case"] in ("100k", "1m", "9m")]
    return tuple(sorted((row["n_passages"], row["p50"]) for row in rows))


def of_demo(tokens: int) -> dict[str, Rate]:
    """From demo.py: the whole command `unweave embed`."""
    found, shape = results("demo"), shape_of(DEFAULT_MODEL)
    seconds = found["collections"]["demo"]["seconds"]["embed"]
    what = f"`unweave embed` of the demo by {shape.name}, {tokens:,} tokens, wall time x 2 cores"
    rate = tokens * shape.parameters / (2 * seconds)
    return {"embed": rate_of(found, "demo", rate, "parameters x tokens / core s", what)}


def of_pursuit() -> dict[str, Rate]:
    """From pursuit.py: embeddings encoded and coded."""
    found = results("pursuit")
    size, speed = found["sae"]["d_in"] * found["sae"]["n_latents"], found["systems"]
    unit, what = "d_in x latents / core s", f"{found['sae']['n_latents']:,} latents, d_in 384, wall time x 2 cores"
    slower = speed["orthogonal"]["per_second"] / speed["orthogonal, no Gram matrix"]["per_second"]
    return {
        "encode": rate_of(found, "pursuit", size * speed["threshold"]["per_second"] / 2, unit, what),
        "code": rate_of(found, "pursuit", size * speed["orthogonal"]["per_second"] / 2, unit, f"codes of 32, {what}"),
        "no gram": rate_of(found, "pursuit", slower, "times", "as long, for codes whose Gram matrix is not stored"),
    }


def of_search() -> dict[str, Rate]:
    """From search.py: time and memory of a build, what a second core adds, latents of a passage."""
    found = results("search")
    rows = {row["case"]: row for row in found["rows"] if exact(row)}
    large, million = rows["9m"], rows["1m"]
    real = [row for row in found["likeness"] if row["vectors"] != "generated"]
    at_once = f"{large['n_passages']:,} passages indexed at once"
    return {
        "build": rate_of(
            found, "search", large["n_postings"] / (2 * large["build_seconds"]), "postings / core s",
            f"{at_once}, wall time x 2 cores"),
        "build memory": rate_of(
            found, "search", large["build_peak_bytes"] / large["n_postings"], "bytes / posting", at_once),
        "search": rate_of(
            found, "search", million["p50"] / million["postings_a_query"], "core s / posting",
            f"median of exact searches for ten, {million['n_passages']:,} passages"),
        "cores": rate_of(
            found, "search", million["per_second_2_threads"] * million["p50"] / 2, "of a core",
            "what each of two cores does that search at once, of one alone"),
        "latents": rate_of(
            found, "search", float(np.mean([row["L0"] for row in real])), "latents / passage",
            f"kept at k = 32 on {' and '.join(row['vectors'] for row in real)}"),
    }  # fmt: skip


def of_million() -> dict[str, Rate]:
    """From million.py: evidence and names, of the 200,000 passages that are looked at."""
    found = results("million")
    step = next(step for step in found["steps"] if step["command"] == "name")
    latents = recommend(found["n_passages"], found["d_in"], 32).n_latents
    what = f"evidence and names of {latents:,} latents, {found['n_passages']:,} passages, wall time x 2 cores"
    return {
        "name": rate_of(found, "million", latents / (2 * step["seconds"]), "latents / core s", what),
        "name memory": rate_of(found, "million", step["peak_gb"] * 2**30, "bytes", what),
    }


def of_gpu() -> Rate:
    """From gpu.py: how fast a card multiplies in single precision, the median of all sizes."""
    found = results("gpu")
    products = [2 * row["d"] * row["n_latents"] * row["floor"]["float32"] for row in found["rows"]]
    what = "products in float32, without TF32; no encoder was timed on it"
    return Rate(
        float(np.median(products)),
        "operations / s",
        what,
        results("rates")["committed"]["gpu"],
        found["device"],
        scripted("gpu"),
    )


def exact(row: dict[str, Any]) -> bool:
    """Whether a row of search.py is of our own exact search for ten."""
    return row["engine"] == "unweave" and row.get("setting") is None and row.get("k") == 10


def spread(seconds: np.ndarray) -> Spread:
    """How times, (n_shards, n_queries), differ by query, and by shard for one query."""
    of_query = np.median(seconds, axis=0)
    return Spread(quantiles(of_query / np.median(of_query)), quantiles((seconds / of_query).ravel()))


def training() -> tuple[Training, ...]:
    """From training.py: our rows at k = 32."""
    rows = [row for row in results("training")["throughput"] if row["system"] == "unweave" and row["k"] == 32]
    return tuple(Training(row["d"], row["n_latents"], row["rate"]) for row in rows)


def training_on_gpu() -> tuple[Training, ...]:
    """From gpu.py: the faster batch of each size at k = 32."""
    best: dict[tuple[int, int], float] = {}
    for row in results("gpu")["rows"]:
        if row["k"] == 32:
            size = row["d"], row["n_latents"]
            best[size] = max(best.get(size, 0.0), row["rate"])
    return tuple(Training(*size, rate) for size, rate in best.items())


def rate_of(found: dict[str, Any], name: str, value: float, unit: str, what: str) -> Rate:
    return Rate(value, unit, what, found["about"]["date"], found["about"]["machine"], scripted(name))


def scripted(name: str) -> str:
    return f"python benchmarks/{name}.py"


def committed(name: str) -> str:
    """The day when results were committed that do not say when they were found."""
    command = ["git", "-C", str(HERE), "log", "-1", "--format=%cs", "--", f"results/{name}.json"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def summary(passages: str, whole: bool = False, **assumed: Any) -> list[str]:
    """What `unweave plan` shows for so many passages and 8 GPUs; all of it, or down to the search.

    Prices are only examples: 2.50 an hour for a GPU, .04 for a core, .023 a GB and month.
    """
    found = planned(
        Order(n_passages=count(passages), words=WORDS, encoder=shape_of(DEFAULT_MODEL), gpus=8),
        cluster_rates.packaged(), Assumptions(**assumed), Prices(gpu_hour=2.5, cpu_hour=0.04, gb_month=0.023),
    )  # fmt: skip
    lines = list(shown(found))
    return lines if whole else lines[: lines.index(MEASURED) - 1]


def results(name: str) -> dict[str, Any]:
    return dict(json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
