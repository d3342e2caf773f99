"""Is a search over many segments, held by several workers, the search of one index, and what does it cost?

    python benchmarks/cluster_search.py [--passages 8841823] [--segments 64] [--queries 200] [--holders 2] [--quick]

Passages are concept vectors (concept_vectors.py), the same ones in one index and in segments that lie in a store of
shards. The same queries go in turn to the one index, to the segments in this process and to the segments on workers of
a Ray cluster of this machine: passages and scores must be the same, to the last bit. A query's time is its median over
the rounds; what is quoted are ratios to the one index, since other work of the machine slows all of them alike.
"fastest" is the p50 of each query's least time, which other work touches least. Then all queries are given at once, as
a batch, which shows what of a query's time is sending it.

Then, while queries go on: a file of one segment is damaged and put back, a worker is killed, segments are added and
taken out. Every answer is compared with what one index of just those segments gives that the answer does not call
missing, weighed by the statistics of all: nothing may be missing that is not named, and no answer may be of two states.

What was generated stays in the cache, so that a second run takes minutes. Writes "search" of results/cluster.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from concept_vectors import Generator, Shape
from environments import CACHE
from measuring import about
from scipy.sparse import csr_array

from unweave.base.files import write_atomically
from unweave.cli.show import table
from unweave.cluster.searching import Answer, ShardSearch
from unweave.cluster.shards import Catalogue, Shard, folder_of
from unweave.cluster.store import Store
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.index.concept_index import KIND, ConceptIndex
from unweave.index.query import weighted
from unweave.index.scoring import PROFILES, inverse_document_frequency
from unweave.index.segment import Batch

RESULTS = Path(__file__).parent / "results" / "cluster.json"
SHAPE = Shape(12_288, 24.0)
SCORING = PROFILES["default"]
CUTOFF = 10
ROUNDS = 5
_QUERIES, _FIRST_SEGMENT = 1, 2
"""What vectors are drawn from: queries from one seed, each segment from one of its own."""
_PATIENCE = 120.0
"""Seconds in which an answer must be whole again."""
_MORE = {"fastest, ratio": "least_p50_ratio", "all at once, ratio": "together_ratio"}
"""Columns that results from before they were measured do not have."""
Found = list[tuple[str, float]]
"""Ids and scores, best first."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=8_841_823, help="of all segments (default: 8,841,823)")
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--holders", type=int, default=2, help="workers that hold the segments (default: 2)")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="200,000 passages in 8 segments; writes nothing")
    options = parser.parse_args()
    if options.quick:
        options.passages, options.segments, options.queries, options.rounds = 200_000, 8, 50, 2
    data = Data.of(options.passages, options.segments)
    data.make()
    start_ray()
    drawn = Generator(SHAPE).vectors(options.queries, first=_QUERIES)
    queries = [drawn[[i]] for i in range(options.queries)]
    data.state(range(options.segments))
    record = {
        "about": about("unweave", "numpy", "numba", "ray"), "passages": options.passages, "segments": options.segments,
        "queries": options.queries, "holders": options.holders, "rounds": options.rounds,
        "systems": compared(data, queries, options.holders, options.rounds),
        "faults": faults(data, queries[:50], options.holders),
        "changes": changes(data, queries[:50], options.holders, 1 if options.quick else 3),
        "load_after": os.getloadavg()[0],
    }  # fmt: skip
    if not options.quick:
        write(record)
    print(*report(record), sep="\n")
    print(json.dumps(headline(record)))


def write(record: dict[str, Any]) -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    text = json.dumps(kept | {"search": record}, indent=1) + "\n"
    write_atomically(RESULTS, lambda path: path.write_text(text, encoding="utf-8"))


