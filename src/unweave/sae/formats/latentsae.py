"""latentsae (enjalot's latent-sae): `cfg.json` and `sae.safetensors`, laid out as sparsify's, with a `sae_type`.

    z = select(W (x - input_mean - b_dec) + b);  x_hat = W_dec.T z + b_dec + input_mean

Read are `topk`, `matryoshka` (its largest level, as latentsae encodes it), `jumprelu` and `batchtopk`. The last two
also cut a text's code after `jumprelu_max_active` or k latents; that is what `encode(x, max_latents=...)` does here,
and a note says so.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from unweave.base.plain import plain
from unweave.config import MATCHING_PURSUIT, THRESHOLD, TOP_K
from unweave.errors import CorruptArtifact
from unweave.sae.formats import names, sparsify
from unweave.sae.formats.sparsify import CONFIG, WEIGHTS
from unweave.sae.formats.tensors import SettingsFile, Tensors, UnsupportedSAE, with_unit_directions
from unweave.sae.model import SAE

logger = logging.getLogger(__name__)
_READ = ("topk", "matryoshka", "jumprelu", "batchtopk")
_MAX_ACTIVE = 512
"""latentsae's own default of `jumprelu_max_active`."""


def read(path: Path) -> SAE:
    """Open a folder of latentsae.

    Raises:
        MissingArtifact, CorruptArtifact: a file is missing or damaged.
        UnsupportedSAE: gated, LISTA, cosine-scored and signed (abstopk) ones; skip connections.
    """
    settings, weights = SettingsFile(path / CONFIG), Tensors.of_safetensors(path / WEIGHTS)
    kind = settings.text("sae_type", "topk").lower()  # written as the name of an enum's member, in capitals
    if kind not in _READ:
        raise UnsupportedSAE(
            f"{settings.path}: the sae_type {plain(kind, 60)!r} is not supported; those that are: {', '.join(_READ)}"
        )
    settings.refuse("use_skip", False, why="ours has no linear path beside the latents")
    settings.refuse("signed", False, why="our activations are never negative")
    k = _last_level(settings) if kind == "matryoshka" else settings.whole("k", 32)
    sae = sparsify.read_weights(path, settings, weights, k)
    if settings.flag("mean_center"):
        sae = replace(sae, b_pre=sae.b_pre + weights.take("input_mean", sae.config.d_in))
    if kind not in ("jumprelu", "batchtopk"):
        return sae
    n_latents = sae.config.n_latents
    if kind == "jumprelu":
        threshold = np.exp(weights.take("log_threshold", n_latents))
        most = settings.whole("jumprelu_max_active", _MAX_ACTIVE)
    else:
        # latentsae keeps what is at or above the threshold, ours what is above: the float before it.
        threshold = np.nextafter(weights.take("batchtopk_threshold").reshape(1), np.float32(-np.inf))
        most = k
    config = replace(sae.config, selection=THRESHOLD)
    sae = replace(sae, config=config, threshold=threshold.astype(np.float32))
    if most >= n_latents:
        return with_unit_directions(sae)
    # Directions keep their lengths, so that max_latents compares what latentsae compares.
    logger.warning(
        "latentsae keeps at most %d latents a text of this SAE; for that, encode(x, max_latents=%d)", most, most
    )
    return sae


names_in = sparsify.names_in


def write(sae: SAE, folder: Path, named: Mapping[int, str]) -> None:
    """Write `cfg.json` and `sae.safetensors`, for latentsae's `Sae.load_from_disk(folder).eval()`.

    A threshold becomes JumpReLU's; its logarithm is what is stored, so that it may differ in the last place. As it
    comes from disk, latentsae's SAE is in training, where a sigmoid stands for the threshold; a note says so.

    Raises:
        UnsupportedSAE: the SAE selects by matching pursuit.
    """
    if sae.config.selection == MATCHING_PURSUIT:
        raise UnsupportedSAE(f"latentsae has no matching pursuit; {sparsify.AS_TOP_K}")
    header = names.in_header(named, "latentsae")
    if sae.config.selection == TOP_K:
        sparsify.write_sae(sae, folder, {"sae_type": "TOPK"}, {}, header)
        return
    least = np.finfo(np.float32).tiny  # for a threshold of 0, whose logarithm is infinite
    log_threshold = np.log(np.maximum(np.broadcast_to(sae.threshold, sae.b_enc.shape), least))
    settings: dict[str, object] = {"sae_type": "JUMPRELU", "jumprelu_max_active": sae.config.n_latents}
    sparsify.write_sae(sae, folder, settings, {"log_threshold": log_threshold}, header)
    logger.warning(
        "latentsae loads this SAE in the mode of training, where far more latents are active; load it with "
        "Sae.load_from_disk(folder).eval()"
    )


def _last_level(settings: SettingsFile) -> int:
    """k of the largest nested dictionary; they are stated as one string, "8,16,32"."""
    stated = settings.text("matryoshka_ks", "")
    last = stated.rpartition(",")[2].strip()
    if not (last.isascii() and last.isdigit()) or not 0 < len(last) < 10:
        raise CorruptArtifact(f"{settings.path}: matryoshka_ks is {stated[:60]!r}, expected numbers as in '8,16,32'")
    return int(last)
