"""Ours, measured as the peers are: the same request, batches and clock. Runs in the project's own environment."""

from __future__ import annotations

from typing import ClassVar

import torch
from adapter import Batches, Peer, Request, Rows, Weights, main
from torch import Tensor

from unweave.config import SAEConfig
from unweave.sae.training.parallel import World
from unweave.sae.training.recipe import recommend
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import Run, to_sae


class Unweave(Peer):
    """The loop of `sae.training.run.run_training`, fed by the benchmark's batches, with the recipe's choices."""

    package: ClassVar[str] = "unweave"
    variant: ClassVar[str] = "BatchTopK"

    def __init__(self, request: Request, data: Rows) -> None:
        steps = request.steps if request.eval_at else None  # where only speed counts, the first of a whole run
        recipe = recommend(
            *data.shape, request.k, n_latents=request.n_latents, batch_size=request.batch_size, steps=steps
        )
        self.lr = recipe.lr if request.lr is None else request.lr
        config = recipe.training(batch_size=request.batch_size, lr=self.lr, seed=request.seed)
        self.config = SAEConfig(d_in=data.shape[1], n_latents=request.n_latents, k=request.k)
        texts = TrainingTexts.of(data, in_memory_bytes=0)
        self.run = Run(texts, data[:0], self.config, config, "cpu", World(), None)

    def train(self, batches: Batches) -> None:
        with self.run.engine.running():
            hint = self.run.first_hint()
            for number, x in enumerate(batches):
                hint = self.run.learn(x, number, hint).hint

    def weights(self) -> Weights:
        p = self.run.state.parameters
        return Weights(p.W_enc, p.b_enc, p.W_dec, p.b_pre, "threshold")

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        sae = to_sae(self.run.state.parameters, self.config)
        codes = sae.encode(rows.numpy())
        return torch.from_numpy(codes.toarray()), torch.from_numpy(sae.decode(codes))


if __name__ == "__main__":
    main(Unweave)
