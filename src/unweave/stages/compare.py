"""Two systems of one evaluated project, query by query: where does one win, and where does it lose?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.errors import BadData
from unweave.evaluation.leaderboard import Leaderboard, from_values
from unweave.evaluation.measures import measure, parse
from unweave.evaluation.runs import read_run
from unweave.evaluation.significance import Comparison, compare
from unweave.evaluation.table import KIND, Evaluation, run_of
from unweave.stages.workspace import Workspace


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


def compare_systems(project: Workspace, first: str, second: str, name: str = "nDCG@10") -> Diff:
    """Compare two systems of an evaluated project.

    Args:
        first, second: as the table of `unweave evaluate` names them.
        name: an `ir_measures` measure.

    Raises:
        BadData: a system was not evaluated, or there is no such measure.
        MissingArtifact: the project was not.
    """
    parse(name)  # a wrong one is said at once
    values = of_project(project, name)
    for system in (first, second):
        if system not in values:
            raise BadData(f"no system {system!r} was evaluated; there are: {', '.join(values)}")
    texts = {query.query_id: query.text for query in project.queries.all}
    queries = [Difference(q, texts.get(q, ""), value, values[second][q]) for q, value in values[first].items()]
    queries.sort(key=lambda query: (-query.value, query.query_id))
    return Diff(first, second, name, compare(values[first], values[second]), queries)


def leaderboard(projects: Sequence[Path], name: str = "nDCG@10", baseline: str = "dense") -> Leaderboard:
    """Read several evaluated projects.

    Args:
        projects: folders, one a collection, which its folder's name stands for.
        name: an `ir_measures` measure.
        baseline: the system that all others are compared with.

    Raises:
        BadData: no system of this name was evaluated, two folders have the same name, or there is no such measure.
        MissingArtifact: a project was not evaluated.
    """
    parse(name)
    per_query: dict[str, dict[str, dict[str, float]]] = {}
    sizes: dict[str, list[float]] = {}
    for path in projects:
        if path.resolve().name in per_query:
            raise BadData(f"two projects are called {path.resolve().name!r}; a collection's name must be its own")
        per_query[path.resolve().name] = of_project(Workspace.open(path), name)
        for row in Evaluation.load(path / KIND).rows:
            if row.bytes_per_passage is not None:
                sizes.setdefault(row.system, []).append(row.bytes_per_passage)
    return from_values(per_query, {system: float(np.mean(of)) for system, of in sizes.items()}, name, baseline)


def of_project(project: Workspace, name: str) -> dict[str, dict[str, float]]:
    """One measure of an evaluated project: by system, then by query."""
    project.manifest(KIND)
    evaluation = Evaluation.load(project.path / KIND)
    qrels = project.queries.qrels(evaluation.split)
    systems = [row.system for row in evaluation.rows if row.measures]
    return {s: measure(read_run(run_of(project.path, s)), qrels, [name])[name].per_query for s in systems}
