"""The SQLite file of a project's concepts: opened as what it may be, a stranger's, and written so that nothing is lost.

People change it, so its checksum stands in the manifest's state, with SQLite's own counter of transactions. A file
whose counter is another was changed after the sum was taken, by a run that was killed or by another program, and
SQLite's own check of it has to do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from unweave.base import locks
from unweave.base.artifact import MANIFEST, Manifest, damaged, read_manifest, write_manifest
from unweave.base.files import clear_abandoned, refuse_links
from unweave.errors import ArtifactInUse, BadData, CorruptArtifact

DATABASE = "concepts.sqlite"
KIND = "concepts"
_PATIENCE = 60.0
"""Seconds that a transaction waits for another program's."""
_LONGEST_VALUE = 1 << 24
_COUNTER = slice(24, 28)  # of the file's header: how many transactions have changed it
_NAMES_ANOTHER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""How a journal ends that names another file, which SQLite may delete; a database of one file has none such."""
_SYSTEM = {
    sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EROFS, sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES, sqlite3.SQLITE_IOERR: errno.EIO,
}  # fmt: skip
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """What the database holds at one time; nothing can be written.

    Raises:
        CorruptArtifact: it is damaged, or holds something else than it should.
        OSError: it cannot be read.
    """
    with _connected(database) as db:
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        with damaged(f"{database} is damaged ({{}}); name the concepts again"):
            yield db


@contextmanager
def writing(database: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: on the disk at the end, undone on an error. Others who write wait, and are told for whom.

    Raises:
        ArtifactInUse: another program holds the database.
        CorruptArtifact: it is damaged.
        OSError: it cannot be written; the disk may be full.
    """
    if not (database.parent / MANIFEST).is_file():  # it is in the making, and nobody else knows it
        with _transaction(database) as db:
            yield db
        return
    with locks.held(lock_of(database.parent)):
        clear_abandoned(database.parent / MANIFEST, alone=True)
        with _transaction(database) as db:
            yield db
        manifest = read_manifest(database.parent, KIND)
        write_manifest(database.parent, replace(manifest, state=manifest.state | state_of(database)))


def lock_of(folder: Path) -> Path:
    """The lock under which a concepts folder is changed or replaced; it stays where it is when the folder goes."""
    return folder.with_name(f".{folder.name}.unweave-edits")


def clear_leftovers(folder: Path) -> None:
    """Take away what a killed edit left of whole concepts: its lock, and a manifest that was not put in place yet."""
    lock = lock_of(folder)
    if lock.exists():
        with suppress(OSError, BadData), locks.held(lock, wait=False):
            clear_abandoned(folder / MANIFEST, alone=True)


def state_of(database: Path) -> dict[str, Any]:
    """What the manifest's state says of the database: its checksum, and when it was taken."""
    with _connected(database) as db:
        content = db.serialize()
    return {"sha256": hashlib.sha256(content).hexdigest(), "transactions": int.from_bytes(content[_COUNTER], "big")}


def make(database: Path, schema: str, made_from: Mapping[str, str]) -> None:
    """Make the tables in a new file, and note which artefacts the concepts are of, by fingerprint.

    No page is ever free: SQLite does not restore what such a page held when it undoes a transaction that was killed, so
    the checksum of before would not be right any more.
    """
    with _connected(database) as db:
        db.execute("PRAGMA auto_vacuum = FULL")
        db.executescript(schema)
        db.executemany("INSERT INTO made_from VALUES (?, ?)", made_from.items())


def check(database: Path, schema: str, manifest: Manifest | None = None) -> None:
    """Make sure that this is a whole database of concepts, and, if a manifest says so, the one that was written.

    Args:
        schema: the statements that make its tables.

    Raises:
        CorruptArtifact: it is something else.
    """
    with reading(database) as db:
        _check_schema(db, schema, database)
        content = db.serialize()
        state = {} if manifest is None else manifest.state
        if state.get("transactions") != int.from_bytes(content[_COUNTER], "big"):
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise ValueError(found)
        elif state.get("sha256") != hashlib.sha256(content).hexdigest():
            raise ValueError("it does not match its checksum")


def _check_schema(db: sqlite3.Connection, schema: str, database: Path) -> None:
    """Whether the tables, and nothing else, are there: a view or a trigger runs what a stranger wrote."""
    expected = _columns_of(schema)
    for kind, name, statement in db.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        known = name in expected if kind == "table" else kind == "index" and statement is None
        if not known and name != "sqlite_sequence":
            raise CorruptArtifact(f"{database} has a {kind} that unweave does not make; name the concepts again")
    for name, columns in expected.items():
        if columns != _columns(db, name):
            raise CorruptArtifact(f"{database} has no table {name!r} as unweave makes it; name the concepts again")


@cache
def _columns_of(schema: str) -> dict[str, list[tuple[str, int]]]:
    db = sqlite3.connect(":memory:")
    try:
        db.executescript(schema)
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: _columns(db, name) for name in names if name != "sqlite_sequence"}
    finally:
        db.close()


def _columns(db: sqlite3.Connection, table: str) -> list[tuple[str, int]]:
    """Names of a table's columns, and whether each is hidden or calculated."""
    return db.execute("SELECT name, hidden FROM pragma_table_xinfo(?) ORDER BY cid", (table,)).fetchall()


@contextmanager
def _transaction(database: Path) -> Iterator[sqlite3.Connection]:
    with _connected(database) as db, db:
        db.execute("BEGIN IMMEDIATE")  # what is read before a change is what is there when it is made
        yield db


@contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    beside = [database.with_name(database.name + ending) for ending in ("-journal", "-wal", "-shm")]
    refuse_links(database, *beside)
    _refuse_foreign_journal(beside[0])
    try:
        db = sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)
        try:
            db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "synchronous = EXTRA"):
                db.execute(f"PRAGMA {pragma}")
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "delete":
                raise CorruptArtifact(f"{database} is not as unweave makes it; name the concepts again")
            yield db
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise _ours(database, error) from error


def _refuse_foreign_journal(journal: Path) -> None:
    """SQLite deletes a file that a journal names, under certain conditions; no journal of ours names one."""
    try:
        with journal.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_NAMES_ANOTHER_JOURNAL)))
            if file.read() != _NAMES_ANOTHER_JOURNAL:
                return
    except FileNotFoundError:
        return
    raise CorruptArtifact(f"{journal} is no journal of unweave's: it names another file; remove it")


def _ours(database: Path, error: sqlite3.DatabaseError) -> Exception:
    """What an error of SQLite means here."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return ArtifactInUse(f"{database} is being written by another program ({error}); wait for it to end")
    if code in _SYSTEM:
        return OSError(_SYSTEM[code], os.strerror(_SYSTEM[code]), str(database))
    return CorruptArtifact(f"{database} is damaged ({error}); name the concepts again")
