"""What an approximate search finds of the exact one's results, over a project's queries."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unweave.base.progress import Stopwatch
from unweave.errors import BadData
from unweave.retrieval.systems import CLSR, TokenConcepts
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace

CUTOFFS = (10, 100, 1000)


@dataclass(frozen=True)
class Recall:
    """One effort."""

    effort: float
    recall: dict[int, float]
    """The mean share of the exact best k that were found, by k."""
    milliseconds: float
    """The median time of a search for the best 10, without coding the query."""


def measure(project: Workspace, efforts: Sequence[float], system: str = "CL-SR") -> list[Recall]:
    """Recall and time for each effort; a query counts where the exact search finds anything.

    Raises:
        BadData: the project has no queries.
    """
    embeddings = project.embeddings("queries")
    if embeddings is None:
        raise BadData(f"{project.path} has no queries to measure with; bring some, or embed them: unweave embed")
    asked = Catalogue(project)[system]
    if not isinstance(asked, CLSR) or isinstance(asked, TokenConcepts):
        raise BadData(f"only CL-SR and CL-SR paper search by postings of whole texts, got {system!r}")
    searcher = asked.searcher
    queries = [searcher.read(vector) for vector in embeddings.rows()]
    exact = {k: [searcher.index.hits(*query, k).passages for query in queries] for k in CUTOFFS}
    rows = []
    for effort in efforts:
        seconds, recall = [], {}
        for k in CUTOFFS:
            shares = []
            for query, wanted in zip(queries, exact[k], strict=True):
                watch = Stopwatch()
                found = searcher.index.hits(*query, k, effort=effort).passages
                if k == CUTOFFS[0]:
                    seconds.append(watch.seconds)
                if len(wanted):
                    shares.append(np.isin(wanted, found).mean())
            recall[k] = float(np.mean(shares)) if shares else 0.0
        rows.append(Recall(effort, recall, 1000 * statistics.median(seconds)))
    return rows
