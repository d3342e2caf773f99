"""What the adapters share: the request, the batches, the clock, and the weights they leave behind.

An adapter runs in its peer's environment and imports nothing of ours but this file. Every system gets the same batches:
batch i of an epoch is rows perm[i * B : (i + 1) * B], perm drawn anew each epoch by numpy's default_rng(seed + epoch),
and the last rows that do not fill a batch are left out.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_TO_CHECK = 64
TOLERANCE = 1e-4

Rows = NDArray[np.float32]
"""Embeddings, (n, d), memory-mapped."""


def _let_torchvision_import() -> None:
    """Declare the operators for want of which torchvision's CUDA build fails to import beside PyTorch's CPU build.

    Most peers import it, some through the libraries they stand on; none calls these operators.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return  # not installed, so nobody needs it
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_let_torchvision_import()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a peer: the JSON file whose path is the adapter's only argument."""

    data: str
    """.npy, (n, d) float32: what to train on."""
    held_out: str
    """.npy, (n_held_out, d) float32: the weights are checked against the peer's own forward pass on its first rows."""
    n_latents: int
    k: int
    batch_size: int
    steps: int
    out: str
    """Folder for result.json and weights-STEP.npz."""
    lr: float | None = None
    """None: the peer's own rule."""
    lr_warmup: int | None = None
    """Steps of learning-rate warm-up; None: the peer's own default. A peer without one ignores it."""
    seed: int = 0
    warm_steps: int = 3
    """First steps that the clock leaves out."""
    eval_at: tuple[int, ...] = ()
    """Numbers of finished steps at which to write the weights, outside the clock."""
    threads: int = 2


class Weights:
    """z = relu(W_enc (x - b_pre) + b_enc), all but some set to 0;  x_hat = z W_dec + b_pre."""

    def __init__(
        self,
        W_enc: Tensor,  # (n_latents, d)
        b_enc: Tensor,  # (n_latents,)
        W_dec: Tensor,  # (n_latents, d)
        b_pre: Tensor,  # (d,)
        selection: Literal["top_k", "threshold"],
        threshold: float = float("nan"),
    ) -> None:
        self.W_enc, self.b_enc, self.W_dec, self.b_pre = (
            tensor.detach().float().clone().contiguous() for tensor in (W_enc, b_enc, W_dec, b_pre)
        )
        self.selection = selection
        self.threshold = threshold  # the peer's own, that it would select by; nan where it has none (yet)

    def activations(self, rows: Tensor) -> Tensor:
        """(n, n_latents), before any is set to 0."""
        return torch.relu((rows - self.b_pre) @ self.W_enc.T + self.b_enc)

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.W_dec + self.b_pre

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name).numpy() for name in ("W_enc", "b_enc", "W_dec", "b_pre")}
        np.savez(path, selection=np.array(self.selection), threshold=np.float32(self.threshold), **arrays)


class Peer(ABC):
    """One peer's model, optimiser and training step, and how its weights read in our terms."""

    package: ClassVar[str]
    variant: ClassVar[str]
    lr: float

    @abstractmethod
    def __init__(self, request: Request, data: Rows) -> None: ...

    @abstractmethod
    def train(self, batches: Batches) -> None:
        """Take one training step a batch."""

    @abstractmethod
    def weights(self) -> Weights: ...

    @abstractmethod
    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The peer's own codes, (n, n_latents) and mostly 0, and its reconstruction, (n, d)."""


class Batches:
    """The batches of a run, one after another; what happens between two is one training step, and timed."""

    def __init__(self, peer: Peer, request: Request, data: NDArray[np.float32], held_out: Tensor) -> None:
        self.peer, self.request, self.data, self.held_out = peer, request, data, held_out
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return self.request.steps

    def __iter__(self) -> Iterator[Tensor]:
        for step, rows in zip(range(len(self)), self._rows(), strict=False):
            batch = torch.from_numpy(np.ascontiguousarray(self.data[rows]))
            start = time.perf_counter()
            yield batch
            self.seconds.append(time.perf_counter() - start)
            if step + 1 in self.request.eval_at:
                self._write(step + 1)

    def _rows(self) -> Iterator[NDArray[np.int64]]:
        size, seed = self.request.batch_size, self.request.seed
        if len(self.data) < size:
            raise ValueError(f"{len(self.data)} rows do not fill a batch of {size}")
        while True:
            order = np.random.default_rng(seed).permutation(len(self.data))
            for first in range(0, len(order) - size + 1, size):
                yield order[first : first + size]
            seed += 1

    def _write(self, step: int) -> None:
        with torch.no_grad():
            weights = self.peer.weights()
            check(weights, self.peer, self.held_out)
        weights.save(Path(self.request.out) / f"weights-{step}.npz")


def check(weights: Weights, peer: Peer, rows: Tensor) -> None:
    """Raise unless the weights say what the peer's own forward pass says, up to which activations it keeps."""
    codes, x_hat = peer.forward(rows)
    kept = torch.where(codes != 0, weights.activations(rows), 0)
    apart = (kept - codes).abs().max().item(), (weights.decode(codes) - x_hat).abs().max().item()
    if not all(distance <= TOLERANCE for distance in apart):  # nor nan
        raise AssertionError(f"{peer.package}'s own activations and reconstruction are {apart} away from ours")


def main(kind: type[Peer]) -> None:
    """Run the request whose path the command line gives."""
    request = Request(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(request.out).mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(request.threads)
    torch.manual_seed(request.seed)
    data = np.load(request.data, mmap_mode="r")
    for first in range(0, len(data), request.batch_size):  # all of it in memory before training starts
        data[first : first + request.batch_size].sum()
    held_out = torch.from_numpy(np.array(np.load(request.held_out, mmap_mode="r")[:ROWS_TO_CHECK]))
    rss_after_loading = memory("VmRSS")
    peer = kind(request, data)
    batches = Batches(peer, request, data, held_out)
    peer.train(batches)
    if len(batches.seconds) != request.steps:
        raise AssertionError(f"{kind.package} took {len(batches.seconds)} steps of {request.steps}")
    timed = batches.seconds[request.warm_steps :]
    result = {
        "peer": kind.package,
        "version": version(kind.package),
        "torch": torch.__version__,
        "variant": kind.variant,
        "lr": peer.lr,
        "samples_per_second": request.batch_size * len(timed) / sum(timed) if timed else None,
        "seconds_per_step": batches.seconds,
        "peak_rss_bytes": memory("VmHWM"),
        "rss_after_loading_bytes": rss_after_loading,
    }
    (Path(request.out) / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def memory(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Bytes of memory this process holds (VmRSS) or held at most (VmHWM).

    Linux counts a parent's memory in a child's ru_maxrss, so that is asked only where there is no /proc.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
