"""A second encoder that comes with a package: the mean of a text's word vectors, and of each run of a few words in it.

WordLlama's vectors, (32,000, 256), are the token embeddings of a language model, trained further as sentence embeddings
on pairs of texts. No transformer is involved, so that ten thousand texts a second are embedded, and nothing of it is
shared with the encoder whose embeddings are explained: a judge that compares a name with a text here cannot be right
because that encoder thinks so.

A long text is about several things, and its mean about none of them. So a phrase p, a row of length 1 or not, is also
compared with the text's runs r of `RUN` word pieces, of which the nearest counts, as passages of a document do in Dai &
Callan 2019, "Deeper Text Understanding for IR with Contextual Neural Language Modeling" (MaxP):

    likeness(p, t) = p . whole(t)  +  max over r in t of p . mean(r) / |mean(r)|
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.files import file_digest
from unweave.base.vectors import unit_rows
from unweave.errors import MissingExtra

PACKAGE = "wordllama"
"""The package whose files are read; nothing of it is run."""
_WEIGHTS, _TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
_MOST_CHARACTERS = 4096
"""Of a text, so much is read."""
_SHORTEST = 1e-6
"""A run's sum counts as so long, at least: words may cancel."""
_AT_ONCE, _PHRASES_AT_ONCE = 256, 64
"""Texts, and phrases."""
RUN = 12
"""Word pieces, about nine words. Between 6 and 24 it makes no difference to how this goes with a reader's judgement."""


class Meanings(NamedTuple):
    """Texts, each as a whole and run by run."""

    whole: NDArray[np.float32]  # (n_texts, width), of length 1; zeros for a text without words
    vectors: NDArray[np.float32]
    """(n_words, width) of all words that there are."""
    words: NDArray[np.uint16]
    """(n,) the words of all texts, one text after another."""
    starts: NDArray[np.int64]
    """(n_texts + 1,) where each text begins in them."""
    scales: NDArray[np.float32]
    """(n,) 1 / |sum of the run| for the run that begins at a word; NaN where none does, at a text's end."""

    def likeness(self, phrases: NDArray[np.float32]) -> Callable[[int, NDArray[np.int64]], NDArray[np.float32]]:
        """What compares a phrase, a row of (n_phrases, width) given by its number, with some texts, (n_chosen,)."""

        @lru_cache(maxsize=1)
        def to_words(block: int) -> NDArray[np.float32]:
            some = phrases[block * _PHRASES_AT_ONCE : (block + 1) * _PHRASES_AT_ONCE]
            return np.asarray(some @ self.vectors.T)  # (n_some, n_words)

        def of(phrase: int, texts: NDArray[np.int64]) -> NDArray[np.float32]:
            block, row = divmod(phrase, _PHRASES_AT_ONCE)
            nearest = self._nearest(to_words(block)[row], texts)
            return np.asarray(self.whole[texts] @ phrases[phrase] + nearest, np.float32)

        return of

    def _nearest(self, to_words: NDArray[np.float32], texts: NDArray[np.int64]) -> NDArray[np.float64]:
        """A phrase's highest product with a run of each text, given its product with each word; 0 without words."""
        lengths = self.starts[texts + 1] - self.starts[texts]
        ends = np.cumsum(lengths)
        first = ends - lengths  # of each chosen text, among the words of all chosen ones
        place = np.repeat(self.starts[texts] - first, lengths) + np.arange(lengths.sum())
        sums = np.concatenate([[0.0], np.cumsum(to_words[self.words[place]], dtype=np.float64)])
        until = np.minimum(np.arange(len(place)) + RUN, np.repeat(ends, lengths))
        products = (sums[until] - sums[:-1]) * self.scales[place]
        found, some = np.zeros(len(texts)), lengths > 0
        found[some] = np.fmax.reduceat(products, first[some])
        return found


class StaticEncoder:
    """Word vectors, averaged over a text and scaled to length 1; loaded on first use.

    Raises:
        MissingExtra: the package that carries them is not installed.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None or importlib.util.find_spec("tokenizers") is None:
            raise MissingExtra("judging names in another space than the encoder's", "name")
        self._folder = Path(spec.origin).parent

    @property
    def identity(self) -> dict[str, Any]:
        return {"model": PACKAGE, "weights": f"sha256 {file_digest(self._folder / _WEIGHTS)}"}

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, 256); a text without words is a row of zeros."""
        sums = [self._vectors[words].sum(axis=0) for words in self._words(texts)]
        return unit_rows(np.array(sums, np.float32).reshape(len(texts), self._vectors.shape[1]))

    def read(self, texts: Sequence[str]) -> Meanings:
        """Texts as wholes and run by run."""
        words = list(self._words(texts))
        lengths = np.array([len(of) for of in words], np.int64)
        sums = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        scales = [np.empty(0, np.float32)]
        for row, of in zip(sums, words, strict=True):
            until = np.concatenate([np.zeros((1, len(row))), np.cumsum(self._vectors[of], axis=0, dtype=np.float64)])
            row[:] = until[-1]
            runs = until[RUN:] - until[:-RUN] if len(of) > RUN else until[-1:]
            found = np.full(len(of), np.nan, np.float32)
            if len(of):
                found[: len(runs)] = 1 / np.maximum(np.linalg.norm(runs, axis=1), _SHORTEST)
            scales.append(found)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        every = np.concatenate([np.empty(0, np.uint16), *words])
        return Meanings(unit_rows(sums), self._vectors, every, starts, np.concatenate(scales))

    def _words(self, texts: Sequence[str]) -> Iterator[NDArray[np.uint16]]:
        """Of each text the numbers of its words, or of their pieces."""
        for start in range(0, len(texts), _AT_ONCE):
            some = [text[:_MOST_CHARACTERS] for text in texts[start : start + _AT_ONCE]]
            for read in self._tokenizer.encode_batch(some, add_special_tokens=False):
                yield np.array(read.ids, np.uint16)

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        from safetensors.numpy import load_file

        return np.asarray(load_file(self._folder / _WEIGHTS)["embedding.weight"], np.float32)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self._folder / _TOKENIZER))
