"""Directions that mean nothing, named and judged as latents are: what a name's detection is held against.

A random direction has texts that lie furthest along it, and a namer finds words that these share. How well such words
tell the direction's other texts is what luck and the embedding space give away. Each null is active for as many texts
as some latent is, for what is rare is told more easily.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.concept import OVER_NULLS, Naming, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges.detection import by_second_encoder, detect
from unweave.concepts.judges.questions import questions
from unweave.concepts.namers.base import Namer
from unweave.config import THRESHOLD
from unweave.sae.model import SAE

N_NULLS = 300
_LIKE = 100
"""Nulls that a name is held against: those that are active about as often."""
_FEWEST = 40
"""Fewer say nothing about the highest twentieth of them."""
_AT_ONCE = 64
"""Directions whose thresholds are worked out at a time."""


def random_directions(evidence: Evidence, n: int, seed: int) -> SAE:
    """An SAE of n random directions."""
    rng = np.random.default_rng([seed, 20])
    return matched(evidence, rng.standard_normal((n, evidence.embeddings.shape[1]), dtype=np.float32), rng)


def single_texts(evidence: Evidence, n: int, seed: int) -> SAE:
    """An SAE whose directions are those of n single texts from the mean of all."""
    rng = np.random.default_rng([seed, 21])
    chosen = rng.choice(len(evidence), min(n, len(evidence)), replace=False)
    return matched(evidence, evidence.embeddings[chosen] - evidence.embeddings.mean(axis=0), rng)


def matched(evidence: Evidence, directions: NDArray[np.float32], rng: np.random.Generator) -> SAE:
    """An SAE of these directions, (n, d_in), each active for as many texts as some live latent, drawn at random."""
    mean = evidence.embeddings.mean(axis=0)
    unit = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    counts = np.diff(evidence.latents.indptr)[rng.choice(evidence.live, len(unit))]
    thresholds = np.empty(len(unit), np.float32)
    for start in range(0, len(unit), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        along = np.sort((evidence.embeddings - mean) @ unit[some].T, axis=0)  # (n_texts, n_some)
        first = len(along) - counts[some]
        below = np.maximum(first - 1, 0)
        columns = np.arange(along.shape[1])
        thresholds[some] = (along[first, columns] + along[below, columns]) / 2
    config = replace(
        evidence.sae.config, n_latents=len(unit), selection=THRESHOLD, k=min(evidence.sae.config.k, len(unit))
    )
    return SAE(config, unit, -thresholds, unit, mean, np.zeros(1, np.float32))


class Nulls(NamedTuple):
    """How well the names of nulls tell the texts of these."""

    frequencies: NDArray[np.int64]
    """(n,) texts that each is active for."""
    detections: NDArray[np.float64]
    """(n,)"""

    def beaten(self, frequency: int, detection: Score) -> Score | None:
        """The share of nulls about as frequent that tell less than a name does; low and high by its interval's ends.

        None where there are too few of them.
        """
        if len(self.detections) < _FEWEST:
            return None
        apart = np.abs(np.log(self.frequencies) - np.log(frequency))
        like = self.detections[np.argsort(apart, kind="stable")[:_LIKE]]
        value, low, high = (float((like < end).mean()) for end in (detection.value, detection.low, detection.high))
        return Score(OVER_NULLS, value, low, high, len(like))


def of_random_directions(evidence: Evidence, namer: Callable[[Evidence], Namer], n: int = N_NULLS) -> Nulls:
    """Name random directions, and tell their texts by these names, by the second encoder.

    Args:
        namer: what makes names for what an SAE sees in the same texts.
    """
    of_nulls = evidence.seen_by(random_directions(evidence, n, evidence.config.seed))
    live = of_nulls.live.tolist()
    namings: Mapping[int, Naming] = dict(namer(of_nulls).names(live))
    asked = questions(of_nulls, live)
    found = {latent: score.value for latent, score in detect(by_second_encoder(evidence), namings, asked)}
    counts = np.diff(of_nulls.latents.indptr)
    return Nulls(counts[list(found)].astype(np.int64), np.array(list(found.values()), np.float64))


def shuffled(namings: Mapping[int, Naming], seed: int = 0) -> dict[int, Naming]:
    """The same names, each at another latent than its own."""
    latents = np.random.default_rng(seed).permutation(sorted(namings))
    return {int(latent): namings[int(other)] for latent, other in zip(latents, np.roll(latents, 1), strict=True)}
