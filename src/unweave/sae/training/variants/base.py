"""One step of any SAE that encodes in one shot: choose the active latents, reconstruct, differentiate.

A variant says which activations of a batch stay (`select`), in which planes they are to reconstruct (`weights`), and
what is asked beside reconstruction (`through`). Everything else is here, and the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.config import THRESHOLD
from unweave.sae.training.arithmetic import Engine, Entries, Parameters, SparseGradient
from unweave.sae.training.parallel import World
from unweave.sae.training.retrieval_loss import retrieval_gradient

if TYPE_CHECKING:
    from unweave.config import TrainConfig


AUX_EVERY = 8
"""The auxiliary loss reads every eighth text of a batch: enough to move dead latents, at an eighth of the cost."""

_FEW_TEXTS = 64


class Gradients(NamedTuple):
    """The gradient of a batch's loss."""

    W: SparseGradient | tuple[Tensor, Tensor]
    """Of W_enc and W_dec: not yet multiplied out, or both, (n_latents, d_in)."""
    b_enc: Tensor
    b_pre: Tensor
    threshold: Tensor


class Step(NamedTuple):
    """What one batch gives."""

    loss: Tensor
    """() per text, this process's part of it."""
    gradients: Gradients
    fired: Tensor
    """(n_latents,) bool: which latents were active."""
    hint: float
    """Where to begin to look for the next batch's active entries."""


class Through(NamedTuple):
    """What passes through a variant's activation function on the way back."""

    dz: Tensor
    """(n_active,) dL/d(pre-activation)."""
    threshold: Tensor | None = None
    """(n_latents,) dL/dthreshold."""
    penalty: float = 0.0
    """What the loss has beside reconstruction, per text."""


