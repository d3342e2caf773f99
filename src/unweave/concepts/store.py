"""Names of latents, with the evidence for them, what judges found and what people changed, in one SQLite file.

Several namers may name one latent: their names stand side by side, each with where it came from and its scores. The
one that is shown is a person's, or else the one that detection trusts most; where nobody judged, `NAMERS` decides.

    concepts.sqlite  the tables; beside it lie the directions that the names belong to, see `identity`
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from unweave.base.artifact import MANIFEST, damaged, read_manifest
from unweave.base.contributions import Label
from unweave.base.files import write_atomically
from unweave.base.owned import OwnFolder
from unweave.base.records import Trust
from unweave.concepts.concept import BANDS, Concept, Example, Naming, Related, Score, shown_first
from unweave.concepts.database import DATABASE, KIND, check, make, reading, writing
from unweave.errors import CorruptArtifact
from unweave.language import spending
from unweave.language.client import Receipt

SCHEMA = (
    """
CREATE TABLE made_from (
    source TEXT PRIMARY KEY,      -- an artefact of the project
    fingerprint TEXT NOT NULL     -- so that edits are known to be of this SAE's latents even without the manifest
);
CREATE TABLE concepts (
    latent INTEGER PRIMARY KEY,
    document_frequency INTEGER NOT NULL,  -- passages in which the latent is active
    strongest REAL NOT NULL,              -- its highest activation
    flag TEXT,                            -- a remark: generic, boilerplate, hub, or a person's
    merged_into INTEGER REFERENCES concepts (latent)  -- a person said that it means the same as that one
);
CREATE TABLE examples (
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    band TEXT NOT NULL,           -- top, middle, low, near-miss or random
    rank INTEGER NOT NULL,        -- 1 for the first of its band
    source TEXT NOT NULL,         -- passages or sentences
    position INTEGER NOT NULL,    -- in that source
    activation REAL NOT NULL,
    PRIMARY KEY (latent, band, rank)
);
CREATE TABLE related (
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    relation TEXT NOT NULL,       -- neighbour, co-occurring, duplicate, parent or family
    other INTEGER NOT NULL,       -- a latent; of a family, its head
    weight REAL NOT NULL,
    PRIMARY KEY (latent, relation, other)
);
CREATE TABLE names (
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    namer TEXT NOT NULL,          -- what made the name
    name TEXT,                    -- NULL: it found none
    description TEXT NOT NULL,    -- a sentence more, or empty
    coverage REAL,                -- share of the latent's activation that goes with the name
    made_with TEXT NOT NULL,      -- digest of everything that decides the name; another one: name it again
    provenance TEXT NOT NULL,     -- JSON: the model, the version of the prompt, tokens, what went wrong
    PRIMARY KEY (latent, namer)
);
CREATE TABLE scores (
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    namer TEXT NOT NULL,          -- whose name was judged; empty: the latent itself
    judge TEXT NOT NULL,
    value REAL NOT NULL,          -- share of right decisions, or another measure
    low REAL NOT NULL,            -- of its interval
    high REAL NOT NULL,
    n INTEGER NOT NULL,           -- decisions
    PRIMARY KEY (latent, namer, judge)
);
CREATE TABLE edits (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    made TEXT NOT NULL,           -- when, UTC
    action TEXT NOT NULL,         -- rename, lock, flag or merge
    latent INTEGER NOT NULL REFERENCES concepts (latent),
    before TEXT NOT NULL,         -- JSON: what undoing brings back
    after TEXT NOT NULL,          -- JSON
    undone INTEGER NOT NULL DEFAULT 0
);
"""
    + spending.TABLE
)


class Concepts(Mapping[int, str]):
    """The names of a project's latents: a mapping from latent to the name that is shown, unnamed ones missing.

    A latent that a person merged into another has the other's name.
    """

    def __init__(
        self, database: Path, *, texts: Sequence[str] | None = None, owned: OwnFolder | None = None,
        returning: Callable[[], Mapping[int, bool]] = dict,
    ) -> None:  # fmt: skip
        """Read names from a database.

        Args:
            texts: of all passages, where the examples are of passages alone; they are read with a concept.
            owned: the folder of a database that goes away with this object.
            returning: gives whether each latent returns, as `SAE.returns` has it; asked when it is needed.
        """
        self.database = database
        self._texts, self._owned = texts, owned
        self.returning = returning
        self._read: tuple[tuple[int, ...], dict[int, Label]] | None = None

    def __repr__(self) -> str:
        counts = Counter(label.trust for label in self.shown().values())
        marks = ", ".join(f"{counts[trust]:,} {trust}" for trust in Trust if counts[trust])
        where = "memory" if self._owned else str(self.database.parent)
        return f"Concepts({len(self):,} names{': ' if marks else ''}{marks}, in {where})"

    @classmethod
    def load(cls, folder: Path | str, returning: Callable[[], Mapping[int, bool]] = dict) -> Self:
        """Open a concepts folder.

        Args:
            returning: gives whether each latent of their SAE returns.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        manifest = read_manifest(Path(folder), KIND)
        if not (Path(folder) / DATABASE).is_file():
            raise CorruptArtifact(f"{folder} has lost its {DATABASE}; name the concepts again")
        check(Path(folder) / DATABASE, SCHEMA, manifest)
        return cls(Path(folder) / DATABASE, returning=returning)

    def __getitem__(self, latent: int) -> str:
        return self.shown()[latent].name

    def __iter__(self) -> Iterator[int]:
        return iter(self.shown())

    def __len__(self) -> int:
        return len(self.shown())

    def trust(self, latent: int) -> Trust | None:
        """How far the shown name of a latent is to be trusted; None: it has no name."""
        label = self.shown().get(latent)
        return label and label.trust

    def holds_from(self, latent: int) -> float | None:
        """The activation from which the shown name of a latent holds; None: at none, as far as was seen."""
        label = self.shown().get(latent)
        return label and label.holds_from

    def returns(self, latent: int) -> bool | None:
        """Whether another run found a latent again; None: that is not known."""
        return self.returning().get(latent)

    def concept(self, latent: int) -> Concept | None:
        """All that is known of one latent; None if it never fired."""
        if not 0 <= latent < 2**63:
            return None
        with reading(self.database) as db:
            found = list(_concepts(db, latent))
            if not found:
                return None
            examples = db.execute(
                "SELECT source, position, activation, band FROM examples WHERE latent = ? ORDER BY rank", (latent,)
            ).fetchall()
            related = db.execute(
                "SELECT relation, other, weight FROM related WHERE latent = ? ORDER BY relation, weight DESC, other",
                (latent,),
            ).fetchall()
        by_band = sorted((Example(*row) for row in examples), key=lambda example: BANDS.index(example.band))
        if self._texts is not None:
            by_band = [example._replace(text=self._texts[example.position]) for example in by_band]
        return replace(
            found[0], examples=tuple(by_band), related=tuple(Related(*row) for row in related),
            returns=self.returns(latent),
        )  # fmt: skip

    def by_document_frequency(self) -> list[Concept]:
        """Every live concept, without its examples and relations, the most frequent first."""
        with reading(self.database) as db:
            found = list(_concepts(db))
        returning = self.returning()
        return [replace(c, returns=returning[c.latent]) if c.latent in returning else c for c in found]

    def shown(self) -> Mapping[int, Label]:
        """The name of each latent that has one and how far it is to be trusted.

        Read again when somebody has written to the file.
        """
        written = self.written()
        if self._read is None or self._read[0] != written:
            self._read = written, self._read_shown()
        return self._read[1]

    def written(self) -> tuple[int, ...]:
        """Something else after each write; within one tick of the clock the manifest, a new file each time, tells."""
        manifest = self.database.with_name(MANIFEST)
        found = [path.stat() for path in (self.database, manifest) if path.exists()]
        return tuple(part for one in found for part in (one.st_mtime_ns, one.st_size, one.st_ino))

    def _read_shown(self) -> dict[int, Label]:
        with reading(self.database) as db:
            concepts = {c.latent: c for c in _concepts(db)}
        with damaged(f"{self.database} merges concepts into what is none ({{}}); name the concepts again"):
            shown = {j: c if c.merged_into is None else concepts[c.merged_into] for j, c in concepts.items()}
        return {latent: Label(c.name, c.trust, c.holds_from) for latent, c in shown.items() if c.name is not None}


