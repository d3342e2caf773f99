"""Shards in a store, made from activations that a test can calculate with."""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.sparse import csr_array

from unweave.cluster.searching import Answer, ShardQuery, ShardSearch
from unweave.cluster.shards import Catalogue, Shard, folder_of
from unweave.cluster.store import Store
from unweave.index.concept_index import KIND, ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.index.writer import IndexWriter

DEFAULT = PROFILES["default"]
Rows = Sequence[Sequence[float]]


def latents_of(rows: Rows, n_latents: int = 3) -> csr_array:
    """(n, n_latents) activations."""
    return csr_array(np.array(rows, np.float32).reshape(len(rows), n_latents))


def name_of(i: int) -> str:
    return f"000000-{i:06d}"


def index_of(store: Path, i: int) -> Path:
    """Where the index of the i-th shard lies."""
    return store / folder_of(name_of(i)) / "index" / "default"


def publish(store: Path, i: int, rows: Rows, *, n_latents: int = 3, deleted: Sequence[int] = ()) -> None:
    """Put a shard's index into a store; its passages are called by shard and place."""
    with TemporaryDirectory(dir=store.parent) as scratch:
        folder = Path(scratch) / KIND
        ids = [f"{i}-{place}" for place in range(len(rows))]
        ConceptIndex.build(latents_of(rows, n_latents), ids, DEFAULT, mean_latents=2.0, folder=folder)
        if deleted:
            IndexWriter(folder).delete([ids[place] for place in deleted])
        Store(str(store)).publish(folder, KIND, f"{folder_of(name_of(i))}/index/default")


def state(store: Path, sizes: dict[int, int]) -> Store:
    """Say that these shards are there, each with so many passages, in this order."""
    with TemporaryDirectory(dir=store.parent) as scratch:
        shards = tuple(Shard(name_of(i), n, "") for i, n in sizes.items())
        Catalogue(shards, ()).write(Store(str(store)), Path(scratch))
    return Store(str(store))


def stored(store: Path, parts: Sequence[Rows]) -> Store:
    """A store of shards of these passages."""
    store.mkdir(exist_ok=True)
    for i, rows in enumerate(parts):
        publish(store, i, rows)
    return state(store, {i: len(rows) for i, rows in enumerate(parts)})


def asked(search: ShardSearch, row: Sequence[float], cutoff: int = 10) -> Answer:
    return search.search(read(search, row), cutoff)


def read(search: ShardSearch, row: Sequence[float]) -> ShardQuery:
    return search.read(latents_of([row], len(row)))


def found(answer: Answer) -> list[tuple[str, float]]:
    return [(hit.passage_id, hit.score) for hit in answer.hits]


def until_whole(search: ShardSearch, row: Sequence[float], seconds: float = 60.0) -> Answer:
    """The first answer that lacks nothing."""
    until = time.monotonic() + seconds
    while (answer := asked(search, row)).is_partial:
        assert time.monotonic() < until, answer.missing
        time.sleep(0.02)
    return answer
