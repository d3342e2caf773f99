"""The `.pt` file of the paper's repository (Park, Kim and Ko 2025, arXiv 2506.00041): a state dict.

    z = W (x - bias_pre) where it exceeds a threshold, else 0;  x_hat = W2 z + bias_pre

`linear.weight` W is (n_latents, d_in), `linear2.weight` W2 is (d_in, n_latents), and there is no encoder bias. Its
training normalises the rows of W2, which are dimensions, so that latents' directions have any length. The threshold is
not in the file: the mean of each batch's least kept activation, it stands in the file's name.
"""

from __future__ import annotations

import logging
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unweave.base.files import write_atomically
from unweave.base.foreign import LARGEST_SETTINGS, shown
from unweave.config import THRESHOLD
from unweave.errors import CorruptArtifact, MissingArtifact, MissingExtra
from unweave.sae.formats.tensors import Floats, Tensors, UnsupportedSAE, assemble, with_unit_directions
from unweave.sae.model import SAE

if TYPE_CHECKING:
    from types import ModuleType

logger = logging.getLogger(__name__)
SUFFIX = ".pt"
_NUMBER = r"(?P<threshold>\d+\.\d+(?:e-\d+)?)"
_NAMES = (
    re.compile(rf"sae_\d+_k(?P<k>\d+)_mean_of_min_act-{_NUMBER}\.pt"),  # as its train.py names it
    re.compile(rf"(?P<k>\d+)_{_NUMBER}\.pt"),  # as its other scripts do
)
_K = 32
_TENSORS_ONLY = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch \w+Storage", re.ASCII
)
"""What the pickle of a state dict names."""


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


def write(sae: SAE, folder: Path, named: Mapping[int, str]) -> None:
    """Write a state dict whose name states k and the threshold, as the repository's `train.py` names it.

    Thresholds of several heights become one: latent j's activations are scaled by t / t_j, its direction by t_j / t.

    Raises:
        UnsupportedSAE: the SAE does not select by threshold, or has an encoder bias, which the format lacks.
    """
    torch = _torch()
    config = sae.config
    if named:
        logger.warning("the paper's format has no place for names of latents; write a table: --labels")
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
    _check_archive(path)
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
    tensors = {
        str(name): tensor.detach()
        for name, tensor in dict.items(state)
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
    }
    for name, tensor in tensors.items():
        if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise CorruptArtifact(f"{path}: {shown(name)} claims {tuple(tensor.shape)} numbers and holds fewer")
    return {name: tensor.to(torch.float32).numpy() for name, tensor in tensors.items()}


def _check_archive(path: Path) -> None:
    """Refuse what is not a file of torch.save, packed smaller than it is, or names anything but tensors.

    Raises:
        CorruptArtifact: it is; nothing was loaded.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise ValueError("it holds more bytes than it has")
            pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if any(entry.file_size > LARGEST_SETTINGS for entry in pickles):
                raise ValueError(f"the names in it take over {LARGEST_SETTINGS:,} bytes")
            named = {
                str(argument)
                for entry in pickles
                for opcode, argument, _ in pickletools.genops(archive.read(entry))
                if opcode.name in ("GLOBAL", "INST", "STACK_GLOBAL")
            }
    except Exception as error:  # of many kinds, of what is no archive or no pickle
        raise CorruptArtifact(
            f"{path} is not a file of tensors alone ({shown(str(error))}); it was not run. Fetch it again, or save its "
            "state_dict() with torch.save"
        ) from error
    others = sorted(name for name in named if not _TENSORS_ONLY.fullmatch(name))
    if others:
        raise CorruptArtifact(
            f"{path} is not a file of tensors alone (it names {shown(others[0])}); it was not run. Save its "
            "state_dict() with torch.save"
        )


def _torch() -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("the paper's .pt format", "fit") from error
    return torch
