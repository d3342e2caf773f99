"""What a project is asked after a fault, and the answers: each a value, an error for people, or a traceback."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from held import without_times
from toy import SYSTEMS, command

from unweave.concepts import edits
from unweave.errors import MissingArtifact, StaleArtifact, UnweaveError
from unweave.evaluation.table import Evaluation
from unweave.project import Project
from unweave.retrieval.steering import Steering
from unweave.stages.asked import QueryId

PROJECT = "PROJECT"
OK, MISSING, ERROR, TRACEBACK = "ok", "missing", "error", "traceback"


class Answer(NamedTuple):
    """One of: a value, that something has not been made, another error for people, and what no person should see."""

    kind: str
    said: Any


Answers = dict[str, Answer]


def answer(ask: Callable[[], Any]) -> Answer:
    """What comes of a question."""
    try:
        return Answer(OK, ask())
    except (MissingArtifact, StaleArtifact) as error:
        return Answer(MISSING, str(error))
    except (UnweaveError, OSError, MemoryError) as error:  # those that the command line shows as one line
        return Answer(ERROR, f"{type(error).__name__}: {error}")
    except Exception:
        return Answer(TRACEBACK, traceback.format_exc())


def answers(path: Path, *, report: bool = False) -> Answers:
    """Every question put to a project; the report, whose pictures take most of a second, only if it is wanted."""
    opened = answer(lambda: Project.open(path))
    if opened.kind != OK:
        return {"open": opened._replace(said=opened.said.replace(str(path), PROJECT))}
    project: Project = opened.said
    questions: dict[str, Callable[[], Any]] = {
        "settings": lambda: asdict(project.settings),
        "texts": lambda: _digest(list(project.corpus)),
        "queries": lambda: _digest(
            [list(project.queries.all), {s: project.queries.qrels(s) for s in project.queries.splits}]
        ),
        "half a": lambda: _hits(project.search("stone river light", 5, steering=Steering(allowed=_half(project)))),
        "concepts": lambda: _digest([_concept(project, c.latent) for c in project.concepts.by_document_frequency()]),
        "names": lambda: {latent: (name, str(project.concepts.trust(latent))) for latent, name in _names(project)},
        "history": lambda: [e._replace(made="") for e in edits.history(project.concepts.database)],
        "families": lambda: project.families(),
        "paths": lambda: project.paths("p3"),
        "carrying": lambda: [project.carrying(f"p{i}", j) for i, j in _active(project)],
        "decompose": lambda: project.decompose("the tower by the sea"),
        "phrases": lambda: project.phrases("the tower by the sea"),
        "evaluation": lambda: _table(Evaluation.load(project.path / "evaluation")),
        "passage": lambda: project.explain("moon over the sea", "p5"),
        "activations": lambda: _digest(project.sae.encode(project.embedded("passages").rows()).toarray().tolist()),
        "compare": lambda: repr(project.compare("BM25", "dense")),
        "verify": lambda: bool(project.verify()),
    }
    for system in SYSTEMS:
        questions[f"search by {system}"] = lambda system=system: _searched(project, system)
    if report:  # last, for it writes a file: every other question reads what the fault has left
        questions["report"] = lambda: _reported(path)
    found = {name: answer(ask) for name, ask in questions.items()}
    return {
        name: a if a.kind == OK else a._replace(said=a.said.replace(str(path), PROJECT)) for name, a in found.items()
    }


def _searched(project: Project, system: str) -> list[Any]:
    return [_hits(project.search(QueryId(f"q{i}"), 5, system=system, explain=True)) for i in range(2)]


def _hits(hits: Any) -> list[Any]:
    return [hit.to_dict() for hit in hits]


def _half(project: Project) -> Any:
    return project.where({"half": "a"})


def _names(project: Project) -> list[tuple[int, str]]:
    return sorted(project.concepts.items())


def _concept(project: Project, latent: int) -> str:
    return repr(project.concepts.concept(latent))


def _active(project: Project) -> list[tuple[int, int]]:
    """The first three passages that have a latent, with one of theirs."""
    latents = project.latents
    active = np.flatnonzero(np.diff(latents.indptr))[:3].tolist()
    return [(i, int(latents[[i]].indices[0])) for i in active]


def _table(evaluation: Evaluation) -> Any:
    rows = [asdict(row) | {"ms_per_query": None} for row in evaluation.rows]
    return rows, evaluation.sae, evaluation.usefulness


def _reported(path: Path) -> str:
    done = command("report", path, "--query", "wind and tide")
    if done.traceback:
        raise RuntimeError(done.traceback)
    if done.code:
        raise UnweaveError(done.output)
    return without_times((path / "report.html").read_text())


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()
