"""BM25, the lexical baseline, its scores explained by terms."""

from __future__ import annotations

from collections import Counter

import numpy as np

from unweave.base.records import Contribution, Explanation
from unweave.errors import MissingExtra
from unweave.index.hits import Hits, best
from unweave.retrieval.query import EmbeddedQuery


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
        terms = self._terms(query.text)
        scores = self._retriever.get_scores_from_ids(terms) if terms else np.zeros(self._n, dtype=np.float32)
        return best(scores, np.flatnonzero(scores > 0), cutoff)

    def explain(self, query: EmbeddedQuery, passage: int, score: float) -> Explanation:
        """What each term of the query adds; a contribution is a term's, by its number in the vocabulary."""
        word_of = {term: word for word in self._tokenizer.splitter(query.text.lower()) for term in self._terms(word)}
        counts = Counter(self._terms(query.text))
        worth = {term: self._worth(term, passage) for term in counts}
        parts = [
            Contribution(term, word_of[term], float(count), worth[term], count * worth[term])
            for term, count in counts.items()
            if worth[term]
        ]
        return Explanation(of="terms", score=score, contributions=tuple(sorted(parts, key=lambda part: -part.value)))

    def _terms(self, text: str) -> list[int]:
        # Else a query of unknown words would become bm25s's empty word, which empty passages hold.
        (terms,) = self._tokenizer.tokenize(
            [text], update_vocab=False, show_progress=False, return_as="ids", allow_empty=False
        )
        return list(terms)

    def _worth(self, term: int, passage: int) -> float:
        """The score that one occurrence of a term in the query gives a passage."""
        stored = self._retriever.scores
        row = slice(stored["indptr"][term], stored["indptr"][term + 1])
        return float(stored["data"][row][stored["indices"][row] == passage].sum())
