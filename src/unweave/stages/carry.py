"""Which sentence of a project's passage carries a concept."""

from __future__ import annotations

from unweave.explaining.sentences import Sentence, sentences_of
from unweave.stages.active import concept_of
from unweave.stages.workspace import Workspace


def carrying(project: Workspace, passage_id: str, latent: int) -> list[Sentence]:
    """The sentences of a passage in their order, the title first if it has one.

    Raises:
        BadData: there is no such passage, or no such concept.
    """
    position = project.position(passage_id)
    concept_of(project, latent)
    language = project.settings.embed.language
    return sentences_of(project.corpus[position], latent, project.encoder, project.sae, language)
