"""What a page asks to be changed of concepts, made as edits in one transaction."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from unweave.concepts import edits
from unweave.concepts.edit import Edit
from unweave.errors import BadData
from unweave.project import Project
from unweave.server import shapes
from unweave.stages.active import concept_of

T = TypeVar("T")


def make(project: Project, asked: shapes.MakeEdit) -> list[Edit]:
    """Make the edits that a page asks for, all or none; those that change nothing are left out.

    Raises:
        BadData: the action lacks what it needs, or one of the edits cannot be made.
    """
    with edits.transaction(project.concepts.database) as db:
        made = [_one(project, db, asked, latent) for latent in dict.fromkeys(asked.latents)]
    return [edit for edit in made if edit is not None]


def _one(project: Project, db: sqlite3.Connection, asked: shapes.MakeEdit, latent: int) -> Edit | None:
    match asked.action:
        case "rename":
            return edits.rename(db, latent, _given(asked.name, asked, "name"), asked.description)
        case "lock":
            return edits.lock(db, latent)
        case "unlock":
            return edits.unlock(db, latent)
        case "flag":
            return edits.flag(db, latent, asked.remark)
        case "merge":
            return edits.merge(db, latent, _given(asked.into, asked, "into"))
        case "use":
            return _use(project, db, latent, _given(asked.namer, asked, "namer"))


def _given(value: T | None, asked: shapes.MakeEdit, field: str) -> T:
    if value is None:
        raise BadData(f"to {asked.action} a concept, {field} is needed, and none came in")
    return value


def _use(project: Project, db: sqlite3.Connection, latent: int, namer: str) -> Edit | None:
    """Give a concept another namer's name as a person's."""
    concept = concept_of(project, latent)
    naming = concept.naming(namer)
    if naming is None or naming.name is None:
        with_names = [one.namer for one in concept.namings if one.name is not None]
        raise BadData(f"{namer!r} has no name for latent {latent}; there are names by: {', '.join(with_names)}")
    return edits.rename(db, latent, naming.name, naming.description)
