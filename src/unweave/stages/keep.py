"""What of the concepts that are there is kept when they are made anew: all if the SAE is the same, else what stayed."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.concepts import edits, identity, store
from unweave.concepts.database import DATABASE, check
from unweave.concepts.keeping import carry_names
from unweave.concepts.store import Concepts
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.sae.agreement import Directions, directions_of
from unweave.stages.workspace import Workspace

logger = logging.getLogger(__name__)

_SAME_DICTIONARY = 0.5
"""Share of the concepts whose directions stayed, from which on an SAE counts as the last one trained on."""
_MOST_STATED, _MOST_SHOWN = 1000, 10
_LONGEST_SHOWN = 40


class Kept(NamedTuple):
    """The concepts of which something is kept."""

    database: Path | None
    """Where they are; None: nothing of them is kept."""
    latents: frozenset[int] | None
    """Those whose directions stayed; None: all, for the SAE is the same."""
    named: Directions
    """What the names of the concepts to be made belong to, (n_latents, d_in) each."""


class Renamed(NamedTuple):
    """A latent that moved."""

    latent: int
    was: str | None
    now: str | None


class Changes(NamedTuple):
    """What became of the concepts of an SAE that was trained on."""

    kept: int
    """Concepts that have the names that they had: their directions stayed."""
    moved: int
    """Those whose number has other directions now: they are named anew."""
    new: int
    """Latents that had no concept before."""
    gone: int
    """Concepts whose latent no text activates now."""
    renamed: list[Renamed]
    """Those that moved, the first thousand."""


def kept_of(project: Workspace, made_from: Mapping[str, str], *, discard: bool) -> Kept:
    """What is kept of the concepts that are there.

    Any database that opens counts, whatever became of the manifest beside it. What is about to be given up is copied
    beside the concepts first.

    Raises:
        BadData: there are edits of another SAE's concepts, or there may be and the database cannot be read.
    """
    folder, now = project.path / "concepts", directions_of(project.sae)
    database = folder / DATABASE
    nothing = Kept(None, None, now)
    if not database.exists():
        return nothing
    try:
        check(database, store.SCHEMA)
        same = store.made_from(database).get("sae") == made_from["sae"]
        there, history = store.stored_latents(database), edits.history(database)
    except CorruptArtifact as error:
        if not discard:
            raise BadData(
                f"{database} cannot be read, and people may have edited it ({error}); put a copy in its place, or give "
                f"it up: unweave name {project.path} --discard"
            ) from error
        copy_beside(database)
        return nothing
    named = _named(folder)
    if same:
        return Kept(database, None, identity.renewed(named, now, range(len(now.decoder))))
    stayed = [] if named is None else np.flatnonzero(identity.stayed(named, now)).tolist()
    latents = frozenset(stayed) & there
    lost = [edit for edit in edits.left_behind(history, latents) if not edit.undone]
    if lost and not discard and len(latents) < _SAME_DICTIONARY * len(there):
        raise BadData(
            f"{folder} has {len(lost)} edit(s) by people, of another SAE's concepts than this one's; save "
            f"them (unweave concepts export {project.path}), then: unweave name {project.path} --discard"
        )
    if not latents:
        if lost:
            copy_beside(database)
        return nothing
    return Kept(database, latents, identity.renewed(named, now, latents))


def take_over(kept: Kept, database: Path) -> None:
    """Bring the names and edits that are kept into a database in the making."""
    if kept.database is not None:
        carry_names(kept.database, database, kept.latents)
        edits.carry_over(kept.database, database, kept.latents)


def take_over_edits(kept: Kept, database: Path) -> None:
    """Bring the edits that are kept, late ones too; the others stay in a copy, and it is said of which concepts."""
    if kept.database is None:
        return
    lost = [edit for edit in edits.carry_over(kept.database, database, kept.latents) if not edit.undone]
    if lost:
        names, of = Concepts(kept.database), sorted({edit.latent for edit in lost})
        logger.warning(
            "%d edit(s) by people were of concepts that are gone or moved, and are not applied to others: %s",
            len(lost), _listed([f"#{latent} {_shown(names.get(latent))}" for latent in of]),
        )  # fmt: skip
        copy_beside(kept.database)


def changes(kept: Kept, database: Path) -> Changes | None:
    """What became of the concepts; None: they are of the same SAE, or there were none."""
    if kept.database is None or kept.latents is None:
        return None
    before, after = store.stored_latents(kept.database), store.stored_latents(database)
    moved = sorted((before & after) - kept.latents)
    was, now = Concepts(kept.database), Concepts(database)
    renamed = [Renamed(latent, was.get(latent), now.get(latent)) for latent in moved[:_MOST_STATED]]
    return Changes(len(kept.latents & after), len(moved), len(after - before), len(before - after), renamed)


def said_of(found: Changes) -> Iterator[str]:
    """What became of the concepts, in a few lines."""
    yield (
        f"{found.kept:,} concepts keep their names, {found.moved:,} moved and are named anew, "
        f"{found.new:,} are new, {found.gone:,} are gone"
    )
    if found.renamed:
        each = [f"#{latent} {_shown(was)} → {_shown(now)}" for latent, was, now in found.renamed]
        yield f"named anew: {_listed(each, found.moved)}"


def copy_beside(database: Path) -> None:
    """Copy a database of which something is given up to `concepts-TIME.sqlite` in the project, and say so."""
    copy = database.parent.with_name(f"concepts-{time.strftime('%Y%m%d-%H%M%S')}.sqlite")
    write_atomically(copy, lambda aside: shutil.copyfile(database, aside))
    logger.warning("what people edited before is in %s; see it with SQLite", copy)


def _named(folder: Path) -> Directions | None:
    try:
        return identity.read(folder)
    except (MissingArtifact, CorruptArtifact):
        return None


def _shown(name: str | None) -> str:
    return "(unnamed)" if name is None else plain(name, _LONGEST_SHOWN)


def _listed(each: Sequence[str], n: int | None = None) -> str:
    """The first few of n things, and how many more there are."""
    n = len(each) if n is None else n
    more = f"; and {n - _MOST_SHOWN:,} more" if n > _MOST_SHOWN else ""
    return "; ".join(each[:_MOST_SHOWN]) + more