def _concepts(db: sqlite3.Connection, latent: int | None = None) -> Iterator[Concept]:
    """One concept or all of them, with namings and scores; the most frequent first."""
    of = (latent, latent)
    namings: dict[int, list[Naming]] = {}
    for j, namer, name, description, coverage, made_with, provenance in db.execute(
        "SELECT * FROM names WHERE ? IS NULL OR latent = ?", of
    ):
        naming = Naming(namer, name, description, coverage, made_with, json.loads(provenance))
        namings.setdefault(j, []).append(naming)
    scores: dict[int, dict[str, list[Score]]] = {}
    for j, namer, *score in db.execute("SELECT * FROM scores WHERE ? IS NULL OR latent = ?", of):
        scores.setdefault(j, {}).setdefault(namer, []).append(Score(*score))
    for j, frequency, strongest, flag, merged_into in db.execute(
        "SELECT * FROM concepts WHERE ? IS NULL OR latent = ? ORDER BY document_frequency DESC, latent", of
    ):
        judged = {namer: tuple(found) for namer, found in scores.get(j, {}).items()}
        yield Concept(
            latent=j,
            document_frequency=frequency,
            strongest=strongest,
            namings=shown_first(namings.get(j, []), judged),
            scores=judged,
            flag=flag,
            merged_into=merged_into,
        )


