"""How well a dictionary reconstructs held-out embeddings when every system may keep the same number of activations.

A threshold learned in training keeps anything from 3 to 700 activations where 32 were asked for, and reconstruction
follows that number. So one threshold is fitted here, for every system alike, to keep k a row on the first half of the
held-out rows, and measured on the second; beside it stands the plain choice of each row's k strongest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS = 1024  # activations of this many rows are in memory at a time


class Dictionary(NamedTuple):
    """z = relu(W_enc (x - b_pre) + b_enc), all but some set to 0;  x_hat = z W_dec + b_pre."""

    W_enc: Tensor  # (n_latents, d)
    b_enc: Tensor  # (n_latents,)
    W_dec: Tensor  # (n_latents, d)
    b_pre: Tensor  # (d,)

    @classmethod
    def read(cls, weights: Path | str | Mapping[str, Any]) -> Dictionary:
        """From weights-STEP.npz, or from arrays by name."""
        arrays = np.load(weights) if isinstance(weights, Path | str) else weights
        return cls(*(torch.as_tensor(np.asarray(arrays[name], dtype=np.float32)) for name in cls._fields))

    def activations(self, X: NDArray[np.float32]) -> Iterator[tuple[Tensor, Tensor]]:
        """Chunk by chunk: the rows, (n, d), and their activations, (n, n_latents), before any is set to 0."""
        for first in range(0, len(X), ROWS):
            rows = torch.from_numpy(np.array(X[first : first + ROWS], dtype=np.float32))
            yield rows, torch.relu_(torch.addmm(self.b_enc, rows - self.b_pre, self.W_enc.T))

    def squared_error(self, rows: Tensor, codes: Tensor) -> float:
        return float((rows - codes @ self.W_dec - self.b_pre).double().square().sum())


@torch.no_grad()
def held_out_nmse(
    weights: Path | str | Mapping[str, Any],
    held_out: NDArray[np.float32],
    k: int,
    live_rows: NDArray[np.float32] | None = None,
) -> dict[str, float | int | None]:
    """NMSE on the second half of the held-out rows, (n, d), with the L0 at which it was measured.

    Args:
        weights: weights-STEP.npz, or a mapping with W_enc, b_enc, W_dec and b_pre.
        held_out: (n, d); the threshold is fitted on the first half.
        k: activations a row that the threshold and the per-row choice keep.
        live_rows: (m, d), rows over which a latent is counted if the threshold keeps it once (default: held_out).

    Returns:
        threshold, nmse_threshold, l0_threshold; nmse_top_k, l0_top_k; n_live and n_live_rows; and, where the file has a
        threshold that the system learned itself, own_threshold, nmse_own_threshold and l0_own_threshold (else None).
    """
    dictionary = Dictionary.read(weights)
    half = len(held_out) // 2
    threshold = fitted_threshold(dictionary, held_out[:half], k)
    own = _own_threshold(weights)
    rules = {
        "threshold": lambda z: z * (z >= threshold),
        "top_k": lambda z: torch.zeros_like(z).scatter(1, *reversed(z.topk(k))),
    }
    if own is not None:
        rules["own_threshold"] = lambda z: z * (z > own)
    measured = held_out[half:]
    error, kept = dict.fromkeys(rules, 0.0), dict.fromkeys(rules, 0)
    for rows, z in dictionary.activations(measured):
        for name, rule in rules.items():
            codes = rule(z)
            error[name] += dictionary.squared_error(rows, codes)
            kept[name] += int(codes.count_nonzero())
    variance = float(np.square(measured - measured.mean(0, dtype=np.float64)).sum())
    live_rows = held_out if live_rows is None else live_rows
    live = torch.zeros(len(dictionary.W_dec), dtype=torch.bool)
    for _, z in dictionary.activations(live_rows):
        live |= (z >= threshold).any(0)
    result: dict[str, float | int | None] = {"threshold": threshold, "own_threshold": own}
    for name in ("threshold", "top_k", "own_threshold"):
        result[f"nmse_{name}"] = error[name] / variance if name in rules else None
        result[f"l0_{name}"] = kept[name] / len(measured) if name in rules else None
    return result | {"n_live": int(live.sum()), "n_live_rows": len(live_rows)}


@torch.no_grad()
def fitted_threshold(dictionary: Dictionary, X: NDArray[np.float32], k: int) -> float:
    """The (k n)-th strongest activation of all n rows: keeping what reaches it keeps k a row."""
    wanted = k * len(X)
    strongest, floor = torch.empty(0), 0.0
    for _, z in dictionary.activations(X):
        strongest = torch.cat([strongest, z[z > floor]])
        if len(strongest) > wanted:
            strongest = strongest.topk(wanted, sorted=False).values
            floor = float(strongest.min())
    if not len(strongest):
        raise ValueError("no latent is active for any of the rows")
    return float(strongest.min())


def _own_threshold(weights: Path | str | Mapping[str, Any]) -> float | None:
    arrays = np.load(weights) if isinstance(weights, Path | str) else weights
    own = float(arrays["threshold"]) if "threshold" in arrays else float("nan")
    return None if np.isnan(own) else own
