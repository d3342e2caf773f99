"""Long work: begun, watched, cancelled, and gone on with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query

from unweave.base.fields import LARGEST
from unweave.server import shapes
from unweave.server.held import Held, HeldProject
from unweave.server.jobs import jobs_of, spent_shape
from unweave.server.work import possible

router = APIRouter(prefix="/api/jobs", tags=["jobs"])
JobId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}$")]


@router.get("")
def jobs(held: Held) -> shapes.Jobs:
    """The jobs of this server, the last first, and which can be begun."""
    project = held.project
    return shapes.Jobs(
        jobs=jobs_of(project).all(), kinds=possible(project), spent=spent_shape(project, project.spent)
    )  # fmt: skip


@router.post("", status_code=201)
def begin(held: Held, asked: shapes.BeginJob) -> shapes.Job:
    """Begin a job; one at a time runs."""
    _refuse_if_read_only(held)
    return jobs_of(held.project).begin(asked)


@router.get("/forecast")
def forecast(held: Held, most: Annotated[int | None, Query(ge=1, le=LARGEST)] = None) -> shapes.Forecast:
    """What naming by the language model of the settings would take and cost; nothing is sent."""
    _refuse_if_read_only(held)  # evidence that is missing is gathered
    return shapes.Forecast(said=jobs_of(held.project).forecast(most))


@router.get("/{id}")
def job(held: Held, id: JobId) -> shapes.Job:
    """How far a job is."""
    return jobs_of(held.project).job(id)


@router.delete("/{id}")
def cancel(held: Held, id: JobId) -> shapes.Job:
    """Cancel a job; what was finished is kept, and the same job goes on from there."""
    return jobs_of(held.project).cancel(id)


def _refuse_if_read_only(held: HeldProject) -> None:
    if held.read_only:
        raise HTTPException(403, "this server only shows; to begin a job, start it without --read-only")
