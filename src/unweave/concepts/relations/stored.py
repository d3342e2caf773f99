"""How a project's concepts relate, worked out once and stored beside their names; and what is read from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from unweave.concepts.concept import Related
from unweave.concepts.database import reading
from unweave.concepts.relations import flags
from unweave.concepts.relations.families import Ties
from unweave.concepts.relations.ties import Nearest, Together
from unweave.texts.corpus import Corpus

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


def stored_families(database: Path) -> list[Family]:
    """The families of concepts, the largest first; none if relations were not worked out."""
    with reading(database) as db:
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
    with reading(database) as db:
        return dict(db.execute("SELECT latent, other FROM related WHERE relation = ?", (PARENT,)).fetchall())


def remarks_on(corpus: Corpus, latents: csc_array, stored: NDArray[np.int64], nearest: Nearest) -> dict[int, str]:
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


def as_related(
    nearest: Nearest, together: Together, same: list[tuple[int, int, float]], above: Ties, kin: Ties
) -> Iterator[tuple[int, Related]]:
    """The relations of each latent, as the store keeps them."""
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
