"""The small records that pass between the parts."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from unweave.explanation import Explanation

# Joiners that some scripts need; every other invisible control or direction mark is dropped.
_ALLOWED_FORMAT = {"\u200c", "\u200d"}


class Passage(NamedTuple):
    """One text of a corpus."""

    passage_id: str
    title: str
    text: str
    metadata: dict[str, Any] = {}  # noqa: RUF012 - never mutated: a NamedTuple default

    @property
    def content(self) -> str:
        """What the encoder reads: title and text joined by a blank, as BEIR does."""
        return f"{self.title} {self.text}".strip()


class Query(NamedTuple):
    """One question put to a corpus."""

    query_id: str
    text: str


class Part(NamedTuple):
    """What one of several fused systems adds to a hit's score."""

    system: str
    value: float
    rank: int | None
    """Where the system had the passage; None: not among its hits."""
    explanation: Explanation | None
    """The part as a sum of named concepts, or, of ranks, the score that the system gave."""


@dataclass(frozen=True)
class Hit:
    """One found passage with, on request, the reasons for its score."""

    rank: int
    """1 for the best."""
    score: float
    passage: Passage
    explanation: Explanation | None = field(default=None, repr=False)
    """The score as a sum of named concepts."""
    dense_explanation: Explanation | None = field(default=None, repr=False)
    """The dense retriever's own score of the same pair, as named concepts, bias and residual."""
    parts: tuple[Part, ...] = field(default=(), repr=False)
    """What each of several fused systems gave: the score is their sum."""

    def to_dict(self) -> dict[str, Any]:
        """The hit as plain JSON values."""
        record: dict[str, Any] = {
            "rank": self.rank,
            "score": self.score,
            "passage_id": self.passage.passage_id,
            "title": self.passage.title,
            "text": self.passage.text,
        }
        for name in ("explanation", "dense_explanation"):
            explanation = getattr(self, name)
            if explanation is not None:
                record[name] = explanation.to_dict()
        if self.parts:
            explained = [part.explanation and part.explanation.to_dict() for part in self.parts]
            record["parts"] = [
                part._asdict() | {"explanation": why} for part, why in zip(self.parts, explained, strict=True)
            ]
        return record


def plain(text: str, limit: int | None = None) -> str:
    """Untrusted text as one line that is safe to print.

    Control characters (terminal escapes) and direction marks are dropped, runs of white space
    become one blank, and the result is cut to `limit` characters with an ellipsis.
    """
    spaced = "".join(" " if c.isspace() else c for c in text)
    kept = "".join(
        c for c in spaced if c in _ALLOWED_FORMAT or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(kept.split())
    if limit is not None and len(line) > limit:
        return line[: limit - 1].rstrip() + "…"
    return line
