"""What would change a score: a concept weaker, stronger, gone or added in an embedding, a sentence cut out.

In vectors a concept's activation z_j of an embedding x is moved to another one along the concept's direction,

    x' = x + sum_j (f_j - 1) z_j(x) w_j + a_j w_j

with f_j a factor, 0 to take it out, and a_j an activation to add. x' is not scaled back to length 1, so that a dense
score moves by exactly (f_j - 1) z_j (w_j . q) + a_j (w_j . q): what its account says that the concept adds.

In text the sentence that carries a concept is left out and the rest embedded anew. What is foretold is that the words
that stay keep their parts of the embedding, and their mean is taken again: the account by words. It is only nearly so,
since each word's part has read the others. Of an encoder that is no mean of words the sentences are embedded one by
one, each counted by its words, and foretold is what their sum loses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Passage, Trust
from unweave.encode.encoder import Encoder
from unweave.encode.words import InWords
from unweave.errors import BadData
from unweave.explaining.accounting import explain
from unweave.explaining.sentences import Sentence, sentences_of
from unweave.explaining.words import in_words
from unweave.sae.model import SAE

LARGEST = 1e6
"""A factor or an activation beyond it says no more, and sums with it are no longer exact."""


class Moved(NamedTuple):
    """A concept whose activation was changed."""

    latent: int
    name: str | None
    trust: Trust | None
    returns: bool | None
    before: float
    """Its activation, or in a search by concepts its factor, 1."""
    after: float


class Standing(NamedTuple):
    """Where a passage stands among all, before and after."""

    passage_id: str
    title: str
    before: float | None
    """Its score; None: it was not found."""
    rank_before: int | None
    after: float | None
    rank_after: int | None


@dataclass(frozen=True)
class Counterfactual:
    """What a change of concepts in the query, or in one passage, does to scores and ranks."""

    of: str
    """`query` or `passage`: what was changed."""
    system: str
    moved: tuple[Moved, ...]
    passage: Standing | None
    """The passage that was asked for."""
    hits: tuple[Standing, ...]
    """The first hits after the change, best first."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {
            "of": self.of,
            "system": self.system,
            "moved": [one._asdict() for one in self.moved],
            "passage": self.passage and self.passage._asdict(),
            "hits": [one._asdict() for one in self.hits],
        }


class Cut(NamedTuple):
    """What becomes of a score and of a concept when the sentence that carries it is left out."""

    latent: int
    name: str | None
    sentence: Sentence
    """The one that is left out."""
    before: float
    """The dense score of the whole passage."""
    after: float
    """Of the rest, embedded anew."""
    foretold: float
    """What the score would be if what stays had not read what is left out."""
    concept_before: float
    """What the concept adds to the score."""
    concept_after: float

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return {**self._asdict(), "sentence": self.sentence._asdict()}


def check_numbers(scale: Mapping[int, float], add: Mapping[int, float]) -> None:
    """Refuse what is no factor and no activation.

    Raises:
        BadData: naming the first that is no number, or too large.
    """
    for latent, value in (*scale.items(), *add.items()):
        if not abs(value) <= LARGEST:  # which also refuses what is not a number
            raise BadData(
                f"concept {latent} is given {value}; expected a number from -{LARGEST:,.0f} to {LARGEST:,.0f}"
            )


def moved(
    embedding: NDArray[np.floating[Any]], scale: Mapping[int, float], add: Mapping[int, float], sae: SAE
) -> NDArray[np.float64]:
    """The embedding, (d_in,), with concepts scaled by factors, and others of some activation added.

    Raises:
        BadData: a concept to be scaled is not active, there is no such latent, or one is scaled and added.
    """
    check_numbers(scale, add)
    x = np.asarray(embedding, np.float64)
    active = activations(x, sae)
    for latent in (*scale, *add):
        if not 0 <= latent < sae.config.n_latents:
            raise BadData(f"there is no concept {latent}; they are numbered from 0 to {sae.config.n_latents - 1:,}")
    if both := set(scale) & set(add):
        raise BadData(f"concept {min(both)} is to be scaled and to be added; give one of the two")
    for latent, factor in scale.items():
        if latent not in active:
            raise BadData(
                f"concept {latent} is not active there, so times {factor:g} changes nothing; add it with an activation"
            )
        x = x + (factor - 1) * active[latent] * sae.W_dec[latent].astype(np.float64)
    for latent, activation in add.items():
        x = x + activation * sae.W_dec[latent].astype(np.float64)
    return x


