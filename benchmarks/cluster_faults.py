"""Is anything lost, doubled or silently left out when a cluster that works on a corpus in shards is disturbed?

    python benchmarks/cluster_faults.py [--faults 200] [--seed 0] [--only KIND …] [--quick]

A few thousand short texts in three files are cut, embedded, encoded, indexed, named from and searched by the commands
of a user, on a Ray cluster of two nodes and a store that speaks S3. One command after another is disturbed, at a moment
and in a way that a seed draws; a command that failed is given again, as its error says. Then every file of the store is
compared, byte for byte, with that of a faultless run in one process, every passage is counted, and a query is asked.

lost: a passage, or a file of an artefact, that is not there or is another one after that; doubled: a passage that is
there twice; silent: an answer that differed from the faultless one and did not say which shards it lacked; unclear: a
command that failed in another way than with one line for people. Outcomes are appended to a file of the folder that
--work names, so that a run that was stopped goes on. Writes results/cluster.json, under `faults`; its last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "cluster"))

import numpy as np
from disturbed import KEYS, S3, Driver, Gone, Nodes, wait_until, with_a_fast_encoder
from measuring import about

from unweave.base.files import is_aside, write_atomically
from unweave.base.vectors import unit_rows
from unweave.config import SAEConfig
from unweave.sae.model import SAE
from unweave.texts.readers import passages_of_file

RESULTS = Path(__file__).parent / "results" / "cluster.json"
CORPORA = {"atis": "jsonl.gz", "banking77": "parquet", "gene-ontology": "jsonl.gz"}
PASSAGES, SIZE = 800, 400
"""Of each file, and of a shard."""
N_LATENTS, ACTIVE = 256, 8
PREFIX = "store"
QUICK_DISK = Path("/dev/shm")
QUERIES = (
    "cheapest flight to boston",
    "my card has not arrived",
    "separation of chromosomes",
    "lost my card in denver",
)
CUTOFF = 10
RERUNS = 4
"""A command is given so often, at most, before what it did not make counts as lost."""
DOWN = 10.0
"""Seconds for which the store is out of reach."""
DEADLINE = 6.0
MAKE = {
    "cut": ("add", "{project}", "--corpus", "{corpus}"),
    "embed": ("embed", "{project}", "--sentences", "0"),
    "fit": ("fit", "{project}"),
    "index": ("index", "build", "{project}"),
    "name": ("name", "{project}"),
}
"""The commands that can be disturbed, in order."""
MADE = {"cut": "sources/", "embed": "/embed.json", "fit": "/encode.json", "index": "/index.json", "name": "d/reading"}
"""What is taken away of a whole store, so that a command has something to do."""


class Case(NamedTuple):
    """A fault, and what came of it."""

    number: int
    kind: str
    stage: str
    where: str
    """What was hit."""
    failures: int
    """Commands that failed and were given again."""
    said: list[str]
    """By which errors."""
    lost: list[str]
    doubled: list[str]
    silent: list[str]
    unclear: list[str]
    seconds: float


class Site(NamedTuple):
    """A store, and the projects of two users of it."""

    project: Path
    address: str
    objects: S3 | None
    """The server that has it; None: it is a folder."""

    @property
    def second(self) -> Path:
        return self.project.with_name(f"{self.project.name}-2")

    @property
    def files(self) -> dict[str, bytes]:
        """Every file of the store."""
        if self.objects is not None:
            return self.objects.objects(PREFIX)
        root, found = Path(self.address), {}
        for path in root.rglob("*"):
            with suppress(OSError):
                if path.is_file() and not is_aside(path):
                    found[path.relative_to(root).as_posix()] = path.read_bytes()
        return found

    def put(self, name: str, content: bytes | None) -> None:
        """Change a file of the store, or take it away, without asking anybody."""
        if self.objects is not None:
            self.objects.put(f"{PREFIX}/{name}", content)
        elif content is None:
            (Path(self.address) / name).unlink(missing_ok=True)
        else:
            (Path(self.address) / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(self.address) / name, lambda aside: aside.write_bytes(content))

    def restore(self, expected: Mapping[str, bytes]) -> None:
        """Put everything into the store as it should be."""
        there = self.files
        for name in there.keys() | expected.keys():
            if there.get(name) != expected.get(name):
                self.put(name, expected.get(name))

    def differences(self, expected: Mapping[str, bytes]) -> list[str]:
        """Files that are not there, are others, or should not be."""
        there = self.files
        return [
            f"{'no' if name not in there else 'other' if name in expected else 'more'} {name}"
            for name in sorted(there.keys() | expected.keys()) if there.get(name) != expected.get(name)
        ]  # fmt: skip

    def passages(self, expected: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
        """Passages that no shard has, and those that several have, or one several times."""
        there = self.files
        try:
            listed = [shard[0] for shard in json.loads(there["shards.json"])["shards"]]
        except (KeyError, ValueError):
            return ["all passages: there is no catalogue"], []
        held = Counter(one for of in listed for one in _ids(there.get(f"shards/{of}/corpus/passages.jsonl", b"")))
        wanted = Counter(one for name, content in expected.items() if _is_corpus(name) for one in _ids(content))
        return sorted((wanted - held).keys()), sorted((held - wanted).keys())


# --- the world --------------------------------------------------------------------------------------------------------


class World:
    """A cluster, a store, a project whose passages are there, and what a faultless run in one process made of them."""

    def __init__(self, work: Path) -> None:
        self.work, run = work, work / "run"
        for name in ("code", "one", "two", "ray"):
            shutil.rmtree(run / name, ignore_errors=True)
        for name in ("one", "two", "users"):
            (run / name).mkdir(parents=True, exist_ok=True)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        self.environment = {
            **KEYS, **one_thread, "PYTHONPATH": str(with_a_fast_encoder(run / "code")),
            "XDG_CONFIG_HOME": str(run / "users"), "NUMBA_CACHE_DIR": str(work / "compiled"), "RAY_TMPDIR": str(run),
            "RAY_USAGE_STATS_ENABLED": "0", "TMPDIR": str(run / "one"),
        }  # fmt: skip
        self.corpus = _corpus(work / "corpus")
        self.dictionary = _dictionary(work / "dictionary", self.corpus)
        self.disk = _small_disk(run / "two")
        port = work / "port"
        self.s3 = S3(int(port.read_text()) if port.is_file() else 0)
        port.write_text(str(self.s3.proxy.port))
        self.begin()
        self.expected, self.answers = self._faultless()
        self.sites = {
            "objects": Site(run / "project", self.s3.address(PREFIX), self.s3),
            "folder": Site(run / "other", str(run / "store"), None),
        }
        if not (run / "made").is_file():
            for site in self.sites.values():
                self._make_the_same(site)
            (run / "made").touch()
        for site in self.sites.values():
            site.restore(self.expected)

    def begin(self) -> None:
        """Begin the cluster and a driver."""
        run = self.work / "run"
        self.nodes = Nodes(self.environment, [run / "one", run / "two"])
        self.environment["RAY_ADDRESS"] = self.nodes.address
        self.driver = self.new_driver()

    def begin_anew(self) -> None:
        """Begin another cluster in the place of one that somebody else stopped; the store is as it should be."""
        print("the cluster is gone, and begun anew: it was stopped by somebody else", file=sys.stderr, flush=True)
        self.driver.kill()
        self.nodes.close()
        self.s3.proxy.start()
        if self.disk:
            (self.disk / "ballast").unlink(missing_ok=True)
        self.begin()

    def new_driver(self) -> Driver:
        return Driver(self.environment, self.work / "driver.log", self.nodes.is_alive)

    def words(self, stage: str, project: Path, on: str = "cluster") -> list[str]:
        """A command, as a user gives it."""
        places = {"project": str(project), "corpus": f"{self.corpus}/*"}
        return [*(word.format(**places) for word in MAKE[stage]), "--on", on]

    def _faultless(self) -> tuple[dict[str, bytes], dict[str, list[Any]]]:
        """Every file, and the best passages of every query with all their scores, of one process and a folder."""
        there = self.work / "faultless"
        if not (there / "answers.json").is_file():
            shutil.rmtree(there, ignore_errors=True)
            self._init(there / "project", there / "store", "here")
            for stage in ("embed", "fit", "index", "name"):
                self._must([*self.words(stage, there / "project", "here"), *self._given(stage)])
            answers = {}
            for query in QUERIES:
                found = self._must(
                    ["search", str(there / "project"), query, "-k", str(3 * PASSAGES), "--json", "--on", "here"]
                )
                answers[query] = _hits(found["out"])
            (there / "answers.json").write_text(json.dumps(answers))
        store = there / "store"
        files = {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}
        self.shard_of = {
            one: name.split("/")[1] for name, content in files.items() if _is_corpus(name) for one in _ids(content)
        }  # fmt: skip
        return files, json.loads((there / "answers.json").read_text())

    def _init(self, project: Path, store: object, on: str) -> None:
        self._must(["init", str(project), "--corpus", f"{self.corpus}/*", "--store", str(store), "--size", str(SIZE),
                    "--sample", "600", "--strongest", "3", "--on", on])  # fmt: skip

    def _make_the_same(self, site: Site) -> None:
        """The same on the cluster, and again in a project of a second user of the store."""
        for project in (site.project, site.second):
            if not (project / "unweave.toml").is_file():
                self._init(project, site.address, "cluster")
            for stage in ("embed", "fit", "index", "name"):
                self._must([*self.words(stage, project), *self._given(stage)])
        if bad := site.differences(self.expected):
            raise SystemExit(f"without any fault, the cluster makes something else than one process: {bad[:5]}")

    def _given(self, stage: str) -> list[str]:
        return ["--dictionary", str(self.dictionary), "--own-latents", "0"] if stage == "fit" else []

    def _must(self, words: list[str]) -> dict[str, Any]:
        try:
            done = self.driver.command(*words)
        except Gone:
            self.begin_anew()
            done = self.driver.command(*words)
        if done is None or done["code"]:
            raise SystemExit(f"{words}: {done and done['err'] + done['traceback']}")
        return done

    def expected_answer(self, query: str, missing: Mapping[str, str]) -> list[list[Any]]:
        """What is to be found without these shards."""
        return [hit for hit in self.answers[query] if self.shard_of[hit[0]] not in missing][:CUTOFF]

    def close(self) -> None:
        self.driver.close()
        self.nodes.close()
        self.s3.close()
        if self.disk:
            os.system(f"umount -l '{self.disk}'")


def _corpus(folder: Path) -> Path:
    """Three files of a few hundred passages, in several formats."""
    if not folder.is_dir():
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir(parents=True)
        for name, ending in CORPORA.items():
            with gzip.open(Path(os.environ["UNWEAVE_DATA"]) / "corpora" / f"{name}.jsonl.gz", "rt") as file:
                rows = [json.loads(line) for line in itertools.islice(file, PASSAGES)]
            if ending == "parquet":
                pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
            else:
                lines = "".join(json.dumps(row) + "\n" for row in rows)
                (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))
    return folder


def _dictionary(folder: Path, corpus: Path) -> Path:
    """An SAE whose latents are the directions of some passages, which no training on a busy machine has to find."""
    if not folder.is_dir():
        from unweave.encode.static import StaticEncoder

        texts = [passage.content for file in sorted(corpus.iterdir()) for passage in passages_of_file(file)]
        embeddings = StaticEncoder().encode_passages(texts)
        middle = embeddings.mean(axis=0)
        rows = np.random.default_rng(0).choice(len(embeddings), N_LATENTS, replace=False)
        directions = unit_rows(embeddings[np.sort(rows)] - middle)
        activations = (embeddings - middle) @ directions.T
        threshold = np.float32(np.quantile(activations, 1 - ACTIVE / N_LATENTS))
        directions, none = np.asarray(directions, np.float32), np.zeros(N_LATENTS, np.float32)
        config = SAEConfig(d_in=embeddings.shape[1], n_latents=N_LATENTS, k=ACTIVE)
        SAE(config, directions / 8, none, directions, middle, threshold=np.array([threshold / 8], np.float32)).save(
            folder
        )
    return folder


def _small_disk(folder: Path) -> Path | None:
    """Make a folder a disk of its own, if that is allowed."""
    return folder if os.system(f"mount -t tmpfs -o size=64m tmpfs '{folder}' 2>/dev/null") == 0 else None


def _hits(shown: str) -> list[list[Any]]:
    return [[hit["passage_id"], round(hit["score"], 4)] for hit in json.loads(shown)["hits"]]


def _is_corpus(name: str) -> bool:
    return name.startswith("shards/") and name.endswith("/corpus/passages.jsonl")


def _ids(passages: bytes) -> Iterator[str]:
    for line in passages.splitlines():
        with suppress(ValueError):
            yield json.loads(line)["passage_id"]


# --- faults -----------------------------------------------------------------------------------------------------------


class Trouble:
    """One fault: what is done to a world while, or before, a command runs."""

    def __init__(self, world: World, kind: str, chance: random.Random) -> None:
        self.world, self.chance, self.kind = world, chance, kind
        self.stage = chance.choice(list(MAKE))
        in_objects = kind == "store down" or chance.random() < 0.3
        self.site = world.sites["objects" if in_objects else "folder"]
        self.where = ""
        self.failures = 0
        self.said: list[str] = []
        self.weighs_otherwise = False
        """Whether shards were missing from the first on, so that what is known of all passages is of fewer."""
        self.silent: list[str] = []
        self.unclear: list[str] = []

    def happen(self) -> None:
        """Disturb, and give commands again until they do."""
        KINDS[self.kind](self)

    # --- commands ---------------------------------------------------------------------------------

    def take_away(self) -> None:
        """Give the stage something to do: all shards, or some, are not done with it."""
        share = self.chance.choice((0.6, 1.0))
        for name in self.world.expected:
            if MADE[self.stage] in name and self.chance.random() <= share:
                self.site.put(name, None)
        if self.stage in ("fit", "name") and self.chance.random() < 0.5:
            folder = {"fit": "sample", "name": "reading"}[self.stage]
            for part in ("corpus", "embeddings"):
                shutil.rmtree(self.site.project / folder / part, ignore_errors=True)

    def begin(self) -> None:
        """Begin the command, and wait for a moment of it that is drawn."""
        self.take_away()
        proxy, most = self.world.s3.proxy, {"cut": 250, "name": 60}.get(self.stage, 120)
        until = proxy.n_writes + self.chance.randrange(1, most)
        self.world.driver.begin(command=self.world.words(self.stage, self.site.project))
        began = time.monotonic()
        if self.site.objects is None:
            time.sleep(self.chance.uniform(0.2, 4))
        else:
            wait_until(lambda: proxy.n_writes >= until, 8)
        self.where = f"{self.where} after {time.monotonic() - began:.1f} s".strip()

    def end(self) -> None:
        """Wait for the command, and give it again if it failed."""
        done = self.world.driver.end()
        self.look_at(self.stage, done)
        if done is None or done["code"]:
            self.again([self.stage])

    def again(self, stages: list[str]) -> None:
        """Give commands until each has succeeded, from the first on whenever one has failed."""
        for _ in range(RERUNS):
            for stage in stages:
                done = self.world.driver.command(*self.world.words(stage, self.site.project))
                self.look_at(stage, done)
                if done is None or done["code"]:
                    break
            else:
                return

    def look_at(self, stage: str, done: dict[str, Any] | None) -> None:
        """Count a failure, and whether it said in one line what it was."""
        if done is None:
            self.failures += 1
            self.said.append(f"{stage}: the driver is gone")
            self.world.driver.close()
            self.world.driver = self.world.new_driver()
        elif done["code"]:
            self.failures += 1
            self.said.append(f"{stage}: {done['err'].strip().splitlines()[-1:]}")
            said = [line for line in done["err"].splitlines() if line.strip() and "\r" not in line and "%|" not in line]
            if done["traceback"] or len(said) != 1 or not said[0].startswith("Error: "):
                self.unclear.append(f"{stage}: {done['traceback'][-400:] or said[-4:]}")

    def search(self, moment: str) -> None:
        """Ask a query as a user does: the answer is whole, or says what it lacks, or it is an error."""
        query = self.chance.choice(QUERIES)
        done = self.world.driver.command("search", self.site.project, query, "--json", "-k", CUTOFF, "--on", "here")
        if done is None or done["code"]:
            self.look_at(f"search {moment}", done)
            if moment == "afterwards":
                self.silent.append(f"no answer afterwards: {done and done['err'][-300:]}")
            return
        missing = {line.split()[3]: "" for line in done["err"].splitlines() if line.startswith("PARTIAL: the shard ")}
        self.weighs_otherwise = bool(missing)
        self.compare(moment, query, _hits(done["out"]), missing)
        if moment == "afterwards" and missing:
            self.silent.append(f"partial afterwards: {missing}")

    def compare(self, moment: str, query: str, hits: list[list[Any]], missing: Mapping[str, str]) -> None:
        """Whether an answer is what the shards that it does not name as missing have."""
        wanted = self.world.expected_answer(query, missing)
        if hits != wanted and not (missing and self._is_of_fewer(hits)):
            self.silent.append(f"{moment}: {query}: without {list(missing)} {hits[:3]} instead of {wanted[:3]}")

    def _is_of_fewer(self, hits: list[list[Any]]) -> bool:
        """Whether hits may be those of a searcher that could not open all shards, which weighs concepts otherwise."""
        return self.weighs_otherwise and len(hits) == len({hit[0] for hit in hits})


def worker_killed(t: Trouble) -> None:
    """A worker is killed in the middle of a stage, some of them several times."""
    t.begin()
    for _ in range(t.chance.choice((1, 1, 2, 3))):
        pids = t.world.nodes.busy() or t.world.nodes.workers()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(t.chance.choice(pids), signal.SIGKILL)
        time.sleep(t.chance.uniform(0, 1.5))
    t.end()


def driver_killed(t: Trouble) -> None:
    """The process that gives the commands is killed in the middle of a stage."""
    t.begin()
    t.world.driver.kill()
    t.look_at(t.stage, None)
    t.again([t.stage])


def disk_full(t: Trouble) -> None:
    """There is no room for temporary files on one of the two nodes, for a while or until the command has failed."""
    ballast = None
    if t.world.disk:
        ballast = t.world.disk / "ballast"
        room = shutil.disk_usage(t.world.disk).free - t.chance.choice((0, 4096, 1 << 16, 1 << 18))
        with ballast.open("wb") as file, suppress(OSError):
            file.write(bytes(max(0, room)))
    else:
        import resource

        for pid in t.world.nodes.workers(1):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (t.chance.choice((0, 4096, 1 << 16)), resource.RLIM_INFINITY))
    t.take_away()
    t.world.driver.begin(command=t.world.words(t.stage, t.site.project))
    time.sleep(t.chance.uniform(2, 6))
    if ballast and t.chance.random() < 0.7:
        ballast.unlink()
        t.where = "room again in the middle"
    done = t.world.driver.end()
    if ballast:
        ballast.unlink(missing_ok=True)
    else:
        for pid in t.world.nodes.workers(1):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    t.look_at(t.stage, done)
    if done is None or done["code"]:
        t.again([t.stage])


def damaged(t: Trouble) -> None:
    """Files of the store are damaged between commands; then a query is asked, and all commands are given again."""
    for _ in range(t.chance.choice((1, 1, 2, 4))):
        _damage(t, t.chance.choice(sorted(t.world.expected)))
    t.stage = "all"
    t.search("while damaged")
    t.look_at("verify", t.world.driver.command("verify", t.site.project, "--on", "cluster"))
    t.again(list(MAKE))


def damaged_meanwhile(t: Trouble) -> None:
    """Files of the store are damaged in the middle of a stage; then all commands are given again."""
    t.begin()
    for _ in range(t.chance.choice((1, 2))):
        if names := sorted(t.site.files):
            _damage(t, t.chance.choice(names))
    t.look_at(t.stage, t.world.driver.end())
    t.look_at("verify", t.world.driver.command("verify", t.site.project, "--on", "cluster"))
    t.again(list(MAKE))


def _damage(t: Trouble, name: str) -> None:
    content = bytearray(t.site.files.get(name, b""))
    how = t.chance.choice(("flip", "cut short", "take away", "empty", "zeros"))
    t.where = f"{t.where} {how} {name}".strip()
    if how == "take away":
        t.site.put(name, None)
        return
    if how == "flip" and content:
        content[t.chance.randrange(len(content))] ^= 1 << t.chance.randrange(8)
    elif how == "cut short":
        del content[t.chance.randrange(len(content) + 1) :]
    elif how == "empty":
        content.clear()
    elif how == "zeros" and content:
        start = t.chance.randrange(len(content))
        content[start : start + 512] = bytes(len(content[start : start + 512]))
    t.site.put(name, bytes(content))


def store_down(t: Trouble) -> None:
    """The store's server refuses connections for ten seconds in the middle of a stage."""
    t.begin()
    t.world.s3.proxy.stop()
    time.sleep(DOWN)
    t.world.s3.proxy.start()
    t.end()


