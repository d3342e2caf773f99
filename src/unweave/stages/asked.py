"""What is asked of a project: a text, an embedding or the id of one of its own queries, read as systems need it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import is_utf8, shown
from unweave.base.plain import plain
from unweave.base.stored import differing
from unweave.base.vectors import refuse_unusable
from unweave.config import PRECOMPUTED
from unweave.encode.encoder import HOW
from unweave.errors import BadData, NotThere, StaleArtifact
from unweave.retrieval.query import TOKENS, VECTOR, EmbeddedQuery
from unweave.sae import tokens
from unweave.stages.made_with import ENCODER
from unweave.stages.places import ARTIFACTS
from unweave.stages.workspace import Workspace

_QUERIES_KEPT = 256


class QueryId(str):
    """The id of one of a project's own queries, where a text could be meant too."""


Asked = str | QueryId | NDArray[np.floating]
"""A query: its text, its embedding, (d_in,), or the id of one of the project's own."""


def read_all(project: Workspace, queries: Sequence[Asked], needs: frozenset[str]) -> list[EmbeddedQuery]:
    """Queries in the forms that a system needs; nothing else is worked out.

    Args:
        queries: texts, embeddings, (d_in,), or ids of the project's own queries.
        needs: of `text`, `vector` and `tokens`.

    Raises:
        BadData: a text cannot be read, see `check_text`, there is no query of such an id, or a vector is not as wide
            as the passages' embeddings.
        StaleArtifact: the settings name another encoder than the one that embedded the passages.
    """
    texts = [_text_of(project, query) for query in queries]
    vectors: list[NDArray[np.float32] | None] = [_vector_of(project, query) for query in queries]
    rows: list[NDArray[np.float32] | None] = [None] * len(queries)
    if VECTOR in needs:
        todo = {i: text for i, text in enumerate(texts) if vectors[i] is None and text is not None}
        for i, vector in zip(todo, _embedded(project, list(todo.values())), strict=True):
            vectors[i] = vector
    if TOKENS in needs:
        spoken = {i: text for i, text in enumerate(texts) if text is not None}
        for i, of_text in zip(spoken, token_rows(project, list(spoken.values())), strict=True):
            rows[i] = of_text
    return list(map(EmbeddedQuery, texts, vectors, rows))


def check_text(query: Asked) -> None:
    """Refuse a text in which there is nothing to search for.

    Raises:
        BadData: it is empty, holds only what does not print, or is not UTF-8, as a word of a command line can be.
    """
    if isinstance(query, QueryId) or not isinstance(query, str):
        return
    if not is_utf8(query):
        raise BadData(f"the query {shown(query)} is not text in UTF-8; is the terminal set to another encoding?")
    if not plain(query):
        held = " but for characters that do not print" if query.strip() else ""
        raise BadData(f"the query is empty{held}; give a question or a few words")


def vector_of(project: Workspace, query: Asked) -> NDArray[np.float32]:
    """The embedding of one query, (d_in,)."""
    (read,) = read_all(project, [query], frozenset({VECTOR}))
    return read.embedding()


def token_rows(project: Workspace, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """The encoder's output for each token of some queries, (n_tokens, d_token) each, of length 1.

    Raises:
        StaleArtifact: the settings name another encoder than the one whose tokens the SAE was trained on.
    """
    if not texts:
        return []
    encoder = project.token_encoder
    check_encoder(project, "tokens/sae")
    return [
        text
        for rows, ends in tokens.unit_tokens(encoder, texts, of_queries=True)
        for text in np.split(rows, ends[1:-1])
    ]


def _embedded(project: Workspace, texts: list[str]) -> list[NDArray[np.float32]]:
    if not texts:
        return []
    check_encoder(project, "embeddings/passages")
    if len(texts) == 1:  # whoever bends a search asks the same again
        read = project.kept("queries asked last", ["embeddings/passages"], lambda: _remembering(project))
        return [read(texts[0])]
    return list(_read_queries(project, texts))


def _remembering(project: Workspace) -> Callable[[str], NDArray[np.float32]]:
    """Embeds one query, and keeps the last ones."""

    def read(text: str) -> NDArray[np.float32]:
        row: NDArray[np.float32] = _read_queries(project, [text])[0]
        row.setflags(write=False)
        return row

    return lru_cache(maxsize=_QUERIES_KEPT)(read)


def _read_queries(project: Workspace, texts: list[str]) -> NDArray[np.float32]:
    rows = project.encoder.encode_queries(texts)
    refuse_unusable(rows, "the queries' embeddings")
    return rows


def check_encoder(project: Workspace, name: str) -> None:
    """Refuse to read a query by another encoder than an artefact was made with."""
    made_with = project.manifest(name).settings["encoder"]
    named = project.encoder_identity("passages")
    differs = set(differing(made_with, named, ENCODER, project.path / name)) - HOW
    if made_with["model"] != PRECOMPUTED and differs:
        raise StaleArtifact(
            f"{name} was made with {made_with['model']}, but this project now names {named['model']} or other "
            f"options; run: unweave {ARTIFACTS[name].command} {project.path}, or open it with its own encoder again"
        )


def _text_of(project: Workspace, query: Asked) -> str | None:
    if isinstance(query, QueryId):
        return project.queries.all[_position(project, query)].text
    check_text(query)
    return query if isinstance(query, str) else None


def _vector_of(project: Workspace, query: Asked) -> NDArray[np.float32] | None:
    """The embedding that a query brings along, or that was made of it already."""
    if isinstance(query, QueryId):
        if not project.has("embeddings/queries"):
            return None
        position = _position(project, query)
        (row,) = project.embedded("queries").rows(position, position + 1)
        return np.asarray(row)
    if isinstance(query, str):
        return None
    with np.errstate(over="ignore", under="ignore"):  # what becomes infinite or 0 is refused below
        vector, width = np.asarray(query, dtype=np.float32), project.embedded("passages").d_in
    if vector.shape != (width,):
        raise BadData(f"a query's embedding of shape {vector.shape} came in; the passages' are of shape ({width},)")
    refuse_unusable(vector[None], "the query's embedding")
    return vector


def _position(project: Workspace, query_id: str) -> int:
    """Where one of the project's queries stands."""

    def positions() -> dict[str, int]:
        return {query.query_id: position for position, query in enumerate(project.queries.all)}

    known = project.kept("query positions", ["queries"], positions)
    if query_id not in known:
        raise NotThere(f"the project has no query with the id {str(query_id)!r}")
    return known[query_id]
