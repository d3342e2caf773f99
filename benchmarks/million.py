"""Does a large ordinary corpus go through on a small machine? A million short passages, each command a process.

    UNWEAVE_DATA=… python benchmarks/million.py [--texts 1000000] [--folder FOLDER]

Passages are real texts of the training pool, drawn evenly; their embeddings are brought along, as a user with a
retriever of their own brings them: sums of a random direction for each word, rare words counting more, since embedding
a million texts takes hours on a CPU and is not what is measured. For each command: seconds, and the most memory that
its process held. A step that is there already is not run again.

Then what checksums cost: each kind of file is opened and read in one process, once with every page compared with what
was written, and once more, when all were seen. Results go to `benchmarks/results/million.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from environments import CACHE
from measuring import about
from numpy.typing import NDArray

from unweave.cli.show import table
from unweave.encode.embeddings import Embeddings
from unweave.index.codes import Codes
from unweave.texts.corpus import Corpus

RESULTS = Path(__file__).parent / "results" / "million.json"
WIDTH = 384
N_QUERIES = 100
LONGEST = 300
"""Characters of a passage: short ones, as the name says."""
BUCKETS = 1 << 18
_WORD = re.compile(r"\w+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=1_000_000, help="passages, at most (default: 1,000,000)")
    parser.add_argument("--folder", type=Path, default=CACHE / "million", help="where the project and its input go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    source, vectors = write_input(options.folder, options.texts)
    steps = run_all(options.folder / "project", source, vectors)
    n = sum(1 for _ in source.open(encoding="utf-8"))
    checks = [checked(options.folder / "project", *what) for what in READ.items()]
    record = {
        "about": about("numpy", "numba", "torch"), "n_passages": n, "d_in": WIDTH, "steps": steps, "checks": checks,
    }  # fmt: skip
    if options.texts >= 1_000_000:
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(*summary(record), sep="\n")
    print(
        json.dumps(
            {"n_passages": n, "peak_gb": max(s["peak_gb"] for s in steps), "seconds": sum(s["seconds"] for s in steps)}
        )
    )


def summary(results: dict[str, Any]) -> list[str]:
    """What each command took, and what comparing with checksums takes where something is first read."""
    commands = [{"command": s["command"], "seconds": f"{s['seconds']:,.0f}", "most memory, GB": f"{s['peak_gb']:.1f}"}
                for s in results["steps"]]  # fmt: skip
    checks = [
        {"read": c["read"], "opened, ms": f"{c['open_ms']:.0f}", "first, compared, ms": f"{c['first_ms']:.0f}",
         "again, ms": f"{c['second_ms']:.0f}"}
        for c in results["checks"]
    ]  # fmt: skip
    return [*table(commands), "", *table(checks)]


# --- what goes in ----------------------------------------------------------------------------------


def write_input(folder: Path, most: int) -> tuple[Path, dict[str, Path]]:
    """The corpus as JSONL, and embeddings of its passages and of a hundred queries, once."""
    source = folder / f"corpus-{most}.jsonl"
    vectors = {of: folder / f"{of}-{most}.npy" for of in ("passages", "queries")}
    if not source.exists():
        with source.with_suffix(".writing").open("w", encoding="utf-8") as file:
            for number, text in enumerate(itertools.islice(drawn(most), most)):
                file.write(json.dumps({"_id": str(number), "text": text}) + "\n")
        source.with_suffix(".writing").rename(source)
    if not vectors["queries"].exists():
        write_vectors(source, vectors)
    return source, vectors


def drawn(most: int) -> Iterator[str]:
    """Texts of the pool, evenly, so many or all that there are."""
    files = sorted((Path(os.environ["UNWEAVE_DATA"]) / "corpora").glob("*.jsonl.gz"))
    n = sum(sum(1 for _ in gzip.open(path, "rb")) for path in files)
    step = max(1.0, n / most)
    wanted = itertools.takewhile(lambda at: at < n, (int(i * step) for i in itertools.count()))
    at = next(wanted)
    for position, line in enumerate(itertools.chain.from_iterable(gzip.open(path, "rb") for path in files)):
        if position == at:
            row = json.loads(line)
            yield f"{row.get('title', '')} {row['text']}".strip()[:LONGEST]
            at = next(wanted, -1)


def write_vectors(source: Path, vectors: dict[str, Path]) -> None:
    """Sums of the directions of words, a word in n of N texts counting ln(N / n)."""
    frequency: Counter[int] = Counter()
    n = 0
    for words in words_of(source):
        frequency.update(set(words))
        n += 1
    weight = np.array([math.log(n / max(1, frequency[bucket])) for bucket in range(BUCKETS)], np.float32)
    directions = np.random.default_rng(0).standard_normal((BUCKETS, WIDTH), np.float32)
    rows = np.lib.format.open_memmap(vectors["passages"], "w+", np.float32, (n, WIDTH))
    for position, words in enumerate(words_of(source)):
        rows[position] = embedded(words, weight, directions)
    rows.flush()
    queries = rows[np.linspace(0, n - 1, N_QUERIES).astype(np.int64)]
    noise = np.random.default_rng(1).standard_normal(queries.shape, np.float32) * 0.02
    np.save(vectors["queries"], queries + noise)


def words_of(source: Path) -> Iterator[list[int]]:
    with source.open(encoding="utf-8") as file:
        for line in file:
            yield [zlib.crc32(word.encode()) % BUCKETS for word in _WORD.findall(json.loads(line)["text"].casefold())]


def embedded(words: list[int], weight: NDArray[np.float32], directions: NDArray[np.float32]) -> NDArray[np.float32]:
    """One text's vector, of length 1."""
    chosen = words or [0]
    row: NDArray[np.float32] = weight[chosen] @ directions[chosen]
    return row / max(float(np.linalg.norm(row)), 1e-6)


