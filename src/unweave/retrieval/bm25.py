"""BM25, the lexical baseline, its scores explained by terms."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Contribution, Explanation
from unweave.errors import MissingExtra
from unweave.index.hits import Hits, best
from unweave.retrieval.query import TEXT, EmbeddedQuery
from unweave.retrieval.steering import AS_IT_IS, FILTER, Steering
from unweave.retrieval.systems import Ids, by_number


class BM25:
    """Lucene's BM25 through bm25s: English stop words, Snowball stemmer, k1 1.2, b 0.75."""

    name, needs, steers, lowest = "BM25", frozenset({TEXT}), FILTER, 0.0

    def __init__(self, texts: list[str], ids: Ids = by_number) -> None:
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
        self.ids = ids

    @property
    def bytes_per_passage(self) -> float:
        return float(sum(self._retriever.scores[name].nbytes for name in ("data", "indices", "indptr"))) / self._n

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        steering.check(self.name, self.steers)
        terms = self._terms(query.words())
        scores = self._retriever.get_scores_from_ids(terms) if terms else np.zeros(self._n, dtype=np.float32)
        found = scores > 0 if steering.allowed is None else (scores > 0) & steering.allowed
        return best(scores, np.flatnonzero(found), cutoff)

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        """What each term of the query adds; a contribution is a term's, by its number in the vocabulary."""
        text = query.words()
        word_of = {term: word for word in self._tokenizer.splitter(text.lower()) for term in self._terms(word)}
        counts = Counter(self._terms(text))
        worth = {term: self._worth(term, hits.passages) for term in counts}
        return [
            Explanation("terms", score, tuple(sorted(
                (Contribution(term, word_of[term], float(count), value, count * value)
                 for term, count in counts.items() if (value := float(worth[term][nth]))),
                key=lambda part: -part.value,
            )))
            for nth, score in enumerate(hits.scores.tolist())
        ]  # fmt: skip

    def _terms(self, text: str) -> list[int]:
        # Else a query of unknown words would become bm25s's empty word, which empty passages hold.
        (terms,) = self._tokenizer.tokenize(
            [text], update_vocab=False, show_progress=False, return_as="ids", allow_empty=False
        )
        return list(terms)

    def _worth(self, term: int, passages: NDArray[np.int64]) -> NDArray[np.float64]:
        """The score that one occurrence of a term in the query gives each of some passages, (n,)."""
        stored = self._retriever.scores
        row = slice(stored["indptr"][term], stored["indptr"][term + 1])
        of_all = np.zeros(self._n)
        of_all[stored["indices"][row]] = stored["data"][row]
        return of_all[passages]
