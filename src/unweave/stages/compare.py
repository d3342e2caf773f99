"""Systems of evaluated projects, and runs of others, query by query: where does one win, and where does it lose?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np

from unweave.base.foreign import shown
from unweave.errors import BadData
from unweave.evaluation.leaderboard import Leaderboard, from_values
from unweave.evaluation.measures import measure, parse
from unweave.evaluation.runs import Run, read_run, trec_id, trec_qrels
from unweave.evaluation.significance import Comparison, compare
from unweave.evaluation.table import KIND, Evaluation, run_of
from unweave.stages.workspace import Workspace
from unweave.texts.corpus import Corpus
from unweave.texts.queries import Qrels

_RUN_ENDINGS = (".trec.gz", ".run.gz", ".txt.gz", ".gz", ".trec", ".run", ".txt")


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
    notes: list[str]
    """What of a run that was brought does not belong to the project, a sentence each."""


def compare_systems(project: Workspace, first: str | Path, second: str | Path, name: str = "nDCG@10") -> Diff:
    """Compare two systems on a project's judged queries.

    Args:
        first, second: an evaluated system, as the table of `unweave evaluate` names it, or the path of another
            system's run in TREC's format.
        name: an `ir_measures` measure.

    Raises:
        BadData: a system was not evaluated, a run cannot be read or is of other queries, or there is no such measure.
        MissingArtifact: a system is named, and the project was not evaluated.
    """
    parse(name)  # a wrong one is said at once
    qrels = _judgements(project)
    runs = [_run(project, system) for system in (first, second)]
    notes = [
        note
        for system, run in zip((first, second), runs, strict=True)
        if isinstance(system, Path)
        for note in _foreign(system, run, qrels, project.corpus)
    ]
    ours, theirs = (measure(run, qrels, [name])[name].per_query for run in runs)
    asked = {trec_id(query.query_id): query for query in project.queries.all}
    queries = [Difference(asked[q].query_id, asked[q].text, value, theirs[q]) for q, value in ours.items()]
    queries.sort(key=lambda query: (-query.value, query.query_id))
    labels = _label(first), _label(second)
    if labels[0] == labels[1]:  # another project's run of the same system
        labels = str(first), str(second)
    return Diff(*labels, name, compare(ours, theirs), queries, notes)


def leaderboard(
    projects: Sequence[Path], name: str = "nDCG@10", baseline: str = "dense", runs: Path | None = None
) -> Leaderboard:
    """Read several evaluated projects.

    Args:
        projects: folders, one a collection, which its folder's name stands for.
        name: an `ir_measures` measure.
        baseline: the system that all others are compared with.
        runs: a folder with runs of other systems, COLLECTION/SYSTEM.trec, gzipped or not.

    Raises:
        BadData: no system of this name was evaluated, two folders have the same name, a run is of other queries, or
            there is no such measure.
        MissingArtifact: a project was not evaluated.
    """
    parse(name)
    per_query: dict[str, dict[str, dict[str, float]]] = {}
    notes: list[str] = []
    sizes: dict[str, list[float]] = {}
    for path in projects:
        collection = path.resolve().name
        if collection in per_query:
            raise BadData(f"two projects are called {shown(collection)}; a collection's name must be its own")
        project = Workspace.open(path)
        per_query[collection] = of_project(project, name)
        for row in Evaluation.load(path / KIND).rows:
            if row.bytes_per_passage is not None:
                sizes.setdefault(row.system, []).append(row.bytes_per_passage)
        if runs is not None:
            notes += _bring(project, runs / collection, name, per_query[collection])
    if runs is not None and not any((runs / collection).is_dir() for collection in per_query):
        raise BadData(f"{runs} has runs of none of {', '.join(per_query)}; expected {runs}/COLLECTION/SYSTEM.trec")
    bytes_per_passage = {system: float(np.mean(of)) for system, of in sizes.items()}
    return replace(from_values(per_query, bytes_per_passage, name, baseline), notes=notes)


def verdicts(project: Workspace, name: str = "nDCG@10", baseline: str = "dense") -> Leaderboard:
    """What the evaluated systems of one project differ in from one of them for sure: its leaderboard alone.

    Raises:
        BadData: no system of this name was evaluated, or there is no such measure.
        MissingArtifact: the project was not evaluated.
    """
    parse(name)
    return from_values({project.path.resolve().name: of_project(project, name)}, {}, name, baseline)


def of_project(project: Workspace, name: str) -> dict[str, dict[str, float]]:
    """One measure of an evaluated project: by system, then by query, whose ids are as in TREC's files."""
    qrels = _judgements(project)
    return {s: measure(_run(project, s), qrels, [name])[name].per_query for s in _evaluated(project)}


