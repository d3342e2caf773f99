"""overcomplete: BatchTopK.

The peer's: BatchTopKSAE with its default linear encoder, and train_sae() whole, reading our batches and with its
monitoring off (clipping, unit decoder, running threshold). The loss and the optimiser are its user's to choose: those
of its own example, mean squared error and Adam at 5e-4, without warm-up or decay. Its top_k counts a whole batch.
"""

import torch
from adapter import Batches, Peer, Request, Rows, Weights, main
from overcomplete.sae import BatchTopKSAE, train_sae
from torch import Tensor


class Overcomplete(Peer):
    package = "overcomplete"
    variant = "BatchTopK"

    def __init__(self, request: Request, data: Rows) -> None:
        self.sae = BatchTopKSAE(data.shape[1], request.n_latents, top_k=request.k * request.batch_size)
        self.lr = request.lr or 5e-4
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=self.lr)

    def train(self, batches: Batches) -> None:
        train_sae(self.sae, batches, _squared_error, self.optimizer, nb_epochs=1, monitoring=0)

    def weights(self) -> Weights:
        self.sae.eval()
        linear, d = self.sae.encoder.final_block[0], self.sae.dictionary.in_dimensions
        dictionary, threshold = self.sae.get_dictionary(), float(self.sae.running_threshold)
        weights = Weights(linear.weight, linear.bias, dictionary, torch.zeros(d), "threshold", threshold)
        self.sae.train()
        return weights

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        self.sae.eval()
        _, codes, x_hat = self.sae(rows)
        self.sae.train()
        return codes, x_hat


def _squared_error(x: Tensor, x_hat: Tensor, *_: Tensor) -> Tensor:
    return (x - x_hat).square().mean()


if __name__ == "__main__":
    main(Overcomplete)
