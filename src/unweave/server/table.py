"""The table of concepts: read once for all requests, and again when somebody has changed a name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from unweave.base.cores import spans
from unweave.base.records import Trust
from unweave.concepts.concept import DETECTION, Concept
from unweave.concepts.store import Concepts
from unweave.project import Project
from unweave.server import shapes

BINS = 12
"""Of a spark."""
_COLUMNS_AT_ONCE = 1024
"""Latents that are counted together, so that memory does not grow with them."""


class Table(NamedTuple):
    """All live concepts as the pages show them."""

    rows: dict[int, shapes.ConceptRow]
    """By latent, the most frequent first."""
    family_trust: dict[int, Trust]
    """How far the name of each is to be trusted as that of the family which it heads."""

    def activation(self, latent: int, activation: float) -> shapes.Activation:
        """A latent that a text activates so strongly; it may have no concept, for want of a passage with it."""
        row = self.rows.get(latent)
        if row is None:
            return shapes.Activation(
                latent=latent, name=None, trust=None, returns=None, holds_from=None, activation=activation,
                strongest=0.0,
            )  # fmt: skip
        return shapes.Activation(
            latent=latent, name=row.name, trust=row.trust, returns=row.returns, holds_from=row.holds_from,
            activation=activation, strongest=row.strongest,
        )  # fmt: skip

    def related(self, relation: str, latent: int, weight: float) -> shapes.RelatedConcept:
        """A concept as one that has to do with another."""
        row = self.rows.get(latent)
        name, trust = (None, None) if row is None else (row.name, row.trust)
        return shapes.RelatedConcept(relation=relation, other=latent, name=name, trust=trust, weight=weight)


def table_of(project: Project) -> Table:
    """The table of a project's concepts as they are now.

    Raises:
        MissingArtifact, StaleArtifact: there are none, or they are out of date.
    """
    names = project.concepts
    return project.kept("table of concepts", ["concepts"], _Reader)(names)


class _Reader:
    """Reads a database again when it has been written to; many may ask at once, and one reads."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._read: tuple[tuple[int, ...], Table] | None = None

    def __call__(self, names: Concepts) -> Table:
        with self._reading:
            written = names.written()
            if self._read is None or self._read[0] != written:
                self._read = written, _read(names)
            return self._read[1]


def _read(names: Concepts) -> Table:
    found = {concept.latent: concept for concept in names.by_document_frequency()}
    rows = {
        latent: _row(concept, concept if concept.merged_into is None else found.get(concept.merged_into, concept))
        for latent, concept in found.items()
    }
    return Table(rows, {latent: concept.family_trust for latent, concept in found.items()})


def _row(concept: Concept, named: Concept) -> shapes.ConceptRow:
    """A concept's row; its name is that of the concept that it is merged into, if it is."""
    detection = named.score(DETECTION)
    return shapes.ConceptRow(
        latent=concept.latent, name=named.name, trust=Trust.UNSCORED if named.name is None else named.trust,
        returns=concept.returns, holds_from=named.holds_from, document_frequency=concept.document_frequency,
        strongest=concept.strongest, detection=None if detection is None or named.name is None else detection.value,
        namer=None if named.name is None else named.namer, flag=concept.flag, merged_into=concept.merged_into,
    )  # fmt: skip


# --- filtered and sorted --------------------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """Which rows are wanted: those for which all of this is so."""

    words: str = ""
    """The name holds them all, in upper or lower case; or the latent's number, with or without a # before it."""
    trust: frozenset[Trust] = frozenset()
    """One of these; empty: any."""
    returns: bool | None = None
    flag: str | None = None

    def rows(self, rows: Iterable[shapes.ConceptRow]) -> list[shapes.ConceptRow]:
        """Those of some rows that are wanted, in their order."""
        words = self.words.casefold().split()
        return [
            row for row in rows
            if (not words or _says(row, words))
            and (not self.trust or row.trust in self.trust)
            and self.returns in (None, row.returns)
            and self.flag in (None, row.flag)
        ]  # fmt: skip


def _says(row: shapes.ConceptRow, words: list[str]) -> bool:
    if len(words) == 1 and words[0].removeprefix("#") == str(row.latent):
        return True
    name = (row.name or "").casefold()
    return all(word in name for word in words)


_TRUSTED = {trust: -place for place, trust in enumerate(Trust)}
_COLUMNS: Mapping[str, Callable[[shapes.ConceptRow], Any]] = {
    "latent": lambda row: row.latent, "name": lambda row: row.name and row.name.casefold(),
    "trust": lambda row: _TRUSTED[row.trust], "df": lambda row: row.document_frequency,
    "strongest": lambda row: row.strongest, "holds": lambda row: row.holds_from, "detection": lambda row: row.detection,
    "returns": lambda row: row.returns, "activation": lambda row: row.activation,
}  # fmt: skip


def in_order(rows: list[shapes.ConceptRow], by: str, *, descending: bool) -> list[shapes.ConceptRow]:
    """Rows by a column, those without a value last whatever the direction; equal ones keep their order."""
    column = _COLUMNS[by]
    known = [row for row in rows if column(row) is not None]
    unknown = [row for row in rows if column(row) is None]
    return sorted(known, key=column, reverse=descending) + unknown


# --- counted --------------------------------------------------------------------------------------


def sparks_of(project: Project) -> NDArray[np.int64]:
    """Of each latent, the passages by activation, in bins from 0 to its strongest, (n_latents, BINS)."""
    rows = table_of(project).rows

    def count() -> NDArray[np.int64]:
        active = project.active
        tops = np.array([row.strongest if (row := rows.get(j)) else 0.0 for j in range(active.shape[1])])
        return spark(active, tops)

    return project.kept("sparks of concepts", ["concepts", "latents"], count)


def spark(active: csc_array, tops: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count each column's values in bins from 0 to its top, (n_columns,); what is above is in the last one."""
    counts = np.zeros((len(tops), BINS), np.int64)
    scales = np.divide(BINS, tops, out=np.full(len(tops), np.inf), where=tops > 0)
    for start, end in spans(len(tops), _COLUMNS_AT_ONCE):
        lengths = np.diff(active.indptr[start : end + 1])
        of = np.repeat(np.arange(end - start), lengths)
        values = active.data[active.indptr[start] : active.indptr[end]]
        bins = np.minimum(values * scales[start + of], BINS - 1).astype(np.int64)
        flat = np.bincount(of * BINS + bins, minlength=(end - start) * BINS)
        counts[start:end] = flat.reshape(end - start, BINS)
    return counts
