"""The stage that works out how concepts relate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.base.records import Hit
from unweave.concepts import store
from unweave.concepts.namers.base import digest
from unweave.concepts.relations import flags
from unweave.concepts.relations.families import MATRYOSHKA, beyond_chance, families, matryoshka_generality, parents
from unweave.concepts.relations.paths import ConceptPath, paths
from unweave.concepts.relations.prevalent import Prevalent, prevalent_latents
from unweave.concepts.relations.stored import RELATIONS, RelatedSummary, as_related, remarks_on, stored_parents
from unweave.concepts.relations.ties import active_together, closest, duplicates, nearest_directions
from unweave.concepts.store import Concepts
from unweave.stages.workspace import Workspace


def relate(project: Workspace, database: Path | None = None) -> RelatedSummary:
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
    kin = beyond_chance(families(together, frequency), directions, stored)
    above = parents(together, frequency, directions, _generality(project))
    measured = remarks_on(project.corpus, by_latent, stored, nearest)
    store.replace_related(database, RELATIONS, as_related(nearest, closest(together), same, above, kin))
    flags.keep(database, measured)
    store.note_made_from(database, NAMES, names_in(database))  # last: a killed run begins again
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


NAMES = "names"
"""What relations are made from beside the project's artefacts."""


def names_in(database: Path) -> str:
    """A digest of the names that are shown; relations made from another one are out of date."""
    return digest({str(latent): name for latent, name in Concepts(database).items()})


def passage_paths(project: Workspace, passage_id: str) -> list[ConceptPath]:
    """The paths from coarse to fine concepts that a passage takes, the strongest first.

    Raises:
        BadData: the corpus has no passage of this id.
    """
    position = project.position(passage_id)
    row = csr_array(project.latents[[position]])
    return paths(row.indices, row.data, stored_parents(project.concepts.database))


def prevalent(project: Workspace, hits: Sequence[Hit], top: int = 10) -> list[Prevalent]:
    """The concepts that found passages have more often than the corpus; see `prevalent_latents`."""
    found = (project.corpus.position(hit.passage.passage_id) for hit in hits)
    known = np.array([position for position in found if position is not None], np.int64)  # an index may hold others
    return prevalent_latents(project.latents, known, top=top, returning=project.sae.returns)


def _generality(project: Workspace) -> NDArray[np.int64] | None:
    """How general each latent is by its place in the dictionary; None where the place says nothing."""
    variant = project.manifest("sae").settings.get("training", {}).get("variant")
    return matryoshka_generality(project.sae.config.n_latents) if variant == MATRYOSHKA else None
