"""Matching pursuit that stops by itself, in directions of any length, as SAELens trains and runs it.

    r_0 = x - b_pre;  j_t = argmax_j w_j . r_(t-1);  z_t = relu(w_j . r_(t-1));  r_t = r_(t-1) - z_t w_j

An embedding is done when nothing is left that a latent explains, when |r_t| is below a bound, or, if so trained, when
j_t was chosen before: that step still counts. Directions are not brought to length 1, since the steps would be others.
Source: SAELens 6.54.12, `saes/matching_pursuit_sae.py`, after Costa et al. 2025, arXiv 2506.03093.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.errors import BadData


def pursue_until(
    centred: NDArray[np.float32], W: NDArray[np.float32], most_steps: int, bound: float, *, at_repeat: bool
) -> csr_array:
    """The activations of some embeddings at once.

    Args:
        centred: (n, d_in) x - b_pre.
        W: (n_latents, d_in) the directions.
        most_steps: steps after which every embedding is done.
        bound: length of the remainder below which an embedding is done; 0 for none.
        at_repeat: an embedding is done when a latent is chosen again.

    Returns:
        (n, n_latents) sparse, activations > 0.

    Raises:
        BadData: the remainder grows beyond what a float32 holds.
    """
    z = np.zeros((len(centred), len(W)), np.float32)
    rows, residual = np.arange(len(centred)), centred  # of those that are not done
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(most_steps):
            if not len(rows):
                break
            correlations = residual @ W.T
            chosen = correlations.argmax(axis=1)
            added = np.maximum(correlations[np.arange(len(rows)), chosen], 0)
            done = added == 0
            if at_repeat:
                done |= z[rows, chosen] > 0
            z[rows, chosen] += added
            residual = residual - added[:, None] * W[chosen]
            if bound > 0:
                done |= np.linalg.norm(residual, axis=1) < bound
            rows, residual = rows[~done], residual[~done]
    if not np.isfinite(z).all():
        raise BadData(
            "this SAE's matching pursuit leaves more at each step, not less: its directions are too long for it; "
            "bring them to length 1 and train it again"
        )
    return csr_array(z)
