"""A weighted sum of systems is a system: "BM25 + 2 codes", or by reciprocal rank, "BM25 + codes by rank"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.records import Explanation, Part
from unweave.errors import BadData
from unweave.index.hits import Hits
from unweave.retrieval import fusion
from unweave.retrieval.query import TOKENS, EmbeddedQuery
from unweave.retrieval.steering import AS_IT_IS, BY_NUMBER, Steering
from unweave.retrieval.systems import Ids, System

DEPTH = 1000
"""Hits that each system of a sum gives, at least."""
_BY_RANK = " by rank"
_TERM = re.compile(r"(?:([0-9]*\.?[0-9]+)\s+)?(\S.*)")


class SumOf(NamedTuple):
    """What a sum's name says."""

    weights: Mapping[str, float]
    """A weight a system, in the order of the name."""
    by: str


def parse(name: str) -> SumOf:
    """Read the name of a sum: systems with " + " between them, each with a weight in front if it is not 1.

    Raises:
        BadData: fewer than two systems, one of them twice, or a weight of 0.
    """
    by_rank = name.endswith(_BY_RANK)
    weights: dict[str, float] = {}
    terms = [term.strip() for term in name.removesuffix(_BY_RANK).split("+")]
    for term in terms:
        found = _TERM.fullmatch(term)
        if found is None:
            raise BadData(f"{name!r} is no sum of systems: expected names with + between them, as in 'BM25 + 2 codes'")
        weight, system = float(found[1] or 1), found[2]
        if system in weights or not 0 < weight < math.inf:
            raise BadData(f"{name!r} is no sum of systems: each is to be there once, with a finite weight above 0")
        weights[system] = weight
    if len(weights) < 2:
        raise BadData(f"{name!r} is no sum of systems: it takes at least two, as in 'BM25 + 2 codes'")
    return SumOf(weights, fusion.RANK if by_rank else fusion.SCORE)


def name_of(weights: Mapping[str, float], by: str) -> str:
    """The name of a sum, written in one way."""
    terms = [system if weight == 1 else f"{weight:g} {system}" for system, weight in weights.items()]
    return " + ".join(terms) + (_BY_RANK if by == fusion.RANK else "")


def is_sum(name: str) -> bool:
    """Whether this is the name of several systems together."""
    return "+" in name or name.endswith(_BY_RANK)


