"""Rows that were read from a text, as a search takes them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from unweave.engines.engine import Rows


def rows_from(first: int, ids: list[str], latents: list[list[int]], weights: list[list[float]], n_latents: int) -> Rows:
    """Passages of which each has a list of latents and one of their impacts."""
    ends = np.cumsum([0, *map(len, latents)])
    flat = [np.array([one for row in rows for one in row], kind) for rows, kind in ((weights, float), (latents, int))]
    impacts = csr_array((flat[0], flat[1], ends), shape=(len(ids), n_latents))
    return Rows(first, ids, impacts, [{}] * len(ids))
