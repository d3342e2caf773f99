"""JumpReLU: an activation stays where it exceeds its latent's own, learned threshold.

The jump has no gradient, so that of the threshold is estimated from activations within a band around it
(Rajamanoharan et al. 2024, arXiv 2407.14435): with K the rectangle of width `bandwidth`,

    dz/dthreshold = -threshold / bandwidth K((a - threshold) / bandwidth),  dL0/dthreshold = -1 / bandwidth K(…)

The sparsity penalty is sparsity * (L0 / k - 1)^2, so that L0 is drawn to k rather than to 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unweave.sae.training.arithmetic import Engine, Entries, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Through, Variant, strongest_of_batch

_BAND = 0.2
"""Width of the band around a threshold, as a share of the mean threshold at the start."""


class JumpReLU(Variant):
    """One threshold a latent, trained with the weights."""

    bandwidth: float

    def prepare(self, p: Parameters, engine: Engine, x: Tensor) -> None:
        """All thresholds begin where a sample of texts has k active latents each."""
        _, cut = strongest_of_batch(engine, p, x - p.b_pre, self.k * len(x), 0.0, World())
        p.threshold.fill_(cut)
        self.bandwidth = _BAND * cut

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        """Entries above their threshold, and those in the band below it with the value 0."""
        # Shifted by its threshold, every latent has the same floor; the offset keeps that floor above 0.
        offset = max(float(p.threshold.mean()), self.bandwidth)
        shifted = p._replace(b_enc=p.b_enc - p.threshold + offset)
        entries = engine.above(shifted, centred, offset - self.bandwidth / 2)
        above = entries.values - offset
        values = torch.where(above > 0, above + p.threshold[entries.columns], 0)
        self._in_band = above.abs() < self.bandwidth / 2
        return entries._replace(values=values), 0.0

    def through(self, p: Parameters, entries: Entries, dz: Tensor, n_texts: int, world: World) -> Through:
        active = entries.values > 0
        l0 = active.sum().to(dz.dtype)
        world.sum_(l0)
        excess = float(l0) / n_texts / self.k - 1
        d_l0 = 2 * self.config.sparsity * excess / self.k / n_texts  # of the penalty, for each active entry
        band = self._in_band
        columns = entries.columns[band]
        slope = -(dz[band] * p.threshold[columns] + d_l0) / self.bandwidth
        threshold = torch.zeros_like(p.threshold).index_add_(0, columns, slope)
        return Through(torch.where(active, dz, 0), threshold, self.config.sparsity * excess**2)
