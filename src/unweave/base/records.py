"""The small records that pass between the parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from unweave.base import notebook
from unweave.base.plain import number_of, plain
from unweave.base.stored import read_record
from unweave.errors import AccountingError


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

    @property
    def text_start(self) -> int:
        """Where the text begins in `content`, in characters; below 0 by as many blanks as were left out before it."""
        joined = f"{self.title} {self.text}"
        return len(self.title) + 1 - (len(joined) - len(joined.lstrip()))


class Query(NamedTuple):
    """One question put to a corpus."""

    query_id: str
    text: str


RETURNS = "↻"
"""The sign, beside the mark of trust, of a concept that another run found again: see `sae.model.SAE.returns`."""


class Trust(StrEnum):
    """How far a name is to be trusted, as judged by texts that no namer has seen; see `concepts.concept.trust_of`."""

    CONFIRMED = "confirmed"
    """A person gave or confirmed the name."""
    HOLDS = "holds"
    """It tells what activates the latent from what does not, better than 95 % of names of meaningless directions do."""
    VAGUE = "vague"
    """It tells them apart better than chance, but not better than most names of meaningless directions, for sure."""
    NONE = "none"
    """No name holds: this one does no better than chance, as far as was seen."""
    UNSCORED = "unscored"
    """Nobody judged it, or too few texts activate the latent."""

    @property
    def mark(self) -> str:
        """The sign shown beside the name."""
        return _MARKS[self]


_MARKS = {Trust.CONFIRMED: "✓", Trust.HOLDS: "●", Trust.VAGUE: "◐", Trust.NONE: "○", Trust.UNSCORED: "·"}


def marks(trust: Trust | None, returns: bool | None) -> str:
    """The signs before a concept: how far its name is to be trusted, and whether the concept returns.

    Where that is known of concepts, each has two places, so that names stand below each other; else it is one.
    """
    of_name = trust.mark if trust else ""
    return of_name if returns is None else f"{of_name or ' '}{RETURNS if returns else ' '}"


class Group(StrEnum):
    """How far a reader can rely on a part of a score; each part is of one group, so that the groups add up to it."""

    NAMED = "named"
    """Of a concept whose name holds for a passage that activates it so strongly."""
    UNNAMED = "unnamed"
    """Of a concept without a name, or whose name was not judged or surely holds at no activation."""
    TRACES = "traces"
    """Of a concept that the passage activates less than its name holds from."""
    BIAS = "bias"
    """The same for every passage."""
    RESIDUAL = "residual"
    """What the concepts leave over."""


class Contribution(NamedTuple):
    """What one latent adds to a score."""

    latent: int
    name: str | None
    """None while the latent is unnamed."""
    query: float
    """The query's part: its weight, or its cosine with the latent's direction."""
    passage: float
    """The passage's part: its impact, or its activation."""
    value: float
    """query * passage."""
    trust: Trust | None = None
    """How far the name is to be trusted; None without a name."""
    returns: bool | None = None
    """Whether another run found the concept again; None where that is not known."""
    group: Group | None = None
    """`named`, `unnamed` or `traces`; None of what is no concept, such as a term of BM25."""


