"""What a person changes about concepts: names, remarks, merges. Each change has a history and can be undone.

An edit is a state of some rows before and after it: making it writes the one, undoing it the other, in one
transaction with its row of the history. What a person said is shown before any namer's name, and no namer changes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_DESCRIPTION, LONGEST_NAME, PERSON, Naming, Score, shown_first
from unweave.concepts.database import reading, writing
from unweave.concepts.edit import CONFIRMED, FLAG, LOCK, MERGE, RENAME, UNLOCK, Edit, State, _targets, builds_on
from unweave.errors import BadData, NotThere

Database = Path | sqlite3.Connection
"""A concepts database, or a `transaction` on one that several edits share."""


@contextmanager
def transaction(database: Database) -> Iterator[sqlite3.Connection]:
    """Edits that are made all or none. A transaction within another is part of it.

    Raises:
        ArtifactInUse, CorruptArtifact, OSError: the database cannot be written; see `database.writing`.
    """
    if isinstance(database, sqlite3.Connection):
        yield database
        return
    with writing(database) as db:
        yield db


# --- edits ----------------------------------------------------------------------------------------


def rename(database: Database, latent: int, name: str, description: str = "") -> Edit | None:
    """Give a latent a person's name; None if that is its name already.

    Raises:
        BadData: there is no such concept, it is merged into another, or the name is empty or too long.
    """
    name = checked(name, "name", LONGEST_NAME)
    description = checked(description, "description", LONGEST_DESCRIPTION) if description else ""
    with transaction(database) as db:
        _refuse_merged(db, latent)
        before = _person(db, latent)
        there = before["naming"]
        if there is not None and (there["name"], there["description"]) == (name, description):
            return None
        return _make(db, RENAME, latent, before, _named(Naming(PERSON, name, description)))


def lock(database: Database, latent: int) -> Edit | None:
    """Confirm the name that is shown now, so that no namer replaces it; None if it is a person's already.

    Raises:
        BadData: there is no such concept, it is merged into another, or it has no name.
    """
    with transaction(database) as db:
        _refuse_merged(db, latent)
        shown = _shown(db, latent)
        if shown is None or shown.name is None:
            raise BadData(f"latent {latent} has no name to confirm; give it one: unweave concepts rename")
        if shown.namer == PERSON:
            return None
        confirmed = Naming(PERSON, shown.name, shown.description, shown.coverage, provenance={CONFIRMED: shown.namer})
        return _make(db, LOCK, latent, _person(db, latent), _named(confirmed))


def unlock(database: Database, latent: int) -> Edit | None:
    """Take a person's name away, so that a namer's is shown again; None if there is none.

    Raises:
        BadData: there is no such concept.
    """
    with transaction(database) as db:
        _known(db, latent)
        return _make(db, UNLOCK, latent, _person(db, latent), {"naming": None, "scores": []})


def flag(database: Database, latent: int, remark: str | None) -> Edit | None:
    """Leave a remark on a concept in place of the one that is there, or, with None, none.

    Raises:
        BadData: there is no such concept, or the remark is empty or too long.
    """
    remark = None if remark is None else checked(remark, "remark", LONGEST_NAME)
    with transaction(database) as db:
        there, _ = _known(db, latent)
        return _make(db, FLAG, latent, {"flag": there}, {"flag": remark})


def merge(database: Database, latent: int, into: int) -> Edit | None:
    """Say that a latent means the same as another, whose name it has from now on; None if that is said already.

    Where the other is itself merged, both mean the same as what it is merged into. Latents that were merged into this
    one move along, so that none is ever merged into one that is merged.

    Raises:
        BadData: there is no such concept, or the other means the same as this one already.
    """
    with transaction(database) as db:
        _, merged_into = _known(db, latent)
        _, onward = _known(db, into)
        root = into if onward is None else onward
        if root == latent:
            why = "they are one" if into == latent else f"latent {into} is merged into latent {latent} already"
            raise BadData(f"latent {latent} cannot be merged into latent {into}: {why}; see: unweave concepts history")
        followers = db.execute("SELECT latent FROM concepts WHERE merged_into = ? ORDER BY latent", (latent,))
        moved = [follower for (follower,) in followers]
        before = {"merged_into": {str(latent): merged_into, **{str(one): latent for one in moved}}}
        after = {"merged_into": dict.fromkeys(before["merged_into"], root)}
        if before == after:
            return None
        return _make(db, MERGE, latent, before, {**after, "asked": into})


# --- history --------------------------------------------------------------------------------------


def history(database: Database, latent: int | None = None) -> list[Edit]:
    """All edits, or those of one latent, the first made first; those undone too.

    Raises:
        BadData: there is no such concept.
    """
    with _reading(database) as db:
        if latent is not None:
            _known(db, latent)
        rows = db.execute(
            "SELECT number, made, action, latent, before, after, undone FROM edits "
            "WHERE ? IS NULL OR latent = ? ORDER BY number",
            (latent, latent),
        )
        return [_edit(row) for row in rows]


def undo(database: Database, number: int | None = None) -> Edit:
    """Bring back what was there before an edit: before the last that stands, or before the one with this number.

    Raises:
        BadData: there is no such edit, it is undone already, or a later one builds on it.
    """
    with transaction(database) as db:
        edits = history(db)
        standing = [edit for edit in edits if not edit.undone]
        if number is None:
            if not standing:
                raise BadData("there is no edit to undo; see: unweave concepts history")
            chosen = standing[-1]
        else:
            found = next((edit for edit in edits if edit.number == number), None)
            if found is None:
                raise BadData(f"there is no edit {number}; see: unweave concepts history")
            if found.undone:
                raise BadData(f"edit {number} is undone already; see: unweave concepts history")
            chosen = found
        later = [edit for edit in standing if edit.number > chosen.number and builds_on(edit, chosen)]
        if later:
            raise BadData(
                f"edit {chosen.number} ({chosen.action} of latent {chosen.latent}) cannot be undone before edit "
                f"{later[-1].number} ({later[-1].action} of latent {later[-1].latent}), which came later and builds on "
                f"it; undo edit {later[-1].number} first"
            )
        _put(db, chosen.latent, chosen.before)
        db.execute("UPDATE edits SET undone = 1 WHERE number = ?", (chosen.number,))
        return chosen._replace(undone=True)


def carry_over(database: Path, into: Path, latents: Collection[int] | None = None) -> list[Edit]:
    """Copy a person's edits, with their history, to a new database; returns those that stay behind.

    Edits of latents that are not among these, or that the new database does not have, and merges into such, stay
    behind. Its own edits, if it has any, are replaced.

    Args:
        latents: those that are what they were; by default all, for both databases are of one SAE.
    """
    edits = history(database)
    with _reading(database) as old:
        people = {latent: _person(old, latent) for latent in {edit.latent for edit in edits}}
        flags = dict(old.execute("SELECT latent, flag FROM concepts").fetchall())
    flagged = {edit.latent for edit in edits if edit.action == FLAG and not edit.undone}
    with transaction(into) as db:
        live = {latent for (latent,) in db.execute("SELECT latent FROM concepts")}
        live &= live if latents is None else set(latents)
        left = left_behind(edits, live)
        numbers = {edit.number for edit in edits} - {edit.number for edit in left}
        _forget(db)
        for edit in edits:
            if edit.number in numbers:
                _record(db, _among(edit, live))
        for latent in people.keys() & live:
            _put(db, latent, people[latent])
        for latent in flagged & live:
            _put(db, latent, {"flag": flags[latent]})
        _put(db, -1, {"merged_into": _last_merges(edits, numbers, live)})
    return left


def left_behind(edits: Iterable[Edit], live: Collection[int]) -> list[Edit]:
    """The edits of latents that are not among these, and merges into such."""
    there = set(live)
    return [edit for edit in edits if not {edit.latent} | _targets(edit.after) <= there]


def no_concept(database: Database, latent: int) -> NotThere:
    """The error that says that a latent has no concept, and which have one."""
    with _reading(database) as db:
        first, last = db.execute("SELECT min(latent), max(latent) FROM concepts").fetchone()
    there = "there are none yet" if first is None else f"live latents are among {first}..{last}"
    return NotThere(f"latent {latent} never fired or does not exist; {there}: unweave concepts list")


# --- rows -----------------------------------------------------------------------------------------


@contextmanager
def _reading(database: Database) -> Iterator[sqlite3.Connection]:
    if isinstance(database, sqlite3.Connection):
        yield database
        return
    with reading(database) as db:
        yield db


def _make(db: sqlite3.Connection, action: str, latent: int, before: State, after: State) -> Edit | None:
    """Make an edit and note it; None if it changes nothing."""
    if before == after:
        return None
    _put(db, latent, after)
    edit = Edit(0, datetime.now(UTC).isoformat(timespec="seconds"), action, latent, before, after, undone=False)
    return edit._replace(number=_record(db, edit))


def _record(db: sqlite3.Connection, edit: Edit) -> int:
    """Add an edit to the history, under its number, or the next if that is 0."""
    before, after = (json.dumps(state, ensure_ascii=False) for state in (edit.before, edit.after))
    done = db.execute(
        "INSERT INTO edits (number, made, action, latent, before, after, undone) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (edit.number or None, edit.made, edit.action, edit.latent, before, after, edit.undone),
    )
    assert done.lastrowid is not None
    return done.lastrowid


def _edit(row: tuple[Any, ...]) -> Edit:
    number, made, action, latent, before, after, undone = row
    return Edit(number, made, action, latent, json.loads(before), json.loads(after), bool(undone))


def _put(db: sqlite3.Connection, latent: int, state: State) -> None:
    """Make this what the rows hold."""
    if "naming" in state:
        db.execute("DELETE FROM names WHERE latent = ? AND namer = ?", (latent, PERSON))
        db.execute("DELETE FROM scores WHERE latent = ? AND namer = ?", (latent, PERSON))
        if state["naming"] is not None:
            db.execute(
                "INSERT INTO names (latent, namer, name, description, coverage, made_with, provenance) "
                "VALUES (:latent, :namer, :name, :description, :coverage, :made_with, :provenance)",
                {"latent": latent, "namer": PERSON, **state["naming"]},
            )
        db.executemany(
            "INSERT INTO scores (latent, namer, judge, value, low, high, n) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(latent, PERSON, *score) for score in state["scores"]],
        )
    if "flag" in state:
        db.execute("UPDATE concepts SET flag = ? WHERE latent = ?", (state["flag"], latent))
    for one, into in state.get("merged_into", {}).items():
        db.execute("UPDATE concepts SET merged_into = ? WHERE latent = ?", (into, int(one)))


def _forget(db: sqlite3.Connection) -> None:
    """Take back everything that a person changed, and its history."""
    db.execute("UPDATE concepts SET merged_into = NULL")
    flagged = "SELECT latent FROM edits WHERE action = ? AND NOT undone"
    db.execute(f"UPDATE concepts SET flag = NULL WHERE latent IN ({flagged})", (FLAG,))  # noqa: S608
    db.execute("DELETE FROM names WHERE namer = ?", (PERSON,))
    db.execute("DELETE FROM scores WHERE namer = ?", (PERSON,))
    db.execute("DELETE FROM edits")


def _person(db: sqlite3.Connection, latent: int) -> dict[str, Any]:
    """A person's name for a latent, and what judges found of it."""
    columns = ("name", "description", "coverage", "made_with", "provenance")
    row = db.execute(
        f"SELECT {', '.join(columns)} FROM names WHERE latent = ? AND namer = ?",  # noqa: S608
        (latent, PERSON),
    ).fetchone()
    scores = db.execute(
        "SELECT judge, value, low, high, n FROM scores WHERE latent = ? AND namer = ? ORDER BY judge", (latent, PERSON)
    )
    naming = None if row is None else dict(zip(columns, row, strict=True))
    return {"naming": naming, "scores": [list(score) for score in scores]}


