"""The one record that every adapter hands out: a text's id, its score, and that score as named parts that add up.

    score = sum of concepts + rest + bias + residual + sum of systems

Names come from texts and from models. They are values of fields, cleaned of what does not print, and nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.base.records import Contribution, Explanation, Hit, HitList, Trust
from unweave.concepts.concept import LONGEST_NAME
from unweave.explaining.engine_hits import AUTO
from unweave.texts.hits import EngineHit

KEY = "unweave"
"""Where frameworks let documents carry metadata, the record's key."""
MOST = 8
"""Concepts that are listed one by one."""


@dataclass(frozen=True)
class Share:
    """What one concept adds to a score."""

    concept: int
    """Its number; below 0 for a word of BM25."""
    name: str | None
    """None: it has none, or none that holds."""
    trust: str | None
    """How far the name is to be trusted: confirmed, holds, vague or unscored."""
    value: float


@dataclass(frozen=True)
class Account:
    """A score as parts that add up to it, short enough to travel with a document."""

    of: str
    """Which score, as `Explanation.of` has it."""
    score: float
    concepts: list[Share]
    """The largest by absolute value, first."""
    rest: float
    """What all other concepts add."""
    bias: float
    residual: float
    """What no concept accounts for."""
    systems: dict[str, float]
    """Of a sum of systems what each adds; else empty."""
    named_share: float | None
    """The share of the parts whose names hold; None where nobody judged names."""


@dataclass(frozen=True)
class Record:
    """A found text and why."""

    id: str
    score: float | None
    """What the explanation adds up to. A framework's own score stays in its own field."""
    explanation: Account | None
    """None: it was not asked for, or the text that was found is empty."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """The record as one line of ASCII."""
        return json.dumps(self.to_dict())


class Explainer(Protocol):
    """A project or a dictionary: what explains the hits of any engine."""

    def explain_hits(
        self, query: str | NDArray[np.floating[Any]], hits: Sequence[EngineHit], *, measure: str = AUTO
    ) -> HitList[Hit]: ...


def record_of(hit: Hit, most: int = MOST) -> Record:
    """The record of one of our own hits."""
    explanation = None if hit.explanation is None else account_of(hit.explanation, most)
    return Record(hit.passage.passage_id, hit.score, explanation)


def account_of(why: Explanation, most: int = MOST) -> Account:
    """An explanation with so many concepts at most one by one; traces are part of the rest."""
    whole, traces = why.folded()
    return Account(
        why.of, why.score, [_share(c) for c in whole[:most]], math.fsum(c.value for c in [*whole[most:], *traces]),
        why.bias, why.residual, _systems(why), why.named_share,
    )  # fmt: skip


def explained(
    source: Explainer, query: str | NDArray[np.floating[Any]], hits: Sequence[EngineHit], *, measure: str = AUTO
) -> list[Record]:
    """A record for each hit of another engine, in its order; those without a vector and a text have no explanation.

    Raises:
        BadData: as `explaining.engine_hits.explain_hits` does.
    """
    readable = [hit for hit in hits if hit.vector is not None or plain(f"{hit.title}{hit.text}")]
    found = iter(source.explain_hits(query, readable, measure=measure) if readable else ())
    kept = set(map(id, readable))
    return [record_of(next(found)) if id(hit) in kept else Record(hit.hit_id, None, None) for hit in hits]


def metadata_of(passage_metadata: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """A document's metadata with the record beside it; a key of the same name gives way."""
    return {**passage_metadata, KEY: record.to_dict()}


def _share(c: Contribution) -> Share:
    name = None if c.name is None or c.trust is Trust.NONE else plain(c.name, LONGEST_NAME)
    return Share(c.latent, name, c.trust and str(c.trust), c.value)


def _systems(why: Explanation) -> dict[str, float]:
    """What each system of a sum adds; one that is there twice has both."""
    added: dict[str, float] = {}
    for part in why.parts:
        added[part.system] = added.get(part.system, 0.0) + part.value
    return added
