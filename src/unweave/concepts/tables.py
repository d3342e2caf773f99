"""Tables in files: rows written to CSV or JSONL, and read back with the line each stands in.

Texts in them may come from anywhere. A cell of a CSV file that a spreadsheet would take for a formula is written with
an apostrophe before it, which reading takes away again; the byte order mark tells spreadsheets that it is UTF-8.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.errors import BadData

CSV, JSONL = ".csv", ".jsonl"
BETWEEN = " | "
"""Stands between the texts of a list in a cell of a CSV file."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def suffix(path: Path) -> str:
    """The format of a table, as its file's name says: `CSV` or `JSONL`.

    Raises:
        BadData: it says something else.
    """
    found = path.suffix.lower()
    if found not in (CSV, JSONL):
        raise BadData(f"{path}: cannot tell its format; expected a name that ends in {CSV} or {JSONL}")
    return found


def write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, each with all the columns, in place of what was there.

    Raises:
        BadData: the file's name ends in neither .csv nor .jsonl.
        OSError: it cannot be written; what was there is as it was.
    """
    write = _write_csv if suffix(path) == CSV else _write_jsonl
    write_atomically(path, lambda aside: write(aside, columns, rows))


def read(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line, from 1, and the cells of those columns that are asked for and there, as text.

    Args:
        required: columns that every row has.
        optional: columns of which there is one at least.

    Raises:
        BadData: the file cannot be read, or lacks columns.
    """
    read = _read_csv if suffix(path) == CSV else _read_jsonl
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadData(f"{path}, line {line}: not UTF-8 ({error.reason}); save it as UTF-8") from error
    if not text.strip():
        raise BadData(f"{path} is empty; expected rows with {', '.join((*required, *optional))}")
    return read(path, text, required, optional)


@contextmanager
def located(path: Path, line: int) -> Iterator[None]:
    """Say in which line of a file the data are bad."""
    try:
        yield
    except BadData as error:
        raise BadData(f"{path}, line {line}: {error}") from error


def guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell that was guarded."""
    return cell[1:] if _GUARDED.match(cell) else cell


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns)
        for row in rows:
            cells = [row[name] for name in columns]
            texts = [BETWEEN.join(cell) if isinstance(cell, list) else cell for cell in cells]
            table.writerow([guarded(text) if isinstance(text, str) else text for text in texts])


def _write_jsonl(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n")


def _read_csv(
    path: Path, text: str, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    delimiter = max(",;\t", key=text.partition("\n")[0].count)  # in some countries spreadsheets write semicolons
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    line, following = 0, 1
    try:
        for cells in table:
            line, following = following, table.line_num + 1
            with located(path, line):
                if not header:
                    header = [cell.strip() for cell in cells]
                    read = _columns(header, required, optional)
                    continue
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise BadData(f"{len(cells)} cells, expected {len(header)} as in the header")
            yield line, {name: unguarded(cell) for name, cell in zip(header, cells, strict=True) if name in read}
    except csv.Error as error:
        raise BadData(f"{path}, line {following}: not a row of a CSV file ({error})") from error


def _read_jsonl(
    path: Path, text: str, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        with located(path, line):
            try:
                row = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise BadData(f"not JSON ({error}); expected one object a line") from error
            if not isinstance(row, dict):
                raise BadData(f"expected a JSON object, got {plain(content, 40)!r}")
            cells = {name: _cell(name, row[name]) for name in _columns(list(row), required, optional)}
        yield line, cells


def _columns(there: list[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    """Those of the columns that are asked for."""
    asked = [name for name in (*required, *optional) if name in there]
    if not set(required) <= set(asked) or not set(optional) & set(asked):
        said = plain(", ".join(there), 200) or "none"
        raise BadData(
            f"the columns are {said}; expected {', '.join(required)} and one or more of {', '.join(optional)}"
        )
    twice = [name for name in asked if there.count(name) > 1]
    if twice:
        raise BadData(f"there are two columns {twice[0]}, expected one")
    return asked


def _cell(name: str, value: Any) -> str:
    """A value as a cell of a table would have it."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        got = value if isinstance(value, float | bool) else f"a {type(value).__name__}"
        raise BadData(f"{name} is {got}, expected a text or a whole number")
    return "" if value is None else str(value)
