"""Names of latents, with the evidence for them, in one SQLite file that a person can open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from unweave.artifact import read_manifest
from unweave.errors import CorruptArtifact

DATABASE = "concepts.sqlite"
KIND = "concepts"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS concepts (
    latent INTEGER PRIMARY KEY,
    name TEXT,                    -- NULL: no phrase sets this latent apart
    namer TEXT NOT NULL,          -- what made the name
    coverage REAL,                -- share of the latent's activation that goes with the name
    document_frequency INTEGER NOT NULL,  -- passages in which the latent is active
    strongest REAL NOT NULL       -- its highest activation
);
CREATE TABLE IF NOT EXISTS examples (
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    rank INTEGER NOT NULL,        -- 1 for the text that activates the latent most
    source TEXT NOT NULL,         -- passages or sentences
    position INTEGER NOT NULL,    -- in that source
    activation REAL NOT NULL,
    PRIMARY KEY (latent, rank)
);
"""


class Example(NamedTuple):
    """A text that activates a latent."""

    source: str
    position: int
    activation: float


@dataclass(frozen=True)
class Concept:
    """A latent together with its words."""

    latent: int
    name: str | None
    """None when no phrase sets the latent apart."""
    namer: str
    """What made the name."""
    coverage: float | None
    """Share of the latent's activation, over its strongest texts, in texts that hold a phrase of the name."""
    document_frequency: int
    """Passages in which the latent is active."""
    strongest: float
    """Its highest activation over all texts."""
    examples: tuple[Example, ...] = ()
    """The texts that activate it most, strongest first."""


class Concepts(Mapping[int, str]):
    """The names of a project's latents: a mapping from latent to name, unnamed ones missing."""

    def __init__(self, database: Path) -> None:
        self._database = database

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Open a concepts folder.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        read_manifest(Path(folder), KIND)
        if not (Path(folder) / DATABASE).is_file():
            raise CorruptArtifact(f"{folder} has lost its {DATABASE}; name the concepts again")
        concepts = cls(Path(folder) / DATABASE)
        try:
            len(concepts)
        except sqlite3.DatabaseError as error:
            raise CorruptArtifact(f"{folder}/{DATABASE} is damaged ({error}); name the concepts again") from error
        return concepts

    def __getitem__(self, latent: int) -> str:
        return self._names[latent]

    def __iter__(self) -> Iterator[int]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def concept(self, latent: int) -> Concept | None:
        """All that is known of one latent; None if it never fired."""
        with connected(self._database) as db:
            row = db.execute("SELECT * FROM concepts WHERE latent = ?", (latent,)).fetchone()
            examples = db.execute(
                "SELECT source, position, activation FROM examples WHERE latent = ? ORDER BY rank", (latent,)
            ).fetchall()
        return replace(Concept(*row), examples=tuple(Example(*e) for e in examples)) if row else None

    def by_document_frequency(self) -> list[Concept]:
        """Every live concept, without its examples, the most frequent first."""
        with connected(self._database) as db:
            rows = db.execute("SELECT * FROM concepts ORDER BY document_frequency DESC, latent").fetchall()
        return [Concept(*row) for row in rows]

    @cached_property
    def _names(self) -> dict[int, str]:
        with connected(self._database) as db:
            return dict(db.execute("SELECT latent, name FROM concepts WHERE name IS NOT NULL").fetchall())


@contextmanager
def connected(database: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on a concepts database: committed at the end, rolled back on an error."""
    db = sqlite3.connect(database)
    try:
        with db:
            yield db
    finally:
        db.close()


def create(database: Path) -> None:
    """Make the tables, if they are not there."""
    with connected(database) as db:
        db.executescript(_SCHEMA)


def named_latents(database: Path) -> set[int]:
    """Latents that an earlier, perhaps killed, run has stored."""
    with connected(database) as db:
        return {latent for (latent,) in db.execute("SELECT latent FROM concepts")}


def add(database: Path, concepts: Iterable[Concept]) -> None:
    """Store concepts with their examples, all or none."""
    with connected(database) as db:
        for c in concepts:
            db.execute(
                "INSERT OR REPLACE INTO concepts VALUES (?, ?, ?, ?, ?, ?)",
                (c.latent, c.name, c.namer, c.coverage, c.document_frequency, c.strongest),
            )
            db.executemany(
                "INSERT OR REPLACE INTO examples VALUES (?, ?, ?, ?, ?)",
                [(c.latent, rank, *example) for rank, example in enumerate(c.examples, start=1)],
            )
