"""The systems that a corpus can be searched with: each finds passages for one embedded query, and says why.

A system numbers passages in its own way; `ids` alone turns such a position into a passage's id. Whoever wants to be a
system has what `System` lists, and a line in `stages.catalogue`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names
from unweave.base.records import Explanation
from unweave.base.vectors import unit_rows
from unweave.errors import BadData
from unweave.explaining.accounting import explain_dense
from unweave.index.hits import Hits, best, best_of
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.passage_latents import PassageLatents
from unweave.retrieval.query import TEXT, TOKENS, VECTOR, EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import ACCOUNT, AS_IT_IS, CANDIDATES, CONCEPTS, FILTER, Steering
from unweave.sae.model import SAE

Ids = Callable[[Iterable[int]], list[str]]
"""The ids of the passages at some positions."""


def by_number(positions: Iterable[int]) -> list[str]:
    """Passages without ids are called by their position."""
    return [str(position) for position in positions]


class System(Protocol):
    """A way to rank passages, with a name that a person can type."""

    @property
    def name(self) -> str:
        """What it is called, as in `unweave search --system`."""

    @property
    def needs(self) -> frozenset[str]:
        """What it reads of a query: `text`, `vector` or `tokens`."""

    @property
    def steers(self) -> frozenset[str]:
        """The fields of `Steering` by which it can be bent; others are refused by name."""

    @property
    def lowest(self) -> float | None:
        """The score of a passage that has nothing of the query; None where scores have no such point."""

    @property
    def bytes_per_passage(self) -> float:
        """Size of all that a search may read, divided by the number of passages."""

    @property
    def ids(self) -> Ids:
        """The only way from a position to a passage."""

    def check(self, steering: Steering) -> None:
        """Refuse what this system cannot be steered by.

        Raises:
            BadData: naming it, or a number that is out of its range.
        """

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which passages have one of these latents, (n_positions,): those that a ban leaves out.

        None: the system knows no concepts.

        Raises:
            BadData: there is no such latent.
        """

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        """The best passages, by position.

        Raises:
            BadData: the query lacks what this system needs, or it cannot be steered so.
        """

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        """Why `search` gave these hits their scores, in their order; what each adds up to is not checked here."""


def _candidates(n: int, steering: Steering) -> NDArray[np.int64]:
    """The positions that may be found, ascending."""
    return np.arange(n) if steering.allowed is None else np.flatnonzero(steering.allowed)


class _Alone:
    """What single systems have in common."""

    def check(self: System, steering: Steering) -> None:
        steering.check(self.name, self.steers)

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_] | None:
        return None