class Part(NamedTuple):
    """What one system of a sum adds to a score."""

    system: str
    value: float
    rank: int | None
    """Where the system had the passage; None: not among its hits."""
    explanation: Explanation | None
    """The part as a sum of named concepts, or, of ranks, the score that the system gave."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """A score and the parts that add up to it: contributions + bias + residual + parts = score."""

    of: str
    """Which score: `dense` (the retriever's), `concepts` (CL-SR), `rescored` (codes, dense query), `terms` (BM25),
    `sum` (several systems'), or `embedding`: one text's squared length."""
    score: float
    """The score as the retriever gave it."""
    contributions: tuple[Contribution, ...]
    """By absolute value, largest first."""
    bias: float = 0.0
    """Shared by all passages: the query's product with the SAE's b_pre."""
    residual: float = 0.0
    """What the SAE did not reconstruct of the passage, as the query sees it."""
    parts: tuple[Part, ...] = ()
    """What each system of a sum adds, in the sum's order; everything else explains one system's score."""

    def __repr__(self) -> str:
        sums = [f"{number_of(len(self.contributions), 'concept')} {self.explained:.4g}"] if self.contributions else []
        sums += [f"{name} {value:.4g}" for name, value in (("bias", self.bias), ("residual", self.residual)) if value]
        sums += [f"{plain(part.system, 40)} {part.value:.4g}" for part in self.parts]
        first = [f"{plain(c.name or f'#{c.latent}', 40)} {c.value:.4g}" for c in self.contributions[:3]]
        strongest = f"; strongest: {', '.join(first)}" if first else ""
        return f"Explanation({self.of} score {self.score:.4g} = {' + '.join(sums) or 'nothing'}{strongest})"

    def _repr_html_(self) -> str:
        """The score as a bar that adds up and a table, for notebooks."""
        return notebook.account(f"{self.of} score", self.score, self.pieces())

    def pieces(self) -> list[notebook.Piece]:
        """The parts of the score as they are drawn; traces are folded."""
        whole, traces = self.folded()
        pieces = [_piece(c) for c in whole]
        pieces += [notebook.Piece(*traces_of(traces))] if traces else []
        pieces += [
            notebook.Piece(part.system, part.value, "" if part.rank is None else f"rank {part.rank}")
            for part in self.parts
        ]
        return [
            *pieces,
            notebook.Piece("bias", self.bias, plain=True),
            notebook.Piece("residual", self.residual, plain=True),
        ]

    def folded(self) -> tuple[list[Contribution], list[Contribution]]:
        """The contributions that are shown one by one, and the traces, which are shown together."""
        traces = [c for c in self.contributions if c.group is Group.TRACES]
        return [c for c in self.contributions if c.group is not Group.TRACES], traces

    @property
    def explained(self) -> float:
        """The part of the score that named or nameable latents make up."""
        return math.fsum(c.value for c in self.contributions)

    @property
    def explained_share(self) -> float:
        """`1 - |residual| / (|residual| + |explained + bias|)`: 1 if nothing is left over; of a sum, over all parts."""
        accounts = [self._account(), *(part.explanation._account() for part in self.parts if part.explanation)]
        accounted, left = (math.fsum(column) for column in zip(*accounts, strict=True))
        return accounted / (accounted + left) if accounted + left else 1.0

    @property
    def groups(self) -> dict[Group, float]:
        """What each group adds to the score or takes away; of a sum of systems, see its parts."""
        values: dict[Group, list[float]] = {group: [] for group in Group}
        for c in self.contributions:
            if c.group is not None:
                values[c.group].append(c.value)
        sums = {group: math.fsum(found) for group, found in values.items()}
        return sums | {Group.BIAS: self.bias, Group.RESIDUAL: self.residual}

    @property
    def named_share(self) -> float | None:
        """The share of `named` parts in all parts, bias and residual included: sums of `|value|`.

        None where no concept's name was judged, and of a sum of systems: each of its parts has its own.
        """
        return self._share(lambda c: c.group is Group.NAMED) if self._judged else None

    @property
    def returning_share(self) -> float | None:
        """The share in all parts of concepts that return; None where that is known of none.

        A concept of which it is not known counts as one that does not.
        """
        return self._share(lambda c: bool(c.returns)) if self._returning_known else None

    @property
    def named_returning_share(self) -> float | None:
        """The share in all parts of those that are named and return, the findings; None where one is not known."""
        known = self._judged and self._returning_known
        return self._share(lambda c: c.group is Group.NAMED and bool(c.returns)) if known else None

    @property
    def carried(self) -> str:
        """What named concepts carry, those that return, and those that are both, in words; empty: nothing is known."""
        shares = {
            "named": self.named_share,
            RETURNS: self.returning_share,
            "both": self.named_returning_share,
        }
        return ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items() if share is not None)

    @property
    def _judged(self) -> bool:
        return any(c.trust not in (None, Trust.UNSCORED) for c in self.contributions)

    @property
    def _returning_known(self) -> bool:
        return any(c.returns is not None for c in self.contributions)

    def _share(self, counts: Callable[[Contribution], bool]) -> float | None:
        whole = math.fsum([*(abs(c.value) for c in self.contributions), abs(self.bias), abs(self.residual)])
        return math.fsum(abs(c.value) for c in self.contributions if counts(c)) / whole if whole else None

    def _account(self) -> tuple[float, float]:
        return abs(self.explained + self.bias), abs(self.residual)

    def check(self, rtol: float = 1e-5) -> None:
        """Prove that the parts add up, and each part's own parts.

        Raises:
            AccountingError: they miss the score by more than `rtol` of all parts taken as positive: what is left of
                large parts that cancel is as exact as those are.
        """
        for part in self.parts:
            if part.explanation is not None:
                part.explanation.check(rtol)
        values = [*(c.value for c in self.contributions), self.bias, self.residual, *(p.value for p in self.parts)]
        if not adds_up(values, self.score, rtol):
            raise AccountingError(
                f"the parts of this {self.of} score add up to {math.fsum(values)!r}, not to {self.score!r}: "
                "was it explained with another SAE or index than it was scored with?"
            )

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain JSON values."""
        record: dict[str, Any] = {
            "of": self.of,
            "score": self.score,
            "contributions": [c._asdict() for c in self.contributions],
            "bias": self.bias,
            "residual": self.residual,
            "explained_share": self.explained_share,
            "named_share": self.named_share,
            "returning_share": self.returning_share,
            "named_returning_share": self.named_returning_share,
            "groups": {group.value: value for group, value in self.groups.items()},
        }
        if self.parts:
            explained = [part.explanation and part.explanation.to_dict() for part in self.parts]
            record["parts"] = [
                part._asdict() | {"explanation": why} for part, why in zip(self.parts, explained, strict=True)
            ]
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Explanation:
        """Read what `to_dict` wrote."""
        contributions = tuple(_contribution(c) for c in record["contributions"])
        parts = tuple(
            Part(**{**part, "explanation": part["explanation"] and cls.from_dict(part["explanation"])})
            for part in record.get("parts", ())
        )
        return cls(record["of"], record["score"], contributions, record["bias"], record["residual"], parts)


def adds_up(parts: Sequence[float], whole: float, rtol: float) -> bool:
    """Whether parts miss a whole by no more than `rtol` of all of them taken as positive; not what is no number."""
    return abs(math.fsum(parts) - whole) <= rtol * math.fsum(map(abs, parts)) + 1e-9


def _contribution(record: Mapping[str, Any]) -> Contribution:
    trust, group = record.get("trust"), record.get("group")
    enums = {"trust": trust and Trust(trust), "group": group and Group(group)}
    return read_record(Contribution, {**record, **enums}, "an explanation")


NO_NAME_HOLDS = "(no name holds)"
"""Stands for a name that does no better than chance."""


def traces_of(traces: Sequence[Contribution]) -> tuple[str, float]:
    """What traces are called together, and what they add or take away."""
    said = "a trace of one concept" if len(traces) == 1 else f"traces of {len(traces):,} concepts"
    return said, math.fsum(c.value for c in traces)


def _piece(c: Contribution) -> notebook.Piece:
    mark = marks(c.trust if c.name else None, c.returns).strip()
    name = NO_NAME_HOLDS if c.trust is Trust.NONE else c.name
    label = " ".join(filter(None, (name, mark, f"#{c.latent}")))
    return notebook.Piece(label, c.value, f"{c.query:.4g} \u00d7 {c.passage:.4g}")


@dataclass(frozen=True, repr=False)
class Hit:
    """One found passage with, on request, the reasons for its score."""

    rank: int
    """1 for the best."""
    score: float
    passage: Passage
    explanation: Explanation | None = None
    """The score as a sum of named concepts."""
    dense_explanation: Explanation | None = None
    """The dense retriever's own score of the same pair, as named concepts, bias and residual."""

    def __repr__(self) -> str:
        title = plain(self.passage.title or self.passage.text, 60)
        return f"Hit({self.rank}, {self.score:.4g}, {plain(self.passage.passage_id, 60)!r}, {title!r})"

    def _repr_html_(self) -> str:
        """The hit and its explanation, for notebooks."""
        return HitList([self])._repr_html_()

    def shown(self) -> notebook.Line:
        """The hit as a row of a table."""
        return notebook.Line(
            self.rank, self.score, self.passage.title or self.passage.passage_id, self.passage.text,
            self.explanation.pieces() if self.explanation else (),
        )  # fmt: skip

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
        return record


class Shown(Protocol):
    """A hit that can be a row of a table."""

    def shown(self) -> notebook.Line: ...


H = TypeVar("H", bound=Shown)


class HitList(list[H]):
    """Hits of one query, best first."""

    def __repr__(self) -> str:
        return (
            f"HitList({len(self)} hits{': ' if self else ''}{', '.join(map(repr, self[:3]))}{', …' * (len(self) > 3)})"
        )

    def _repr_html_(self) -> str:
        """The hits with a bar each that adds up to the score, for notebooks."""
        return notebook.hit_table([hit.shown() for hit in self])
