"""Concepts as a table, for people who review names in a spreadsheet: written, changed there, and read back.

A row is a latent. What was changed in a few of its columns becomes edits, all or none, with a history like those made
one by one; the other columns are there to judge a name by, and are not read back. `tables` says what the files are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.plain import plain
from unweave.concepts import edits, tables
from unweave.concepts.concept import CURATED, DETECTION, LONGEST_DESCRIPTION, LONGEST_NAME, Concept, Example, Naming
from unweave.concepts.database import reading
from unweave.concepts.edit import FLAG, MERGE, RENAME, Edit
from unweave.concepts.namers.base import digest
from unweave.concepts.store import Concepts, add_namings, stored_latents
from unweave.errors import BadData

COLUMNS = (
    "latent", "name", "namer", "trust", "holds_from", "returns", "detection", "document_frequency", "flag",
    "merged_into", "description", "keyphrases", "examples",
)  # fmt: skip
CHANGEABLE = ("name", "description", "flag", "merged_into")
"""Columns that are read back."""


class Change(NamedTuple):
    """A cell, or a name with its description, that is not as the database has it."""

    line: int
    """Of the file, from 1."""
    action: str
    """`rename`, `flag` or `merge`."""
    arguments: tuple[Any, ...]
    """Of the function of that name in `edits`, after the database."""


def export(
    concepts: Concepts, path: Path, content: Callable[[Example], str], *, examples: int = 3, longest: int = 200
) -> int:
    """Write all concepts to a .csv or .jsonl file, the most frequent first; returns how many they are.

    Args:
        content: the text of an example.
        examples: how many of the strongest texts of each concept.
        longest: characters of each; what is longer is cut.

    Raises:
        BadData: the file's name ends in something else.
        OSError: it cannot be written; what was there is as it was.
    """
    tables.suffix(path)  # first: a name that will not do is said at once
    strongest = _strongest(concepts.database, examples)
    rows = [
        _row(concept, [plain(content(example), longest) for example in strongest.get(concept.latent, ())])
        for concept in concepts.by_document_frequency()
    ]
    tables.write(path, COLUMNS, rows)
    return len(rows)


def read_changes(database: Path, path: Path) -> list[Change]:
    """What differs between a .csv or .jsonl file and the database, in the file's order.

    Only the column `latent`, which there must be, and `CHANGEABLE` are read; one that is absent changes nothing. An
    empty name leaves the name as it is, an empty description or flag removes it.

    Raises:
        BadData: the file cannot be read, or one of its rows cannot be used; it says which.
    """
    known = {concept.latent: concept for concept in Concepts(database).by_document_frequency()}
    line_of: dict[int, int] = {}
    changes: list[Change] = []
    for line, cells in tables.read(path, ("latent",), CHANGEABLE):
        with tables.located(path, line):
            latent = _number(cells["latent"], "latent")
            if latent not in known:
                raise edits.no_concept(database, latent)
            if latent in line_of:
                raise BadData(f"latent {latent} is in line {line_of[latent]} already; expected one row for each")
            line_of[latent] = line
            changes += (Change(line, *change) for change in _changes(known[latent], cells))
    return changes


def import_edits(database: Path, path: Path, *, dry_run: bool = False) -> list[Edit]:
    """Make what was changed in a file edits, all or none, and return them.

    Args:
        dry_run: return what would be edited, and leave the database as it is.

    Raises:
        BadData: the file cannot be read, or a change cannot be made; it says which line.
        ArtifactInUse: the database cannot be written now.
    """
    make: Mapping[str, Callable[..., Edit | None]] = {RENAME: edits.rename, FLAG: edits.flag, MERGE: edits.merge}
    made = []
    with edits.transaction(database) as db:
        for change in read_changes(database, path):
            with tables.located(path, change.line):
                made.append(make[change.action](db, *change.arguments))
        if dry_run:
            db.rollback()
    return [edit for edit in made if edit is not None]


def import_curated(database: Path, path: Path) -> list[tuple[int, Naming]]:
    """Store the names in a .csv or .jsonl file as a curator's, beside those of other namers, and return them.

    Unlike a person's edits they are judged, and shown as `concept.shown_first` says. Read are the column `latent`,
    which there must be, `name` and `description`; an empty name says that a reader found none.

    Raises:
        BadData: the file cannot be read, or one of its rows cannot be used; it says which.
        ArtifactInUse: the database cannot be written now.
    """
    known = stored_latents(database)
    names: dict[int, Naming] = {}
    for line, cells in tables.read(path, ("latent",), ("name", "description")):
        with tables.located(path, line):
            latent = _number(cells["latent"], "latent")
            if latent not in known:
                raise edits.no_concept(database, latent)
            if latent in names:
                raise BadData(f"latent {latent} is in the file twice; expected one row for each")
            name, description = ((cells.get(column) or "").strip() for column in ("name", "description"))
            name = edits.checked(name, "name", LONGEST_NAME) if name else ""
            description = edits.checked(description, "description", LONGEST_DESCRIPTION) if description else ""
            made_with = digest({"name": name, "description": description})
            names[latent] = Naming(CURATED, name or None, description, made_with=made_with)
    add_namings(database, names.items())
    return list(names.items())


# --- a concept and its row ------------------------------------------------------------------------


def _row(concept: Concept, examples: list[str]) -> dict[str, Any]:
    shown = concept.namings[0] if concept.namings else None
    detection, keyphrases = concept.score(DETECTION), concept.naming("keyphrases")
    return {
        "latent": concept.latent,
        "name": plain(concept.name or "") or None,
        "namer": concept.namer,
        "trust": concept.trust.value,
        "holds_from": concept.holds_from,
        "returns": concept.returns,
        "detection": detection and detection.value,
        "document_frequency": concept.document_frequency,
        "flag": plain(concept.flag or "") or None,
        "merged_into": concept.merged_into,
        "description": plain(shown.description if shown else ""),
        "keyphrases": plain((keyphrases and keyphrases.name) or "") or None,
        "examples": examples,
    }


def _changes(concept: Concept, cells: Mapping[str, str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What a row changes: the name first, for a concept that is merged takes none."""
    there = {column: value or "" for column, value in _row(concept, []).items()}
    name = plain(cells.get("name", "")) or there["name"]
    description = plain(cells.get("description", there["description"]))
    if (name, description) != (there["name"], there["description"]):
        if "description" not in cells:
            description = plain(description, LONGEST_DESCRIPTION)
        yield RENAME, (concept.latent, name, description)
    flag = plain(cells.get("flag", there["flag"]))
    if flag != there["flag"]:
        yield FLAG, (concept.latent, flag or None)
    if "merged_into" in cells:
        yield from _merges(concept, cells["merged_into"])


def _merges(concept: Concept, cell: str) -> Iterator[tuple[str, tuple[int, int]]]:
    if not cell.strip():
        if concept.merged_into is not None:
            raise BadData(
                f"latent {concept.latent} is merged into latent {concept.merged_into} but merged_into is empty; "
                "undo the merge: unweave concepts undo"
            )
        return
    into = _number(cell, "merged_into")
    if into != concept.merged_into:
        yield MERGE, (concept.latent, into)


def _number(cell: str, column: str) -> int:
    digits = cell.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise BadData(f"{column} is {plain(cell, 40)!r}, expected a latent's number")
    return int(digits)


def _strongest(database: Path, n: int) -> dict[int, list[Example]]:
    """The first examples of each latent's top band."""
    strongest: dict[int, list[Example]] = {}
    with reading(database) as db:
        for latent, *example in db.execute(
            "SELECT latent, source, position, activation, band FROM examples WHERE band = 'top' AND rank <= ? "
            "ORDER BY latent, rank",
            (n,),
        ):
            strongest.setdefault(latent, []).append(Example(*example))
    return strongest
