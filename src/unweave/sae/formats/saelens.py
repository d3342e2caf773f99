"""SAELens: `cfg.json` and `sae_weights.safetensors`, as its `save_model` writes them (6.x, and what older ones wrote).

    z = act((x - b_dec) W_enc + b_enc);  x_hat = z W_dec + b_dec

W_enc is stored as (d_in, d_sae). `standard` is ReLU, `jumprelu` a threshold for each latent (which BatchTopK becomes
for inference), `topk` keeps the k strongest, `matching_pursuit` has no encoder of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from unweave.base.foreign import shown
from unweave.config import MATCHING_PURSUIT, THRESHOLD, TOP_K
from unweave.sae.formats.tensors import (
    SettingsFile,
    Tensors,
    UnsupportedSAE,
    assemble,
    bias_of_raw_input,
    with_unit_directions,
    write_files,
)
from unweave.sae.model import SAE

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
_LAYOUT = "6.0.0"
"""Since this version `cfg.json` has the fields that are written here."""
_UNIT = 1e-4
_K = 32


def read(path: Path) -> SAE:
    """Open a folder of SAELens.

    Raises:
        MissingArtifact, CorruptArtifact: a file is missing or damaged.
        UnsupportedSAE: gated, transcoder and other architectures; inputs that are normalised; finetuned scaling.
    """
    settings, weights = SettingsFile(path / CONFIG), Tensors.of_safetensors(path / WEIGHTS)
    architecture = _architecture(settings)
    factor = "fold the factor in first: fold_activation_norm_scaling_factor, then save_model"
    settings.refuse("normalize_activations", "none", False, why=f"ours reads embeddings as they are; {factor}")
    settings.refuse("reshape_activations", "none", why="it reads attention heads, not one vector a text")
    settings.refuse("finetuning_scaling_factor", False, why="ours has no factor after the activation")
    d_in, n_latents = settings.whole("d_in"), settings.whole("d_sae")
    W_dec = weights.take("W_dec", n_latents, d_in)
    b_dec = weights.take("b_dec", d_in)
    subtracts = settings.flag("apply_b_dec_to_input", True)
    k, encoder = _k(settings, n_latents), _model(settings)
    if architecture == "matching_pursuit":
        _refuse_other_pursuits(settings, W_dec)
        b_pre = b_dec if subtracts else np.zeros_like(b_dec)  # SAELens then adds no bias either
        zeros = np.zeros(n_latents, np.float32)
        return assemble(
            path, selection=MATCHING_PURSUIT, k=settings.whole("max_iterations"), W_enc=W_dec, b_enc=zeros,
            W_dec=W_dec, b_pre=b_pre, encoder=encoder,
        )  # fmt: skip
    W_enc, b_enc = weights.take("W_enc", d_in, n_latents).T, weights.take("b_enc", n_latents)
    threshold = None
    if architecture == "jumprelu" and "log_threshold" in weights:  # a training checkpoint before 6.50
        threshold = np.exp(weights.take("log_threshold", n_latents))
    elif architecture == "jumprelu":
        threshold = weights.take("threshold", n_latents)
    if threshold is not None and (threshold == threshold[0]).all():
        threshold = threshold[:1]
    sae = assemble(
        path,
        selection=TOP_K if architecture == "topk" else THRESHOLD,
        k=settings.whole("k") if architecture == "topk" else k,
        W_enc=W_enc,
        b_enc=b_enc if subtracts else bias_of_raw_input(W_enc, b_enc, b_dec),
        W_dec=W_dec,
        b_pre=b_dec,
        threshold=threshold,
        encoder=encoder,
    )
    # top k compares activations as they are, or, if so trained, as they would be with directions of length 1.
    folds = architecture != "topk" or settings.flag("rescale_acts_by_decoder_norm")
    return with_unit_directions(sae) if folds else sae


def write(sae: SAE, folder: Path) -> None:
    """Write `cfg.json` and `sae_weights.safetensors`, for SAELens' `SAE.load_from_disk(folder)`."""
    config = sae.config
    settings = {
        "d_in": config.d_in,
        "d_sae": config.n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": _LAYOUT, "model_name": config.encoder or None, "k": config.k},
    }
    tensors = {"W_dec": sae.W_dec, "b_dec": sae.b_pre}
    if config.selection == MATCHING_PURSUIT:
        sae = replace(sae, W_dec=sae.W_dec / np.maximum(np.linalg.norm(sae.W_dec, axis=1, keepdims=True), 1e-12))
        tensors["W_dec"] = sae.W_dec
        settings |= {"architecture": "matching_pursuit", "max_iterations": config.k, "residual_threshold": 0.0,
                     "stop_on_duplicate_support": False}  # fmt: skip
    else:
        tensors |= {"W_enc": sae.W_enc.T, "b_enc": sae.b_enc}
        if config.selection == TOP_K:
            settings |= {"architecture": "topk", "k": config.k, "rescale_acts_by_decoder_norm": False}
        else:
            settings |= {"architecture": "jumprelu"}
            tensors["threshold"] = np.broadcast_to(np.maximum(sae.threshold, 0), sae.b_enc.shape)
    write_files(folder / WEIGHTS, tensors, folder / CONFIG, settings)


_READ = {"standard", "jumprelu", "topk", "matching_pursuit"}


def _architecture(settings: SettingsFile) -> str:
    """One of those that are read; before 6.0 top k was an activation function of `standard`."""
    stated = settings.text("architecture", "standard")
    activation = settings.text("activation_fn_str", settings.text("activation_fn", "relu"))
    if stated == "standard" and activation == "topk":
        return "topk"
    if stated not in _READ or activation not in ("relu", "topk"):
        what = stated if stated not in _READ else f"{stated} with {activation}"
        hint = (
            "; it is a checkpoint of training, save it with save_inference_model"
            if stated in ("batchtopk", "matryoshka_batchtopk")
            else ""
        )
        raise UnsupportedSAE(
            f"{settings.path}: the architecture {shown(what)} is not supported{hint}; "
            f"those that are: {', '.join(sorted(_READ))}"
        )
    return stated


def _model(settings: SettingsFile) -> str:
    name = settings.section("metadata").get("model_name")
    return name if isinstance(name, str) else ""


def _k(settings: SettingsFile, n_latents: int) -> int:
    """What top k keeps; of an SAE with thresholds, which has no k, the number in its notes or our default."""
    old = settings.section("activation_fn_kwargs").get("k")
    if old is not None:
        settings.values.setdefault("k", old)
    noted = settings.section("metadata").get("k")
    return noted if type(noted) is int and 0 < noted <= n_latents else min(_K, n_latents)


def _refuse_other_pursuits(settings: SettingsFile, W_dec: np.ndarray) -> None:
    why = "our matching pursuit takes max_iterations steps for every text"
    settings.refuse("residual_threshold", 0, why=f"{why}; set it to 0 if that is what you want")
    if settings.flag("stop_on_duplicate_support", True) or "max_iterations" not in settings:
        raise UnsupportedSAE(
            f"{settings.path}: stopping at a repeated latent is not supported: {why}; "
            "set stop_on_duplicate_support to false, residual_threshold to 0 and max_iterations to a number"
        )
    furthest = np.abs(np.linalg.norm(W_dec, axis=1) - 1).max()
    if furthest > _UNIT:
        raise UnsupportedSAE(
            f"{settings.path.parent}: a direction's length differs from 1 by {furthest:.2g}, which is not supported "
            "in matching pursuit: the steps would be others"
        )
