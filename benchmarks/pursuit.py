"""Does pursuit reach full orthogonal matching pursuit's error, and how fast?

    python benchmarks/pursuit.py [--quick]

An SAE is trained on glosses and definitions (embedded by all-MiniLM-L6-v2) and kept in the cache; held-out texts are
then encoded by its own encoder (threshold), by each pursuit and by scikit-learn's two orthogonal matching pursuits.
Those are signed: they may subtract directions, which makes their error lower and their codes no use to an index, so the
headline compares with them and with the full non-negative pursuit, which looks at all latents in every step. All
run in turns, `--rounds` times; medians count. scikit-learn gets fewer texts, and errors are compared on just those.
Memory is that of a process of its own that encodes n or 4 n texts, less what it had before encoding.

Writes results/pursuit.json and .png. The last line holds the headline figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import texts
from measuring import about, nmse, peak_bytes
from numpy.typing import NDArray

from unweave.cli.show import table
from unweave.config import SAEConfig
from unweave.sae.model import SAE, pursue

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pursuit.json"
SOURCES = ("wordnet-glosses", "gcide", "debian-packages", "foldoc")
CONFIG = SAEConfig(d_in=384, n_latents=6144, k=32)
HELD_OUT = 10_000
QUICK = 16_384
DEFAULT, FULL = "orthogonal", "orthogonal, all latents"

Codes = Any
Encode = Callable[[SAE, NDArray[np.float32]], Codes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a shorter training and fewer texts")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each system")
    parser.add_argument("--memory", nargs=2, metavar=("SYSTEM", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    steps, n, n_few = (300, 1000, 20) if options.quick else (2000, 8000, 100)
    sources, most = (SOURCES[:1], QUICK) if options.quick else (SOURCES, None)
    folder = texts.CACHE / "pursuit" / f"sae-{steps}-steps"
    if options.memory:
        system, n = options.memory
        print(memory(SYSTEMS[system], SAE.load(folder), texts.embeddings(SOURCES[0], most=most)[: int(n)]))
        return
    training, held_out = data(sources, most)
    sae = trained(folder, training, held_out, steps)
    results = {
        "about": about("numpy", "numba", "scipy", "scikit-learn"),
        "sae": {"n_latents": CONFIG.n_latents, "d_in": CONFIG.d_in, "k": CONFIG.k} | sae.measure(held_out)._asdict(),
        "systems": measured(sae, held_out[:n], n_few, options.rounds),
    }
    for name, row in results["systems"].items():
        if name not in PEERS:
            row["peak_bytes"], row["peak_bytes_of_4n"] = (memory_of(name, m, options.quick) for m in (n, 4 * n))
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        plot(results["systems"], RESULTS.with_suffix(".png"))
    print("\n".join(table([shown(name, row) for name, row in results["systems"].items()])))
    print(json.dumps(headline(results["systems"])))


# --- the systems ------------------------------------------------------------------------------------


def orthogonal_mp(sae: SAE, embeddings: NDArray[np.float32]) -> Codes:
    from sklearn.linear_model import orthogonal_mp

    return _rows(orthogonal_mp(sae.W_dec.T, (embeddings - sae.b_pre).T, n_nonzero_coefs=CONFIG.k))


def orthogonal_mp_gram(sae: SAE, embeddings: NDArray[np.float32]) -> Codes:
    from sklearn.linear_model import orthogonal_mp_gram

    if sae not in _grams:
        _grams[sae] = sae.W_dec @ sae.W_dec.T
    first = sae.W_dec @ (embeddings - sae.b_pre).T
    return _rows(orthogonal_mp_gram(_grams[sae], first, n_nonzero_coefs=CONFIG.k))


_grams: dict[SAE, NDArray[np.float32]] = {}


def _rows(columns: NDArray[np.float32]) -> Codes:
    from scipy.sparse import csr_array

    return csr_array(columns.T)


SYSTEMS: dict[str, Encode] = {
    "threshold": lambda sae, x: sae.encode(x),
    "matching": lambda sae, x: pursue(sae, x, method="matching"),
    "gradient": lambda sae, x: pursue(sae, x, method="gradient"),
    DEFAULT: pursue,
    FULL: lambda sae, x: pursue(sae, x, exact=True),
    "orthogonal, no Gram matrix": lambda sae, x: pursue(sae, x, most_gram_bytes=0),
    "matching, no Gram matrix": lambda sae, x: pursue(sae, x, method="matching", most_gram_bytes=0),
    "sklearn orthogonal_mp": orthogonal_mp,
    "sklearn orthogonal_mp_gram": orthogonal_mp_gram,
}
PEERS = [name for name in SYSTEMS if name.startswith("sklearn")]
NO_GRAM = [name for name in SYSTEMS if "no Gram" in name]
"""Slow ones: the peers get few texts, these an eighth of all."""


# --- measuring --------------------------------------------------------------------------------------


def data(sources: Sequence[str], most: int | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Training texts, in random order, and held-out glosses."""
    glosses, *others = (texts.embeddings(source, most=most) for source in sources)
    random = np.random.default_rng(0)
    glosses = glosses[random.permutation(len(glosses))]
    training = np.concatenate([glosses[HELD_OUT:], *others])
    return training[random.permutation(len(training))], glosses[:HELD_OUT]


