"""SAELens: `cfg.json` and `sae_weights.safetensors`, as its `save_model` writes them (6.x, and what older ones wrote).

    z = act((x - b_dec) W_enc + b_enc);  x_hat = z W_dec + b_dec

W_enc is stored as (d_in, d_sae). `standard` is ReLU, `jumprelu` a threshold for each latent (which BatchTopK becomes
for inference, and which `gated` equals), `topk` keeps the k strongest, `matching_pursuit` has no encoder of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from unweave.base.foreign import shown
from unweave.config import MATCHING_PURSUIT, THRESHOLD, TOP_K
from unweave.sae.formats import names
from unweave.sae.formats.tensors import (
    LAYER_NORM,
    Floats,
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
        UnsupportedSAE: transcoder and other architectures; inputs that are normalised; finetuned scaling.
    """
    settings, weights = SettingsFile(path / CONFIG), Tensors.of_safetensors(path / WEIGHTS)
    architecture = _architecture(settings)
    _refuse_normalised(settings)
    settings.refuse("reshape_activations", "none", why="it reads attention heads, not one vector a text")
    settings.refuse("finetuning_scaling_factor", False, why="ours has no factor after the activation")
    d_in, n_latents = settings.whole("d_in"), settings.whole("d_sae")
    W_dec = weights.take("W_dec", n_latents, d_in)
    b_dec = weights.take("b_dec", d_in)
    subtracts = settings.flag("apply_b_dec_to_input", True)
    if architecture == "matching_pursuit":
        # SAELens adds no bias to the reconstruction either where it subtracts none.
        return _pursuit(path, settings, W_dec, b_dec if subtracts else np.zeros_like(b_dec))
    no_threshold = np.zeros(1, np.float32)
    if architecture == "gated":
        W_enc, b_enc, threshold = _as_jumprelu(weights, d_in, n_latents)
    else:
        W_enc, b_enc = weights.take("W_enc", d_in, n_latents).T, weights.take("b_enc", n_latents)
        threshold = _threshold(weights, n_latents) if architecture == "jumprelu" else no_threshold
    if (threshold == threshold[0]).all():
        threshold = threshold[:1]
    k = _k(settings, n_latents)
    sae = assemble(
        path,
        selection=TOP_K if architecture == "topk" else THRESHOLD,
        k=settings.whole("k") if architecture == "topk" else k,
        W_enc=W_enc,
        b_enc=b_enc if subtracts else bias_of_raw_input(W_enc, b_enc, b_dec),
        W_dec=W_dec,
        b_pre=b_dec,
        threshold=threshold,
        encoder=_model(settings),
    )
    # top k compares activations as they are, or, if so trained, as they would be with directions of length 1.
    folds = architecture != "topk" or settings.flag("rescale_acts_by_decoder_norm")
    return with_unit_directions(sae) if folds else sae


def names_in(path: Path, n_latents: int) -> dict[int, str]:
    """Names of latents in the settings' `metadata`, which SAELens keeps."""
    settings = SettingsFile(path / CONFIG)
    return names.read(settings.section("metadata").get(names.FIELD), n_latents, settings.path)


def write(sae: SAE, folder: Path, named: Mapping[int, str]) -> None:
    """Write `cfg.json` and `sae_weights.safetensors`, for SAELens' `SAE.load_from_disk(folder)`."""
    config = sae.config
    metadata: dict[str, object] = {
        "sae_lens_version": _LAYOUT,
        "model_name": config.encoder or None,
        "k": config.k,
    }
    if texts := names.written(named, "saelens"):
        metadata[names.FIELD] = texts
    settings: dict[str, object] = {
        "d_in": config.d_in,
        "d_sae": config.n_latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
    }
    tensors = {"W_dec": sae.W_dec, "b_dec": sae.b_pre}
    if config.selection == MATCHING_PURSUIT and config.most_steps is not None:
        settings |= {"architecture": "matching_pursuit", "max_iterations": config.most_steps,
                     "residual_threshold": float(sae.threshold.max()),
                     "stop_on_duplicate_support": config.stops_at_repeat}  # fmt: skip
    elif config.selection == MATCHING_PURSUIT:
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


