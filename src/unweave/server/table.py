"""The table of concepts: read once for all requests, and again when somebody has changed a name."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from unweave.base.cores import spans
from unweave.base.records import Trust
from unweave.concepts.listing import Listed, listed
from unweave.concepts.store import Concepts
from unweave.project import Project
from unweave.server import shapes

BINS = 12
"""Of a spark."""
_COLUMNS_AT_ONCE = 1024
"""Latents that are counted together, so that memory does not grow with them."""


class Table(NamedTuple):
    """All live concepts as the pages show them."""

    rows: dict[int, Listed]
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
    found = names.by_document_frequency()
    rows = {row.latent: row for row in listed(found)}
    return Table(rows, {concept.latent: concept.family_trust for concept in found})


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
