"""A second encoder that comes with a package: the mean of a text's word vectors.

WordLlama's vectors, (32,000, 256), are the token embeddings of a language model, trained further as sentence embeddings
on pairs of texts. No transformer is involved, so that ten thousand texts a second are embedded, and nothing of it is
shared with the encoder whose embeddings are explained: a judge that compares a name with a text here cannot be right
because that encoder thinks so.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.files import file_digest
from unweave.base.vectors import unit_rows
from unweave.errors import MissingExtra

PACKAGE = "wordllama"
"""The package whose files are read; nothing of it is run."""
_WEIGHTS, _TOKENIZER = "weights/l2_supercat_256.safetensors", "tokenizers/l2_supercat_tokenizer_config.json"
_MOST_CHARACTERS = 4096
"""Of a text, so much is read."""
_AT_ONCE = 4096
"""Texts."""


class StaticEncoder:
    """Word vectors, averaged over a text and scaled to length 1; loaded on first use.

    Raises:
        MissingExtra: the package that carries them is not installed.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None or importlib.util.find_spec("tokenizers") is None:
            raise MissingExtra("judging names in another space than the encoder's", "name")
        self._folder = Path(spec.origin).parent

    @property
    def identity(self) -> dict[str, Any]:
        return {"model": PACKAGE, "weights": f"sha256 {file_digest(self._folder / _WEIGHTS)}"}

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n_texts, 256); a text without words is a row of zeros."""
        parts = [self._means(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        return unit_rows(np.concatenate(parts)) if parts else np.empty((0, self._vectors.shape[1]), np.float32)

    def _means(self, texts: Sequence[str]) -> NDArray[np.float32]:
        read = self._tokenizer.encode_batch([text[:_MOST_CHARACTERS] for text in texts], add_special_tokens=False)
        means = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        for row, tokens in zip(means, read, strict=True):
            if tokens.ids:
                row[:] = self._vectors[tokens.ids].mean(axis=0)
        return means

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        from safetensors.numpy import load_file

        return np.asarray(load_file(self._folder / _WEIGHTS)["embedding.weight"], np.float32)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self._folder / _TOKENIZER))
