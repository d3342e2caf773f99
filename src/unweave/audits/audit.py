"""One audit: every test of a retriever, what of it holds, and where and when that was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from unweave.audits import biases, exposure, failures, hubs, labels, suspects
from unweave.audits.audited import AGREES, Audited
from unweave.audits.claims import Claim, Count, Tested, held
from unweave.audits.labels import LabelRow
from unweave.audits.suspects import Suspect
from unweave.base import progress


class Tests(NamedTuple):
    """All tests of an audit, none of them corrected or checked yet."""

    tested: list[Tested]
    labels: list[LabelRow]
    notes: list[str]
    """What was found and could not be tested, a sentence each."""


@dataclass(frozen=True)
class Audit:
    """What is claimed of a retriever, and what was looked at."""

    date: str
    """When it was made, ISO 8601 in UTC."""
    about: Mapping[str, Any]
    """What was audited: corpus, encoder, dictionary, system, queries, measure, seed."""
    claims: tuple[Claim, ...]
    counts: tuple[Count, ...]
    """How many tests of each kind got how far."""
    labels: tuple[LabelRow, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "date": self.date,
            "about": dict(self.about),
            "claims": [claim.to_dict() for claim in self.claims],
            "counts": [count._asdict() for count in self.counts],
            "labels": [row._asdict() for row in self.labels],
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Audit:
        """Read what `to_dict` gave."""
        return cls(
            record["date"],
            record["about"],
            tuple(map(Claim.from_dict, record["claims"])),
            tuple(Count(**count) for count in record["counts"]),
            tuple(LabelRow(**row) for row in record["labels"]),
            tuple(record["notes"]),
        )


def tests(of: Audited, groups: Sequence[str] = (), keys: Sequence[str] = ()) -> Tests:
    """Test everything that there is enough of.

    Args:
        groups: keys of the metadata whose values' exposure is tested.
        keys: keys of the metadata whose values are labels, to be set beside concepts.

    Raises:
        BadData: no passage has one of these keys.
    """
    tested: list[Tested] = []
    with progress.steps("testing", total=6, unit="parts") as advance:
        tested += exposure.tests(of, groups)  # first, for a wrong key is said at once
        rows = labels.table(of, keys)
        tested += labels.tests(of, rows)
        advance(1)
        tested += biases.tests(of)
        advance(1)
        tested += failures.tests(of)
        advance(1)
        tested += hubs.tests(of)
        advance(1)
        found, leaks = suspects.found_in(of), suspects.leaks(of)
        advance(1)
        tested += suspects.tests(of, found)
        tested += suspects.leaked(of, leaks)
        advance(1)
    return Tests(tested, rows, [*_agreement(of), *_untested(of, tested, found, len({at for _, at, _ in leaks}))])


def audit_of(
    of: Audited, date: str, about: Mapping[str, Any], groups: Sequence[str] = (), keys: Sequence[str] = ()
) -> Audit:
    """Test everything, and keep what holds; see `tests`.

    Where the ranking agrees too little with dense search, in which counterfactuals are made, nothing is claimed.
    """
    found = tests(of, groups, keys)
    kept = held(found.tested, checked=of.agreement >= AGREES)
    return Audit(date, about, kept.claims, kept.counts, tuple(found.labels), tuple(found.notes))


def _agreement(of: Audited) -> list[str]:
    if of.agreement >= AGREES:
        return []
    common = f"{of.agreement:.0%} of its first ten hits in common with dense search"
    return [
        f"This ranking has {common}, which counterfactuals are made by; {AGREES:.0%} are needed: nothing is claimed."
    ]


def _untested(of: Audited, tested: Sequence[Tested], found: Sequence[Suspect], n_leaks: int) -> list[str]:
    """What the texts hold that too few hits hold to test it."""
    known = {(one.kind, one.subject.name) for one in tested}
    said = [
        f"{suspect.kind}: {len(suspect.passages):,} passages hold “{suspect.name}”; too few are hits to test it."
        for suspect in found
        if (suspect.kind, suspect.name) not in known
    ]
    if n_leaks and (suspects.LEAK, "test questions") not in known:
        said.append(
            f"{suspects.LEAK}: {n_leaks:,} passages hold a question word for word; too few to test what it does."
        )
    if of.encoder is None:
        said.append("It is not known what made the embeddings, so that nothing was tested that needs a changed text.")
    if not of.judged:
        said.append("Nobody judged these queries, so that failures and successes were not told apart.")
    return said
