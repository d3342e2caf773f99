"""Paths from general to special concepts, by which a passage can be read from coarse to fine.

Hosking et al. 2024 ("Hierarchical Indexing for Retrieval-Augmented Opinion Summarization", arXiv 2403.00435) encode
sentences as paths through a learned hierarchy. Here the hierarchy is that of latents and their parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ConceptPath(NamedTuple):
    """Latents from one without a parent down to one that a text activates, each the parent of the next."""

    latents: tuple[int, ...]
    activations: tuple[float, ...]
    """0 for a latent on the way that the text does not activate."""

    @property
    def strength(self) -> float:
        """How much of the text it tells: the sum of its activations."""
        return sum(self.activations)


def paths(
    latents: NDArray[np.integer[Any]], activations: NDArray[np.floating[Any]], parents: Mapping[int, int]
) -> list[ConceptPath]:
    """The paths through a hierarchy that a text takes, the strongest first.

    A path ends in an active latent that has no active latent below it, so that none is part of another.

    Args:
        latents: (n,) that the text activates, none twice.
        activations: (n,) how strongly, above 0.
        parents: of each latent that has one; without cycles.
    """
    active = dict(zip(latents.tolist(), activations.tolist(), strict=True))
    to_the_root = {latent: _to_the_root(latent, parents) for latent in active}
    passed = {above for way in to_the_root.values() for above in way[1:]}
    found = []
    for latent, way in to_the_root.items():
        if latent not in passed:
            down = tuple(reversed(way))
            found.append(ConceptPath(down, tuple(active.get(step, 0.0) for step in down)))
    return sorted(found, key=lambda path: (-path.strength, path.latents))


def _to_the_root(latent: int, parents: Mapping[int, int]) -> list[int]:
    way = [latent]
    while (above := parents.get(way[-1])) is not None:
        if above in way:
            raise ValueError(f"the parents of latent {latent} lead back to {above}; a hierarchy has no cycles")
        way.append(above)
    return way
