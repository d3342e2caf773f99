"""What an audit reads, and the rankings that it makes of it anew: with other vectors, or without some passages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.base.contributions import Label
from unweave.base.records import Passage, Query
from unweave.encode.encoder import Encoder
from unweave.errors import BadData
from unweave.evaluation.measures import measure
from unweave.index.hits import best
from unweave.sae.model import SAE

FIRST, DEPTH = 10, 100
"""Hits of a query that a reader sees, and that are looked at in all."""
AGREES = 0.8
"""Share of the first ten that a run has in common with dense search, from which on what is found by embedding changed
texts is found of that run too; the rest is left to other engines' own counterfactuals."""

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Audited:
    """A corpus, queries put to it, and what a retriever found."""

    passages: Sequence[Passage]
    rows: Floats  # (n_passages, d_in), embeddings of the passages
    latents: csr_array  # (n_passages, n_latents), theirs
    sae: SAE
    queries: Sequence[Query]
    asked: Floats  # (n_queries, d_in), embeddings of the queries
    found: Sequence[Positions]
    """Of each query its first hits, at most `DEPTH` positions of passages, best first."""
    relevant: Sequence[Mapping[int, int]]
    """Of each query the grades of its relevant passages by position; empty where nobody judged it."""
    encoder: Encoder | None
    """What embeds texts that are changed; None: it is not known what made the embeddings, and none are changed."""
    names: Mapping[int, Label]
    measure: str = "nDCG@10"
    language: str = "en"
    seed: int = 0

    @cached_property
    def judged(self) -> list[int]:
        """The queries that have relevant passages."""
        return [query for query, grades in enumerate(self.relevant) if grades]

    @cached_property
    def columns(self) -> csc_array:
        """The passages' latents by latent, (n_passages, n_latents)."""
        return csc_array(self.latents)

    @cached_property
    def spread(self) -> NDArray[np.float64]:
        """Of each query the standard deviation of its first `DEPTH` dense scores, (n_queries,).

        What a score changes by is counted in it: how far apart two hits of a query typically are.
        """
        return np.array([
            max(float((self.rows[top] @ vector).std()), 1e-9)
            for top, vector in zip(self.dense, self.asked, strict=True)
        ])  # fmt: skip

    @cached_property
    def dense(self) -> list[Positions]:
        """The first hits of dense search, which counterfactuals start from."""
        return self.ranked(range(len(self.queries)))

    @cached_property
    def agreement(self) -> float:
        """The share of the first ten hits that dense search finds too, mean over the queries."""
        shares = [
            np.isin(found[:FIRST], dense[:FIRST]).mean()
            for found, dense in zip(self.found, self.dense, strict=True)
            if len(found)
        ]
        return float(np.mean(shares)) if shares else 0.0

    @cached_property
    def lengths(self) -> Floats:
        """The length of each passage's embedding, (n_passages,)."""
        return np.asarray(np.linalg.norm(self.rows, axis=1))

    @cached_property
    def words(self) -> NDArray[np.int64]:
        """How many words each passage has, (n_passages,)."""
        return np.array([len(passage.content.split()) for passage in self.passages])

    def embedded(self, texts: Sequence[str]) -> Floats:
        """Embeddings of changed texts, (n, d_in).

        Raises:
            BadData: nothing embeds texts here.
        """
        if self.encoder is None:
            raise BadData("a changed text is to be embedded, and it is not known what made the embeddings; name it")
        return self.encoder.encode_passages(texts) if texts else np.empty((0, self.rows.shape[1]), np.float32)

    def random(self, of: str) -> np.random.Generator:
        """Chance for one part of the audit: the same for the same seed, whatever else is audited."""
        return np.random.default_rng([self.seed, *of.encode()])

    def column(self, latent: int) -> tuple[Positions, NDArray[np.float32]]:
        """The passages that activate a latent, and how strongly."""
        held = slice(self.columns.indptr[latent], self.columns.indptr[latent + 1])
        return self.columns.indices[held].astype(np.int64), self.columns.data[held]

    def shown(self, latent: int) -> str:
        """A concept as a sentence names it."""
        label = self.names.get(latent)
        return f"“{label.name}” (#{latent})" if label else f"#{latent}, which has no name,"

    def ids(self, positions: Sequence[int] | Positions) -> tuple[str, ...]:
        """The ids of passages."""
        return tuple(self.passages[int(position)].passage_id for position in positions)

    def ranked(
        self, queries: Sequence[int], change: Callable[[int, NDArray[np.float32]], NDArray[np.float32]] | None = None,
        rows: Floats | None = None, without: Positions | None = None,
    ) -> list[Positions]:  # fmt: skip
        """The first `DEPTH` hits of some queries by dense search.

        Args:
            change: from a query's number and its scores, (n_passages,), to other scores.
            rows: (n_passages, d_in) in place of the passages' embeddings.
            without: passages that are not to be found.
        """
        rows = self.rows if rows is None else rows
        allowed = np.arange(len(rows))
        if without is not None:
            allowed = np.setdiff1d(allowed, without)
        found = []
        for query in queries:
            scores = rows @ self.asked[query]
            found.append(best(scores if change is None else change(query, scores), allowed, DEPTH).passages)
        return found

    def values(self, queries: Sequence[int], found: Sequence[Positions]) -> NDArray[np.float64]:
        """The measure of some judged queries, (n,), with these hits."""
        run = {
            str(query): [(str(passage), -float(rank)) for rank, passage in enumerate(hits.tolist())]
            for query, hits in zip(queries, found, strict=True)
        }
        qrels = {str(query): {str(at): grade for at, grade in self.relevant[query].items()} for query in queries}
        per_query = measure(run, qrels, [self.measure])[self.measure].per_query
        return np.array([per_query[str(query)] for query in queries])
