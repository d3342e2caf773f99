"""What judges find where there is nothing to find: a dictionary of random directions, and names of other latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.concept import Naming
from unweave.config import THRESHOLD
from unweave.sae.model import SAE

_CALIBRATED_ON = 2048
"""Embeddings that decide the threshold."""


def random_dictionary(sae: SAE, embeddings: NDArray[np.float32], seed: int = 0) -> SAE:
    """An SAE of random directions, as wide as another one, that activates as many latents a text.

    Args:
        embeddings: (n, d_in) that it will read; its bias is their mean.
    """
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal(sae.W_dec.shape, dtype=np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean = embeddings.mean(axis=0)
    some = embeddings[rng.choice(len(embeddings), min(len(embeddings), _CALIBRATED_ON), replace=False)]
    activations = (some - mean) @ directions.T
    threshold = np.quantile(activations, 1 - sae.config.k / sae.config.n_latents)
    return SAE(
        replace(sae.config, selection=THRESHOLD),
        directions,
        np.zeros(len(directions), np.float32),
        directions,
        mean,
        np.array([threshold], np.float32),
    )


def shuffled(namings: Mapping[int, Naming], seed: int = 0) -> dict[int, Naming]:
    """The same names, each at another latent than its own."""
    latents = np.random.default_rng(seed).permutation(sorted(namings))
    return {int(latent): namings[int(other)] for latent, other in zip(latents, np.roll(latents, 1), strict=True)}
