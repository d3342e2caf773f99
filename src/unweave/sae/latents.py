"""Latents on disk: which latents each text activates, and how strongly; one sparse row a text.

offsets.npy      (n_texts + 1,) int64
latents.npy      (n_active,) int32, ascending within a row
activations.npy  (n_active,) float32, > 0
sums.npy         the sums of the pages of these three, see `base.pages`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz, save_npz, vstack

from unweave.base import progress
from unweave.base.arrays import ArrayWriter, save_array
from unweave.base.artifact import damaged, read_manifest
from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.base.pages import open_checked, write_sums
from unweave.errors import CorruptArtifact

if TYPE_CHECKING:
    from unweave.sae.model import SAE

KIND = "latents"
_FILES = {"offsets": (np.int64, 1), "latents": (np.int32, 1), "activations": (np.float32, 1)}
_TEXTS_AT_ONCE = 2048


def encode_all(batches: Iterable[NDArray[np.float32]], sae: SAE) -> csr_array:
    """Latents of every embedding, (n_texts, n_latents), given some at a time, (n, d_in) each."""
    return csr_array(vstack([sae.encode(batch) for batch in batches], format="csr"))


def write_latents(
    folder: Path, n_texts: int, latents_of: Callable[[int, int], csr_array], *, label: str, settings: Mapping[str, Any],
    made_from: Mapping[str, str],
) -> None:  # fmt: skip
    """Find and store latents, some texts at a time; a killed run goes on after the last of these.

    Args:
        latents_of: called with (start, end), returns the latents of texts start to end - 1, (end - start, n_latents).
        settings: with `n_latents`.
    """
    with build(folder, KIND, settings=settings, made_from=made_from) as made:
        starts = range(0, n_texts, _TEXTS_AT_ONCE)
        parts = [made.path / f"part-{number:06d}.npz" for number in range(len(starts))]
        with progress.steps(label, total=n_texts, unit="texts") as advance:
            for start, part in zip(starts, parts, strict=True):
                end = min(start + _TEXTS_AT_ONCE, n_texts)
                if not part.exists():
                    found = latents_of(start, end)
                    write_atomically(part, lambda path, found=found: _save_part(path, found))  # type: ignore[misc]
                    made.checkpoint()
                advance(end - start)
        lengths = [np.zeros(1, np.int64)]
        with (
            ArrayWriter(made.path / "latents.npy", np.int32) as indices,
            ArrayWriter(made.path / "activations.npy", np.float32) as activations,
        ):
            for part in parts:
                rows = csr_array(load_npz(part))
                lengths.append(np.diff(rows.indptr).astype(np.int64))
                indices.append(rows.indices)
                activations.append(rows.data)
        offsets = np.cumsum(np.concatenate(lengths))
        save_array(made.path / "offsets.npy", offsets)
        for part in parts:
            part.unlink()
        write_sums(made.path, _FILES)
        made.results.update(n_texts=n_texts, l0=int(offsets[-1]) / max(1, n_texts))


def _highest(indices: NDArray[np.int32]) -> int:
    """The highest of latents' numbers, one below 0 counting as very high: all are read, but only once and in place."""
    return int(indices.view(np.uint32).max(initial=0)) if len(indices) else -1


def _save_part(path: Path, latents: csr_array) -> None:
    with path.open("wb") as file:  # given a name, save_npz would add an ending to it
        save_npz(file, latents, compressed=False)


def load_latents(folder: Path) -> csr_array:
    """Open latents, memory-mapped, as a matrix (n_texts, n_latents).

    Raises:
        MissingArtifact, CorruptArtifact: there are none, or they are damaged.
    """
    manifest = read_manifest(folder, KIND)
    opened = open_checked(folder, manifest, _FILES)
    offsets, indices, data = (opened[name].whole() for name in _FILES)
    with damaged(f"{folder} does not say how many latents there are ({{}}); encode the texts again"):
        n_latents = int(manifest.settings["n_latents"])
    ascending = len(offsets) > 0 and offsets[0] == 0 and bool((np.diff(offsets) >= 0).all())
    if not ascending or not offsets[-1] == len(indices) == len(data) or _highest(indices) >= n_latents:
        raise CorruptArtifact(f"{folder}: its three arrays do not fit together; encode the texts again")
    if len(data) and not 0 < data.min() <= data.max() < np.inf:
        raise CorruptArtifact(f"{folder} has an activation that is no number above 0; encode the texts again")
    return csr_array((data, indices, offsets), shape=(len(offsets) - 1, n_latents), copy=False)
