"""Concepts: a row, a card, and what people change."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unweave.base.fields import LARGEST
from unweave.base.records import Trust
from unweave.concepts.concept import LONGEST_DESCRIPTION, LONGEST_NAME
from unweave.server.shapes.base import MOST_ROWS, Shape


class ConceptRow(Shape):
    """A concept in a table."""

    latent: int
    name: str | None
    trust: Trust
    returns: bool | None
    holds_from: float | None
    document_frequency: int
    strongest: float
    detection: float | None
    """Of the shown name, the share of unseen texts told rightly; None: not judged."""
    namer: str | None
    flag: str | None
    merged_into: int | None
    activation: float | None = None
    """Of the text that was asked with."""
    spark: list[int] = []
    """Passages by activation, twelve bins from 0 to the strongest; where it was asked for."""


class ConceptTable(Shape):
    """Some rows of the table of concepts."""

    rows: list[ConceptRow]
    total: int
    """Rows that there are with these filters."""
    n_concepts: int


class Judged(Shape):
    """What a judge found."""

    judge: str
    value: float
    low: float
    high: float
    n: int


class Named(Shape):
    """One namer's name."""

    namer: str
    name: str | None
    description: str
    trust: Trust
    holds_from: float | None
    kept: bool
    """Made, and judged, from the texts of an earlier training, or of a dictionary's maker."""
    scores: list[Judged]
    in_use: bool


class ExampleText(Shape):
    """A text that shows a concept, or is close and silent."""

    number: int
    """Of the concept's examples."""
    source: Literal["passages", "sentences"]
    passage_id: str
    """Of the passage that it is, or is a sentence of."""
    title: str
    activation: float
    band: str
    text: str
    """Its beginning, around the strongest words once these are known."""


class RelatedConcept(Shape):
    """A concept that has to do with another."""

    relation: str
    other: int
    name: str | None
    trust: Trust | None
    weight: float


class FamilyShape(Shape):
    """Concepts that are active together."""

    head: RelatedConcept
    members: list[RelatedConcept]
    trust: Trust
    """How far the head's name is to be trusted as that of all."""


class Histogram(Shape):
    """Passages by activation."""

    edges: list[float]
    """One more than counts, from 0 up."""
    counts: list[int]
    above: int | None
    """Passages from where the name holds; None where it holds nowhere."""


class EditShape(Shape):
    """One change that a person made."""

    number: int
    made: str
    action: str
    latent: int
    before: str | None
    """In words; None: nothing was there."""
    after: str | None
    undone: bool


class ConceptCard(Shape):
    """All that is known of a concept."""

    row: ConceptRow
    names: list[Named]
    """The one in use first."""
    examples: list[ExampleText]
    related: list[RelatedConcept]
    family: FamilyShape | None
    histogram: Histogram
    edits: list[EditShape]
    """The last first."""
    agreement: float | None
    """Cosine with the twin latent of another run; None where there was none."""


class MakeEdit(Shape):
    """A change to one concept, or to several at once: all or none."""

    action: Literal["rename", "lock", "unlock", "flag", "merge", "use"]
    """`use` gives a concept the name of another namer, as a person's."""
    latents: list[int] = Field(min_length=1, max_length=MOST_ROWS)
    name: str | None = Field(default=None, max_length=4 * LONGEST_NAME)
    description: str = Field(default="", max_length=4 * LONGEST_DESCRIPTION)
    remark: str | None = Field(default=None, max_length=4 * LONGEST_NAME)
    """Of `flag`; None takes it away."""
    into: int | None = Field(default=None, ge=0, le=LARGEST)
    """Of `merge`."""
    namer: str | None = Field(default=None, max_length=100)
    """Of `use`."""


class UndoEdit(Shape):
    """Take an edit back."""

    number: int | None = Field(default=None, ge=1, le=LARGEST)
    """None: the last one that stands."""


class Edits(Shape):
    """Changes that were made, or undone."""

    edits: list[EditShape]


class Families(Shape):
    """Families of concepts, the largest first."""

    families: list[FamilyShape]
