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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from unweave.errors import BadData, MissingExtra
from unweave.queries import Qrels, read_qrels
from unweave.records import Passage, Query

ID_FIELDS = ("_id", "id", "passage_id", "doc_id", "docid")
TITLE_FIELDS = ("title",)
TEXT_FIELDS = ("text", "contents", "body", "passage", "content")
IRDS, MTEB = "irds:", "mteb:"
EVALUATED = "test"
SPLITS = ("train", "dev", EVALUATED)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Passages with, where there are any, queries and judgements."""

    passages: Iterable[Passage]
    """Read lazily, once."""
    queries: Iterable[Query] = ()
    qrels: Mapping[str, Qrels] = field(default_factory=dict)
    """Judgements by split."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where the texts come from and under what terms."""


def open_collection(source: str, queries: Path | None = None, qrels: Path | None = None) -> Collection:
    """The collection at a path, the built-in one named `vital-articles`, or one of ir_datasets.

    A folder with `corpus.jsonl` (or `.gz`) is a BEIR collection; any other folder is read as one
    passage per `*.txt` or `*.md` file. A file is read by its ending. `irds:beir/scifact/test` is a
    collection of ir_datasets, `mteb:SciFact` a retrieval task of MTEB, which download them.

    Args:
        queries: a file of queries in place of the collection's own: JSONL as BEIR has it, or TSV of id and text.
        qrels: a file of judgements, in TREC's or BEIR's format, in place of its own; their split is `test`.

    Raises:
        BadData: nothing is there, or it is of no known format.
    """
    collection = _open(source)
    if queries is not None:
        read = _queries if _ending(queries) == ".jsonl" else _topics
        collection = replace(collection, queries=read(queries), qrels={})
    if qrels is not None:
        collection = replace(collection, qrels={EVALUATED: read_qrels(qrels)})
    return collection


def _open(source: str) -> Collection:
    if source == "vital-articles":
        from unweave.vital_articles import vital_articles

        return vital_articles()
    if source.startswith(IRDS):
        return _irds(source.removeprefix(IRDS))
    if source.startswith(MTEB):
        return _mteb(*source.removeprefix(MTEB).split("/", 1))
    path = Path(source)
    about = {"source": path.name}
    if path.is_dir():
        if _either(path / "corpus.jsonl"):
            return _beir(path)
        return Collection(passages=_text_files(path), about=about)
    if not path.exists():
        raise BadData(
            f"{source} is neither a file nor a folder, nor a built-in collection ('vital-articles'), nor irds:ID"
            " or mteb:TASK"
        )
    reader = _READERS.get(_ending(path))
    if reader is None:
        raise BadData(f"{path.name}: cannot tell its format; expected one of {', '.join(sorted(_READERS))} or a folder")
    return Collection(passages=_passages(path.name, reader(path)), about=about)


def _beir(folder: Path) -> Collection:
    corpus = cast(Path, _either(folder / "corpus.jsonl"))
    queries = _either(folder / "queries.jsonl")
    qrels = {path.stem: read_qrels(path) for path in sorted((folder / "qrels").glob("*.tsv"))}
    return Collection(
        passages=_passages(corpus.name, _read_jsonl(corpus)),
        queries=_queries(queries) if queries else (),
        qrels=qrels,
        about={"source": folder.resolve().name},
    )


def _irds(name: str) -> Collection:
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtra("a collection of ir_datasets", "irds") from error
    try:
        dataset = ir_datasets.load(name)
    except KeyError as error:
        raise BadData(f"ir_datasets has no collection {name!r}; ids are such as beir/scifact/test") from error
    if not dataset.has_docs():
        raise BadData(f"{name!r} of ir_datasets has no documents of its own; give the id of a part that does")
    qrels: Qrels = {}
    for judged in dataset.qrels_iter() if dataset.has_qrels() else ():
        qrels.setdefault(judged.query_id, {})[judged.doc_id] = int(judged.relevance)
    asked = dataset.queries_iter() if dataset.has_queries() else ()
    part = name.rpartition("/")[2]
    return Collection(
        passages=map(_document, dataset.docs_iter()),
        queries=(Query(query.query_id, query.default_text()) for query in asked),
        qrels={part if part in SPLITS else EVALUATED: qrels} if qrels else {},
        about={"source": f"{IRDS}{name}"},
    )


