"""Two models of the same passages: which concepts they share, and which queries they answer differently.

Two projects of one corpus, made by other encoders or with other dictionaries, have no number in common: their concepts
are matched by when they are active on the passages that both have, see `concepts.relations.matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import labels_of, returning
from unweave.base.records import Trust
from unweave.concepts.relations import matching
from unweave.concepts.relations.kinds import Kind
from unweave.concepts.relations.matching import Alone, Rest
from unweave.errors import BadData
from unweave.stages.winners import Winners, changed_winners
from unweave.stages.workspace import Workspace


class Marked(NamedTuple):
    """A concept with its name and its marks."""

    latent: int
    name: str | None
    trust: Trust | None
    returns: bool | None


Mark = Callable[[int], Marked]
"""Gives one project's concept of this number."""


class Equivalent(NamedTuple):
    """Concepts of two models that are the same; see `concepts.relations.matching.Relation`."""

    kind: Kind
    ones: tuple[Marked, ...]
    others: tuple[Marked, ...]
    correlation: float
    singles: tuple[float, ...]


class Unmatched(NamedTuple):
    """A concept of one model that is in no relation; see `concepts.relations.matching.Alone`."""

    concept: Marked
    n_passages: int
    """Of the shared ones, how many activate it."""
    closest: Marked | None
    """The other model's concept that it correlates with most."""
    correlation: float


class Side(NamedTuple):
    """The concepts of one model."""

    kinds: dict[Kind, int]
    """How many concepts are of each kind."""
    by_chance: dict[Kind, int]
    """The same where the passages of the other model are shuffled."""
    overlapping: list[Unmatched]
    """Those that correlate most with a counterpart that belongs to another concept first."""
    only: list[Unmatched]
    """Of this model alone, the most frequent first."""
    n_compared: int
    n_rare: int
    """Active in too few of the shared passages to be compared."""


class Passages(NamedTuple):
    """The passages of two projects."""

    n_shared: int
    """With the same id and the same content."""
    n_only_one: int
    n_only_other: int
    n_differing: int
    """With the same id and another content: left out, too."""


class Fate(NamedTuple):
    """What became of a concept in the other model."""

    kind: Kind
    counterparts: tuple[Marked, ...]
    """The other model's concepts of its relation; of one in none, the closest, if there is any."""


@dataclass(frozen=True)
class ModelDifference:
    """What sets two models of the same passages apart."""

    paths: tuple[Path, Path]
    passages: Passages
    relations: list[Equivalent]
    """Matched, split, merged; of each kind the highest correlation first."""
    one: Side
    other: Side
    fates: tuple[Mapping[int, Fate], Mapping[int, Fate]]
    """Of each concept of either model that was compared."""
    queries: Winners

    def of_kind(self, kind: Kind) -> list[Equivalent]:
        """The relations of one kind."""
        return [row for row in self.relations if row.kind is kind]


def compare_models(one: Workspace, other: Workspace) -> ModelDifference:
    """Match the concepts of two projects of the same passages, and find the queries that they answer differently.

    Raises:
        BadData: they have no passage in common.
        MissingArtifact, StaleArtifact: one of them has no embeddings, latents or names yet, or they are out of date.
        AccountingError: a score's account does not add up.
    """
    shared, passages = _shared_passages(one, other)
    marks = _marks(one), _marks(other)
    latents = [csr_array(of.latents[shared[:, side]]) for side, of in enumerate((one, other))]
    found, luck = matching.correspondence(*latents), matching.by_chance(*latents)
    relations = [
        Equivalent(
            row.kind, tuple(map(marks[0], row.ones)), tuple(map(marks[1], row.others)), row.correlation, row.singles
        )
        for row in found.relations
    ]
    kinds, by_chance = found.counts(), luck.counts()
    one_side, other_side = (
        _side(rest, kinds[side], by_chance[side], marks[side], marks[1 - side])
        for side, rest in enumerate((found.one, found.other))
    )
    fates = _fates(relations, one_side, other_side)
    return ModelDifference(
        (one.path, other.path),
        passages,
        relations,
        one_side,
        other_side,
        fates,
        changed_winners(one, other, shared),
    )


def _shared_passages(one: Workspace, other: Workspace) -> tuple[NDArray[np.int64], Passages]:
    """The positions in both of what they share, (n, 2), in the order of the first, and how much is left out."""
    ours, theirs = one.corpus, other.corpus
    shared, n_differing = [], 0
    for position, passage in enumerate(ours):
        there = theirs.position(passage.passage_id)
        if there is None:
            continue
        if theirs[there].content == passage.content:
            shared.append((position, there))
        else:
            n_differing += 1
    n = len(shared) + n_differing
    if not shared:
        alike = f", {n_differing:,} ids with another text" if n_differing else ""
        raise BadData(
            f"{one.path} and {other.path} have no passage of the same id and text in common{alike}; make both from one "
            "corpus, or compare two corpora read by one dictionary: unweave contrast"
        )
    return np.array(shared, np.int64), Passages(len(shared), len(ours) - n, len(theirs) - n, n_differing)


def _side(rest: Rest, kinds: dict[Kind, int], by_chance: dict[Kind, int], mine: Mark, theirs: Mark) -> Side:
    overlapping = sorted(rest.overlapping, key=lambda row: -row.correlation)
    shared, own = ([_unmatched(row, mine, theirs) for row in rows] for rows in (overlapping, rest.only))
    return Side(kinds, by_chance, shared, own, rest.n_compared, rest.n_rare)


def _unmatched(row: Alone, mine: Mark, theirs: Mark) -> Unmatched:
    return Unmatched(
        mine(row.latent), row.n_texts, None if row.closest is None else theirs(row.closest), row.correlation
    )


def _fates(relations: Sequence[Equivalent], one: Side, other: Side) -> tuple[dict[int, Fate], dict[int, Fate]]:
    fates: tuple[dict[int, Fate], dict[int, Fate]] = ({}, {})
    for row in relations:
        fates[0].update({concept.latent: Fate(row.kind, row.others) for concept in row.ones})
        fates[1].update({concept.latent: Fate(row.kind, row.ones) for concept in row.others})
    for known, side in zip(fates, (one, other), strict=True):
        for kind, rows in ((Kind.OVERLAPPING, side.overlapping), (Kind.ONLY, side.only)):
            known.update({row.concept.latent: Fate(kind, (row.closest,) if row.closest else ()) for row in rows})
    return fates


def _marks(project: Workspace) -> Mark:
    """What gives a project's concepts by number; names are read once."""
    labels, returns = labels_of(project.concepts), returning(project.concepts)

    def marked(latent: int) -> Marked:
        label = labels.get(latent)
        return Marked(latent, label and label.name, label and label.trust, returns.get(latent))

    return marked