_READ = {"standard", "gated", "jumprelu", "topk", "matching_pursuit"}


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
    """What top k keeps; of an SAE that has no k, what its notes state, its measured L0 as a whole number, or our k."""
    old = settings.section("activation_fn_kwargs").get("k")
    if old is not None:
        settings.values.setdefault("k", old)
    metadata = settings.section("metadata")
    noted, measured = metadata.get("k"), metadata.get("l0")
    if type(noted) is int and 0 < noted <= n_latents:
        return noted
    if isinstance(measured, int | float) and not isinstance(measured, bool) and measured > 0:
        return max(1, round(min(measured, n_latents)))
    return min(_K, n_latents)


def _refuse_normalised(settings: SettingsFile) -> None:
    """Raise unless embeddings are read as they are; what can be done depends on how they are not."""
    name, kind = "normalize_activations", settings.values.get("normalize_activations")
    if kind == "layer_norm":
        settings.refuse(name, why=LAYER_NORM.format(off='"none"'))
    fold = "fold_activation_norm_scaling_factor"
    advice = {
        "expected_average_only_in": f"fold the factor in first: {fold}(factor), then save_model",
        "constant_norm_rescale": f"for embeddings of length 1 {fold}(d_in ** 0.5) does the same; then save_model",
        "covariance_whitening": "fold the whitening in first: fold_activation_whitening, then save_model",
    }.get(kind if isinstance(kind, str) else "", "train it without")
    settings.refuse(name, "none", False, why=f"ours reads embeddings as they are; {advice}")


def _threshold(weights: Tensors, n_latents: int) -> Floats:
    if "log_threshold" in weights:  # a training checkpoint before 6.50
        return np.exp(weights.take("log_threshold", n_latents))
    return weights.take("threshold", n_latents)


def _as_jumprelu(weights: Tensors, d_in: int, n_latents: int) -> tuple[Floats, Floats, Floats]:
    """A gated encoder (Rajamanoharan et al. 2024, arXiv 2404.16014) as W_enc, b_enc and threshold of a JumpReLU.

    z = relu(p e^r + b_mag) where p + b_gate > 0, with p = (x - b_dec) W_enc. Both sides times e^r, plus b_mag, that is
    where p e^r + b_mag > b_mag - b_gate e^r; and what a relu does not make 0 is above 0.
    """
    scale = np.exp(weights.take("r_mag", n_latents).astype(np.float64))
    b_mag, b_gate = weights.take("b_mag", n_latents), weights.take("b_gate", n_latents)
    W_enc = weights.take("W_enc", d_in, n_latents).T * scale[:, None]
    threshold = np.maximum(0, b_mag - b_gate * scale)
    return W_enc.astype(np.float32), b_mag, threshold.astype(np.float32)


def _pursuit(path: Path, settings: SettingsFile, W_dec: Floats, b_pre: Floats) -> SAE:
    """A matching pursuit: of a fixed number of steps, as ours is, or one that stops, as SAELens trains it."""
    n_latents, d_in = W_dec.shape
    most_steps = settings.whole("max_iterations", d_in)
    bound, at_repeat = settings.number("residual_threshold", 0.01), settings.flag("stop_on_duplicate_support", True)
    furthest = np.abs(np.linalg.norm(W_dec, axis=1) - 1).max()
    ours = furthest <= _UNIT and bound == 0 and not at_repeat and most_steps <= n_latents
    sae = assemble(
        path,
        selection=MATCHING_PURSUIT,
        k=most_steps if ours else min(_k(settings, n_latents), most_steps),
        W_enc=W_dec,
        b_enc=np.zeros(n_latents, np.float32),
        W_dec=W_dec,
        b_pre=b_pre,
        threshold=np.array([bound], np.float32),
        encoder=_model(settings),
    )
    stops = replace(sae.config, most_steps=most_steps, stops_at_repeat=at_repeat)
    return sae if ours else replace(sae, config=stops)
