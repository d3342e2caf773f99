"""A dictionary that was made elsewhere, and the one SAE that it makes with latents of a corpus's own behind it.

The given latents come first and stay what they were, bit for bit, so a latent has the same number, direction and
threshold in every corpus. After SAE Boost (arXiv 2507.12990).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unweave.base.artifact import read_manifest
from unweave.base.foreign import shown
from unweave.base.packaged import DICTIONARY
from unweave.config import PRETRAINED, THRESHOLD, SAEConfig
from unweave.errors import MissingArtifact
from unweave.sae.formats import import_sae, is_ours
from unweave.sae.hub import download, is_repository
from unweave.sae.model import SAE


def located(name: str | Path, revision: str | None = None) -> Path:
    """The folder or file of a dictionary; one on the hub is downloaded if it is not on this machine already.

    Args:
        name: `pretrained`, a folder or file of unweave's or another tool's, or OWNER/NAME on the hub.
        revision: branch, tag or commit of the repository.

    Raises:
        MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        ModelUnavailable: the hub cannot be reached, or has no such repository.
        ValueError: a revision of what is not on the hub was asked for.
    """
    path = DICTIONARY if str(name) == PRETRAINED else Path(name)
    if path == DICTIONARY and not path.is_dir():
        raise MissingArtifact("this build of unweave carries no dictionary; give a folder or OWNER/NAME on the hub")
    if path.exists():
        if revision is not None:
            raise ValueError(f"{name} is on this machine and has no revision {revision!r}, as repositories do")
        return path
    if is_repository(str(name)):
        return download(str(name), revision)
    raise MissingArtifact(
        f"there is no dictionary {shown(str(name))}: no such folder is here, and a repository on the hub would be "
        "OWNER/NAME"
    )


def packaged_for(encoder: str) -> bool:
    """Whether the package carries a dictionary that reads this encoder's embeddings.

    Raises:
        CorruptArtifact: what it carries is damaged.
    """
    if not encoder or not DICTIONARY.is_dir():
        return False
    return bool(read_manifest(DICTIONARY, "sae").settings["sae"]["encoder"] == encoder)


def read_sae(path: Path) -> SAE:
    """The SAE of a folder or file, unweave's or another tool's.

    Raises:
        MissingArtifact, CorruptArtifact: there is none, or it is damaged.
        UnsupportedSAE: it does what ours cannot.
    """
    return SAE.load(path) if is_ours(path) else import_sae(path)


def fingerprint(sae: SAE) -> str:
    """SHA-256 of all that decides activations and reconstructions, as hex; the encoder's name and a twin do not."""
    c = sae.config
    stops = [] if c.most_steps is None else [c.most_steps, c.stops_at_repeat]  # nothing of all others, as ever
    digest = hashlib.sha256(json.dumps([c.d_in, c.n_latents, c.k, c.selection, *stops]).encode())
    for tensor in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_pre, sae.threshold):
        digest.update(np.ascontiguousarray(tensor, "<f4").data)
    return digest.hexdigest()


def joined(given: SAE, own: SAE) -> SAE:
    """One SAE of both dictionaries' latents, the given ones first; every latent keeps its threshold.

    Args:
        own: trained beside the given one, so that both take the same b_pre from an embedding.

    Raises:
        ValueError: they do not fit together: one of them does not select by threshold, or b_pre differs.
    """
    if {given.config.selection, own.config.selection} != {THRESHOLD}:
        raise ValueError("latents of another SAE can only be added where both are selected by threshold")
    if not np.array_equal(given.b_pre, own.b_pre):
        raise ValueError("the latents to add were trained beside another dictionary: b_pre differs")
    return SAE(
        beside(given.config, own.config),
        np.concatenate([given.W_enc, own.W_enc]),
        np.concatenate([given.b_enc, own.b_enc]),
        np.concatenate([given.W_dec, own.W_dec]),
        given.b_pre,
        np.concatenate([thresholds(given), thresholds(own)]),
        _twins(given, own),
    )


def in_common(one: SAE, other: SAE) -> int:
    """How many latents, the first of each, are the same in both, bit for bit: active for the same texts, as strongly.

    All of them, if the two are one; those of the given dictionary, if each is `joined` with latents of its own.
    """
    if fingerprint(one) == fingerprint(other):
        return one.config.n_latents
    if {one.config.selection, other.config.selection} != {THRESHOLD} or not np.array_equal(one.b_pre, other.b_pre):
        return 0  # latents that compete for the k places of a text depend on all others
    n = min(one.config.n_latents, other.config.n_latents)
    same = thresholds(one)[:n] == thresholds(other)[:n]
    for name in ("W_enc", "b_enc", "W_dec"):
        equal = getattr(one, name)[:n] == getattr(other, name)[:n]
        same &= equal.reshape(n, -1).all(axis=1)
    return n if same.all() else int(np.argmin(same))


def _twins(given: SAE, own: SAE) -> NDArray[np.float32] | None:
    """What twins of both say; NaN for the latents of one that had none."""
    known = [sae.twin if sae.twin is not None else np.full(len(sae.b_enc), np.nan, np.float32) for sae in (given, own)]
    return None if given.twin is None and own.twin is None else np.concatenate(known)


def beside(given: SAEConfig, own: SAEConfig) -> SAEConfig:
    """What the SAE of both is."""
    encoder = given.encoder or own.encoder
    return replace(given, n_latents=given.n_latents + own.n_latents, k=given.k + own.k, encoder=encoder)


def thresholds(sae: SAE) -> NDArray[np.float32]:
    """The threshold of each latent, (n_latents,)."""
    return np.broadcast_to(sae.threshold, sae.b_enc.shape)
