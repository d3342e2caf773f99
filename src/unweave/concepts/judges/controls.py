"""Names of other latents: what judges find where a name has nothing to do with its latent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unweave.concepts.concept import Naming


def shuffled(namings: Mapping[int, Naming], seed: int = 0) -> dict[int, Naming]:
    """The same names, each at another latent than its own."""
    latents = np.random.default_rng(seed).permutation(sorted(namings))
    return {int(latent): namings[int(other)] for latent, other in zip(latents, np.roll(latents, 1), strict=True)}