class Summary(NamedTuple):
    """How many concepts there are, and how far they are named."""

    live: int
    named: int
    """Those that show a name."""
    mean_coverage: float | None
    """Of the names that have one."""
    judged: int
    """Names that are shown and were judged by detection."""
    holding: int
    """Names that are shown and hold: those with the best mark, and those that a person confirmed."""


def summary(database: Path) -> Summary:
    """Count the concepts of a database."""
    shown = [c for c in Concepts(database).by_document_frequency() if c.name is not None]
    covered = [c.coverage for c in shown if c.coverage is not None]
    return Summary(
        live=len(stored_latents(database)),
        named=len(shown),
        mean_coverage=sum(covered) / len(covered) if covered else None,
        judged=sum(c.trust not in (Trust.UNSCORED, Trust.CONFIRMED) for c in shown),
        holding=sum(c.trust in (Trust.HOLDS, Trust.CONFIRMED) for c in shown),
    )


class Named(NamedTuple):
    """What one namer has done."""

    namer: str
    named: int
    """Latents that it found a name for."""
    unnamed: int
    """Those that it found none for, or failed at."""


def named_by(database: Path, namer: str) -> Named:
    """Count a namer's names."""
    with reading(database) as db:
        tried, found = db.execute("SELECT count(*), count(name) FROM names WHERE namer = ?", (namer,)).fetchone()
    return Named(namer, found, tried - found)


# --- writing --------------------------------------------------------------------------------------


def create(file: Path, made_from: Mapping[str, str] | None = None) -> None:
    """Make a database's tables, unless it is there.

    Args:
        made_from: fingerprints of the artefacts that the concepts are of, by name.
    """
    if not file.exists():
        write_atomically(file, lambda aside: make(aside, SCHEMA, made_from or {}))


def made_from(file: Path) -> dict[str, str]:
    """What the concepts in a database are of."""
    with reading(file) as db:
        return dict(db.execute("SELECT source, fingerprint FROM made_from").fetchall())


def note_made_from(file: Path, source: str, fingerprint: str) -> None:
    """Note what something in a database was made from."""
    with writing(file) as db:
        db.execute("INSERT OR REPLACE INTO made_from VALUES (?, ?)", (source, fingerprint))


