"""Matryoshka BatchTopK: the first latents of the dictionary are to reconstruct on their own, too.

The loss is the mean over nested parts of the dictionary (its first 1/16, 1/8, 1/4, 1/2 and all) of the error of the
reconstruction from that part alone, so that general concepts come first. Bussmann et al. 2025, arXiv 2503.17547.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unweave.sae.model import MATRYOSHKA_PARTS
from unweave.sae.training.arithmetic import Engine, Entries, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.batch_topk import BatchTopK


class Matryoshka(BatchTopK):
    """BatchTopK whose latents are grouped by the smallest part of the dictionary they belong to."""

    def weights(self) -> tuple[float, ...]:
        return (1 / len(MATRYOSHKA_PARTS),) * len(MATRYOSHKA_PARTS)

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        entries, hint = super().select(engine, p, centred, hint, world)
        ends = torch.tensor([len(p.W_enc) // part for part in MATRYOSHKA_PARTS], device=centred.device)
        return entries._replace(planes=torch.bucketize(entries.columns, ends, right=True)), hint
