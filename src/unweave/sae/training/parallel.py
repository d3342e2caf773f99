"""Several processes that train one SAE on their shares of each batch: started by `torchrun`, alone otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from unweave.base.cores import launched
from unweave.encode.devices import refuse_missing


@dataclass(frozen=True)
class World:
    """The processes of one training run and this one's place among them."""

    rank: int = 0
    size: int = 1

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """This process's part of a batch: a run of it, so that parts in the order of ranks are the batch."""
        return np.array_split(positions, self.size)[self.rank]

    def sum_(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def broadcast(self, *tensors: Tensor) -> None:
        """Replace each tensor by the first process's."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def gather_rows(self, rows: Tensor) -> Tensor:
        """All processes' rows, of which each has equally many, in the order of ranks."""
        return torch.cat(self.gather(rows.flatten())).view(-1, *rows.shape[1:])

    def gather(self, values: Tensor) -> list[Tensor]:
        """Every process's values, (n_of_that_process,), in the order of ranks."""
        if self.size == 1:
            return [values]
        lengths = torch.zeros(self.size, dtype=torch.int64, device=values.device)
        lengths[self.rank] = len(values)
        self.sum_(lengths)
        padded = values.new_zeros(int(lengths.max()))
        padded[: len(values)] = values
        gathered = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(gathered, padded)
        return [part[:length] for part, length in zip(gathered, lengths.tolist(), strict=True)]


def own_device(device: str) -> str:
    """What `cuda` means in this process: each that `torchrun` started on a machine takes a GPU of its own.

    Raises:
        BadData: this machine, or this torch, has no such device.
    """
    device = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and launched() else device
    refuse_missing(device)
    return device


@contextmanager
def world_of(device: str) -> Iterator[World]:
    """The processes that `torchrun` started, talking over nccl on GPUs and gloo on CPUs; else this one alone.

    Where they talk already, as in the second of two runs, they talk on: they cannot begin twice.
    """
    if not launched():
        yield World()
        return
    if dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size())
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=torch.device(device))
    else:
        dist.init_process_group("gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
