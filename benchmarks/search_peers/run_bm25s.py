"""BM25S, given our impacts for its matrix of scores, searched with query weights by its kernels with one change.

BM25S scores every passage eagerly and keeps the scores by token; here its own (compiled) builder sorts the given
impacts so, and its `save` and `load` keep them. Its public search only sums the scores of the query's tokens and has no
weight for them (`weight_mask` is one of passages). So `_retrieve` below is its Numba backend's
`_retrieve_internal_jitted` with a weight multiplied in, compiled as there, serial and parallel; the best k are chosen
by its own `_numba_sorted_top_k`. It takes as long as BM25S's own `retrieve` without weights. Every query reads all its
postings and a score of every passage; exact. Numba compiles, for some seconds, before the index is built or opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bm25s import BM25
from bm25s.numba.selection import _numba_sorted_top_k
from numba import njit, prange, set_num_threads
from numpy.typing import NDArray
from serving import Data, Engine, Query, serve


class BM25S(Engine):
    name = "bm25s, weighted"
    package = "bm25s"
    kind = "exact"

    def __init__(self, data: Data, out: Path, threads: int) -> None:
        super().__init__(data, out, threads)
        one, first = np.ones(1, np.float32), np.zeros(1, np.int32)
        for retrieve in (_serial, _parallel):
            retrieve(*_joined([Query(first, one)]), 1, one, first, np.array([0, 1]), 1)

    def build(self) -> None:
        data, index = self.data, BM25(backend="numba")
        index.activate_numba_csc()
        rows = np.repeat(np.arange(data.n_passages, dtype=np.int32), np.diff(data.offsets))
        shape = (data.n_passages, data.n_latents)
        impacts, passages, offsets = index._np_csc(np.array(data.impacts), rows, np.array(data.latents), shape)
        index.scores = {"data": impacts, "indices": passages, "indptr": offsets, "num_docs": data.n_passages}
        index.vocab_dict = {str(latent): latent for latent in range(data.n_latents)}
        index.nonoccurrence_array = None
        index.save(self.out / "index", show_progress=False)

    def open(self) -> None:
        scores = BM25.load(self.out / "index", show_progress=False).scores
        self.scores = tuple(scores[part] for part in ("data", "indices", "indptr", "num_docs"))

    def prepared(self, query: Query) -> Query:
        return query

    def search(self, prepared: Query, k: int, setting: Any) -> Any:
        scores, passages = _serial(*_joined([prepared]), min(k, self.data.n_passages), *self.scores)
        return scores[0], passages[0]

    def search_all(self, prepared: list[Query], k: int, setting: Any) -> list[Any]:
        set_num_threads(self.threads)
        found = _parallel(*_joined(prepared), min(k, self.data.n_passages), *self.scores)
        return list(zip(*found, strict=True))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        scores, passages = answer
        return np.asarray(passages[scores > 0], np.int64)  # it fills up with passages that share nothing


class _Joined(NamedTuple):
    """Queries in flat arrays, as BM25S gives them to its kernel."""

    latents: NDArray[np.int32]
    weights: NDArray[np.float32]
    ends: NDArray[np.int32]


def _joined(queries: list[Query]) -> _Joined:
    latents, weights = (np.concatenate(part) for part in zip(*queries, strict=True))
    return _Joined(latents, weights, np.cumsum([0] + [len(query.latents) for query in queries], dtype=np.int32))


def _retrieve(latents, weights, ends, k, impacts, passages, offsets, n_passages):  # type: ignore[no-untyped-def]
    n_queries = len(ends) - 1
    best_scores = np.zeros((n_queries, k), np.float32)
    best_passages = np.zeros((n_queries, k), np.int32)
    for query in prange(n_queries):
        scores = np.zeros(n_passages, np.float32)
        for i in range(ends[query], ends[query + 1]):
            weight = weights[i]
            for j in range(offsets[latents[i]], offsets[latents[i] + 1]):
                scores[passages[j]] += weight * impacts[j]
        best_scores[query], best_passages[query] = _numba_sorted_top_k(scores, k=k, sorted=True)
    return best_scores, best_passages


_serial = njit(nogil=True)(_retrieve)
_parallel = njit(parallel=True)(_retrieve)


if __name__ == "__main__":
    serve(BM25S)
