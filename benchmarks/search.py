"""Is the concept index exact, small, and faster than other engines?

    python benchmarks/search.py [--quick] [--cases demo scifact 100k 1m 9m] [--systems unweave scipy …]

Passages and queries are concept vectors: those of the projects demo and scifact, where these are there, and generated
ones (see concept_vectors.py, whose likeness to real ones is printed) of 100,000, 1,000,000 and 8,841,823 passages. The
score is the plain dot product, which all engines have; all are given impacts of nine significant bits, as our index
stores them. Each engine runs in a process of its own and stands still while
another is measured; in each of several rounds all answer the same queries in turn. A query's time is its median over
the rounds. Recall counts a passage as right if its true score is no lower than that of the k-th best.

exact     the best passages by the given numbers
rounded   the best passages by numbers that the engine rounded
approx    some of the best passages; several settings make a curve
dense     float vectors of the same passages, in place of concepts: reconstructions with a made-up dictionary

The floor is the time in which one core reads as many bytes as the postings of the query take, at its measured
bandwidth. Indexes are kept in the cache. Writes results/search.json, .txt and .png.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from concept_vectors import BATCH, Generator, Shape, likeness
from environments import CACHE
from measuring import about
from numba import njit
from scipy.sparse import csr_array
from search_peers import OURS, Answer, Worker

from unweave.cli.show import table
from unweave.index.activations import rounded
from unweave.project import Project
from unweave.retrieval.systems import CLSR

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "search.json"
FOLDER = CACHE / "search"
CUTOFFS = (10, 1000)
ROUNDS = 5
DENSE_WIDTH = 384

EFFORTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
_SEISMIC = tuple({"query_cut": cut, "heap_factor": heap} for cut, heap in ((5, 0.9), (10, 0.8), (20, 0.9), (40, 0.7)))
SETTINGS: dict[str, Sequence[Any]] = {
    OURS: (None, *({"effort": effort} for effort in EFFORTS)),
    "lucene": (None, {"skip": False}),
    "seismic": _SEISMIC,
    "seismic 1000": _SEISMIC,
    "faiss ivfpq": tuple({"nprobe": n} for n in (8, 32, 128)),
    "faiss hnsw": tuple({"ef_search": n} for n in (16, 64, 256)),
}  # fmt: skip
"""How approximate engines are asked, and Lucene, with and without skipping; all others in one way."""
SPARSE = (OURS, "scipy", "bm25s", "qdrant", "pisa", "lucene", "seismic", "seismic 1000")
SMALL = (*SPARSE, "milvus")
"""For small collections: Milvus Lite takes close to a second a query on a million passages."""
DENSE = ("faiss flat", "faiss ivfpq", "faiss binary")
HNSW = "faiss hnsw"


MIDDLING = Shape(6144, 28.0)


@dataclass(frozen=True)
class Case:
    """What is indexed and asked."""

    name: str
    systems: tuple[str, ...]
    n_queries: int
    n_passages: int = 0
    """Of generated ones; 0: those of the project of this name."""
    shape: Shape = MIDDLING


CASES = (
    Case("demo", SMALL, 200),
    Case("scifact", SMALL, 200),
    Case("100k", (*SPARSE, *DENSE, HNSW), 300, 100_000),
    Case("1m", (*SPARSE, *DENSE), 300, 1_000_000),
    Case("9m", (OURS, "scipy"), 100, 8_841_823, Shape(12_288, 24.0)),
)
QUICK = Case("quick", SMALL, 100, 20_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 passages, two rounds; writes nothing")
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES])
    parser.add_argument("--systems", nargs="+")
    options = parser.parse_args()
    cases = (QUICK,) if options.quick else CASES
    results: dict[str, Any] = {"about": about("unweave", "numpy", "numba", "scipy"), "bandwidth": bandwidth()}
    if RESULTS.exists() and not options.quick:
        results = json.loads(RESULTS.read_text(encoding="utf-8")) | results
    if not options.quick:
        results["likeness"] = likenesses()
    for case in cases:
        if options.cases is None or case.name in options.cases:
            data = data_of(case)
            if data is not None:
                systems = [system for system in case.systems if system in (options.systems or case.systems)]
                kept = [row for row in results.get("rows", [])
                        if row["case"] != case.name or row["engine"] not in systems]  # fmt: skip
                results["rows"] = kept + measured(case, data, systems, rounds=2 if options.quick else ROUNDS)
    text = "\n".join(report(results))
    if not options.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        RESULTS.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
        plot(results, RESULTS.with_suffix(".png"))
    print(text)
    print(json.dumps(headline(results)))


# --- what is indexed and asked ---------------------------------------------------------------------


def data_of(case: Case) -> Path | None:
    """The folder of a case's arrays, with the true best in it; None where its project is not there."""
    folder = FOLDER / case.name / "data"
    if (folder / "best.npy").exists():
        return folder
    if not case.n_passages and not (ROOT / case.name / "index").exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    if case.n_passages:
        generator = Generator(case.shape)
        rows, queries = generator.batches(case.n_passages), generator.vectors(case.n_queries, first=1)
    else:
        rows, queries = of_project(case)
    np.save(folder / "n_latents.npy", np.int64(queries.shape[1]))
    save_rows(folder, [queries], "query_", "weights")
    best = Best(queries)
    save_rows(folder, best.seen(rows), "", "impacts")
    if any(system.startswith("faiss") for system in case.systems):
        save_dense(folder, case, queries)
    np.save(folder / "best_scores.npy", best.scores)
    np.save(folder / "best.npy", best.positions)
    return folder


