"""Texts: the concepts that they activate, and the words that carry these."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from unweave.base.fields import LARGEST
from unweave.base.records import Trust
from unweave.server.shapes.base import LONGEST_QUERY, Shape


class Word(Shape):
    """A word of a text and its share of an activation."""

    start: int
    """In characters (code points) of the text it is of; of a passage, of title and text with a blank between them, as
    the encoder reads them."""
    end: int
    share: float
    """Its part of the activation, divided by the largest word's; below 0 it speaks against."""
    value: float
    """Its part of the activation."""


class MarkedText(Shape):
    """The words of one text that carry one concept."""

    key: str
    """The passage's id, or the example's number."""
    latent: int
    words: list[Word]
    """By share, the largest first; function words are not there."""
    others: float
    """The part of all words that are not listed."""


class WordsResult(Shape):
    """The words of some passages."""

    marked: list[MarkedText]


class WordPairs(Shape):
    """The dense score, word by word: query against passage."""

    passage_id: str
    query_words: list[str]
    words: list[str]
    pairs: list[list[float]]
    """(query words, words); their sum is the score."""
    score: float


class Activation(Shape):
    """A concept that a text activates."""

    latent: int
    name: str | None
    trust: Trust | None
    returns: bool | None
    holds_from: float | None
    activation: float
    strongest: float
    """The concept's highest activation in the corpus."""


class PassagePage(Shape):
    """A whole passage and the concepts that it activates."""

    passage_id: str
    title: str
    text: str
    metadata: dict[str, Any]
    concepts: list[Activation]
    """The strongest first."""


class TryText(Shape):
    """A text of one's own."""

    text: str = Field(min_length=1, max_length=LONGEST_QUERY)
    latent: int | None = Field(default=None, ge=0, le=LARGEST)
    """The concept whose words are to be marked."""


class Tried(Shape):
    """What a text of one's own activates."""

    activations: list[Activation]
    marked: list[MarkedText]
    """Of the concept that was asked about; empty where the encoder shows no words."""


class ActivePassage(Shape):
    """A passage that activates a concept."""

    passage_id: str
    title: str
    text: str
    activation: float


class ActivePassages(Shape):
    """Some of the passages that activate a concept, the strongest first."""

    rows: list[ActivePassage]
    total: int
