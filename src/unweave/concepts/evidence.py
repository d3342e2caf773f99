"""The texts that show what a latent is about, and those that show what it is not.

Of the passages that activate a latent, ordered by strength, every third is kept from namers, with its sentences, so
that judges ask about texts that no name was made from. A near miss is matched to one active text, its nearest silent
one: texts that are near to all active ones at once would be nearer to them than they are to each other, and no judge
that compares embeddings could tell them apart.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack

from unweave.base import progress
from unweave.base.records import Passage
from unweave.concepts.concept import Concept, Example
from unweave.config import EvidenceConfig
from unweave.encode.encoder import Encoder, Remembering
from unweave.encode.static import Meanings, StaticEncoder
from unweave.sae.latents import encode_all
from unweave.texts.sentences import PASSAGE

if TYPE_CHECKING:
    from unweave.sae.model import SAE

_BLOCK = 512
"""Texts whose neighbours are looked for at a time."""
_NEIGHBOURS = 20
"""Nearest texts of each text, among which its near miss is looked for."""
_NEIGHBOUR_POOL = 20_000
"""Texts that can be near misses, at most."""
_KEPT_FROM_NAMERS = 3
"""Every so many-th passage is for judges."""
_RANDOM = 240
"""Texts that are drawn at random for a latent."""


class Samples(NamedTuple):
    """One latent's texts, by their number in the evidence."""

    texts: NDArray[np.int64]
    """(n,) texts that activate it, strongest first."""
    activations: NDArray[np.float32]
    """(n,) how strongly each does."""
    near_misses: NDArray[np.int64]
    """(n,) of each of them, the silent text nearest to it in embedding; -1 where all its neighbours are active."""
    random: NDArray[np.int64]
    """(r,) silent texts, drawn at random."""

    def without(self, seen: NDArray[np.int64]) -> Samples:
        """Those that are not among some texts."""
        fresh, near = ~np.isin(self.texts, seen), self.near_misses
        return Samples(
            self.texts[fresh],
            self.activations[fresh],
            np.where(np.isin(near, seen), -1, near)[fresh],
            np.setdiff1d(self.random, seen),
        )


