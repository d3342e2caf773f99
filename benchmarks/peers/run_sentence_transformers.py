"""sentence-transformers CSR: TopK with tied weights.

The peer's: the SparseAutoEncoder module and CSRReconstructionLoss (at k, at 4k, and AuxK with k_aux = d / 2 and weight
.1, as its SparseEncoder and CSRLoss set them; the contrastive part, which needs pairs of texts, is left out), and the
optimiser, schedule and clipping that its default training arguments name. Its trainer reads texts only, so the order of
the calls is written here.
"""

import torch
from adapter import Batches, Peer, Request, Rows, Weights, main
from sentence_transformers.sparse_encoder import SparseEncoderTrainingArguments
from sentence_transformers.sparse_encoder.losses import CSRReconstructionLoss
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder
from torch import Tensor
from transformers import Trainer, get_scheduler


class CSR(Peer):
    package = "sentence-transformers"
    variant = "TopK, tied"

    def __init__(self, request: Request, data: Rows) -> None:
        d = data.shape[1]
        self.sae = SparseAutoEncoder(d, request.n_latents, k=request.k, k_aux=d // 2)
        self.loss = CSRReconstructionLoss(model=self.sae, beta=0.1)
        given = {"learning_rate": request.lr, "warmup_steps": request.lr_warmup}
        self.arguments = SparseEncoderTrainingArguments(
            output_dir=request.out,
            use_cpu=True,
            report_to="none",
            **{name: value for name, value in given.items() if value is not None},
        )
        self.lr = self.arguments.learning_rate
        optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(self.arguments)
        self.optimizer = optimizer(self.sae.parameters(), weight_decay=self.arguments.weight_decay, **settings)
        self.schedule = get_scheduler(
            self.arguments.lr_scheduler_type,
            self.optimizer,
            num_warmup_steps=self.arguments.get_warmup_steps(request.steps),
            num_training_steps=request.steps,
        )

    def train(self, batches: Batches) -> None:
        self.sae.train()
        for batch in batches:
            parts = self.loss.compute_loss_from_embeddings([self.sae({"sentence_embedding": batch})])
            torch.stack(list(parts.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(self.sae.parameters(), self.arguments.max_grad_norm)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()

    def weights(self) -> Weights:
        W = self.sae.encoder.weight
        return Weights(W, self.sae.latent_bias, W, self.sae.pre_bias, "top_k")

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        out = self.sae({"sentence_embedding": rows})
        return out["sentence_embedding"], out["decoded_embedding_k"]


if __name__ == "__main__":
    main(CSR)
