"""The `.pt` file of the paper's repository (Park, Kim and Ko 2025, arXiv 2506.00041): a state dict.

    z = W (x - bias_pre) where it exceeds a threshold, else 0;  x_hat = W2 z + bias_pre

`linear.weight` W is (n_latents, d_in), `linear2.weight` W2 is (d_in, n_latents), and there is no encoder bias. Its
training normalises the rows of W2, which are dimensions, so that latents' directions have any length. The threshold is
not in the file: the mean of each batch's least kept activation, it stands in the file's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unweave.base.files import write_atomically
from unweave.config import THRESHOLD
from unweave.errors import CorruptArtifact, MissingArtifact, MissingExtra
from unweave.sae.formats.tensors import Floats, Tensors, UnsupportedSAE, assemble, with_unit_directions
from unweave.sae.model import SAE

if TYPE_CHECKING:
    from types import ModuleType

SUFFIX = ".pt"
_NUMBER = r"(?P<threshold>\d+\.\d+(?:e-\d+)?)"
_NAMES = (
    re.compile(rf"sae_\d+_k(?P<k>\d+)_mean_of_min_act-{_NUMBER}\.pt"),  # as its train.py names it
    re.compile(rf"(?P<k>\d+)_{_NUMBER}\.pt"),  # as its other scripts do
)
_K = 32


def read(path: Path, threshold: float | None = None) -> SAE:
    """Open a `.pt` file, or a folder that holds one; runs nothing that is in it.

    Args:
        threshold: an activation at or below it counts as 0; the number in the file's name if None.

    Raises:
        MissingArtifact, CorruptArtifact: there is no such file, or it is not such a state dict.
        UnsupportedSAE: the threshold is not known.
    """
    path = only_file(path) or path
    if not path.is_file():
        raise MissingArtifact(f"there is no {SUFFIX} file at {path}, or more than one; give the file itself")
    named = next((match for match in (name.fullmatch(path.name) for name in _NAMES) if match), None)
    if threshold is None:
        if named is None:
            raise UnsupportedSAE(
                f"{path.name} does not state the activation threshold, and the file holds none; give the one that "
                "training printed (threshold=..., --threshold), or name the file K_THRESHOLD.pt, e.g. 32_0.1604.pt"
            )
        threshold = float(named["threshold"])
    if not 0 <= threshold < np.inf:
        raise ValueError(f"the threshold must be a number from 0 on, got {threshold}")
    weights = Tensors(path, _state_dict(path))
    W_enc = weights.take("linear.weight", None, None)
    n_latents, d_in = W_enc.shape
    sae = assemble(
        path,
        selection=THRESHOLD,
        k=min(int(named["k"]) if named else _K, n_latents),
        W_enc=W_enc,
        b_enc=np.zeros(n_latents, np.float32),
        W_dec=weights.take("linear2.weight", d_in, n_latents).T,
        b_pre=weights.take("bias_pre", d_in),
        threshold=np.array([threshold], np.float32),
    )
    return with_unit_directions(sae)


def write(sae: SAE, folder: Path) -> None:
    """Write a state dict whose name states k and the threshold, as the repository's `train.py` names it.

    Thresholds of several heights become one: latent j's activations are scaled by t / t_j, its direction by t_j / t.

    Raises:
        UnsupportedSAE: the SAE does not select by threshold, or has an encoder bias, which the format lacks.
    """
    torch = _torch()
    config = sae.config
    if config.selection != THRESHOLD:
        raise UnsupportedSAE(f"the paper's format has no selection by {config.selection}, only by threshold")
    if sae.b_enc.any():
        raise UnsupportedSAE("the paper's format has no encoder bias (b_enc), and this SAE has one")
    floors = np.broadcast_to(np.maximum(sae.threshold, 0).astype(np.float64), sae.b_enc.shape)
    scale = np.ones_like(floors)
    if len(sae.threshold) > 1:
        if not floors.all():
            raise UnsupportedSAE("the paper's format has one threshold, and some of this SAE's are 0, others not")
        scale = floors.mean() / floors
    threshold = float(np.float32(floors.mean()))
    state = {
        "bias_pre": torch.from_numpy(sae.b_pre.astype(np.float32)),
        "linear.weight": torch.from_numpy((sae.W_enc * scale[:, None]).astype(np.float32)),
        "linear2.weight": torch.from_numpy(np.ascontiguousarray((sae.W_dec / scale[:, None]).T, np.float32)),
    }
    factor = max(1, config.n_latents // config.d_in)
    name = f"sae_{factor}_k{config.k}_mean_of_min_act-{np.format_float_positional(threshold, trim='0')}{SUFFIX}"
    write_atomically(folder / name, lambda p: torch.save(state, p))


def only_file(path: Path) -> Path | None:
    """The one `.pt` file of a folder; None if it is no folder, or holds none or several."""
    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    return found[0] if len(found) == 1 else None


def _state_dict(path: Path) -> dict[str, Floats]:
    torch = _torch()
    try:
        # weights_only: the pickle may name tensors and containers, and nothing else is ever called.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle makes torch raise
        raise CorruptArtifact(
            f"{path} is not a file of tensors alone ({type(error).__name__}); it was not run. Fetch it again, or save "
            "its state_dict() with torch.save"
        ) from error
    if not isinstance(state, dict):
        raise CorruptArtifact(f"{path} holds a {type(state).__name__}, expected a state dict")
    return {
        str(name): tensor.detach().to(torch.float32).numpy()
        for name, tensor in state.items()
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.layout == torch.strided
    }


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("the paper's .pt format", "fit") from error
    return torch