def _named(naming: Naming) -> dict[str, Any]:
    """A person's name that nobody has judged yet."""
    row = {
        "name": naming.name,
        "description": naming.description,
        "coverage": naming.coverage,
        "made_with": naming.made_with,
        "provenance": json.dumps(dict(naming.provenance), ensure_ascii=False),
    }
    return {"naming": row, "scores": []}


def _shown(db: sqlite3.Connection, latent: int) -> Naming | None:
    """The naming of a latent that is shown."""
    rows = db.execute(
        "SELECT namer, name, description, coverage, made_with, provenance FROM names WHERE latent = ?", (latent,)
    )
    namings = [
        Naming(namer, name, description, coverage, made_with, json.loads(provenance))
        for namer, name, description, coverage, made_with, provenance in rows
    ]
    scores: dict[str, list[Score]] = {}
    for namer, *score in db.execute("SELECT namer, judge, value, low, high, n FROM scores WHERE latent = ?", (latent,)):
        scores.setdefault(namer, []).append(Score(*score))
    return next(iter(shown_first(namings, scores)), None)


def _known(db: sqlite3.Connection, latent: int) -> tuple[str | None, int | None]:
    """The remark on a concept and what it is merged into; an error if there is no such concept."""
    row = None
    if 0 <= latent < 2**63:
        row = db.execute("SELECT flag, merged_into FROM concepts WHERE latent = ?", (latent,)).fetchone()
    if row is None:
        raise no_concept(db, latent)
    return row[0], row[1]


