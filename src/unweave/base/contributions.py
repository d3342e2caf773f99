"""What each latent adds to a score, with the latent's name, how far that is to be trusted, and whether it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Contribution, Trust

Names = Mapping[int, str]
"""A latent's name; a latent that has none is missing."""
_NO_LABEL = None, None


@runtime_checkable
class Judged(Protocol):
    """Names that say how far each is to be trusted, and which concepts return, as a project's concepts do."""

    def shown(self) -> Mapping[int, tuple[str, Trust]]:
        """The name of each latent that has one, and how far it is to be trusted."""

    def returning(self) -> Mapping[int, bool]:
        """Whether each latent returns, of those of which it is known."""


def labels_of(names: Names | None) -> Mapping[int, tuple[str, Trust]]:
    """Each latent's name and trust; names that are just a mapping were judged by nobody."""
    if names is None:
        return {}
    return names.shown() if isinstance(names, Judged) else {j: (name, Trust.UNSCORED) for j, name in names.items()}


def returning(names: Names | None) -> Mapping[int, bool]:
    """Whether each latent returns, as far as names know."""
    return names.returning() if isinstance(names, Judged) else {}


def contributions(
    latents: NDArray[np.integer[Any]],
    query: NDArray[np.floating[Any]],
    passage: NDArray[np.floating[Any]],
    labels: Mapping[int, tuple[str, Trust]],
    returns: Mapping[int, bool],
) -> tuple[Contribution, ...]:
    """query * passage of each latent, (n_latents,) each, the largest by absolute value first.

    Args:
        labels: names and how far they are to be trusted, as `labels_of` gives them.
        returns: whether a latent returns, of those of which it is known: `SAE.returns`.
    """
    query, passage = query.astype(np.float64), passage.astype(np.float64)
    values = query * passage
    order = np.argsort(-np.abs(values), kind="stable")
    columns = (column[order].tolist() for column in (latents, query, passage, values))
    found = []
    for latent, of_query, of_passage, value in zip(*columns, strict=True):
        name, trust = labels.get(latent, _NO_LABEL)
        found.append(Contribution(latent, name, of_query, of_passage, value, trust, returns.get(latent)))
    return tuple(found)