# --- what checksums cost ---------------------------------------------------------------------------


def _hundred(corpus: Corpus) -> None:
    """A hundred passages, far from each other."""
    for position in np.linspace(0, len(corpus) - 1, 100).astype(int).tolist():
        _ = corpus[position]


def _all_rows(embeddings: Embeddings) -> None:
    """Every embedding, as dense search reads them."""
    for _ in embeddings.batches():
        pass


def _thousand_rows(embeddings: Embeddings) -> None:
    """A thousand embeddings, far from each other."""
    embeddings.take(np.linspace(0, len(embeddings) - 1, 1000).astype(np.int64))


def _thousand_codes(codes: Codes) -> None:
    """A thousand codes, far from each other, as rescoring reads them."""
    codes.reconstructed(np.zeros(1 << 20), np.linspace(0, len(codes) - 1, 1000).astype(np.int64))


READ: dict[str, tuple[str, Callable[[Path], Any], Callable[[Any], None]]] = {
    "100 passages": ("corpus", Corpus.load, _hundred),
    "all embeddings": ("embeddings/passages", Embeddings.load, _all_rows),
    "1,000 embeddings": ("embeddings/passages", Embeddings.load, _thousand_rows),
    "1,000 codes": ("codes", Codes.load, _thousand_codes),
}


def checked(project: Path, what: str, read: tuple[str, Callable[[Path], Any], Callable[[Any], None]]) -> dict[str, Any]:
    """Milliseconds to open, to read for the first time, when pages are checked, and for the second."""
    name, load, work = read
    work(load(project / name))  # compiled, and in the system's cache
    times = [time.perf_counter()]
    opened = load(project / name)
    times.append(time.perf_counter())
    for _ in range(2):
        work(opened)
        times.append(time.perf_counter())
    spent = [round(1e3 * (after - before), 2) for before, after in itertools.pairwise(times)]
    return {"read": what, **dict(zip(("open_ms", "first_ms", "second_ms"), spent, strict=True))}


# --- the commands ----------------------------------------------------------------------------------


def run_all(project: Path, source: Path, vectors: dict[str, Path]) -> list[dict[str, Any]]:
    """Every command of the main job; what each took is kept beside the project, so that a run can go on."""
    query = project.with_name("query.npy")
    np.save(query, np.load(vectors["queries"])[:1])
    commands = {
        "init": ["init", project, "--corpus", source],
        "embed": ["embed", project, "--passages", vectors["passages"], "--sentences", "0"],
        "fit": ["fit", project],
        "index build": ["index", "build", project],
        "name": ["name", project],
        "search, CL-SR": ["search", project, "--query-vector", query, "--explain"],
        "search, codes": ["search", project, "--query-vector", query, "--system", "codes", "--explain"],
        "search, dense": ["search", project, "--query-vector", query, "--system", "dense", "--explain"],
        "verify": ["verify", project],
    }
    kept = project.with_name("steps.json")
    done = {step["command"]: step for step in (json.loads(kept.read_text()) if kept.exists() else [])}
    for name, words in commands.items():
        if name not in done:
            done[name] = {"command": name, **taken(words)}
            kept.write_text(json.dumps(list(done.values())))
    return [done[name] for name in commands]


def taken(words: list[Any]) -> dict[str, float]:
    """Seconds and the highest memory, in GB, of one command."""
    print("unweave", *words, file=sys.stderr, flush=True)
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "unweave", *map(str, words)])
    peak = 0
    while process.poll() is None:  # rusage would count this process too, whose memory a new one begins with
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            peak = max(peak, int(next(line for line in lines if line.startswith("VmHWM")).split()[1]))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"unweave {words[0]} ended with {process.returncode}")
    return {"seconds": round(time.perf_counter() - began, 1), "peak_gb": round(peak / 2**20, 2)}


if __name__ == "__main__":
    main()
