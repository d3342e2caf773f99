"""How a search engine is measured: it builds once from files, then answers lines on its standard input.

An adapter runs in its peer's environment and imports nothing of ours but this file:

    python run_scipy.py DATA OUT

DATA holds what is indexed and asked, as arrays:

    offsets.npy        int64    (n_passages + 1,) passage i has the entries offsets[i] : offsets[i + 1]
    latents.npy        int32    (n_entries,) ascending within a passage
    impacts.npy        float32  (n_entries,) > 0
    query_offsets.npy, query_latents.npy, query_weights.npy   the same for queries
    n_latents.npy      int64    ()

The score of a passage is the sum of weight * impact over shared latents. OUT is the adapter's own folder, where its
index goes; one that is there already is opened. The first line of output tells about the index; each line of input,
`{"k": 10, "threads": 1, "setting": …}`, is answered by one line with the seconds of each query or, of several threads,
of all queries together, and by the file answers.npy with what was found, (n_queries, k) int64, -1 where nothing was.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Query(NamedTuple):
    """One query, as arrays."""

    latents: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass
class Data:
    """What is indexed and asked; arrays are memory-mapped."""

    folder: Path

    def __post_init__(self) -> None:
        self.offsets = self._array("offsets")
        self.latents = self._array("latents")
        self.impacts = self._array("impacts")
        self.n_latents = int(self._array("n_latents"))
        self.n_passages = len(self.offsets) - 1
        offsets, latents, weights = (self._array(f"query_{name}") for name in ("offsets", "latents", "weights"))
        self.queries = [Query(latents[a:b].copy(), weights[a:b].copy()) for a, b in itertools.pairwise(offsets)]

    def read(self, name: str, part: slice) -> NDArray[Any]:
        """A part of an array, read and not mapped, so that it does not stay in memory."""
        array = self._array(name)
        at = array.offset + part.start * array.itemsize
        return np.fromfile(self.folder / f"{name}.npy", array.dtype, part.stop - part.start, offset=at)

    def _array(self, name: str) -> np.memmap[Any, Any]:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")  # type: ignore[no-any-return]


class Engine(ABC):
    """One search engine with one index."""

    name: ClassVar[str]
    package: ClassVar[str]
    kind: ClassVar[str]
    """`exact`: it finds the best by the given numbers; `rounded`: by numbers that it rounded; `approx`; `dense`."""

    def __init__(self, data: Data, out: Path, threads: int) -> None:
        self.data, self.out, self.threads = data, out, threads

    @abstractmethod
    def build(self) -> None:
        """Make the index from `data`, in the folder `out`."""

    @abstractmethod
    def open(self) -> None:
        """Make the index ready for searches."""

    @abstractmethod
    def prepared(self, query: Query) -> Any:
        """The query in the form that the engine takes; not timed."""

    @abstractmethod
    def search(self, prepared: Any, k: int, setting: Any) -> Any:
        """What the engine returns; timed."""

    @abstractmethod
    def passages(self, answer: Any) -> NDArray[np.int64]:
        """The positions found, best first; not timed."""

    def search_all(self, prepared: list[Any], k: int, setting: Any) -> list[Any]:
        """All queries on `threads` threads, by the fastest way that the engine has."""
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda query: self.search(query, k, setting), prepared))

    def bytes(self) -> int:
        """Size of the index on disk."""
        return sum(path.stat().st_size for path in self.out.rglob("*") if path.is_file())


NOTES = "built.json"


def serve(engine_class: type[Engine]) -> None:
    """Build and open the index, then answer until the input ends."""
    data, out = Data(Path(sys.argv[1])), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    index = out / "index"
    index.mkdir(exist_ok=True)
    engine = engine_class(data, index, threads=2)
    notes = out / NOTES
    if not notes.exists():
        start = time.perf_counter()
        engine.build()
        seconds = time.perf_counter() - start
        peak = _memory("VmHWM")
        notes.write_text(json.dumps({"build_seconds": seconds, "build_peak_bytes": peak}))
    before = _memory("VmRSS")
    start = time.perf_counter()
    engine.open()
    opened = time.perf_counter() - start
    prepared = [engine.prepared(query) for query in data.queries]
    for query in prepared[:3]:
        engine.search(query, 10, None)
    about = {"name": engine.name, "version": version(engine.package), "kind": engine.kind, "bytes": engine.bytes()}
    used = {"open_seconds": opened, "resident_bytes": _memory("VmRSS") - before}
    _say({**about, **used, **json.loads(notes.read_text())})
    for line in sys.stdin:
        asked = json.loads(line)
        k, setting = asked["k"], asked.get("setting")
        seconds, answers = [], []
        if asked["threads"] == 1:
            for query in prepared:
                start = time.perf_counter()
                answers.append(engine.search(query, k, setting))
                seconds.append(time.perf_counter() - start)
        else:
            start = time.perf_counter()
            answers = engine.search_all(prepared, k, setting)
            seconds.append(time.perf_counter() - start)
        found = np.full((len(answers), k), -1, np.int64)
        for row, answer in zip(found, answers, strict=True):
            positions = engine.passages(answer)[:k]
            row[: len(positions)] = positions
        np.save(out / "answers.npy", found)
        _say({"seconds": seconds, "resident_bytes": _memory("VmRSS") - before})


def _say(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def _memory(entry: str) -> int:
    """Bytes of this process in memory now (VmRSS), or at most since it began (VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split(f"{entry}:")[1].split()[0]) * 1024
