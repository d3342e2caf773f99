"""An SAE and the names of its latents, by a folder of its own or by the project that has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unweave import settings
from unweave.base.artifact import MANIFEST, Manifest, read_manifest
from unweave.dictionaries.latents import read_latents
from unweave.errors import BadData, MissingArtifact
from unweave.sae.model import SAE
from unweave.stages.workspace import Workspace


def is_project(folder: Path) -> bool:
    """Whether a folder is a project."""
    return (folder / settings.FILE).is_file()


def opened_sae(folder: Path) -> tuple[SAE, Manifest]:
    """An SAE and what its manifest states.

    Args:
        folder: of an SAE, or of a project that has one.

    Raises:
        MissingArtifact, CorruptArtifact: it is neither, the project has no SAE yet, or it is damaged.
    """
    if is_project(folder):
        project = Workspace.open(folder)
        return project.sae, project.manifest("sae")
    try:
        return SAE.load(folder), read_manifest(folder, "sae")
    except MissingArtifact:
        raise MissingArtifact(
            f"{folder} is neither an SAE's folder ({MANIFEST} not found) nor a project ({settings.FILE} not found); "
            "one of another tool is read by: unweave sae import"
        ) from None


def names_of(folder: Path) -> Mapping[int, str]:
    """The names of an SAE's latents: a project's as they are shown, else those that stand beside the SAE.

    Raises:
        BadData: beside the SAE stand none.
        MissingArtifact, StaleArtifact: a project has named none yet, or those of another SAE.
        CorruptArtifact: what is there is damaged.
    """
    if is_project(folder):
        return Workspace.open(folder).concepts
    sae, _ = opened_sae(folder)
    names = {one.latent: one.name for one in read_latents(folder, sae.config.n_latents) if one.name is not None}
    if not names:
        raise BadData(f"{folder} says no names of its latents; give the project that named them, or a dictionary")
    return names
