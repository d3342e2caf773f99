"""The project that the server holds open, for as long as it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from unweave.project import Project


@dataclass(frozen=True)
class HeldProject:
    """A project that stays open: what is edited or made anew is seen at the next request."""

    project: Project
    read_only: bool = False


def _held(request: Request) -> HeldProject:
    held = cast(HeldProject, request.app.state.held)
    held.project.reread()
    return held


Held = Annotated[HeldProject, Depends(_held)]
