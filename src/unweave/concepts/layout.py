"""A map of concepts: each has a place, close to those whose directions are close; passages stand amid their concepts.

latents.npy  (n,) int32, ascending: the concepts that have a place
places.npy   (n, 2) float32, in the square from -1 to 1
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.arrays import save_array
from unweave.base.artifact import checked_array, read_manifest
from unweave.base.cores import spans
from unweave.errors import CorruptArtifact, MissingExtra

KIND = "map"
PERPLEXITY = 30.0
"""About how many neighbours a concept is kept close to, as van der Maaten and Hinton advise."""
_ITERATIONS = 500
"""Twice as many move a concept's neighbours no closer to it: of the ten nearest directions as many are among the ten
nearest places."""
_FEWEST = 12
"""Of fewer concepts the two main axes say as much."""
_PASSAGES_AT_ONCE = 65_536


@dataclass(frozen=True)
class ConceptMap:
    """Where concepts stand."""

    latents: NDArray[np.int32]  # (n,) ascending
    places: NDArray[np.float32]  # (n, 2), -1 to 1

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Open a map.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        manifest = read_manifest(folder, KIND)
        latents = checked_array(folder, manifest, "latents", np.int32)
        places = checked_array(folder, manifest, "places", np.float32, 2)
        ascending = bool((np.diff(latents.astype(np.int64)) > 0).all()) and not (latents[:1] < 0).any()
        if places.shape != (len(latents), 2) or not ascending or not (np.abs(places) <= 1).all():
            raise CorruptArtifact(f"{folder} holds no places of concepts; lay out the map again")
        return cls(latents, places)

    def write(self, folder: Path) -> None:
        """Write the arrays to a map that is being made."""
        save_array(folder / "latents.npy", self.latents)
        save_array(folder / "places.npy", self.places)

    def of_passages(self, latents: csr_array) -> NDArray[np.float32]:
        """Where passages stand, (n_passages, 2): each at the mean of its concepts' places, weighted by activation.

        That is exact, and takes a product of a sparse matrix and two columns: a million passages take seconds. A
        passage without a concept on the map stands nowhere: NaN.

        Args:
            latents: (n_passages, n_latents) activations.
        """
        columns = np.zeros((latents.shape[1], 3), np.float32)
        known = self.latents < latents.shape[1]
        columns[self.latents[known]] = np.column_stack([self.places, np.ones(len(self.places))])[known]
        found = np.full((latents.shape[0], 2), np.nan, np.float32)
        for start, end in spans(latents.shape[0], _PASSAGES_AT_ONCE):
            sums = latents[start:end] @ columns
            np.divide(sums[:, :2], sums[:, 2:], out=found[start:end], where=sums[:, 2:] > 0)
        return found


def lay_out(directions: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Places of directions, (n, 2) in the square from -1 to 1, by t-SNE on their cosines; the same in every run.

    Source: van der Maaten and Hinton 2008, "Visualizing data using t-SNE", in scikit-learn's words. What is close on
    the map is close in direction; how far apart two distant concepts stand says nothing.

    Args:
        directions: (n, d_in), rows of a decoder.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True).clip(min=1e-12)
    if len(unit) < _FEWEST:
        return _in_square(_main_axes(unit))
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MissingExtra("laying out a map of concepts", "name") from error
    perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)
    found = TSNE(
        2, metric="cosine", init=_main_axes(unit), perplexity=perplexity, max_iter=_ITERATIONS, random_state=0
    ).fit_transform(unit)
    return _in_square(found)


def _main_axes(unit: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Coordinates along the two directions in which rows differ most, (n, 2), 0.0001 wide along the first."""
    centred = unit - unit.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    found: NDArray[np.float32] = np.zeros((len(unit), 2), np.float32)
    found[:, : len(axes[:2])] = centred @ axes[:2].T
    found *= np.sign(found[np.abs(found).argmax(axis=0), [0, 1]])  # which way an axis points is the library's whim
    found *= np.float32(1e-4 / max(float(found[:, 0].std()), 1e-12))
    return found


def _in_square(places: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-12)
    return np.asarray(((places - (low + high) / 2) / half).clip(-1, 1), np.float32)
