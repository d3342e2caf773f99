"""SAELens: BatchTopK.

The peer's: BatchTopKTrainingSAE and SAETrainer whole, one call of its step() a batch with the bookkeeping that its
fit() does around it (loss with AuxK on latents silent for 1,000 steps, Adam, clipping, running threshold; activations
are scaled by the decoder's norms, which are free).
"""

from adapter import Batches, Peer, Request, Rows, Weights, main
from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer
from torch import Tensor


class SAELens(Peer):
    package = "sae-lens"
    variant = "BatchTopK"

    def __init__(self, request: Request, data: Rows) -> None:
        self.sae = BatchTopKTrainingSAE(
            BatchTopKTrainingSAEConfig(d_in=data.shape[1], d_sae=request.n_latents, k=request.k)
        )
        given = {"lr": request.lr, "lr_warm_up_steps": request.lr_warmup}
        config = SAETrainerConfig(
            total_training_samples=request.steps * request.batch_size,
            train_batch_size_samples=request.batch_size,
            logger=LoggingConfig(log_to_wandb=False),
            **{name: value for name, value in given.items() if value is not None},
        )
        self.lr = config.lr
        config.lr_end = self.lr if config.lr_end is None else config.lr_end  # unused by its constant schedule
        self.trainer = SAETrainer(config, self.sae, data_provider=iter(()))

    def train(self, batches: Batches) -> None:
        for batch in batches:
            self.trainer.maybe_reset_sparsity()
            self.trainer.step(batch)
            self.trainer.n_training_steps += 1

    def weights(self) -> Weights:
        sae = self.sae
        norms = sae.W_dec.norm(dim=1)
        return Weights(
            sae.W_enc.T * norms[:, None],
            sae.b_enc * norms,
            sae.W_dec / norms[:, None],
            sae.b_dec,
            "threshold",
            float(sae.topk_threshold),
        )

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.sae.encode(rows)
        return codes, self.sae.decode(codes)


if __name__ == "__main__":
    main(SAELens)
