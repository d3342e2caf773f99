"""Open what users have: a BEIR folder, a file, a folder of texts, ir_datasets, MTEB or the built-in collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from unweave.base.plain import plain
from unweave.base.records import Passage, Query
from unweave.errors import BadData, MissingExtra
from unweave.texts.collection import Collection
from unweave.texts.queries import Qrels, read_qrels
from unweave.texts.readers import (
    either,
    ending,
    passages,
    passages_of_file,
    read_jsonl,
    read_queries,
    text_files,
    topics,
)

IRDS, MTEB = "irds:", "mteb:"
EVALUATED = "test"
SPLITS = ("train", "dev", EVALUATED)


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
        read = read_queries if ending(queries) == ".jsonl" else topics
        collection = replace(collection, queries=read(queries), qrels={})
    if qrels is not None:
        collection = replace(collection, qrels={EVALUATED: read_qrels(qrels)})
    return collection


def _open(source: str) -> Collection:
    if source == "vital-articles":
        from unweave.texts.vital_articles import vital_articles

        return vital_articles()
    if source.startswith(IRDS):
        return _irds(source.removeprefix(IRDS))
    if source.startswith(MTEB):
        return _mteb(*source.removeprefix(MTEB).split("/", 1))
    path = Path(source)
    about = {"source": path.name}
    if path.is_dir():
        if either(path / "corpus.jsonl"):
            return _beir(path)
        return Collection(passages=text_files(path), about=about)
    if not path.exists():
        raise BadData(
            f"{source} is neither a file nor a folder, nor a built-in collection ('vital-articles'), nor irds:ID"
            " or mteb:TASK"
        )
    return Collection(passages=passages_of_file(path), about=about)


def _beir(folder: Path) -> Collection:
    corpus = cast(Path, either(folder / "corpus.jsonl"))
    queries = either(folder / "queries.jsonl")
    qrels = {path.stem: read_qrels(path) for path in sorted((folder / "qrels").glob("*.tsv"))}
    return Collection(
        passages=passages(corpus.name, read_jsonl(corpus)),
        queries=read_queries(queries) if queries else (),
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
    source = f"{IRDS}{name}"
    qrels: Qrels = {}
    for judged in _fetched(dataset.qrels_iter, source) if dataset.has_qrels() else ():
        qrels.setdefault(judged.query_id, {})[judged.doc_id] = int(judged.relevance)
    asked = _fetched(dataset.queries_iter, source) if dataset.has_queries() else ()
    part = name.rpartition("/")[2]
    return Collection(
        passages=map(_document, _fetched(dataset.docs_iter, source)),
        queries=(Query(query.query_id, query.default_text()) for query in asked),
        qrels={part if part in SPLITS else EVALUATED: qrels} if qrels else {},
        about={"source": source},
    )


def _fetched(rows: Callable[[], Iterable[Any]], source: str) -> Iterator[Any]:
    """What a library downloads when it is asked for."""
    with _reaching(source):
        yield from rows()


@contextmanager
def _reaching(source: str) -> Iterator[None]:
    """Whatever goes wrong in a library that downloads, of many kinds, as one error."""
    try:
        yield
    except Exception as error:
        reason = plain(str(error.args[0] if error.args else error), 120) or type(error).__name__
        raise BadData(
            f"{source} is not on this machine and could not be downloaded ({reason}); try again with a network, or "
            "give a folder in BEIR's layout"
        ) from error


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
    with _reaching(f"{MTEB}{name}"):
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
