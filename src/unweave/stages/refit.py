"""Where texts were added, a fit goes on from the SAE that is there, so that its latents keep their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.artifact import Manifest, damaged, read_manifest
from unweave.base.plain import plain
from unweave.config import CONTINUE, FitConfig, SAEConfig
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.sae.agreement import CLOSELY, by_number, directions_of
from unweave.sae.given import fingerprint, thresholds
from unweave.sae.model import SAE
from unweave.sae.training.recipe import Plan, continued, planned
from unweave.stages.given import EXPLAINS_NOTHING, Given
from unweave.stages.made_with import BEGAN_FROM
from unweave.stages.workspace import Workspace

_MOST_STATED = 1000
"""Latents that moved, and SAEs that one began from, that are stated at most."""
_MOST_SHOWN = 10


class Last(NamedTuple):
    """The SAE that is there, as one to go on from."""

    sae: SAE
    own: SAE
    """Of its latents those that were trained here: all but a given dictionary's."""
    made_from: Mapping[str, str]
    began_from: list[str]
    """What an SAE that goes on from it states; see `made_with.BEGAN_FROM`."""


class Stayed(NamedTuple):
    """What became of the latents of an SAE that was trained on."""

    live: int
    """Latents that some of the texts activated before."""
    stayed: int
    """Those whose number has almost the same directions now: decoder and encoder cosine from `CLOSELY` on."""
    moved: list[int]
    """The others, the one that moved furthest first; at most a thousand are stated."""


def last_sae(
    project: Workspace, folder: Path, made_from: Mapping[str, str], given: Given | None, sample: NDArray[np.float32]
) -> Last | None:
    """The SAE that a fit goes on from, or, where the texts are the same, is there because a fit went on to it.

    None: the fit begins anew. Where there is an SAE of other texts, a line says why.

    Args:
        folder: where the SAE is, and the next one is written.
        made_from: the texts to train on.
        sample: some of their embeddings, (n, d_in), to see whether the SAE reads them.
    """
    if project.settings.fit.refit != CONTINUE:
        return None
    try:
        there, sae = read_manifest(folder, "sae"), SAE.load(folder)
        with damaged(f"{folder} does not state how it was trained ({{}})"):
            before = [str(of) for of in there.settings.get(BEGAN_FROM, [])]
            if not there.settings.get("training", {}).get("steps"):
                return None  # it was taken over as it is
            obstacle = _obstacle(project, there, sae, given, sample)
    except (MissingArtifact, CorruptArtifact):
        return None
    if there.made_from == dict(made_from):
        return None if obstacle or not before else Last(sae, _own(sae, given), there.made_from, before)
    if obstacle:
        progress.say(f"trained anew, not on from the SAE that is there: {obstacle}")
        return None
    return Last(sae, _own(sae, given), there.made_from, [fingerprint(sae), *before][:_MOST_STATED])


def planned_on(last: Last, config: FitConfig, given: Given | None, plan: Callable[[FitConfig], Plan | None]) -> Plan:
    """How an SAE is trained on: with as many latents as it has, whatever so many texts would take from the beginning.

    Args:
        plan: how one is trained from the beginning, by settings.
    """
    n_latents = last.own.config.n_latents
    as_large = replace(config, n_latents=n_latents) if given is None else replace(config, own_latents=n_latents)
    anew, kept = plan(config), plan(as_large)
    assert kept is not None
    on = continued(kept, config)
    would_take = anew.sae.n_latents if anew else 0
    why = "as many as the SAE that is trained on"
    if would_take != n_latents:
        why += f"; from the beginning so many texts would take {would_take:,} (--refit anew)"
    return on._replace(recipe=on.recipe._replace(reasons=on.recipe.reasons | {"n_latents": why}))


