"""The retrieval systems that are compared: each finds passages for one embedded query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unweave.errors import MissingExtra
from unweave.index.hits import Hits, best
from unweave.retrieval import ConceptSearcher
from unweave.sae.model import SAE


class EmbeddedQuery(NamedTuple):
    """A query in both forms that systems read."""

    text: str
    vector: NDArray[np.float32]  # (d_in,)


class System(Protocol):
    """Something that ranks a corpus."""

    @property
    def bytes_per_passage(self) -> float:
        """Size of what it searches, divided by the number of passages."""

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits: ...


class BM25:
    """Lucene's BM25 through bm25s: English stop words, Snowball stemmer, k1 1.2, b 0.75."""

    def __init__(self, texts: list[str]) -> None:
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise MissingExtra("the BM25 baseline", "evaluate") from error
        self._tokenizer = bm25s.tokenization.Tokenizer(stopwords="en", stemmer=Stemmer.Stemmer("english"))
        tokens = self._tokenizer.tokenize(texts, show_progress=False, return_as="tuple")
        self._retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        self._retriever.index(tokens, show_progress=False)
        self._n = len(texts)

    @property
    def bytes_per_passage(self) -> float:
        return float(sum(self._retriever.scores[name].nbytes for name in ("data", "indices", "indptr"))) / self._n

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        # Else a query of unknown words would become bm25s's empty word, which empty passages hold.
        (terms,) = self._tokenizer.tokenize(
            [query.text], update_vocab=False, show_progress=False, return_as="ids", allow_empty=False
        )
        scores = self._retriever.get_scores_from_ids(terms) if terms else np.zeros(self._n, dtype=np.float32)
        return best(scores, np.flatnonzero(scores > 0), cutoff)


@dataclass(frozen=True, eq=False)
class Dense:
    """Exhaustive search by dot product."""

    passages: NDArray[np.float32]  # (n_passages, d_in)

    @property
    def bytes_per_passage(self) -> float:
        return 4.0 * int(self.passages.shape[1])

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return best(self.passages @ query.vector, np.arange(len(self.passages)), cutoff)


class Reconstructed:
    """Dense search over what the SAE gives back of passages and query, x_hat, each scaled to length 1."""

    def __init__(self, sae: SAE, passages: NDArray[np.float32]) -> None:
        """passages: (n_passages, d_in), their reconstructions."""
        self._sae = sae
        self._dense = Dense(_normalized(passages))

    @property
    def bytes_per_passage(self) -> float:
        return self._dense.bytes_per_passage

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        (vector,) = _normalized(self._sae.reconstruct(query.vector))
        return self._dense.search(EmbeddedQuery(query.text, vector), cutoff)


@dataclass(frozen=True, eq=False)
class CLSR:
    """Concept-Level Sparse Retrieval."""

    searcher: ConceptSearcher
    bytes_per_passage: float

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.search(query.vector, cutoff)


@dataclass(frozen=True, eq=False)
class RescoredCLSR:
    """CL-SR whose best candidates are ordered anew by the dense query and their stored codes."""

    searcher: ConceptSearcher
    candidates: int
    bytes_per_passage: float

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.rescored(query.vector, cutoff, self.candidates)


@dataclass(frozen=True, eq=False)
class ConceptCodes:
    """The dense query against the stored code of every passage, three bytes a concept; no inverted lists."""

    searcher: ConceptSearcher
    bytes_per_passage: float

    def search(self, query: EmbeddedQuery, cutoff: int) -> Hits:
        return self.searcher.scanned(query.vector, cutoff)


def _normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
