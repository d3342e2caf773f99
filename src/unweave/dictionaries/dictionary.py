"""A dictionary that is ready to read with: an SAE, the encoder whose embeddings it reads, and its concepts' names.

`unweave pretrain` makes such folders; and the package carries one for the default encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.contributions import Label
from unweave.base.plain import plain
from unweave.base.records import Explanation, Hit, HitList
from unweave.concepts.concept import came_with, holds_from, trust_of
from unweave.config import DEFAULT_MODEL, PRETRAINED, EncoderConfig
from unweave.dictionaries.latents import Latent, read_latents
from unweave.encode.encoder import Encoder
from unweave.encode.encoders import open_encoder
from unweave.errors import BadData
from unweave.explaining.accounting import decompose, explain
from unweave.explaining.difference import Difference, difference
from unweave.explaining.engine_hits import AUTO, explain_hits
from unweave.explaining.two_sided import TwoSided, explain_both
from unweave.explaining.words import ByWords, explain_by_words, in_words
from unweave.sae.given import located, read_sae
from unweave.sae.model import SAE
from unweave.texts.hits import EngineHit


@dataclass(frozen=True, eq=False, repr=False)
class Dictionary:
    """Writes any text's embedding as a sum of named concepts, and explains the score of any two texts."""

    sae: SAE
    latents: tuple[Latent, ...]
    """Live latents, by number; none if the folder says nothing of them."""
    encoder: Encoder | None
    """What embeds texts; None: it has to be given."""

    def __repr__(self) -> str:
        named = sum(one.name is not None for one in self.latents)
        return f"Dictionary({self.sae!r}, {named:,} named)"

    @cached_property
    def names(self) -> Names:
        """The name of each latent that has one, with how far it held on the texts that the dictionary was made of."""
        return Names(self)

    def decompose(self, text: str | NDArray[np.floating[Any]]) -> Explanation:
        """What a text's embedding is made of: its squared length as a sum of concepts, bias and residual.

        Of an embedding of length 1, each part is a share.

        Args:
            text: a text, or its embedding, (d_in,).
        """
        return decompose(self._embedding(text), self.sae, self.names)

    def explain(self, query: str | NDArray[np.floating[Any]], passage: str | NDArray[np.floating[Any]]) -> Explanation:
        """The dense score of two texts, or of their embeddings, (d_in,) each, as a sum of concepts, bias and residual.

        The passage is written in concepts, and the query stays whole; see `explaining.accounting`.
        """
        return explain(self._embedding(query, of_queries=True), self._embedding(passage), self.sae, self.names)

    def difference(
        self, query: str | NDArray[np.floating[Any]], first: str | NDArray[np.floating[Any]],
        second: str | NDArray[np.floating[Any]],
    ) -> Difference:  # fmt: skip
        """Why a text scores above another, or below: what each concept adds to both; see `explaining.difference`."""
        asked = self._embedding(query, of_queries=True)
        return difference(self.explain(asked, first), self.explain(asked, second))

    def explain_hits(
        self, query: str | NDArray[np.floating[Any]], hits: Sequence[EngineHit], *, measure: str = AUTO
    ) -> HitList[Hit]:
        """The hits of any engine, in its order, each score as a sum of concepts; see `explaining.engine_hits`.

        Args:
            query: as the engine was asked: a text, or its embedding, (d_in,).
            measure: how the engine scores; by default what its scores agree with.
        """
        encode = None if self.encoder is None else self.encoder.encode_passages
        asked = self._embedding(query, of_queries=True)
        return explain_hits(asked, hits, self.sae, encode, self.names, measure=measure)

    def two_sided(self, query: str | NDArray[np.floating[Any]], passage: str | NDArray[np.floating[Any]]) -> TwoSided:
        """The same with both written in concepts: what they share, what other pairs of concepts add, what is left.

        See `explaining.two_sided`.
        """
        return explain_both(self._embedding(query, of_queries=True), self._embedding(passage), self.sae, self.names)

    def by_words(self, query: str, passage: str) -> ByWords:
        """The one-sided sum of two texts, down to the words of each; see `explaining.words`.

        Raises:
            BadData: the encoder does not average its tokens' outputs.
        """
        embeddings = self._embedding(query, of_queries=True), self._embedding(passage)
        assert self.encoder is not None  # or texts could not have been embedded
        words = in_words(self.encoder, query, of_query=True), in_words(self.encoder, passage)
        return explain_by_words(*embeddings, *words, self.sae, self.names)

    def _embedding(
        self, text: str | NDArray[np.floating[Any]], *, of_queries: bool = False
    ) -> NDArray[np.floating[Any]]:
        if not isinstance(text, str):
            return text
        if not text.strip():
            raise BadData("an empty text came in; give one that says something")
        if self.encoder is None:
            raise BadData(
                "this dictionary reads embeddings of "
                f"{plain(self.sae.config.encoder, 80) or 'an encoder that it does not state'}; give what embeds texts: "
                "from_pretrained(…, encoder=…), or give embeddings"
            )
        encode = self.encoder.encode_queries if of_queries else self.encoder.encode_passages
        embedding: NDArray[np.floating[Any]] = encode([text])[0]
        return embedding


def from_pretrained(
    name: str | Path = PRETRAINED, revision: str | None = None, *, encoder: str | Encoder | None = None
) -> Dictionary:
    """Open a dictionary: the one that the package carries, one on the hub, or a folder's.

    Args:
        name: "pretrained", for the default encoder; a folder, or another tool's file; or a repository on the hub,
            "OWNER/NAME".
        revision: branch, tag or commit of the repository.
        encoder: what embeds texts, or its model's name. By default the model that the dictionary states, if that is
            the default one: another name, from a file of others, would have to be fetched and run.

    Raises:
        MissingArtifact, CorruptArtifact: there is no dictionary in it, or it is damaged.
        UnsupportedSAE: it does what ours cannot.
        ModelUnavailable: there is neither such a folder nor such a repository, or the hub cannot be reached.
    """
    folder = located(name, revision)
    sae = read_sae(folder)
    return Dictionary(sae, read_latents(folder, sae.config.n_latents), _encoder(sae.config.encoder, encoder))


def _encoder(stated: str, given: str | Encoder | None) -> Encoder | None:
    if given is None and stated != DEFAULT_MODEL:
        return None
    return open_encoder(EncoderConfig(model=given or stated)) if given is None or isinstance(given, str) else given


class Names(Mapping[int, str]):
    """Names of a dictionary's latents, read as `base.contributions.Judged`."""

    def __init__(self, of: Dictionary) -> None:
        self._shown = {one.latent: _label(one, one.name) for one in of.latents if one.name is not None}
        self._returns = dict(of.sae.returns)

    def __getitem__(self, latent: int) -> str:
        return self._shown[latent].name

    def __iter__(self) -> Iterator[int]:
        return iter(self._shown)

    def __len__(self) -> int:
        return len(self._shown)

    def shown(self) -> Mapping[int, Label]:
        return self._shown

    def returning(self) -> Mapping[int, bool]:
        return self._returns


def _label(latent: Latent, name: str) -> Label:
    held = tuple(came_with(latent.over_nulls, latent.holds_from, latent.median))
    return Label(name, trust_of("dictionary", held), holds_from("dictionary", held))
