"""What the tools of the MCP server take, and say of hits; texts of the corpus are values of fields, one line each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from unweave.adapters.needed import needed
from unweave.adapters.record import MOST, Account, Record, account_of, record_of
from unweave.base.plain import plain
from unweave.base.records import Hit, Trust
from unweave.concepts.concept import LONGEST_NAME
from unweave.explaining.difference import Difference

with needed("the MCP server", "mcp"):
    from pydantic import Field

LONGEST_TEXT = 1_200
"""Characters of a passage."""
Query = Annotated[str, Field(min_length=1, max_length=10_000, description="What is searched for, in words.")]
Id = Annotated[str, Field(min_length=1, max_length=4_096, description="A passage's id, as `search` gives it.")]
System = Annotated[str, Field(max_length=200, description='"CL-SR", "dense", "BM25", or a sum: "BM25 + 2 codes".')]
Texts = Annotated[list[Annotated[str, Field(max_length=100_000)]], Field(min_length=1, max_length=50)]
Cutoff = Annotated[int, Field(ge=1, le=50)]
Latent = Annotated[int, Field(ge=0, le=2**31, description="A concept's number.")]


@dataclass(frozen=True)
class Found:
    """A passage, and why it was found."""

    id: str
    score: float
    title: str
    text: str
    explanation: Account | None


@dataclass(frozen=True)
class Differs:
    """What one concept adds to the scores of two passages."""

    concept: int
    name: str | None
    first: float
    second: float


@dataclass(frozen=True)
class Compared:
    """Two passages' scores for one query; the differences of concepts, rest and other parts add up to theirs."""

    first: Record
    second: Record
    difference: float
    concepts: list[Differs]
    """Those that differ most, first."""
    rest: float
    """What all other concepts add to the first score beyond the second."""
    other: float
    """The same of bias, residual and systems of a sum."""


def found(hit: Hit) -> Found:
    """One hit of a search."""
    record, passage = record_of(hit), hit.passage
    return Found(
        record.id, hit.score, plain(passage.title, LONGEST_NAME), plain(passage.text, LONGEST_TEXT), record.explanation
    )


def compared(first: str, second: str, of: Difference) -> Compared:
    """What sets the scores of two passages, given by their ids, apart."""
    concepts = [Differs(c.latent, _name(c.name, c.trust), c.first, c.second) for c in of.concepts[:MOST]]
    rest = math.fsum(c.difference for c in of.concepts[MOST:])
    other = math.fsum([of.bias, of.residual, *(part.first - part.second for part in of.parts)])
    one, two = (Record(i, why.score, account_of(why)) for i, why in ((first, of.first), (second, of.second)))
    return Compared(one, two, of.score, concepts, rest, other)


def _name(name: str | None, trust: Trust | None) -> str | None:
    return None if name is None or trust is Trust.NONE else plain(name, LONGEST_NAME)