def stored_latents(database: Path) -> set[int]:
    """Latents that an earlier, perhaps killed, run has stored."""
    with reading(database) as db:
        return {latent for (latent,) in db.execute("SELECT latent FROM concepts")}


def add(database: Path, concepts: Iterable[Concept]) -> None:
    """Store concepts with their examples, relations and namings, all or none."""
    with writing(database) as db:
        for c in concepts:
            db.execute(
                "INSERT OR REPLACE INTO concepts VALUES (?, ?, ?, ?, ?)",
                (c.latent, c.document_frequency, c.strongest, c.flag, c.merged_into),
            )
            ranks = dict.fromkeys(BANDS, 0)
            for example in c.examples:
                ranks[example.band] += 1
                db.execute(
                    "INSERT OR REPLACE INTO examples VALUES (?, ?, ?, ?, ?, ?)",
                    (c.latent, example.band, ranks[example.band], example.source, example.position, example.activation),
                )
            _add_related(db, ((c.latent, one) for one in c.related))
            _add_namings(db, ((c.latent, naming) for naming in c.namings))


def made_with(database: Path, namer: str) -> dict[int, str]:
    """Of each latent that a namer has named, or tried to, with what: see `Naming.made_with`."""
    with reading(database) as db:
        return dict(db.execute("SELECT latent, made_with FROM names WHERE namer = ?", (namer,)).fetchall())


def add_namings(database: Path, namings: Iterable[tuple[int, Naming]]) -> None:
    """Store names, each with its latent, and what they cost, all or none.

    An earlier one of the same namer goes, with its scores, unless it is a name and the new one a failure.
    """
    with writing(database) as db:
        _add_namings(db, namings)


def _add_namings(db: sqlite3.Connection, namings: Iterable[tuple[int, Naming]]) -> None:
    for latent, n in namings:
        if n.receipts:
            spending.settle(db, n.receipts)
        if n.failed and _has_name(db, latent, n.namer):
            continue
        db.execute("DELETE FROM scores WHERE latent = ? AND namer = ?", (latent, n.namer))
        provenance = json.dumps(dict(n.provenance), ensure_ascii=False)
        db.execute(
            "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?, ?)",
            (latent, n.namer, n.name, n.description, n.coverage, n.made_with, provenance),
        )


def _has_name(db: sqlite3.Connection, latent: int, namer: str) -> bool:
    there = db.execute("SELECT 1 FROM names WHERE latent = ? AND namer = ? AND name IS NOT NULL", (latent, namer))
    return there.fetchone() is not None


def add_scores(database: Path, scores: Iterable[tuple[int, str, Score]], receipts: Iterable[Receipt] = ()) -> None:
    """Store what judges found, each score with its latent and the namer whose name was judged, all or none.

    Args:
        receipts: what that cost.
    """
    with writing(database) as db:
        spending.settle(db, receipts)
        _add_scores(db, scores)


def replace_scores(database: Path, judges: Iterable[str], scores: Iterable[tuple[int, str, Score]]) -> None:
    """Store what some judges found in place of all that they ever did."""
    with writing(database) as db:
        db.executemany("DELETE FROM scores WHERE judge = ?", [(judge,) for judge in judges])
        _add_scores(db, scores)


def _add_scores(db: sqlite3.Connection, scores: Iterable[tuple[int, str, Score]]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(latent, namer, *score) for latent, namer, score in scores],
    )


def replace_related(database: Path, relations: Iterable[str], related: Iterable[tuple[int, Related]]) -> None:
    """Store relations, each with its latent, in place of all that there were of these kinds."""
    with writing(database) as db:
        db.executemany("DELETE FROM related WHERE relation = ?", [(relation,) for relation in relations])
        _add_related(db, related)


def _add_related(db: sqlite3.Connection, related: Iterable[tuple[int, Related]]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO related VALUES (?, ?, ?, ?)", [(latent, *relation) for latent, relation in related]
    )
