"""Does a corpus in shards come out the same on a cluster as in one process, and what does it take?

    UNWEAVE_DATA=… python benchmarks/cluster.py [--passages 1000000] [--size 62500] [--folder FOLDER] [--quick]

A million short texts of the training pool, drawn evenly, in files of JSON lines, go through every command twice: with
`--on here`, in one process, and with `--on cluster`, on a Ray of this machine with two workers of one processor each.
The encoder is a table of word vectors (WordLlama's, as a sentence-transformers model), since a transformer would take
days here and is not what is measured; the SAE is trained on a sample of the corpus.

- seconds of each command, and how many times faster two workers are where shards are worked on;
- the most memory that any process held in the second half of a command's shards, over that in the first: 1 is flat;
- every file of every shard, compared byte for byte.

A command that is done is not run again, so that a broken-off run goes on. Results go to `results/cluster.json`, beside
what `cluster_faults.py` and `cluster_search.py` found; the last line is one JSON object with the figures of all three.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cluster_search
import million
from environments import CACHE
from measuring import about

from unweave.base.files import file_digest, write_atomically
from unweave.cli.show import table
from unweave.encode.static import PACKAGE

RESULTS = Path(__file__).parent / "results" / "cluster.json"
HERE, CLUSTER = WAYS = ("here", "cluster")
FILES = 8
WORKERS = 2
SAMPLE = 100_000
QUERY = "how birds find their way"
OF_SHARDS = ("init", "embed", "index build")
"""Commands whose work is all of shards; `fit` and `name` train and name in one process too."""
_EVERY = 0.5
"""Seconds between two looks at the memory of processes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=62_500, help="passages of a shard")
    parser.add_argument("--folder", type=Path, default=CACHE / "cluster", help="where projects, stores and input go")
    parser.add_argument("--quick", action="store_true", help="4,000 passages in shards of 1,000, in some minutes")
    options = parser.parse_args()
    if options.quick:
        options.passages, options.size, options.folder = 4_000, 1_000, options.folder / "quick"
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    source, model = write_corpus(folder / f"corpus-{options.passages}", options.passages), write_model(folder / "model")
    steps = {way: run_all(folder / way, way, source, model, options) for way in WAYS}
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    found["million"] = {
        "about": about("ray", "numpy", "torch"), "passages": options.passages, "size": options.size, "steps": steps,
        **compared(folder / HERE / "store", folder / CLUSTER / "store"),
    }  # fmt: skip
    if not options.quick:
        text = json.dumps(found, indent=1) + "\n"
        write_atomically(RESULTS, lambda aside: aside.write_text(text, encoding="utf-8"))
    print(*summary(found), sep="\n")
    print(json.dumps(headline(found)))


# --- what goes in ----------------------------------------------------------------------------------


