"""How a project's concepts relate, worked out once and stored beside their names; and what is read from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.concepts import flags, store
from unweave.concepts.families import MATRYOSHKA, Ties, families, matryoshka_generality, parents
from unweave.concepts.paths import Path as ConceptPath
from unweave.concepts.paths import paths
from unweave.concepts.prevalent import Prevalent, prevalent_latents
from unweave.concepts.relations import (
    Nearest,
    Together,
    active_together,
    closest,
    duplicates,
    nearest_directions,
)
from unweave.concepts.store import Concepts, Related
from unweave.corpus import Corpus
from unweave.project import Project
from unweave.records import Hit

NEIGHBOUR, CO_OCCURRING, DUPLICATE, PARENT, FAMILY = "neighbour", "co-occurring", "duplicate", "parent", "family"
RELATIONS = (NEIGHBOUR, CO_OCCURRING, DUPLICATE, PARENT, FAMILY)
_EXAMPLES = 10
"""Passages of a concept, the strongest, that show whether it is boilerplate."""


class RelatedSummary(NamedTuple):
    """How many relations of each kind, and remarks, were found."""

    neighbours: int
    """Pairs of a latent and another whose direction is near."""
    co_occurring: int
    """Pairs of a latent and another that is active with it."""
    duplicates: int
    """Pairs that say the same."""
    families: int
    in_families: int
    """Latents in families, heads included."""
    with_parents: int
    generic: int
    boilerplate: int
    hubs: int


class Family(NamedTuple):
    """Latents that are active together."""

    head: int
    """The most frequent."""
    members: tuple[int, ...]
    """The others, the closest tied first."""
    weights: tuple[float, ...]
    """npmi of the tie by which each came into the family."""


def relate(project: Project, database: Path | None = None) -> RelatedSummary:
    """Work out how a project's concepts relate, and which call for a remark, and store that in place of what was there.

    Args:
        database: of the concepts, if they are being made; by default the project's. Only concepts in it are related.
    """
    database = project.concepts.database if database is None else database
    latents, directions = project.latents, project.sae.W_dec
    by_latent = csc_array(latents.tocsc())
    frequency = np.diff(by_latent.indptr).astype(np.int64)
    stored = np.array(sorted(store.stored_latents(database)), np.int64)
    together = active_together(latents)
    together = together.where(np.isin(together.latents, stored) & np.isin(together.others, stored))
    nearest = nearest_directions(directions, stored)
    same = duplicates(nearest, by_latent, Concepts(database))
    kin = families(together, frequency)
    above = parents(together, frequency, directions, _generality(project))
    measured = _flags(project.corpus, by_latent, stored, nearest)
    store.replace_related(database, RELATIONS, _related(nearest, closest(together), same, above, kin))
    flags.keep(database, measured)
    remarks = list(measured.values())
    return RelatedSummary(
        neighbours=nearest.others.size,
        co_occurring=len(closest(together).latents),
        duplicates=len(same),
        families=len(np.unique(kin.others)),
        in_families=len(kin.latents) + len(np.unique(kin.others)),
        with_parents=len(above.latents),
        generic=remarks.count(flags.GENERIC),
        boilerplate=remarks.count(flags.BOILERPLATE),
        hubs=remarks.count(flags.HUB),
    )


def stored_families(project: Project) -> list[Family]:
    """The families of a project's concepts, the largest first; none if relations were not worked out."""
    with store.connected(project.concepts.database) as db:
        rows = db.execute(
            "SELECT other, latent, weight FROM related WHERE relation = ? ORDER BY weight DESC, latent", (FAMILY,)
        ).fetchall()
    members: dict[int, list[tuple[int, float]]] = {}
    for head, latent, weight in rows:
        members.setdefault(head, []).append((latent, weight))
    found = [Family(head, *zip(*of, strict=True)) for head, of in members.items()]
    return sorted(found, key=lambda family: (-len(family.members), family.head))


def stored_parents(database: Path) -> dict[int, int]:
    """The parent of each latent that has one."""
    with store.connected(database) as db:
        return dict(db.execute("SELECT latent, other FROM related WHERE relation = ?", (PARENT,)).fetchall())


def passage_paths(project: Project, passage_id: str) -> list[ConceptPath]:
    """The paths from coarse to fine concepts that a passage takes, the strongest first.

    Raises:
        BadData: the corpus has no passage of this id.
    """
    position = project.position(passage_id)
    row = csr_array(project.latents[[position]])
    return paths(row.indices, row.data, stored_parents(project.concepts.database))


def prevalent(project: Project, hits: Sequence[Hit], top: int = 10) -> list[Prevalent]:
    """The concepts that found passages have more often than the corpus, those that set them apart most first."""
    positions = np.array([project.position(hit.passage.passage_id) for hit in hits], np.int64)
    return prevalent_latents(project.latents, positions, top=top)


def _generality(project: Project) -> NDArray[np.int64] | None:
    """How general each latent is by its place in the dictionary; None where the place says nothing."""
    variant = project.manifest("sae").settings.get("training", {}).get("variant")
    return matryoshka_generality(project.sae.config.n_latents) if variant == MATRYOSHKA else None


def _flags(corpus: Corpus, latents: csc_array, stored: NDArray[np.int64], nearest: Nearest) -> dict[int, str]:
    """The remark on each latent that calls for one."""
    generic = flags.is_generic(np.diff(latents.indptr).astype(np.int64), latents.shape[0])
    hubs = set(stored[flags.is_hub(nearest)].tolist())
    remarks = {}
    for latent in stored.tolist():
        column = slice(latents.indptr[latent], latents.indptr[latent + 1])
        strongest = latents.indices[column][np.argsort(-latents.data[column], kind="stable")[:_EXAMPLES]]
        if flags.is_boilerplate([corpus[position].content for position in strongest.tolist()]):
            remarks[latent] = flags.BOILERPLATE
        elif generic[latent]:
            remarks[latent] = flags.GENERIC
        elif latent in hubs:
            remarks[latent] = flags.HUB
    return remarks


def _related(
    nearest: Nearest, together: Together, same: list[tuple[int, int, float]], above: Ties, kin: Ties
) -> Iterator[tuple[int, Related]]:
    for latent, others, cosines in zip(nearest.latents, nearest.others, nearest.cosines, strict=True):
        for other, cosine in zip(others.tolist(), cosines.tolist(), strict=True):
            yield int(latent), Related(NEIGHBOUR, other, cosine)
    for latent, other, _, npmi in zip(*(column.tolist() for column in together), strict=True):
        yield latent, Related(CO_OCCURRING, other, npmi)
    for one, other, cosine in same:
        yield one, Related(DUPLICATE, other, cosine)
        yield other, Related(DUPLICATE, one, cosine)
    for relation, ties in ((PARENT, above), (FAMILY, kin)):
        for latent, other, weight in zip(*(column.tolist() for column in ties), strict=True):
            yield latent, Related(relation, other, weight)
