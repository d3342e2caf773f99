"""Concept vectors like those an SAE makes of real texts, as many as are wanted, with no text at hand.

Each passage is about one topic or two, and a topic is a preference for some latents; the rest of its latents come from
everywhere, by how common they are. That gives what decides the cost of a search, and what independent draws do not
have: few common and many rare latents, latents that come together, passages that share a third of a query's latents.
`compared` shows generated vectors beside real ones; `python benchmarks/search.py` prints that table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array

BATCH = 100_000
"""Vectors that are drawn from one seed, so that a million are the first million of nine."""


class Shape(NamedTuple):
    """How many of what."""

    n_latents: int
    l0: float


@dataclass(frozen=True)
class Generator:
    """Draws concept vectors of one made-up dictionary."""

    shape: Shape
    seed: int = 0

    def batches(self, n: int, first: int = 0) -> Iterator[csr_array]:
        """n vectors, BATCH at a time, (BATCH, n_latents); those from one `first` on are the same every time."""
        world = self._world()
        for start in range(0, n, BATCH):
            many = min(BATCH, n - start)
            yield _drawn(world, self.shape, many, seed=hash((self.seed, first, start)) % 2**31)

    def vectors(self, n: int, first: int = 0) -> csr_array:
        """n vectors, (n, n_latents)."""
        parts = list(self.batches(n, first))
        indptr = np.zeros(n + 1, np.int64)
        np.cumsum(np.concatenate([np.diff(part.indptr) for part in parts]), out=indptr[1:])
        return csr_array((np.concatenate([p.data for p in parts]), np.concatenate([p.indices for p in parts]), indptr),
                         shape=(n, self.shape.n_latents))  # fmt: skip

    def _world(self) -> World:
        random = np.random.default_rng(self.seed)
        n_latents = self.shape.n_latents
        ranks = np.arange(1, n_latents + 1)
        popularity = 1 / (ranks + _PLATEAU * n_latents) ** _SKEW
        random.shuffle(popularity)
        popularity /= popularity.sum()
        n_topics = int(_TOPICS_A_LATENT * n_latents)
        members = random.choice(n_latents, size=(n_topics, _MEMBERS), p=popularity).astype(np.int32)
        topic_share = 1 / (np.arange(1, n_topics + 1) + 0.02 * n_topics) ** 0.8
        strength = np.exp(0.25 * random.standard_normal(n_latents)).astype(np.float32)
        return World(_cumulative(popularity), members, _cumulative(topic_share), strength)


class World(NamedTuple):
    """What vectors are drawn from."""

    popularity: NDArray[np.float64]  # (n_latents,) cumulative
    members: NDArray[np.int32]  # (n_topics, _MEMBERS) the latents of each topic, the most likely first
    topic_share: NDArray[np.float64]  # (n_topics,) cumulative
    strength: NDArray[np.float32]  # (n_latents,)


_SKEW, _PLATEAU, _TOPICS_A_LATENT, _MEMBERS = 0.6, 0.003, 0.33, 48
_FIRST_TOPIC, _SECOND_TOPIC = 0.58, 0.15
"""Shares of a vector's latents that come from its topics."""
_SPREAD_OF_L0, _FIRST_FACTOR = 0.22, 1.5


def _cumulative(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(shares / shares.sum())


def _drawn(world: World, shape: Shape, n: int, seed: int) -> csr_array:
    random = np.random.default_rng(seed)
    sizes = np.maximum(np.rint(shape.l0 * np.exp(_SPREAD_OF_L0 * random.standard_normal(n) - _SPREAD_OF_L0**2 / 2)), 1)
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(sizes, out=indptr[1:])
    latents = np.empty(indptr[-1], np.int32)
    activations = np.empty(indptr[-1], np.float32)
    _draw(world.popularity, world.members, world.topic_share, world.strength, indptr, latents, activations, seed)
    return csr_array((activations, latents, indptr), shape=(n, shape.n_latents))


@njit(cache=True)
def _draw(popularity, members, topic_share, strength, indptr, latents, activations, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    seen = np.full(len(popularity), -1)
    for i in range(len(indptr) - 1):
        first = min(np.searchsorted(topic_share, np.random.random()), len(topic_share) - 1)
        second = min(np.searchsorted(topic_share, np.random.random()), len(topic_share) - 1)
        at = indptr[i]
        tries = 0
        while at < indptr[i + 1]:
            tries += 1
            origin = np.random.random()
            factor = 1.0
            if origin < _FIRST_TOPIC and tries < 400:
                latent = members[first, min(int(np.random.exponential(_MEMBERS / 5)), _MEMBERS - 1)]
                factor = _FIRST_FACTOR
            elif origin < _FIRST_TOPIC + _SECOND_TOPIC and tries < 400:
                latent = members[second, min(int(np.random.exponential(_MEMBERS / 5)), _MEMBERS - 1)]
            else:
                latent = min(np.searchsorted(popularity, np.random.random()), len(popularity) - 1)
            if seen[latent] == i:
                continue
            seen[latent] = i
            latents[at] = latent
            activations[at] = strength[latent] * factor * (0.45 + np.random.exponential(0.5))
            at += 1
        order = np.argsort(latents[indptr[i] : indptr[i + 1]])
        latents[indptr[i] : indptr[i + 1]] = latents[indptr[i] : indptr[i + 1]][order]
        activations[indptr[i] : indptr[i + 1]] = activations[indptr[i] : indptr[i + 1]][order]


def likeness(vectors: csr_array) -> dict[str, float]:
    """What decides the cost of a search over these vectors, (n, n_latents)."""
    n, n_latents = vectors.shape
    frequency = np.sort(np.bincount(vectors.indices, minlength=n_latents))[::-1]
    live = int((frequency > 0).sum())
    some = vectors[np.random.default_rng(0).choice(n, min(n, 500), replace=False)].astype(bool).astype(np.float32)
    shared = np.asarray((some @ vectors.astype(bool).astype(np.float32).T).todense())
    shared.sort(axis=1)
    return {
        "passages": n,
        "latents": n_latents,
        "L0": vectors.nnz / n,
        "commonest": frequency[0] / n,
        "postings in commonest 1%": frequency[: live // 100].sum() / frequency.sum(),
        "in 10%": frequency[: live // 10].sum() / frequency.sum(),
        "postings a passage meets / n": float(np.square(frequency / n).sum()),
        "shared with nearest": float(shared[:, -2].mean()),
        "with 10th": float(shared[:, -11].mean()),
        "with 100th": float(shared[:, -101].mean()),
    }
