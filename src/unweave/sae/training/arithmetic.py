"""The arithmetic of a training step, sparse throughout: in plain torch on any device, in compiled kernels on a CPU.

Only the active entries of a batch have gradients, so nothing of shape (batch, n_latents) is ever differentiated, and
activations are computed a block of rows at a time. Both engines compute the same; tests hold them to each other and
to autograd.

A reconstruction may be asked for in several planes: plane g uses the entries of planes 0 to g alone (nested
dictionaries, nested k), and the loss is the weighted sum of all planes' errors. Most variants have one plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unweave.base import cores
from unweave.sae import kernels
from unweave.sae.training import kernels as training_kernels
from unweave.sae.training.parallel import World

_HALF_MARGIN = 1 / 32
"""Share of the floor by which a product in bfloat16 may lie below it and is still looked at exactly: over ten times
the standard deviation of its error, so that exact products decide (tests and the benchmark count misses: none)."""
_BLOCK_FLOATS = 1 << 21
_TILE_ROWS, _TILE_LATENTS = 256, 1024
_INTEGER = {torch.bfloat16: torch.int16, torch.float32: torch.int32, torch.float64: torch.int64}
_LATENTS_AT_ONCE = 256
_ROWS_AT_ONCE = 128


class Parameters(NamedTuple):
    """What training changes."""

    W_enc: Tensor  # (n_latents, d_in)
    b_enc: Tensor  # (n_latents,)
    W_dec: Tensor  # (n_latents, d_in), rows of length 1
    b_pre: Tensor  # (d_in,)
    threshold: Tensor  # (n_latents,); trained by JumpReLU alone


class Entries(NamedTuple):
    """The active entries of a batch, in row order: latent columns[i] has activation values[i] in text rows[i]."""

    rows: Tensor  # (n_active,) int64, ascending
    columns: Tensor  # (n_active,) int64, ascending within a row
    values: Tensor  # (n_active,) float
    planes: Tensor  # (n_active,) int64: the first plane that an entry takes part in

    @classmethod
    def of(cls, rows: Tensor, columns: Tensor, values: Tensor) -> Entries:
        """Entries of a single plane."""
        return cls(rows, columns, values, torch.zeros_like(rows))

    def where(self, kept: Tensor) -> Entries:
        """The entries of a boolean mask."""
        places = kept.nonzero()[:, 0]
        return Entries(*(field[places] for field in self))

    def offsets(self, n_rows: int) -> Tensor:
        """Where each row starts, and the end, (n_rows + 1,)."""
        return torch.searchsorted(self.rows, torch.arange(n_rows + 1, device=self.rows.device))


class Backward(NamedTuple):
    """The error of a batch and what follows from it."""

    losses: Tensor  # (n_planes,): sum of |x - x_hat|^2 over the texts
    G: Tensor  # (n_planes, n_rows, d_in): dL/d(z W_dec) as entries of each plane see it
    dz: Tensor  # (n_active,): dL/dz


class SparseGradient(NamedTuple):
    """dL/dW_enc = dz.T (x - b_pre) and dL/dW_dec = z.T G, not yet multiplied out."""

    entries: Entries
    dz: Tensor  # (n_active,)
    G: Tensor  # (n_planes, n_rows, d_in)
    centred: Tensor  # (n_rows, d_in)


class Adam(NamedTuple):
    """Adam (Kingma & Ba 2015) at one step."""

    lr: float
    step: int
    """Counted from 1."""
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @property
    def constants(self) -> tuple[float, float, float, float, float]:
        """beta1, beta2, lr / (1 - beta1^t), 1 / sqrt(1 - beta2^t), epsilon."""
        step_size = self.lr / (1 - self.beta1**self.step)
        return self.beta1, self.beta2, step_size, (1 - self.beta2**self.step) ** -0.5, self.epsilon

    def apply_(self, parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor) -> None:
        """One step of one parameter and its two moments."""
        beta1, beta2, step_size, root_scale, epsilon = self.constants
        mean.lerp_(gradient, 1 - beta1)
        square.lerp_(gradient.square(), 1 - beta2)
        parameter.addcdiv_(mean, square.sqrt().mul_(root_scale).add_(epsilon), value=-step_size)


class Engine:
    """Plain torch, on any device and in any precision."""

    def __init__(self, *, half: bool = False) -> None:
        self.half = half
        """Look for active entries with a product in bfloat16; their activations are computed exactly all the same."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around the steps of a run."""
        yield

    def above(self, p: Parameters, centred: Tensor, floor: float) -> Entries:
        """The entries of W_enc centred + b_enc that exceed a floor >= 0; centred is x - b_pre, (n_rows, d_in)."""
        half = self.half and floor > 0
        weights, bias = (t.bfloat16() if half else t for t in (p.W_enc, p.b_enc))
        blocks = []
        for start, stop in cores.spans(len(centred), max(1, 16 * _BLOCK_FLOATS // len(weights))):
            block = centred[start:stop]
            products = torch.addmm(bias, block.to(weights.dtype), weights.T)
            rows, columns = (products > floor * (1 - half * _HALF_MARGIN)).nonzero(as_tuple=True)
            if half:
                values = self._products(rows, columns, block, p.W_enc) + p.b_enc[columns]
            else:
                values = products[rows, columns]
            blocks.append(Entries.of(rows + start, columns, values).where(values > floor))
        return Entries(*(torch.cat(fields) for fields in zip(*blocks, strict=True)))

    def kth_highest(self, values: Tensor, k: int) -> float:
        """The k-th highest of some values, (n,), n >= k >= 1."""
        return float(values.sort().values[len(values) - k])  # on a GPU ten times as fast as `kthvalue`

    def at_least(self, entries: Entries, cut: float, ties: int) -> Entries:
        """The entries above a cut, and the first `ties` of those that equal it."""
        at_cut = entries.values == cut
        return entries.where((entries.values > cut) | (at_cut & (at_cut.cumsum(0) <= ties)))

    def ranks(self, entries: Entries, n_rows: int) -> Tensor:
        """Each entry's place among those of its row, the highest activation being 0; ties keep their order."""
        by_value = torch.argsort(entries.values, descending=True, stable=True)
        order = by_value[torch.argsort(entries.rows[by_value], stable=True)]
        ranks = torch.empty_like(entries.rows)
        ranks[order] = torch.arange(len(order), device=order.device) - entries.offsets(n_rows)[entries.rows]
        return ranks

    def decode(self, entries: Entries, W_dec: Tensor, n_rows: int) -> Tensor:
        """z W_dec, (n_rows, d_in)."""
        return _sums(entries.columns, entries.values, entries.offsets(n_rows), W_dec)

    def backward(
        self, entries: Entries, W_dec: Tensor, target: Tensor, weights: tuple[float, ...], extra: Tensor | None = None
    ) -> Backward:
        """Reconstruct a target, (n_rows, d_in), in each plane and differentiate sum_g weights[g] |target - x_hat_g|^2.

        Args:
            extra: dL/dx_hat of the last plane from other losses, (n_rows, d_in).
        """
        error, losses, gradients = target, [], []
        for plane, weight in enumerate(weights):
            error = error - self.decode(entries.where(entries.planes == plane), W_dec, len(target))
            losses.append(error.square().sum())
            gradients.append(-2 * weight * error)
        if extra is not None:
            gradients[-1] = gradients[-1] + extra
        G = torch.stack(gradients).flip(0).cumsum(0).flip(0)  # an entry takes part in its plane and all later ones
        flat = G.view(-1, G.shape[2])
        dz = self._products(entries.planes * len(target) + entries.rows, entries.columns, flat, W_dec)
        return Backward(torch.stack(losses), G, dz)

    def gradients(self, sparse: SparseGradient, n_latents: int) -> tuple[Tensor, Tensor]:
        """dL/dW_enc and dL/dW_dec, (n_latents, d_in) each."""
        entries, dz, G, centred = sparse
        order = torch.argsort(entries.columns, stable=True)
        starts = torch.searchsorted(entries.columns[order], torch.arange(n_latents + 1, device=dz.device))
        texts = (entries.planes * len(centred) + entries.rows)[order]
        return (
            _sums(entries.rows[order], dz[order], starts, centred),
            _sums(texts, entries.values[order], starts, G.view(-1, G.shape[2])),
        )

    def update(
        self, p: Parameters, moments: dict[str, Tensor], gradient: SparseGradient | tuple[Tensor, Tensor],
        adam: Adam, world: World,
    ) -> None:  # fmt: skip
        """Adam on W_enc and W_dec; what would only lengthen a direction is taken out, and its length is 1 again."""
        dense = self.gradients(gradient, len(p.W_enc)) if isinstance(gradient, SparseGradient) else gradient
        world.sum_(*dense)
        self._adam(p, moments, dense, adam)

    def _adam(self, p: Parameters, moments: dict[str, Tensor], dense: tuple[Tensor, Tensor], adam: Adam) -> None:
        g_enc, g_dec = dense
        g_dec -= (g_dec * p.W_dec).sum(dim=1, keepdim=True) * p.W_dec
        adam.apply_(p.W_enc, g_enc, moments["W_enc.mean"], moments["W_enc.square"])
        adam.apply_(p.W_dec, g_dec, moments["W_dec.mean"], moments["W_dec.square"])
        p.W_dec.div_(p.W_dec.norm(dim=1, keepdim=True))

    def _products(self, rows: Tensor, columns: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """left[row] . right[column] at each entry, (n_active,)."""
        products = left.new_empty(len(rows))
        for start, stop in cores.spans(len(rows), 1 << 16):  # so that the rows picked out stay small
            products[start:stop] = (left[rows[start:stop]] * right[columns[start:stop]]).sum(dim=1)
        return products


class CPUEngine(Engine):
    """Compiled kernels, one block of rows or latents a core at a time; products by torch, one thread each."""

    def __init__(self, *, half: bool | None = None) -> None:
        """half: by default, whether this processor multiplies bfloat16 in hardware."""
        super().__init__(half=torch.cpu._is_avx512_bf16_supported() if half is None else half)
        self._capacity = 64
        """Entries a text for which there is room; grows when there were more."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep torch to one thread a core: blocks run side by side."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def above(self, p: Parameters, centred: Tensor, floor: float) -> Entries:
        half = self.half and floor > 0 and centred.dtype == torch.float32
        weights, bias, left = (_halved(t) if half else t for t in (p.W_enc, p.b_enc, centred))

        def block(span: tuple[int, int]) -> tuple[NDArray[Any], ...]:
            rows = slice(*span)
            counts, columns, values = self._search(left[rows], weights, bias, floor)
            found = np.empty(counts.sum(), np.int32), np.empty(counts.sum(), centred.numpy().dtype)
            if not half:
                kernels.pack(columns, values, counts, *found)
                return counts, *found
            exact, W_enc, b_enc = _numpy(centred[rows], p.W_enc, p.b_enc)
            kept = training_kernels.exact_above(columns, counts, exact, W_enc, b_enc, np.float32(floor), *found)
            return counts, found[0][:kept], found[1][:kept]

        size = min(_TILE_ROWS, -(-len(centred) // cores.n_cores()))
        blocks = cores.on_every_core(block, cores.spans(len(centred), max(1, size)))
        counts, columns, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        rows = np.repeat(np.arange(len(centred)), counts)
        return Entries.of(*(torch.from_numpy(a) for a in (rows, columns.astype(np.int64), values)))

    def _search(self, left: Tensor, weights: Tensor, bias: Tensor, floor: float) -> tuple[NDArray[Any], ...]:
        """Counts, (n_rows,), columns and values, (n_rows, capacity), of a block's entries above a floor.

        The products are made a tile at a time, small enough to be read again from the processor's second cache.
        """
        torch.set_num_threads(1)  # this thread's own setting
        half = weights.dtype == torch.bfloat16
        tile = torch.empty(len(left) * min(_TILE_LATENTS, len(weights)), dtype=weights.dtype)
        # Integers order positive floats as the floats themselves, and are compared faster.
        integer = _INTEGER[weights.dtype]
        lowest = torch.tensor(floor * (1 - half * _HALF_MARGIN), dtype=weights.dtype).view(integer).numpy()[()]
        counts = np.zeros(len(left), np.int64)
        capacity = self._capacity if floor > 0 else len(weights)
        while True:
            columns = np.empty((len(left), capacity), np.int32)
            values = np.empty(columns.shape, lowest.dtype)
            counts[:] = 0
            for start, stop in cores.spans(len(weights), _TILE_LATENTS):
                out = tile[: len(left) * (stop - start)].view(len(left), stop - start)
                torch.addmm(bias[start:stop], left, weights[start:stop].T, out=out)
                training_kernels.above(out.view(integer).numpy(), lowest, start, columns, values, counts)
            if counts.max(initial=0) <= columns.shape[1]:
                return counts, columns, values if half else values.view(left.numpy().dtype)
            capacity = self._capacity = int(1.25 * counts.max())

    def kth_highest(self, values: Tensor, k: int) -> float:
        return float(np.partition(values.numpy(), len(values) - k)[len(values) - k])

    def at_least(self, entries: Entries, cut: float, ties: int) -> Entries:
        rows, columns, values = _numpy(*entries[:3])
        kept = training_kernels.at_least(rows, columns, values, _number(cut, entries.values), ties)
        return Entries(*(field[:kept] for field in entries))

    def ranks(self, entries: Entries, n_rows: int) -> Tensor:
        ranks = np.empty(len(entries.rows), np.int64)
        offsets, values = entries.offsets(n_rows).numpy(), entries.values.numpy()
        cores.on_every_core(
            lambda span: training_kernels.ranks(*span, offsets, values, ranks), cores.spans(n_rows, _ROWS_AT_ONCE)
        )
        return torch.from_numpy(ranks)

    def decode(self, entries: Entries, W_dec: Tensor, n_rows: int) -> Tensor:
        out = torch.empty(n_rows, W_dec.shape[1], dtype=W_dec.dtype)
        arrays = _numpy(entries.offsets(n_rows), entries.columns, entries.values, W_dec, out)
        cores.on_every_core(lambda span: training_kernels.decode(*span, *arrays), cores.spans(n_rows, _ROWS_AT_ONCE))
        return out

    def backward(
        self, entries: Entries, W_dec: Tensor, target: Tensor, weights: tuple[float, ...], extra: Tensor | None = None
    ) -> Backward:
        G = target.new_empty(len(weights), *target.shape)
        dz = torch.empty_like(entries.values)
        arrays = _numpy(
            entries.offsets(len(target)), entries.columns, entries.values, entries.planes, W_dec, target,
            target.new_tensor(weights), target[:0] if extra is None else extra, G, dz,
        )  # fmt: skip
        losses = cores.on_every_core(
            lambda span: training_kernels.backward(*span, *arrays), cores.spans(len(target), _ROWS_AT_ONCE)
        )
        return Backward(torch.from_numpy(np.sum(losses, axis=0)), G, dz)

    def gradients(self, sparse: SparseGradient, n_latents: int) -> tuple[Tensor, Tensor]:
        g_enc, g_dec = (sparse.centred.new_empty(n_latents, sparse.centred.shape[1]) for _ in range(2))
        arrays = (*_grouped(sparse, n_latents), *_numpy(g_enc, g_dec))
        self._each_block_of_latents(training_kernels.latent_gradients, n_latents, *arrays)
        return g_enc, g_dec

    def update(
        self, p: Parameters, moments: dict[str, Tensor], gradient: SparseGradient | tuple[Tensor, Tensor],
        adam: Adam, world: World,
    ) -> None:  # fmt: skip
        if world.size > 1 or not isinstance(gradient, SparseGradient):
            super().update(p, moments, gradient, adam, world)
            return
        arrays = (*_grouped(gradient, len(p.W_enc)), *_numpy(p.W_enc, p.W_dec))
        self._each_block_of_latents(
            training_kernels.update_latents, len(p.W_enc), *arrays, _moments(moments), _constants(adam, p.W_enc)
        )

    def _adam(self, p: Parameters, moments: dict[str, Tensor], dense: tuple[Tensor, Tensor], adam: Adam) -> None:
        arrays = (*_numpy(*dense, p.W_enc, p.W_dec), _moments(moments), _constants(adam, p.W_enc))
        self._each_block_of_latents(training_kernels.adam_latents, len(p.W_enc), *arrays)

    @staticmethod
    def _each_block_of_latents(kernel: Any, n_latents: int, *arrays: Any) -> None:
        cores.on_every_core(lambda span: kernel(*span, *arrays), cores.spans(n_latents, _LATENTS_AT_ONCE))


def engine_for(device: str) -> Engine:
    """The engine that is fastest on a device: cpu, cuda, cuda:1, …"""
    return CPUEngine() if device == "cpu" else Engine(half=True)


def _halved(tensor: Tensor) -> Tensor:
    """A copy in bfloat16."""
    half = torch.empty_like(tensor, dtype=torch.bfloat16)
    cores.on_every_core(
        lambda span: half[slice(*span)].copy_(tensor[slice(*span)]), cores.spans(len(tensor), 1 + len(tensor) // 2)
    )
    return half


def _grouped(sparse: SparseGradient, n_latents: int) -> tuple[NDArray[Any], ...]:
    """What the kernels of latents read: entries grouped by latent, and what their gradients are made of."""
    entries = sparse.entries
    starts, order = training_kernels.by_latent(entries.columns.numpy(), n_latents)
    return starts, order, *_numpy(entries.rows, entries.values, entries.planes, sparse.dz, sparse.G, sparse.centred)


def _moments(moments: dict[str, Tensor]) -> tuple[NDArray[Any], ...]:
    return _numpy(*(moments[name] for name in ("W_enc.mean", "W_enc.square", "W_dec.mean", "W_dec.square")))


def _constants(adam: Adam, like: Tensor) -> tuple[Any, ...]:
    """Adam's constants in the precision of the parameters."""
    return tuple(_number(constant, like) for constant in adam.constants)


def _number(value: float, like: Tensor) -> Any:
    """A number in the precision of a tensor."""
    return like.detach().numpy().dtype.type(value)


def _numpy(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().numpy() for tensor in tensors)


def _sums(indices: Tensor, weights: Tensor, offsets: Tensor, table: Tensor) -> Tensor:
    """Row r: the sum of weights[i] * table[indices[i]] over offsets[r] <= i < offsets[r + 1]."""
    return nn.functional.embedding_bag(
        indices, table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
