"""Directions as words of the encoder's own vocabulary, through the masked-language-model head it was trained with.

    s_j = head(sqrt(d) (b_pre + w_j)) - head(sqrt(d) b_pre)

where head maps a hidden state, (d,), to a score for each word of the vocabulary, and w_j is latent j's direction: which
words gain most when the direction is added to the mean text. Embeddings have length 1, hidden states, which a layer
norm made, about sqrt(d). Source: Ram et al. 2023, "What Are You Token About? Dense Retrieval as Distributions Over the
Vocabulary", arXiv 2212.10380.

Most sentence encoders were saved without this head; then there is nothing to project with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_NAME, Naming
from unweave.concepts.namers.base import digest
from unweave.encode.encoders import quieten
from unweave.errors import MissingExtra, ModelUnavailable
from unweave.sae.model import SAE

Head = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Hidden states, (n, d_in), to scores of the vocabulary, (n, n_words)."""
_IN_A_NAME, _IN_A_DESCRIPTION = 3, 10
_AT_ONCE = 256
_BEGINS = "\u0120"
"""Stands before what begins a word in byte-level vocabularies."""


class VocabularyNamer:
    """Names latents by words of the encoder's vocabulary; see `naming.Namer`."""

    namer = "vocabulary"
    a_transaction = 500

    def __init__(self, sae: SAE, head: Head, vocabulary: Sequence[str], model: str, made_of: str) -> None:
        """Take what a head was loaded from.

        Args:
            vocabulary: (n_words,) as the tokenizer writes them.
            made_of: what the SAE was made from, as a digest.
        """
        self._sae = sae
        self._head = head
        words = whole_words(vocabulary)
        self._places, self._words = np.array(list(words), np.int64), list(words.values())
        self._model = model
        self.made_with = digest({"version": 1, "model": model, "made_of": made_of})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order."""
        scale = np.float32(np.sqrt(self._sae.config.d_in))
        usual = self._head(scale * self._sae.b_pre[None])
        for start in range(0, len(latents), _AT_ONCE):
            some = list(latents[start : start + _AT_ONCE])
            scores = self._head(scale * (self._sae.b_pre + self._sae.W_dec[some])) - usual
            for latent, of_words in zip(some, scores[:, self._places], strict=True):
                best = np.argsort(-of_words, kind="stable")[:_IN_A_DESCRIPTION]
                yield latent, self._naming([(self._words[i], float(of_words[i])) for i in best])

    def _naming(self, words: list[tuple[str, float]]) -> Naming:
        gaining = [(word, score) for word, score in words if score > 0]
        if not gaining:
            return Naming(self.namer, None, made_with=self.made_with)
        name = plain(", ".join(word for word, _ in gaining[:_IN_A_NAME]), LONGEST_NAME)
        described = ", ".join(f"{word} {score:.1f}" for word, score in gaining)
        return Naming(self.namer, name, described, made_with=self.made_with, provenance={"model": self._model})


def load_head(model: str, source: str | Path) -> tuple[Head, list[str]]:
    """The masked-language-model head of a checkpoint and its vocabulary.

    Args:
        model: what the model is called, for errors.
        source: a folder, or a name on the hub; weights as safetensors.

    Raises:
        MissingExtra: transformers is not installed.
        ModelUnavailable: there is no such model, or it was saved without the head.
    """
    try:
        import torch
        from transformers import AutoModelForMaskedLM, AutoTokenizer
    except ImportError as error:
        raise MissingExtra("projecting directions on a vocabulary", "encode") from error
    quieten()
    here = Path(source).is_dir()
    try:
        loaded, loading = AutoModelForMaskedLM.from_pretrained(
            source, output_loading_info=True, trust_remote_code=False, use_safetensors=True, local_files_only=here
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, local_files_only=here)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailable(
            f"{model} cannot be loaded with a masked-language-model head ({plain(str(error), 160)}); "
            "name by phrases instead: --namer lexicon"
        ) from error
    # What a checkpoint lacks is made up at random, without an error; a tied decoder is no loss.
    tied = {name for name in loading["missing_keys"] if name.endswith(("decoder.weight", "decoder.bias"))}
    made_up = sorted(set(loading["missing_keys"]) - tied)
    if made_up:
        raise ModelUnavailable(
            f"{model} was saved without its masked-language-model head ({made_up[0]} is missing), as most sentence "
            "encoders are, so its directions cannot be read as words; name by phrases instead: --namer lexicon"
        )
    head = _head_of(loaded.eval())

    def scores(hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(head(torch.from_numpy(hidden)).float().numpy(), np.float32)

    words = tokenizer.get_vocab()
    vocabulary = [""] * max(loaded.config.vocab_size, max(words.values()) + 1)
    for word, place in words.items():
        vocabulary[place] = word
    return scores, vocabulary[: loaded.config.vocab_size]


def _head_of(loaded: Any) -> Any:
    """The part of a model that maps hidden states to the vocabulary, under the names that architectures give it."""
    for name in ("cls", "lm_head", "vocab_projector"):
        if name == "vocab_projector" and hasattr(loaded, name):  # DistilBERT's head is in three pieces
            return lambda x: loaded.vocab_projector(
                loaded.vocab_layer_norm(loaded.activation(loaded.vocab_transform(x)))
            )
        if hasattr(loaded, name):
            return getattr(loaded, name)
    raise ModelUnavailable(
        f"the head of {type(loaded).__name__} is not known; name by phrases instead: --namer lexicon"
    )


def whole_words(vocabulary: Sequence[str]) -> dict[int, str]:
    """Words that can stand alone, by their place: letters only, no piece of a word, no stop word."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    # Where the vocabulary marks what begins a word, all else is a piece; elsewhere pieces hold a sign.
    is_marked = any(word.startswith(_BEGINS) for word in vocabulary)
    found = {}
    for place, word in enumerate(vocabulary):
        bare = word.removeprefix(_BEGINS)
        is_word = len(bare) > 1 and bare.isalpha() and bare.casefold() not in ENGLISH_STOP_WORDS
        if is_word and (bare != word or not is_marked):
            found[place] = bare
    return found
