"""The sentences of a corpus: short texts in which a concept often stands alone, to train on and to name by."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

import numpy as np

from unweave.base.digests import digest_of
from unweave.base.records import Passage
from unweave.errors import MissingExtra

_FEWEST_WORDS = 4
PASSAGE = "passage"
"""Metadata field of a sentence: the position of its passage."""


def draw_sentences(corpus: Iterable[Passage], most: int, language: str) -> Iterator[Passage]:
    """At most `most` sentences, in corpus order, every sentence as likely as any other.

    Sentences of under four words are left out. The same corpus always gives the same sentences; it is read twice. Each
    sentence draws its own lot, the digest of its id, and the lowest are taken: those of a corpus that has grown are
    the same, but for the few that new ones have displaced.
    """
    counts, lots = [], array("Q")
    for passage in corpus:
        counts.append(len(split(passage.text, language)))
        lots.extend(digest_of(_id(passage, nth)) for nth in range(counts[-1]))
    drawn = np.zeros(len(lots), dtype=bool)
    drawn[np.argsort(np.array(lots, np.uint64), kind="stable")[:most]] = True
    starts = np.concatenate([[0], np.cumsum(counts)])
    for position, passage in enumerate(corpus):
        chosen = np.flatnonzero(drawn[starts[position] : starts[position + 1]])
        sentences = split(passage.text, language) if len(chosen) else []
        for nth in chosen.tolist():
            yield Passage(_id(passage, nth), "", sentences[nth], {PASSAGE: position})


def _id(passage: Passage, nth: int) -> str:
    return f"{passage.passage_id}#{nth}"


def has_sentences(corpus: Iterable[Passage], language: str) -> bool:
    """Whether there is any sentence to draw: a corpus of titles has none."""
    return any(split(passage.text, language) for passage in corpus)


def split(text: str, language: str) -> list[str]:
    """The sentences of a text, in order; those of under four words are left out."""
    try:
        import sentencex
    except ImportError as error:
        raise MissingExtra("splitting passages into sentences", "encode") from error
    found = (sentence.strip() for sentence in sentencex.segment(language, text))
    return [sentence for sentence in found if len(sentence.split()) >= _FEWEST_WORDS]
