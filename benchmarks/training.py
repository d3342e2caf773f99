"""Does it train and encode faster than every peer, at equal or better quality?

    python benchmarks/training.py [--quick] [--part throughput | quality | encode] [--budgets 300 600]

Peers (sparsify, SAELens, dictionary-learning, latentsae, overcomplete, sentence-transformers' CSR) are installed into
an environment of their own and run by their own code, see `peers/`. All systems get the same embeddings, batches, seed
and clock.

throughput: training steps of 4,096 embeddings, ours before and after each peer, beside the encoder's product alone
            (the floor: no exact method does less work in float32).
quality:    held-out NMSE at an L0 of exactly k after equal wall time. A system's steps are its measured rate times the
            budget, so that another program on the machine changes how long the benchmark takes, but not its result.
            Each peer has the better of two learning rates, its own rule's and 1e-3, by a pilot run. A longer budget is
            for the two best peers of the one before.
encode:     `SAE.encode` beside the matrix product alone.

Finished runs are kept in the cache, so that a stopped benchmark goes on. Writes results/training.json, .txt and .png.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peers
import texts
import torch
from measuring import about
from peers import OURS
from peers.quality import held_out_nmse

from unweave.cli.show import table
from unweave.config import SAEConfig
from unweave.sae.model import SAE

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "training.json"
RUNS = texts.CACHE / "training"
SOURCES = ("wordnet-glosses", "gcide", "debian-packages", "foldoc", "scifact/passages", "squad-sentences/passages",
           "cranfield/passages", "fiqa-mini/passages")  # fmt: skip
HELD_OUT = 8000
QUICK = 16_384
WIDE = 8192
"""Texts embedded by the 768-wide model: enough for batches; only speed is measured on them."""
BATCH = 4096
QUALITY_BATCH = 1024
LATENTS, K = 12_288, 32
PILOT_SECONDS = 10
CONTENDERS = 2
"""Peers, the best at one budget, that are compared at the next, longer one."""
PILOT_LRS = (None, 1e-3)
"""Learning rates that a peer is tried with; None is its own rule."""


texts_taken: dict[str, Any] = {"sources": SOURCES, "most": None}
"""What is read: all, but for --quick."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one size, two peers, a budget of 10 s, a few texts of the first source: a few minutes",
    )
    parser.add_argument("--part", choices=["throughput", "quality", "encode"], action="append")
    parser.add_argument("--budgets", type=int, nargs="*", default=[300, 600], help="seconds of training to compare at")
    options = parser.parse_args()
    if options.quick:
        texts_taken.update(sources=SOURCES[:1], most=QUICK)
    parts = options.part or ["throughput", "encode", "quality"]
    systems = peers.PEERS[:2] if options.quick else peers.PEERS
    sizes = [(384, 32, 32)] if options.quick else [(d, e, k) for d in (384, 768) for e in (8, 32) for k in (32, 64)]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["about"] = about("torch", "numpy", "numba")
    if "throughput" in parts:
        results["throughput"] = [row for size in sizes for row in throughput(*size, systems)]
    if "encode" in parts:
        results["encode"] = [encoding(d, e * d, k) for d, e, k in sizes if k == K]
    if "quality" in parts:
        results["quality"] = quality([10] if options.quick else options.budgets, systems)
    written = RESULTS.with_stem("training-quick") if options.quick else RESULTS
    written.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    lines = list(report(results))
    written.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot(results, written.with_suffix(".png"))
    print("\n".join(lines))
    print(json.dumps(headline(results)))


# --- data and runs ---------------------------------------------------------------------------------


