"""What went wrong, in a sentence that is safe to print, for errors that a user can act on."""

from __future__ import annotations

import sqlite3

from unweave.base.plain import plain
from unweave.errors import UnweaveError


def sentence_of(error: BaseException) -> str | None:
    """What an error says to a user; None of one that only a bug could raise."""
    match error:
        case UnweaveError():
            said = str(error)
        case ModuleNotFoundError():
            package = (error.name or "").partition(".")[0]
            if package in ("", "unweave"):
                return None
            said = f"this needs {plain(package, 60)}, which is not installed: pip install 'unweave[all]'"
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            said = f"{error.strerror or error}{where}"
        case sqlite3.Error():
            likely = "is the disk full, or the folder not to be written?"
            said = f"a database could not be read or written ({error}); {likely}"
        case MemoryError():
            said = f"not enough memory: {error or 'ask for less at a time'}"
        case _:
            return None
    return plain(said)