def report(record: dict[str, Any]) -> list[str]:
    systems = [
        {"system": row["system"], "p50, ms": f"{row['p50_ms']:.2f}", "p99, ms": f"{row['p99_ms']:.2f}",
         "p50, ratio": f"{row['p50_ratio']:.2f}", "p99, ratio": f"{row['p99_ratio']:.2f}",
         **{name: f"{row[key]:.2f}" for name, key in _MORE.items() if key in row},
         "processor, ratio": f"{row['cpu_ratio']:.2f}",
         "identical": f"{row['identical']:.4f}", "memory, MB": f"{row['memory_mb']:,.0f}",
         "of that grown": f"{row['grown_mb']:+,.0f}"}
        for row in record["systems"]
    ]  # fmt: skip
    faulty = [{"what happened": row["what"], "partial answers": str(row["partial"]), "marked": f"{row['marked']:.3f}",
               "as one index": f"{row['exact']:.3f}", "whole again, s": f"{row['seconds']:.1f}"}
              for row in record["faults"]]  # fmt: skip
    changing = [{name: str(value) for name, value in record["changes"].items()}]
    return [*table(systems), "", *table(faulty), "", *table(changing)]


def headline(record: dict[str, Any]) -> dict[str, Any]:
    _, here, there = record["systems"]
    return {
        "merged_top10_agreement": min(here["identical"], there["identical"]),
        "here_p50_ratio": here["p50_ratio"], "here_p99_ratio": here["p99_ratio"],
        "cluster_p50_ratio": there["p50_ratio"], "cluster_p99_ratio": there["p99_ratio"],
        "marked": min(row["marked"] for row in record["faults"]),
        "partial_as_one_index": min(row["exact"] for row in record["faults"]),
        "changing_as_one_index": record["changes"]["as one index"],
    }  # fmt: skip


def start_ray() -> None:
    """A cluster of this machine, of its own."""
    import ray

    # By default Ray's workers are nicer than all other processes (15), and would be measured waiting for them.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray.init(address="local", num_cpus=2, object_store_memory=200_000_000, include_dashboard=False,
             log_to_driver=False, logging_level="ERROR")  # fmt: skip


# --- what is searched ------------------------------------------------------------------------------


