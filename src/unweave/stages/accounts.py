"""The stage that accounts for a dense score: one-sided, with both texts in concepts, and down to the words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.cores import on_every_core
from unweave.base.records import Explanation
from unweave.encode.words import Word
from unweave.errors import BadData
from unweave.explaining.accounting import explain_dense
from unweave.explaining.two_sided import TwoSided, explain_both
from unweave.explaining.words import ByWords, explain_by_words, in_words, of_activation
from unweave.retrieval.query import VECTOR
from unweave.stages.active import concept_of
from unweave.stages.asked import Asked, read_all, vector_of
from unweave.stages.workspace import Workspace


def one_sided(project: Workspace, vector: NDArray[np.float32], positions: Sequence[int]) -> list[Explanation]:
    """The dense scores of a query's embedding and some passages, by their positions, as named concepts."""
    rows = _rows(project, positions).astype(np.float64)
    scores = (rows @ vector.astype(np.float64)).tolist()
    latents = csr_array(project.latents[positions])
    return explain_dense(scores, vector, rows, project.sae, project.concepts, latents)


def two_sided(project: Workspace, query: Asked, passage_id: str) -> TwoSided:
    """The dense score of a query and a passage with both written in concepts.

    Raises:
        BadData: the corpus has no passage of this id.
    """
    position = project.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
    vector = vector_of(project, query)
    return explain_both(vector, _rows(project, [position])[0], project.sae, project.concepts)


def by_words(project: Workspace, query: Asked, passage_id: str) -> ByWords:
    """The dense score of a query, its text or its id, and a passage as named concepts, each part split into words.

    Raises:
        BadData: the corpus has no passage of this id, the query is an embedding, or the encoder does not average its
            tokens' outputs.
    """
    position = project.position(passage_id)
    (asked,) = read_all(project, [query], frozenset({VECTOR}))
    if asked.text is None:
        raise BadData("the embedding of a query came in, which has no words; give its text")
    query_words = in_words(project.encoder, asked.text, of_query=True)
    passage_words = in_words(project.encoder, project.corpus[position].content)
    row = _rows(project, [position])[0]
    return explain_by_words(asked.embedding(), row, query_words, passage_words, project.sae, project.concepts)


def words_of(project: Workspace, latent: int) -> list[list[tuple[Word, float]]]:
    """Of each example of a concept, what its words add to the activation.

    Raises:
        BadData: there is no such concept, or the encoder does not average its tokens' outputs.
    """
    concept = concept_of(project, latent)
    sources = {"passages": project.corpus, "sentences": project.sentences}
    contents = []
    for example in concept.examples:
        source = sources[example.source]
        assert source is not None
        contents.append(source[example.position].content)
    encoder, sae = project.encoder, project.sae
    # Not as one batch: that would load torch, and be a tenth faster once it is there.
    return on_every_core(lambda content: of_activation(in_words(encoder, content), latent, sae), contents)


def _rows(project: Workspace, positions: Sequence[int]) -> NDArray[np.float32]:
    return project.embedded("passages").take(np.array(positions, np.int64))
