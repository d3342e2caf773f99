"""EleutherAI sparsify: TopK.

The peer's: SparseCoder with its forward and fused backward pass, its loss (FVU; AuxK is off by default), SignSGD inside
a schedule-free wrapper, learning-rate rule, and the decoder's normalisation. Its Trainer reads batches from a language
model's hooks only, so the order of those calls, which is its fit's, is written here.
"""

import torch
from adapter import Batches, Peer, Request, Rows, Weights, main
from schedulefree import ScheduleFreeWrapper
from sparsify import SparseCoder, SparseCoderConfig
from sparsify.sign_sgd import SignSGD
from torch import Tensor


class Sparsify(Peer):
    package = "eai-sparsify"
    variant = "TopK"

    def __init__(self, request: Request, data: Rows) -> None:
        torch.set_float32_matmul_precision("high")  # as its Trainer does
        self.coder = SparseCoder(
            data.shape[1], SparseCoderConfig(num_latents=request.n_latents, k=request.k), dtype=torch.float32
        )
        self.lr = request.lr or 5e-3 / (request.n_latents / 2**14) ** 0.5
        self.optimizer = ScheduleFreeWrapper(SignSGD(self.coder.parameters(), lr=self.lr), momentum=0.95)
        self.optimizer.train()

    def train(self, batches: Batches) -> None:
        coder = self.coder
        rows_since_fired = torch.zeros(coder.num_latents, dtype=torch.long)
        for step, batch in enumerate(batches):
            if step == 0:
                coder.b_dec.data = batch.mean(0)
            coder.set_decoder_norm_to_unit_norm()
            out = coder(batch)
            out.fvu.backward()
            coder.remove_gradient_parallel_to_decoder_directions()
            self.optimizer.step()
            self.optimizer.zero_grad()
            rows_since_fired += len(batch)
            rows_since_fired[out.latent_indices.flatten()] = 0

    def weights(self) -> Weights:
        self.optimizer.eval()  # the averaged weights, which are what it saves
        coder = self.coder
        weights = Weights(coder.encoder.weight, coder.encoder.bias, coder.W_dec, coder.b_dec, "top_k")
        self.optimizer.train()
        return weights

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.optimizer.eval()
        out = self.coder(rows)
        self.optimizer.train()
        codes = torch.zeros(len(rows), self.coder.num_latents)
        return codes.scatter(1, out.latent_indices, out.latent_acts), out.sae_out


if __name__ == "__main__":
    main(Sparsify)
