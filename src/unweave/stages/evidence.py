"""A project's texts as evidence of its concepts."""

from __future__ import annotations

from unweave.concepts.evidence import Evidence, Texts
from unweave.stages.workspace import Workspace


def evidence_of(project: Workspace) -> Evidence:
    """The passages and, if the project uses them, their sentences, as its SAE sees them."""
    sentences = None
    if project.uses("sentences") and project.sentences is not None:
        sentences = Texts(project.sentences, project.embedded("sentences"))
    return Evidence(
        project.sae,
        Texts(project.corpus, project.embedded("passages")),
        sentences,
        project.settings.evidence,
        encoder=project.encoder,
        latents=project.latents,
    )
