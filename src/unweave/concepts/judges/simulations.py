"""Two tests of all names together: do they say which passage is meant, and which of two is ranked higher?

Source: Park et al. 2025 (arXiv 2506.00041), who asked people: they chose the passage among ten in 94.3 % of cases, and
the higher one of two in 90 to 94 %. Here the reader is no person: it adds up the embeddings of the names and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.concept import Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.questions import share
from unweave.sae.model import SAE

IDENTIFICATION, HARD_IDENTIFICATION, RANKING = "identification", "identification-hard", "ranking"
CHOICES = 10
"""Passages to choose from."""
NAMES = 10
"""Concepts of a passage whose names are given, its strongest; of those in a ranking, all."""
_TOP = 100
"""Passages of a dense ranking from which two are drawn."""


class Choice(NamedTuple):
    """Passages among which the one is to be found that has these concepts."""

    passages: NDArray[np.int64]
    """(10,) by their number in the evidence; the right one is first."""
    latents: NDArray[np.int64]
    """(n,) its strongest concepts that have a name, strongest first."""


class Pair(NamedTuple):
    """Two passages of which the dense retriever ranks the first higher."""

    query: int
    """Row of the query embeddings."""
    passages: NDArray[np.int64]
    """(2,) by their number in the evidence."""


def choices(evidence: Evidence, named: NDArray[np.bool_], n: int, *, hard: bool = False, seed: int = 0) -> list[Choice]:
    """Questions which passage of ten is meant.

    Args:
        named: (n_latents,) which latents have a name.
        hard: the nine others are those nearest to the right one, not random ones.
    """
    rng = np.random.default_rng([seed, 3])
    n_passages = len(evidence.passages)
    latents = evidence.latents[:n_passages].tocsr()
    found = []
    for right in rng.permutation(n_passages)[:n].tolist():
        row = slice(latents.indptr[right], latents.indptr[right + 1])
        active, strength = latents.indices[row].astype(np.int64), latents.data[row]
        active = active[np.argsort(-strength, kind="stable")]
        active = active[named[active]][:NAMES]
        if hard:
            nearness = evidence.embeddings[:n_passages] @ evidence.embeddings[right]
            nearness[right] = -np.inf
            others = np.argsort(-nearness, kind="stable")[: CHOICES - 1]
        else:
            others = rng.permutation(np.setdiff1d(rng.integers(n_passages, size=4 * CHOICES), right))[: CHOICES - 1]
        if len(active) and len(others) == CHOICES - 1:
            found.append(Choice(np.append(right, others), active))
    return found


def pairs(evidence: Evidence, queries: NDArray[np.float32], n: int, *, seed: int = 0) -> list[Pair]:
    """Questions which of two passages is ranked higher, both from the first hundred of a query.

    Args:
        queries: (n_queries, d_in) their embeddings.
    """
    rng = np.random.default_rng([seed, 4])
    found = []
    for query in rng.permutation(len(queries))[:n].tolist():
        scores = evidence.embeddings[: len(evidence.passages)] @ queries[query]
        two = np.sort(rng.choice(min(_TOP, len(scores)), 2, replace=False))
        found.append(Pair(query, np.argsort(-scores, kind="stable")[two]))
    return found


def read_choices(
    evidence: Evidence, asked: list[Choice], words: Mapping[int, NDArray[np.float32]], *, hard: bool = False
) -> Score:
    """How often the right passage is the most like the sum of its concepts' names, which are given without strength.

    Args:
        words: of each named latent, the embedding of its words, (d_in,); see `judges.embedded`.
    """
    right = 0
    for passages, latents in asked:
        meant = np.sum([words[int(latent)] for latent in latents], axis=0)
        right += int(np.argmax(evidence.embeddings[passages] @ meant) == 0)
    return share(HARD_IDENTIFICATION if hard else IDENTIFICATION, right / len(asked), len(asked))


def read_pairs(
    evidence: Evidence, queries: NDArray[np.float32], asked: list[Pair], words: Mapping[int, NDArray[np.float32]]
) -> Score:
    """How often the higher passage is the one whose words are more like the query's: by names and activations alone."""
    right = 0
    for query, passages in asked:
        given = np.concatenate([queries[query][None], evidence.embeddings[passages]])
        meant, first, second = _in_words(given, evidence.sae, words)
        right += int(meant @ first > meant @ second)
    return share(RANKING, right / len(asked), len(asked))


def _in_words(
    embeddings: NDArray[np.float32], sae: SAE, words: Mapping[int, NDArray[np.float32]]
) -> Iterator[NDArray[np.float32]]:
    """Each embedding as its names alone give it back: the sum of its activations times the names' embeddings."""
    latents = sae.encode(embeddings)
    nothing = np.zeros(embeddings.shape[1], np.float32)
    for row in range(len(embeddings)):
        active = slice(latents.indptr[row], latents.indptr[row + 1])
        named = zip(latents.indices[active].tolist(), latents.data[active].tolist(), strict=True)
        yield sum((strength * words[latent] for latent, strength in named if latent in words), nothing)
