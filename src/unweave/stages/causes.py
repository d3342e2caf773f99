"""The study whether a project's explanations name causes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from unweave.base.plain import plain
from unweave.base.records import Query
from unweave.errors import BadData
from unweave.evaluation.causes import FIRST, Causes, ExplainedHits, causes
from unweave.index.hits import Hits
from unweave.retrieval.sums import is_sum
from unweave.stages.asked import QueryId, read_all
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace


def faithfulness(project: Workspace, system: str, most: int) -> list[Causes]:
    """Erase, and keep alone, the concepts that add most to the first hits of the project's queries.

    Args:
        most: queries, drawn evenly from the project's own.

    Raises:
        BadData: the project has no queries, or none with more hits than are looked at; or the system is a sum, whose
            concepts are its systems'.
    """
    if is_sum(system):
        raise BadData(
            f"a score by {plain(system, 60)} is made of its systems' scores, and has no concepts of its own to take "
            "away; ask one of the systems"
        )
    asked = [QueryId(query.query_id) for query in drawn(project, most)]
    return causes(_explained(project, system, asked))


def drawn(project: Workspace, most: int) -> list[Query]:
    """Some of a project's own queries, drawn evenly.

    Raises:
        BadData: it has none.
    """
    queries = project.queries.all
    if not queries:
        raise BadData("the project has no queries to ask; add some: unweave add PROJECT --queries FILE")
    chosen = np.linspace(0, len(queries) - 1, min(most, len(queries))).astype(int)
    return [queries[i] for i in chosen.tolist()]


def _explained(project: Workspace, system: str, queries: list[QueryId]) -> Iterator[ExplainedHits]:
    ranker = Catalogue(project)[system]
    for asked in read_all(project, list(queries), ranker.needs):
        hits = ranker.search(asked, FIRST + 1)
        if len(hits.passages) > FIRST:
            first = Hits(hits.passages[:FIRST], hits.scores[:FIRST])
            yield ExplainedHits(ranker.explain(asked, first), float(hits.scores[FIRST]))
