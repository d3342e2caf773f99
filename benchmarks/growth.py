"""How do time and memory of training grow with the texts, their width, the dictionary and k?

    python benchmarks/growth.py [--quick]

Each factor runs over a decade while the others stay at 384 x 6,144, k = 32, batches of 2,048; the exponent is that of a
fitted power law. From the rates follow the hours for MS MARCO's 8.8 million passages in 768 dimensions on this machine
and, by arithmetic from the work that each part of a step does, on an H100. Embeddings are random unit vectors: what a
step costs does not depend on them. Writes results/growth.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import about, peak_bytes
from numpy.typing import NDArray

from unweave.cli.show import table
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.training.parallel import World
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import Run

RESULTS = Path(__file__).parent / "results" / "growth.json"
BASE = {"n": 32_768, "d": 384, "n_latents": 6144, "k": 32}
BATCH = 2048
DECADES = {
    "n": (16_384, 32_768, 65_536, 163_840),
    "d": (96, 192, 384, 960),
    "n_latents": (1536, 3072, 6144, 15_360),
    "k": (8, 16, 32, 80),
}
MS_MARCO = {"n": 8_841_823, "d": 768, "n_latents": 24_576, "k": 32}
PASSES = 2
H100 = {"bf16_flops": 400e12, "bytes_per_second": 2.5e12}
"""What is assumed of an H100 SXM: about 40 % of its bfloat16 peak in a product, three quarters of its bandwidth."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the ends of each decade alone")
    options = parser.parse_args()
    rows, exponents = [], {}
    for factor, values in DECADES.items():
        chosen = values[:: len(values) - 1] if options.quick else values
        measured = [apart(BASE | {factor: value}) for value in chosen]
        rows += [{"factor": factor, "value": value, **m} for value, m in zip(chosen, measured, strict=True)]
        what = "epoch_seconds" if factor == "n" else "step_seconds"
        exponents[factor] = {
            "time": power([m[what] for m in measured], chosen),
            "memory": power([m["training_bytes"] for m in measured], chosen),
        }
    here = apart(MS_MARCO | {"n": BASE["n"]})
    projected = {
        "here_hours": PASSES * MS_MARCO["n"] * here["step_seconds"] / BATCH / 3600,
        "h100_seconds": PASSES * MS_MARCO["n"] * h100_seconds(MS_MARCO),
        "passes": PASSES,
        **MS_MARCO,
    }
    results = {"about": about("torch", "numpy", "numba"), "rows": rows, "exponents": exponents, "projected": projected}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table([
        {"factor": r["factor"], "value": f"{r['value']:,}", "ms a step": f"{1e3 * r['step_seconds']:.1f}",
         "s an epoch": f"{r['epoch_seconds']:.1f}", "training MB": f"{r['training_bytes'] / 1e6:,.0f}"} for r in rows
    ])))  # fmt: skip
    print("\n".join(summary(results)))
    print(json.dumps({f"{factor}_{of}": round(e, 2) for factor, es in exponents.items() for of, e in es.items()}))


def summary(results: dict[str, Any]) -> list[str]:
    """What the documentation shows: the exponents, and what MS MARCO would take."""
    names = {"n": "texts", "d": "dimensions", "n_latents": "latents", "k": "k"}
    rows = [
        {"factor": names[factor], "exponent of time": f"{e['time']:.2f}", "of training memory": f"{e['memory']:.2f}"}
        for factor, e in results["exponents"].items()
    ]
    p = results["projected"]
    return [
        *table(rows),
        "",
        f"{p['n']:,} x {p['d']}, {p['n_latents']:,} latents, k = {p['k']}, {p['passes']} passes:",
        f"{p['here_hours']:.1f} h, and {p['h100_seconds']:.0f} s on an H100 (arithmetic: products and memory alone)",
    ]


def apart(size: dict[str, int]) -> dict[str, float]:
    """`cost` in a process of its own, so that its peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(cost, (size,))


def cost(size: dict[str, int]) -> dict[str, float]:
    """Median seconds of a step, seconds of an epoch, and bytes beyond those of the embeddings."""
    random = np.random.default_rng(0)
    rows = random.standard_normal((size["n"], size["d"]), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    seconds: list[float] = []
    training_bytes = peak_bytes(lambda: seconds.extend(seconds_of_steps(rows, size)))
    timed = seconds[4:]
    return {"step_seconds": statistics.median(timed), "epoch_seconds": sum(timed), "training_bytes": training_bytes}


def seconds_of_steps(rows: NDArray[np.float32], size: dict[str, int]) -> Iterator[float]:
    """Seconds of each step of an epoch and four before it."""
    config = SAEConfig(d_in=size["d"], n_latents=size["n_latents"], k=size["k"])
    texts = TrainingTexts.of(rows, in_memory_bytes=0)
    train_config = TrainConfig(steps=1000, batch_size=BATCH, dead_after=10 * size["n"])
    run = Run(texts, rows[:0], config, train_config, "cpu", World(), None)
    hint = run.first_hint()
    with run.engine.running():
        for number, positions in enumerate(texts.batches(0, size["n"] // BATCH + 4, BATCH, seed=0)):
            start = time.perf_counter()
            hint = run.learn(run.on_device(texts.take(positions)), number, hint).hint
            yield time.perf_counter() - start


def power(costs: list[float], values: tuple[int, ...]) -> float:
    """The exponent of cost ~ value^exponent, by least squares on logarithms."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def h100_seconds(size: dict[str, int]) -> float:
    """Seconds a text: the encoder's product by its operations, all else by the bytes it moves."""
    d, n_latents, k = size["d"], size["n_latents"], size["k"]
    product = 2 * d * n_latents / H100["bf16_flops"]
    gathered = 5 * k * d * 4  # decode, exact products, code gradient and both weight gradients read one row an entry
    dense = 2 * 2 * n_latents  # the tile of products in bfloat16, written and read
    adam = 2 * 6 * n_latents * d * 4 / BATCH  # two parameters and four moments, read and written once a batch
    return product + (gathered + dense + adam) / H100["bytes_per_second"]


if __name__ == "__main__":
    main()
