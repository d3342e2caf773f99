"""A query in the forms that systems read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.errors import BadData

TEXT, VECTOR, TOKENS = "text", "vector", "tokens"
"""What a system may need of a query."""


class EmbeddedQuery(NamedTuple):
    """A query in the forms that a system needs; None where no system that is asked reads it so."""

    text: str | None = None
    vector: NDArray[np.float32] | None = None  # (d_in,)
    tokens: NDArray[np.float32] | None = None  # (n_tokens, d_token), each of length 1

    def words(self) -> str:
        """The text, to search by words.

        Raises:
            BadData: the query came as a vector.
        """
        if self.text is None:
            raise BadData("words are searched by a query's text, and a vector came in")
        return self.text

    def embedding(self) -> NDArray[np.float32]:
        """The vector, (d_in,).

        Raises:
            BadData: the query was not embedded.
        """
        if self.vector is None:
            raise BadData("this search needs the query's embedding, and only a text came in")
        return self.vector

    def token_rows(self) -> NDArray[np.float32]:
        """The tokens, (n_tokens, d_token).

        Raises:
            BadData: the query came as a vector.
        """
        if self.tokens is None:
            raise BadData("concepts of tokens are searched by a query's text, and a vector came in")
        return self.tokens
