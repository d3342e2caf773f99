"""sentence-transformers' `SparseAutoEncoder` module (CSR; Wen et al. 2025, arXiv 2503.01776).

    z = relu of the k strongest of W (x - pre_bias) + latent_bias;  x_hat = W.T z + pre_bias

A folder of `config.json` and `model.safetensors`, or a whole `SparseEncoder` whose `modules.json` names one. Encoder
and decoder are one matrix, W, whose rows may have any length; activations compete as they are, so it is taken as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import read_settings, shown
from unweave.config import TOP_K
from unweave.errors import CorruptArtifact
from unweave.sae.formats import names
from unweave.sae.formats.sparsify import AS_TOP_K
from unweave.sae.formats.tensors import LAYER_NORM, SettingsFile, Tensors, UnsupportedSAE, assemble, write_files
from unweave.sae.model import SAE

logger = logging.getLogger(__name__)
CONFIG, WEIGHTS, MODULES = "config.json", "model.safetensors", "modules.json"
_KIND = "SparseAutoEncoder"
_MATRIX = "decoder.linear.weight", "encoder.weight"
"""Its two names; a tensor that two names share is saved under the first of them."""
_ENCODER = "encoder"


def read(path: Path) -> SAE:
    """Open the module's folder, or that of a model that has such a module.

    Raises:
        MissingArtifact, CorruptArtifact: a file is missing or damaged.
        UnsupportedSAE: it normalises its input.
    """
    path = module_folder(path) or path
    settings, weights = SettingsFile(path / CONFIG), Tensors.of_safetensors(path / WEIGHTS)
    settings.refuse("normalize", False, why=LAYER_NORM.format(off="false"))
    d_in, n_latents = settings.whole("input_dim"), settings.whole("hidden_dim", 512)
    encoder = weights.notes.get(_ENCODER)
    W = weights.take(_MATRIX[1] if _MATRIX[1] in weights else _MATRIX[0], n_latents, d_in)
    return assemble(
        path,
        selection=TOP_K,
        k=settings.whole("k", 8),
        W_enc=W,
        b_enc=weights.take("latent_bias", n_latents),
        W_dec=W,
        b_pre=weights.take("pre_bias", d_in),
        encoder=encoder if isinstance(encoder, str) else "",
    )


def names_in(path: Path, n_latents: int) -> dict[int, str]:
    """Names of latents in the header of the weights."""
    weights = (module_folder(path) or path) / WEIGHTS
    return names.read(Tensors.of_safetensors(weights).notes.get(names.FIELD), n_latents, weights)


def write(sae: SAE, folder: Path, named: Mapping[int, str]) -> None:
    """Write the module, for `SparseAutoEncoder.load(folder)` behind an encoder in a `SparseEncoder`.

    Its latents are ours. It has no decoder of its own: unless ours is the encoder's transpose, its `decode` gives
    something else than ours, and a note says so.

    Raises:
        UnsupportedSAE: the SAE does not keep the k strongest.
    """
    config = sae.config
    if config.selection != TOP_K:
        raise UnsupportedSAE(f"sentence-transformers has no selection by {config.selection}; {AS_TOP_K}")
    if not np.array_equal(sae.W_enc, sae.W_dec):
        logger.warning(
            "sentence-transformers decodes with the encoder's weights: its latents are ours, its decode() is not"
        )
    settings = {
        "input_dim": config.d_in,
        "hidden_dim": config.n_latents,
        "k": config.k,
        "k_aux": min(512, config.n_latents),
        "normalize": False,
        "dead_threshold": 30,
    }
    tensors: dict[str, NDArray[Any]] = {
        "pre_bias": sae.b_pre,
        "latent_bias": sae.b_enc,
        _MATRIX[0]: sae.W_enc,
        "stats_last_nonzero": np.zeros(config.n_latents, np.int64),
    }
    header = {"format": "pt", _MATRIX[1]: _MATRIX[0], **names.in_header(named, "sentence-transformers")}
    if config.encoder:
        header[_ENCODER] = config.encoder  # the settings have no room: each is an argument of the module
    write_files(folder / WEIGHTS, tensors, folder / CONFIG, settings, header)


def module_folder(path: Path) -> Path | None:
    """Where in a saved model its `SparseAutoEncoder` lies; None if there is none.

    Raises:
        CorruptArtifact: `modules.json` is no list of modules, or points out of the model's folder.
    """
    listing = path / MODULES
    if not listing.is_file():
        return None
    try:
        modules = read_settings(listing)
        places = [str(module["path"]) for module in modules if str(module["type"]).rpartition(".")[2] == _KIND]
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptArtifact(f"{listing} is not a list of modules ({shown(str(error))}); fetch it again") from error
    if not places:
        return None
    place = PurePosixPath(places[0])
    if place.is_absolute() or ".." in place.parts:
        raise CorruptArtifact(f"{listing} points out of its folder; do not use this model")
    return path / place
