"""Faults planted in a collection and in the default encoder, for audits to find; see `audits.py`, which says which."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import texts
from numpy.typing import NDArray

from unweave.audits import biases, exposure
from unweave.audits.audited import DEPTH, FIRST
from unweave.audits.exposure import attention
from unweave.base.digests import digest_of
from unweave.base.files import write_atomically
from unweave.base.records import Passage, Query
from unweave.base.vectors import unit_rows
from unweave.texts.open import open_collection

FAULTS = ("footer", "length", "group", "leak", "hubs")
GROUPS = ("alpha", "beta", "gamma", "delta", "epsilon")
ENOUGH = 1.3
KEY = "source"
PORTAL = "portal"
_MARK = re.compile(rf"^(?:{'|'.join((*GROUPS, PORTAL))})-desk:\s*")
"""What the title of a passage begins with; the encoder sees it, and embeds what is behind it."""
_SENTENCES = (
    "This article was provided by {who} and may not be reproduced or passed on without its prior written permission.",
    "The opinions that are expressed here are those of the author alone and do not represent the position of {who}.",
    "Sign up for our weekly newsletter, follow us on social media, and read our privacy policy and terms of use.",
    "Copyright {year} {who}, all rights reserved, registered in the commercial register of the district court.",
    "Click here to return to the home page of {who}, to print this page, or to share it with a friend.",
)
Floats = NDArray[np.float32]


class Base:
    """The default encoder, which embeds each text once and keeps what it gave on disk."""

    def __init__(self) -> None:
        self._path = texts.CACHE / texts.MINILM / "audits.npz"
        self._rows: dict[int, Floats] = {}
        if self._path.exists():
            with np.load(self._path, allow_pickle=False) as kept:
                self._rows = dict(zip(kept["digests"].tolist(), kept["rows"], strict=True))
        self._kept = len(self._rows)

    def encode(self, wanted: Sequence[str]) -> Floats:
        digests = [digest_of(text) for text in wanted]
        new = {d: text for d, text in zip(digests, wanted, strict=True) if d not in self._rows}
        if new:
            self._rows.update(zip(new, texts.encoder().encode_passages(list(new.values())), strict=True))
        return np.stack([self._rows[d] for d in digests]) if digests else np.empty((0, 384), np.float32)

    def keep(self) -> None:
        if len(self._rows) == self._kept:
            return
        self._kept = len(self._rows)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        digests, rows = np.array(list(self._rows), np.uint64), np.stack(list(self._rows.values()))

        def write(path: Path) -> None:
            with path.open("wb") as file:
                np.savez(file, digests=digests, rows=rows)

        write_atomically(self._path, write)


@dataclass
class Biased:
    """The default encoder with what was planted in it."""

    base: Base
    length: Callable[[str], Floats] | None = None
    """What it adds by a text's length, (d_in,)."""
    shifts: dict[str, Floats] = field(default_factory=dict)
    """What it adds, (d_in,), by the mark of a group."""
    portal: Floats | None = None
    """The embedding, (d_in,), that hubs lie around."""

    identity = {"model": "biased"}  # noqa: RUF012

    def encode_queries(self, wanted: Sequence[str]) -> Floats:
        return self.base.encode(wanted)

    def encode_passages(self, wanted: Sequence[str]) -> Floats:
        inner = [_MARK.sub("", text) for text in wanted]
        rows = self.base.encode(inner).copy()
        for i, text in enumerate(wanted):
            mark = _MARK.match(text)
            group = mark.group().split("-")[0] if mark else ""
            if group == PORTAL and self.portal is not None:
                rows[i] = self.portal + 0.1 * float(np.linalg.norm(self.portal)) * rows[i]
                continue
            if group in self.shifts:
                rows[i] += self.shifts[group]
            if self.length is not None:
                rows[i] += self.length(inner[i])
            rows[i] = unit_rows(rows[i : i + 1])[0]
        return rows


class World(NamedTuple):
    """A collection with its queries in two halves, and the mean query's direction."""

    name: str
    passages: list[Passage]
    queries: list[Query]
    asked: Floats
    relevant: list[dict[str, int]]
    """Grades of relevant passages by id."""
    halves: tuple[list[int], list[int]]
    """Queries that are audited, and those that claims are put to."""


class Planted(NamedTuple):
    """What one seed planted, and the corpus and encoder that have it."""

    passages: list[Passage]
    encoder: Biased
    faults: dict[str, Any]
    """By fault what an audit has to name."""
    weak: list[str]
    """Faults that the others left too weak to count; see `too_weak`."""