def _document(doc: Any) -> Passage:
    title = getattr(doc, "title", None) or ""
    return Passage(doc.doc_id, title, doc.default_text().removeprefix(title).lstrip())


def _mteb(name: str, subset: str | None = None) -> Collection:
    """A retrieval task of MTEB; of several subsets, e.g. languages, the one that is named."""
    try:
        import mteb
        from mteb.abstasks import AbsTaskRetrieval
    except ImportError as error:
        raise MissingExtra("a task of MTEB", "mteb") from error
    try:
        task = mteb.get_task(name)
    except KeyError as error:
        raise BadData(f"MTEB has no task {name!r}; names are such as SciFact or NFCorpus") from error
    if not isinstance(task, AbsTaskRetrieval):
        raise BadData(f"MTEB's task {name!r} is one of {task.metadata.type}, not of retrieval")
    task.load_data()
    subset = next(iter(task.dataset)) if subset is None and len(task.dataset) == 1 else subset
    if subset not in task.dataset:
        raise BadData(f"MTEB's task {name!r} has the subsets {', '.join(task.dataset)}; give one: mteb:{name}/SUBSET")
    splits = task.dataset[subset]
    corpus = next(iter(splits.values()))["corpus"]
    queries = {row["id"]: Query(row["id"], row["text"]) for data in splits.values() for row in data["queries"]}
    return Collection(
        passages=(Passage(row["id"], row.get("title") or "", row["text"]) for row in corpus),
        queries=queries.values(),
        qrels={
            split: {query: {passage: int(grade) for passage, grade in judged.items()} for query, judged in of.items()}
            for split, of in ((split, data["relevant_docs"]) for split, data in splits.items())
        },
        about={"source": f"{MTEB}{name}/{subset}"},
    )


def _topics(path: Path) -> Iterator[Query]:
    """Queries as MS MARCO and TREC's later tracks have them: an id, a tab, a text; no header."""
    for number, line in enumerate(_lines(path), start=1):
        query_id, tab, text = line.rstrip("\r\n").partition("\t")
        if not line.strip():
            continue
        if not tab or not text.strip():
            raise BadData(
                f"{path.name}, line {number}: expected a query id, a tab and a text, got {line.strip()[:60]!r}"
            )
        yield Query(query_id, text.strip())


def _queries(path: Path) -> Iterator[Query]:
    for where, row in _read_jsonl(path):
        where = f"{path.name}, {where}"
        text = _text(_first(row, TEXT_FIELDS, where), where)
        if not text.strip():
            raise BadData(f"{where}: the query has no text")
        yield Query(_identifier(_first(row, ID_FIELDS, where), where), text)


def _passages(name: str, rows: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Passage]:
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


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadData(f"{path.name}, line {number}: not JSON ({error}); is the file truncated?") from error
        if not isinstance(row, dict):
            raise BadData(f"{path.name}, line {number}: expected a JSON object, got {line.strip()[:60]!r}")
        yield f"line {number}", row


def _read_csv(path: Path, delimiter: str = ",") -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.DictReader(_lines(path), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadData(f"{path.name}, line {reader.line_num}: not as many columns as the header has")
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        # The inner reader counts the line that failed; the outer one, the last that did not.
        raise BadData(f"{path.name}, line {reader.reader.line_num}: {error}; is the file truncated?") from error


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text file, gzipped or not, with their ends."""
    with _open_text(path) as file:
        try:
            yield from file
        except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
            raise BadData(f"{path.name}: cannot be read to its end ({error}); is the file truncated?") from error


def _read_tsv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return _read_csv(path, delimiter="\t")


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
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


def _text_files(folder: Path) -> Iterator[Passage]:
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


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}


def _ending(path: Path) -> str:
    """What a file holds, by its name, gzipped or not: `.jsonl`."""
    return (path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix).lower()


def _either(path: Path) -> Path | None:
    """The file, or its gzipped form, or None."""
    return next((p for p in (path, path.with_name(path.name + ".gz")) if p.is_file()), None)


def _open_text(path: Path) -> IO[str]:
    raw = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    return io.TextIOWrapper(cast(IO[bytes], raw), encoding="utf-8-sig", newline="")
