"""The embeddings that an SAE is trained on, and the order in which it sees them.

They may be larger than memory: rows are read from memory-mapped shards, a batch ahead of the training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.base.vectors import refuse_unusable

IN_MEMORY_BYTES = 2 << 30
"""Embeddings up to this size are read once and kept."""
_WINDOW_BYTES = 1 << 29
_RUN = 64
"""Neighbouring rows that are read together when embeddings do not fit into memory."""


class Rows(Protocol):
    """Embeddings that give rows by position: `Embeddings`, or an array behind `ArrayRows`."""

    d_in: int

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]: ...

    def __len__(self) -> int: ...


class ArrayRows:
    """An array, (n, d_in), in memory or memory-mapped."""

    def __init__(self, array: NDArray[np.floating[Any]]) -> None:
        self._array = array
        self.d_in = array.shape[1]

    def __len__(self) -> int:
        return len(self._array)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at these positions, (len(positions), d_in).

        Raises:
            BadData: one of them is zero or not finite.
        """
        rows = np.asarray(self._array[positions], dtype=np.float32)
        refuse_unusable(rows, "texts to train on", positions)
        return rows


class TrainingTexts:
    """Some rows of some embeddings, one after the other: position i is the i-th of them."""

    def __init__(self, parts: Sequence[tuple[Rows, NDArray[np.int64]]], in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._parts = [(rows, positions) for rows, positions in parts if len(positions)]
        self.d_in = parts[0][0].d_in if parts else 0
        self._ends = np.cumsum([len(positions) for _, positions in self._parts], dtype=np.int64)
        self._kept: NDArray[np.float32] | None = None
        if len(self) * self.d_in * 4 <= in_memory_bytes:
            self._kept = self._read(np.arange(len(self)))

    @classmethod
    def of(cls, array: NDArray[np.floating[Any]], in_memory_bytes: int = IN_MEMORY_BYTES) -> TrainingTexts:
        """All rows of one array, (n, d_in)."""
        return cls([(ArrayRows(array), np.arange(len(array)))], in_memory_bytes)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at these positions, (len(positions), d_in), in the order asked.

        Raises:
            BadData: one of them is zero or not finite; the error names its file and row.
        """
        return self._read(positions) if self._kept is None else self._kept[positions]

    def sample(self, most: int, seed: int) -> NDArray[np.float32]:
        """`most` rows drawn at random, or all, in order of their position."""
        if len(self) <= most:
            return self.take(np.arange(len(self)))
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    def _read(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        out = np.empty((len(positions), self.d_in), dtype=np.float32)
        part_of = np.searchsorted(self._ends, positions, side="right")
        for number, (rows, chosen) in enumerate(self._parts):
            here = part_of == number
            first = self._ends[number] - len(chosen)
            out[here] = rows.take(chosen[positions[here] - first])
        return out

    def order(self, seed: int, epoch: int, window_bytes: int = _WINDOW_BYTES) -> NDArray[np.int64]:
        """An order of all positions, drawn anew for each epoch.

        Where one window holds them all, any order is equally likely. Otherwise runs of neighbours are shuffled, and
        then the rows of each window of runs, so that a disk is read in runs and a window's pages stay in memory.
        """
        random = np.random.default_rng([seed, epoch])
        window = max(_RUN, window_bytes // (self.d_in * 4))
        if len(self) <= window:
            return random.permutation(len(self))
        runs = random.permutation(-(-len(self) // _RUN))
        order = (runs[:, None] * _RUN + np.arange(_RUN)).ravel()
        order = order[order < len(self)]
        for start in range(0, len(order), window):
            random.shuffle(order[start : start + window])
        return order

    def batches(self, first: int, steps: int, size: int, seed: int) -> Iterator[Positions]:
        """Positions of batches `first` to `steps` - 1, (size,); every text at most once an epoch."""
        per_epoch = len(self) // size
        epoch, order = -1, np.empty(0, np.int64)
        for number in range(first, steps):
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                order = self.order(seed, epoch)
            nth = number % per_epoch
            yield order[nth * size : (nth + 1) * size]


Positions = NDArray[np.int64]


def ahead(texts: TrainingTexts, batches: Iterator[Positions], *, pinned: bool = False) -> Iterator[Tensor]:
    """The rows of each batch, read while the batch before is trained on; pinned: where a GPU copies them from fast."""

    def read(positions: Positions) -> Tensor:
        rows = torch.from_numpy(texts.take(positions))
        return rows.pin_memory() if pinned else rows

    with ThreadPoolExecutor(1) as reader:
        coming = None
        for positions in batches:
            following = reader.submit(read, positions)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()
