"""What a dictionary's folder says of its latents, beside the SAE's weights.

latents.jsonl    one JSON object a live latent: its number, its name, what that means, who gave it and how far it holds,
                 and how often and how strongly the latent is active
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.base.artifact import damaged, read_file, read_manifest
from unweave.base.building import build
from unweave.base.foreign import shown
from unweave.base.plain import plain
from unweave.base.stored import read_record
from unweave.errors import CorruptArtifact
from unweave.sae.formats import is_ours, names_in
from unweave.sae.model import SAE, WEIGHTS

LATENTS = "latents.jsonl"
LONGEST_NAME, LONGEST_DESCRIPTION = 200, 500


class Latent(NamedTuple):
    """What is known of one latent of a dictionary."""

    latent: int
    name: str | None
    """None: no namer found one."""
    share: float | None = None
    """Of the training texts, the share that activate it; None: not stated."""
    median: float | None = None
    """Its median activation where it is active, in units of the embedding's length; None: not stated."""
    over_nulls: float | None = None
    """Of names of random directions, the share that its name is surely better than, on the training texts; None: not
    judged. See `concepts.judges.nulls`."""
    description: str = ""
    """A sentence more on its name, or nothing."""
    namer: str | None = None
    """What made the name, one of `concepts.concept.NAMERS`; None: not stated."""
    holds_from: float | None = None
    """The activation from which its name holds, on the training texts; None: at none, or not judged. See
    `concepts.judges.detection`."""


def read_latents(folder: Path, n_latents: int, format: str | None = None) -> tuple[Latent, ...]:  # noqa: A002
    """What a dictionary's folder says of its latents, by number; nothing if it says nothing.

    Args:
        format: of another tool's folder or file, which has room for names alone; found out from the files if None.

    Raises:
        CorruptArtifact: the file is damaged, or speaks of latents that are not there.
    """
    if not is_ours(folder):
        return tuple(Latent(latent, name) for latent, name in sorted(names_in(folder, n_latents, format).items()))
    manifest = read_manifest(folder, "sae")
    if LATENTS not in manifest.files:
        return ()
    lines = read_file(folder, manifest, LATENTS).splitlines()
    with damaged(f"{folder / LATENTS} does not say what a dictionary's latents are ({{}}); make it again"):
        latents = tuple(_checked(read_record(Latent, json.loads(line), folder)) for line in lines)
    numbers = [one.latent for one in latents]
    if numbers != sorted(set(numbers)) or (numbers and not 0 <= numbers[0] <= numbers[-1] < n_latents):
        raise CorruptArtifact(f"{folder / LATENTS}: latents do not ascend from 0 to {n_latents - 1:,}; make it again")
    return latents


def save(folder: Path, sae: SAE, latents: Iterable[Latent]) -> None:
    """Write a new folder of an SAE and what is known of its latents, if that is anything.

    Raises:
        BadData: something is there already.
    """
    settings = {"sae": asdict(sae.config), "training": {}}
    with build(folder, "sae", settings=settings, made_from={}, replace=False) as made:
        sae.write_weights(made.path / WEIGHTS)
        if known := tuple(latents):
            write_latents(made.path / LATENTS, known)


def write_latents(path: Path, latents: Iterable[Latent]) -> None:
    """Write what is known of a dictionary's latents, by number."""
    ordered = sorted(latents, key=lambda one: one.latent)
    path.write_text("".join(json.dumps(one._asdict()) + "\n" for one in ordered), encoding="utf-8")


def _checked(one: Latent) -> Latent:
    if type(one.latent) is not int or not isinstance(one.name, str | None):
        raise ValueError(f"latent {shown(one.latent)} with the name {shown(one.name)}")
    if not (isinstance(one.description, str) and isinstance(one.namer, str | None)):
        raise ValueError(f"latent {one.latent} with the description {shown(one.description)}, by {shown(one.namer)}")
    stated = [number for number in (one.share, one.median, one.over_nulls, one.holds_from) if number is not None]
    if not all(isinstance(number, int | float) and abs(number) < np.inf for number in stated):
        raise ValueError(f"latent {one.latent} has values that are no numbers")
    if one.over_nulls is not None and not 0 <= one.over_nulls <= 1:
        raise ValueError(f"latent {one.latent} has a share of {one.over_nulls:g}")
    return one._replace(
        name=None if one.name is None else plain(one.name, LONGEST_NAME),
        description=plain(one.description, LONGEST_DESCRIPTION),
        namer=None if one.namer is None else plain(one.namer, LONGEST_NAME),
    )
