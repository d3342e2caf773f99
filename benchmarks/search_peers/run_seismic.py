"""Seismic: shortened, clustered posting lists, whose summaries tell which clusters to read and to score exactly.

Approximate, and its forward index holds impacts as 16-bit floats. The index is built as Seismic's authors do it for a
recall of .99 on MS MARCO (`experiments/best_configs`, SPLADE, recall_99), without a graph of neighbours, which takes
them much longer; another mean length of posting lists may follow the folder: run_seismic.py DATA OUT 1000. It is saved
and loaded again. `setting` is {"query_cut": posting lists to read, "heap_factor": how readily clusters are skipped,
"sorted": whether the best clusters are read first}; what it leaves out is as the authors advise.
One query is one `search`, on one thread; all queries together are one `batch_search`, on all threads, as is building.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from seismic import SeismicDataset, SeismicIndex, get_seismic_string
from serving import Data, Engine, Query, serve

N_POSTINGS = int(sys.argv[3]) if len(sys.argv) > 3 else 4000
BUILT_WITH = {"n_postings": N_POSTINGS, "centroid_fraction": 0.2, "summary_energy": 0.5, "max_fraction": 4.0,
              "min_cluster_size": 2}  # fmt: skip
SEARCHED_WITH = {"query_cut": 10, "heap_factor": 0.8, "sorted": True}
AT_ONCE = 100_000


class _Prepared(NamedTuple):
    tokens: NDArray[np.str_]
    weights: NDArray[np.float32]


class Seismic(Engine):
    name = "seismic" if len(sys.argv) < 4 else f"seismic, {N_POSTINGS} postings"
    package = "pyseismic-lsr"
    kind = "approx"

    def __init__(self, data: Data, out: Path, threads: int) -> None:
        super().__init__(data, out, threads)
        # Seismic's own `num_threads` changes nothing in this version: Rayon reads this when it is first needed.
        os.environ["RAYON_NUM_THREADS"] = str(threads)

    def build(self) -> None:
        data, passages = self.data, SeismicDataset(dim=self.data.n_latents)
        for start in range(0, data.n_passages, AT_ONCE):
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            latents, impacts = data.read("latents", part).astype(np.int64), data.read("impacts", part)
            ends = data.offsets[start : end + 1] - part.start
            passages.add_documents_by_id([str(i) for i in range(start, end)], latents, impacts, ends)
        index = SeismicIndex.build_from_dataset(passages, **BUILT_WITH)
        index.save(str(self.out / "passages"))

    def open(self) -> None:
        self.index = SeismicIndex.load(str(self.out / "passages.index.seismic"))

    def prepared(self, query: Query) -> _Prepared:
        return _Prepared(query.latents.astype(get_seismic_string()), query.weights)

    def search(self, prepared: _Prepared, k: int, setting: Any) -> Any:
        return self.index.search("", *prepared, k, **SEARCHED_WITH | (setting or {}))

    def search_all(self, prepared: list[_Prepared], k: int, setting: Any) -> list[Any]:
        tokens, weights = (list(part) for part in zip(*prepared, strict=True))
        names = np.arange(len(prepared)).astype(get_seismic_string())
        asked = SEARCHED_WITH | (setting or {})
        answers: list[Any] = [()] * len(prepared)
        for found in self.index.batch_search(names, tokens, weights, k, **asked):
            if found:  # threads return in any order, with the name of the query in each hit
                answers[int(found[0][0])] = found
        return answers

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.array([passage for _, _, passage in answer], np.int64)

    def bytes(self) -> int:
        return (self.out / "passages.index.seismic").stat().st_size


if __name__ == "__main__":
    serve(Seismic)