def of_project(case: Case) -> tuple[Iterator[csr_array], csr_array]:
    """Impacts of a project's passages and weights of its first queries, by its default scoring."""
    project = Project.open(ROOT / case.name)
    found = project.systems["CL-SR"]
    assert isinstance(found, CLSR)
    searcher = found.searcher
    embeddings = project.embeddings("queries")
    assert embeddings is not None
    asked = [searcher.read(vector) for vector in embeddings.rows(0, case.n_queries)]
    return (batch.impacts.sorted_indices() for batch in searcher.index.batches()), stacked(
        asked, searcher.index.n_latents
    )


def stacked(rows: Sequence[tuple[np.ndarray, np.ndarray]], n_latents: int) -> csr_array:
    """Rows of (latents, values), (n, n_latents), latents ascending."""
    indptr = np.concatenate([[0], np.cumsum([len(latents) for latents, _ in rows])])
    latents, values = (np.concatenate(column) for column in zip(*rows, strict=True))
    matrix = csr_array((values.astype(np.float32), latents, indptr), shape=(len(rows), n_latents))
    matrix.sort_indices()
    return matrix


def save_rows(folder: Path, batches: Iterator[csr_array] | list[csr_array], prefix: str, values: str) -> None:
    """Write rows as three arrays, a batch at a time."""
    lengths = []
    paths = {name: folder / f"{prefix}{name}.raw" for name in ("latents", values)}
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(path.open("wb")) for name, path in paths.items()}
        for batch in batches:
            lengths.append(np.diff(batch.indptr))
            batch.indices.astype(np.int32).tofile(files["latents"])
            batch.data.astype(np.float32).tofile(files[values])
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths), dtype=np.int64)])
    np.save(folder / f"{prefix}offsets.npy", offsets)
    for name, path in paths.items():
        raw = np.memmap(path, np.int32 if name == "latents" else np.float32, "r")
        np.save(folder / f"{prefix}{name}.npy", raw)
        path.unlink()


