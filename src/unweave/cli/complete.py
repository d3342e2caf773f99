"""Kinds of argument for which the shell offers values when the tab key is pressed; click knows the rest by itself.

It is asked while somebody types, so one small file is read at most, and nothing is imported that computes.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from unweave.base.plain import plain
from unweave.errors import UnweaveError

SYSTEMS = (
    "CL-SR", "CL-SR rescored", "codes", "tokens", "dense", "BM25", "CL-SR then dense", "CL-SR paper",
    "reconstructed dense",
)  # fmt: skip
"""Single systems, which a test holds to `stages.catalogue`."""
ASKED = "_UNWEAVE_COMPLETE"
"""The variable of the environment by which click's scripts ask, such as bash_complete."""
_SHOWN = 200
_CONCEPTS = """
    SELECT latent, (SELECT name FROM names WHERE latent = c.latent AND name IS NOT NULL ORDER BY namer != 'person')
    FROM concepts c WHERE latent GLOB ? ORDER BY document_frequency DESC LIMIT ?
"""


class System(StringParamType):
    """The name of a system, or a sum of some, which only the project can check."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The single systems whose names begin so."""
        # Other shells quote by themselves; bash's script for completion takes one of two backslashes away.
        blank = r"\\ " if os.environ.get(ASKED, "").startswith("bash") else " "
        return [CompletionItem(name.replace(" ", blank)) for name in SYSTEMS if name.startswith(incomplete)]


class Concept(click.IntRange):
    """The number of a concept of the command's PROJECT, which click knows once it has read it: of an argument."""

    def __init__(self) -> None:
        super().__init__(min=0)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The numbers that begin so of the most frequent concepts, each with a name; none before they are there."""
        from unweave.concepts.database import DATABASE, reading

        database = Path(ctx.params.get("project") or "") / "concepts" / DATABASE
        if not (incomplete == "" or (incomplete.isascii() and incomplete.isdigit())) or not database.is_file():
            return []
        with suppress(UnweaveError, OSError, sqlite3.Error), reading(database) as db:
            rows = db.execute(_CONCEPTS, (f"{incomplete}*", _SHOWN)).fetchall()
            return [CompletionItem(str(latent), help=plain(name or "", 60)) for latent, name in rows]
        return []


SYSTEM, CONCEPT = System(), Concept()
