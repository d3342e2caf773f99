"""How fast is a training step on a GPU, beside the encoder's product alone and the arithmetic of growth.py?

    python benchmarks/gpu.py [--profile]

Random unit vectors, as in growth.py: what a step costs does not depend on them. The floor is the product of a batch and
the encoder in float32 (without TF32) and in bfloat16. Writes results/gpu.json; --profile prints the kernels of some
steps in place of that.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from growth import MS_MARCO, PASSES, h100_seconds

from unweave.cli.show import table
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.training.parallel import World
from unweave.sae.training.rows import TrainingTexts, ahead
from unweave.sae.training.run import Run

RESULTS = Path(__file__).parent / "results" / "gpu.json"
SIZES = tuple(itertools.product((384, 768), (8, 32), (32, 64)))
BATCHES = (4096, 16_384)
STEPS, WARM_STEPS = 40, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    if parser.parse_args().profile:
        profile()
        return
    rows = [measured(d, expansion * d, k, batch) for d, expansion, k in SIZES for batch in BATCHES]
    row = measured(MS_MARCO["d"], MS_MARCO["n_latents"], MS_MARCO["k"], BATCHES[1])
    projected = {
        "seconds": PASSES * MS_MARCO["n"] / row["rate"],
        "arithmetic": PASSES * MS_MARCO["n"] * h100_seconds(MS_MARCO),
    }
    results = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows, "ms_marco": projected}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(results))


def summary(results: dict[str, Any]) -> list[str]:
    """What the documentation shows: the faster of the two batches at each size, and what MS MARCO takes."""
    best: dict[tuple[int, int, int], dict[str, Any]] = {}
    for row in results["rows"]:
        size = row["d"], row["n_latents"], row["k"]
        best[size] = max(best.get(size, row), row, key=lambda r: float(r["rate"]))
    rows = [
        {"size": f"{d} x {n_latents:,}, k = {k}", "embeddings/s": f"{row['rate']:,.0f}", "batch": f"{row['batch']:,}",
         "product alone, float32": f"{row['floor']['float32']:,.0f}", "bfloat16": f"{row['floor']['bfloat16']:,.0f}",
         "MB of the card": f"{row['peak_bytes'] / 1e6:,.0f}"} for (d, n_latents, k), row in best.items()
    ]  # fmt: skip
    p, size = results["ms_marco"], f"{MS_MARCO['n']:,} x {MS_MARCO['d']}, {MS_MARCO['n_latents']:,} latents"
    return [
        results["device"],
        "",
        *table(rows),
        "",
        f"{size}, k = {MS_MARCO['k']}, {PASSES} passes: {p['seconds']:.0f} s ({p['arithmetic']:.0f} s by arithmetic)",
    ]


def measured(d: int, n_latents: int, k: int, batch: int) -> dict[str, Any]:
    """Embeddings a second of training and of the products alone, and the memory of the card at its peak."""
    torch.cuda.reset_peak_memory_stats()
    steps = statistics.median(seconds_of_steps(d, n_latents, k, batch, STEPS)[WARM_STEPS:])
    peak = torch.cuda.max_memory_allocated()
    floors = {
        str(dtype).split(".")[1]: batch / product(d, n_latents, batch, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    row = {
        "d": d,
        "n_latents": n_latents,
        "k": k,
        "batch": batch,
        "rate": batch / steps,
        "peak_bytes": peak,
        "floor": floors,
    }
    print(json.dumps(row), flush=True)
    return row


def seconds_of_steps(d: int, n_latents: int, k: int, batch: int, n_steps: int) -> list[float]:
    """Seconds of each step, the reading of its texts and their copy to the card included."""
    rows = np.random.default_rng(0).standard_normal((4 * batch, d), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    texts = TrainingTexts.of(rows, in_memory_bytes=0)
    config = TrainConfig(steps=1000, batch_size=batch, dead_after=10_000_000)
    run = Run(texts, rows[:0], SAEConfig(d_in=d, n_latents=n_latents, k=k), config, "cuda", World(), None)
    hint, seconds = run.first_hint(), []
    start = time.perf_counter()
    for number, x in enumerate(ahead(texts, texts.batches(0, n_steps, batch, seed=0), pinned=True)):
        hint = run.learn(run.on_device(x), number, hint).hint
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return seconds


def product(d: int, n_latents: int, batch: int, dtype: torch.dtype) -> float:
    """Median seconds of the encoder's product."""
    x, W = torch.randn(batch, d, device="cuda", dtype=dtype), torch.randn(n_latents, d, device="cuda", dtype=dtype)
    out = torch.empty(batch, n_latents, device="cuda", dtype=dtype)
    seconds = []
    for _ in range(20):
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.mm(x, W.T, out=out)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def profile() -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    seconds_of_steps(768, 24_576, 32, BATCHES[0], 5)
    with profiled(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as seen:
        seconds_of_steps(768, 24_576, 32, BATCHES[0], 20)
    print(seen.key_averages().table(sort_by="cuda_time_total", row_limit=28, max_name_column_width=50))


if __name__ == "__main__":
    main()