class Data(NamedTuple):
    """Segments in a store, and the same passages as one index; generated once."""

    folder: Path
    sizes: list[int]
    """Passages of each segment, and last those of one that is added later."""

    @classmethod
    def of(cls, n_passages: int, n_segments: int) -> Data:
        ends = np.linspace(0, n_passages, n_segments + 1).astype(np.int64)
        sizes = np.diff(ends).tolist()
        return cls(CACHE / "cluster" / f"{n_passages}-{n_segments}", [*sizes, sizes[0]])

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "store"))

    @property
    def n_segments(self) -> int:
        """Without the one that is added later."""
        return len(self.sizes) - 1

    def name(self, i: int) -> str:
        return f"000000-{i:06d}"

    def artifact(self, i: int) -> str:
        return f"{folder_of(self.name(i))}/index/{SCORING.profile}"

    def batches(self, i: int) -> Iterator[Batch]:
        """The passages of a segment."""
        at = 0
        for latents in Generator(SHAPE).batches(self.sizes[i], first=_FIRST_SEGMENT + i):
            yield Batch([f"{i}-{at + j}" for j in range(latents.shape[0])], latents)
            at += latents.shape[0]

    def state(self, segments: Collection[int]) -> None:
        """Say that these are the segments that there are."""
        shards = tuple(Shard(self.name(i), self.sizes[i], "") for i in segments)
        with TemporaryDirectory() as scratch:
            Catalogue(shards, ()).write(self.store, Path(scratch))

    def make(self) -> None:
        """Generate what is not there yet; of segments, one is in memory at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for i in range(len(self.sizes)):
            try:
                self.store.manifest(self.artifact(i), KIND)
            except (MissingArtifact, CorruptArtifact):
                print(f"segment {i + 1} of {len(self.sizes)}", file=sys.stderr, flush=True)
                self._publish(i)
        if not self._one.is_dir():
            print("one index", file=sys.stderr, flush=True)
            self._build((batch for i in range(self.n_segments) for batch in self.batches(i)), self._one)

    def one(self) -> ConceptIndex:
        """All passages but those that are added later."""
        return ConceptIndex.open(self._one)

    def added(self) -> ConceptIndex:
        """Those that are added later."""
        return ConceptIndex.open(self.folder / "store" / self.artifact(self.n_segments))

    @property
    def _one(self) -> Path:
        return self.folder / "one"

    def _publish(self, i: int) -> None:
        with TemporaryDirectory(dir=self.folder) as scratch:
            self._build(self.batches(i), Path(scratch) / KIND)
            self.store.publish(Path(scratch) / KIND, KIND, self.artifact(i))

    def _build(self, batches: Iterator[Batch], folder: Path) -> None:
        ConceptIndex.from_batches(batches, SCORING, SHAPE.n_latents, mean_latents=SHAPE.l0, folder=folder)


class Truth:
    """What one index gives of some segments, by the statistics of the same or of others."""

    def __init__(self, data: Data, queries: list[csr_array]) -> None:
        self._data, self._queries = data, queries
        self._one, self._added = data.one(), data.added()
        self._first = np.concatenate([[0], np.cumsum(data.sizes[:-1])])
        self._frequency: dict[int, np.ndarray] = {}
        self._known: dict[tuple[int, frozenset[int], frozenset[int]], Found] = {}

    def best(self, query: int, counted: frozenset[int], searched: frozenset[int]) -> Found:
        """The best passages of the segments `searched`, idf being that of those `counted`."""
        key = (query, counted, searched)
        if key not in self._known:
            self._known[key] = self._best(*key)
        return self._known[key]

    def _best(self, query: int, counted: frozenset[int], searched: frozenset[int]) -> Found:
        n_passages = sum(self._data.sizes[i] for i in counted)
        frequency = sum(self._frequency_of(i) for i in counted)
        read = weighted(self._queries[query], inverse_document_frequency(frequency, n_passages, SCORING), SCORING)
        allowed = np.zeros(self._one.n_positions, np.bool_)
        for i in searched - {self._data.n_segments}:
            allowed[self._first[i] : self._first[i + 1]] = True
        hits = self._one.hits(*read, CUTOFF, allowed=None if allowed.all() else allowed)
        found = list(zip(self._one.ids(hits.passages.tolist()), hits.scores.tolist(), strict=True))
        if self._data.n_segments in searched:
            more = self._added.hits(*read, CUTOFF)
            found += zip(self._added.ids(more.passages.tolist()), more.scores.tolist(), strict=True)
        return sorted(found, key=lambda hit: -hit[1])[:CUTOFF]  # stable: equal scores keep the segments' order

    def _frequency_of(self, i: int) -> np.ndarray:
        if i not in self._frequency:
            folder = self._data.folder / "store" / self._data.artifact(i)
            self._frequency[i] = ConceptIndex.open(folder).document_frequency
        return self._frequency[i]


def found(answer: Answer) -> Found:
    return [(hit.passage_id, hit.score) for hit in answer.hits]


# --- is it the same, and how fast ------------------------------------------------------------------


class System(NamedTuple):
    """One way to search."""

    name: str
    search: Callable[[csr_array], Found]
    search_all: Callable[[list[csr_array]], list[Found]]
    processes: list[int]
    """That work on it."""


def compared(data: Data, queries: list[csr_array], n_holders: int, rounds: int) -> list[dict[str, Any]]:
    """One index, segments here and segments on workers, each query given to all in turn."""
    one = data.one()

    def of_one(query: csr_array) -> Found:
        hits = one.hits(*weighted(query, one.idf, SCORING), CUTOFF)
        return list(zip(one.ids(hits.passages.tolist()), hits.scores.tolist(), strict=True))

    def of_segments(name: str, search: ShardSearch, workers: list[int]) -> System:
        return System(
            name,
            lambda query: found(search.search(search.read(query), CUTOFF)),
            lambda some: list(map(found, search.search_all(list(map(search.read, some)), CUTOFF))),
            [os.getpid(), *workers],
        )  # fmt: skip

    with ShardSearch(data.store) as here, ShardSearch(data.store, on="cluster", holders=n_holders) as there:
        systems = [
            System("one index", of_one, lambda some: [of_one(query) for query in some], [os.getpid()]),
            of_segments("segments, this process", here, []),
            of_segments(f"segments, {n_holders} workers", there, processes_of(there)),
        ]
        seconds = np.zeros((rounds, len(queries), len(systems)))
        same, cpu, before = np.zeros(len(systems)), np.zeros(len(systems)), [0.0] * len(systems)
        for number in range(-1, rounds):  # the first warms up
            for nth, query in enumerate(queries):
                truth: Found = []
                for at, system in enumerate(systems):
                    spent, began = cpu_of(system.processes), time.perf_counter()
                    answer = system.search(query)
                    took = time.perf_counter() - began
                    truth = truth or answer
                    if number >= 0:
                        seconds[number, nth, at] = took
                        cpu[at] += cpu_of(system.processes) - spent
                        same[at] += answer == truth
            if number < 0:
                before = [memory_of(system.processes) for system in systems]
        together = np.zeros((rounds, len(systems)))
        for number, at in np.ndindex(*together.shape):
            began = time.perf_counter()
            systems[at].search_all(queries)
            together[number, at] = (time.perf_counter() - began) / len(queries)
        all_at_once = np.median(together, axis=0)
        least = np.median(seconds.min(axis=0), axis=0)
        times, p50_of_rounds = np.median(seconds, axis=0), np.median(seconds, axis=1)
        p50, p99 = np.median(times, axis=0), np.quantile(times, 0.99, axis=0)
        return [
            {
                "system": system.name, "p50_ms": 1e3 * p50[at], "p99_ms": 1e3 * p99[at],
                "p50_ratio": p50[at] / p50[0], "p99_ratio": p99[at] / p99[0],
                "p50_ratio_of_rounds": sorted((p50_of_rounds[:, at] / p50_of_rounds[:, 0]).tolist()),
                "least_p50_ms": 1e3 * least[at], "least_p50_ratio": least[at] / least[0],
                "together_ms": 1e3 * all_at_once[at], "together_ratio": all_at_once[at] / all_at_once[0],
                "cpu_ms": 1e3 * cpu[at] / seconds[:, :, at].size, "cpu_ratio": cpu[at] / cpu[0],
                "identical": same[at] / seconds[:, :, at].size, "memory_mb": memory_of(system.processes),
                "grown_mb": memory_of(system.processes) - before[at],
            }
            for at, system in enumerate(systems)
        ]  # fmt: skip


def processes_of(search: ShardSearch) -> list[int]:
    return [holder.result(holder.ask("process")) for holder in search._states.now.holders]


def memory_of(processes: list[int]) -> float:
    """Megabytes that processes hold for themselves; pages of files, which the system may take back, do not count."""
    lines = [line for process in processes for line in Path(f"/proc/{process}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def cpu_of(processes: list[int]) -> float:
    """Processor seconds that processes have used, all of their threads."""
    spent = 0.0
    for process in processes:
        if process == os.getpid():
            spent += time.process_time()
        else:
            tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
            spent += sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
    return spent


# --- what happens when something is lost -----------------------------------------------------------


def faults(data: Data, queries: list[csr_array], n_holders: int) -> list[dict[str, Any]]:
    """Answers while one segment is damaged, and while a worker is gone, until they are whole again."""
    truth = Truth(data, queries)
    lost = data.n_segments // 3
    lists = next((data.folder / "store" / data.artifact(lost)).rglob("lists.npy"))
    whole = lists.read_bytes()

    def write_lists(content: bytes) -> None:
        with lists.open("r+b") as file:
            file.write(content)

    rows = []
    with ShardSearch(data.store, on="cluster", holders=n_holders) as search:
        try:
            write_lists(whole[:1024] + bytes(len(whole) - 1024))
            rows.append(
                until_whole("one segment damaged", data, search, truth, len(queries), lambda: write_lists(whole))
            )
        finally:
            write_lists(whole)
        kill = lambda: os.kill(processes_of(search)[0], signal.SIGKILL)  # noqa: E731
        kill()
        rows.append(until_whole(f"one worker of {n_holders} killed", data, search, truth, len(queries), lambda: None))
    return rows


def until_whole(
    what: str, data: Data, search: ShardSearch, truth: Truth, n_queries: int, mend: Callable[[], None]
) -> dict[str, Any]:
    """Ask again and again: first with what has happened, then, after it was mended, until an answer is whole."""
    every = frozenset(range(data.n_segments))
    by_name = {data.name(i): i for i in every}
    partial = exact = marked = 0
    began, whole_from = time.perf_counter(), 0.0
    for nth in range(10**9):
        query = nth % n_queries
        answer = search.search(search.read(truth._queries[query]), CUTOFF)
        missing = frozenset(by_name[shard] for shard in answer.missing)
        if answer.is_partial:
            partial += 1
            exact += found(answer) == truth.best(query, every, every - missing)
        elif partial:
            whole_from = time.perf_counter()
            break
        # One that names nothing must be whole: hits of all segments, as one index has them.
        marked += found(answer) == truth.best(query, every, every - missing)
        if partial == n_queries:
            mend()
            began = time.perf_counter()
        if time.perf_counter() - began > _PATIENCE:
            raise SystemExit(f"{what}: not whole again after {_PATIENCE:g} s; missing: {answer.missing}")
    after = [search.search(search.read(query), CUTOFF) for query in truth._queries]
    again = [not one.is_partial and found(one) == truth.best(nth, every, every) for nth, one in enumerate(after)]
    return {
        "what": what, "partial": partial, "marked": marked / nth, "exact": exact / partial,
        "whole_again": statistics.mean(again), "seconds": whole_from - began,
    }  # fmt: skip


# --- what happens when segments come and go --------------------------------------------------------


def changes(data: Data, queries: list[csr_array], n_holders: int, times: int) -> dict[str, Any]:
    """Answers while a segment is added, and others are taken out and put back."""
    truth = Truth(data, queries)
    every = frozenset(range(data.n_segments))
    states = [every, every | {data.n_segments}, every, every - {data.n_segments // 3}, every]
    by_size = {sum(data.sizes[i] for i in state): state for state in states}
    answers: list[tuple[int, Answer]] = []
    errors: list[BaseException] = []
    ended = threading.Event()
    with ShardSearch(data.store, on="cluster", holders=n_holders) as search:

        def ask() -> None:
            try:
                while not ended.is_set():
                    query = len(answers) % len(queries)
                    answers.append((query, search.search(search.read(queries[query]), CUTOFF)))
            except BaseException as error:
                errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        refreshed = 0
        for state in states[1:] * times:
            data.state(sorted(state))
            search.refresh()
            refreshed += 1
            enough = len(answers) + len(queries)
            while len(answers) < enough and asking.is_alive():
                time.sleep(0.01)
        ended.set()
        asking.join()
    seen = [by_size[answer.n_passages] for _, answer in answers]
    right = [
        found(answer) == truth.best(query, state, state) for (query, answer), state in zip(answers, seen, strict=True)
    ]
    return {
        "refreshed": refreshed, "answers": len(answers), "errors": len(errors),
        "partial": sum(answer.is_partial for _, answer in answers), "states seen": len(set(seen)),
        "as one index": statistics.mean(right),
    }  # fmt: skip


if __name__ == "__main__":
    main()
