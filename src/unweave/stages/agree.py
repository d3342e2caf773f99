"""How much of one SAE returns in another, and what the folders of both say of how they began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unweave.base.artifact import Manifest
from unweave.base.plain import plain
from unweave.errors import BadData
from unweave.sae.agreement import Agreement, agreement
from unweave.sae.given import fingerprint
from unweave.sae.model import SAE
from unweave.stages.made_with import BEGAN_FROM
from unweave.stages.saes import is_project, opened_sae
from unweave.stages.workspace import Workspace

MOST_TEXTS = 20_000
"""Passages that are read, at most, drawn evenly."""
SAME, SHARED_START, SAME_SEED, SAME_TEXTS, SOME_TEXTS, OTHER_TEXTS, UNKNOWN = (
    "the same", "shared start", "the same seed", "the same texts", "some texts the same", "other texts", "not stated",
)  # fmt: skip


class Runs(NamedTuple):
    """How the trainings of two SAEs are related, as far as their folders state it."""

    kind: str
    """The same, shared start, the same seed, the same texts, some texts the same, other texts, or not stated."""
    said: str
    """That in words, to stand after a figure."""

    @property
    def independent(self) -> bool:
        """Whether what the two share can be called returning: other seeds are stated, and nothing was taken over."""
        return self.kind in (SAME_TEXTS, SOME_TEXTS, OTHER_TEXTS)

    @property
    def began_alike(self) -> bool:
        """Whether what the two share can be called reproducible: the second repeats the first, or takes it over."""
        return self.kind in (SAME, SHARED_START)


class Compared(NamedTuple):
    """Two SAEs, and how much of the first returns in the other."""

    one: Path
    other: Path
    on: Path | None
    """The project whose passages were read; None: there was none."""
    runs: Runs
    agreement: Agreement

    @property
    def gate(self) -> tuple[str, float | None]:
        """The one figure to hold a change against, with its name: by contribution if there were texts."""
        every = self.agreement.found["all"]
        if self.agreement.n_texts is None:
            return "share of latents that return", every.latents_above_07
        return "share of contribution that returns", every.contribution_above_07

    def record(self) -> dict[str, Any]:
        """All figures, without what is known of each latent, as JSON."""
        found, (figure, value) = self.agreement, self.gate
        return {
            "one": str(self.one), "other": str(self.other), "on": None if self.on is None else str(self.on),
            "runs": self.runs._asdict(), "figure": figure, "value": value, "n_texts": found.n_texts,
            "n_other": found.n_other, "n_identical": found.n_identical,
            "found": {band: shares._asdict() for band, shares in found.found.items()},
            "random": {band: shares._asdict() for band, shares in found.random.items()},
            "top5": found.top5, "top5_random": found.top5_random,
        }  # fmt: skip


def compare_saes(one: Path, other: Path, on: Path | None = None) -> Compared:
    """Match the latents of two SAEs, and say how their trainings are related.

    Args:
        one: folder of an SAE, or of a project that has one.
        other: likewise.
        on: the project whose embedded passages are read; by default `one` or `other`, if one is a project.

    Raises:
        MissingArtifact: a folder is neither, or the project has no SAE or no embeddings yet.
        BadData, DimensionMismatch: the SAEs, or the passages, are of other encoders; see `sae.agreement`.
    """
    (first, stated), (second, stated_by_other) = (opened_sae(folder) for folder in (one, other))
    on = on or next((folder for folder in (one, other) if is_project(folder)), None)
    embeddings = None
    if on is not None:
        project = Workspace.open(on)
        passages = project.embedded("passages")
        for sae in (first, second):
            _refuse_other_encoder(sae, project)
        n = len(passages)
        embeddings = passages.take(np.linspace(0, n - 1, min(n, MOST_TEXTS)).astype(np.int64))
    found = agreement(first, second, embeddings)
    runs = related(Origin.of(first, stated), Origin.of(second, stated_by_other), found.n_identical)
    return Compared(one, other, on, runs, found)


class Origin(NamedTuple):
    """Where an SAE comes from, as far as that is known."""

    weights: str
    """Its fingerprint; see `sae.given.fingerprint`."""
    began_from: Sequence[str]
    """The fingerprints of the SAE that it was trained on from, of the one before that, and so on."""
    seed: int | None
    made_from: Mapping[str, Any]
    """Fingerprints of the texts, by their name in the project."""

    @classmethod
    def of(cls, sae: SAE, stated: Manifest) -> Origin:
        """What an SAE's manifest states, which may be a stranger's."""
        training, began_from = stated.settings.get("training"), stated.settings.get(BEGAN_FROM)
        seed = training.get("seed") if isinstance(training, Mapping) else None
        return cls(
            fingerprint(sae),
            [str(of) for of in began_from] if isinstance(began_from, list) else [],
            seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
            stated.made_from,
        )


def related(one: Origin, other: Origin, n_identical: int = 0) -> Runs:
    """How two trainings are related, by what is known of both.

    Directions are drawn from the texts by the seed: the same seed on the same texts is a shared start. On other texts
    it is none, yet the two are not independent, for part of what is drawn is the same.

    Args:
        n_identical: latents that are the same in both, bit for bit.
    """
    if one.weights == other.weights:
        return Runs(SAME, "they are one and the same SAE")
    if one.weights in other.began_from or other.weights in one.began_from:
        return Runs(SHARED_START, "one began from the other")
    if set(one.began_from) & set(other.began_from):
        return Runs(SHARED_START, "both began from one SAE")
    if n_identical:
        return Runs(SHARED_START, f"{n_identical:,} latents are the same in both, bit for bit: taken over, not learned")
    if one.seed is None or other.seed is None:
        return Runs(UNKNOWN, "their folders do not state from which seeds they began")
    texts, on = _texts(one.made_from, other.made_from)
    if one.seed == other.seed:
        return Runs(SHARED_START if texts == SAME_TEXTS else SAME_SEED, f"both began from seed {one.seed}{on}")
    return Runs(texts, f"from other seeds{on}")


def _texts(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str]:
    """How the texts of two trainings are related: the kind, and that in words."""
    if not one or not other:
        return UNKNOWN, "; their folders do not state on which texts"
    if dict(one) == dict(other):
        return SAME_TEXTS, ", on the same texts"
    if {(name, str(of)) for name, of in one.items()} & {(name, str(of)) for name, of in other.items()}:
        return SOME_TEXTS, ", on texts of which some are the same"
    return OTHER_TEXTS, ", on other texts as far as their folders state it"


def _refuse_other_encoder(sae: SAE, project: Workspace) -> None:
    encoder = project.encoder_of_embeddings
    if encoder and sae.config.encoder and encoder != sae.config.encoder:
        raise BadData(
            f"the passages of {project.path} were embedded with {plain(encoder, 80)}, and an SAE to compare reads "
            f"embeddings of {plain(sae.config.encoder, 80)}; give a project of that encoder: --on"
        )
