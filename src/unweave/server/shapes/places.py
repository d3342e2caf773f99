"""Where concepts and passages stand on the map."""

from __future__ import annotations

from unweave.base.records import Trust
from unweave.server.shapes.base import Shape


class ConceptMap(Shape):
    """Where each concept stands; columns of the same length."""

    latent: list[int]
    x: list[float]
    y: list[float]
    name: list[str | None]
    trust: list[Trust]
    returns: list[bool | None]
    document_frequency: list[int]


class PassageMap(Shape):
    """Where passages stand: each at the mean of its concepts, weighted by activation; columns of the same length."""

    position: list[int]
    x: list[float]
    y: list[float]
    total: int
    """Passages that have a place, of the corpus or of the concept that was asked for; some are left out if they are
    more than were asked for."""


class PassageName(Shape):
    """What a passage is called, and its beginning."""

    position: int
    passage_id: str
    title: str
    text: str


class PassageNames(Shape):
    """What some passages are called."""

    rows: list[PassageName]