def straggler(t: Trouble) -> None:
    """A worker stands still for some seconds in the middle of a stage."""
    t.begin()
    pids = t.world.nodes.busy() or t.world.nodes.workers()
    for pid in pids[:1]:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(t.chance.uniform(2, 6))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    t.end()


def two_drivers(t: Trouble) -> None:
    """Two processes give the same command at once, in one project or in two of the same store."""
    second = t.site.second if t.chance.random() < 0.7 else t.site.project
    t.where = second.name
    t.take_away()
    other = t.world.new_driver()
    other.ask(command=["--version"])
    other.begin(command=t.world.words(t.stage, second))
    t.world.driver.begin(command=t.world.words(t.stage, t.site.project))
    done = other.end()
    t.look_at(t.stage, t.world.driver.end())
    if done is not None:
        if done["code"] and done["traceback"]:
            t.unclear.append(f"{t.stage}: {done['traceback'][-400:]}")
        t.failures += done["code"] != 0
    other.close()
    t.again([t.stage])


def searched(t: Trouble) -> None:
    """Queries are asked while a holder is killed or stands still, or its shards are damaged, or the store is down."""
    t.stage = "search"
    opened = t.world.driver.ask(open=str(t.site.project), holders=2, deadline=DEADLINE)
    if opened is None or "error" in opened:
        t.silent.append(f"could not be opened: {opened}")
        return
    t.where = t.chance.choice(("killed", "killed and damaged", "killed and down", "stopped"))
    _ask(t, "before")
    holders = _holders(t)
    if not holders:
        t.silent.append("no holder is found")
        return
    if "damaged" in t.where:
        names = sorted(name for name in t.world.expected if "/index/default/" in name)
        _damage(t, t.chance.choice(names))
    if "down" in t.where:
        t.world.s3.proxy.stop()
    pid = t.chance.choice(holders)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP if t.where == "stopped" else signal.SIGKILL)
    for _ in range(4):
        _ask(t, "meanwhile")
    if t.where == "stopped":
        os.kill(pid, signal.SIGCONT)
    if "down" in t.where:
        time.sleep(3)
        t.world.s3.proxy.start()
    if "damaged" in t.where:  # a part that no query has read yet is found by who reads every byte
        t.look_at("verify", t.world.driver.command("verify", t.site.project, "--on", "cluster"))
        t.again(["index"])
    if not wait_until(lambda: _ask(t, "afterwards"), 60, 0.5):
        t.silent.append("partial for ever")


