"""Several projects that read with one dictionary: their indexes made one, their concepts compared,
and their names shared.

A latent means the same in two projects if their SAEs are one, or if both took over the same dictionary and it is one of
the dictionary's; what each has learned beside it is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.concepts import edits, store
from unweave.concepts.concept import CURATED, PERSON
from unweave.concepts.namers.language_model import LanguageModelNamer
from unweave.concepts.relations.contrast import Differing, differing
from unweave.concepts.store import Concepts
from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex
from unweave.index.merging import merge
from unweave.index.scoring import TOKENS
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.systems import CLSR
from unweave.sae.given import fingerprint, in_common
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace


class Contrast(NamedTuple):
    """What sets the corpora of two projects apart."""

    n_latents: int
    """Latents that mean the same in both, the first of each SAE; only they are compared."""
    n_one: int
    """Passages of the one."""
    n_other: int
    n_tested: int
    """Latents in common that a passage of either activates; each was tested."""
    more: list[Differing]
    """Much more frequent in the one, those that set it apart most first; last, those that are known not to return."""
    less: list[Differing]
    """The same of the other."""


def merge_indexes(
    of: Sequence[Workspace | ConceptIndex], folder: Path | str | None = None, *, system: str = "CL-SR"
) -> ConceptIndex:
    """One index of the passages of several projects, or of several indexes; see `index.merging.merge`.

    Its hits are passages by their ids: which project's, its corpus says.

    Args:
        of: projects whose SAEs are one and the same, or indexes of latents of one SAE, for which the caller stands.
        folder: a new one, where the index will be; None: a temporary one, which goes away with the index.
        system: whose index of each project, `CL-SR`, `CL-SR paper` or `tokens`.

    Raises:
        BadData: the SAEs differ, an id is in two of them, the system has no index, or the folder is there already.
        MissingArtifact, StaleArtifact: a project has no such index, or one that is out of date.
    """
    searchers = [(one, _searcher(one, system)) for one in of if isinstance(one, Workspace)]
    for other, searcher in searchers[1:]:
        if fingerprint(searcher.sae) != fingerprint(searchers[0][1].sae):
            raise _of_two_saes(searchers[0][0], other, system)
    found = dict(searchers)
    return merge([one if isinstance(one, ConceptIndex) else found[one].index for one in of], folder)


class Adopted(NamedTuple):
    """What a project took over of another one's names."""

    edits: int
    """People's names."""
    names: int
    """Those of readers and language models, to be judged on the project's own texts."""


def adopt_names(project: Workspace, other: Workspace) -> Adopted:
    """Take over what people, readers and language models called the latents that mean the same in another project.

    People's names become edits, which can be undone; what a person named here already stays. The others stand beside
    the project's own names, unless the same namer named the latent here.

    Raises:
        BadData: the projects have no dictionary in common.
        MissingArtifact: one of them has no concepts.
    """
    n, database = _latents_in_common(project, other), project.concepts.database
    here = {concept.latent: concept for concept in project.concepts.by_document_frequency()}
    found = [
        (concept.latent, naming)
        for concept in other.concepts.by_document_frequency()
        for naming in concept.namings
        if concept.latent < n and concept.latent in here and naming.name is not None
        if naming.namer in (PERSON, CURATED, LanguageModelNamer.namer)
        and here[concept.latent].naming(naming.namer) is None
    ]
    edited = 0
    with edits.transaction(database) as db:
        for latent, naming in found:
            if naming.namer == PERSON and here[latent].merged_into is None:
                edited += edits.rename(db, latent, naming.name or "", naming.description) is not None
    named = [(latent, naming) for latent, naming in found if naming.namer != PERSON]
    store.add_namings(database, named)
    return Adopted(edited, len(named))


def _latents_in_common(one: Workspace, other: Workspace) -> int:
    """How many latents, the first of each SAE, mean the same in two projects."""
    if not (n := in_common(one.sae, other.sae)):
        raise BadData(
            f"the SAEs of {one.path} and {other.path} are two dictionaries, in which the same number is not the same "
            "concept; let both take over one: unweave fit PROJECT --dictionary FOLDER"
        )
    return n


def contrast(one: Workspace, other: Workspace) -> Contrast:
    """The concepts that set two corpora apart: much more frequent in the one than in the other, for sure.

    Only latents that mean the same in both are compared; see `concepts.relations.contrast`.

    Raises:
        BadData: the projects have no dictionary in common.
        MissingArtifact, StaleArtifact: one of them has no latents yet, or they are out of date.
    """
    n = _latents_in_common(one, other)
    frequency = [np.bincount(of.latents.indices, minlength=n)[:n].astype(np.int64) for of in (one, other)]
    sizes = [of.latents.shape[0] for of in (one, other)]
    names = [of.concepts if of.has("concepts") else None for of in (one, other)]
    returning = {**other.sae.returns, **one.sae.returns}
    found = [
        _told(row, names if row.log_ratio > 0 else names[::-1], returning)
        for row in differing(frequency[0], frequency[1], sizes[0], sizes[1])
    ]
    found.sort(key=lambda row: row.returns is False)  # stable: no findings, so after all others
    more, less = ([row for row in found if (row.log_ratio > 0) is wanted] for wanted in (True, False))
    n_tested = int(np.count_nonzero(frequency[0] + frequency[1]))
    return Contrast(n, sizes[0], sizes[1], n_tested, more, less)


def _told(row: Differing, known: Sequence[Concepts | None], returning: Mapping[int, bool]) -> Differing:
    """The same with what is known of the latent, its name from the first of the projects that has one."""
    names = next((names for names in known if names is not None and row.latent in names), None)
    returns = returning.get(row.latent)
    if names is None:
        return row._replace(returns=returns)
    return row._replace(name=names[row.latent], trust=names.trust(row.latent), returns=returns)


def _searcher(project: Workspace, system: str) -> ConceptSearcher:
    found = Catalogue(project)[system]
    if not isinstance(found, CLSR):
        raise BadData(f"{system} searches no concept index; expected CL-SR, CL-SR paper or tokens")
    return found.searcher


def _of_two_saes(one: Workspace, other: Workspace, system: str) -> BadData:
    """Why the indexes of two projects cannot be merged, and what can be done."""
    said = f"the indexes of {one.path} and {other.path} are of the latents of two SAEs, which mean two things"
    if system == TOKENS.profile:
        return BadData(f"{said}: each project learns its tokens' from its own texts; merge those of CL-SR")
    if in_common(one.sae, other.sae):
        return BadData(
            f"{said}: behind those of the dictionary that both took over stand ones of each corpus's own; fit both "
            "without: unweave fit PROJECT --own-latents 0, then unweave index build PROJECT"
        )
    return BadData(
        f"{said}; let both take over one dictionary: unweave fit PROJECT --dictionary FOLDER --own-latents 0, then "
        "unweave index build PROJECT"
    )
