"""Read what users have: a BEIR folder, JSONL, CSV, TSV, Parquet, a folder of text files, or an ir_datasets id.

Queries and judgements come with a collection, or as files of their own, in TREC's formats too.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from unweave.base.foreign import LONGEST_ID, LONGEST_LINE, MOST_COLUMNS, is_utf8, parse_json, shown
from unweave.base.plain import plain
from unweave.base.records import Passage, Query
from unweave.errors import BadData, MissingExtra

if TYPE_CHECKING:
    import pyarrow as pa

ID_FIELDS = ("_id", "id", "passage_id", "doc_id", "docid")
TITLE_FIELDS = ("title",)
TEXT_FIELDS = ("text", "contents", "body", "passage", "content")
_METADATA = "metadata"
_ROWS = 256
"""Of Parquet, in memory at a time."""
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
"""How files begin in them; UTF-32's other mark begins as UTF-16's does."""


def topics(path: Path) -> Iterator[Query]:
    """Queries as MS MARCO and TREC's later tracks have them: an id, a tab, a text; no header."""
    for number, line in enumerate(read_lines(path), start=1):
        query_id, tab, text = line.rstrip("\r\n").partition("\t")
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        if not tab or not text.strip():
            raise BadData(f"{where}: expected a query id, a tab and a text, got {shown(line.strip())}")
        yield Query(identifier(query_id, where), text.strip())


def read_queries(path: Path) -> Iterator[Query]:
    """Queries as BEIR has them: JSON lines with an id and a text."""
    for where, row in read_jsonl(path):
        where = f"{path.name}, {where}"
        text = text_of(row[_first(row, TEXT_FIELDS, where)], where)
        if not text.strip():
            raise BadData(f"{where}: the query has no text")
        yield Query(identifier(row[_first(row, ID_FIELDS, where)], where), text)


def passages(name: str, rows: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Passage]:
    """Rows of a file as passages; fields that are not read as id, title or text are metadata.

    Raises:
        BadData: a row lacks an id or a text, one is of another type or too long, or metadata has a field twice.
    """
    for where, row in rows:
        where = f"{name}, {where}"
        of_id, of_text = _first(row, ID_FIELDS, where), _first(row, TEXT_FIELDS, where)
        passage_id, text = identifier(row[of_id], where), text_of(row[of_text], where)
        title = text_of(next((row[f] for f in TITLE_FIELDS if row.get(f)), None), where)
        extra = {k: v for k, v in row.items() if k not in (of_id, of_text, *TITLE_FIELDS) and v not in (None, "", {})}
        if isinstance(extra.get(_METADATA), dict):
            within = extra.pop(_METADATA)
            twice = next((k for k in within if k in extra and extra[k] != within[k]), None)
            if twice is not None:
                raise BadData(f"{where}: {shown(twice)} is a field and in the metadata too, with another value")
            extra |= within
        yield Passage(passage_id, title, text, extra)


def identifier(value: Any, where: str) -> str:
    """An id from outside.

    Raises:
        BadData: it is neither a text nor a whole number, or too long.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadData(f"{where}: an id must be a text or a whole number, got {shown(value)}")
    found = str(value)
    if len(found) > LONGEST_ID:
        raise BadData(f"{where}: an id of {len(found):,} characters; it may have {LONGEST_ID:,}")
    return found


def text_of(value: Any, where: str) -> str:
    """A text from outside, empty where there is none.

    Raises:
        BadData: it is something else.
    """
    if value is not None and not isinstance(value, str):
        raise BadData(f"{where}: expected a text, got {type(value).__name__} {shown(value)}")
    return value or ""


def _first(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    """The first of these fields that a row has."""
    for name in names:
        if name in row:
            return name
    there = plain(", ".join(map(str, row)), 200) or "none"
    raise BadData(f"{where}: none of the fields {', '.join(names)} is there; it has {there}")


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with where it stands."""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            said = plain(str(error), 200)
            raise BadData(f"{path.name}, line {number}: not JSON ({said}); is the file truncated?") from error
        if not isinstance(row, dict):
            raise BadData(f"{path.name}, line {number}: expected a JSON object, got {shown(line.strip())}")
        yield f"line {number}", row


def read_csv(path: Path, delimiter: str = ",") -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file with a header, each with where it stands."""
    csv.field_size_limit(LONGEST_LINE)
    lines = _Rows(path)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            lines.begin_row()
            if not cells:
                continue
            if not header:
                header = cells
                _check_columns(header, path.name)
            elif len(cells) != len(header):
                raise BadData(
                    f"{path.name}, line {reader.line_num}: not as many columns as the header has, "
                    f"{len(cells)} and not {len(header)}"
                )
            else:
                yield f"line {reader.line_num}", dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadData(f"{path.name}, line {reader.line_num}: {error}; is the file truncated?") from error


def _check_columns(names: list[str], where: str) -> None:
    if len(names) > MOST_COLUMNS:
        raise BadData(f"{where} has {len(names):,} columns; it may have {MOST_COLUMNS:,}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadData(f"{where} has two columns {shown(twice)}, of which one would be lost; give each its own name")


class _Rows:
    """The lines of a CSV file, whose rows may go over several and end up in memory whole."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._lines = read_lines(path)
        self._taken = 0

    def begin_row(self) -> None:
        """What follows belongs to another row."""
        self._taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken += len(line)
        if self._taken > LONGEST_LINE:
            raise BadData(f"{self._name}: a row of over {LONGEST_LINE:,} characters; is a quote left open?")
        return line


