"""Namers' names that are carried over when concepts are made anew: of the same SAE, or of one that was trained on."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from unweave.concepts.concept import KEPT, PERSON
from unweave.concepts.database import reading, writing
from unweave.concepts.store import stored_latents
from unweave.language import spending


def carry_names(database: Path, into: Path, latents: Collection[int] | None = None) -> None:
    """Copy namers' names of latents that both databases have, and the journal of spending.

    A person's names are edits, not here. Scores are not copied: what a name is judged by may be other texts now. But a
    name that was made from other texts than these cannot be judged by these, so it is marked as `KEPT`, and keeps its
    scores.

    Args:
        latents: those of another SAE that are what they were; by default all, for both databases are of one SAE.

    Raises:
        CorruptArtifact: the database is damaged.
    """
    there = stored_latents(into)
    with reading(database) as old:
        rows = [row for row in old.execute("SELECT * FROM names WHERE namer != ?", (PERSON,)) if row[0] in there]
        if latents is not None:
            rows = [(*row[:-1], _as_kept(row[-1])) for row in rows if row[0] in latents and row[2] is not None]
        kept = {row[:2] for row in rows if KEPT in json.loads(row[-1])}
        scores = [row for row in old.execute("SELECT * FROM scores") if row[:2] in kept]
    with reading(database) as old, writing(into) as db:
        db.executemany("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", scores)
        spending.carry_over(old, db)


def forget_kept(database: Path, namer: str) -> None:
    """Take away a namer's names that were kept when the SAE was trained on, with their scores: they are made anew."""
    with writing(database) as db:
        rows = db.execute("SELECT latent, provenance FROM names WHERE namer = ?", (namer,)).fetchall()
        kept = [(latent, namer) for latent, provenance in rows if KEPT in json.loads(provenance)]
        db.executemany("DELETE FROM names WHERE latent = ? AND namer = ?", kept)
        db.executemany("DELETE FROM scores WHERE latent = ? AND namer = ?", kept)


def _as_kept(provenance: str) -> str:
    return json.dumps({**json.loads(provenance), KEPT: True}, ensure_ascii=False)
