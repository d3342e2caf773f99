"""A dictionary that a project takes over instead of training one: opened, and checked to read its embeddings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.base.stored import defaults_of
from unweave.config import OWN, PRETRAINED, FitConfig
from unweave.dictionaries.latents import Latent, read_latents
from unweave.errors import BadData, DimensionMismatch
from unweave.sae.given import fingerprint, located, packaged_for, read_sae
from unweave.sae.model import SAE
from unweave.stages.workspace import Workspace

logger = logging.getLogger(__name__)

EXPLAINS_NOTHING = 0.9
"""An NMSE from which on a dictionary is taken to be another encoder's; random directions have .75."""


class Given(NamedTuple):
    """A dictionary from elsewhere."""

    dictionary: str
    """As the settings name it."""
    sae: SAE
    latents: tuple[Latent, ...]
    """What it says of its latents, by number."""

    def settings(self) -> dict[str, Any]:
        """What the manifest of the project's SAE says of it: its name, its weights, and which latents are its."""
        return {
            "dictionary": self.dictionary,
            "fingerprint": fingerprint(self.sae),
            "n_latents": self.sae.config.n_latents,
        }


_OF_AN_OWN_ONE = ("n_latents", "k", "variant", "texts_per_latent", "retrieval_weight", "consensus")


def chosen_dictionary(config: FitConfig, encoder: str) -> str:
    """What `[fit] dictionary` stands for: itself, or where it is left out what reads best.

    A dictionary of the project's own has learned its few texts by heart, and its names say less of them:
    `benchmarks/small_corpora.py` and `benchmarks/readable.py` show both. To search, an own one is the better one:
    `benchmarks/dictionary.py`.
    """
    if config.dictionary is not None:
        return config.dictionary
    return OWN if of_an_own_one(config) or not packaged_for(encoder) else PRETRAINED


def of_an_own_one(config: FitConfig) -> list[str]:
    """The settings that were changed and only a dictionary of the project's own reads: who gives one wants one."""
    defaults = defaults_of(FitConfig)
    return [name for name in _OF_AN_OWN_ONE if getattr(config, name) != defaults[name]]


def given_dictionary(project: Workspace, sample: NDArray[np.float32]) -> Given | None:
    """The dictionary that the project takes over; None if it trains its own.

    Args:
        sample: some of the project's embeddings, (n, d_in), to see whether it reads them.

    Raises:
        BadData: it is the project's own SAE, or explains next to nothing of these embeddings.
        DimensionMismatch: it reads embeddings of another width.
        MissingArtifact, CorruptArtifact, UnsupportedSAE, ModelUnavailable: it cannot be had.
    """
    encoder = project.encoder_of_embeddings
    otherwise = project.manifest("embeddings/passages").settings["encoder"].get("pooling")  # than the model says itself
    read_by = "" if otherwise else encoder
    name = chosen_dictionary(project.confirmed("fit"), read_by)
    if name == OWN:
        return None
    if Path(name).exists() and Path(name).resolve() == (project.path / "sae").resolve():
        raise BadData(
            f"{plain(name, 120)} is where this project's own dictionary is written; copy that folder, and give the copy"
        )
    folder = located(name)
    sae = read_sae(folder)
    _check_width(name, sae, sample.shape[1])
    _check_encoder(name, sae, encoder, sample)
    return Given(name, sae, read_latents(folder, sae.config.n_latents))


def _check_width(name: str, sae: SAE, d_in: int) -> None:
    if sae.config.d_in != d_in:
        of = f", those of {plain(sae.config.encoder, 80)}," if sae.config.encoder else ""
        raise DimensionMismatch(
            f"the dictionary {plain(name, 120)} reads embeddings {sae.config.d_in} wide{of} and this project's are "
            f"{d_in} wide; embed with the encoder that it was made for, or give another: --dictionary"
        )


def _check_encoder(name: str, sae: SAE, encoder: str, sample: NDArray[np.float32]) -> None:
    """Names of one encoder may differ, by a path or an owner, so that only what the dictionary explains decides."""
    made_for = sae.config.encoder
    if made_for and encoder and made_for != encoder:
        logger.warning(
            "the dictionary %s was made for %s, and these embeddings by %s; is that the same encoder?",
            plain(name, 120), plain(made_for, 80), plain(encoder, 80),
        )  # fmt: skip
    found = sae.measure(sample)
    wanted, is_for = plain(encoder, 80) or "theirs, which is unknown", plain(made_for, 80) or "which it does not state"
    if found.nmse is not None and found.nmse >= EXPLAINS_NOTHING:
        raise BadData(
            f"the dictionary {plain(name, 120)} explains next to nothing of these embeddings (NMSE {found.nmse:.2f} at "
            f"L0 {found.l0:.1f}; 1 is nothing): it was made for another encoder, {is_for}, than {wanted}"
        )
