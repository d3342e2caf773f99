"""Which passages of all shards show what each latent is about: those that activate it most, and others drawn at random.

Each shard gives its own, and what several give is brought together a few at a time, so that nowhere more is held than
`n` passages of each kind for every latent, however many passages there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.cluster.stages import Changes, mending, opened
from unweave.cluster.store import Store


class Found(NamedTuple):
    """Passages of latents, a row for each pair of them, by latent and then by rank."""

    latents: NDArray[np.int32]  # (n,)
    ranks: NDArray[np.float64]
    """(n,) the lower, the better; no two rows of one latent have the same rank and passage."""
    passages: NDArray[np.int64]
    """(n,) rows of the corpus."""


class Shown(NamedTuple):
    """The evidence of every latent, and how many passages activate it."""

    strongest: Found
    drawn: Found
    document_frequency: NDArray[np.int64]  # (n_latents,)


@dataclass(frozen=True)
class StrongestOf:
    """What one shard has to show of every latent."""

    store: Store
    changes: Changes
    n: int
    """Passages of each kind for each latent, at most."""
    seed: int
    threads: int
    """See `OfShard`."""

    def __call__(self, shard: tuple[str, int]) -> Shown:
        """Of a shard, given by its name and the row of the corpus at which it begins."""
        return mending(self.store, shard[0], self.changes, self.threads, lambda: self._shown(*shard))

    def _shown(self, shard: str, first: int) -> Shown:
        with opened(self.store, shard, ("embeddings/passages", "sae", "latents"), self.changes) as project:
            return shown(project.latents, first, self.n, self.seed)


def shown(latents: csr_array, first: int, n: int, seed: int) -> Shown:
    """The evidence in the latents of some passages, (n_passages, n_latents), of which the first is row `first`."""
    rows = first + np.repeat(np.arange(latents.shape[0], dtype=np.int64), np.diff(latents.indptr))
    of = np.asarray(latents.indices, np.int32)
    return Shown(
        best(Found(of, -latents.data.astype(np.float64), rows), n),
        best(Found(of, drawn_ranks(of, rows, seed), rows), n),
        np.bincount(of, minlength=latents.shape[1]).astype(np.int64),
    )


def together(some: Sequence[Shown], n: int) -> Shown:
    """The evidence of several shards as one; the same however they are grouped."""
    return Shown(
        best(_joined([one.strongest for one in some]), n),
        best(_joined([one.drawn for one in some]), n),
        np.sum([one.document_frequency for one in some], axis=0),
    )


def best(found: Found, n: int) -> Found:
    """The n rows of each latent that rank first; equal ones in the corpus's order."""
    order = np.lexsort((found.passages, found.ranks, found.latents))
    latents = found.latents[order]
    begins = np.searchsorted(latents, latents)  # where each row's latent begins
    kept = order[np.arange(len(latents)) - begins < n]
    return Found(found.latents[kept], found.ranks[kept], found.passages[kept])


def drawn_ranks(latents: NDArray[np.int32], passages: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each pair of latent and passage, (n,), that looks random and is the same for ever.

    Those with the lowest are drawn evenly from all that there are, wherever each is found. It is the mixing function of
    SplitMix64 (Steele, Lea & Flood 2014).
    """
    with np.errstate(over="ignore"):
        mixed = passages.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= (latents.astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03) + np.uint64(seed)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53


def _joined(some: Sequence[Found]) -> Found:
    return Found(*(np.concatenate(column) for column in zip(*some, strict=True)))
