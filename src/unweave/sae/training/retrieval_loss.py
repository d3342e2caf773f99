"""An optional loss that keeps neighbours: reconstructions are to rank a batch's texts as the embeddings do.

    kl:       KL(softmax(X X.T / tau) || softmax(X X_hat.T / tau)), each row of a text against the batch's others
    infonce:  each text's own reconstruction is to be the nearest to it: -log softmax(X X_hat.T / tau)[i, i]

The query side stays dense and the passage side is coded, as in rescoring. Only the (batch, d_in) reconstruction is
differentiated here; the sparse gradient goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from unweave.sae.training.parallel import World

if TYPE_CHECKING:
    from unweave.config import TrainConfig


def retrieval_gradient(x: Tensor, x_hat: Tensor, config: TrainConfig, world: World) -> tuple[float, Tensor]:
    """The weighted loss of a whole batch, and its gradient by this process's share of x_hat, (n_rows, d_in)."""
    first = world.rank * len(x)
    with torch.enable_grad():
        coded = world.gather_rows(x_hat).detach().requires_grad_()
        everything = world.gather_rows(x)
        loss = config.retrieval_weight * retrieval_loss(everything, coded, config.retrieval_loss, config.temperature)
        (gradient,) = torch.autograd.grad(loss, coded)
    return float(loss.detach()), gradient[first : first + len(x)]


def retrieval_loss(x: Tensor, x_hat: Tensor, kind: str, temperature: float) -> Tensor:
    """Mean over the texts of a batch, ()."""
    predicted = x @ x_hat.T / temperature
    if kind == "infonce":
        return functional.cross_entropy(predicted, torch.arange(len(x), device=x.device))
    itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
    wanted, predicted = (s.masked_fill(itself, -torch.inf) for s in (x @ x.T / temperature, predicted))
    log_wanted, log_predicted = wanted.log_softmax(dim=1), predicted.log_softmax(dim=1)
    # 0 log 0 = 0 where a text meets itself
    differences = (log_wanted - log_predicted).masked_fill(itself, 0)
    return (log_wanted.exp() * differences).sum(dim=1).mean()