@dataclass
class Variant:
    """A way to choose which latents of a text are active."""

    config: TrainConfig
    k: int

    selection: ClassVar[str] = THRESHOLD
    """How the trained SAE chooses, see `SAEConfig.selection`."""

    def weights(self) -> tuple[float, ...]:
        """Weight of each plane's error in the loss; they sum to 1."""
        return (1.0,)

    def centre(self, sample: NDArray[np.float32]) -> NDArray[np.float32]:
        """Where b_pre begins, (d_in,): at the mean of a sample of texts, (n, d_in)."""
        return np.asarray(sample.mean(axis=0))

    def target(self, engine: Engine, centred: Tensor) -> Tensor:
        """What is to be reconstructed of x - b_pre, (n_rows, d_in): all of it."""
        return centred

    def prepare(self, p: Parameters, engine: Engine, x: Tensor) -> None:
        """Set what depends on the data before the first step, from a sample of texts x, (n, d_in)."""

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        """The entries of W_enc centred + b_enc that are active, (n_rows, n_latents), and the next hint."""
        raise NotImplementedError

    def through(self, p: Parameters, entries: Entries, dz: Tensor, n_texts: int, world: World) -> Through:
        """The gradient of pre-activations, from that of activations."""
        return Through(dz)

    def step(self, engine: Engine, p: Parameters, x: Tensor, *, dead: Tensor, hint: float, world: World) -> Step:
        """Loss and gradients of one batch, of which x, (n_rows, d_in), is this process's share.

        loss = sum_g weight_g |t - W_dec.T z_g|^2 / n_texts + aux_alpha |e - e_hat|^2 / n_aux + what `through` adds,
        where t is the `target`, for most variants x - b_pre, e = t - W_dec.T z is held fixed, e_hat is what the k
        strongest dead latents make of it (AuxK, Gao et al. 2024, arXiv 2406.04093), and n_aux counts the texts that
        this term sums over, every AUX_EVERY-th. Nothing dead: no such term.

        Args:
            dead: (n_dead,) int64, the latents that count as dead.
        """
        n_texts = len(x) * world.size
        centred = x - p.b_pre
        target = self.target(engine, centred)
        entries, next_hint = self.select(engine, p, centred, hint, world)
        weights = self.weights()
        extra, retrieval = None, 0.0
        if self.config.retrieval_weight:
            x_hat = engine.decode(entries, p.W_dec, len(x)) + p.b_pre
            x_hat = x_hat if target is centred else x_hat + (centred - target)
            retrieval, extra = retrieval_gradient(x, x_hat, self.config, world)
        scaled = tuple(weight / n_texts for weight in weights)
        back = engine.backward(entries, p.W_dec, target, scaled, extra)
        loss = (back.losses * back.losses.new_tensor(scaled)).sum() + retrieval / world.size
        # b_pre is also added to x_hat, beside being taken from x before encoding.
        b_pre = back.G[0].sum(dim=0)
        through = self.through(p, entries, back.dz, n_texts, world)
        loss = loss + through.penalty / world.size
        active = entries.values > 0
        sparse = SparseGradient(entries, through.dz, back.G, centred)
        if len(dead) and self.config.aux_alpha:
            aux_loss, sparse = self._with_auxk(engine, p, sparse, target, dead, world)
            loss = loss + aux_loss
        b_enc = torch.zeros_like(p.b_enc).index_add_(0, sparse.entries.columns, sparse.dz)
        b_pre -= b_enc @ p.W_enc
        fired = torch.bincount(entries.columns[active], minlength=len(p.W_enc)) > 0
        threshold = torch.zeros_like(p.threshold) if through.threshold is None else through.threshold
        return Step(loss, Gradients(sparse, b_enc, b_pre, threshold), fired, next_hint)

    def _with_auxk(
        self, engine: Engine, p: Parameters, sparse: SparseGradient, target: Tensor, dead: Tensor, world: World
    ) -> tuple[Tensor, SparseGradient]:
        """The auxiliary loss, and the gradient with the dead latents' entries, in a plane of their own."""
        n_rows = len(sparse.centred)
        first = -world.rank * n_rows % AUX_EVERY
        some = torch.arange(first, n_rows, AUX_EVERY, device=dead.device)
        centred = sparse.centred[some]
        theirs = sparse.entries.where((sparse.entries.rows - first) % AUX_EVERY == 0)
        theirs = theirs._replace(rows=(theirs.rows - first) // AUX_EVERY)
        error = target[some] - engine.decode(theirs, p.W_dec, len(some))
        products = torch.addmm(p.b_enc[dead], centred, p.W_enc[dead].T)
        values, nth = products.topk(min(len(dead), self.k), dim=1)
        columns, order = dead[nth].sort(dim=1)
        values = values.gather(1, order)
        rows, places = (values > 0).nonzero(as_tuple=True)
        revived = Entries.of(rows, columns[rows, places], values[rows, places])
        scale = self.config.aux_alpha / -(-n_rows * world.size // AUX_EVERY)
        back = engine.backward(revived, p.W_dec, error, (scale,))
        G = torch.zeros_like(sparse.G[:1])
        G[0, some] = back.G[0]
        revived = revived._replace(rows=some[rows], planes=revived.planes + len(sparse.G))
        both = Entries(*(torch.cat(fields) for fields in zip(sparse.entries, revived, strict=True)))
        joined = SparseGradient(both, torch.cat([sparse.dz, back.dz]), torch.cat([sparse.G, G]), sparse.centred)
        return back.losses[0] * scale, joined


def strongest_of_batch(
    engine: Engine, p: Parameters, centred: Tensor, budget: int, hint: float, world: World
) -> tuple[Entries, float]:
    """The `budget` highest positive activations of a batch, all processes' shares together, and their lowest.

    Only entries above `hint` are looked at, and more if these are too few, so a good hint (a little below the last
    batch's cut) saves the selection over all entries; it never changes the result. Entries equal at the cut (repeated
    texts give them) are settled by their order.
    """
    entries = engine.above(p, centred, hint)
    everywhere = world.gather(entries.values)
    missed = 0
    while hint > 0 and sum(map(len, everywhere)) < budget:
        missed += 1
        hint = min(0.9 * hint, hint_from_few(engine, p, centred, budget, world)) if missed == 1 else lower(hint)
        entries = engine.above(p, centred, hint)
        everywhere = world.gather(entries.values)
    values = torch.cat(everywhere)
    if len(values) <= budget:
        return entries, 0.0
    cut = engine.kth_highest(values, budget)
    before = sum(int((part == cut).sum()) for part in everywhere[: world.rank])
    ties = budget - int((values > cut).sum()) - before
    return engine.at_least(entries, cut, ties), cut


def hint_from_few(engine: Engine, p: Parameters, centred: Tensor, budget: int, world: World) -> float:
    """A little below the cut that the first texts of a batch, of each process, would have for themselves."""
    few = centred[:_FEW_TEXTS]
    values = engine.above(p, few, 0.0).values
    share = max(1, budget * len(few) // (len(centred) * world.size))
    cut = engine.kth_highest(values, share) if len(values) > share else 0.0
    return 0.9 * float(torch.cat(world.gather(centred.new_tensor([cut]))).min())


def lower(hint: float) -> float:
    """Where to look again after a hint was too high; 0 takes every positive activation."""
    return hint / 2 if hint > 1e-4 else 0.0