def _holders(t: Trouble) -> list[int]:
    return [pid for pid in t.world.nodes.workers() if _is_holder(pid)]


def _is_holder(pid: int) -> bool:
    with suppress(OSError):
        return b"ray::Served" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _ask(t: Trouble, moment: str) -> bool:
    """Ask one query of the shards that are held; whether the answer was whole."""
    query = t.chance.choice(QUERIES)
    found = t.world.driver.ask(query=query, cutoff=CUTOFF)
    if found is None or "error" in found:
        t.unclear.append(f"{moment}: {found}")
        return False
    t.compare(moment, query, [[one, round(score, 4)] for _, one, score in found["hits"]], found["missing"])
    return not found["missing"]


KINDS: dict[str, Callable[[Trouble], None]] = {
    "worker killed": worker_killed, "driver killed": driver_killed, "disk full": disk_full, "damaged": damaged,
    "damaged meanwhile": damaged_meanwhile, "store down": store_down, "straggler": straggler,
    "two drivers": two_drivers, "searched": searched,
}  # fmt: skip
WEIGHTS = {"worker killed": 5, "driver killed": 3, "damaged": 5, "damaged meanwhile": 3, "searched": 4}


# --- the run ----------------------------------------------------------------------------------------------------------


def tried(world: World, number: int, kind: str, seed: int) -> Case:
    """One fault, and what is there after it."""
    began = time.monotonic()
    trouble = Trouble(world, kind, random.Random(f"{seed} {number}"))
    trouble.happen()
    trouble.search("afterwards")
    lost, doubled = trouble.site.passages(world.expected)
    lost += trouble.site.differences(world.expected)
    if lost or doubled:
        trouble.site.restore(world.expected)
    where = f"{'objects' if trouble.site.objects else 'folder'}: {trouble.where}"
    return Case(number, kind, trouble.stage, where, trouble.failures, trouble.said[:4], lost[:8], doubled[:8],
                trouble.silent[:4], trouble.unclear[:4], round(time.monotonic() - began, 1))  # fmt: skip


