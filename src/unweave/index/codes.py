"""Codes: what every passage is made of, in three bytes a concept, to score it against a whole query.

    score(q, d) = <q, x_hat_d> = sum_j z_dj <q, w_j> + <q, b_pre>

The query stays dense, only passages are coded, as in the asymmetric distance of product quantisation (Jégou et al.
2011). Each term is one concept's, so what the score is made of is exact. Codes are found by orthogonal pursuit, see
`sae.pursuit`, and stretched so that x_hat_d is as long as the embedding it stands for: what a code leaves out would
otherwise count against the passage.

    latents.npy      (n_passages, k) uint16, or uint32 from 65,536 latents on; the strongest first
    activations.npy  (n_passages, k) uint8: activations over the passage's scale; 0: no more latents
    scales.npy       (n_passages,) float32
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, vstack

from unweave.base.artifact import build, load_array, read_manifest
from unweave.errors import CorruptArtifact
from unweave.index.segment import Entries
from unweave.sae.model import pursue

if TYPE_CHECKING:
    from unweave.encode.embeddings import Embeddings
    from unweave.sae.model import SAE

KIND = "codes"
_ARRAYS = ("latents", "activations", "scales")
_MOST = 255


class Codes:
    """The code of each passage, memory-mapped."""

    def __init__(
        self, latents: NDArray[np.unsignedinteger[Any]], activations: NDArray[np.uint8], scales: NDArray[np.float32]
    ) -> None:
        self._latents, self._activations, self._scales = latents, activations, scales

    @classmethod
    def of(cls, codes: csr_array) -> Codes:
        """Round activations, (n_passages, n_latents), to 8 bits of each passage's strongest."""
        n, n_latents = codes.shape
        lengths = np.diff(codes.indptr)
        k = int(lengths.max(initial=0))
        rows = np.repeat(np.arange(n), lengths)
        order = np.lexsort((codes.indices, -codes.data, rows))
        places = np.arange(codes.nnz) - np.repeat(codes.indptr[:-1], lengths)
        latents = np.zeros((n, k), np.uint16 if n_latents <= 1 << 16 else np.uint32)
        values = np.zeros((n, k), np.float32)
        latents[rows, places], values[rows, places] = codes.indices[order], codes.data[order]
        scales = (values.max(axis=1, initial=0) / _MOST).astype(np.float32)
        steps = np.divide(values, scales[:, None], out=np.zeros_like(values), where=scales[:, None] > 0)
        return cls(latents, np.rint(steps).astype(np.uint8), scales)

    @classmethod
    def load(cls, folder: Path) -> Codes:
        """Open what `save` wrote.

        Raises:
            MissingArtifact, CorruptArtifact: there are none, or they are damaged.
        """
        manifest = read_manifest(folder, KIND)
        latents, activations, scales = (load_array(folder / f"{name}.npy", KIND) for name in _ARRAYS)
        n_latents = int(manifest.settings["n_latents"])
        whole = latents.shape == activations.shape and latents.shape[:1] == scales.shape
        if not whole or (latents.size and int(latents.max()) >= n_latents):
            raise CorruptArtifact(f"{folder}: its three arrays do not fit together; rebuild it")
        return cls(latents, activations, scales)

    def save(self, folder: Path, n_latents: int, *, settings: Mapping[str, Any], made_from: Mapping[str, str]) -> None:
        """Store them; what was there is replaced."""
        with build(folder, KIND, settings=dict(settings) | {"n_latents": n_latents}, made_from=made_from) as made:
            np.save(made.path / "latents.npy", self._latents)
            np.save(made.path / "activations.npy", self._activations)
            np.save(made.path / "scales.npy", self._scales)
            made.results.update(n_passages=len(self), bytes_per_passage=self.bytes / max(1, len(self)))

    def __len__(self) -> int:
        return len(self._scales)

    @property
    def bytes(self) -> int:
        """Their size, in memory as on disk."""
        return int(self._latents.nbytes + self._activations.nbytes + self._scales.nbytes)

    def reconstructed(self, products: NDArray[np.float64], passages: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum of activation * product over the latents of each passage, (n,).

        With the products W_dec q, this is (x_hat - b_pre) . q.

        Args:
            products: (n_latents,).
            passages: (n,) positions.
        """
        scores = np.empty(len(passages))
        _score(self._latents, self._activations, self._scales, products, passages, scores)
        return scores

    def row(self, passage: int) -> Entries:
        """What one passage is made of, the strongest first, as it is scored."""
        n = int(np.count_nonzero(self._activations[passage]))
        values = self._activations[passage, :n].astype(np.float32) * self._scales[passage]
        return Entries(self._latents[passage, :n].astype(np.int64), values)


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _score(latents, activations, scales, products, passages, scores):  # type: ignore[no-untyped-def]
    for i in range(len(passages)):
        passage = passages[i]
        total = 0.0
        for j in range(latents.shape[1]):
            total += np.float64(activations[passage, j]) * products[latents[passage, j]]
        scores[i] = total * np.float64(scales[passage])


def encode(sae: SAE, embeddings: Embeddings, k: int) -> Codes:
    """The codes of all embeddings, of at most k latents each."""
    return Codes.of(vstack([as_long(sae, rows, pursue(sae, rows, k)) for rows in embeddings.batches()], format="csr"))


def as_long(sae: SAE, embeddings: NDArray[np.float32], codes: csr_array) -> csr_array:
    """Stretch each code so that what it decodes to is as long as the embedding: |c z W_dec + b_pre| = |x|.

    A code for which no factor c > 0 does is left as it is.
    """
    decoded = (codes @ sae.W_dec).astype(np.float64)
    bias = sae.b_pre.astype(np.float64)
    a = np.square(decoded).sum(axis=1)
    b = decoded @ bias
    c = bias @ bias - np.square(embeddings, dtype=np.float64).sum(axis=1)
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = (np.sqrt(discriminant) - b) / a
    factors = np.where(np.isfinite(factors) & (factors > 0), factors, 1.0).astype(np.float32)
    return csr_array(diags_array(factors) @ codes)
