"""An explanation in the shape of Lucene's, which search engines answer `_explain` with: value, description, details."""

from __future__ import annotations

from typing import Any

from unweave.base.plain import plain
from unweave.base.records import NO_NAME_HOLDS, Contribution, Explanation, Trust

_SAID = {
    "concepts": "concept score",
    "dense": "dense score",
    "rescored": "score by stored codes",
    "embedding": "squared length",
    "terms": "BM25",
    "sum": "sum of systems",
    "distance": "distance",
}
"""What an explanation is of, in words."""


def as_lucene(explanation: Explanation) -> dict[str, Any]:
    """The score as nested `{value, description, details}`: each value is the sum, or the product, of its details.

    Nothing is folded: details hold every contribution, however small.
    """
    details = [_of_concept(c, explanation.of) for c in explanation.contributions]
    for part in explanation.parts:
        place = "not found" if part.rank is None else f"rank {part.rank}"
        of = [] if part.explanation is None else [as_lucene(part.explanation)]
        details.append(_detail(part.value, f"{plain(part.system, 60)}, {place}, weighted", of))
    if explanation.bias:
        details.append(_detail(explanation.bias, "bias: the same for every passage", []))
    if explanation.residual:
        details.append(_detail(explanation.residual, "residual: what the concepts leave over", []))
    return _detail(explanation.score, f"{_SAID[explanation.of]}, sum of:", details)


def _of_concept(c: Contribution, of: str) -> dict[str, Any]:
    factors = [
        _detail(c.query, "the query's weight" if of != "terms" else "idf and the query's count", []),
        _detail(c.passage, "the passage's part", []),
    ]
    return _detail(c.value, f"{_named(c, of)}, product of:", factors)


def _named(c: Contribution, of: str) -> str:
    if of == "terms":
        return f'term "{plain(c.name or "", 60)}"'
    name = NO_NAME_HOLDS if c.trust is Trust.NONE else plain(c.name, 60) if c.name else "(unnamed)"
    known = [f"its name {_TRUSTED[c.trust]}"] if c.name and c.trust in _TRUSTED else []
    known += [] if c.returns is None else ["returns" if c.returns else "does not return"]
    return f"concept {c.latent} {name}" + (f" ({', '.join(known)})" if known else "")


_TRUSTED = {Trust.CONFIRMED: "is confirmed", Trust.HOLDS: "holds", Trust.VAGUE: "is vague"}


def _detail(value: float, description: str, details: list[dict[str, Any]]) -> dict[str, Any]:
    return {"value": value, "description": description, "details": details}