@dataclass(frozen=True, eq=False)
class Dense(_Alone):
    """Exhaustive search by dot product, steered by its account: S = sum_c f_c z_c(d) (w_c . q) + bias + residual."""

    name: ClassVar[str] = "dense"
    needs: ClassVar[frozenset[str]] = frozenset({VECTOR})
    lowest: ClassVar[float | None] = None

    passages: NDArray[np.float32]  # (n_passages, d_in)
    sae: SAE | None = None
    """What its scores are explained by."""
    names: Names | None = None
    ids: Ids = by_number
    latents: Callable[[], PassageLatents] | None = None
    """The passages' latents, asked for when a search is steered by concepts; None: it cannot be."""
    coded: Callable[[], csr_array | None] = lambda: None
    """The same by passage, if they are there: what is not is found anew when a score is explained."""

    @property
    def steers(self) -> frozenset[str]:
        return FILTER if self.sae is None or self.latents is None else ACCOUNT

    @property
    def bytes_per_passage(self) -> float:
        return 4.0 * int(self.passages.shape[1])

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_] | None:
        return None if self.latents is None else self.latents().having(latents)

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        if self.latents is not None and len(steering.banned):
            steering = steering.leaving_out(self.latents().having(steering.banned))
        scores = self.passages @ query.embedding()
        if steering.boosts:
            scores = self.boosted(scores, np.arange(len(scores)), query, steering.boosts)
        return best(scores, _candidates(len(self.passages), steering), cutoff)

    def boosted(
        self, scores: NDArray[np.float32], passages: NDArray[np.int64], query: EmbeddedQuery,
        boosts: Mapping[int, float],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Dense scores of some passages, (n,), with what boosts add to them.

        Raises:
            BadData: a boost is for a latent that the SAE does not have.
        """
        assert self.latents is not None and self.sae is not None  # for `check` has refused the boosts otherwise
        added = self.latents().added(boosts, query.embedding(), self.sae)
        return (scores + added[passages]).astype(np.float32)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        if self.sae is None:
            raise BadData("without an SAE there is nothing to explain dense scores by; run: unweave fit")
        # A score steered by stored latents is explained by these: encoded anew, one at the threshold might be missing.
        steered = self.latents is not None and bool(steering.boosts)
        stored = self.latents().rows if self.latents is not None and steered else self.coded()
        known = None if stored is None else csr_array(stored[hits.passages])
        rows, scores = self.passages[hits.passages], hits.scores.tolist()
        return explain_dense(scores, query.embedding(), rows, self.sae, self.names, known, steering.boosts)


@dataclass(frozen=True, eq=False)
class Lexical(_Alone):
    """Search by words."""

    name: ClassVar[str] = "BM25"
    needs: ClassVar[frozenset[str]] = frozenset({TEXT})
    steers: ClassVar[frozenset[str]] = FILTER
    lowest: ClassVar[float | None] = 0.0

    bm25: BM25
    ids: Ids = by_number

    @property
    def bytes_per_passage(self) -> float:
        return self.bm25.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        return self.bm25.search(query.words(), cutoff, steering.allowed)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        return self.bm25.explain(query.words(), hits.passages, hits.scores)


class Reconstructed(_Alone):
    """Dense search over what the SAE gives back of passages and query, x_hat, each scaled to length 1."""

    name, needs, steers, lowest = "reconstructed dense", frozenset({VECTOR}), FILTER, None

    def __init__(self, sae: SAE, passages: NDArray[np.float32], ids: Ids = by_number) -> None:
        """passages: (n_passages, d_in), their reconstructions."""
        self._sae = sae
        self._dense = Dense(unit_rows(passages), ids=ids)
        self.ids = ids

    @property
    def bytes_per_passage(self) -> float:
        return self._dense.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        (vector,) = unit_rows(self._sae.reconstruct(query.embedding()))
        return self._dense.search(EmbeddedQuery(query.text, vector), cutoff, steering)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        raise BadData("reconstructed dense is there to be measured; to explain, search by dense or codes")


@dataclass(frozen=True, eq=False)
class _Listed(_Alone):
    """What systems have in common that look through the inverted lists of one index."""

    searcher: ConceptSearcher

    @property
    def ids(self) -> Ids:
        return self.searcher.index.ids

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_]:
        return self.searcher.listed_with(latents)


@dataclass(frozen=True, eq=False)
class CLSR(_Listed):
    """Concept-Level Sparse Retrieval over one index."""

    needs: ClassVar[frozenset[str]] = frozenset({VECTOR})
    steers: ClassVar[frozenset[str]] = CONCEPTS
    lowest: ClassVar[float | None] = None

    names: Names | None = None
    name: str = "CL-SR"

    @property
    def bytes_per_passage(self) -> float:
        index = self.searcher.index
        return index.bytes(forward=True) / max(1, index.n_passages)

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        return self.searcher.search(self._read(query), cutoff, steering)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        return self.searcher.explain(self._read(query), hits, self.names, steering)

    def _read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        """What of a query the SAE reads."""
        return query.embedding()


@dataclass(frozen=True, eq=False)
class TokenConcepts(CLSR):
    """The same by concepts of single tokens."""

    needs: ClassVar[frozenset[str]] = frozenset({TOKENS})

    name: str = "tokens"

    def _read(self, query: EmbeddedQuery) -> NDArray[np.float32]:
        return query.token_rows()


@dataclass(frozen=True, eq=False)
class RescoredCLSR(_Listed):
    """CL-SR whose best candidates are ordered anew by the dense query and their stored codes; boosts bend both."""

    name: ClassVar[str] = "CL-SR rescored"
    needs: ClassVar[frozenset[str]] = frozenset({VECTOR})
    steers: ClassVar[frozenset[str]] = CANDIDATES
    lowest: ClassVar[float | None] = None

    candidates: int
    bytes_per_passage: float
    names: Names | None = None

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        return self.searcher.rescored(query.embedding(), cutoff, max(cutoff, self.candidates), steering)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        return self.searcher.explain_rescored(query.embedding(), hits, self.names, steering)


@dataclass(frozen=True, eq=False)
class DenseRescored(_Listed):
    """The dense model's ranking of what concepts find: its scores, without reading every vector. Boosts bend both."""

    name: ClassVar[str] = "CL-SR then dense"
    needs: ClassVar[frozenset[str]] = frozenset({VECTOR})
    lowest: ClassVar[float | None] = None

    candidates: int
    dense: Dense
    bytes_per_passage: float

    @property
    def steers(self) -> frozenset[str]:
        return CANDIDATES if "boosts" in self.dense.steers else CANDIDATES - {"boosts"}

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        vector, most = query.embedding(), max(cutoff, self.candidates)
        found = np.sort(self.searcher.search(vector, most, steering).passages)
        scores = self.dense.passages[found] @ vector
        if steering.boosts:
            scores = self.dense.boosted(scores, found, query, steering.boosts)
        return best_of(found, scores, cutoff)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        return self.dense.explain(query, hits, steering)


@dataclass(frozen=True, eq=False)
class ConceptCodes(_Alone):
    """The dense query against the stored code of every passage, three bytes a concept; no inverted lists."""

    name: ClassVar[str] = "codes"
    needs: ClassVar[frozenset[str]] = frozenset({VECTOR})
    steers: ClassVar[frozenset[str]] = ACCOUNT
    lowest: ClassVar[float | None] = None

    searcher: ConceptSearcher
    bytes_per_passage: float
    names: Names | None = None
    ids: Ids = field(default=by_number)

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_]:
        return self.searcher.coded_with(latents)

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        self.check(steering)
        return self.searcher.scanned(query.embedding(), cutoff, steering)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        return self.searcher.explain_rescored(query.embedding(), hits, self.names, steering)
