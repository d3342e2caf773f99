"""dictionary-learning: BatchTopK.

The peer's: BatchTopKTrainer whole, one call of its update() a batch, as its own training loop makes it (loss with AuxK
on latents dead for 10 million rows, Adam, clipping, unit decoder, running threshold). It insists on a warm-up shorter
than the run, so a run of 1,000 steps or fewer warms up to its last step.
"""

from adapter import Batches, Peer, Request, Rows, Weights, main
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from torch import Tensor

WARMUP = 1000  # its default


class DictionaryLearning(Peer):
    package = "dictionary-learning"
    variant = "BatchTopK"

    def __init__(self, request: Request, data: Rows) -> None:
        warmup = WARMUP if request.lr_warmup is None else request.lr_warmup
        self.trainer = BatchTopKTrainer(
            steps=request.steps,
            activation_dim=data.shape[1],
            dict_size=request.n_latents,
            k=request.k,
            layer=0,
            lm_name="none",
            lr=request.lr,
            warmup_steps=min(warmup, request.steps - 1),
            seed=request.seed,
            device="cpu",
        )
        self.lr = self.trainer.lr

    def train(self, batches: Batches) -> None:
        for step, batch in enumerate(batches):
            self.trainer.update(step, batch)

    def weights(self) -> Weights:
        sae = self.trainer.ae
        threshold = float(sae.threshold)
        return Weights(
            sae.encoder.weight,
            sae.encoder.bias,
            sae.decoder.weight.T,
            sae.b_dec,
            "threshold",
            threshold if threshold >= 0 else float("nan"),  # -1 until its 1,000th step
        )

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.trainer.ae.encode(rows, use_threshold=False)
        return codes, self.trainer.ae.decode(codes)


if __name__ == "__main__":
    main(DictionaryLearning)
