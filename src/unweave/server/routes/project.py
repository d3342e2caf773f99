"""The project itself."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter

from unweave import __version__
from unweave.base.records import Trust
from unweave.errors import CorruptArtifact, MissingArtifact, StaleArtifact
from unweave.project import Project
from unweave.server import shapes
from unweave.server.held import Held
from unweave.server.table import Table, table_of

router = APIRouter(prefix="/api", tags=["project"])


@router.get("/project")
def project(held: Held) -> shapes.ProjectInfo:
    """What the project is, what there is of it, and what is out of date."""
    of = held.project
    found, table = of.overview(), _table(of)
    marks = Counter(row.trust for row in table.rows.values()) if table else Counter()
    returning = [row.returns for row in table.rows.values() if row.returns is not None] if table else []
    return shapes.ProjectInfo(
        name=of.path.resolve().name, path=str(of.path), version=__version__,
        n_passages=found.n_passages, n_queries=found.n_queries, n_judged=found.n_judged,
        n_concepts=len(table.rows) if table else None,
        marks={trust.value: marks[trust] for trust in Trust},
        n_returning=sum(returning) if returning else None,
        encoder=found.encoder, dictionary=found.dictionary,
        systems=list(found.systems), steerable={name: sorted(steers) for name, steers in found.systems.items()},
        metadata=found.metadata,
        stages=[shapes.Stage(name=one.name, state=one.state, said=one.said) for one in found.states],
        unapplied=[
            shapes.Unapplied(
                stage=one.stage, setting=one.setting, made_with=repr(one.made_with), now=repr(one.now),
                artifact=one.artifact,
            )
            for one in of.unapplied()
        ],
        examples=found.examples, words=found.words, read_only=held.read_only,
    )  # fmt: skip


def _table(project: Project) -> Table | None:
    """The table of concepts, if they are named and whole."""
    try:
        return table_of(project)
    except (MissingArtifact, StaleArtifact, CorruptArtifact):
        return None
