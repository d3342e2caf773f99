"""What an encoder is: anything that turns texts into vectors, and maybe shows its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


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
