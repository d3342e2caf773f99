"""The latents of all passages by latent: what a steered search by dense scores asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from unweave.retrieval.steering import check_known
from unweave.sae.model import SAE


class PassageLatents(NamedTuple):
    """Which latents each passage activates and which passages activate each latent: the same activations twice."""

    rows: csr_array  # (n_passages, n_latents)
    columns: csc_array  # (n_passages, n_latents), which take as much memory again

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_]:
        """Which passages activate one of these latents, (n_passages,).

        Raises:
            BadData: there is no such latent.
        """
        check_known(latents, self.columns.shape[1], "ban")
        having = np.zeros(self.columns.shape[0], np.bool_)
        for latent in latents:
            having[self.columns.indices[self._entries(latent)]] = True
        return having

    def added(self, boosts: Mapping[int, float], query: NDArray[np.floating], sae: SAE) -> NDArray[np.float64]:
        """What boosts add to the dense score of each passage, (n_passages,): sum_c (f_c - 1) z_c(d) (w_c . q).

        Args:
            boosts: a factor f by latent.
            query: (d_in,).

        Raises:
            BadData: a boost is for a latent that the SAE does not have.
        """
        check_known(boosts, self.columns.shape[1], "boost")
        weights = sae.W_dec[list(boosts)].astype(np.float64) @ query.astype(np.float64)
        added = np.zeros(self.columns.shape[0])
        for (latent, factor), weight in zip(boosts.items(), weights.tolist(), strict=True):
            entries = self._entries(latent)
            activations = self.columns.data[entries].astype(np.float64)
            added[self.columns.indices[entries]] += (factor - 1) * weight * activations
        return added

    def _entries(self, latent: int) -> slice:
        return slice(self.columns.indptr[latent], self.columns.indptr[latent + 1])
