"""Directions and embeddings as a sparse non-negative mix of phrases, without training and without a language model.

    a = argmin |t - sum_p a_p u_p|,  a >= 0, at most k of them above 0;  u_p = (e_p - m) / |e_p - m|

where e_p is a phrase's embedding, m the mean of all phrases', and t a latent's direction, or an embedding less the mean
of its like. Both sides are taken from a mean because texts and phrases lie in different parts of the space, as images
and words do (Bhalla et al. 2024, "Interpreting CLIP with Sparse Linear Concept Embeddings (SpLiCE)", arXiv 2402.10376).
The mix is found by orthogonal matching pursuit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.base.stored import set_otherwise
from unweave.base.vectors import unit_rows
from unweave.concepts.concept import LONGEST_NAME, Naming
from unweave.concepts.namers.base import digest
from unweave.config import LexiconConfig

if TYPE_CHECKING:
    from unweave.sae.model import SAE
    from unweave.texts.corpus import Corpus

_IN_A_NAME = 2
_WORTH_NAMING = 0.4
"""Another phrase stands in the name only if it has so much of the first one's weight."""


class Ingredient(NamedTuple):
    """One phrase of a mix."""

    phrase: str
    text: str
    """What was embedded for it: the phrase, with its gloss if it has one."""
    weight: float
    """Above 0; a direction of length 1 that is the phrase's own has 1."""


class Lexicon:
    """Embedded phrases."""

    def __init__(self, entries: Corpus, embeddings: NDArray[np.float32]) -> None:
        """Take phrases as they are stored.

        Args:
            entries: the title is the phrase, the text its gloss or empty.
            embeddings: (n_phrases, d_in)
        """
        self._entries = entries
        self._lengths = np.linalg.norm(embeddings - embeddings.mean(axis=0), axis=1)
        self._embeddings = embeddings

    def __len__(self) -> int:
        return len(self._entries)

    def mixes(self, targets: NDArray[np.float32], k: int) -> list[list[Ingredient]]:
        """Write each of some vectors, (n, d_in), in at most k phrases, the weightiest first.

        A latent's direction is given as it is; of an embedding, what it differs by from the mean of its like.
        """
        targets = unit_rows(targets)
        from unweave.sae.model import pursue

        found = pursue(self._dictionary, targets, min(k, len(self)))
        mixes = []
        for row in range(len(targets)):
            of = slice(found.indptr[row], found.indptr[row + 1])
            order = np.argsort(-found.data[of], kind="stable")
            mixes.append([
                self._ingredient(int(entry), float(weight))
                for entry, weight in zip(found.indices[of][order], found.data[of][order], strict=True)
            ])  # fmt: skip
        return mixes

    def _ingredient(self, entry: int, weight: float) -> Ingredient:
        found = self._entries[entry]
        return Ingredient(found.title, found.content, weight)

    @cached_property
    def _dictionary(self) -> SAE:
        """The phrases as a dictionary that a pursuit can read; a phrase that is the mean itself is no direction."""
        from unweave.config import SAEConfig
        from unweave.sae.model import SAE

        directions = (self._embeddings - self._embeddings.mean(axis=0)) / np.maximum(self._lengths, 1e-6)[:, None]
        n, d_in = directions.shape
        nothing = np.zeros(d_in, np.float32)
        config = SAEConfig(d_in=d_in, n_latents=n, k=1)
        return SAE(config, directions, np.zeros(n, np.float32), directions, nothing, np.zeros(1, np.float32))


class LexiconNamer:
    """Names latents by the phrases in which their directions can be written; see `naming.Namer`."""

    namer = "lexicon"
    a_transaction = 500

    def __init__(self, directions: NDArray[np.float32], lexicon: Lexicon, config: LexiconConfig, made_of: str) -> None:
        """Take the SAE's directions, (n_latents, d_in).

        Args:
            made_of: what the directions and the lexicon were made from, as a digest.
        """
        self._directions = directions
        self._lexicon = lexicon
        self._config = config
        self.made_with = digest({"version": 1, **set_otherwise(config), "made_of": made_of})

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, in their order."""
        for start in range(0, len(latents), self.a_transaction):
            some = list(latents[start : start + self.a_transaction])
            for latent, mix in zip(some, self._lexicon.mixes(self._directions[some], self._config.mix), strict=True):
                yield latent, self._naming(mix)

    def _naming(self, mix: Sequence[Ingredient]) -> Naming:
        if not mix:
            return Naming(self.namer, None, made_with=self.made_with)
        described = ", ".join(f"{plain(part.phrase, LONGEST_NAME)} {part.weight:.2f}" for part in mix)
        provenance = {"mix": [[part.text, round(part.weight, 4)] for part in mix]}
        return Naming(self.namer, name(mix), described, made_with=self.made_with, provenance=provenance)


def name(mix: Sequence[Ingredient]) -> str:
    """The weightiest phrase, and the next if it has weight enough and other words."""
    chosen = [mix[0].phrase]
    for part in mix[1:]:
        if len(chosen) == _IN_A_NAME or part.weight < _WORTH_NAMING * mix[0].weight:
            break
        if not set(part.phrase.casefold().split()) & set(chosen[0].casefold().split()):
            chosen.append(part.phrase)
    return plain(", ".join(chosen), LONGEST_NAME)
