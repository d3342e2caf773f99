"""An embedding as a sum over the words of its text, exactly: where an encoder averages its tokens' outputs.

    x = sum over tokens t of h_t / n, by length if the encoder normalises: e_t = h_t / |sum of h|, x = sum of e_t

Attention has mixed the words before: e_t is what the model makes of word t where it stands, not what it would be alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Word(NamedTuple):
    """A word of a text, or what else has a part in its embedding."""

    text: str
    start: int | None
    """Where it begins in the text, in characters; None: it is a special token, or of the prefix."""


class InWords(NamedTuple):
    """An embedding by the words of its text."""

    words: tuple[Word, ...]
    """In the order of the text, repeated where it repeats them; none of what the encoder did not read."""
    parts: NDArray[np.float64]
    """(n_words, d_in); their sum is the embedding."""


class Piece(NamedTuple):
    """Where a token's word stands in what the encoder read."""

    token: str
    word: int | None
    """The word's number; None: a special token."""
    start: int
    end: int
    """Of the word, in characters."""


def by_words(tokens: NDArray[np.float32], pieces: Sequence[Piece], text: str, before: int, *, unit: bool) -> InWords:
    """Sum the tokens of each word up.

    Args:
        tokens: (n_tokens, d_in) outputs whose mean is the embedding.
        pieces: (n_tokens,) of each token.
        text: what was read, the prefix included, which is its first `before` characters.
        unit: the embedding is scaled to length 1.
    """
    outputs = tokens.astype(np.float64)
    whole = outputs.sum(axis=0)
    length = float(np.linalg.norm(whole)) if unit else float(len(outputs))
    first = [i for i, piece in enumerate(pieces) if i == 0 or piece.word is None or piece.word != pieces[i - 1].word]
    words = [_word(pieces[i], text, before) for i in first]
    parts = np.add.reduceat(outputs, first, axis=0) / (length or 1.0)
    return InWords(tuple(words), parts)


def _word(piece: Piece, text: str, before: int) -> Word:
    if piece.word is None:
        return Word(piece.token, None)
    return Word(text[piece.start : piece.end], piece.start - before if piece.start >= before else None)