def read_lines(path: Path, errors: str = "strict") -> Iterator[str]:
    """The lines of a text file in UTF-8, gzipped or not, with their ends; at most one is in memory.

    Args:
        errors: what becomes of bytes that are not UTF-8, as for `bytes.decode`.

    Raises:
        BadData: it is not UTF-8, not whole, or a line is longer than `LONGEST_LINE`.
    """
    number = 0
    with cast(io.BufferedReader, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")) as raw:
        try:
            if raw.peek(4).startswith(_OTHER_ENCODINGS):
                raise BadData(f"{path.name} is text in UTF-16 or UTF-32; save it as UTF-8")
            file = io.TextIOWrapper(raw, encoding="utf-8-sig", errors=errors, newline="")
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadData(
                        f"{path.name}, line {number}: over {LONGEST_LINE:,} characters; is it one text a line?"
                    )
                if number == 1 and "\0" in line:
                    raise BadData(f"{path.name}: not UTF-8 text, it holds zero bytes; save it as UTF-8")
                yield line
        except UnicodeDecodeError as error:
            raise BadData(f"{path.name}: not UTF-8 text ({error}); save it as UTF-8") from error
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadData(f"{path.name}: cannot be read to its end ({error}); is the file truncated?") from error


def read_tsv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same with tabs."""
    return read_csv(path, delimiter="\t")


def read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet file, each with where it stands."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("reading Parquet", "parquet") from error
    try:
        file = pq.ParquetFile(path)
        _check_columns(file.schema_arrow.names, path.name)
        number = 0
        for batch in file.iter_batches(_ROWS):
            for row in _rows(batch, f"{path.name}, rows from {number}"):
                yield f"row {number}", row
                number += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns need not be UTF-8
        said = plain(str(error), 200)
        raise BadData(f"{path.name}: not a whole Parquet file ({said}); is it truncated?") from error


def _rows(batch: pa.RecordBatch, where: str) -> list[dict[str, Any]]:
    """Rows as Python values."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except (ValueError, OverflowError):
        pass  # a time that Python's types do not hold: nanoseconds, or a year beyond 9999
    columns = [[_value(scalar, f"{where}, column {shown(name)}") for scalar in column]
               for name, column in zip(batch.schema.names, batch.columns, strict=True)]  # fmt: skip
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: pa.Scalar, where: str) -> Any:
    """A value of a Parquet file; a time that Python's types do not hold, as a text."""
    import pyarrow as pa

    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    try:
        said = str(scalar.cast(pa.string()).as_py())
    except (ValueError, OverflowError, pa.ArrowException) as error:
        said = f"<{error}>"
    if said.startswith("<"):  # so Arrow writes what it cannot write
        raise BadData(f"{where}: a value that cannot be read ({plain(said, 120)}); store it as text")
    return said


def text_files(folder: Path) -> Iterator[Passage]:
    """One passage a file, its path below the folder as id; links that lead elsewhere are not followed."""
    for path in sorted(p for pattern in ("*.txt", "*.md") for p in folder.rglob(pattern)):
        if path.is_symlink() or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        if not is_utf8(name):
            raise BadData(
                f"the name of the file {shown(name)} is not UTF-8 and can be no passage's id; rename it or take it "
                "out of the folder"
            )
        if path.stat().st_size > LONGEST_LINE:
            raise BadData(f"{name} has over {LONGEST_LINE:,} bytes; split it, a file is one passage")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadData(f"{name} is not UTF-8 text ({error}); convert it or take it out of the folder") from error
        yield Passage(identifier(name, name), path.stem.replace("_", " "), text)


READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}


def passages_of_file(path: Path) -> Iterator[Passage]:
    """The passages of one file, which is read as they are taken.

    Raises:
        BadData: its name ends in no known format; and what `passages` raises.
    """
    reader = READERS.get(ending(path))
    if reader is None:
        raise BadData(f"{path.name}: cannot tell its format; expected one of {', '.join(sorted(READERS))} or a folder")
    return passages(path.name, reader(path))


def ending(path: Path) -> str:
    """What a file holds, by its name, gzipped or not: `.jsonl`."""
    return (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()


def either(path: Path) -> Path | None:
    """The file, or its gzipped form, or None."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)
