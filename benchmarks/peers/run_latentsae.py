"""latentsae: TopK.

The peer's: SaeTrainer whole, its fit() included; only the DataLoader inside it is replaced by our batches (loss is FVU,
AuxK is off by default; Adam, clipping, unit decoder, 1,000 steps of warm-up, then a cosine to 0).
"""

import os

import latentsae.trainer
import torch
from adapter import Batches, Peer, Request, Rows, Weights, main
from latentsae.sae import Sae
from latentsae.trainer import SaeTrainer
from latentsae.utils.config import SaeConfig, TrainConfig
from torch import Tensor


class LatentSAE(Peer):
    package = "latentsae"
    variant = "TopK"

    def __init__(self, request: Request, data: Rows) -> None:
        given = {"lr": request.lr, "lr_warmup_steps": request.lr_warmup}
        config = TrainConfig(
            SaeConfig(num_latents=request.n_latents, k=request.k),
            d_in=data.shape[1],
            batch_size=request.batch_size,
            log_to_wandb=False,
            save_every=request.steps + 2,
            checkpoints_directory=os.path.join(request.out, "own"),  # noqa: PTH118 - it wants a str
            **{name: value for name, value in given.items() if value is not None},
        )
        # The data set's length is all that it asks of it: its schedule ends with the last step.
        self.trainer = SaeTrainer(config, range(request.steps * request.batch_size), torch.device("cpu"))
        self.lr = self.trainer.optimizer.param_groups[0]["initial_lr"]

    def train(self, batches: Batches) -> None:
        latentsae.trainer.DataLoader = lambda *_, **__: batches
        self.trainer.fit()

    def weights(self) -> Weights:
        sae: Sae = self.trainer.sae
        return Weights(sae.encoder.weight, sae.encoder.bias, sae.W_dec, sae.b_dec, "top_k")

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        out = self.trainer.sae(rows)
        codes = torch.zeros(len(rows), self.trainer.sae.num_latents)
        return codes.scatter(1, out.latent_indices, out.latent_acts), out.sae_out


if __name__ == "__main__":
    main(LatentSAE)
