"""The retrieval systems that are compared and fused: each finds passages for one embedded query, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Explanation, Part
from unweave.base.vectors import unit_rows
from unweave.errors import BadData
from unweave.explaining.accounting import Names, explain
from unweave.index.hits import Hits, best, best_of
from unweave.retrieval import fusion
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.model import SAE

if TYPE_CHECKING:
    pass

FUSED_DEPTH = 1000
"""Hits that each of several fused systems gives."""


class System(Protocol):
    """Something that ranks a corpus."""

    @property
    def bytes_per_passage(self) -> float:
        """Size of what it searches, divided by the number of passages."""

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits: ...


@runtime_checkable
class Explaining(System, Protocol):
    """A system that says why."""

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        """Why `search` gave the passage at this position its score."""


@dataclass(frozen=True, eq=False)
class Dense:
    """Exhaustive search by dot product."""

    passages: NDArray[np.float32]  # (n_passages, d_in)
    sae: SAE | None = None
    """What its scores are explained by."""
    names: Names | None = None

    @property
    def bytes_per_passage(self) -> float:
        return 4.0 * int(self.passages.shape[1])

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return best(self.passages @ query.vector, np.arange(len(self.passages)), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        if self.sae is None:
            raise ValueError("without an SAE there is nothing to explain dense scores by")
        return explain(query.vector, self.passages[passage], self.sae, self.names)


@dataclass(frozen=True, eq=False)
class Lexical:
    """Search by words."""

    bm25: BM25

    @property
    def bytes_per_passage(self) -> float:
        return self.bm25.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.bm25.search(query.text, cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.bm25.explain(query.text, [passage], [score])[0]


class Reconstructed:
    """Dense search over what the SAE gives back of passages and query, x_hat, each scaled to length 1."""

    def __init__(self, sae: SAE, passages: NDArray[np.float32]) -> None:
        """passages: (n_passages, d_in), their reconstructions."""
        self._sae = sae
        self._dense = Dense(unit_rows(passages))

    @property
    def bytes_per_passage(self) -> float:
        return self._dense.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        (vector,) = unit_rows(self._sae.reconstruct(query.vector))
        return self._dense.search(EmbeddedQuery(query.text, vector), cutoff)


@dataclass(frozen=True, eq=False)
class CLSR:
    """Concept-Level Sparse Retrieval."""

    searcher: ConceptSearcher
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.search(self.read(query), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain(self.read(query), passage, score, self.names)

    def read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        """What of a query the SAE reads."""
        return query.vector


class TokenConcepts(CLSR):
    """The same by concepts of single tokens."""

    def read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        if query.tokens is None:
            raise BadData("concepts of tokens are searched with a query's text, and a vector came in")
        return query.tokens


@dataclass(frozen=True, eq=False)
class RescoredCLSR:
    """CL-SR whose best candidates are ordered anew by the dense query and their stored codes."""

    searcher: ConceptSearcher
    candidates: int
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.rescored(query.vector, cutoff, self.candidates)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain_rescored(query.vector, passage, score, self.names)


@dataclass(frozen=True, eq=False)
class DenseRescored:
    """The dense model's ranking of what concepts find: its scores, without reading every vector."""

    searcher: ConceptSearcher
    candidates: int
    dense: Dense
    bytes_per_passage: float

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        found = np.sort(self.searcher.search(query.vector, self.candidates).passages)
        return best_of(found, self.dense.passages[found] @ query.vector, cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.dense.explain(query, passage, score)


@dataclass(frozen=True, eq=False)
class ConceptCodes:
    """The dense query against the stored code of every passage, three bytes a concept; no inverted lists."""

    searcher: ConceptSearcher
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.scanned(query.vector, cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        return self.searcher.explain_rescored(query.vector, passage, score, self.names)


@dataclass(frozen=True, eq=False)
class Fused:
    """Several systems searched in one call, none weighing more than another; see `fusion`."""

    systems: Mapping[str, System]
    by: str = fusion.SCORE

    @property
    def bytes_per_passage(self) -> float:
        return sum(system.bytes_per_passage for system in self.systems.values())

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self._fused(self._found(query), cutoff).hits

    def search_in_parts(self, query: EmbeddedQuery, cutoff: int, *, explain: bool) -> list[tuple[int, list[Part]]]:
        """The position of each hit, and what each system gave: the sum of their values is the fused score.

        Args:
            explain: with the explanation of each part; of ranks, which are no sums, that of the system's own score.
        """
        found = self._found(query)
        hits = self._fused(found, cutoff)
        places = [{p: rank for rank, p in enumerate(of.passages.tolist())} for of in found]
        return [
            (passage, [
                self._part(name, query, passage, value, found[i], places[i].get(passage), explain=explain)
                for i, (name, value) in enumerate(zip(self.systems, values, strict=True))
            ])
            for passage, values in zip(hits.passages.tolist(), hits.parts.tolist(), strict=True)
        ]  # fmt: skip

    def _found(self, query: EmbeddedQuery) -> list[Hits]:
        return [system.search(query, FUSED_DEPTH) for system in self.systems.values()]

    def _fused(self, found: Sequence[Hits], cutoff: int) -> fusion.Fused:
        return fusion.FUSIONS[self.by](found, cutoff, [1 / len(found)] * len(found))

    def _part(
        self, name: str, query: EmbeddedQuery, passage: int, value: float, found: Hits, place: int | None, *,
        explain: bool,
    ) -> Part:  # fmt: skip
        if place is None:
            return Part(name, 0.0, None, None)
        system, why = self.systems[name], None
        if explain and isinstance(system, Explaining):
            why = system.explain(query, passage, float(found.scores[place]))
            if self.by == fusion.SCORE:
                why = fusion.explain_part(why, fusion.scale_of(found, 1 / len(self.systems)))
        return Part(name, value, place + 1, why)


# --- of a project -----------------------------------------------------------------------------------