def data(d: int) -> tuple[Path, Path]:
    """Files of training and held-out embeddings, in one random order."""
    sources, most = texts_taken["sources"], texts_taken["most"]
    folder = RUNS / (f"data-{d}-{most}" if most else f"data-{d}")
    if not (folder / "held_out.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if d == 384:
            rows = np.concatenate([texts.embeddings(source, most=most) for source in sources])
        else:
            rows = texts.embeddings("wordnet-glosses", texts.MPNET, WIDE)
        rows = rows[np.random.default_rng(0).permutation(len(rows))]
        held_out = min(HELD_OUT, len(rows) // 8)
        np.save(folder / "train.npy", rows[held_out:])
        np.save(folder / "held_out.npy", rows[:held_out])
    return folder / "train.npy", folder / "held_out.npy"


def train(system: str, name: str, d: int = 384, **request: Any) -> dict[str, Any]:
    """One run of a system, or its result from the cache; its weights are in the folder `out` of the result."""
    train_rows, held_out = data(d)
    out = RUNS / name / system
    asked = {"data": str(train_rows), "held_out": str(held_out), "out": str(out), "threads": os.cpu_count(), **request}
    done = out / "done.json"
    if done.exists() and (there := json.loads(done.read_text()))["asked"] == asked:
        return there
    print(f"{name}: {system}", file=sys.stderr, flush=True)
    result = peers.run(system, asked) | {"asked": asked, "out": str(out)}
    done.write_text(json.dumps(result))
    return result


# --- throughput ------------------------------------------------------------------------------------


def throughput(d: int, expansion: int, k: int, systems: tuple[str, ...]) -> list[dict[str, Any]]:
    """Each system's rate at one size: the median of its steps; ours and the floor before and after each peer."""
    name = f"throughput-{d}-{expansion}-{k}"
    request = {"n_latents": expansion * d, "k": k, "batch_size": BATCH, "eval_at": []}
    floors, ours, rows = [floor(d, expansion * d, f"{name}-first")], [], []
    for number, system in enumerate(systems):
        ours.append(train(OURS, f"{name}-{number}", d, **request, steps=11, warm_steps=4))
        floors.append(floor(d, expansion * d, f"{name}-{number}"))
        rows.append(train(system, name, d, **request, steps=7, warm_steps=2))
        floors.append(floor(d, expansion * d, f"{name}-{number}-after"))
    floor_rate = statistics.median(floors)
    steps = [taken for run in ours for taken in run["seconds_per_step"][4:]]
    rates = [rate_of(ours[0], steps), *(rate_of(run, run["seconds_per_step"][2:]) for run in rows)]
    return [{"d": d, "n_latents": expansion * d, "k": k, "floor": floor_rate} | rate for rate in rates]


def rate_of(run: Mapping[str, Any], seconds: list[float]) -> dict[str, Any]:
    """Median, slowest and fastest of some steps as embeddings a second, and the memory of the run."""
    size = run["asked"]["batch_size"]
    return {
        "system": run["peer"],
        "version": run["version"],
        "variant": run["variant"],
        "rate": size / statistics.median(seconds),
        "slowest": size / max(seconds),
        "fastest": size / min(seconds),
        "peak_bytes": run["peak_rss_bytes"],
        "training_bytes": run["peak_rss_bytes"] - run["rss_after_loading_bytes"],
    }


def floor(d: int, n_latents: int, name: str) -> float:
    """Embeddings a second of the encoder's product alone, in float32 on all cores: a median, kept as a run is."""
    done = RUNS / name / "floor.json"
    if not done.exists():
        x, W, out = torch.randn(BATCH, d), torch.randn(n_latents, d), torch.empty(BATCH, n_latents)
        seconds = statistics.median(timed(lambda: torch.mm(x, W.T, out=out)) for _ in range(5))
        done.parent.mkdir(parents=True, exist_ok=True)
        done.write_text(json.dumps(BATCH / seconds))
    return float(json.loads(done.read_text()))


def timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- encoding --------------------------------------------------------------------------------------


def encoding(d: int, n_latents: int, k: int) -> dict[str, Any]:
    """Rates of `SAE.encode` and of NumPy's product alone, alternating; medians of seven."""
    rows = np.load(data(d)[0], mmap_mode="r")[:8192].copy()
    sae = some_sae(rows, n_latents, k)
    weights = sae.W_enc.T.copy().T
    out = np.empty((1024, n_latents), np.float32)

    def product() -> None:
        for start in range(0, len(rows), len(out)):
            np.matmul(rows[start : start + len(out)], weights.T, out=out)

    sae.encode(rows)
    pairs = [(timed(product), timed(lambda: sae.encode(rows))) for _ in range(7)]
    alone, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    share = statistics.median(a / b for a, b in pairs)
    l0 = sae.encode(rows).nnz / len(rows)
    return {"d": d, "n_latents": n_latents, "l0": l0, "rate": len(rows) / ours, "floor": len(rows) / alone,
            "share": share}  # fmt: skip


def some_sae(rows: np.ndarray, n_latents: int, k: int) -> SAE:
    """Directions drawn from the embeddings, with the threshold that gives k latents; training changes no speed."""
    random = np.random.default_rng(0)
    b_pre = rows.mean(axis=0)
    drawn = rows[random.integers(len(rows), size=n_latents)] - b_pre
    W = drawn + 0.02 * random.standard_normal(drawn.shape, np.float32)
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    activations = (rows[:512] - b_pre) @ W.T
    threshold = np.partition(activations, -k * 512, axis=None)[-k * 512]
    config = SAEConfig(d_in=rows.shape[1], n_latents=n_latents, k=k)
    return SAE(config, W, np.zeros(n_latents, np.float32), W, b_pre, np.array([threshold], np.float32))


# --- quality ---------------------------------------------------------------------------------------


def quality(budgets: list[int], systems: tuple[str, ...]) -> list[dict[str, Any]]:
    """Held-out NMSE of each system after each budget, and of ours after as many samples as the fastest peer's."""
    held_out = np.load(data(384)[1])
    rates = {system: quality_rate(system) for system in (OURS, *systems)}
    fastest = max(systems, key=rates.__getitem__)
    rows = []
    for budget in budgets:
        found = {}
        for system in (OURS, *systems):
            lr = best_lr(system, rates[system], held_out)
            found[system] = measured(system, budget, steps_of(rates[system], budget), lr, held_out)
        rows += found.values()
        rows.append(measured(OURS, budget, steps_of(rates[fastest], budget), None, held_out) | {"as_many_as": fastest})
        systems = tuple(sorted(systems, key=lambda system: found[system]["nmse"])[:CONTENDERS])
    return rows


def quality_rate(system: str) -> float:
    """Embeddings a second in batches of the size that quality is compared at."""
    run = train(system, "rate", **settings(12), warm_steps=4)
    return QUALITY_BATCH / statistics.median(run["seconds_per_step"][4:])


def settings(steps: int) -> dict[str, Any]:
    return {"n_latents": LATENTS, "k": K, "batch_size": QUALITY_BATCH, "steps": steps, "eval_at": [steps],
            "lr_warmup": min(100, steps // 4)}  # fmt: skip


def steps_of(rate: float, seconds: float) -> int:
    return max(8, round(rate * seconds / QUALITY_BATCH))


def best_lr(system: str, rate: float, held_out: np.ndarray) -> float | None:
    """A peer's learning rate with the lower held-out NMSE after a short run; ours is always the recipe's."""
    if system == OURS:
        return None
    steps = steps_of(rate, PILOT_SECONDS)

    def nmse(lr: float | None) -> float:
        run = train(system, f"pilot-{lr}", **settings(steps), lr=lr)
        return float(held_out_nmse(Path(run["out"]) / f"weights-{steps}.npz", held_out, K)["nmse_threshold"])

    return min(PILOT_LRS, key=nmse)


def measured(system: str, budget: int, steps: int, lr: float | None, held_out: np.ndarray) -> dict[str, Any]:
    run = train(system, f"quality-{budget}-{steps}", **settings(steps), lr=lr)
    found = held_out_nmse(Path(run["out"]) / f"weights-{steps}.npz", held_out, K, np.load(data(384)[0])[:100_000])
    return {
        "system": run["peer"],
        "seconds": budget,
        "samples": steps * QUALITY_BATCH,
        "lr": run["lr"],
        "nmse": found["nmse_threshold"],
        "nmse_top_k": found["nmse_top_k"],
        "l0": found["l0_threshold"],
        "own_l0": found["l0_own_threshold"],
        "dead_share": 1 - found["n_live"] / LATENTS,
        "live_of_texts": found["n_live_rows"],
    }


# --- what is said ----------------------------------------------------------------------------------


def report(results: Mapping[str, Any]) -> list[str]:
    """The tables as text."""
    lines = [f"{results['about']['machine']}; {results['about']['date']}, commit {results['about']['commit']}", ""]
    if "throughput" in results:
        lines += ["Training, embeddings a second in batches of 4,096 (median of steps), as a share of the floor", ""]
        lines += list(table([
            {"size": f"{r['d']} x {r['n_latents']:,}, k={r['k']}", "system": r["system"], "variant": r["variant"],
             "per second": f"{r['rate']:,.0f}", "range": f"{r['slowest']:,.0f}-{r['fastest']:,.0f}",
             "of the floor": f"{r['rate'] / r['floor']:.2f}", "peak MB": f"{r['peak_bytes'] / 1e6:,.0f}",
             "training MB": f"{r['training_bytes'] / 1e6:,.0f}"}
            for r in results["throughput"]
        ]))  # fmt: skip
    if "encode" in results:
        lines += ["", "Encoding, embeddings a second", ""]
        lines += list(table([
            {"size": f"{r['d']} x {r['n_latents']:,}", "L0": f"{r['l0']:.1f}", "per second": f"{r['rate']:,.0f}",
             "product alone": f"{r['floor']:,.0f}", "share": f"{r['share']:.2f}"}
            for r in results["encode"]
        ]))  # fmt: skip
    if "quality" in results:
        lines += ["", f"Held-out NMSE at L0 = {K}, {LATENTS:,} latents, after equal wall time", ""]
        lines += list(table([
            {"system": r["system"] + (f" (samples of {r['as_many_as']})" if "as_many_as" in r else ""),
             "seconds": r["seconds"], "samples": f"{r['samples']:,}", "lr": f"{r['lr']:.1e}",
             "NMSE": f"{r['nmse']:.4f}", "L0": f"{r['l0']:.1f}", "NMSE top-k": f"{r['nmse_top_k']:.4f}",
             "dead": f"{r['dead_share']:.1%}"}
            for r in results["quality"]
        ]))  # fmt: skip
    return lines


def summary(results: Mapping[str, Any]) -> list[str]:
    """What the documentation shows: ours beside the fastest peer of each size, and all after equal time."""
    speeds = []
    for rows in by_size(results):
        ours, best = rows[0], max(rows[1:], key=lambda r: r["rate"])
        speeds.append({
            "size": f"{ours['d']} x {ours['n_latents']:,}, k={ours['k']}",
            "embeddings/s": f"{ours['rate']:,.0f}",
            "of the floor": f"{ours['rate'] / ours['floor']:.2f}",
            "fastest peer": best["system"],
            "its embeddings/s": f"{best['rate']:,.0f}",
            "times as fast": f"{ours['rate'] / best['rate']:.1f}",
        })  # fmt: skip
    return [*table(speeds), *(errors(results) if "quality" in results else [])]


def errors(results: Mapping[str, Any]) -> list[str]:
    """Held-out NMSE of each system after each budget."""
    rows = [r for r in results["quality"] if "as_many_as" not in r]
    budgets = sorted({r["seconds"] for r in rows})
    shown = []
    for system in dict.fromkeys(r["system"] for r in rows):
        of_budget = {r["seconds"]: r for r in rows if r["system"] == system}
        found = {f"NMSE, {s} s": f"{of_budget[s]['nmse']:.3f}" if s in of_budget else "" for s in budgets}
        last = of_budget[max(of_budget)]
        shown.append(
            {"system": system, **found, "texts seen": f"{last['samples']:,}", "dead": f"{last['dead_share']:.1%}"}
        )
    return ["", f"held-out NMSE at L0 = {K}, {LATENTS:,} latents, after equal time", "", *table(shown)]


def by_size(results: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """The rows of throughput of each size, ours first."""
    sizes: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in results["throughput"]:
        sizes.setdefault((row["d"], row["n_latents"], row["k"]), []).append(row)
    return list(sizes.values())


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    """The worst case over all sizes and budgets."""
    ratios: dict[str, float] = {}
    if "throughput" in results:
        ours, theirs = zip(*((rows[0], rows[1:]) for rows in by_size(results)), strict=True)
        ratios["train_vs_best_peer"] = min(
            r["rate"] / max(p["rate"] for p in rows) for r, rows in zip(ours, theirs, strict=True)
        )
        ratios["train_vs_floor"] = min(r["rate"] / r["floor"] for r in ours)
        ratios["peak_memory_vs_best_peer"] = max(
            r["peak_bytes"] / min(p["peak_bytes"] for p in rows) for r, rows in zip(ours, theirs, strict=True)
        )
    if "encode" in results:
        ratios["encode_vs_floor"] = min(r["share"] for r in results["encode"])
    if "quality" in results:
        rows = results["quality"]
        ratios["nmse_vs_best_peer"] = max(
            r["nmse"] / min(p["nmse"] for p in rows if p["system"] != OURS and p["seconds"] == r["seconds"])
            for r in rows
            if r["system"] == OURS
        )
    return {name: round(value, 3) for name, value in ratios.items()}


def plot(results: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    rows = results.get("throughput", [])
    systems = list(dict.fromkeys(r["system"] for r in rows))
    sizes = list(dict.fromkeys((r["d"], r["n_latents"], r["k"]) for r in rows))
    for number, system in enumerate(systems):
        shares = [next(r["rate"] / r["floor"] for r in rows if r["system"] == system
                       and (r["d"], r["n_latents"], r["k"]) == size) for size in sizes]  # fmt: skip
        places = np.arange(len(sizes)) + (number - len(systems) / 2) * 0.11
        left.bar(places, shares, 0.11, label=system, color=f"C{number}")
    left.axhline(1, color="grey", linewidth=0.8, linestyle=":")
    left.set_xticks(range(len(sizes)), [f"{d}\n{n:,}\nk={k}" for d, n, k in sizes], fontsize=8)
    left.set_ylabel("training rate / rate of the encoder's product")
    left.legend(fontsize=8)
    for number, system in enumerate(dict.fromkeys(r["system"] for r in results.get("quality", []))):
        points = [r for r in results["quality"] if r["system"] == system and "as_many_as" not in r]
        right.plot([r["seconds"] for r in points], [r["nmse"] for r in points], "o-", label=system, color=f"C{number}")
    right.set_xlabel("seconds of training")
    right.set_ylabel(f"held-out NMSE at L0 = {K}")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