@dataclass(frozen=True, eq=False)
class Sum:
    """Several systems in one search. All of them number passages alike; see `fusion` for what each adds."""

    name: str
    systems: Mapping[str, System]
    weights: Sequence[float]
    by: str = fusion.SCORE

    @property
    def needs(self) -> frozenset[str]:
        return frozenset().union(*(system.needs for system in self.systems.values()))

    @property
    def steers(self) -> frozenset[str]:
        """What all its systems can be steered by, and boosts and bans if at least one of them can.

        A boost bends the systems that take boosts, and the others stay as they are. A passage that has a banned concept
        by one system is found by none, BM25 included. Concepts of tokens and those of texts are numbered each for
        themselves, so a sum of both takes neither boosts nor bans.
        """
        each = [system.steers for system in self.systems.values()]
        by_all, by_one = reduce(frozenset.intersection, each), reduce(frozenset.union, each) & BY_NUMBER
        return by_all - BY_NUMBER if self._numbers_twice else by_all | by_one

    @property
    def lowest(self) -> float | None:
        return 0.0

    @property
    def bytes_per_passage(self) -> float:
        return sum(system.bytes_per_passage for system in self.systems.values())

    @property
    def ids(self) -> Ids:
        return next(iter(self.systems.values())).ids

    def check(self, steering: Steering) -> None:
        numbered = [name for name in steering.given if name in BY_NUMBER]
        if numbered and self._numbers_twice:
            raise BadData(
                f"{self.name} cannot be steered by {numbered[0]}: concepts of tokens and those of texts are numbered "
                "each for themselves, so a number would mean two of them; leave one kind out of the sum"
            )
        steering.check(self.name, self.steers)

    def having(self, latents: Sequence[int]) -> NDArray[np.bool_] | None:
        each = [system.having(latents) for system in self.systems.values()]
        known = [having for having in each if having is not None]
        return np.logical_or.reduce(known) if known else None

    def search(self, query: EmbeddedQuery, cutoff: int = 10, steering: Steering = AS_IT_IS) -> Hits:
        found = self._found(query, cutoff, self._of_each(steering))
        return fusion.fused(found, self._values(found), cutoff).hits

    def explain(self, query: EmbeddedQuery, hits: Hits, steering: Steering = AS_IT_IS) -> list[Explanation]:
        """What each system adds to each hit; by rank, the explanation of a part is that of the system's own score."""
        of_each = self._of_each(steering)
        found = self._found(query, len(hits.passages), of_each)
        columns = [
            self._parts(name, query, hits, of, values, scale, bent)
            for name, of, values, scale, bent in zip(
                self.systems, found, self._values(found), self._scales(found), of_each, strict=True
            )
        ]
        return [
            Explanation(of="sum", score=score, contributions=(), parts=parts)
            for score, parts in zip(hits.scores.tolist(), zip(*columns, strict=True), strict=True)
        ]

    @property
    def _numbers_twice(self) -> bool:
        """Whether a concept's number means one of tokens and one of texts."""
        numbering = [TOKENS in system.needs for system in self.systems.values() if system.steers & BY_NUMBER]
        return len(set(numbering)) > 1

    def _of_each(self, steering: Steering) -> list[Steering]:
        """How each system is steered: by boosts if it takes them, and by bans as passages that may not be found."""
        self.check(steering)
        having = self.having(steering.banned) if len(steering.banned) else None
        bent = steering if having is None else steering.leaving_out(having)
        plain = replace(bent, boosts={}) if bent.boosts else bent
        return [bent if "boosts" in system.steers else plain for system in self.systems.values()]

    def _found(self, query: EmbeddedQuery, cutoff: int, of_each: Sequence[Steering]) -> list[Hits]:
        systems = self.systems.values()
        return [system.search(query, max(cutoff, DEPTH), bent) for system, bent in zip(systems, of_each, strict=True)]

    def _shares(self) -> list[float]:
        """The weights, adding up to 1."""
        return [weight / sum(self.weights) for weight in self.weights]

    def _scales(self, found: Sequence[Hits]) -> list[fusion.Scale]:
        return [
            fusion.scale_of(hits, share, system.lowest)
            for hits, share, system in zip(found, self._shares(), self.systems.values(), strict=True)
        ]

    def _values(self, found: Sequence[Hits]) -> list[NDArray[np.float64]]:
        """What each system's hits are worth."""
        if self.by == fusion.RANK:
            return [fusion.of_ranks(hits, share) for hits, share in zip(found, self._shares(), strict=True)]
        return [fusion.of_scores(hits, scale) for hits, scale in zip(found, self._scales(found), strict=True)]

    def _parts(
        self, name: str, query: EmbeddedQuery, hits: Hits, found: Hits, values: NDArray[np.float64],
        scale: fusion.Scale, steering: Steering,
    ) -> list[Part]:  # fmt: skip
        """What one system adds to each hit."""
        place_of = {passage: place for place, passage in enumerate(found.passages.tolist())}
        places = [place_of.get(passage) for passage in hits.passages.tolist()]
        there = np.array([place for place in places if place is not None], np.int64)
        whys = iter(self.systems[name].explain(query, Hits(found.passages[there], found.scores[there]), steering))
        parts = []
        for place in places:
            if place is None:
                parts.append(Part(name, 0.0, None, None))
                continue
            why = next(whys)
            why = why if self.by == fusion.RANK else fusion.explain_part(why, scale)
            parts.append(Part(name, float(values[place]), place + 1, why))
        return parts
