"""Latents on disk: which latents each text activates, and how strongly; one sparse row a text.

offsets.npy      (n_texts + 1,) int64
latents.npy      (n_active,) int32, ascending within a row
activations.npy  (n_active,) float32, > 0
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, vstack

from unweave.artifact import build, load_array, read_manifest
from unweave.errors import CorruptArtifact

if TYPE_CHECKING:
    from unweave.embeddings import Embeddings
    from unweave.sae.model import SAE

KIND = "latents"
_ARRAYS = ("offsets", "latents", "activations")


def encode_all(embeddings: Embeddings, sae: SAE) -> csr_array:
    """Latents of every embedding, (n_texts, n_latents)."""
    return csr_array(vstack([sae.encode(batch) for batch in embeddings.batches()], format="csr"))


def save_latents(
    folder: Path, latents: csr_array, *, settings: Mapping[str, Any], made_from: Mapping[str, str]
) -> None:
    """Store a matrix of latents, (n_texts, n_latents)."""
    with build(folder, KIND, settings=dict(settings) | {"n_latents": latents.shape[1]}, made_from=made_from) as made:
        np.save(made.path / "offsets.npy", latents.indptr.astype(np.int64))
        np.save(made.path / "latents.npy", latents.indices.astype(np.int32))
        np.save(made.path / "activations.npy", latents.data.astype(np.float32))
        made.results.update(n_texts=latents.shape[0], l0=latents.nnz / max(1, latents.shape[0]))


def load_latents(folder: Path) -> csr_array:
    """Open latents, memory-mapped, as a matrix (n_texts, n_latents).

    Raises:
        MissingArtifact, CorruptArtifact: there are none, or they are damaged.
    """
    manifest = read_manifest(folder, KIND)
    offsets, indices, data = (load_array(folder / f"{name}.npy", KIND) for name in _ARRAYS)
    n_latents = int(manifest.settings["n_latents"])
    if not (offsets[-1] == len(indices) == len(data)) or (len(indices) and indices.max() >= n_latents):
        raise CorruptArtifact(f"{folder}: its three arrays do not fit together; rebuild it")
    return csr_array((data, indices, offsets), shape=(len(offsets) - 1, n_latents), copy=False)
