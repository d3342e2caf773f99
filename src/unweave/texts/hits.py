"""Hits of other engines as JSON lines: an id, a vector or a text, and the score that the engine gave."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import WIDEST_VECTOR, shown
from unweave.errors import BadData
from unweave.texts.readers import ID_FIELDS, TEXT_FIELDS, TITLE_FIELDS, identifier, read_jsonl, text_of

_VECTOR_FIELDS = ("vector", "embedding", "values")
_SCORE_FIELDS = ("score", "_score", "distance")


class EngineHit(NamedTuple):
    """A hit as an engine returned it, with its vector or its text."""

    hit_id: str
    score: float | None = None
    """As the engine gave it; None: it is worked out."""
    vector: NDArray[np.floating[Any]] | None = None
    """(d_in,) as the engine stores it; None: the text is embedded."""
    title: str = ""
    text: str = ""


def read_hits(path: Path) -> list[EngineHit]:
    """The hits in a file, one JSON object a line, best first.

    Raises:
        BadData: there are none, or one lacks an id, or a vector and a text, or one of these is another thing.
    """
    hits = [_hit(row, f"{path.name}, {where}") for where, row in read_jsonl(path)]
    if not hits:
        raise BadData(f"{path.name} has no hits; expected one JSON object a line, with an id and a vector or a text")
    return hits


def _hit(row: Mapping[str, Any], where: str) -> EngineHit:
    found = {
        of: next((row[name] for name in names if row.get(name) is not None), None)
        for of, names in (
            ("id", ID_FIELDS), ("vector", _VECTOR_FIELDS), ("score", _SCORE_FIELDS), ("title", TITLE_FIELDS),
            ("text", TEXT_FIELDS),
        )
    }  # fmt: skip
    title, text = text_of(found["title"], where), text_of(found["text"], where)
    if found["id"] is None:
        raise BadData(f"{where}: none of the fields {', '.join(ID_FIELDS)} is there, by which to name the hit")
    if found["vector"] is None and not f"{title}{text}".strip():
        fields = ", ".join((*_VECTOR_FIELDS, *TEXT_FIELDS))
        raise BadData(f"{where}: the hit has neither a vector nor a text; expected one of {fields}")
    vector = None if found["vector"] is None else _vector(found["vector"], where)
    return EngineHit(identifier(found["id"], where), _score(found["score"], where), vector, title, text)


def _vector(value: Any, where: str) -> NDArray[np.float64]:
    numbers = isinstance(value, list) and all(type(one) in (int, float) for one in value)
    if numbers and 0 < len(value) <= WIDEST_VECTOR:
        with suppress(OverflowError):
            return np.array(value, np.float64)
    raise BadData(f"{where}: a vector must be a list of 1 to {WIDEST_VECTOR:,} numbers, got {shown(value)}")


def _score(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not abs(value) <= 1e300:
        raise BadData(f"{where}: a score must be a number, got {shown(value)}")
    return float(value)
