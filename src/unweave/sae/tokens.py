"""Token-level concepts: what a text activates, token by token, before the encoder pools its tokens into one vector.

An SAE is trained on single token outputs, each scaled to length 1. A text's activation of a latent is the sum over its
tokens:

    z_j(text) = sum over tokens t of  z_j(o_t / |o_t|)

so that a term that comes twice counts twice, as in a bag of words, and the scoring's saturation and length
normalisation hold it back. One vector cannot keep what each word was; its tokens do. What comes out are latents like
those of pooled embeddings: the same index, scoring and explanations read them.
Source: "Latent Terms", arXiv 2605.29384.

    model.safetensors  an SAE's, see `sae.model`
    words.json         each latent's words and how much they activate it, the most first
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from unweave.base import progress
from unweave.base.artifact import damaged, read_json, read_manifest
from unweave.base.plain import plain
from unweave.base.vectors import unit_rows
from unweave.encode.encoder import TokenEncoder
from unweave.errors import BadData
from unweave.sae.model import SAE

WORDS = "words.json"
_TEXTS_AT_ONCE = 512


class Sample(NamedTuple):
    """Tokens to learn from, and the word that each is a piece of."""

    rows: NDArray[np.float32]  # (n, d_token), each of length 1
    words: list[str]  # n


def unit_tokens(
    encoder: TokenEncoder, texts: Sequence[str], *, of_queries: bool = False
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """The tokens of some hundred texts at a time, never of all: they take a hundred times the room of embeddings.

    Yields:
        (n_tokens, d_token), each of length 1, and (n_texts + 1,) where each text's tokens begin and end.
    """
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        outputs = encoder.encode_tokens(texts[start : start + _TEXTS_AT_ONCE], of_queries=of_queries)
        ends = np.cumsum([0, *(len(output) for output in outputs)], dtype=np.int64)
        yield unit_rows(np.concatenate(outputs)), ends


def sample(encoder: TokenEncoder, texts: Sequence[str], most: int, seed: int = 0) -> Sample:
    """Tokens to train on: those of texts drawn at random, until there are `most`.

    Args:
        texts: as many of them are read as it takes.
        most: tokens at most; they are held in memory.

    Raises:
        BadData: there are no texts, or the encoder's tokens are not its tokenizer's.
    """
    if not texts:
        raise BadData("there are no texts to take tokens of")
    order = np.random.default_rng(seed).permutation(len(texts))
    rows = np.empty((0, 0), np.float32)
    words: list[str] = []
    with progress.steps("reading tokens to learn from", total=most, unit="tokens") as advance:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = [texts[i] for i in order[start : start + _TEXTS_AT_ONCE]]
            ((tokens, _),) = unit_tokens(encoder, some)
            of_tokens = list(chain.from_iterable(encoder.words(some)))
            if len(tokens) != len(of_tokens):
                raise BadData(
                    f"the encoder gave {len(tokens):,} tokens for {len(of_tokens):,} of its tokenizer; "
                    "does a module of its own shorten or lengthen texts?"
                )
            if not words:
                rows = np.empty((most, tokens.shape[1]), np.float32)  # pages that are not written take no memory
            room = rows[len(words) : len(words) + len(tokens)]
            room[:] = tokens[: len(room)]
            words += of_tokens[: len(room)]
            advance(len(room))
            if len(words) == most:
                break
    return Sample(rows[: len(words)], words)


class Word(NamedTuple):
    """A word that a latent of tokens goes with."""

    word: str
    share: float
    """Of the latent's whole activation, over a sample of tokens."""


def words_of(sae: SAE, some: Sample, most: int = 3) -> dict[int, list[Word]]:
    """What names each latent: the words that set its tokens apart from all tokens, the first before the others.

    A word counts p(w | j) log(p(w | j) / p(w)), its part of the relative entropy, where p(w | j) is its share of the
    latent's activation and p(w) its share of all activation; in small letters. Marks are named only where there are no
    words. A latent that the sample does not activate is missing.
    """
    vocabulary: dict[str, int] = {}
    numbers = np.array([vocabulary.setdefault(plain(word).casefold(), len(vocabulary)) for word in some.words])
    spoken = np.array([any(c.isalnum() for c in word) for word in vocabulary])
    n_tokens = len(numbers)
    told = csr_array((np.ones(n_tokens, np.float32), (numbers, np.arange(n_tokens))), shape=(len(vocabulary), n_tokens))
    by_latent = csr_array((told @ sae.encode(some.rows)).T)
    overall = by_latent.sum(axis=0) / by_latent.sum()
    words, found = list(vocabulary), {}
    for latent in np.flatnonzero(np.diff(by_latent.indptr)).tolist():
        row = slice(by_latent.indptr[latent], by_latent.indptr[latent + 1])
        at, share = by_latent.indices[row], by_latent.data[row] / by_latent.data[row].sum()
        apart = share * np.log(share / overall[at])
        apart[~spoken[at] & spoken[at].any()] = -np.inf
        best, *others = np.argsort(-apart, kind="stable")[:most]
        found[latent] = [
            Word(words[at[i]], round(float(share[i]), 4)) for i in (best, *others) if i == best or apart[i] > 0
        ]
    return found


def read_names(folder: Path) -> dict[int, str]:
    """Each latent's name, from the words that `words_of` found and `WORDS` holds.

    Raises:
        CorruptArtifact: the file is not whole.
    """
    named = read_json(folder, read_manifest(folder, "sae"), WORDS)
    with damaged(f"{folder / WORDS} does not hold the words of an SAE of tokens ({{}}); fit it again"):
        return {int(latent): ", ".join(str(word) for word, _ in words) for latent, words in named.items() if words}


def encode_texts(encoder: TokenEncoder, sae: SAE, texts: Sequence[str], *, of_queries: bool = False) -> csr_array:
    """Latents of texts, (n_texts, n_latents): each activation summed over the text's tokens.

    Raises:
        DimensionMismatch: the SAE was trained on other outputs than this encoder's tokens.
    """
    pooled = [
        sum_pooled(sae.encode(tokens), ends) for tokens, ends in unit_tokens(encoder, texts, of_queries=of_queries)
    ]
    return csr_array(vstack(pooled, format="csr")) if pooled else csr_array((0, sae.config.n_latents), dtype=np.float32)


def sum_pooled(latents: csr_array, ends: NDArray[np.int64]) -> csr_array:
    """Latents of texts from those of their tokens, (n_tokens, n_latents): row i sums rows ends[i] to ends[i+1] - 1."""
    n_tokens = latents.shape[0]
    belongs = csr_array((np.ones(n_tokens, np.float32), np.arange(n_tokens), ends), shape=(len(ends) - 1, n_tokens))
    pooled = csr_array(belongs @ latents)
    pooled.sort_indices()
    return pooled
