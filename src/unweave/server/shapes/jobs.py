"""Long work: how far it is, and what it cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unweave.base.fields import LARGEST
from unweave.server.shapes.base import Shape


class Progress(Shape):
    """How far one step of a job is."""

    label: str
    unit: str
    done: int
    total: int


class Spent(Shape):
    """What a language model was asked, and cost."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: float
    most: float | None
    """The cap of the settings, on all that is ever spent on the project's concepts."""


class BeginJob(Shape):
    """Begin a job, or go on with a broken-off one: what is done is not done again."""

    kind: Literal["embed", "fit", "tokens", "name", "judge", "index", "evaluate", "audit", "faithfulness", "map"]
    namer: Literal["keyphrases", "lexicon", "vocabulary", "language-model"] | None = None
    """Of `name`; keyphrases if none is given."""
    most: int | None = Field(default=None, ge=1, le=LARGEST)
    """Of `name` by a namer beside keyphrases: concepts at most."""


class Job(Shape):
    """A long piece of work."""

    id: str
    kind: str
    state: Literal["running", "cancelling", "cancelled", "done", "failed"]
    began: str
    """UTC, ISO 8601."""
    ended: str | None
    steps: list[Progress]
    lines: list[str]
    """What was said meanwhile, the last hundred."""
    result: list[str]
    """What came of it, a sentence each, the first hundred; empty unless it is done."""
    error: str | None
    asked: BeginJob
    """What it was begun with, which goes on with it."""
    command: str
    """What does, or goes on with, the same on the command line."""
    spent: Spent | None
    """By this job; None of one that asks no language model."""


class Jobs(Shape):
    """Jobs of this server, the last first."""

    jobs: list[Job]
    kinds: list[str]
    """What can be begun as soon as no job runs: all is there that it needs."""
    spent: Spent | None
    """Over the life of the project; None before there are concepts."""


class Forecast(Shape):
    """What naming by a language model would take and cost; nothing was sent."""

    said: list[str]
    """Sentences for a person."""
