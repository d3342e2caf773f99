"""Read what users have: a BEIR folder, JSONL, CSV, TSV, Parquet, a folder of text files, or an ir_datasets id.

Queries and judgements come with a collection, or as files of their own, in TREC's formats too.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from unweave.base.records import Passage, Query
from unweave.errors import BadData, MissingExtra

ID_FIELDS = ("_id", "id", "passage_id", "doc_id", "docid")
TITLE_FIELDS = ("title",)
TEXT_FIELDS = ("text", "contents", "body", "passage", "content")


def topics(path: Path) -> Iterator[Query]:
    """Queries as MS MARCO and TREC's later tracks have them: an id, a tab, a text; no header."""
    for number, line in enumerate(read_lines(path), start=1):
        query_id, tab, text = line.rstrip("\r\n").partition("\t")
        if not line.strip():
            continue
        if not tab or not text.strip():
            raise BadData(
                f"{path.name}, line {number}: expected a query id, a tab and a text, got {line.strip()[:60]!r}"
            )
        yield Query(query_id, text.strip())


def read_queries(path: Path) -> Iterator[Query]:
    """Queries as BEIR has them: JSON lines with an id and a text."""
    for where, row in read_jsonl(path):
        where = f"{path.name}, {where}"
        text = _text(_first(row, TEXT_FIELDS, where), where)
        if not text.strip():
            raise BadData(f"{where}: the query has no text")
        yield Query(_identifier(_first(row, ID_FIELDS, where), where), text)


def passages(name: str, rows: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Passage]:
    """Rows of a file as passages; fields that are not known are metadata."""
    for where, row in rows:
        where = f"{name}, {where}"
        passage_id = _identifier(_first(row, ID_FIELDS, where), where)
        text = _text(_first(row, TEXT_FIELDS, where), where)
        title = _text(next((row[f] for f in TITLE_FIELDS if row.get(f)), None), where)
        known = {*ID_FIELDS, *TITLE_FIELDS, *TEXT_FIELDS}
        extra = {str(k): v for k, v in row.items() if k not in known and v not in (None, "", {})}
        metadata = extra.pop("metadata", None)
        extra.update(metadata if isinstance(metadata, dict) else {})
        yield Passage(passage_id, title, text, extra)


def _identifier(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadData(f"{where}: an id must be a text or a whole number, got {value!r}")
    return str(value)


def _text(value: Any, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise BadData(f"{where}: expected a text, got {type(value).__name__} {str(value)[:60]!r}")
    return value or ""


def _first(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise BadData(
        f"{where}: none of the fields {', '.join(names)} is there; it has {', '.join(map(str, row)) or 'none'}"
    )


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with where it stands."""
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{path.name}, line {number}: not JSON ({error}); is the file truncated?") from error
        if not isinstance(row, dict):
            raise BadData(f"{path.name}, line {number}: expected a JSON object, got {line.strip()[:60]!r}")
        yield f"line {number}", row


def read_csv(path: Path, delimiter: str = ",") -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file with a header, each with where it stands."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(read_lines(path), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadData(f"{path.name}, line {reader.line_num}: not as many columns as the header has")
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        # The inner reader counts the line that failed; the outer one, the last that did not.
        raise BadData(f"{path.name}, line {reader.reader.line_num}: {error}; is the file truncated?") from error


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, gzipped or not, with their ends."""
    with _open_text(path) as file:
        try:
            yield from file
        except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
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
        number = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                yield f"row {number}", row
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path.name}: not a whole Parquet file ({error}); is it truncated?") from error


def text_files(folder: Path) -> Iterator[Passage]:
    """One passage a file, its path below the folder as id; links that lead elsewhere are not followed."""
    for path in sorted(p for pattern in ("*.txt", "*.md") for p in folder.rglob(pattern)):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise BadData(
                f"{path.name} is not UTF-8 text ({error}); convert it or take it out of the folder"
            ) from error
        yield Passage(path.relative_to(folder).as_posix(), path.stem.replace("_", " "), text)


READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}


def ending(path: Path) -> str:
    """What a file holds, by its name, gzipped or not: `.jsonl`."""
    return (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()


def either(path: Path) -> Path | None:
    """The file, or its gzipped form, or None."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


def _open_text(path: Path) -> IO[str]:
    raw = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    return io.TextIOWrapper(cast(IO[bytes], raw), encoding="utf-8-sig", newline="")
