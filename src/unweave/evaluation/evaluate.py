"""Evaluate every system on a project's judged queries, side by side."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from unweave import progress
from unweave.artifact import build, read_manifest, write_atomically
from unweave.errors import BadData
from unweave.evaluation.measures import LABELS, MEASURES, measure
from unweave.evaluation.runs import Run, write_run
from unweave.index.scoring import PROFILES, TOKENS
from unweave.pipeline import Outcome, ensure
from unweave.progress import Stopwatch
from unweave.project import Project
from unweave.systems import (
    EmbeddedQuery,
    Fused,
    System,
    Systems,
    check_known,
    chosen,
    searcher_of,
    systems_of,
)

KIND = "evaluation"
_REPORT = "evaluation.json"


@dataclass(frozen=True)
class Row:
    """One system's line in the table."""

    system: str
    measures: dict[str, float]
    """Mean over the judged queries, by ir_measures' name; empty if the system is undefined here."""
    bytes_per_passage: float | None
    ms_per_query: float | None
    """Median time of one search, without embedding the query; machines differ, ratios are what to read."""
    note: str | None = None
    """What is to be known of this row: why a system cannot rank this corpus, or what it leaves out."""


@dataclass(frozen=True)
class Evaluation:
    """The table, with what the SAE does to the embeddings below it."""

    split: str
    n_queries: int
    rows: list[Row]
    sae: dict[str, Any]
    """NMSE and L0 by held-out kind of text, live latents."""
    usefulness: list[tuple[int, float]]
    """Latents by how much they lift relevant passages over the hits around them, the most useful first."""

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Read a project's evaluation."""
        read_manifest(folder, KIND)
        return cls.from_dict(json.loads((folder / _REPORT).read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Evaluation:
        """Read what was written as JSON."""
        rows = [Row(**row) for row in record["rows"]]
        usefulness = [(int(latent), float(gain)) for latent, gain in record["usefulness"]]
        return cls(record["split"], record["n_queries"], rows, record["sae"], usefulness)


def evaluate(project: Project) -> Outcome:
    """Rank the corpus for every judged query with every system; write runs, measures and the table.

    Raises:
        BadData: the project has no queries with judgements of the asked split.
    """
    config = project.settings.evaluate
    if not len(project.queries):
        raise BadData(f"{project.path} has no queries, so there is nothing to evaluate; its corpus came alone")
    project.manifest("embeddings/queries")
    positions = project.queries.judged(config.split)
    if not positions:
        raise BadData(f"no query has judgements in split {config.split!r}")
    profiles = [p for p in (*PROFILES, TOKENS.profile) if project.has(f"index/{p}")]
    made_from = project.made_from(
        "corpus",
        "queries",
        "embeddings/queries",
        "embeddings/passages",
        "sae",
        "codes",
        *(f"index/{p}" for p in profiles),
    )
    settings = asdict(config)

    def make() -> None:
        with build(project.path / KIND, KIND, settings=settings, made_from=made_from) as made:
            (made.path / "runs").mkdir(exist_ok=True)
            evaluation = _evaluate(project, positions, made.path / "runs")
            text = json.dumps(asdict(evaluation), indent=1)
            write_atomically(made.path / _REPORT, lambda p: p.write_text(text, encoding="utf-8"))
            made.results.update(n_queries=len(positions))

    return ensure(project, KIND, make, settings=settings, made_from=made_from)


def _evaluate(project: Project, positions: list[int], runs: Path) -> Evaluation:
    config = project.settings.evaluate
    queries = list(embedded_queries(project, positions, tokens=project.has("index/tokens")))
    query_ids = [project.queries.all[i].query_id for i in positions]
    qrels = project.queries.qrels(config.split)
    notes = {"CL-SR paper": _left_out(project, "paper"), "CL-SR": _left_out(project, "default")}
    rows = []
    for name, make in _with_fusions(systems_of(project), config.fusions).items():
        system = make()
        if system is None:
            rows.append(Row(name, {}, None, None, note="undefined for this corpus; unweave index build says why"))
            continue
        run, milliseconds = rank(name, system, queries, query_ids, project.corpus.ids, config.cutoff)
        write_run(runs / _file_of(name), run, name.replace(" ", "-"))
        means = {m: judged.mean for m, judged in measure(run, qrels).items()}
        rows.append(Row(name, means, system.bytes_per_passage, milliseconds, notes.get(name)))
    fitted = project.manifest("sae").results
    sae = {key: fitted[key] for key in ("held_out", "live_latents", "nmse", "l0")}
    sae["n_latents"] = project.sae.config.n_latents
    return Evaluation(config.split, len(positions), rows, sae, usefulness(project, positions))


def _with_fusions(systems: Systems, wanted: str) -> Systems:
    """The systems, and fused ones as the settings ask for them: `BM25 + dense, BM25 + concept codes`.

    Only a system that is fused stays in memory: it is made once for all fusions.
    """
    asked = [[name.strip() for name in one.split("+")] for one in wanted.split(",") if one.strip()]
    fused = {name for names in asked for name in names}
    check_known(systems, sorted(fused))  # before anything is ranked
    made = {name: cache(make) if name in fused else make for name, make in systems.items()}
    return made | {" + ".join(names): partial(_fused, made, names) for names in asked}


def _fused(systems: Systems, names: list[str]) -> Fused:
    return Fused(chosen(systems, names))


def run_of(project: Path, system: str) -> Path:
    """Where an evaluation left a system's run."""
    return project / KIND / "runs" / _file_of(system)


def _file_of(system: str) -> str:
    return f"{system.replace(' ', '-')}.trec"


def _left_out(project: Project, profile: str) -> str | None:
    """What an index could not take in, if anything."""
    left_out = project.manifest(f"index/{profile}").results["left_out"] if project.has(f"index/{profile}") else 0
    if not left_out:
        return None
    return f"{left_out:,} of {len(project.corpus):,} passages left out: the formula is undefined for them"


def embedded_queries(project: Project, positions: list[int], *, tokens: bool = False) -> Iterator[EmbeddedQuery]:
    """The queries at these positions, as text, as vector and, if asked for, as tokens."""
    embeddings = project.embeddings("queries")
    assert embeddings is not None
    texts = [project.queries.all[i].text for i in positions]
    rows = project.query_tokens(texts) if tokens else [None] * len(texts)
    return map(EmbeddedQuery, texts, embeddings.take(positions), rows)


def rank(
    name: str, system: System, queries: list[EmbeddedQuery], query_ids: list[str], passage_ids: list[str], cutoff: int
) -> tuple[Run, float]:
    """Every query's hits in a system, and the median milliseconds of one search.

    Args:
        queries, query_ids: in the same order.
        passage_ids: by the positions that the system finds.
        cutoff: hits a query.
    """
    run: Run = {}
    seconds = []
    with progress.steps(f"searching with {name}", total=len(queries), unit="queries") as advance:
        for query_id, query in zip(query_ids, queries, strict=True):
            watch = Stopwatch()
            hits = system.search(query, cutoff)
            seconds.append(watch.seconds)
            run[query_id] = [
                (passage_ids[p], s) for p, s in zip(hits.passages.tolist(), hits.scores.tolist(), strict=True)
            ]
            advance(1)
    return run, 1000 * statistics.median(seconds)


def usefulness(project: Project, positions: list[int], around: int = 10) -> list[tuple[int, float]]:
    """How much each latent lifts relevant passages over the hits around them.

    For each query and latent: its contribution to the CL-SR score of the relevant passages, less its mean
    contribution to the query's best `around` hits; summed over queries.
    """
    searcher = searcher_of(project, "default")
    qrels = project.queries.qrels(project.settings.evaluate.split)
    gain = np.zeros(project.sae.config.n_latents)
    weight_of = np.zeros(project.sae.config.n_latents, dtype=np.float32)
    embedded = embedded_queries(project, positions)
    with progress.steps("finding useful concepts", total=len(positions), unit="queries") as advance:
        for position, query in zip(positions, embedded, strict=True):
            latents, weights = searcher.read(query.vector)
            weight_of[latents] = weights
            grades = qrels[project.queries.all[position].query_id]
            found = (project.corpus.position(d) for d, grade in grades.items() if grade > 0)
            relevant = [passage for passage in found if passage is not None]
            hits = searcher.index.search(latents, weights, around).passages.tolist()
            for passages, sign in ((relevant, 1.0), (hits, -1.0)):
                for passage in passages:
                    held, impacts = searcher.index.impacts(passage)
                    gain[held] += sign / len(passages) * weight_of[held] * impacts
            weight_of[latents] = 0
            advance(1)
    order = np.argsort(-gain, kind="stable")
    return [(int(j), float(gain[j])) for j in order if gain[j] > 0]


def table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows as plain values, for printing and for JSON."""
    return [
        {
            "system": row.system,
            **{LABELS[name]: row.measures.get(name) for name in MEASURES},
            "bytes/passage": row.bytes_per_passage,
            "ms/query": row.ms_per_query,
        }
        for row in evaluation.rows
    ]