def drawn(n: int, seed: int, only: list[str]) -> list[str]:
    """The kinds of so many faults."""
    chance = random.Random(seed)
    return chance.choices(only, [WEIGHTS.get(kind, 2) for kind in only], k=n)


def summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """How many faults there were, and after how many something was lost, doubled, silent or unclear."""
    kinds = {kind: [case for case in cases if case["kind"] == kind] for kind in KINDS}
    bad = ("lost", "doubled", "silent", "unclear")
    return {
        "faults": len(cases), **{what: sum(bool(case[what]) for case in cases) for what in bad},
        "failures": sum(case["failures"] for case in cases),
        "kinds": {
            kind: {"faults": len(of), "failures": sum(case["failures"] for case in of),
                   **{what: sum(bool(case[what]) for case in of) for what in bad}}
            for kind, of in kinds.items() if of
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="+", choices=list(KINDS), default=list(KINDS), help="faults of these kinds alone"
    )
    parser.add_argument("--work", type=Path, help="a folder of a short name that is kept; default: a new one that goes")
    parser.add_argument("--quick", action="store_true", help="one fault of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="u-", dir=QUICK_DISK if QUICK_DISK.is_dir() else None) as aside:
        cases = run(options, options.work or Path(aside))
    found = summary(cases)
    if not options.quick:
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        results["faults"] = {"about": about("ray", "pyarrow"), "seed": options.seed, **found}
        write_atomically(RESULTS, lambda path: path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8"))
    print(json.dumps({name: found[name] for name in ("faults", "lost", "doubled", "silent", "unclear")}))


def run(options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Every fault; those that the folder has outcomes of are not made again."""
    kinds = options.only if options.quick else drawn(options.faults, options.seed, options.only)
    outcomes = work / "outcomes.jsonl"
    cases = [json.loads(line) for line in outcomes.read_text().splitlines()] if outcomes.is_file() else []
    world = World(work)
    try:
        while len(cases) < len(kinds):
            try:
                case = tried(world, len(cases), kinds[len(cases)], options.seed)._asdict()
            except Gone:
                case = {}
            if not world.nodes.is_alive():
                world.begin_anew()
                for site in world.sites.values():
                    site.restore(world.expected)
                continue
            cases.append(case)
            with outcomes.open("a", encoding="utf-8") as file:
                file.write(json.dumps(case) + "\n")
            print(json.dumps(case), file=sys.stderr, flush=True)
    finally:
        world.close()
    return cases


if __name__ == "__main__":
    main()
