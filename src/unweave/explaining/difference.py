"""Why one passage scores above another: the concepts that make the difference, and the smallest change that swaps them.

Of two scores of one query, each the sum of its parts, the difference is the sum of the parts' differences:

    S_A - S_B = sum_j (v_jA - v_jB) + (bias_A - bias_B) + (residual_A - residual_B)

A concept's parts are proportional to its weight in the query. With that weight times f the difference is S_A - S_B +
(f - 1)(v_jA - v_jB), which is 0 at f = 1 - (S_A - S_B) / (v_jA - v_jB). The nearer f is to 1, the smaller the change;
the concept with the largest difference has the smallest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from unweave.base.records import Contribution, Explanation, Group, Trust, adds_up
from unweave.errors import AccountingError, BadData


class Differing(NamedTuple):
    """What one concept adds to each of two scores."""

    latent: int
    name: str | None
    trust: Trust | None
    returns: bool | None
    first: float
    """What it adds to the first score; 0 where that passage does not activate it."""
    second: float
    group: Group | None
    """`named` if the name holds for one of the two passages: it may hold for the stronger one alone."""

    @property
    def difference(self) -> float:
        """What it adds to the first score beyond the second."""
        return self.first - self.second

    @property
    def only(self) -> str | None:
        """`first` or `second` if it adds to that score alone, else None."""
        if self.first and self.second:
            return None
        return "first" if self.first else "second"


class PartDiffering(NamedTuple):
    """What one system of a sum adds to each of two scores."""

    system: str
    first: float
    second: float
    account: Difference | None
    """The difference of the system's own scores; None where it found only one of the two, or adds by rank."""


class Swap(NamedTuple):
    """The change of one concept's weight in the query that makes both scores the same."""

    latent: int
    factor: float
    """Times which the weight is taken: from 0 on it is weakened or strengthened, below 0 it pushes passages away."""


@dataclass(frozen=True)
class Difference:
    """Two scores of one query by one system, and what makes the first higher than the second, or lower."""

    first: Explanation
    second: Explanation
    concepts: tuple[Differing, ...]
    """By |difference|, the largest first."""
    parts: tuple[PartDiffering, ...] = ()
    """Of a sum of systems, in the sum's order."""

    @property
    def score(self) -> float:
        """The first score less the second."""
        return self.first.score - self.second.score

    @property
    def bias(self) -> float:
        """What is the same for all passages differs only if the scores are of different kinds of vectors."""
        return self.first.bias - self.second.bias

    @property
    def residual(self) -> float:
        """What the concepts leave over of the first, less of the second."""
        return self.first.residual - self.second.residual

    @property
    def swap(self) -> Swap | None:
        """The smallest change of one concept's weight that makes the scores equal; None if there is none."""
        if not self.concepts or not self.score or not self.concepts[0].difference:
            return None
        largest = self.concepts[0]
        return Swap(largest.latent, 1 - self.score / largest.difference)

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that both accounts add up, and that their differences add up to that of the scores.

        Raises:
            AccountingError: they do not.
        """
        self.first.check(rtol)
        self.second.check(rtol)
        differences = [*(one.difference for one in self.concepts), *(p.first - p.second for p in self.parts)]
        differences += [self.bias, self.residual]
        both = [value for of in (self.first, self.second) for value in (of.score, of.bias, of.residual)]
        if not adds_up([*differences, *both, *(-value for value in both)], self.score, rtol):
            raise AccountingError(
                f"the differences of these scores add up to {math.fsum(differences)!r}, not to {self.score!r}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Both scores and their difference as plain JSON values."""
        record: dict[str, Any] = {
            "of": self.first.of,
            "first": self.first.score,
            "second": self.second.score,
            "difference": self.score,
            "bias": self.bias,
            "residual": self.residual,
            "concepts": [{**one._asdict(), "difference": one.difference, "only": one.only} for one in self.concepts],
            "swap": self.swap and self.swap._asdict(),
        }
        if self.parts:
            record["parts"] = [
                {**part._asdict(), "account": part.account and part.account.to_dict()} for part in self.parts
            ]
        return record


def difference(first: Explanation, second: Explanation) -> Difference:
    """What makes the difference of two scores of one query, both by the same system.

    Raises:
        BadData: the scores are of different kinds.
    """
    if first.of != second.of or [part.system for part in first.parts] != [part.system for part in second.parts]:
        raise BadData(f"a score of kind {first.of!r} and one of kind {second.of!r} cannot be compared part by part")
    concepts = sorted(_differing(first, second), key=lambda one: -abs(one.difference))
    parts = tuple(
        PartDiffering(
            one.system, one.value, other.value,
            difference(one.explanation, other.explanation) if one.explanation and other.explanation else None,
        )
        for one, other in zip(first.parts, second.parts, strict=True)
    )  # fmt: skip
    return Difference(first, second, tuple(concepts), parts)


def _differing(first: Explanation, second: Explanation) -> Iterator[Differing]:
    ones, others = ({c.latent: c for c in of.contributions} for of in (first, second))
    for latent in dict.fromkeys([*ones, *others]):
        one, other = ones.get(latent), others.get(latent)
        either = one or other
        assert either is not None
        yield Differing(
            latent, either.name, either.trust, either.returns,
            one.value if one else 0.0, other.value if other else 0.0, _group(one, other),
        )  # fmt: skip


def _group(one: Contribution | None, other: Contribution | None) -> Group | None:
    groups = {c.group for c in (one, other) if c is not None}
    return next((group for group in (Group.NAMED, Group.TRACES, Group.UNNAMED) if group in groups), None)
