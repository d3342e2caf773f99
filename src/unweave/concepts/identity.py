"""What each latent wrote and read when it was named: a name belongs to these directions, not to a number.

directions.npy   (2, n_latents, d_in) float16: rows of the decoder, then of the encoder, each of length 1

A latent of an SAE that was trained on keeps its names while both its directions have a cosine of `CLOSELY` or more with
those that were named. They are kept as they were, so that many small moves do not add up unseen.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unweave.base.arrays import save_array
from unweave.base.artifact import checked_array, read_manifest
from unweave.concepts.database import KIND
from unweave.sae.agreement import CLOSELY, Directions, by_number

_FILE = "directions"


def write(folder: Path, named: Directions) -> None:
    """Keep the directions that are named with the concepts in the making."""
    save_array(folder / f"{_FILE}.npy", np.stack(named).astype(np.float16))


def read(folder: Path) -> Directions | None:
    """The directions that a concepts folder's names were given to; None if it does not say.

    Raises:
        MissingArtifact, CorruptArtifact: it cannot be read.
    """
    manifest = read_manifest(folder, KIND)
    if f"{_FILE}.npy" not in manifest.files:
        return None
    stored = checked_array(folder, manifest, _FILE, np.float16, 3)
    return Directions(*stored.astype(np.float32)) if len(stored) == len(Directions._fields) else None


def stayed(named: Directions, now: Directions) -> NDArray[np.bool_]:
    """Which latents that there are now, (n_latents,), still have the directions that were named by their number."""
    found = np.zeros(len(now.decoder), np.bool_)
    if named.decoder.shape[1:] == now.decoder.shape[1:]:
        agreement = by_number(named, now)
        found[: len(agreement)] = agreement >= CLOSELY
    return found


def renewed(named: Directions | None, now: Directions, kept: Collection[int]) -> Directions:
    """The directions that names are given to: those that were named where names are kept, else those that are now."""
    if named is None or named.decoder.shape[1:] != now.decoder.shape[1:]:
        return now
    both = Directions(*(directions.copy() for directions in now))
    places = sorted(latent for latent in kept if latent < len(named.decoder))
    for mine, theirs in zip(both, named, strict=True):
        mine[places] = theirs[places]
    return both
