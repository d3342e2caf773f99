"""The stage that lays out a project's concepts on a map, and places its passages amid them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.building import build
from unweave.base.extras import require
from unweave.concepts.layout import KIND, ConceptMap, lay_out
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace


def lay_out_concepts(project: Workspace) -> Outcome:
    """Give each concept that a passage activates a place: close to those whose directions are close.

    Raises:
        MissingArtifact, StaleArtifact: there is no SAE yet, or it is out of date.
        MissingExtra: scikit-learn is not installed.
    """
    require("laying out a map of concepts", "name", "sklearn")
    made_from = project.made_from("sae", "latents")

    def make() -> None:
        live = np.unique(project.latents.indices).astype(np.int32)
        progress.say(f"laying out {len(live):,} concepts: seconds, or minutes if there are tens of thousands")
        with build(project.path / KIND, KIND, settings={}, made_from=made_from) as made:
            ConceptMap(live, lay_out(project.sae.W_dec[live])).write(made.path)
            made.results.update(n_concepts=len(live))

    return ensure(project, KIND, make, settings={}, made_from=made_from)


def concept_map(project: Workspace) -> ConceptMap:
    """Where concepts stand.

    Raises:
        MissingArtifact, StaleArtifact: the map was not made yet, or of other concepts.
    """
    return project.kept("the map", [KIND], lambda: ConceptMap.load(project.path / KIND))


def places_of_passages(project: Workspace) -> NDArray[np.float32]:
    """Where passages stand, (n_passages, 2), see `ConceptMap.of_passages`; worked out once."""
    found = concept_map(project)
    return project.kept("passages on the map", [KIND, "latents"], lambda: found.of_passages(project.latents))
