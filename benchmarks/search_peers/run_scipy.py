"""SciPy: the product of a sparse query row and the sparse matrix of passages, and the best of its entries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz, save_npz
from serving import Engine, Query, serve


class SciPy(Engine):
    name = "scipy sparse product"
    package = "scipy"
    kind = "exact"

    def build(self) -> None:
        data = self.data
        rows = csr_array((np.array(data.impacts), np.array(data.latents), np.array(data.offsets)),
                         shape=(data.n_passages, data.n_latents))  # fmt: skip
        by_latent = rows.T.tocsr()
        by_latent.indptr, by_latent.indices = by_latent.indptr.astype(np.int32), by_latent.indices.astype(np.int32)
        save_npz(self.out / "by_latent.npz", by_latent, compressed=False)

    def open(self) -> None:
        self.by_latent = csr_array(load_npz(self.out / "by_latent.npz"))

    def prepared(self, query: Query) -> Any:
        entries = query.weights, query.latents, np.array([0, len(query.latents)], np.int32)
        return csr_array(entries, shape=(1, self.data.n_latents))

    def search(self, prepared: Any, k: int, setting: Any) -> Any:
        scores = prepared @ self.by_latent
        best = np.argpartition(-scores.data, k - 1)[:k] if scores.nnz > k else np.arange(scores.nnz)
        return scores.indices[best[np.argsort(-scores.data[best], kind="stable")]]

    def passages(self, answer: Any) -> NDArray[np.int64]:
        return np.asarray(answer, np.int64)


if __name__ == "__main__":
    serve(SciPy)
