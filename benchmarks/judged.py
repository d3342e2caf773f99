"""Collections with full judgements, embedded once, and what a ranking of them is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import texts
from numpy.typing import NDArray
from scipy.stats import rankdata

from unweave.evaluation.measures import measure
from unweave.evaluation.runs import Run
from unweave.index.hits import Hits
from unweave.retrieval import fusion
from unweave.texts.open import open_collection
from unweave.texts.queries import Qrels

COLLECTIONS = ("scifact", "climate-fever-evidence", "fiqa-mini", "nfcorpus-stopped", "dbpedia-entity-5k",
               "msmarco-dl-5k", "squad-sentences", "cranfield", "cacm", "cisi", "medline", "npl-vaswani",
               "medquad-liveqa")  # fmt: skip
QUERIES, DEPTH = 1000, 100
DEEP = 1000
"""Hits that a system gives, which a fusion reads."""
MEASURE = "nDCG@10"

LOWEST = {"BM25": 0.0}
"""Systems that say what a passage scores that has nothing of the query; see `retrieval.fusion`."""

Floats = NDArray[np.float32]
Search = Callable[[int], Hits]
"""The hits of the i-th query."""


class System(NamedTuple):
    """A way to rank a collection."""

    search: Search
    bytes_per_passage: float


class Collection(NamedTuple):
    """One collection, embedded."""

    name: str
    ids: list[str]
    passages: Floats
    query_rows: NDArray[np.int64]
    """Which of its queries are asked."""
    queries: Floats
    query_ids: list[str]
    query_texts: list[str]
    qrels: Qrels
    contents: list[str]


def collection(name: str, model: str) -> Collection:
    """Read a collection, and at most QUERIES of its test queries, drawn at random."""
    opened = open_collection(str(texts.data() / name))
    passages, queries = list(opened.passages), list(opened.queries)
    judgements = opened.qrels["test"]
    rows = [i for i, query in enumerate(queries) if query.query_id in judgements]
    if len(rows) > QUERIES:
        rows = sorted(np.random.default_rng(0).choice(rows, QUERIES, replace=False).tolist())
    return Collection(
        name,
        [passage.passage_id for passage in passages],
        texts.embeddings(f"{name}/passages", model),
        np.array(rows),
        texts.embeddings(f"{name}/queries", model)[rows],
        [queries[i].query_id for i in rows],
        [queries[i].text for i in rows],
        {queries[i].query_id: judgements[queries[i].query_id] for i in rows},
        [passage.content for passage in passages],
    )


def as_run(of: Collection, hits: Sequence[Hits]) -> Run:
    """The hits of all queries, as TREC's tools read them."""
    found = [zip(h.passages[:DEPTH].tolist(), h.scores[:DEPTH].tolist(), strict=True) for h in hits]
    return {q: [(of.ids[p], score) for p, score in pairs] for q, pairs in zip(of.query_ids, found, strict=True)}


def values(of: Collection, hits: Sequence[Hits]) -> list[float]:
    """The measure of each query."""
    per_query = measure(as_run(of, hits), of.qrels, (MEASURE,))[MEASURE].per_query
    return [per_query[q] for q in of.query_ids]


def faithful(hits: Sequence[Hits], dense: Sequence[Hits]) -> dict[str, float]:
    """How much of dense's ranking is kept: overlap of the best 10 and 100, and Spearman's rho over dense's best 100.

    A passage of dense's best 100 that was not found ranks behind all that were.
    """
    overlaps: dict[int, list[float]] = {10: [], 100: []}
    correlations = []
    for found, wanted in zip(hits, dense, strict=True):
        for depth, shares in overlaps.items():
            shares.append(float(np.isin(wanted.passages[:depth], found.passages[:depth]).mean()))
        place = {p: rank for rank, p in enumerate(found.passages.tolist())}
        ranks = rankdata([place.get(p, len(place)) for p in wanted.passages[:100].tolist()])
        if ranks.std() > 0:
            correlations.append(float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]))
    return {"top10": float(np.mean(overlaps[10])), "top100": float(np.mean(overlaps[100])),
            "rho": float(np.mean(correlations)) if correlations else 0.0}  # fmt: skip


def summed(found: Sequence[Hits], shares: Sequence[float], lowest: Sequence[float | None]) -> Hits:
    """Hits of several systems added up, as a sum of systems adds them."""
    scales = [fusion.scale_of(*one) for one in zip(found, shares, lowest, strict=True)]
    parts = [fusion.of_scores(hits, scale) for hits, scale in zip(found, scales, strict=True)]
    return fusion.fused(found, parts, DEEP).hits


class Measured:
    """What was measured of every system on one collection with one seed's dictionaries."""

    def __init__(self, of: Collection) -> None:
        self.of = of
        self.runs: dict[str, list[Hits]] = {}
        self.systems: dict[str, dict[str, Any]] = {}

    def add(self, name: str, system: System) -> None:
        self._add(name, [system.search(i) for i in range(len(self.of.queries))], system.bytes_per_passage)

    def add_fused(self, names: Sequence[str]) -> None:
        """A sum of systems that gives each of these the same weight, of the hits that they gave already."""
        found = list(zip(*(self.runs[name] for name in names), strict=True))
        lowest = [LOWEST.get(name) for name in names]
        hits = [summed(each, [1 / len(names)] * len(names), lowest) for each in found]
        self._add(" + ".join(names), hits, sum(self.systems[name]["bytes"] for name in names))

    def _add(self, name: str, hits: list[Hits], size: float) -> None:
        self.runs[name] = hits
        fidelity = faithful(hits, self.runs["dense"]) if "dense" in self.runs else {}
        self.systems[name] = {
            "bytes": size, "values": [round(value, 4) for value in values(self.of, hits)], "fidelity": fidelity,
        }  # fmt: skip
