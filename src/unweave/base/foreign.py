"""What comes from outside: how much of it is taken, and its JSON.

Whoever reads a stranger's file checks each number that decides about memory against the limit here before anything is
allocated. The limits lie far above what collections, encoders and SAEs have.
"""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from unweave.base.plain import plain

LONGEST_LINE = 64 * 2**20
"""Characters of a line, of a row of CSV, and bytes of a text file: one passage at most."""
LONGEST_ID = 4096
"""Characters of a passage's or a query's id."""
MOST_COLUMNS = 10_000
"""Columns of a table, fields of a row."""
HIGHEST_GRADE = 1000
"""Of a judgement, and, as -1000, the lowest: nDCG's implementation takes memory and time in proportion to grades."""
WIDEST_VECTOR = 2**16
"""Dimensions of an embedding."""
LARGEST_SETTINGS = 2**20
"""Bytes of a file of settings in JSON, of a header in front of tensors, of the names in a `.pt` file."""
LARGEST_TABLE = 2**30
"""Bytes of a table of concepts."""
LARGEST_DOWNLOAD = 64 * 2**30
"""Bytes of an SAE on the hub, all its files together."""


def parse_json(text: str | bytes) -> Any:
    """A value from JSON.

    Raises:
        ValueError: it is none, it nests too deep, or an object has a key twice, of which one would be lost.
    """
    try:
        return _JSON.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def read_settings(path: Path) -> Any:
    """The value in a small file of JSON.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or larger than `LARGEST_SETTINGS`.
    """
    with path.open("rb") as file:
        text = file.read(LARGEST_SETTINGS + 1)
    if len(text) > LARGEST_SETTINGS:
        raise ValueError(f"over {LARGEST_SETTINGS:,} bytes, expected a few settings")
    return parse_json(text)


def is_utf8(text: str) -> bool:
    """Whether a text can be written as UTF-8; a name of a file or an argument in another encoding cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """A value from outside as an error quotes it: on one line, short, and safe to print."""
    try:
        return plain(_SHORT.repr(value), 2 * _QUOTED)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"


_QUOTED = 60
"""Characters."""
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = _QUOTED


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"an object has the key {shown(twice)} twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_once_each)
