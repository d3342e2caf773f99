"""BM25, the lexical baseline: each term's list of passages on disk, and scores explained by terms.

    terms.txt       the terms, ascending (see `base.strings`), with terms_ends.npy
    starts.npy      (n_terms + 1,) int64: where each term's list starts, and the end
    passages.npy    (n_postings,) int32: positions of the passages that have a term, ascending for each term
    scores.npy      (n_postings,) float32: what one occurrence of the term in a query gives the passage
    reading.json    how many passages there are, and how a query becomes terms
    sums.npy        the sums of the pages of all these but reading.json, see `base.pages`

A term in n of N passages gives one that has it f times, among l terms of avgdl on average,

    ln(1 + (N - n + .5) / (n + .5)) · f / (f + k1 (1 - b + b l / avgdl)),    k1 = 1.2, b = .75

as Lucene has it (Kamphuis et al. 2020); a passage's score is the sum over the terms of the query. Memory-mapped: what
a search reads is the lists of its terms.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.arrays import ArrayWriter, save_array
from unweave.base.artifact import Manifest, damaged, load_array, read_json, read_manifest
from unweave.base.building import build
from unweave.base.inverted import by_column, counts_by_column
from unweave.base.pages import open_checked, write_sums
from unweave.base.records import Contribution, Explanation
from unweave.base.strings import Strings
from unweave.errors import CorruptArtifact
from unweave.index.hits import Hits, best
from unweave.texts.terms import Terms

K1, B = 1.2, 0.75
_FILES = Strings.files_of("terms") | {"starts": (np.int64, 1), "passages": (np.int32, 1), "scores": (np.float32, 1)}
_SCRATCH = ("codes", "counts", "rows")
_WORDS_KEPT = 1 << 21


class BM25:
    """Passages by the words that they share with a query."""

    kind = "bm25"

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        opened = open_checked(folder, manifest, _FILES)
        self._terms = Strings(opened, "terms")
        self._starts = opened["starts"].whole()
        self._passages, self._scores = opened["passages"], opened["scores"]
        reading = read_json(folder, manifest, "reading.json")
        with damaged(f"{folder / 'reading.json'} does not say how a query is read ({{}}); rebuild the {self.kind}"):
            self.n_passages = int(reading["n_passages"])
            self._reading = Terms(reading["stemmer"], tuple(reading["stop_words"]))
        whole = len(self._starts) == len(self._terms) + 1 and int(self._starts[-1]) == len(self._passages)
        if not whole or self._starts[0] != 0 or (np.diff(self._starts) < 0).any():
            raise CorruptArtifact(f"{folder}: its lists are not where starts.npy says; rebuild the {self.kind}")
        if len(self._passages) != len(self._scores):
            raise CorruptArtifact(f"{folder}: its lists do not fit together; rebuild the {self.kind}")

    @classmethod
    def load(cls, folder: Path | str) -> BM25:
        """Open what `write` made.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        """
        folder = Path(folder)
        return cls(folder, read_manifest(folder, cls.kind))

    @classmethod
    def write(
        cls,
        folder: Path,
        texts: Iterable[str],
        n_texts: int,
        *,
        language: str = "en",
        made_from: Mapping[str, str] | None = None,
    ) -> BM25:
        """Count the words of texts, which are read once and not kept.

        Args:
            n_texts: how many there are.
            language: an ISO 639 code; it decides stop words and stemmer.

        Raises:
            MissingExtra: bm25s, which has the stop words, or PyStemmer is not installed.
            ValueError: there are fewer texts than that, or none.
        """
        if n_texts < 1:
            raise ValueError("there is no text to count words of")
        reading = Terms.of(language)
        with build(folder, cls.kind, settings={"language": language}, made_from=made_from or {}) as made:
            counted = _count(made.path, texts, n_texts, reading)
            _write_lists(made.path, counted)
            about = {"n_passages": len(counted.lengths), **asdict(reading)}
            write_sums(made.path, _FILES)
            (made.path / "reading.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
            made.results.update(
                n_terms=len(counted.terms),
                stemmer=reading.stemmer or "none",
                n_stop_words=len(reading.stop_words),
            )
        return cls.load(folder)

    def __repr__(self) -> str:
        return f"BM25({len(self._terms):,} terms of {self.n_passages:,} passages in {self.folder})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).load, (self.folder,)  # a mapped file cannot be copied; the folder is opened again

    @property
    def bytes_per_passage(self) -> float:
        """All that a search may read, terms included."""
        return self.manifest.bytes / max(1, self.n_passages)

    def search(self, query: str, cutoff: int, allowed: NDArray[np.bool_] | None = None) -> Hits:
        """The best passages that have a term of the query; there may be none.

        Args:
            allowed: (n_passages,) which may be found; by default all.
        """
        scores = np.zeros(self.n_passages, dtype=np.float32)
        for term in self._read(query):
            passages, worth = self._list(term.number)
            scores[passages] += worth
        found = scores > 0 if allowed is None else (scores > 0) & allowed
        return best(scores, np.flatnonzero(found), cutoff)

    def explain(
        self, query: str, passages: Sequence[int] | NDArray[np.integer], scores: Sequence[float] | NDArray[np.floating]
    ) -> list[Explanation]:
        """What each term of the query adds to each passage's score; a contribution is a term's, by its number.

        Args:
            passages: (n,) positions of passages that `search` found.
            scores: (n,) the scores that it gave them.
        """
        asked = np.asarray(passages, dtype=np.int64)
        read = self._read(query)
        times = Counter(term.number for term in read)
        words = {term.number: term.word for term in read}
        worth = {number: self._worth(number, asked).tolist() for number in times}
        return [
            _explanation(float(score), words, times, {number: of[nth] for number, of in worth.items() if of[nth]})
            for nth, score in enumerate(scores)
        ]

    def _read(self, query: str) -> list[_Term]:
        """The terms of a query that some passage has, in order, repeated where they are."""
        term_of = self._reading.reader()
        found = ((word, term_of(word)) for word in self._reading.words(query))
        numbers = ((word, self._terms.find(term)) for word, term in found if term is not None)
        return [_Term(number, word) for word, number in numbers if number is not None]

    def _list(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        chosen = int(self._starts[number]), int(self._starts[number + 1])
        passages = self._passages.part(*chosen)
        if len(passages) and not 0 <= passages[0] <= passages[-1] < self.n_passages:
            raise CorruptArtifact(f"{self.folder} lists passages that are not there; rebuild the {self.kind}")
        return passages, self._scores.part(*chosen)

    def _worth(self, number: int, asked: NDArray[np.int64]) -> NDArray[np.float32]:
        """What one occurrence of a term gives each of some passages, (n,); 0 where they do not have it."""
        passages, worth = self._list(number)
        places = np.minimum(np.searchsorted(passages, asked), len(passages) - 1)
        return np.where(passages[places] == asked, worth[places], np.float32(0))


class _Term(NamedTuple):
    """A term of a query."""

    number: int
    word: str
    """As the query has it."""


def _explanation(
    score: float, words: Mapping[int, str], times: Mapping[int, int], worth: Mapping[int, float]
) -> Explanation:
    """One passage's score: what each of its terms is worth there, as often as the query has it."""
    parts = [Contribution(t, words[t], float(times[t]), value, times[t] * value) for t, value in worth.items()]
    return Explanation(of="terms", score=score, contributions=tuple(sorted(parts, key=lambda part: -part.value)))


