"""Evaluate every system on a project's judged queries, side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from unweave.base import progress
from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.errors import BadData
from unweave.evaluation.measures import measure
from unweave.evaluation.rank import rank
from unweave.evaluation.runs import write_run, write_trec_qrels
from unweave.evaluation.table import KIND, REPORT, Evaluation, SystemRow, file_of
from unweave.index.scoring import PROFILES, TOKENS
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.sums import parse
from unweave.stages.asked import token_rows
from unweave.stages.catalogue import Catalogue, in_corpus_order
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace


def evaluate(project: Workspace) -> Outcome:
    """Rank the corpus for every judged query with every system; write runs, measures and the table.

    Raises:
        BadData: the project has no queries with judgements of the asked split, or a sum is none.
    """
    config = project.settings.evaluate
    sums = _sums(project)  # what is wrong in it is said before anything is ranked
    if not len(project.queries):
        raise BadData(f"{project.path} has no queries, so there is nothing to evaluate; its corpus came alone")
    project.manifest("embeddings/queries")
    positions = project.queries.judged(config.split)
    if not positions:
        raise BadData(f"no query has judgements in split {config.split!r}")
    there = [name for name in ("bm25", *(f"index/{p}" for p in (*PROFILES, TOKENS.profile))) if project.has(name)]
    made_from = project.made_from(
        "corpus", "queries", "embeddings/queries", "embeddings/passages", "sae", "codes", *there
    )
    settings = asdict(config)

    def make() -> None:
        with build(project.path / KIND, KIND, settings=settings, made_from=made_from) as made:
            (made.path / "runs").mkdir(exist_ok=True)
            evaluation = _evaluate(project, positions, sums, made.path / "runs")
            text = json.dumps(asdict(evaluation), indent=1)
            write_atomically(made.path / REPORT, lambda p: p.write_text(text, encoding="utf-8"))
            made.results.update(n_queries=len(positions))

    return ensure(project, KIND, make, settings=settings, made_from=made_from)


def _sums(project: Workspace) -> list[str]:
    """The sums that the settings ask for: `BM25 + dense, BM25 + 2 codes`."""
    names = [name.strip() for name in project.settings.evaluate.sums.split(",") if name.strip()]
    for name in names:
        parse(name)
    Catalogue(project).check(names)
    return names


def _evaluate(project: Workspace, positions: list[int], sums: list[str], runs: Path) -> Evaluation:
    config, systems = project.settings.evaluate, Catalogue(project)
    for profile in ("default", TOKENS.profile):
        if project.has(f"index/{profile}"):
            in_corpus_order(project, profile)  # else passages would be found that the judgements do not know
    queries = list(embedded_queries(project, positions, tokens=project.has("index/tokens")))
    query_ids = [project.queries.all[i].query_id for i in positions]
    qrels = project.queries.qrels(config.split)
    write_trec_qrels(runs / "qrels.trec", qrels)
    notes = {"CL-SR paper": _left_out(project, "paper"), "CL-SR": _left_out(project, "default")}
    rows = []
    for name in (*systems, *sums):
        system = systems[name]
        run, milliseconds = rank(system, queries, query_ids, config.cutoff)
        write_run(runs / file_of(system.name), run, system.name.replace(" ", "-"))
        means = {m: judged.mean for m, judged in measure(run, qrels).items()}
        rows.append(SystemRow(system.name, means, system.bytes_per_passage, milliseconds, notes.get(name)))
    if "CL-SR paper" not in systems:
        rows.append(
            SystemRow("CL-SR paper", {}, None, None, note="undefined for this corpus; unweave index build says why")
        )
    fitted = project.manifest("sae").results
    sae = {key: fitted[key] for key in ("held_out", "live_latents", "nmse", "l0")}
    sae["trained"] = bool(fitted["trained_on"])
    sae["n_latents"] = project.sae.config.n_latents
    return Evaluation(config.split, len(positions), rows, sae, usefulness(project, positions))


def _left_out(project: Workspace, profile: str) -> str | None:
    """What an index could not take in, if anything."""
    left_out = project.manifest(f"index/{profile}").results["left_out"] if project.has(f"index/{profile}") else 0
    if not left_out:
        return None
    return f"{left_out:,} of {len(project.corpus):,} passages left out: the formula is undefined for them"


def embedded_queries(project: Workspace, positions: list[int], *, tokens: bool = False) -> Iterator[EmbeddedQuery]:
    """The queries at these positions, as text, as vector and, if asked for, as tokens."""
    embeddings = project.embedded("queries")
    texts = [project.queries.all[i].text for i in positions]
    rows = token_rows(project, texts) if tokens else [None] * len(texts)
    return map(EmbeddedQuery, texts, embeddings.take(positions), rows)


def usefulness(project: Workspace, positions: list[int], around: int = 10) -> list[tuple[int, float]]:
    """How much each latent lifts relevant passages over the hits around them.

    For each query and latent: its contribution to the CL-SR score of the relevant passages, less its mean
    contribution to the query's best `around` hits; summed over queries.
    """
    searcher = ConceptSearcher(project.sae, in_corpus_order(project, "default"))
    qrels = project.queries.qrels(project.settings.evaluate.split)
    gain = np.zeros(project.sae.config.n_latents)
    weight_of = np.zeros(project.sae.config.n_latents, dtype=np.float32)
    embedded = embedded_queries(project, positions)
    with progress.steps("finding useful concepts", total=len(positions), unit="queries") as advance:
        for position, query in zip(positions, embedded, strict=True):
            latents, weights = searcher.read(query.embedding())
            weight_of[latents] = weights
            grades = qrels[project.queries.all[position].query_id]
            found = (project.corpus.position(d) for d, grade in grades.items() if grade > 0)
            relevant = [passage for passage in found if passage is not None]
            hits = searcher.index.hits(latents, weights, around).passages.tolist()
            for passages, sign in ((relevant, 1.0), (hits, -1.0)):
                for passage in passages:
                    held, impacts = searcher.index.impacts(passage)
                    gain[held] += sign / len(passages) * weight_of[held] * impacts
            weight_of[latents] = 0
            advance(1)
    order = np.argsort(-gain, kind="stable")
    return [(int(j), float(gain[j])) for j in order if gain[j] > 0]
