"""What an engine has to do to hold a concept index: take passages in, survive a kill, and find what the index finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

DEPTH = 100
"""Passages of each ranking that a hybrid query fuses, at least."""
RANK_CONSTANT = 60
"""Of reciprocal rank fusion: a passage gets 1 / (RANK_CONSTANT + rank) from each ranking, ranks from 1 (Cormack et al.
2009)."""


class Shape(NamedTuple):
    """What is exported, as an engine has to know it before it sees the first passage."""

    n_passages: int
    n_latents: int
    n_postings: int
    """Impacts of all passages together."""
    largest: float
    """No impact is larger."""
    state: str
    """Stands for all that is exported and how: another state is another export."""
    width: int = 0
    """Dimensions of the embeddings that travel along; 0: none do."""
    texts: bool = False
    """Whether titles, texts and metadata travel along."""


class Rows(NamedTuple):
    """Some passages in the order of the index."""

    first: int
    """The number of the first of them in the export, by which an engine knows a passage: ids may be any text."""
    ids: Sequence[str]
    impacts: csr_array  # (n_passages, n_latents) float32, > 0
    fields: Sequence[Mapping[str, Any]]
    """What travels with each passage: title, text and metadata, or nothing."""
    embeddings: NDArray[np.float32] | None = None  # (n_passages, width), as the encoder gave them


def contents(fields: Mapping[str, Any]) -> str:
    """What words are found in: a passage's title and text, of what travels with it."""
    return " ".join(str(fields[name]) for name in ("title", "text") if fields.get(name))


class Found(NamedTuple):
    """What an engine found for one query, best first."""

    ids: list[str]
    scores: list[float]


class Question(NamedTuple):
    """One query in each form that an engine can be asked it in."""

    weights: csr_array  # (1, n_latents)
    text: str | None
    """None: no texts were sent in which its words could be found."""
    embedding: NDArray[np.float32] | None
    """None: no embeddings were sent that it could be compared with."""


class Engine(Protocol):
    """A place for a concept index.

    `add` returns when the engine has what came in, so that no more than one batch is ever under way. A batch that comes
    again takes the place of the first.
    """

    numbers: str
    """What it does to impacts and weights, in a sentence."""
    posting_bytes: float
    """What one impact takes, about, as it was measured."""
    ran: bool
    """Whether this engine itself was run by the tests; else its requests were only checked."""

    def mapping(self, shape: Shape) -> str:
        """How it will store the passages, in its own words."""

    def request(self, queries: csr_array, cutoff: int) -> str:
        """The first query as the engine is asked it, for a person to copy."""

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        """A query by concepts, and by words and embedding where they were sent, in one request of the engine's own.

        Rankings of `DEPTH` passages each are fused by their reciprocal ranks. None: the engine has no such request.
        """

    def prepare(self, shape: Shape) -> None:
        """Make the place, or find that of a killed export of the same state; one of another state is emptied.

        Raises:
            BadData: something that is not of an export is in the way.
        """

    def count(self) -> int:
        """How many passages it holds; they are the first ones."""

    def add(self, rows: Rows) -> None:
        """Take passages in; they are there when this returns, whatever happens then."""

    def finish(self) -> None:
        """Make it ready for search; all passages are there."""

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        """The best passages of each query, (n_queries, n_latents) weights: by the sum of weight * impact."""

    def close(self) -> None:
        """Let go of its place, so that another process may open it; what was said to be there stays."""


def term(latent: int) -> str:
    """What a latent is called where features are words: sorted as its number, without dots or blanks."""
    return f"c{latent:07d}"


def latent_of(term: str) -> int:
    """The latent that `term` called so."""
    return int(term[1:])
