"""Which passages activate a concept, and which concepts a text of one's own activates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from unweave.base.vectors import refuse_unusable
from unweave.concepts.concept import Concept
from unweave.concepts.edits import no_concept
from unweave.encode.words import Word
from unweave.errors import CorruptArtifact
from unweave.explaining.words import in_words, of_activation
from unweave.stages.asked import check_encoder, check_text
from unweave.stages.workspace import Workspace


class Active(NamedTuple):
    """Passages that activate one concept, the strongest first; equal ones in the corpus's order."""

    passages: NDArray[np.int64]
    """(n,) positions in the corpus."""
    activations: NDArray[np.float32]
    """(n,) > 0."""


def by_concept(project: Workspace) -> csc_array:
    """The passages' latents, (n_passages, n_latents), stored so that one concept's are read at once; made once."""
    return project.kept("latents by concept", ["latents"], lambda: csc_array(project.latents.tocsc()))


def active_in(project: Workspace, latent: int) -> Active:
    """The passages that activate a concept.

    Raises:
        BadData: there is no such concept.
    """
    concept_of(project, latent)
    columns = by_concept(project)
    of_concept = slice(columns.indptr[latent], columns.indptr[latent + 1])
    order = np.argsort(-columns.data[of_concept], kind="stable")
    return Active(columns.indices[of_concept][order].astype(np.int64), columns.data[of_concept][order])


def activated(project: Workspace, text: str) -> dict[int, float]:
    """The latents that a text activates, embedded as a passage would be, the strongest first.

    Raises:
        BadData: there is nothing in the text.
        StaleArtifact: the settings name another encoder than the one that embedded the passages.
    """
    check_text(text)
    check_encoder(project, "embeddings/passages")
    rows = project.encoder.encode_passages([text])
    refuse_unusable(rows, "the text's embedding")
    found = project.sae.encode(rows)
    order = np.argsort(-found.data, kind="stable")
    return dict(zip(found.indices[order].tolist(), found.data[order].tolist(), strict=True))


def activated_by(project: Workspace, passage_id: str) -> dict[int, float]:
    """The latents that a passage activates, the strongest first.

    Raises:
        NotThere: the corpus has no passage of this id.
    """
    position, stored = project.position(passage_id), project.latents
    held = slice(stored.indptr[position], stored.indptr[position + 1])
    order = np.argsort(-stored.data[held], kind="stable")
    return dict(zip(stored.indices[held][order].tolist(), stored.data[held][order].tolist(), strict=True))


def words_in(project: Workspace, text: str, latent: int) -> list[tuple[Word, float]]:
    """The words of a text, as a passage would be read, and what each adds to a concept's activation.

    Raises:
        BadData: there is no such concept, or the encoder does not average its tokens' outputs.
    """
    concept_of(project, latent)
    check_text(text)
    return of_activation(in_words(project.encoder, text), latent, project.sae)


def concept_of(project: Workspace, latent: int) -> Concept:
    """All that is known of a concept.

    Raises:
        NotThere: there is no such concept.
        CorruptArtifact: the concepts have one that the SAE does not have: the database can be written by anyone.
    """
    concept = project.concepts.concept(latent)
    if concept is None:
        raise no_concept(project.concepts.database, latent)
    if latent >= (n_latents := project.sae.config.n_latents):
        raise CorruptArtifact(
            f"{project.concepts.database} has a concept {latent}, and the SAE has {n_latents:,} latents; name the "
            f"concepts again: unweave name {project.path}"
        )
    return concept