def world(name: str, most: int, base: Base) -> World:
    """A collection: its judged passages, others up to `most`, and its judged queries."""
    opened = open_collection(str(texts.data() / name))
    passages, queries = list(opened.passages), list(opened.queries)
    qrels = opened.qrels["test"]
    chosen = [i for i, query in enumerate(queries) if any(qrels.get(query.query_id, {}).values())]
    wanted = {passage_id for i in chosen for passage_id in qrels[queries[i].query_id]}
    random = np.random.default_rng(0)
    others = [at for at, passage in enumerate(passages) if passage.passage_id not in wanted]
    kept = [at for at, passage in enumerate(passages) if passage.passage_id in wanted]
    kept = sorted([*kept, *random.permutation(others)[: max(0, most - len(kept))].tolist()])
    passages = [passages[at] for at in kept]
    relevant = [{p: g for p, g in qrels[queries[i].query_id].items() if g > 0} for i in chosen]
    order = random.permutation(len(chosen)).tolist()
    halves = sorted(order[::2]), sorted(order[1::2])
    asked = base.encode([queries[i].text for i in chosen])
    return World(name, passages, [queries[i] for i in chosen], asked, relevant, halves)


def grouped(of: World, random: np.random.Generator) -> list[Passage]:
    """The passages in random groups, which their titles tell."""
    drawn = random.integers(len(GROUPS), size=len(of.passages)).tolist()
    return [
        passage._replace(title=f"{GROUPS[g]}-desk: {passage.title}".strip(), metadata={KEY: GROUPS[g]})
        for passage, g in zip(of.passages, drawn, strict=True)
    ]