# --- making -----------------------------------------------------------------------------------------


class _Counted(NamedTuple):
    """What the texts hold; the entries, one a passage and term, lie in the scratch files."""

    terms: dict[str, int]
    """The code of each term, by first occurrence."""
    lengths: NDArray[np.int32]  # (n_passages,) terms of each


def _count(folder: Path, texts: Iterable[str], n_texts: int, reading: Terms) -> _Counted:
    """Read the texts once; write the code, count and passage of each entry."""
    term_of = reading.reader()
    code_of_word: dict[str, int] = {}
    terms: dict[str, int] = {}
    n_read = 0
    lengths = np.zeros(n_texts, dtype=np.int32)
    codes, counts, rows = (ArrayWriter(folder / f"{name}.npy", np.int32) for name in _SCRATCH)
    with codes, counts, rows, progress.steps("counting words", n_texts, "passages") as advance:
        for row, text in enumerate(texts):
            found = []
            for word in reading.words(text):
                code = code_of_word.get(word)
                if code is None:
                    term = term_of(word)
                    code = -1 if term is None else terms.setdefault(term, len(terms))
                    code_of_word[word] = code
                if code >= 0:
                    found.append(code)
            counted = Counter(found)
            codes.extend(counted.keys())
            counts.extend(counted.values())
            rows.extend(repeat(row, len(counted)))
            lengths[row] = len(found)
            if len(code_of_word) > _WORDS_KEPT:  # misspellings and numbers have no end
                code_of_word.clear()
            n_read = row + 1
            advance(1)
    if not n_read == n_texts:
        raise ValueError(f"expected {n_texts} texts, got {n_read}")
    return _Counted(terms, lengths)


def _write_lists(folder: Path, counted: _Counted) -> None:
    """Turn the entries into each term's list."""
    codes, counts, rows = (load_array(folder / f"{name}.npy", BM25.kind) for name in _SCRATCH)
    ascending = sorted(counted.terms)
    Strings.write(folder, "terms", ascending)
    number_of = np.empty(len(ascending), dtype=np.int32)
    number_of[[counted.terms[term] for term in ascending]] = np.arange(len(ascending))
    frequencies = counts_by_column(codes, number_of, len(ascending))
    save_array(folder / "starts.npy", np.concatenate([[0], np.cumsum(frequencies)]))
    n_passages = len(counted.lengths)
    idf = np.log(1 + (n_passages - frequencies + 0.5) / (frequencies + 0.5)).astype(np.float32)
    lengths = np.maximum(counted.lengths, 1)  # as bm25s counts, to which an empty text is one empty word
    norms = K1 * ((1 - B) + B * lengths / lengths.mean())
    passages, scores = ArrayWriter(folder / "passages.npy", np.int32), ArrayWriter(folder / "scores.npy", np.float32)
    with passages, scores:
        for entries in by_column(codes, number_of, frequencies):
            of_passage, f = rows[entries], counts[entries]
            passages.append(of_passage)
            scores.append(idf[number_of[codes[entries]]] * (f / (norms[of_passage] + f)))
    for name in _SCRATCH:
        (folder / f"{name}.npy").unlink()
