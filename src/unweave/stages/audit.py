"""The stage that audits a retriever on a project's corpus and queries, and writes what holds as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unweave.audits import page
from unweave.audits.audit import Audit, audit_of
from unweave.audits.audited import DEPTH, Audited, Positions
from unweave.base import progress
from unweave.base.contributions import labels_of
from unweave.base.files import file_digest, write_atomically
from unweave.base.foreign import shown
from unweave.base.plain import plain
from unweave.base.records import Query
from unweave.encode.encoder import Encoder
from unweave.encode.encoders import NoEncoder
from unweave.errors import BadData, MissingArtifact
from unweave.evaluation.measures import parse
from unweave.evaluation.rank import with_ids
from unweave.evaluation.runs import Run, read_run, trec_id
from unweave.retrieval.query import VECTOR, EmbeddedQuery
from unweave.retrieval.systems import System
from unweave.sae.given import fingerprint
from unweave.stages.asked import Asked, QueryId, read_all
from unweave.stages.catalogue import Catalogue
from unweave.stages.workspace import Workspace

PAGE, RECORD = "audit.html", "audit.json"
MOST_QUERIES = 1000
"""Queries that are read, at most, drawn by the seed."""
SAME = 0.98
"""Cosine of a stored embedding and that of the same text now, below which another encoder made the one."""


class _Questions(NamedTuple):
    """The queries of an audit, in the forms that a system reads."""

    queries: list[Query]
    relevant: Sequence[Mapping[int, int]]
    """Of each query the grades of its relevant passages by position; empty where nobody judged it."""
    read: list[EmbeddedQuery]


def audit(
    project: Workspace, *, system: str = "dense", run: Path | None = None, groups: Sequence[str] = (),
    labels: Sequence[str] = (), measure: str = "nDCG@10", seed: int = 0,
) -> Audit:  # fmt: skip
    """Test a retriever for what it gets wrong, check each claim, and write `audit.html` and `audit.json`.

    Args:
        system: a system of the project, or a sum of some.
        run: the ranking of any other engine, in TREC's format, in place of a system's.
        groups: keys of the passages' metadata; the exposure of their values is tested.
        labels: keys of the passages' metadata whose values are labels, to be set beside concepts.
        measure: an `ir_measures` measure, by which failures are told and counterfactuals measured.
        seed: of every draw.

    Raises:
        BadData: there are no queries, a run is of other ones, no passage has a key, there is no such system or
            measure, or the encoder is not the one that embedded the passages.
        MissingArtifact, StaleArtifact: the project lacks an earlier step, or must do one again.
        MissingExtra: the page, the measures or a probe need a package that is not installed.
    """
    page.template()  # what is missing is said before any work
    parse(measure)
    ranker = None if run is not None else Catalogue(project)[system]
    questions, of_run = _questions(project, ranker, seed), None
    if run is not None:
        of_run = read_run(run)
        _refuse_foreign(run, of_run, questions.queries)
    audited = Audited(
        project.corpus, project.embedded("passages").rows(), project.latents, project.sae, questions.queries,
        np.stack([one.embedding() for one in questions.read]), _found(project, ranker, questions, of_run),
        questions.relevant, _encoder(project), labels_of(project.concepts if project.has("concepts") else None),
        measure, project.settings.embed.language, seed,
    )  # fmt: skip
    about = _about(project, audited, system if run is None else None, run)
    made = audit_of(audited, datetime.now(UTC).isoformat(timespec="seconds"), about, groups, labels)
    _write(project.path, made)
    return made


def load(project: Path) -> Audit:
    """Read the audit that a project has.

    Raises:
        MissingArtifact: it has none.
        BadData: what it has is not what `audit` wrote.
    """
    path = project / RECORD
    try:
        return Audit.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise MissingArtifact(f"{project} has no {RECORD}; run: unweave audit {project}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadData(f"{path} holds no audit ({plain(str(error), 80)}); run: unweave audit {project}") from error


def _write(folder: Path, made: Audit) -> None:
    record = json.dumps(made.to_dict(), indent=1, ensure_ascii=True)
    shown = page.render(made)
    write_atomically(folder / RECORD, lambda path: path.write_text(record, encoding="utf-8"))
    write_atomically(folder / PAGE, lambda path: path.write_text(shown, encoding="utf-8", errors="replace"))


def _questions(project: Workspace, ranker: System | None, seed: int) -> _Questions:
    """The judged queries, or all where none is judged, at most `MOST_QUERIES`."""
    if not len(project.queries):
        raise BadData(f"{project.path} has no queries, so that there is no ranking to audit; its corpus came alone")
    split, queries = project.settings.evaluate.split, project.queries.all
    qrels = project.queries.qrels(split) if split in project.queries.splits else {}
    judged = [
        i for i, query in enumerate(queries) if any(grade > 0 for grade in qrels.get(query.query_id, {}).values())
    ]
    chosen = judged or list(range(len(queries)))
    if len(chosen) > MOST_QUERIES:
        chosen = sorted(np.random.default_rng(seed).choice(chosen, MOST_QUERIES, replace=False).tolist())
    asked: list[Asked] = [QueryId(queries[i].query_id) for i in chosen]
    read = read_all(project, asked, frozenset({VECTOR}) | (ranker.needs if ranker else frozenset()))
    relevant = [_positions(project, qrels.get(queries[i].query_id, {})) for i in chosen]
    return _Questions([queries[i] for i in chosen], relevant, read)


def _positions(project: Workspace, grades: Mapping[str, int]) -> dict[int, int]:
    corpus = project.corpus
    found = ((corpus.position(passage_id), grade) for passage_id, grade in grades.items() if grade > 0)
    return {position: grade for position, grade in found if position is not None}


def _found(
    project: Workspace, ranker: System | None, questions: _Questions, run: Run | None
) -> list[Positions]:  # fmt: skip
    """Of each query the positions of its first hits, best first, without passages that the corpus does not have."""
    if ranker is not None:
        with progress.steps(f"searching with {ranker.name}", total=len(questions.read), unit="queries") as advance:
            hits = []
            for query in questions.read:
                hits.append(ranker.search(query, DEPTH))
                advance(1)
        ranked = [[passage_id for passage_id, _ in of] for of in with_ids(ranker, hits)]
        of_id = {passage_id: project.corpus.position(passage_id) for passage_id in {p for of in ranked for p in of}}
    else:
        assert run is not None
        ranked = [[p for p, _ in run.get(trec_id(query.query_id), [])][:DEPTH] for query in questions.queries]
        by_trec = {trec_id(passage.passage_id): position for position, passage in enumerate(project.corpus)}
        of_id = {passage_id: by_trec.get(passage_id) for of in ranked for passage_id in of}
    positions = ([of_id[passage_id] for passage_id in of] for of in ranked)
    return [np.array([at for at in of if at is not None], np.int64) for of in positions]


def _refuse_foreign(path: Path, run: Run, queries: Sequence[Query]) -> None:
    if not any(trec_id(query.query_id) in run for query in queries):
        raise BadData(
            f"{path} ranks none of the {len(queries):,} queries that are audited; its first is "
            f"{shown(next(iter(run), None))}, theirs {shown(queries[0].query_id)}: are both of the same collection?"
        )


def _encoder(project: Workspace) -> Encoder | None:
    """What embeds changed texts, if it is there and is the one that embedded the passages."""
    encoder = project.encoder
    if isinstance(encoder, NoEncoder):
        return None
    stored = project.embedded("passages").rows(0, 1)[0].astype(np.float64)
    now = encoder.encode_passages([project.corpus[0].content])[0].astype(np.float64)
    cosine = float(stored @ now / max(np.linalg.norm(stored) * np.linalg.norm(now), 1e-12)) if len(now) == len(
        stored) else 0.0  # fmt: skip
    if cosine < SAME:
        raise BadData(
            f"the encoder {plain(str(encoder.identity['model']), 80)} gives the first passage another embedding than "
            f"the project holds (cosine {cosine:.2f}); open it with the encoder that embedded it, or embed anew"
        )
    return encoder


def _about(project: Workspace, of: Audited, system: str | None, run: Path | None) -> dict[str, Any]:
    """What was audited."""
    return {
        "unweave": metadata.version("unweave"),
        "project": project.path.resolve().name,
        "corpus": project.manifest("corpus").fingerprint,
        "passages": len(of.passages),
        "queries": len(of.queries),
        "judged": len(of.judged),
        "encoder": project.encoder_of_embeddings,
        "dictionary": fingerprint(of.sae),
        "latents": of.sae.config.n_latents,
        "system": system,
        "run": None if run is None else {"file": run.name, "sha256": file_digest(run)},
        "agreement": of.agreement,
        "measure": of.measure,
        "seed": of.seed,
    }
