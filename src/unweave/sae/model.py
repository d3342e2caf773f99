"""A trained sparse autoencoder, run with NumPy alone.

    z = relu(W_enc (x - b_pre) + b_enc), kept where it exceeds the threshold;  x_hat = W_dec.T z + b_pre

Trained as BatchTopK (Bussmann et al. 2024, arXiv 2412.06410): training keeps the k * batch strongest
activations of a batch; afterwards one threshold replaces the batch, so a text always gets the same latents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array, vstack

from unweave.artifact import build, read_manifest
from unweave.embeddings import refuse_unusable
from unweave.errors import CorruptArtifact, DimensionMismatch

WEIGHTS = "model.safetensors"
_BLOCK_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class SAEConfig:
    """What an SAE is; saved next to its weights."""

    d_in: int
    """Dimensions of the dense embedding, e.g. 384."""
    n_latents: int
    """Size of the dictionary: d_in times the expansion factor."""
    k: int = 32
    """Active latents per embedding, averaged over many (target L0)."""
    encoder: str = ""
    """Name of the model whose embeddings it reads."""

    def __post_init__(self) -> None:
        if self.d_in < 1:
            raise ValueError(f"d_in must be at least 1, got {self.d_in}")
        if not 0 < self.k <= self.n_latents:
            raise ValueError(f"k must be between 1 and n_latents={self.n_latents}, got {self.k}")


class Reconstruction(NamedTuple):
    """How well an SAE gives embeddings back."""

    nmse: float | None
    """Sum of (x - x_hat)^2 over all texts / sum of (x - mean x)^2; 0 is perfect. None if all texts are the same."""
    l0: float
    """Mean number of active latents per text."""
    live_latents: int
    """Latents active for at least one of the texts."""
    n_texts: int


@dataclass(frozen=True, eq=False)
class SAE:
    """A dictionary of directions and the encoder that writes an embedding in them."""

    config: SAEConfig
    W_enc: NDArray[np.float32]  # (n_latents, d_in)
    b_enc: NDArray[np.float32]  # (n_latents,)
    W_dec: NDArray[np.float32]  # (n_latents, d_in); row j is latent j's direction, of length 1
    b_pre: NDArray[np.float32]  # (d_in,)
    threshold: float
    """An activation at or below this counts as 0."""

    @classmethod
    def load(cls, folder: Path | str) -> SAE:
        """Open an SAE folder; needs no torch and runs nothing that the folder holds.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, "sae")
        try:
            config = SAEConfig(**manifest.settings["sae"])
            tensors = load_file(folder / WEIGHTS)
            threshold = float(tensors["threshold"][0])
            sae = cls(config, tensors["W_enc"], tensors["b_enc"], tensors["W_dec"], tensors["b_pre"], threshold)
        except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{folder} is not a whole SAE ({error}); fit it again") from error
        shape = (config.n_latents, config.d_in)
        weights = (sae.W_enc, sae.W_dec, sae.b_enc, sae.b_pre)
        if [t.shape for t in weights] != [shape, shape, shape[:1], shape[1:]]:
            raise CorruptArtifact(f"{folder / WEIGHTS} does not have the shapes {shape} that its config states")
        if not all(np.isfinite(t).all() for t in (*weights, sae.threshold)):
            raise CorruptArtifact(f"{folder / WEIGHTS} holds NaN or infinite values; fit it again")
        return sae

    def save(
        self,
        folder: Path | str,
        *,
        training: Mapping[str, Any] | None = None,
        made_from: Mapping[str, str] | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the SAE as a folder: `model.safetensors` and `config.json`."""
        settings = {"sae": asdict(self.config), "training": dict(training or {})}
        with build(Path(folder), "sae", settings=settings, made_from=made_from or {}) as made:
            self.write_weights(made.path / WEIGHTS)
            made.results.update(results or {})

    def write_weights(self, path: Path) -> None:
        """The five tensors, as safetensors."""
        tensors = {"W_enc": self.W_enc, "b_enc": self.b_enc, "W_dec": self.W_dec, "b_pre": self.b_pre}
        save_file(
            {name: np.ascontiguousarray(t) for name, t in tensors.items()}
            | {"threshold": np.array([self.threshold], dtype=np.float32)},
            path,
        )

    def encode(self, embeddings: NDArray[np.floating[Any]], max_latents: int | None = None) -> csr_array:
        """The latents that each embedding activates.

        Args:
            embeddings: (n, d_in) or one (d_in,), as the encoder gave them.
            max_latents: keep at most so many, the strongest, per text.

        Returns:
            (n, n_latents) sparse, activations > 0, in units of the embedding's length.

        Raises:
            DimensionMismatch: the embeddings are not d_in wide.
            BadData: an embedding is zero or not finite.
        """
        embeddings = self._checked(embeddings)
        blocks = [self._encode_block(block, max_latents) for block in _blocks(embeddings)]
        if not blocks:
            return csr_array((0, self.config.n_latents), dtype=np.float32)
        return csr_array(vstack(blocks, format="csr"))

    def decode(self, latents: csr_array) -> NDArray[np.float32]:
        """Reconstructed embeddings, (n, d_in), from latents, (n, n_latents)."""
        return np.asarray(latents @ self.W_dec, dtype=np.float32) + self.b_pre

    def reconstruct(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """x_hat for each embedding, (n, d_in)."""
        return self.decode(self.encode(embeddings))

    def measure(self, embeddings: NDArray[np.floating[Any]]) -> Reconstruction:
        """NMSE, L0 and live latents over these embeddings, (n, d_in)."""
        embeddings = self._checked(embeddings)
        latents = self.encode(embeddings)
        residual = embeddings - self.decode(latents)
        centred = embeddings - embeddings.mean(axis=0)
        spread = float(np.square(centred, dtype=np.float64).sum())
        return Reconstruction(
            nmse=float(np.square(residual, dtype=np.float64).sum()) / spread if spread else None,
            l0=latents.nnz / len(embeddings),
            live_latents=len(np.unique(latents.indices)),
            n_texts=len(embeddings),
        )

    def _checked(self, embeddings: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        embeddings = np.atleast_2d(np.asarray(embeddings, dtype=np.float32))
        if embeddings.ndim != 2 or embeddings.shape[1] != self.config.d_in:
            raise DimensionMismatch(
                f"embeddings of shape {embeddings.shape} came in but this SAE reads (n, {self.config.d_in}); "
                f"were they made by another encoder than {self.config.encoder or 'the one it was trained on'}?"
            )
        refuse_unusable(embeddings, "embeddings to encode")
        return embeddings

    def _encode_block(self, block: NDArray[np.float32], max_latents: int | None) -> csr_array:
        activations = (block - self.b_pre) @ self.W_enc.T
        activations += self.b_enc
        rows, latents = np.nonzero(activations > max(self.threshold, 0.0))
        offsets = np.searchsorted(rows, np.arange(len(block) + 1))
        kept = csr_array((activations[rows, latents], latents, offsets), shape=activations.shape)
        return kept if max_latents is None else strongest(kept, max_latents)


def strongest(latents: csr_array, most: int) -> csr_array:
    """Keep at most `most` latents a row, those with the highest activations; ties keep the lower latent."""
    lengths = np.diff(latents.indptr)
    if latents.nnz == 0 or lengths.max() <= most:
        return latents
    rows = np.repeat(np.arange(latents.shape[0]), lengths)
    order = np.lexsort((latents.indices, -latents.data, rows))
    rank = np.arange(latents.nnz) - np.repeat(latents.indptr[:-1], lengths)
    kept = np.sort(order[rank < most])
    offsets = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
    return csr_array((latents.data[kept], latents.indices[kept], offsets), shape=latents.shape)


def _blocks(embeddings: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (embeddings[start : start + _BLOCK_ROWS] for start in range(0, len(embeddings), _BLOCK_ROWS))