class Rows(Protocol):
    """Embeddings, on disk or in memory."""

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at these positions, (len(positions), d_in)."""

    def batches(self) -> Iterator[NDArray[np.float32]]:
        """All rows in order, some at a time."""


class Texts(NamedTuple):
    """Passages, or their sentences, with their embeddings row by row."""

    corpus: Sequence[Passage]
    embeddings: Rows


class Evidence:
    """Passages and their sentences as texts 0, 1, 2 …: passages first, then sentences."""

    def __init__(
        self,
        sae: SAE,
        passages: Texts,
        sentences: Texts | None,
        config: EvidenceConfig,
        *,
        encoder: Encoder,
        latents: csr_array | None = None,
    ) -> None:
        """Gather the texts.

        Args:
            sentences: each one's metadata holds the position of its passage.
            encoder: what embedded them.
            latents: of the passages, (n_passages, n_latents), if they are known already.
        """
        self.config = config
        self.sae = sae
        self._encoder = encoder
        self._corpus, self._sentences = passages.corpus, None if sentences is None else sentences.corpus
        self.passages = _drawn(len(passages.corpus), config.passages, config.seed)
        """(n_passages,) positions in the corpus of the passages that are looked at, ascending."""
        of_corpus = encode_all(passages.embeddings.batches(), sae) if latents is None else latents
        embeddings, of_texts = [passages.embeddings.take(self.passages)], [csr_array(of_corpus[self.passages])]
        passage_of = [np.arange(len(self.passages))]
        self._sentence_positions = np.empty(0, np.int64)
        if sentences is not None:
            of = np.array([sentence.metadata[PASSAGE] for sentence in sentences.corpus], np.int64)
            self._sentence_positions = np.flatnonzero(np.isin(of, self.passages))
            embeddings.append(sentences.embeddings.take(self._sentence_positions))
            of_texts.append(sae.encode(embeddings[-1]))
            passage_of.append(np.searchsorted(self.passages, of[self._sentence_positions]))
        self.embeddings = np.concatenate(embeddings)
        """(n_texts, d_in)"""
        self.passage_of = np.concatenate(passage_of)
        """(n_texts,) number of the passage that each text is, or is a sentence of."""
        in_corpus = np.bincount(of_corpus.indices, minlength=sae.config.n_latents)
        self._see(csc_array(vstack(of_texts).tocsc()), in_corpus)

    def __len__(self) -> int:
        return len(self.passage_of)

    def seen_by(self, sae: SAE) -> Evidence:
        """The same texts as another SAE on the same embeddings sees them; its frequencies are those in these texts."""
        _ = self.neighbours, self.meanings  # these do not depend on the SAE, and take longest
        other = copy.copy(self)
        other.sae, of_texts = sae, csc_array(sae.encode(self.embeddings).tocsc())
        of_passages = csr_array(of_texts)[: len(self.passages)]
        other._see(of_texts, np.bincount(of_passages.indices, minlength=of_texts.shape[1]))
        return other

    def seen_in_groups(self, groups: csr_array) -> Evidence:
        """The same texts as groups of latents see them: each as strongly as its latents together.

        Args:
            groups: (n_latents, n_groups), 1 for a latent of a group.
        """
        other = copy.copy(self)
        of_texts = csc_array((csr_array(self.latents) @ groups).tocsc())
        of_passages = csr_array(of_texts)[: len(self.passages)]
        other._see(of_texts, np.bincount(of_passages.indices, minlength=of_texts.shape[1]))
        return other

    def _see(self, latents: csc_array, document_frequency: NDArray[np.int64]) -> None:
        self.latents = latents
        """(n_texts, n_latents)"""
        self.live = np.flatnonzero(np.diff(latents.indptr))
        """Latents that are active for at least one text."""
        self.document_frequency = document_frequency
        """(n_latents,) passages of the whole corpus in which each latent is active."""

    def content(self, text: int) -> str:
        """A text as the encoder reads it."""
        n = len(self.passages)
        if text < n:
            return self._corpus[int(self.passages[text])].content
        assert self._sentences is not None
        return self._sentences[int(self._sentence_positions[text - n])].content

    def contents(self) -> list[str]:
        """All texts, (n_texts,)."""
        return [self.content(text) for text in range(len(self))]

    def example(self, text: int, activation: float, band: str) -> Example:
        """A text as it is kept in the store: by its source and its position there."""
        n = len(self.passages)
        if text < n:
            return Example("passages", int(self.passages[text]), activation, band)
        return Example("sentences", int(self._sentence_positions[text - n]), activation, band)

    def concepts(self, latents: Sequence[int]) -> Iterator[Concept]:
        """Latents with the examples that are kept of them: of three bands, near misses and random ones."""
        most, others = self.config.examples, self.config.other_examples
        for latent in latents:
            texts, activations, _, spoken, random = self._sample(latent)
            near = self._nearest_silent(texts[: 4 * others], spoken)
            missed = list(dict.fromkeys(near[near >= 0].tolist()))
            silent = {"near-miss": missed[:others], "random": random[:others].tolist()}
            active = bands(len(texts), most, others)
            yield Concept(
                latent=latent,
                document_frequency=int(self.document_frequency[latent]),
                strongest=float(activations[0]),
                examples=(
                    *(
                        self.example(int(texts[i]), float(activations[i]), band)
                        for band in active
                        for i in active[band]
                    ),
                    *(self.example(text, 0.0, band) for band in silent for text in silent[band]),
                ),
            )

    def active(self, latent: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All texts that activate a latent and how strongly, strongest first, both (n,)."""
        column = slice(self.latents.indptr[latent], self.latents.indptr[latent + 1])
        texts, activations = self.latents.indices[column], self.latents.data[column]
        order = np.lexsort((texts, -activations))
        return texts[order].astype(np.int64), activations[order]

    @cached_property
    def encoder(self) -> Encoder:
        """What embeds texts as these were embedded, each once; loaded on first use."""
        return Remembering(self._encoder)

    @cached_property
    def second_encoder(self) -> StaticEncoder:
        """An encoder that shares nothing with the one whose embeddings are explained.

        Raises:
            MissingExtra: it is not installed.
        """
        return StaticEncoder()

    @cached_property
    def meanings(self) -> Meanings:
        """All texts by the second encoder."""
        return self.second_encoder.read(self.contents())

    def for_naming(self, latents: Sequence[int]) -> Iterator[tuple[int, Samples]]:
        """Each latent's texts that namers may see."""
        for latent in latents:
            texts, activations, kept, spoken, random = self._sample(latent)
            near = self._nearest_silent(texts[~kept], spoken)
            yield latent, Samples(texts[~kept], activations[~kept], near, random[: len(random) // 2])

    def for_judging(self, latents: Sequence[int]) -> Iterator[tuple[int, Samples]]:
        """Each latent's texts that no namer has seen, near misses too."""
        for latent in latents:
            texts, activations, kept, spoken, random = self._sample(latent)
            shown = self._nearest_silent(texts[~kept], spoken)
            spoken[shown[shown >= 0]] = True
            near = self._nearest_silent(texts[kept], spoken)
            random = random[len(random) // 2 :]
            yield latent, Samples(texts[kept], activations[kept], near, random[~spoken[random]])

    def _sample(
        self, latent: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """A latent's texts, their activations, which are for judges; which texts are no negatives; random ones."""
        texts, activations = self.active(latent)
        spoken = np.zeros(len(self), np.bool_)
        # A silent sentence of an active passage is no negative, nor the passage of an active sentence, nor its others.
        active = np.zeros(len(self.passages), np.bool_)
        active[self.passage_of[texts]] = True
        spoken[:] = active[self.passage_of]
        drawn = np.unique(np.random.default_rng([self.config.seed, latent]).integers(len(self), size=_RANDOM))
        random = np.random.default_rng([self.config.seed, latent, 1]).permutation(drawn[~spoken[drawn]])
        return texts, activations, kept_from_namers(self.passage_of[texts]), spoken, random

    def _nearest_silent(self, texts: NDArray[np.int64], spoken: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Of each text the nearest that is silent, (n,); -1 if there is none among its neighbours."""
        near = self.neighbours[texts]
        silent = ~spoken[near]
        first = silent.argmax(axis=1)
        rows = np.arange(len(texts))
        return np.where(silent[rows, first], near[rows, first], -1).astype(np.int64)

    @cached_property
    def neighbours(self) -> NDArray[np.int32]:
        """The texts nearest to each text, (n_texts, n_neighbours), nearest first, among at most so many drawn ones."""
        pool = _drawn(len(self), _NEIGHBOUR_POOL, self.config.seed)
        few = min(_NEIGHBOURS, len(pool))
        candidates = self.embeddings[pool]
        neighbours = np.empty((len(self), few), np.int32)
        with progress.steps("near misses", total=len(self), unit="texts") as advance:
            for start in range(0, len(self), _BLOCK):
                nearness = self.embeddings[start : start + _BLOCK] @ candidates.T
                near = np.argpartition(-nearness, few - 1, axis=1)[:, :few]
                order = np.argsort(-np.take_along_axis(nearness, near, axis=1), axis=1, kind="stable")
                neighbours[start : start + _BLOCK] = pool[np.take_along_axis(near, order, axis=1)]
                advance(len(nearness))
        return neighbours


def kept_from_namers(passages: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a latent's texts, strongest first and given by their passages, are for judges: every third passage."""
    _, first, inverse = np.unique(passages, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)  # of each passage, among the latent's passages by strength
    place[np.argsort(first)] = np.arange(len(first))
    return np.asarray(place[inverse] % _KEPT_FROM_NAMERS == _KEPT_FROM_NAMERS - 1)


def bands(n: int, top: int, others: int) -> dict[str, NDArray[np.int64]]:
    """Which of n texts, strongest first, are shown as top, middle and low ones; no text is in two bands."""
    rest = np.arange(min(top, n), n)
    low = rest[max(len(rest) - others, 0) :]
    between = rest[: len(rest) - len(low)]
    start = max((len(between) - others) // 2, 0)
    return {"top": np.arange(min(top, n)), "middle": between[start : start + others], "low": low}


def _drawn(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many of n positions, ascending."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
