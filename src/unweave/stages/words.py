"""The stage that explains a dense score down to the words of query and passage."""

from __future__ import annotations

import numpy as np

from unweave.errors import BadData
from unweave.explaining.words import ByWords, explain_by_words, in_words
from unweave.retrieval.query import VECTOR
from unweave.stages.asked import Asked, read_all
from unweave.stages.workspace import Workspace


def by_words(project: Workspace, query: Asked, passage_id: str) -> ByWords:
    """The dense score of a query, its text or its id, and a passage as named concepts, each part split into words.

    Raises:
        BadData: the corpus has no passage of this id, the query is an embedding, or the encoder does not average its
            tokens' outputs.
    """
    position = project.position(passage_id)  # first: a wrong id is said at once, before the encoder is loaded
    (asked,) = read_all(project, [query], frozenset({VECTOR}))
    if asked.text is None:
        raise BadData("the embedding of a query came in, which has no words; give its text")
    query_words = in_words(project.encoder, asked.text, of_query=True)
    passage_words = in_words(project.encoder, project.corpus[position].content)
    (row,) = project.embedded("passages").take(np.array([position]))
    return explain_by_words(asked.embedding(), row, query_words, passage_words, project.sae, project.concepts)
