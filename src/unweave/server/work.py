"""Kinds of jobs: what each needs, what it does, and what is said of it in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unweave.base.typed import as_typed, shown
from unweave.errors import BadData
from unweave.project import Project
from unweave.server.shapes import BeginJob
from unweave.stages.ensure import Outcome

Work = Callable[[Project, BeginJob], list[str]]
"""Does a job, and returns what came of it, a sentence each."""


@dataclass(frozen=True)
class Kind:
    """A kind of job."""

    command: str
    """The words that do the same on the command line, after `unweave`."""
    work: Work
    needs: tuple[str, ...]
    """Artefacts that have to be there."""
    judged: bool = False
    """It needs queries with judgements too."""


def _outcomes(work: Callable[[Project, BeginJob], list[Outcome]]) -> Work:
    return lambda project, asked: [outcome.said for outcome in work(project, asked)]


def _judge(project: Project, asked: BeginJob) -> list[str]:
    return [
        f"{verdict.namer or 'no name'}: {verdict.score.judge} {verdict.score.value:.3f}, of {verdict.score.n:,}"
        for verdict in project.judge()
    ]


def _evaluate(project: Project, asked: BeginJob) -> list[str]:
    found = project.evaluate()
    return [f"{len(found.rows):,} systems on {found.n_queries:,} queries"]


def _audit(project: Project, asked: BeginJob) -> list[str]:
    claims = project.audit().claims
    return [claim.sentence for claim in claims] or ["no claim holds"]


def _faithfulness(project: Project, asked: BeginJob) -> list[str]:
    return [
        f"of the first hits, {one.erased.value:.0%} leave without the {one.n:,} concepts that add most to them, "
        f"{one.erased_at_random.value:.0%} without as many others, and {one.kept.value:.0%} stay by those alone"
        for one in project.faithfulness()
    ]


def _map(project: Project, asked: BeginJob) -> list[str]:
    return [project.map().said]


KINDS: Mapping[str, Kind] = {
    "embed": Kind("embed", _outcomes(lambda project, _: project.embed()), ("corpus",)),
    "fit": Kind("fit", _outcomes(lambda project, _: project.fit()), ("embeddings/passages",)),
    "tokens": Kind("tokens", _outcomes(lambda project, _: project.tokens()), ("embeddings/passages",)),
    "name": Kind("name", _outcomes(lambda project, asked: project.name(**_naming(asked))), ("sae", "latents")),
    "judge": Kind("judge", _judge, ("concepts",)),
    "index": Kind("index build", _outcomes(lambda project, _: project.index()), ("sae", "latents")),
    "evaluate": Kind("evaluate", _evaluate, ("codes", "embeddings/queries"), judged=True),
    "audit": Kind("audit", _audit, ("latents", "embeddings/queries")),
    "faithfulness": Kind("faithfulness", _faithfulness, ("latents", "embeddings/queries")),
    "map": Kind("map", _map, ("sae", "latents")),
}
"""In the order in which a project is made and measured."""


def possible(project: Project) -> list[str]:
    """Kinds of jobs for which all is there that they need."""
    judged = project.settings.evaluate.split in project.queries.splits
    return [name for name, kind in KINDS.items() if all(map(project.has, kind.needs)) and (judged or not kind.judged)]


def check(asked: BeginJob) -> None:
    """Refuse what is asked for with what is another kind's.

    Raises:
        BadData: it is.
    """
    if asked.kind != "name" and _naming(asked):
        raise BadData(f"a namer, and concepts at most, are given to a job that names, and {asked.kind!r} came in")


def command_of(project: Project, asked: BeginJob) -> str:
    """The command line that does a job, or goes on with it."""
    options = [word for name, value in _options(asked).items() for word in (name, str(value))]
    return shown(["unweave", *KINDS[asked.kind].command.split(), *as_typed(str(project.path), options)])


def _options(asked: BeginJob) -> dict[str, Any]:
    given = {"--namer": asked.namer, "--most": asked.most}
    return {name: value for name, value in given.items() if value is not None}


def _naming(asked: BeginJob) -> dict[str, Any]:
    given = {"by": asked.namer, "most": asked.most}
    return {name: value for name, value in given.items() if value is not None}