def _refuse_merged(db: sqlite3.Connection, latent: int) -> None:
    _, merged_into = _known(db, latent)
    if merged_into is not None:
        raise BadData(
            f"latent {latent} is merged into latent {merged_into} and has its name; name latent {merged_into}, or undo "
            "the merge first: unweave concepts history"
        )


def checked(text: str, what: str, longest: int) -> str:
    """A person's words, made safe to print; never cut without their knowing."""
    words = plain(text)
    if not words:
        raise BadData(f"the {what} is empty; expected a few words")
    if len(words) > longest:
        raise BadData(f"the {what} has {len(words)} characters, expected at most {longest}: {plain(words, 40)}")
    return words


# --- edits carried to another database ------------------------------------------------------------


def _among(edit: Edit, live: set[int]) -> Edit:
    """The same edit without latents that are gone: undoing it must not merge anything into one of them."""
    if edit.action != MERGE:
        return edit
    before, after = (
        {
            **state,
            "merged_into": {
                one: to if to in live else None for one, to in state["merged_into"].items() if int(one) in live
            },
        }
        for state in (edit.before, edit.after)
    )
    return edit._replace(before=before, after=after)


def _last_merges(edits: list[Edit], kept: set[int], live: set[int]) -> dict[str, int | None]:
    """What latents are merged into by the last edit that merged each; nothing, where that edit stays behind."""
    merged: dict[str, int | None] = {}
    for edit in edits:
        if edit.action == MERGE and not edit.undone:
            there = edit.after["merged_into"]
            merged |= there if edit.number in kept else dict.fromkeys(there)
    return {latent: into for latent, into in merged.items() if int(latent) in live}
