"""What language models cost: every request is entered before it is sent, so that a cap holds whatever happens.

An entry is open from before its request is sent until it is known what became of it, and counts as the most that it
can cost as long as it is open. What a killed process left open stays so: the server may have answered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from unweave.errors import SpendingCapReached
from unweave.language.client import Receipt

TABLE = """
CREATE TABLE spending (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    made TEXT NOT NULL,           -- when, UTC
    latent INTEGER,               -- about which concept; NULL: about several
    purpose TEXT NOT NULL,        -- name or judge
    most REAL NOT NULL,           -- what it can cost
    cost REAL,                    -- what it did cost; NULL: not known, or not yet
    input_tokens INTEGER,
    output_tokens INTEGER
);
"""


class Spent(NamedTuple):
    """All that was ever spent on a project's concepts."""

    cost: float
    """Open requests count as the most that they can cost."""
    requests: int
    open: int
    """Requests of which it is not known what they cost."""
    input_tokens: int
    output_tokens: int


def reserve(db: sqlite3.Connection, most: float, cap: float, purpose: str, latent: int | None = None) -> int:
    """Enter a request that is about to be sent, in a transaction on the database; returns its number.

    Raises:
        SpendingCapReached: it could cost more than what is left.
    """
    so_far = spent(db).cost
    if so_far + most > cap:
        raise SpendingCapReached(
            f"{so_far:.4f} of {cap:g} are spent and the next request may cost {most:.4f}; what is named is kept. "
            "To go on, raise the cap: --cap"
        )
    made = datetime.now(UTC).isoformat(timespec="seconds")
    done = db.execute(
        "INSERT INTO spending (made, latent, purpose, most) VALUES (?, ?, ?, ?)", (made, latent, purpose, most)
    )
    assert done.lastrowid is not None
    return done.lastrowid


def settle(db: sqlite3.Connection, receipts: Iterable[Receipt]) -> None:
    """Enter what became of requests."""
    db.executemany(
        "UPDATE spending SET cost = ?, input_tokens = ?, output_tokens = ? WHERE number = ?",
        [(r.cost, r.input_tokens, r.output_tokens, r.number) for r in receipts],
    )


def spent(db: sqlite3.Connection) -> Spent:
    """Add up all requests."""
    row = db.execute(
        "SELECT total(coalesce(cost, most)), count(*), count(*) - count(cost), "
        "coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0) FROM spending"
    ).fetchone()
    return Spent(*row)


def carry_over(old: sqlite3.Connection, db: sqlite3.Connection) -> None:
    """Copy all entries to a new database: what is spent is spent."""
    columns = "number, made, latent, purpose, most, cost, input_tokens, output_tokens"
    rows = old.execute(f"SELECT {columns} FROM spending").fetchall()  # noqa: S608
    marks = ", ".join("?" * 8)
    db.executemany(f"INSERT OR REPLACE INTO spending ({columns}) VALUES ({marks})", rows)  # noqa: S608
