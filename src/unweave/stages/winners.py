"""Queries that two models answer differently: another passage comes first, and the concepts that put it there.

A model's lead is what its winner scores above the other's winner, by the model's own exact account of both scores, see
`explaining.difference`. Leads are 0 or more, but for rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.cores import spans
from unweave.base.records import Query
from unweave.explaining.difference import Difference, difference
from unweave.stages.accounts import one_sided
from unweave.stages.workspace import Workspace

ONE, OTHER, BOTH, NEITHER = "one", "other", "both", "neither"
_QUERIES_AT_ONCE = 256


class Lead(NamedTuple):
    """What one model's winner scores above the other model's winner."""

    passage_id: str
    """Its own winner."""
    title: str
    """Its title, or how its text begins."""
    account: Difference
    """The scores of its own winner, the first, and of the other's, with what each concept adds to both."""

    @property
    def value(self) -> float:
        """By how much its own winner scores higher."""
        return self.account.score


class Changed(NamedTuple):
    """A query whose first passage is another one in the other model."""

    query_id: str
    text: str
    one: Lead
    other: Lead
    right: str | None
    """Whose winner is judged to be relevant: `one`, `other`, `both` or `neither`; None: the query is not judged."""


class Winners(NamedTuple):
    """The queries of two projects, and those that they answer with different passages."""

    n_shared: int
    """With the same id and the same text, embedded in both."""
    n_left_out: int
    """All others, of either."""
    changed: list[Changed]
    """Those whose winner changes, where both models prefer their own most clearly first: by the smaller of the two
    leads, each as a multiple of its model's mean."""

    def judged(self) -> dict[str, int]:
        """How many changed queries each model is right about."""
        return {whose: sum(query.right == whose for query in self.changed) for whose in (ONE, OTHER, BOTH, NEITHER)}

    def p_value(self) -> float | None:
        """Whether one of the models is right more often, by the exact sign test, two-sided; None: there is no case."""
        from scipy.stats import binomtest  # takes half a second, which other commands need not wait for

        judged = self.judged()
        n = judged[ONE] + judged[OTHER]
        return float(binomtest(judged[ONE], n).pvalue) if n else None


def changed_winners(one: Workspace, other: Workspace, shared: NDArray[np.int64]) -> Winners:
    """The queries that two projects share and answer with different passages.

    Args:
        shared: (n, 2) positions of the passages that both have; only they can win.

    Raises:
        MissingArtifact, StaleArtifact: what accounts for a score is not there, or out of date.
        AccountingError: an account does not add up.
    """
    queries, positions, n_left_out = _shared_queries(one, other)
    if not queries:
        return Winners(0, n_left_out, [])
    corpus, sides = (
        one.corpus,
        [_winners(project, positions[:, side], shared[:, side]) for side, project in enumerate((one, other))],
    )
    found = []
    for number in np.flatnonzero(sides[0] != sides[1]).tolist():
        ours, theirs = int(sides[0][number]), int(sides[1][number])
        if corpus[int(shared[ours, 0])].content == corpus[int(shared[theirs, 0])].content:
            continue  # a copy of the same text has won
        pair = shared[[ours, theirs]]
        mine = _lead(one, positions[number, 0], pair[:, 0])
        yours = _lead(other, positions[number, 1], pair[::-1, 1])
        query = queries[number]
        right = _right(_relevant(one, other, query.query_id), mine.passage_id, yours.passage_id)
        found.append(Changed(query.query_id, query.text, mine, yours, right))
    of_one, of_other = (
        math.fsum(lead.value for lead in leads) or 1.0
        for leads in ([query.one for query in found], [query.other for query in found])
    )
    found.sort(key=lambda query: -min(query.one.value / of_one, query.other.value / of_other))
    return Winners(len(queries), n_left_out, found)


def _shared_queries(one: Workspace, other: Workspace) -> tuple[list[Query], NDArray[np.int64], int]:
    """Queries of the same id and text, their positions in both, (n, 2), and how many others there are."""
    ours, theirs = (
        {query: position for position, query in enumerate(project.queries.all)} if project.uses("queries") else {}
        for project in (one, other)
    )
    shared = [query for query in ours if query in theirs]
    positions = np.array([(ours[query], theirs[query]) for query in shared], np.int64).reshape(-1, 2)
    return shared, positions, len(ours) + len(theirs) - 2 * len(shared)


def _winners(project: Workspace, queries: NDArray[np.int64], passages: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place among some passages of each query's first, (n_queries,); of equal ones the first."""
    asked, rows = project.embedded("queries").take(queries), project.embedded("passages").take(passages)
    blocks = [(asked[start:end] @ rows.T).argmax(axis=1) for start, end in spans(len(asked), _QUERIES_AT_ONCE)]
    return np.concatenate(blocks)


def _lead(project: Workspace, query: int, passages: NDArray[np.int64]) -> Lead:
    """What the first of two passages, by position, scores above the second."""
    (vector,) = project.embedded("queries").take(np.array([query]))
    account = difference(*one_sided(project, vector, passages.tolist()))
    account.check()
    winner = project.corpus[int(passages[0])]
    return Lead(winner.passage_id, winner.title or winner.text, account)


def _relevant(one: Workspace, other: Workspace, query_id: str) -> set[str] | None:
    """The passages judged to be relevant for a query, in any split of either project; None: it is not judged."""
    judged = [grades[query_id] for grades in (*_judgements(one), *_judgements(other)) if query_id in grades]
    return {passage for grades in judged for passage, grade in grades.items() if grade > 0} if judged else None


def _judgements(project: Workspace) -> list[Any]:
    queries = project.queries
    return project.kept("judgements of all splits", ["queries"], lambda: [queries.qrels(s) for s in queries.splits])


def _right(relevant: set[str] | None, ours: str, theirs: str) -> str | None:
    if relevant is None:
        return None
    return {(True, True): BOTH, (True, False): ONE, (False, True): OTHER}.get(
        (ours in relevant, theirs in relevant), NEITHER
    )
