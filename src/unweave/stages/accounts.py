"""The stage that accounts for a dense score: one-sided, with both texts in concepts, and down to the words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.cores import on_every_core
from unweave.base.plain import plain
from unweave.base.records import Explanation
from unweave.encode.words import Word
from unweave.errors import BadData, NotThere
from unweave.explaining.accounting import explain_dense
from unweave.explaining.two_sided import TwoSided, explain_both
from unweave.explaining.words import ByWords, SumByWords, all_in_words, in_words, of_activation, split_in_words
from unweave.index.hits import Hits
from unweave.retrieval import sums
from unweave.retrieval.query import VECTOR, EmbeddedQuery
from unweave.retrieval.systems import System
from unweave.stages.active import concept_of
from unweave.stages.asked import Asked, read_all, vector_of
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace

DENSE = "dense"
_FEW = 64
"""Passages that are read in words one by one."""


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
    (found,) = all_by_words(project, query, [passage_id], DENSE)
    assert isinstance(found, ByWords)
    return found


def all_by_words(
    project: Workspace, query: Asked, passage_ids: Sequence[str], system: str
) -> list[ByWords | SumByWords]:
    """The scores of a query and some passages, by dense or by a sum with dense in it, split into words as one block.

    Raises:
        BadData: as `by_words`, or by this system no score is a sum over words.
    """
    positions = [project.position(passage_id) for passage_id in passage_ids]
    systems = list(sums.parse(system).weights) if sums.is_sum(system) else [system]
    if DENSE not in systems:
        raise BadData(
            f"a score by {plain(system, 60)} is no sum over the words of a passage; ask dense, or a sum that has it"
        )
    ranker = Catalogue(project)[system]
    (asked,) = read_all(project, [query], ranker.needs | {VECTOR})
    if asked.text is None:
        raise BadData("the embedding of a query came in, which has no words; give its text")
    vector = asked.embedding()
    if system == DENSE:
        whole = one_sided(project, vector, positions)
        return [*_split(project, asked.text, vector, positions, whole)]
    whole = ranker.explain(asked, _found(ranker, asked, passage_ids))
    at = systems.index(DENSE)
    parts = [why.parts[at].explanation for why in whole]
    some = [i for i, part in enumerate(parts) if part is not None]
    split = _split(project, asked.text, vector, [positions[i] for i in some], [part for part in parts if part])
    of_dense = dict(zip(some, split, strict=True))
    return [
        SumByWords(why, tuple(of_dense.get(i) if n == at else None for n in range(len(why.parts))))
        for i, why in enumerate(whole)
    ]


def _split(
    project: Workspace, text: str, vector: NDArray[np.float32], positions: Sequence[int], whys: Sequence[Explanation]
) -> list[ByWords]:
    """Dense accounts of passages, by their positions, split into words; all passages are read as one block."""
    query_words = in_words(project.encoder, text, of_query=True)
    corpus, encoder = project.corpus, project.encoder
    contents = [corpus[position].content for position in positions]
    once = list(dict.fromkeys(contents))
    # A block loads torch, which takes seconds, and reads four texts in the time of three read one by one.
    apart = len(once) <= _FEW
    read = on_every_core(partial(in_words, encoder), once) if apart else all_in_words(encoder, once)
    words_of_content = dict(zip(once, read, strict=True))
    passages_words = [words_of_content[content] for content in contents]
    return split_in_words(whys, vector, _rows(project, positions), query_words, passages_words, project.sae)


def _found(ranker: System, asked: EmbeddedQuery, passage_ids: Sequence[str]) -> Hits:
    """Some passages among all that a sum finds, in their order: what a part is stretched by are the hits around it.

    Raises:
        NotThere: the sum does not find one.
    """
    hits = ranker.search(asked, sums.DEPTH)
    place_of = {passage_id: place for place, passage_id in enumerate(ranker.ids(hits.passages.tolist()))}
    for passage_id in passage_ids:
        if passage_id not in place_of:
            raise NotThere(f"{ranker.name} does not find the passage {passage_id!r} for this query")
    places = np.array([place_of[passage_id] for passage_id in passage_ids], np.int64)
    return Hits(hits.passages[places], hits.scores[places])


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
