"""Latents of a corpus's own, learned from what a given dictionary leaves over: BatchTopK with another target.

    z = BatchTopK(W_enc (x - b_pre) + b_enc);  W_dec.T z is to give back x - x_hat, where x_hat is the given one's

The given dictionary is frozen, and b_pre, which both share, with it. After SAE Boost (arXiv 2507.12990).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.config import TrainConfig
from unweave.sae.given import thresholds
from unweave.sae.model import SAE
from unweave.sae.training.arithmetic import Engine, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Step
from unweave.sae.training.variants.batch_topk import BatchTopK


class Residual(BatchTopK):
    """The budget goes to the texts of which most is left over."""

    def __init__(self, config: TrainConfig, k: int, given: SAE, device: str) -> None:
        """given: an SAE that selects by threshold."""
        super().__init__(config, k)
        floors = np.maximum(thresholds(given), 0)
        arrays = (given.W_enc, given.b_enc, given.W_dec, given.b_pre, floors)
        self._given = Parameters(*(torch.tensor(array, device=device) for array in arrays))
        self._lowest = float(floors.min())

    def centre(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._given.b_pre.cpu().numpy()

    def target(self, engine: Engine, centred: Tensor) -> Tensor:
        given = self._given
        entries = engine.above(given, centred, self._lowest)
        active = entries.where(entries.values > given.threshold[entries.columns])
        return centred - engine.decode(active, given.W_dec, len(centred))

    def step(self, engine: Engine, p: Parameters, x: Tensor, *, dead: Tensor, hint: float, world: World) -> Step:
        done = super().step(engine, p, x, dead=dead, hint=hint, world=world)
        return done._replace(gradients=done.gradients._replace(b_pre=torch.zeros_like(p.b_pre)))
