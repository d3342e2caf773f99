"""Faiss, for comparison with dense search: float vectors of the same passages, by inner product.

    python run_faiss.py DATA OUT flat | ivfpq | hnsw | binary

It reads dense.npy, float32 (n_passages, d), unit rows, and dense_queries.npy, the same for queries, in place of
latents; without them it ends with exit status 2. One query is one `search` on one thread; all queries together are one
`search` on all threads, as Faiss advises.

flat    every inner product
ivfpq   the `setting` {"nprobe": lists to read} of 4 * sqrt(n_passages) lists; a byte for each 8 dimensions, unrefined
hnsw    a graph of M = 32 and efConstruction = 100, with floats; `setting` is {"ef_search": candidates to keep}
binary  every Hamming distance of the signs, unrefined
"""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from serving import Data, Engine, Query, serve

AT_ONCE = 100_000
DIMENSIONS_A_BYTE = 8
TRAINED_WITH = 64
"""Passages a list; Faiss warns below 39."""
NPROBE = 32
M, EF_CONSTRUCTION, EF_SEARCH = 32, 100, 64


class Faiss(Engine):
    package = "faiss-cpu"
    kind = "dense"

    def __init__(self, data: Data, out: Path, threads: int) -> None:
        super().__init__(data, out, threads)
        for name in ("dense", "dense_queries"):
            if not (data.folder / f"{name}.npy").exists():
                print(f"Faiss searches dense vectors, but {data.folder} has no {name}.npy", file=sys.stderr)
                sys.exit(2)
        self.queries = np.load(data.folder / "dense_queries.npy")
        self.width = self.queries.shape[1]
        self.path = str(out / "passages.faiss")
        faiss.omp_set_num_threads(1)

    def build(self) -> None:
        faiss.omp_set_num_threads(self.threads)
        index = self.trained()
        for start in range(0, self.data.n_passages, AT_ONCE):
            index.add(self.coded(self.vectors(start, min(start + AT_ONCE, self.data.n_passages))))
        self.save(index)
        faiss.omp_set_num_threads(1)

    @abstractmethod
    def trained(self) -> Any:
        """The index without passages."""

    def coded(self, vectors: NDArray[np.float32]) -> NDArray[Any]:
        """Vectors in the form that the index takes."""
        return vectors

    def save(self, index: Any) -> None:
        faiss.write_index(index, self.path)

    def open(self) -> None:
        self.index = faiss.read_index(self.path)

    def prepared(self, query: Query) -> NDArray[Any]:
        number = next(i for i, other in enumerate(self.data.queries) if other is query)
        return self.coded(self.queries[number : number + 1])

    def search(self, prepared: NDArray[Any], k: int, setting: Any) -> NDArray[np.int64]:
        self.set(setting or {})
        return self.index.search(prepared, k)[1][0]

    def search_all(self, prepared: list[NDArray[Any]], k: int, setting: Any) -> list[NDArray[np.int64]]:
        faiss.omp_set_num_threads(self.threads)
        self.set(setting or {})
        found = self.index.search(np.concatenate(prepared), k)[1]
        faiss.omp_set_num_threads(1)
        return list(found)

    def set(self, setting: dict[str, int]) -> None:
        """Make the next searches follow the setting."""

    def passages(self, answer: NDArray[np.int64]) -> NDArray[np.int64]:
        return answer[answer >= 0]

    def vectors(self, start: int, end: int) -> NDArray[np.float32]:
        part = slice(start * self.width, end * self.width)
        return self.data.read("dense", part).reshape(-1, self.width)


class Flat(Faiss):
    name = "faiss flat"

    def trained(self) -> Any:
        return faiss.IndexFlatIP(self.width)


class IVFPQ(Faiss):
    name = "faiss ivfpq"

    def trained(self) -> Any:
        n_passages = self.data.n_passages
        n_lists, n_bytes = 4 * math.isqrt(n_passages), self.width // DIMENSIONS_A_BYTE
        lists = faiss.IndexFlatIP(self.width)
        index = faiss.IndexIVFPQ(lists, self.width, n_lists, n_bytes, 8, faiss.METRIC_INNER_PRODUCT)
        vectors = np.load(self.data.folder / "dense.npy", mmap_mode="r")
        sample = np.random.default_rng(0).permutation(n_passages)[: TRAINED_WITH * n_lists]
        index.train(vectors[np.sort(sample)])
        return index

    def set(self, setting: dict[str, int]) -> None:
        self.index.nprobe = setting.get("nprobe", NPROBE)


class HNSW(Faiss):
    name = "faiss hnsw"

    def trained(self) -> Any:
        index = faiss.IndexHNSWFlat(self.width, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        return index

    def set(self, setting: dict[str, int]) -> None:
        self.index.hnsw.efSearch = setting.get("ef_search", EF_SEARCH)


class Binary(Faiss):
    name = "faiss binary"

    def trained(self) -> Any:
        return faiss.IndexBinaryFlat(self.width)

    def coded(self, vectors: NDArray[np.float32]) -> NDArray[Any]:
        return np.packbits(vectors > 0, axis=1)

    def save(self, index: Any) -> None:
        faiss.write_index_binary(index, self.path)

    def open(self) -> None:
        self.index = faiss.read_index_binary(self.path)


KINDS = {"flat": Flat, "ivfpq": IVFPQ, "hnsw": HNSW, "binary": Binary}


if __name__ == "__main__":
    serve(KINDS[sys.argv[3]])