def _bring(project: Workspace, folder: Path, name: str, values: dict[str, dict[str, float]]) -> Iterator[str]:
    """Add one measure of the runs in a folder, by system and query; what does not belong to the project is said."""
    qrels = _judgements(project)
    for path in sorted(p for p in folder.glob("*") if p.name.endswith(_RUN_ENDINGS)):
        run, system = read_run(path), _label(path)
        if system in values:
            raise BadData(f"{path}: there is a system {shown(system)} already; give the file another name")
        yield from _foreign(path, run, qrels, project.corpus)
        values[system] = measure(run, qrels, [name])[name].per_query


def _evaluated(project: Workspace) -> list[str]:
    """The systems of an evaluated project that have runs."""
    project.manifest(KIND)
    return [row.system for row in Evaluation.load(project.path / KIND).rows if row.measures]


def _judgements(project: Workspace) -> Qrels:
    """The judgements of the evaluated split or, if nothing was evaluated, of the settings'."""
    there = project.has(KIND)
    split = Evaluation.load(project.path / KIND).split if there else project.settings.evaluate.split
    return trec_qrels(project.queries.qrels(split))


def _run(project: Workspace, system: str | Path) -> Run:
    """The run of an evaluated system, or the one that was brought."""
    if isinstance(system, Path):
        return read_run(system)
    known = _evaluated(project)
    if system not in known:
        raise BadData(
            f"no system {system!r} was evaluated; there are: {', '.join(known)}; "
            "the run of another system is given by its path"
        )
    return read_run(run_of(project.path, system))


def _label(system: str | Path) -> str:
    """What a system is called: of a run, the file's name without its ending."""
    if isinstance(system, str):
        return system
    ending = next((ending for ending in _RUN_ENDINGS if system.name.endswith(ending)), "")
    return system.name.removesuffix(ending)


def _foreign(path: Path, run: Run, qrels: Qrels, corpus: Corpus) -> Iterator[str]:
    """What of a run does not belong to a project.

    Raises:
        BadData: none of its queries is judged.
    """
    unjudged = [query for query in run if query not in qrels]
    if len(unjudged) == len(run):
        raise BadData(
            f"{path} ranks no query that is judged here; its first is {shown(next(iter(run), None))}, the first judged "
            f"one {shown(next(iter(qrels), None))}: are both of the same collection?"
        )
    missing = [query for query in qrels if query not in run]
    passages = dict.fromkeys(passage for hits in run.values() for passage, _ in hits)
    unknown = [passage for passage in passages if not _known(corpus, passage)]
    if unjudged:
        yield f"{path}: {len(unjudged):,} queries are not judged here and do not count, the first {shown(unjudged[0])}"
    if missing:
        yield f"{path}: {len(missing):,} judged queries are not in it and count 0, the first {shown(missing[0])}"
    if unknown:
        yield f"{path}: {len(unknown):,} passages are not in the corpus, the first {shown(unknown[0])}"


def _known(corpus: Corpus, passage: str) -> bool:
    """Whether the corpus has a passage of an id as TREC's files have it."""
    return corpus.position(passage) is not None or corpus.position(unquote(passage)) is not None
