"""A project's passages as sparse vectors of concepts in another engine, and all that it takes to use them there.

passages/          what the engine reads, where it is files
concepts.jsonl     the number and name of each concept
queries/           what turns a query's embedding into weights: `uw.QueryReader`
request.txt        a query as the engine is asked it
hybrid.txt         the same by concepts, words and embedding at once, where they were sent and the engine can do so
config.json        what was exported, how far the engine agrees with the index, and why not further
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from unweave.base.artifact import MANIFEST, Manifest, read_manifest
from unweave.base.building import build
from unweave.base.stored import read_record
from unweave.engines.agreement import Agreement, agreement
from unweave.engines.catalogue import ENGINES, opened
from unweave.engines.engine import Engine, Question, term
from unweave.engines.rehearsal import Rehearsal
from unweave.engines.sending import BATCH, Fields, Vectors, no_fields, send, shape_of
from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex
from unweave.retrieval.query_reader import QueryReader
from unweave.stages.workspace import Workspace

KIND = "engine-export"
LAYOUT = 1
"""How an export is written; one of another layout is made anew."""
CUTOFF = 10
PREDICTED = 50
"""Queries that a plan tries, where the engine rounds numbers."""
_PASSAGES = "passages"


class Sent(NamedTuple):
    """What an export did."""

    engine: str
    folder: Path
    n_passages: int
    resumed_at: int
    """Passages that an earlier export had left there."""
    seconds: float
    agreement: Agreement


class Plan(NamedTuple):
    """What an export would do."""

    engine: str
    n_passages: int
    bytes: int
    """About, without texts."""
    mapping: str
    numbers: str
    ran: bool
    """Whether the tests run the engine itself, and not only check what it is asked."""
    request: str
    predicted: Agreement | None
    """What the engine will find beside the index, by what it does to numbers; None: it holds them as they are."""


def plan(
    project: Workspace, engine: str, out: Path, *, to: str | None = None, profile: str = "default",
    texts: bool = False, dense: bool = False,
) -> Plan:  # fmt: skip
    """What `export_engine` would do; nothing is written, and no server is asked."""
    index = project.index_of(profile)
    target = _opened(engine, out, to, dense)
    shape = shape_of(index, "", _width(project, dense), texts)
    id_bytes = sum(entry["bytes"] for name, entry in index.manifest.files.items() if Path(name).name == "ids.npy")
    asked = target.request(_queries(project, index, 1), CUTOFF)
    rounding = ENGINES[engine].rounding
    rehearsed = Rehearsal(index, shape, rounding, target.numbers) if rounding else None
    predicted = agreement(index, rehearsed, _queries(project, index, PREDICTED), CUTOFF) if rehearsed else None
    size = int(shape.n_postings * target.posting_bytes + id_bytes + 4 * shape.n_passages * shape.width)
    return Plan(engine, shape.n_passages, size, target.mapping(shape), target.numbers, target.ran, asked, predicted)


def export_engine(
    project: Workspace, engine: str, out: Path, *, to: str | None = None, profile: str = "default",
    texts: bool = False, dense: bool = False, n_queries: int = 50,
) -> Sent:  # fmt: skip
    """Put a project's passages into another engine, and see whether it finds what the project finds.

    A killed export goes on where it stopped, and one of the same state doubles nothing. Where the index has changed
    since, idf with it, all is written anew; files take the place of the earlier ones when they are whole.

    Args:
        engine: one of `engines.catalogue.ENGINES`.
        out: a folder for what is written, and for what is needed beside the engine.
        to: where the engine keeps its data, if that is not in files.
        profile: which index: `default` or `paper`.
        texts: send titles, texts and metadata along.
        dense: send the passages' embeddings along.
        n_queries: the project's queries that are put to both, evenly drawn; its passages', where it has none.

    Raises:
        BadData: there is no such engine, it has no place for embeddings, or something else is in the way.
        MissingArtifact, StaleArtifact: the index or the names are not there, or out of date.
        MissingExtra: what the engine needs is not installed.
    """
    index = project.index_of(profile)
    stated = {"layout": LAYOUT, "engine": engine, "to": to, "texts": texts, "dense": dense, "batch": BATCH,
              "profile": profile}  # fmt: skip
    made_from = {"index": index.manifest.checksum}
    _opened(engine, out, to, dense)  # what is wrong with it is said before any work
    there = _there(out)
    if there is not None and to is None and (there.settings, there.made_from) == (stated, made_from):
        found = read_record(Agreement, there.results["agreement"], out)
        return Sent(engine, out, index.n_passages, index.n_passages, there.seconds, found)
    with build(out, KIND, settings=stated, made_from=made_from) as made:
        with closing(_opened(engine, made.path, to, dense)) as target:
            resumed_at = send(
                index, target, shape_of(index, json.dumps(stated), _width(project, dense), texts),
                _fields(project) if texts else no_fields, made.checkpoint, _vectors(project) if dense else None,
            )  # fmt: skip
            queries = _queries(project, index, n_queries)
            _write_beside(project, index, made.path)
            _write_requests(made.path, target, _question(project, queries, texts, dense))
            found = agreement(index, target, queries, CUTOFF)
        made.results.update(n_passages=index.n_passages, agreement=found._asdict(), numbers=target.numbers)
        seconds = made.seconds
    return Sent(engine, out, index.n_passages, resumed_at, seconds, found)


def _opened(engine: str, folder: Path, to: str | None, dense: bool) -> Engine:
    target = opened(engine, folder / _PASSAGES, to)
    if dense and not ENGINES[engine].dense:
        raise BadData(f"{engine} has no place for embeddings; leave out --dense")
    return target


def _there(out: Path) -> Manifest | None:
    """The export that is in a folder.

    Raises:
        CorruptArtifact: it holds something else of unweave's, which is not to be replaced.
    """
    return read_manifest(out, KIND) if (out / MANIFEST).exists() else None


def _fields(project: Workspace) -> Fields:
    corpus = project.corpus

    def of(ids: Sequence[str]) -> list[Mapping[str, Any]]:
        positions = map(corpus.position, ids)
        passages = [None if at is None else corpus[at] for at in positions]
        return [{} if p is None else {"title": p.title, "text": p.text, "metadata": p.metadata} for p in passages]

    return of


def _width(project: Workspace, dense: bool) -> int:
    return project.embedded("passages").d_in if dense else 0


def _vectors(project: Workspace) -> Vectors:
    corpus, embedded = project.corpus, project.embedded("passages")

    def of(ids: Sequence[str]) -> NDArray[np.float32]:
        positions = [corpus.position(one) for one in ids]
        assert None not in positions  # else the index were out of date, which is refused
        return embedded.take(np.array(positions, np.int64))

    return of


def _asked(project: Workspace) -> str:
    """What is embedded of what is asked: the project's queries, or its passages, where it has none."""
    return "queries" if project.has("embeddings/queries") else "passages"


