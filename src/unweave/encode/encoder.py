"""What an encoder is: anything that turns texts into vectors, and maybe shows its tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from unweave.base.vectors import refuse_unusable
from unweave.config import PRECOMPUTED
from unweave.encode.words import InWords
from unweave.errors import BadData

HOW = frozenset({"precision", "files"})
"""What an identity says of how embeddings came about; others of the same encoder fit them all the same."""


@runtime_checkable
class Encoder(Protocol):
    """Anything that turns texts into rows of a float32 array, (n_texts, d_in)."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the embeddings: model, weights, prefixes; recorded with them."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that shows its tokens before it pools them."""

    def encode_tokens(self, texts: Sequence[str], *, of_queries: bool = False) -> list[NDArray[np.float32]]: ...

    def words(self, texts: Sequence[str], *, of_queries: bool = False) -> list[list[str]]: ...


@runtime_checkable
class WordEncoder(Protocol):
    """An encoder whose embeddings are sums over the words of their texts."""

    def in_words(self, texts: Sequence[str], *, of_queries: bool = False) -> list[InWords]: ...


def same_encoder(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two identities are of one encoder, in whatever precision it ran and wherever its embeddings come from."""
    return all(one.get(name) == other.get(name) for name in (one.keys() | other.keys()) - HOW)


def same_space(passages: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether other texts' embeddings can be compared with those of passages, by the identities of what made them.

    Embeddings that were brought along without a word on what made them are taken for what they were brought as; those
    of a known encoder do not fit passages of an unknown one.
    """
    if others["model"] == PRECOMPUTED:
        return True
    prefixes = {"query_prefix": "", "passage_prefix": ""}  # passages have the one, queries the other
    return same_encoder({**passages, **prefixes}, {**others, **prefixes})


class CallableEncoder:
    """A user's own function from texts to vectors.

    It is known by its name alone: whoever changes what it does has to embed anew.
    """

    def __init__(self, embed: Callable[[list[str]], Any]) -> None:
        self.embed = embed
        self._name = getattr(embed, "__qualname__", type(embed).__qualname__)
        self._width: int | None = None

    @property
    def identity(self) -> dict[str, Any]:
        return {"model": f"callable {self._name}"}

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the function gives, (n_texts, d_in); zeros for a text of which it knows nothing.

        Whoever needs a direction refuses zeros.

        Raises:
            BadData: not one row of numbers a text, rows of another width than before, or one that is not finite.
        """
        try:
            rows = np.asarray(self.embed(list(texts)), dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise BadData(
                f"the encoder {self._name} gave no array of numbers for {len(texts)} text(s): {error}"
            ) from error
        if rows.ndim != 2 or len(rows) != len(texts):
            raise BadData(
                f"the encoder {self._name} gave an array of shape {rows.shape} for {len(texts)} text(s); "
                f"expected ({len(texts)}, d_in), one row a text"
            )
        self._width = self._width or rows.shape[1]
        if rows.shape[1] != self._width:
            raise BadData(f"the encoder {self._name} gave rows {rows.shape[1]} wide, and {self._width} wide before")
        known = np.flatnonzero(rows.any(axis=1))
        refuse_unusable(rows[known], f"the encoder {self._name}", known)
        return rows

    encode_queries = encode_passages


class Remembering:
    """An encoder that embeds each passage once, for words that several judges read; it keeps them all in memory."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, NDArray[np.float32]] = {}

    @property
    def identity(self) -> dict[str, Any]:
        return self._encoder.identity

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, self._encoder.encode_passages(new), strict=True))
        return np.stack([self._known[text] for text in texts]) if texts else self._encoder.encode_passages(texts)
