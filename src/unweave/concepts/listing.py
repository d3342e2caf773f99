"""Concepts as a list that can be filtered and sorted: `unweave concepts list` prints it, and the pages show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from unweave.base.records import Trust
from unweave.concepts.concept import DETECTION, Concept


class Listed(NamedTuple):
    """A concept in a list; its name is that of the concept that it is merged into, if it is."""

    latent: int
    name: str | None
    trust: Trust
    """`unscored` without a name."""
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


def listed(concepts: Iterable[Concept]) -> list[Listed]:
    """Concepts as they are listed, in their order."""
    found = {concept.latent: concept for concept in concepts}
    return [
        _listed(concept, concept if concept.merged_into is None else found.get(concept.merged_into, concept))
        for concept in found.values()
    ]


def activated(rows: Iterable[Listed], activations: Mapping[int, float]) -> list[Listed]:
    """Those that a text activates, with how strongly it does, by latent."""
    return [row._replace(activation=activations[row.latent]) for row in rows if row.latent in activations]


def _listed(concept: Concept, named: Concept) -> Listed:
    detection = named.score(DETECTION)
    return Listed(
        latent=concept.latent, name=named.name, trust=Trust.UNSCORED if named.name is None else named.trust,
        returns=concept.returns, holds_from=named.holds_from, document_frequency=concept.document_frequency,
        strongest=concept.strongest, detection=None if detection is None or named.name is None else detection.value,
        namer=None if named.name is None else named.namer, flag=concept.flag, merged_into=concept.merged_into,
    )  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """Which concepts are wanted: those for which all of this is so."""

    words: str = ""
    """The name holds them all, in upper or lower case, and is none that does not hold; or the latent's number, with or
    without a # before it."""
    trust: frozenset[Trust] = frozenset()
    """One of these; empty: any."""
    returns: bool | None = None
    flag: str | None = None
    """This remark."""
    flagged: bool | None = None
    """Any remark, or none."""

    def rows(self, rows: Iterable[Listed]) -> list[Listed]:
        """Those of some concepts that are wanted, in their order."""
        words = self.words.casefold().split()
        return [
            row for row in rows
            if (not words or _says(row, words))
            and (not self.trust or row.trust in self.trust)
            and self.returns in (None, row.returns)
            and self.flag in (None, row.flag)
            and self.flagged in (None, row.flag is not None)
        ]  # fmt: skip


def _says(row: Listed, words: list[str]) -> bool:
    if len(words) == 1 and words[0].removeprefix("#") == str(row.latent):
        return True
    name = _name(row)
    return name is not None and all(word in name for word in words)


def _name(row: Listed) -> str | None:
    """In lower case; None where none holds."""
    return None if row.name is None or row.trust is Trust.NONE else row.name.casefold()


_TRUSTED = {trust: -place for place, trust in enumerate(Trust)}
COLUMNS: Mapping[str, Callable[[Listed], Any]] = {
    "latent": lambda row: row.latent, "name": _name,
    "trust": lambda row: _TRUSTED[row.trust], "df": lambda row: row.document_frequency,
    "strongest": lambda row: row.strongest, "holds": lambda row: row.holds_from, "detection": lambda row: row.detection,
    "returns": lambda row: row.returns, "activation": lambda row: row.activation,
}  # fmt: skip
"""What concepts are sorted by, by name."""


def in_order(rows: list[Listed], by: str, *, descending: bool) -> list[Listed]:
    """Concepts by a column, those without a value last whatever the direction; equal ones keep their order."""
    column = COLUMNS[by]
    known = [row for row in rows if column(row) is not None]
    unknown = [row for row in rows if column(row) is None]
    return sorted(known, key=column, reverse=descending) + unknown
