"""PISA, through PyTerrier's bindings: 8-bit impacts, searched with whole-numbered query weights by block-max MaxScore.

PISA scores whole numbers, so that an impact is rounded to 1 … 255 parts of the largest one, and a query weight to
1 … 127 parts of its query's largest: the bindings state a weight by repeating the term, and finer weights would cost
time. By these numbers it finds the best. `PisaToksIndexer` builds the index (it takes passages as dictionaries), PISA
compresses it with SIMD-BP128, in blocks of 64. Search calls what `PisaRetrieve.transform` calls, without its data
frames. Passages stay in the order given: the bindings offer no reordering. `setting` is {"algorithm": one of
`PisaQueryAlgorithm`}; block-max WAND, their default, takes about twice as long on a million passages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyterrier_pisa import PisaIndex, PisaQueryAlgorithm, PisaStopwords, _pisathon
from serving import Engine, Query, serve

AT_ONCE = 100_000
LARGEST_IMPACT = 255
LARGEST_WEIGHT = 127
ALGORITHM = "block_max_maxscore"


class Pisa(Engine):
    name = "pisa, 8-bit impacts"
    package = "pyterrier-pisa"
    kind = "rounded"

    def build(self) -> None:
        index = PisaIndex(str(self.out / "index"), stemmer="none", stops=PisaStopwords.none)
        index.toks_indexer("toks", scale=1).index(self._passages())
        index.quantized()  # which compresses

    def open(self) -> None:
        index = PisaIndex(str(self.out / "index"), stemmer="none", stops=PisaStopwords.none)
        self.context = index.quantized()._ctxt

    def prepared(self, query: Query) -> dict[str, float]:
        weights = np.maximum(np.rint(query.weights * (LARGEST_WEIGHT / float(query.weights.max()))), 1)
        return dict(zip(map(str, query.latents.tolist()), weights.tolist(), strict=True))

    def search(self, prepared: dict[str, float], k: int, setting: Any) -> Any:
        return self._retrieve([prepared], k, setting, threads=1)[1]

    def search_all(self, prepared: list[dict[str, float]], k: int, setting: Any) -> list[Any]:
        queries, passages = self._retrieve(prepared, k, setting, self.threads)
        # Threads answer in any order, each query in one piece.
        order = np.argsort(queries, kind="stable")
        return np.split(passages[order], np.searchsorted(queries[order], np.arange(1, len(prepared))))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return answer.astype(np.int64)

    def bytes(self) -> int:
        # What a search opens: the uncompressed lists that PISA compressed stay beside them.
        folder = self.out / "index"
        return sum(path.stat().st_size for path in (*folder.glob("quantized.*"), *folder.glob("fwd.*lex")))

    def _retrieve(self, queries: list[dict[str, float]], k: int, setting: Any, threads: int) -> Any:
        """Of all that was found, the queries' numbers and the passages' names."""
        algorithm = PisaQueryAlgorithm((setting or {}).get("algorithm", ALGORITHM))
        size = len(queries) * k
        numbers, names = np.empty(size, np.int32), np.empty(size, object)
        ranks, scores = np.empty(size, np.int32), np.empty(size, np.float32)
        found = _pisathon.retrieve(
            self.context, algorithm.value, list(enumerate(queries)), k=k, threads=threads, pretokenised=True,
            query_weighted=1, result_qidxs=numbers, result_docnos=names, result_ranks=ranks, result_scores=scores,
        )  # fmt: skip
        return numbers[:found], names[:found]

    def _passages(self) -> Iterator[dict[str, Any]]:
        data = self.data
        scale = LARGEST_IMPACT / float(data.impacts.max())
        for start in range(0, data.n_passages, AT_ONCE):
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            terms = list(map(str, data.read("latents", part).tolist()))
            impacts = np.maximum(np.rint(data.read("impacts", part) * scale), 1).astype(np.int64).tolist()
            ends = (data.offsets[start : end + 1] - part.start).tolist()
            for i in range(end - start):
                entries = slice(ends[i], ends[i + 1])
                yield {"docno": str(start + i), "toks": dict(zip(terms[entries], impacts[entries], strict=True))}


if __name__ == "__main__":
    serve(Pisa)
