"""MP-SAE: latents are chosen one after the other, each to explain what the earlier ones left (arXiv 2506.03093).

    r_0 = x - b_pre;  j_t = argmax_j w_j . r_(t-1);  z_t = w_j . r_(t-1);  r_t = r_(t-1) - z_t w_j

Encoder and decoder are one dictionary. The gradient runs back through the k choices: with rho_k = dL/dr_k,
dz_t = -rho_t . w_j,  dL/dw_j += dz_t r_(t-1) - z_t rho_t,  rho_(t-1) = rho_t + dz_t w_j.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unweave.config import MATCHING_PURSUIT
from unweave.sae.training.arithmetic import Engine, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Gradients, Step, Variant


class Choices(NamedTuple):
    """The latents that pursuit chose, step by step."""

    latents: Tensor  # (k, n_rows) int64
    values: Tensor  # (k, n_rows) >= 0; 0 where nothing was left that any latent explains
    residual: Tensor  # (n_rows, d_in), r_k


class MatchingPursuit(Variant):
    """Reconstructs best at a given k and costs k times the products."""

    selection = MATCHING_PURSUIT

    def step(self, engine: Engine, p: Parameters, x: Tensor, *, dead: Tensor, hint: float, world: World) -> Step:
        """Loss and gradients of one batch; there is no AuxK, since the dictionary is drawn from the data."""
        n_texts = len(x) * world.size
        W = p.W_dec
        latents, values, residual = choose(W, x - p.b_pre, self.k)
        loss = residual.square().sum() / n_texts
        rho = 2 / n_texts * residual
        g = torch.zeros_like(W)
        for j, z in zip(latents.flip(0), values.flip(0), strict=True):
            w = W[j]
            before = residual + z[:, None] * w
            dz = torch.where(z > 0, -(rho * w).sum(dim=1), 0)
            g.index_add_(0, j, dz[:, None] * before - z[:, None] * rho)
            rho = rho + dz[:, None] * w
            residual = before
        fired = torch.zeros(len(W), dtype=torch.bool, device=x.device)
        fired[latents[values > 0]] = True
        zeros = torch.zeros_like(p.b_enc)
        return Step(loss, Gradients((torch.zeros_like(g), g), zeros, -rho.sum(dim=0), zeros), fired, 0.0)


def choose(W: Tensor, centred: Tensor, k: int) -> Choices:
    """k rounds of matching pursuit on x - b_pre, (n_rows, d_in), with the dictionary W, (n_latents, d_in).

    Correlations are brought up to date with the Gram matrix where that is less work than computing them anew.
    """
    residual, latents, values = centred, [], []
    by_gram = len(W) < k * len(centred)
    gram = W @ W.T if by_gram else None
    correlations = residual @ W.T
    for _ in range(k):
        z, j = correlations.max(dim=1)
        z = z.clamp_min(0)
        residual = residual - z[:, None] * W[j]
        if gram is not None:
            correlations -= z[:, None] * gram[j]
        else:
            correlations = residual @ W.T
        latents.append(j)
        values.append(z)
    return Choices(torch.stack(latents), torch.stack(values), residual)
