"""The project itself: what there is of it, and what is out of date."""

from __future__ import annotations

from typing import Literal

from unweave.server.shapes.base import Shape


class Stage(Shape):
    """One artefact of the project."""

    name: str
    state: Literal["there", "stale", "missing", "damaged"]
    said: str
    """What is wrong, and the command that mends it; empty where nothing is."""


class Unapplied(Shape):
    """A setting that was changed after it was used."""

    stage: str
    setting: str
    made_with: str
    now: str
    artifact: str


class ProjectInfo(Shape):
    """What the project is, and what there is of it."""

    name: str
    """The folder's name."""
    path: str
    """As it was given on the command line, for the commands that the pages show."""
    version: str
    """Of the library."""
    n_passages: int
    n_queries: int
    n_judged: int
    """Queries with judgements, over all splits."""
    n_concepts: int | None
    """Live latents; None before naming."""
    marks: dict[str, int]
    """How many concepts have each mark of trust."""
    n_returning: int | None
    """Concepts that return; None where it is known of none."""
    encoder: str
    dictionary: str
    """`pretrained`, `own` or where the given one came from; empty before fitting."""
    systems: list[str]
    """Those that can be searched with now."""
    steerable: dict[str, list[str]]
    """By system, what it can be bent by: `boosts`, `banned`, `allowed` …"""
    metadata: dict[str, list[str]]
    """Keys of the passages' metadata, and of each its values, the first few hundred."""
    stages: list[Stage]
    unapplied: list[Unapplied]
    examples: list[str]
    """Some of the project's queries, or titles of passages, to begin with."""
    words: bool
    """Whether texts can be split into words: the encoder averages its tokens' outputs."""
    read_only: bool
