"""Token-level concepts: what a text activates, token by token, before the encoder pools its tokens into one vector.

An SAE is trained on single token outputs, each scaled to length 1. A text's activation of a latent is the sum over its
tokens:

    z_j(text) = sum over tokens t of  z_j(o_t / |o_t|)

so that a term that comes twice counts twice, as in a bag of words, and the scoring's saturation and length
normalisation hold it back. One vector cannot keep what each word was; its tokens do. What comes out are latents like
those of pooled embeddings: the same index, scoring and explanations read them.
Source: "Latent Terms", arXiv 2605.29384.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from unweave import progress
from unweave.errors import BadData
from unweave.sae.model import SAE

_TEXTS_AT_ONCE = 512


class TokenEncoder(Protocol):
    """An encoder that shows its tokens before it pools them."""

    def encode_tokens(self, texts: Sequence[str], *, of_queries: bool = False) -> list[NDArray[np.float32]]: ...


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
        tokens = np.concatenate(outputs)
        lengths = np.linalg.norm(tokens, axis=1, keepdims=True)
        yield tokens / np.maximum(lengths, np.finfo(np.float32).tiny), ends


def sample(encoder: TokenEncoder, texts: Sequence[str], most: int, seed: int = 0) -> NDArray[np.float32]:
    """Tokens to train on, (n, d_token) of length 1, n <= most: all of the texts', or an even share of each text's.

    Args:
        texts: in any order; they are read once.
        most: tokens at most; they are held in memory.
    """
    if not texts:
        raise BadData("there are no texts to take tokens of")
    random = np.random.default_rng(seed)
    kept: list[NDArray[np.float32]] = []
    with progress.steps("reading tokens", total=len(texts), unit="texts") as advance:
        for tokens, ends in unit_tokens(encoder, texts):
            n_texts = len(ends) - 1
            share = min(len(tokens), round(most * n_texts / len(texts)))
            kept.append(tokens[np.sort(random.choice(len(tokens), share, replace=False))])
            advance(n_texts)
    return np.concatenate(kept)[:most]


def encode_texts(encoder: TokenEncoder, sae: SAE, texts: Sequence[str], *, of_queries: bool = False) -> csr_array:
    """Latents of texts, (n_texts, n_latents): each activation summed over the text's tokens.

    Raises:
        DimensionMismatch: the SAE was trained on other outputs than this encoder's tokens.
    """
    pooled = []
    with progress.steps("reading tokens", total=len(texts), unit="texts") as advance:
        for tokens, ends in unit_tokens(encoder, texts, of_queries=of_queries):
            pooled.append(sum_pooled(sae.encode(tokens), ends))
            advance(len(ends) - 1)
    return csr_array(vstack(pooled, format="csr")) if pooled else csr_array((0, sae.config.n_latents), dtype=np.float32)


def sum_pooled(latents: csr_array, ends: NDArray[np.int64]) -> csr_array:
    """Latents of texts from those of their tokens, (n_tokens, n_latents): row i sums rows ends[i] to ends[i+1] - 1."""
    n_tokens = latents.shape[0]
    belongs = csr_array((np.ones(n_tokens, np.float32), np.arange(n_tokens), ends), shape=(len(ends) - 1, n_tokens))
    pooled = csr_array(belongs @ latents)
    pooled.sort_indices()
    return pooled