class Best:
    """The true best of each query, in double precision, found while passages go by."""

    def __init__(self, queries: csr_array) -> None:
        self._queries = np.asarray(queries.T.toarray(), np.float64)  # (n_latents, n_queries)
        n_queries, most = queries.shape[0], max(CUTOFFS)
        self.scores = np.full((n_queries, most), -np.inf, np.float32)
        self.positions = np.full((n_queries, most), -1, np.int64)

    def seen(self, batches: Iterator[csr_array]) -> Iterator[csr_array]:
        """The same batches, their impacts as our index stores them, of nine bits: so that exact is exact for all."""
        first = 0
        for batch in batches:
            batch.data = rounded(batch.data)
            for start in range(0, batch.shape[0], BATCH // 10):
                part = batch[start : start + BATCH // 10]
                self._add((part.astype(np.float64) @ self._queries).astype(np.float32), first + start)
            first += batch.shape[0]
            yield batch

    def _add(self, scores: np.ndarray, first: int) -> None:
        """Scores (n_passages, n_queries) of passages from the position `first` on."""
        for query in range(scores.shape[1]):
            better = np.flatnonzero(scores[:, query] > max(self.scores[query, -1], 0))
            if len(better):
                found = np.concatenate([self.scores[query], scores[better, query]])
                at = np.concatenate([self.positions[query], first + better])
                order = np.lexsort((at, -found))[: self.scores.shape[1]]
                self.scores[query], self.positions[query] = found[order], at[order]


def save_dense(folder: Path, case: Case, queries: csr_array) -> None:
    """Reconstructions with a dictionary of random directions, of length 1."""
    W = np.random.default_rng(0).standard_normal((case.shape.n_latents, DENSE_WIDTH)).astype(np.float32)
    W /= np.linalg.norm(W, axis=1, keepdims=True)

    def dense(rows: csr_array) -> np.ndarray:
        vectors = rows @ W
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)

    out = np.lib.format.open_memmap(folder / "dense.npy", "w+", np.float32, (case.n_passages, DENSE_WIDTH))
    for number, batch in enumerate(Generator(case.shape).batches(case.n_passages)):
        out[number * BATCH : number * BATCH + batch.shape[0]] = dense(batch)
    np.save(folder / "dense_queries.npy", dense(queries))


def likenesses() -> list[dict[str, Any]]:
    """Real concept vectors beside as many generated ones."""
    rows = []
    for name in ("demo", "scifact"):
        if (ROOT / name / "latents").exists():
            real = Project.open(ROOT / name).latents
            shape = Shape(real.shape[1], real.nnz / real.shape[0])
            rows.append({"vectors": name, **likeness(real)})
            rows.append({"vectors": "generated", **likeness(Generator(shape).vectors(real.shape[0]))})
    return rows


# --- measuring -------------------------------------------------------------------------------------


def measured(case: Case, data: Path, systems: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """A row for each system, setting and cutoff."""
    best, scores = np.load(data / "best.npy"), np.load(data / "best_scores.npy")
    truth = Truth(data)
    with contextlib.ExitStack() as stack:
        workers, rows = [], []
        for system in systems:
            print(f"{case.name}: {system}", flush=True)
            try:
                worker = Worker(system, data, FOLDER / case.name / system.replace(" ", "-"))
            except RuntimeError as error:
                rows.append({"case": case.name, "engine": system, "failed": str(error)})
                continue
            workers.append(stack.enter_context(worker))
        for k in CUTOFFS:
            asked = [(worker, setting) for worker in workers for setting in SETTINGS.get(worker.engine, (None,))]
            alone: list[list[Answer]] = [[] for _ in asked]
            together: list[list[float]] = [[] for _ in asked]
            for _ in range(rounds):
                for number, (worker, setting) in enumerate(asked):
                    alone[number].append(worker.ask(k, 1, setting))
                    together[number].append(sum(worker.ask(k, 2, setting).seconds))
            for (worker, setting), answers, seconds in zip(asked, alone, together, strict=True):
                found = answers[-1].passages
                times = np.median([answer.seconds for answer in answers], axis=0)
                p50s = [statistics.median(answer.seconds) for answer in answers]
                dense = worker.engine.startswith("faiss")
                rows.append({
                    "case": case.name, "engine": worker.engine, **worker.about, "setting": setting, "k": k,
                    "p50": statistics.median(times), "p99": float(np.quantile(times, 0.99)),
                    "p50_lowest": min(p50s), "p50_highest": max(p50s),
                    "per_second_2_threads": len(found) / statistics.median(seconds),
                    "recall": None if dense else truth.recall(found, k, scores),
                    "identical": None if dense else bool((found == best[:, :k]).all()),
                    "resident_bytes": answers[-1].resident_bytes,
                    "n_passages": truth.n_passages, "n_postings": truth.n_postings,
                    "postings_a_query": truth.postings_a_query,
                })  # fmt: skip
                if dense:
                    rows[-1]["found"] = found
        return with_dense_recall(rows)


class Truth:
    """What the answers are held against."""

    def __init__(self, data: Path) -> None:
        self._arrays = {
            name: np.load(data / f"{name}.npy", mmap_mode="r") for name in ("offsets", "latents", "impacts")
        }
        offsets, latents, weights = (np.load(data / f"query_{name}.npy") for name in ("offsets", "latents", "weights"))
        self._weights = np.zeros((len(offsets) - 1, int(np.load(data / "n_latents.npy"))))
        for query in range(len(offsets) - 1):
            part = slice(offsets[query], offsets[query + 1])
            self._weights[query, latents[part]] = weights[part]
        self.n_passages = len(self._arrays["offsets"]) - 1
        self.n_postings = len(self._arrays["latents"])
        frequency = np.bincount(self._arrays["latents"], minlength=self._weights.shape[1])
        self.postings_a_query = float(np.median((self._weights > 0) @ frequency))

    def recall(self, found: np.ndarray, k: int, scores: np.ndarray) -> float:
        """The mean share of the best k that was found; equal scores count equally."""
        shares = []
        for query, passages in enumerate(found):
            wanted = scores[query, :k]
            n_wanted = int(np.isfinite(wanted).sum())
            if n_wanted:
                least = wanted[n_wanted - 1]
                right = sum(self._score(query, int(passage)) >= least for passage in np.unique(passages[passages >= 0]))
                shares.append(min(right, n_wanted) / n_wanted)
        return float(np.mean(shares))

    def _score(self, query: int, passage: int) -> np.float32:
        offsets = self._arrays["offsets"]
        part = slice(offsets[passage], offsets[passage + 1])
        impacts = self._arrays["impacts"][part].astype(np.float64)
        return np.float32(impacts @ self._weights[query, self._arrays["latents"][part]])


def with_dense_recall(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with the recall of dense engines against the exhaustive one."""
    exact = {row["k"]: row["found"] for row in rows if row["engine"] == DENSE[0] and "found" in row}
    for row in rows:
        found = row.pop("found", None)
        if found is not None and row["k"] in exact:
            row["recall"] = float(np.mean([
                len(np.intersect1d(one, other)) / row["k"] for one, other in zip(found, exact[row["k"]], strict=True)
            ]))  # fmt: skip
    return rows


def bandwidth() -> float:
    """Bytes a second that one core reads from memory: the best of several."""
    block = np.ones(1 << 26, np.uint64)
    _sum(block[:8])
    best = 0.0
    for _ in range(7):
        start = time.perf_counter()
        _sum(block)
        best = max(best, block.nbytes / (time.perf_counter() - start))
    return best


@njit
def _sum(block):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for value in block:
        total += value
    return total


# --- what is said ----------------------------------------------------------------------------------


def report(results: Mapping[str, Any]) -> list[str]:
    """The tables as text."""
    machine = results["about"]
    lines = [f"{machine['machine']}; {machine['date']}, commit {machine['commit']}",
             f"one core reads {results['bandwidth'] / 1e9:.1f} GB/s", ""]  # fmt: skip
    if "likeness" in results:
        lines += ["Generated vectors beside real ones", "", *table(shown_likeness(results["likeness"])), ""]
    for case, rows in by_case(results).items():
        one = rows[0]
        lines += [
            f"{case}: {one['n_passages']:,} passages, {one['n_postings'] / one['n_passages']:.1f} concepts each",
            f"a query meets {one['postings_a_query']:,.0f} postings",
            "",
        ]
        for k in CUTOFFS:
            lines += [f"top {k:,}", "", *table([shown(row, results) for row in rows if row["k"] == k]), ""]
        lines += ["indexes", "", *table([shown_index(row) for row in rows if row["k"] == 10 and first(row)]), ""]
    for row in results.get("rows", []):
        if "failed" in row:
            lines += [f"{row['case']}: {row['engine']} could not be run: {row['failed'].splitlines()[-1]}", ""]
    return lines


def by_case(results: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows by case, without those that failed."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for name in (*(case.name for case in CASES), QUICK.name):
        rows = [row for row in results["rows"] if row["case"] == name and "failed" not in row]
        if rows:
            cases[name] = rows
    return cases


def first(row: Mapping[str, Any]) -> bool:
    """Whether this row is of the first of its engine's settings."""
    return bool(row["setting"] == SETTINGS.get(row["engine"], (None,))[0])


def kind(row: Mapping[str, Any]) -> str:
    if row["engine"] == OURS and row["setting"]:
        return "approx"
    return str(row["kind"])


def setting_of(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in (row["setting"] or {}).items())


def shown(row: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    ours = next(r for r in results["rows"] if r.get("k") == row["k"] and r["case"] == row["case"]
                and r["engine"] == OURS and not r["setting"])  # fmt: skip
    return {
        "engine": row["name"], "kind": kind(row), "setting": setting_of(row), "p50 ms": f"{1e3 * row['p50']:.3f}",
        "of rounds": f"{1e3 * row['p50_lowest']:.3f}-{1e3 * row['p50_highest']:.3f}",
        "p99 ms": f"{1e3 * row['p99']:.3f}",
        "/ ours": f"{row['p50'] / ours['p50']:.2f}", "queries/s, 2 threads": f"{row['per_second_2_threads']:,.0f}",
        "recall": "" if row["recall"] is None else f"{row['recall']:.4f}",
        "same list": {True: "yes", False: "no", None: ""}[row["identical"]],
    }  # fmt: skip


def shown_index(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "engine": f"{row['name']} {row['version']}", "MB": f"{row['bytes'] / 1e6:,.1f}",
        "B/passage": f"{row['bytes'] / row['n_passages']:,.0f}",
        "B/posting": "" if kind(row) == "dense" else f"{row['bytes'] / row['n_postings']:.2f}",
        "build s": f"{row['build_seconds']:,.1f}", "build peak MB": f"{row['build_peak_bytes'] / 1e6:,.0f}",
        "open ms": f"{1e3 * row['open_seconds']:,.1f}", "resident MB": f"{row['resident_bytes'] / 1e6:,.0f}",
    }  # fmt: skip


def shown_likeness(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value if isinstance(value, str) else f"{value:.3g}" for name, value in row.items()} for row in rows]


def floor_of(row: Mapping[str, Any], results: Mapping[str, Any]) -> float:
    """Seconds in which a query's postings are read from memory."""
    return float(row["postings_a_query"] * row["bytes"] / row["n_postings"] / results["bandwidth"])


def headline(results: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios on the largest case that has exact peers in it."""
    rows = [row for row in results["rows"] if "failed" not in row]
    ours = [row for row in rows if row["engine"] == OURS and not row["setting"]]
    peers = [row for row in rows if row["engine"] != OURS and kind(row) in ("exact", "rounded")]
    case = "1m" if any(row["case"] == "1m" for row in peers) else ours[-1]["case"]
    found: dict[str, Any] = {}
    for k in CUTOFFS:
        best = min((row["p50"] for row in peers if row["case"] == case and row["k"] == k), default=None)
        mine = next(row for row in ours if row["case"] == case and row["k"] == k)
        found[f"p50_top{k}_vs_best_exact_peer"] = best and round(best / mine["p50"], 2)
    found["exact"] = all(row["identical"] for row in ours)
    mine = next(row for row in ours if row["case"] == case and row["k"] == CUTOFFS[0])
    found["bytes_per_posting"] = round(mine["bytes"] / mine["n_postings"], 3)
    found["times_bandwidth_floor"] = round(mine["p50"] / floor_of(mine, results), 2)
    return found


def summary(results: Mapping[str, Any]) -> list[str]:
    """What the documentation shows: the engines on a million passages, ours on as many as MS MARCO has."""
    rows = [row for row in results["rows"] if row["case"] == "1m" and "failed" not in row]
    ours = {row["k"]: row for row in results["rows"]
            if row["case"] == "9m" and row["engine"] == OURS and not row["setting"]}  # fmt: skip
    lines = []
    for row in rows:
        if row["k"] != CUTOFFS[0] or (row["engine"].split()[0] in (OURS, "seismic") and not chosen(row)):
            continue
        thousand = next(r for r in rows if r["engine"] == row["engine"] and r["setting"] == row["setting"]
                        and r["k"] == CUTOFFS[1])  # fmt: skip
        lines.append({
            "engine": row["name"] + (f" ({setting_of(row)})" if row["setting"] else ""), "kind": kind(row),
            "top-10 ms": f"{1e3 * row['p50']:.2f}", "p99": f"{1e3 * row['p99']:.2f}", "recall": f"{row['recall']:.3f}",
            "top-1,000 ms": f"{1e3 * thousand['p50']:.2f}", "recall ": f"{thousand['recall']:.3f}",
            "B/passage": f"{row['bytes'] / row['n_passages']:,.0f}", "build s": f"{row['build_seconds']:,.0f}",
        })  # fmt: skip
    shown_lines = list(table(lines))
    if ours:
        ten, thousand = (ours[k] for k in CUTOFFS)
        times = [f"{1e3 * seconds:.1f} ms" for seconds in (ten["p50"], ten["p99"], thousand["p50"])]
        size = f"{ten['n_passages']:,} passages x {ten['n_postings'] / ten['n_passages']:.0f} concepts"
        space = f"{ten['bytes'] / 1e9:.2f} GB, {ten['bytes'] / ten['n_postings']:.2f} bytes a posting"
        made = f"opened in {1e3 * ten['open_seconds']:.0f} ms, built in {ten['build_seconds']:.0f} s"
        shown_lines += ["", f"unweave, {size}: {space}; {made}"]
        shown_lines += [f"top-10 {times[0]} (p99 {times[1]}), top-1,000 {times[2]}; all exact"]
    return shown_lines


def chosen(row: Mapping[str, Any]) -> bool:
    """Whether the documentation shows this setting."""
    return row["setting"] in (None, {"effort": 0.4}, *_SEISMIC[1::2])


def plot(results: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.8), layout="constrained", sharey=True)
    rows = [r for r in results["rows"] if r["case"] == "1m" and "failed" not in r and kind(r) != "dense"]
    for axis, k in zip(axes, CUTOFFS, strict=True):
        for number, engine in enumerate(dict.fromkeys(row["engine"] for row in rows)):
            points = sorted(
                (row["recall"], 1e3 * row["p50"]) for row in rows if row["engine"] == engine and row["k"] == k
            )
            axis.plot(*zip(*points, strict=True), "o-", label=engine, color=f"C{number}")
        axis.set_title(f"1,000,000 passages, top {k:,}")
        axis.set_xlabel("recall")
        axis.set_yscale("log")
        axis.grid(visible=True, which="both", alpha=0.2)
    axes[0].set_ylabel("median ms a query, one core")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
