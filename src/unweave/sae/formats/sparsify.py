"""EleutherAI's sparsify (PyPI `eai-sparsify`): `cfg.json` and `sae.safetensors`.

    z = the k strongest of relu(W (x - b_dec) + b);  x_hat = W_dec.T z + b_dec

W_dec is (n_latents, d_in). Its rows are of length 1 before each training step, so only nearly so in a saved file;
they are taken as they are, since activations compete as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unweave.config import TOP_K
from unweave.sae.formats import names
from unweave.sae.formats.tensors import SettingsFile, Tensors, UnsupportedSAE, assemble, write_files
from unweave.sae.model import SAE

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
AS_TOP_K = "export it with as_top_k=True (--as-top-k) if the k strongest will do: other latents than the threshold's"


def read(path: Path) -> SAE:
    """Open a folder of sparsify: one hookpoint.

    Raises:
        MissingArtifact, CorruptArtifact: a file is missing or damaged.
        UnsupportedSAE: transcoders, skip connections, groupmax, signed activations.
    """
    settings, weights = SettingsFile(path / CONFIG), Tensors.of_safetensors(path / WEIGHTS)
    settings.refuse("activation", "topk", why="ours keeps the k strongest of all latents, not one of each group")
    settings.refuse("transcode", False, why="a transcoder gives another vector back than it reads")
    settings.refuse("skip_connection", False, why="ours has no linear path beside the latents")
    settings.refuse("signed", False, why="our activations are never negative")
    return read_weights(path, settings, weights, settings.whole("k", 32))


def read_weights(path: Path, settings: SettingsFile, weights: Tensors, k: int) -> SAE:
    """The tensors that sparsify and its descendants name alike, as an SAE that keeps the k strongest."""
    d_in = settings.whole("d_in")
    n_latents = settings.whole("num_latents", 0, least=0) or d_in * settings.whole("expansion_factor", 32)
    return assemble(
        path,
        selection=TOP_K,
        k=k,
        W_enc=weights.take("encoder.weight", n_latents, d_in),
        b_enc=weights.take("encoder.bias", n_latents),
        W_dec=weights.take("W_dec", n_latents, d_in),
        b_pre=weights.take("b_dec", d_in),
        encoder=settings.text("encoder", ""),
    )


def names_in(path: Path, n_latents: int) -> dict[int, str]:
    """Names of latents in the header of the weights; so it is for latentsae too."""
    weights = path / WEIGHTS
    return names.read(Tensors.of_safetensors(weights).notes.get(names.FIELD), n_latents, weights)


def write(sae: SAE, folder: Path, named: Mapping[int, str]) -> None:
    """Write `cfg.json` and `sae.safetensors`, for sparsify's `SparseCoder.load_from_disk(folder)`.

    Raises:
        UnsupportedSAE: the SAE does not keep the k strongest.
    """
    if sae.config.selection != TOP_K:
        raise UnsupportedSAE(f"sparsify has no selection by {sae.config.selection}; {AS_TOP_K}")
    settings = {"activation": "topk", "transcode": False, "skip_connection": False}
    write_sae(sae, folder, settings, {}, names.in_header(named, "sparsify"))


def write_sae(
    sae: SAE, folder: Path, settings: dict[str, object], more: dict[str, np.ndarray], header: dict[str, str]
) -> None:
    """The settings and tensors that sparsify and its descendants name alike."""
    lengths = np.linalg.norm(sae.W_dec, axis=1)
    shared = {
        "expansion_factor": max(1, sae.config.n_latents // sae.config.d_in),
        "normalize_decoder": bool(np.abs(lengths - 1).max() < 1e-4),
        "num_latents": sae.config.n_latents,
        "k": sae.config.k,
        "multi_topk": False,
        "d_in": sae.config.d_in,
        "encoder": sae.config.encoder,  # not a field of theirs; they pass over what they do not know
    }
    tensors = {"encoder.weight": sae.W_enc, "encoder.bias": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_pre, **more}
    write_files(folder / WEIGHTS, tensors, folder / CONFIG, settings | shared, header or None)
