"""Two systems of one evaluated project, query by query: where does one win, and where does it lose?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unweave.errors import BadData
from unweave.evaluation.leaderboard import of_project
from unweave.evaluation.significance import Comparison, compare
from unweave.project import Project


class Difference(NamedTuple):
    """One query."""

    query_id: str
    text: str
    first: float
    second: float

    @property
    def value(self) -> float:
        return self.first - self.second


@dataclass(frozen=True)
class Diff:
    """Both systems on all judged queries."""

    first: str
    second: str
    measure: str
    whole: Comparison
    queries: list[Difference]
    """The largest gain of the first system first, its largest loss last; equal ones by id."""


def compare_systems(path: Path, first: str, second: str, name: str = "nDCG@10") -> Diff:
    """Compare two systems of an evaluated project.

    Args:
        first, second: as the table of `unweave evaluate` names them.
        name: an `ir_measures` measure.

    Raises:
        BadData: a system was not evaluated.
        MissingArtifact: the project was not.
    """
    values = of_project(path, name)
    for system in (first, second):
        if system not in values:
            raise BadData(f"no system {system!r} was evaluated; there are: {', '.join(values)}")
    texts = {query.query_id: query.text for query in Project.open(path).queries.all}
    queries = [Difference(q, texts.get(q, ""), value, values[second][q]) for q, value in values[first].items()]
    queries.sort(key=lambda query: (-query.value, query.query_id))
    return Diff(first, second, name, compare(values[first], values[second]), queries)