def stayed(last: SAE, now: SAE, embeddings: NDArray[np.float32]) -> Stayed:
    """Which latents still mean what they did, of those that some embeddings, (n, d_in), activated before."""
    live = np.unique(last.encode(embeddings).indices).astype(np.int64)
    agreement = by_number(directions_of(last, live), directions_of(now, live))
    moved = live[np.argsort(agreement, kind="stable")][: int((agreement < CLOSELY).sum())]
    return Stayed(len(live), len(live) - len(moved), moved[:_MOST_STATED].tolist())


def agreement_kept(last: SAE, now: SAE) -> NDArray[np.float32] | None:
    """What is known of how closely a twin found each latent again, (n_latents,), where it has stayed; else NaN.

    A latent that has moved is another one, of which nothing is known; and nothing is where there was no twin.
    """
    if last.twin is None:
        return None
    every = np.arange(now.config.n_latents)
    agreement = by_number(directions_of(last, every), directions_of(now, every))
    return np.where(agreement >= CLOSELY, last.twin, np.float32(np.nan))


def said_of(found: Stayed) -> str:
    """One line on which latents stayed."""
    n_moved = found.live - found.stayed
    line = f"{found.stayed:,} of {found.live:,} live latents kept their directions (cosines from {CLOSELY:g} on)"
    if not n_moved:
        return line
    more = f" and {n_moved - _MOST_SHOWN:,} more" if n_moved > _MOST_SHOWN else ""
    return f"{line}; moved: {', '.join(f'#{latent}' for latent in found.moved[:_MOST_SHOWN])}{more}"


def _obstacle(project: Workspace, there: Manifest, sae: SAE, given: Given | None, sample: NDArray[np.float32]) -> str:
    """Why an SAE cannot be trained on to what the settings ask for; empty: it can."""
    config, training = project.settings.fit, there.settings["training"]
    encoder = project.encoder_of_embeddings
    if sae.config.d_in != sample.shape[1] or sae.config.encoder not in ("", encoder):
        return f"it reads the embeddings of {plain(sae.config.encoder, 80) or 'another encoder'}"
    stated = there.settings.get("given")
    if (stated and stated["fingerprint"]) != (given and fingerprint(given.sae)):
        return "the dictionary that it has latents beside is another one"
    made_with = {"seed": training["seed"], "held_out": there.settings["held_out"]}  # else held-out texts were seen
    if given is None:
        made_with |= {"variant": training["variant"], "k": sae.config.k}
    size, n_latents = "n_latents" if given is None else "own_latents", _n_own(sae, given)
    if getattr(config, size) is not None:
        made_with[size] = n_latents
    elif given is None and n_latents != (chosen := _chosen(there, config, sae.config)):
        return f"it has {n_latents:,} latents, where the settings of now would have taken {chosen:,}"
    for name, value in made_with.items():
        if getattr(config, name) != value:
            return f"{name} is {getattr(config, name)!r} now, and it was made with {value!r}"
    found = sae.measure(sample).nmse
    if found is not None and found >= EXPLAINS_NOTHING:
        return f"it explains next to nothing of these embeddings (NMSE {found:.2f}; 1 is nothing)"
    return ""


def _chosen(there: Manifest, config: FitConfig, sae: SAEConfig) -> int:
    """The latents that the settings would have chosen for the texts that an SAE was trained on."""
    n_texts = sum(there.results["trained_on"].values())
    return planned(config, n_texts, sae.d_in, sae.encoder).sae.n_latents


def _n_own(sae: SAE, given: Given | None) -> int:
    return sae.config.n_latents - (given.sae.config.n_latents if given else 0)


def _own(sae: SAE, given: Given | None) -> SAE:
    """The latents behind those of a given dictionary, or all."""
    if given is None:
        return sae
    first, shared = given.sae.config.n_latents, given.sae.config
    config = replace(sae.config, n_latents=sae.config.n_latents - first, k=sae.config.k - shared.k)
    return SAE(
        config, sae.W_enc[first:], sae.b_enc[first:], sae.W_dec[first:], sae.b_pre, thresholds(sae)[first:].copy()
    )
