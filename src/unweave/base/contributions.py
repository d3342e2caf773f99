"""What each latent adds to a score, with the latent's name, how far that is to be trusted, and whether it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Contribution, Group, Trust

Names = Mapping[int, str]
"""A latent's name; a latent that has none is missing."""


class Label(NamedTuple):
    """A latent's name, and how far that is to be trusted."""

    name: str
    trust: Trust = Trust.UNSCORED
    holds_from: float | None = None
    """The activation from which it holds; None: at none, as far as was seen."""

    def group(self, activation: float) -> Group:
        """How far a reader can rely on the name for a text that activates the latent so strongly."""
        if self.holds_from is None or self.trust not in _NAMED:
            return Group.UNNAMED
        return Group.NAMED if activation >= self.holds_from else Group.TRACES


_NAMED = (Trust.CONFIRMED, Trust.HOLDS, Trust.VAGUE)


@runtime_checkable
class Judged(Protocol):
    """Names that say how far each is to be trusted, and which concepts return, as a project's concepts do."""

    def shown(self) -> Mapping[int, Label]:
        """The name of each latent that has one, and how far it is to be trusted."""

    def returning(self) -> Mapping[int, bool]:
        """Whether each latent returns, of those of which it is known."""


def labels_of(names: Names | None) -> Mapping[int, Label]:
    """Each latent's name and trust; names that are just a mapping were judged by nobody."""
    if names is None:
        return {}
    return names.shown() if isinstance(names, Judged) else {j: Label(name) for j, name in names.items()}


def returning(names: Names | None) -> Mapping[int, bool]:
    """Whether each latent returns, as far as names know."""
    return names.returning() if isinstance(names, Judged) else {}


def contributions(
    latents: NDArray[np.integer[Any]],
    query: NDArray[np.floating[Any]],
    passage: NDArray[np.floating[Any]],
    activations: NDArray[np.floating[Any]],
    labels: Mapping[int, Label],
    returns: Mapping[int, bool],
) -> tuple[Contribution, ...]:
    """query * passage of each latent, (n_latents,) each, the largest by absolute value first.

    Args:
        activations: with which the passage activates the latents; the passage's part itself, or what that is made from.
        labels: names and how far they are to be trusted, as `labels_of` gives them.
        returns: whether a latent returns, of those of which it is known: `SAE.returns`.
    """
    query, passage = query.astype(np.float64), passage.astype(np.float64)
    values = query * passage
    order = np.argsort(-np.abs(values), kind="stable")
    columns = (column[order].tolist() for column in (latents, query, passage, values, activations))
    found = []
    for latent, of_query, of_passage, value, activation in zip(*columns, strict=True):
        label = labels.get(latent)
        name, trust, group = None, None, Group.UNNAMED
        if label is not None:
            name, trust, group = label.name, label.trust, label.group(activation)
        found.append(Contribution(latent, name, of_query, of_passage, value, trust, returns.get(latent), group))
    return tuple(found)
