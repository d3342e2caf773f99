"""Our concept index, searched by the plain dot product of query weights and impacts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from serving import Engine, Query, serve

from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import DOT
from unweave.index.segment import Batch
from unweave.index.writer import IndexWriter

AT_ONCE = 100_000


class Unweave(Engine):
    name = "unweave"
    package = "unweave"
    kind = "exact"

    def build(self) -> None:
        data = self.data

        def batch(start: int) -> Batch:
            end = min(start + AT_ONCE, data.n_passages)
            part = slice(data.offsets[start], data.offsets[end])
            impacts, latents = data.read("impacts", part), data.read("latents", part)
            rows = csr_array((impacts, latents, data.offsets[start : end + 1] - part.start),
                             shape=(end - start, data.n_latents))  # fmt: skip
            return Batch([str(i) for i in range(start, end)], rows)

        writer = IndexWriter.create(self.out, data.n_latents, DOT)
        writer.add_batches(batch(start) for start in range(0, data.n_passages, AT_ONCE))

    def open(self) -> None:
        self.index = ConceptIndex.open(self.out)

    def prepared(self, query: Query) -> Query:
        return Query(np.asarray(query.latents), np.asarray(query.weights))  # as arrays: they come memory-mapped

    def search(self, prepared: Query, k: int, setting: Any) -> Any:
        return self.index.hits(*prepared, k, **(setting or {}))

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.asarray(answer.passages)

    def bytes(self) -> int:
        return self.index.bytes()


if __name__ == "__main__":
    serve(Unweave)