def _question(project: Workspace, queries: csr_array, texts: bool, dense: bool) -> Question:
    """The first of `_queries` in each form that it can be asked in."""
    of = _asked(project)
    first = project.queries.all[0].text if of == "queries" else project.corpus[0].content
    embedding = project.embedded(of).take([0])[0] if dense else None
    return Question(queries[[0]], first if texts else None, embedding)


def _queries(project: Workspace, index: ConceptIndex, n: int) -> csr_array:
    """The weights of some queries, (n, n_latents)."""
    embedded = project.embedded(_asked(project))
    some = np.linspace(0, len(embedded) - 1, min(n, len(embedded))).astype(np.int64)
    reader, shape = QueryReader.of(project.sae, index), (1, index.n_latents)
    read = [reader.read(row) for row in embedded.take(some)]
    return csr_array(
        vstack([csr_array((one.weights, one.latents, [0, len(one.latents)]), shape=shape) for one in read])
    )


def _write_beside(project: Workspace, index: ConceptIndex, folder: Path) -> None:
    """What is needed beside the engine: the concepts' names, and the query side."""
    names = project.concepts.shown()
    with (folder / "concepts.jsonl").open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        for latent in np.flatnonzero(index.document_frequency).tolist():
            label = names.get(latent)
            known = {"name": label and label.name, "trust": label and label.trust and label.trust.value}
            line = {"concept": latent, "term": term(latent), **known}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    QueryReader.of(project.sae, index).save(folder / "queries")


def _write_requests(folder: Path, engine: Engine, question: Question) -> None:
    """How the engine is asked, for a person to copy."""
    requests = {"request": engine.request(question.weights, CUTOFF)}
    if question.text is not None or question.embedding is not None:
        requests["hybrid"] = engine.hybrid(question, CUTOFF) or ""
    for name, request in requests.items():
        if request:
            (folder / f"{name}.txt").write_text(request + "\n", encoding="utf-8", errors="replace")