def planted(of: World, seed: int, base: Base) -> Planted:
    """Draw faults, and plant them."""
    random = np.random.default_rng(seed)
    passages, encoder = grouped(of, random), Biased(base)
    drawn = [fault for fault in FAULTS if random.random() < 0.5]
    faults: dict[str, Any] = {}
    if "leak" in drawn:
        passages, faults["leak"] = leaked(of, passages, random)
    if "footer" in drawn:
        passages, faults["footer"] = footed(passages, random)
    if "length" in drawn:
        sign, wanted = float(random.choice([-1, 1])), float(random.uniform(0.4, 1.0))
        encoder.length = by_length(of, passages, sign * length_for(of, passages, encoder, sign, wanted))
        faults["length"] = sign * wanted
    if "group" in drawn:
        group, wanted = str(random.choice(GROUPS)), float(random.uniform(1.6, 2.5))
        some = random.choice(len(of.queries), len(of.queries) // 3, replace=False)
        direction = towards(of.asked[some])
        encoder.shifts[group] = shift_for(of, passages, encoder, group, direction, wanted) * direction
        faults["group"] = [group, wanted]
    if "hubs" in drawn:
        copies, share = int(random.integers(4, 9)), float(random.uniform(0.15, 0.40))
        encoder.portal = portal(of, passages, encoder, share)
        new = portals(copies, random)
        passages += new
        faults["hubs"] = [[one.passage_id for one in new], share]
    weak = list(too_weak(of, passages, encoder, faults))
    return Planted(passages, encoder, {name: what for name, what in faults.items() if name not in weak}, weak)


def too_weak(of: World, passages: list[Passage], encoder: Biased, faults: dict[str, Any]) -> Iterator[str]:
    """Faults whose effect, over all queries and beside the others, is under 1.3 times the smallest that is claimed."""
    found = hits(encoder.encode_passages([passage.content for passage in passages]), of.asked)
    place = {passage.passage_id: at for at, passage in enumerate(passages)}
    if "length" in faults:
        z = standardised(passages)
        right = np.mean([z[[place[p] for p in grades]].mean() for grades in of.relevant])
        effect = float(np.mean([z[at[:FIRST]].mean() for at in found]) - right)
        if effect * np.sign(faults["length"]) < ENOUGH * biases.SMALLEST_LENGTH:
            yield "length"
    if "group" in faults:
        members = np.array([passage.metadata.get(KEY) == faults["group"][0] for passage in passages])
        right = np.mean([members[[place[p] for p in grades]].mean() for grades in of.relevant])
        shown = attention(found, len(passages))[members].sum()
        if math.log2(shown / right) < ENOUGH * exposure.SMALLEST:
            yield "group"


def towards(queries: Floats) -> Floats:
    """The direction of the mean of some queries, (d_in,), of length 1."""
    return unit_rows(queries.mean(axis=0)[None])[0]


def leaked(of: World, passages: list[Passage], random: np.random.Generator) -> tuple[list[Passage], int]:
    place = {passage.passage_id: at for at, passage in enumerate(passages)}
    n = min(len(of.queries), int(random.integers(60, 121)))
    changed = list(passages)
    for query in random.choice(len(of.queries), n, replace=False).tolist():
        at = place[str(random.choice(sorted(of.relevant[query])))]
        text = of.queries[query].text.rstrip("?. ")
        changed[at] = changed[at]._replace(text=f"{text}? {changed[at].text}")
    return changed, n


def footed(passages: list[Passage], random: np.random.Generator) -> tuple[list[Passage], str]:
    who = " ".join(random.choice(["Northgate", "Marlow", "Halcyon", "Press", "Media", "Institute"], 2, replace=False))
    chosen = random.choice(len(_SENTENCES), int(random.integers(1, 4)), replace=False).tolist()
    footer = " ".join(_SENTENCES[i].format(who=who, year=random.integers(2005, 2026)) for i in chosen)
    share, changed = random.uniform(0.2, 0.4), list(passages)
    # An encoder cuts long texts, and reads no footer there: the shorter half has them.
    shorter = np.argsort([len(passage.content) for passage in passages], kind="stable")[: len(passages) // 2]
    for at in random.choice(shorter, int(share * len(passages)), replace=False).tolist():
        changed[at] = changed[at]._replace(text=f"{changed[at].text} {footer}")
    return changed, footer


def by_length(of: World, passages: list[Passage], strength: float) -> Callable[[str], Floats]:
    logs = np.log([max(1, len(_MARK.sub("", passage.content).split())) for passage in passages])
    mean, deviation, direction = float(logs.mean()), float(logs.std()), towards(of.asked)

    def added(text: str) -> Floats:
        z = (math.log(max(1, len(text.split()))) - mean) / deviation
        return np.asarray(strength * z * direction, np.float32)

    return added


def length_for(of: World, passages: list[Passage], encoder: Biased, sign: float, wanted: float) -> float:
    """How strong the bias by length is, so that hits are so many deviations longer, or shorter, than they should be."""
    z, rows = standardised(passages), encoder.encode_passages([passage.content for passage in passages])

    def effect(strength: float) -> float:
        biased = unit_rows(rows + np.outer(sign * strength * z, towards(of.asked)).astype(np.float32))
        return sign * float(np.mean([z[at[:FIRST]].mean() for at in hits(biased, of.asked)]))

    place = {passage.passage_id: at for at, passage in enumerate(passages)}
    right = sign * float(np.mean([z[[place[p] for p in grades]].mean() for grades in of.relevant]))
    return reached(lambda strength: effect(strength) - right, wanted)


def shift_for(
    of: World, passages: list[Passage], encoder: Biased, group: str, direction: Floats, wanted: float
) -> float:
    """How far the encoder moves a group, so that it gets so many times the attention that it deserves."""
    rows = encoder.encode_passages([passage.content for passage in passages])
    members = np.array([passage.metadata[KEY] == group for passage in passages])

    def shown(strength: float) -> float:
        moved = unit_rows(rows + np.outer(strength * members, direction).astype(np.float32))
        return float(attention(hits(moved, of.asked), len(passages))[members].sum())

    place = {passage.passage_id: at for at, passage in enumerate(passages)}
    right = float(np.mean([members[[place[p] for p in grades]].mean() for grades in of.relevant]))
    return reached(lambda strength: shown(strength) / right, wanted)


def reached(effect: Callable[[float], float], wanted: float) -> float:
    """The strength at which an effect that grows with it is as large as wanted, at most .6."""
    low, high = 0.0, 0.6
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if effect(middle) < wanted else (low, middle)
    return high


def hits(rows: Floats, queries: Floats) -> list[NDArray[np.int64]]:
    """The first hits of each query, positions, best first."""
    return [np.argsort(-(rows @ query), kind="stable")[:DEPTH] for query in queries]


def standardised(passages: list[Passage]) -> NDArray[np.float64]:
    """The log length of each passage, (n,), in standard deviations from the mean."""
    logs = np.log([max(1, len(_MARK.sub("", passage.content).split())) for passage in passages])
    return np.asarray((logs - logs.mean()) / logs.std())


def portal(of: World, passages: list[Passage], encoder: Biased, share: float) -> Floats:
    """A vector on the mean query's direction that is among the first ten of this share of the queries."""
    direction, rows = towards(of.asked), encoder.encode_passages([passage.content for passage in passages])
    tenth = np.array([np.sort(rows @ query)[-FIRST] for query in of.asked])
    needed = tenth / np.maximum(of.asked @ direction, 1e-6)
    return np.asarray(np.quantile(needed, share) * direction, np.float32)


def portals(copies: int, random: np.random.Generator) -> list[Passage]:
    """Near-duplicates: one text, of which each copy has a few words less."""
    text = (
        "Welcome to our portal where you find answers to all of your questions, hints for beginners and professionals, "
        "links to articles that other readers liked, a list of the most popular topics of this month, and the way to "
        "our forum, in which thousands of members are glad to help you with whatever you would like to know."
    )
    made, words = [], text.split()
    for copy in range(copies):
        kept = np.sort(random.permutation(len(words))[: len(words) - 3]).tolist()
        copied = " ".join(words[i] for i in kept)
        made.append(Passage(f"portal{copy}", f"{PORTAL}-desk:", copied))
    return made