def trained(folder: Path, training: NDArray[np.float32], held_out: NDArray[np.float32], steps: int) -> SAE:
    if not folder.exists():
        from unweave.config import TrainConfig
        from unweave.sae.training.run import run_training

        run_training(training, held_out, CONFIG, TrainConfig(steps=steps, batch_size=1024, lr=4e-3)).sae.save(folder)
    return SAE.load(folder)


def measured(sae: SAE, embeddings: NDArray[np.float32], n_few: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Texts a second and NMSE of each system, in turns."""
    rows: dict[str, dict[str, Any]] = {name: {"runs": []} for name in SYSTEMS}
    for number in range(rounds + 1):  # the first, which compiles and calculates Gram matrices, is not counted
        for name, encode in SYSTEMS.items():
            n = n_few if name in PEERS or number == 0 else len(embeddings) // (8 if name in NO_GRAM else 1)
            mine = embeddings[:n]
            started = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # scikit-learn's, where it ends before k latents
                codes = encode(sae, mine)
            seconds = time.perf_counter() - started
            if number:
                rows[name]["runs"].append(len(mine) / seconds)
                rows[name]["l0"] = codes.nnz / len(mine)
                rows[name]["nmse"] = nmse(sae, mine, codes)
                rows[name]["nmse_of_few"] = nmse(sae, mine[:n_few], codes[:n_few])
    for row in rows.values():
        row["per_second"] = statistics.median(row["runs"])
    return rows


def memory_of(system: str, n: int, quick: bool) -> int:
    command = [sys.executable, __file__, "--memory", system, str(n), *(["--quick"] if quick else [])]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def memory(encode: Encode, sae: SAE, embeddings: NDArray[np.float32]) -> int:
    """The memory that encoding takes at its peak, the codes and any Gram matrix with it."""
    toy = SAEConfig(d_in=CONFIG.d_in, n_latents=64, k=8)
    few = {name: getattr(sae, name)[:64] for name in ("W_enc", "b_enc", "W_dec")}
    encode(SAE(toy, b_pre=sae.b_pre, threshold=sae.threshold[:1], **few), embeddings[:4])  # compiles or reads kernels
    return peak_bytes(lambda: encode(sae, embeddings))


# --- showing ----------------------------------------------------------------------------------------


def headline(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    ours = rows[DEFAULT]
    return {
        "passages_per_second": round(ours["per_second"]),
        "error_vs_full_omp": round(ours["nmse_of_few"] / min(rows[name]["nmse_of_few"] for name in PEERS), 4),
        "error_vs_full_nonnegative_omp": round(ours["nmse"] / rows[FULL]["nmse"], 4),
        "speed_vs_sklearn": round(ours["per_second"] / max(rows[name]["per_second"] for name in PEERS), 1),
    }


def summary(results: Mapping[str, Any]) -> list[str]:
    """What the documentation shows."""
    columns = ("encoder", "texts/s", "L0", "NMSE of the few", "MB, n")
    rows = (shown(name, row) for name, row in results["systems"].items() if name not in NO_GRAM)
    return list(table([{column: row[column] for column in columns} for row in rows]))


def shown(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    megabytes = [f"{row[key] / 1e6:.0f}" if key in row else "" for key in ("peak_bytes", "peak_bytes_of_4n")]
    return {
        "encoder": name,
        "texts/s": f"{row['per_second']:,.0f}",
        "range": f"{min(row['runs']):,.0f}-{max(row['runs']):,.0f}",
        "L0": f"{row['l0']:.1f}",
        "NMSE": f"{row['nmse']:.4f}",
        "NMSE of the few": f"{row['nmse_of_few']:.4f}",
        "MB, n": megabytes[0],
        "MB, 4n": megabytes[1],
    }


def plot(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for name, row in rows.items():
        axes.plot(row["per_second"], row["nmse_of_few"], "s" if name in PEERS else "o", label=name)
    axes.set_xscale("log")
    axes.set_xlabel("texts a second")
    axes.set_ylabel(f"NMSE at {CONFIG.k} latents a text")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