def activations(embedding: NDArray[np.floating[Any]], sae: SAE) -> dict[int, float]:
    """The active latents of one embedding, (d_in,), and their activations."""
    codes = sae.encode(np.asarray(embedding)[None])
    return dict(zip(codes.indices.tolist(), codes.data.tolist(), strict=True))


def cut(
    query: NDArray[np.floating[Any]], passage: Passage, latent: int, name: str | None, encoder: Encoder, sae: SAE,
    language: str,
) -> Cut:  # fmt: skip
    """Leave out the sentence that carries a concept, embed the rest anew, and see what becomes of the score.

    Args:
        query: (d_in,).
        language: of the passage, by which it is split into sentences.

    Raises:
        BadData: the passage does not activate the concept, or has one sentence only.
    """
    sentences = sentences_of(passage, latent, encoder, sae, language)
    carriers = [i for i, sentence in enumerate(sentences) if sentence.carries]
    if not carriers:
        raise BadData(f"the passage {passage.passage_id!r} does not activate concept {latent}")
    if len(sentences) < 2:
        raise BadData(f"the passage {passage.passage_id!r} is one sentence, so nothing is left without it")
    (carrier,) = carriers
    whole, without = encoder.encode_passages([passage.content, _rest(passage, sentences[carrier])])
    accounts = [explain(query, row, sae) for row in (whole, without)]
    added = [next((c.value for c in why.contributions if c.latent == latent), 0.0) for why in accounts]
    foretold = accounts[0].score + _foretold(query, passage, sentences, carrier, encoder)
    return Cut(latent, name, sentences[carrier], accounts[0].score, accounts[1].score, foretold, added[0], added[1])


def _rest(passage: Passage, sentence: Sentence) -> str:
    """What the encoder reads of a passage without a sentence, or without its title."""
    if sentence.start is None:
        return passage.text
    end = sentence.start + len(sentence.text)
    return passage._replace(text=f"{passage.text[: sentence.start].rstrip()} {passage.text[end:].lstrip()}").content


def _foretold(
    query: NDArray[np.floating[Any]], passage: Passage, sentences: list[Sentence], carrier: int, encoder: Encoder
) -> float:
    """By how much a score changes without a sentence, were it that of what stays as it was."""
    try:
        words = in_words(encoder, passage.content)
    except BadData:  # the encoder is no mean of words
        texts = [sentence.text for sentence in sentences]
        counts = np.array([[max(1, len(text.split()))] for text in texts])
        parts, stays = encoder.encode_passages(texts).astype(np.float64) * counts, np.arange(len(texts)) != carrier
    else:
        parts, stays = words.parts, ~_words_of(sentences[carrier], passage, words)
    whole, rest = parts.sum(axis=0), parts[stays].sum(axis=0)
    of_whole, of_rest = (float(query @ x / np.linalg.norm(x)) for x in (whole, rest))
    return of_rest - of_whole


def _words_of(sentence: Sentence, passage: Passage, words: InWords) -> NDArray[np.bool_]:
    """Which words begin in a sentence, (n_words,)."""
    start = passage.text_start + (-len(passage.title) - 1 if sentence.start is None else sentence.start)
    starts = np.array([-1 if word.start is None else word.start for word in words.words])
    return np.asarray((starts >= max(0, start)) & (starts < start + len(sentence.text)))
