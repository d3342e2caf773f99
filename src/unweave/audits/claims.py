"""What an audit claims, and what has to hold before it may.

A test says how large an effect is and how likely it is by chance. It becomes a claim if three things hold: its p,
corrected within its family, is below .05; the effect is at least the smallest that matters for its kind; and a
counterfactual, which changes what is claimed to be the cause and nothing else, shows it again. Few tests are corrected
by Holm (1979), which keeps the chance of any false one; families of thousands, of concepts and passages, by Benjamini
and Hochberg (1995), which keep the share of false ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.evaluation.significance import holm

ALPHA = 0.05
"""A corrected p below this may become a claim."""
RETRIEVER, CONCEPTS, PASSAGES = "retriever", "concepts", "passages"
"""Families of tests that are corrected together: of the retriever as a whole, one a concept, one a passage."""


class Subject(NamedTuple):
    """What a claim is about."""

    of: str
    """`concept`, `group`, `passages`, `text` or `retriever`."""
    name: str
    """A concept's name, `key = value` of a group, the words of a text; untrusted."""
    latent: int | None = None
    """A concept's number."""
    passage_ids: tuple[str, ...] = ()
    """Passages that the claim is about as such, not as examples."""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from other subjects, whatever its concept is called."""
        return self.of, str(self.latent) if self.latent is not None else " ".join(self.passage_ids) or self.name


class Counterfactual(NamedTuple):
    """What became of a value when the claimed cause was changed and nothing else."""

    changed: str
    """What was changed, a clause."""
    value: str
    """Which value was looked at."""
    before: float
    after: float
    n: int
    """Queries, passages or pairs of both that the value is of."""
    stands: bool
    """Whether the claim stands after it."""


class Confirmation(NamedTuple):
    """What is worked out only for tests that passed."""

    sentence: str
    low: float
    high: float
    """The 95 % interval of the effect."""
    examples: tuple[str, ...]
    """Ids of passages or queries, never their text."""
    counterfactual: Counterfactual


class Tested(NamedTuple):
    """One test."""

    kind: str
    family: str
    subject: Subject
    effect: float
    unit: str
    smallest: float
    """The smallest effect, by absolute value, that matters."""
    p: float
    n: int
    """Queries, passages or pairs of both that were tested."""
    confirm: Callable[[], Confirmation]


@dataclass(frozen=True)
class Claim:
    """A test that holds."""

    kind: str
    subject: Subject
    sentence: str
    effect: float
    low: float
    high: float
    """The 95 % interval of the effect."""
    unit: str
    """What the effect is counted in."""
    smallest: float
    """The smallest effect that would have been claimed."""
    p: float
    corrected: float
    n: int
    examples: tuple[str, ...]
    counterfactual: Counterfactual

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        named = {"subject": self.subject._asdict(), "counterfactual": self.counterfactual._asdict()}
        return {**asdict(self), **named}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Claim:
        """Read what `to_dict` gave."""
        subject = {**record["subject"], "passage_ids": tuple(record["subject"]["passage_ids"])}
        own = {
            "subject": Subject(**subject),
            "counterfactual": Counterfactual(**record["counterfactual"]),
            "examples": tuple(record["examples"]),
        }
        return cls(**{**record, **own})


class Count(NamedTuple):
    """How many tests of one kind got how far; each number is of those before it."""

    kind: str
    tested: int
    significant: int
    large: int
    confirmed: int


class Held(NamedTuple):
    """What is left of some tests."""

    claims: tuple[Claim, ...]
    """The largest effects of each kind first, as multiples of the smallest that matters."""
    counts: tuple[Count, ...]


def held(tests: Sequence[Tested], *, checked: bool = True) -> Held:
    """The tests that may be claimed, and how many of each kind got how far.

    Args:
        checked: work out the counterfactuals; without them nothing is claimed.
    """
    corrected = corrections([(one.family, one.p) for one in tests])
    significant = [i for i in range(len(tests)) if corrected[i] < ALPHA]
    large = [i for i in significant if abs(tests[i].effect) >= tests[i].smallest]
    claims = []
    with progress.steps("checking claims by counterfactuals", total=len(large), unit="claims") as advance:
        for i in large if checked else ():
            found = tests[i].confirm()
            if found.counterfactual.stands:
                claims.append(_claim(tests[i], corrected[i], found))
            advance(1)
    claims.sort(key=lambda claim: (claim.kind, -abs(claim.effect) / claim.smallest, claim.subject.key))
    reached = [Counter(kinds) for kinds in (
        (one.kind for one in tests), (tests[i].kind for i in significant), (tests[i].kind for i in large),
        (claim.kind for claim in claims),
    )]  # fmt: skip
    return Held(tuple(claims), tuple(Count(kind, *(of[kind] for of in reached)) for kind in sorted(reached[0])))


def _claim(one: Tested, corrected: float, found: Confirmation) -> Claim:
    return Claim(
        one.kind, one.subject, found.sentence, one.effect, found.low, found.high, one.unit, one.smallest, one.p,
        corrected, one.n, found.examples, found.counterfactual,
    )  # fmt: skip


def corrections(tests: Sequence[tuple[str, float]]) -> NDArray[np.float64]:
    """The corrected p of each test, (n,), given as its family and its p."""
    from scipy.stats import false_discovery_control

    families, p = np.array([family for family, _ in tests]), np.array([p for _, p in tests])
    corrected = np.ones(len(p))
    for family in set(families.tolist()):
        of = families == family
        corrected[of] = holm(p[of]) if family == RETRIEVER else false_discovery_control(p[of])
    return corrected