def write_corpus(folder: Path, n: int) -> Path:
    """Texts of the pool in files of JSON lines, once."""
    done = folder / "done"
    if not done.exists():
        folder.mkdir(exist_ok=True)
        texts = million.drawn(n)
        for number in range(FILES):
            with gzip.open(folder / f"part-{number}.jsonl.gz", "wt", encoding="utf-8", compresslevel=3) as file:
                for at, text in enumerate(itertools.islice(texts, n // FILES)):
                    file.write(json.dumps({"_id": f"{number}-{at}", "text": text}) + "\n")
        done.touch()
    return folder


def write_model(folder: Path) -> Path:
    """WordLlama's word vectors as a sentence-transformers model, whose embedding of a text is their mean, once."""
    if not (folder / "modules.json").exists():
        from safetensors.numpy import load_file
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
        from tokenizers import Tokenizer

        spec = importlib.util.find_spec(PACKAGE)
        assert spec is not None and spec.origin is not None
        package = Path(spec.origin).parent
        (weights,) = load_file(package / "weights" / "l2_supercat_256.safetensors").values()
        tokenizer = Tokenizer.from_file(str(package / "tokenizers" / "l2_supercat_tokenizer_config.json"))
        static = StaticEmbedding(tokenizer, embedding_weights=weights.astype("float32"))
        SentenceTransformer(modules=[static, Normalize()], device="cpu").save(str(folder))
    return folder


# --- the commands ----------------------------------------------------------------------------------


def run_all(
    folder: Path, way: str, source: Path, model: Path, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Every command in its order; what each took is kept beside the project."""
    folder.mkdir(exist_ok=True)
    kept = folder / "steps.json"
    done: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    project, on = folder / "project", ["--on", way]
    shards = ["--store", folder / "store", "--size", options.size, "--sample", min(SAMPLE, options.passages // 2)]
    commands = {
        "init": ["init", project, "--corpus", source, *shards, *on],
        "embed": ["embed", project, "--model", model, "--sentences", 0, "--batch-size", 256, *on],
        "fit": ["fit", project, "--dictionary", "own", "--n-latents", 2048 if not options.quick else 256, *on],
        "index build": ["index", "build", project, *on],
        "name": ["name", project, *on],
        "search": ["search", project, QUERY, "--explain", "--json", *on],
    }
    with ray(way, [name for name in commands if name not in done]):
        for name, words in commands.items():
            if name not in done:
                done[name] = taken(words)
                kept.write_text(json.dumps(done))
    return {name: done[name] for name in commands}


@contextlib.contextmanager
def ray(way: str, todo: list[str]) -> Iterator[None]:
    """A Ray of this machine, with so many workers, while the block lasts."""
    if way == HERE or not todo:
        yield
        return
    command = [str(Path(sys.executable).with_name("ray"))]
    start = ["start", "--head", f"--num-cpus={WORKERS}", "--include-dashboard=false", "--disable-usage-stats"]
    subprocess.run([*command, *start], check=True, stdout=sys.stderr)
    try:
        yield
    finally:
        subprocess.run([*command, "stop"], check=True, stdout=sys.stderr)


def taken(words: list[Any]) -> dict[str, float]:
    """Seconds of one command, the most memory of one process, in MB, and how that grew from the first half on."""
    print("unweave", *words, file=sys.stderr, flush=True)
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "unweave", *map(str, words)], env={**os.environ, **one_thread}, stdout=subprocess.DEVNULL
    )
    held: dict[int, list[tuple[float, int]]] = defaultdict(list)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, held, stop))
    watcher.start()
    code = process.wait()
    stop.set()
    watcher.join()
    if code:
        raise SystemExit(f"unweave {' '.join(map(str, words))} failed with {code}")
    seconds = time.perf_counter() - began
    growth = 1.0
    for of in held.values():
        half = (of[0][0] + of[-1][0]) / 2
        first, second = [b for at, b in of if at <= half], [b for at, b in of if at > half]
        if second and of[-1][0] - of[0][0] > 20:  # a shorter life says nothing of growth
            growth = max(growth, max(second) / max(first))
    return {
        "seconds": seconds,
        "peak_mb": max((b for of in held.values() for _, b in of), default=0) / 1e6,
        "growth": growth,
    }


def _watch(pid: int, held: dict[int, list[tuple[float, int]]], stop: threading.Event) -> None:
    """Note the memory of a process and of Ray's workers, again and again."""
    page = os.sysconf("SC_PAGE_SIZE")
    while not stop.wait(_EVERY):
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int(path.name) == pid or (path / "cmdline").read_bytes().startswith(b"ray::"):
                    resident = int((path / "statm").read_text().split()[1]) * page
                    held[int(path.name)].append((time.monotonic(), resident))


# --- what came out ---------------------------------------------------------------------------------


def compared(one: Path, other: Path) -> dict[str, Any]:
    """How many files of shards, and of the dictionary, there are, and how many are the same in both stores."""
    names = {
        path.relative_to(store).as_posix()
        for store in (one, other)
        for part in ("shards", "dictionary", "gathered")
        for path in (store / part).rglob("*")
        if path.is_file()
    }
    differ = sorted(
        name
        for name in names
        if not ((one / name).exists() and (other / name).exists())
        or file_digest(one / name) != file_digest(other / name)
    )
    return {"files": len(names), "differ": differ[:100], "n_differ": len(differ)}


def summary(found: dict[str, Any]) -> list[str]:
    """What the documentation shows."""
    return list(_lines(found))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    if "million" in found:
        of = found["million"]
        here, there = of["steps"][HERE], of["steps"][CLUSTER]
        yield from table(
            [
                {
                    "command": name, "one process, s": f"{here[name]['seconds']:,.0f}",
                    "two workers, s": f"{there[name]['seconds']:,.0f}",
                    "MB, one process": f"{here[name]['peak_mb']:,.0f}",
                    "MB, a worker": f"{there[name]['peak_mb']:,.0f}",
                    "growth": f"{max(here[name]['growth'], there[name]['growth']):.2f}",
                }
                for name in here
            ]
        )  # fmt: skip
        yield ""
        same = of["files"] - of["n_differ"]
        yield f"{of['passages']:,} passages: {same:,} of {of['files']:,} files are the same, byte for byte"
        yield ""
    if "faults" in found:
        yield from table(
            [{"disturbed by": kind, **{name: str(value) for name, value in of.items()}}
             for kind, of in found["faults"]["kinds"].items()]
        )  # fmt: skip
        yield ""
    if "search" in found:
        yield f"{found['search']['passages']:,} generated vectors in {found['search']['segments']} segments:"
        yield ""
        yield from cluster_search.report(found["search"])


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """The figures to hold a change against; null for what was not measured."""
    figures: dict[str, Any] = dict.fromkeys(
        ("identical", "faults", "lost", "doubled", "speedup_2_workers", "merged_top10_agreement")
    )
    if "million" in found:
        steps = found["million"]["steps"]
        seconds = {way: sum(steps[way][name]["seconds"] for name in OF_SHARDS) for way in WAYS}
        figures["identical"] = found["million"]["n_differ"] == 0
        figures["speedup_2_workers"] = round(seconds[HERE] / seconds[CLUSTER], 2)
    figures |= {name: found["faults"][name] for name in ("faults", "lost", "doubled") if "faults" in found}
    if "search" in found:
        figures["merged_top10_agreement"] = cluster_search.headline(found["search"])["merged_top10_agreement"]
    return figures


if __name__ == "__main__":
    main()
