"""Hubs: passages that stand among the first hits of many queries and are relevant to none of these.

In spaces of many dimensions some points are near to most others (Radovanović et al. 2010, "Hubs in Space", JMLR 11).
The effect is the share of queries that have a hub among the first ten without its being relevant; near-duplicates
count as one. Test: binomial, whether the share is surely above the smallest that matters, and above three times that of
a mean passage. Counterfactual: queries that met the hub are ranked without it, and the measure has to rise by .005 at
least; where nobody judged, the mean query's direction is taken out of all passages, and the hub has to be met half as
often at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from unweave.audits.audited import FIRST, Audited, Positions
from unweave.audits.claims import PASSAGES, Confirmation, Counterfactual, Subject, Tested
from unweave.base.plain import plain

SMALLEST = 0.05
"""One query in twenty."""
TIMES = 3
"""A passage that is not met more often than so many times the mean is none: of a small corpus all are met often."""
SMALLEST_GAIN = 0.005
"""What the measure has to gain without a hub. What is relevant to none of these queries cannot lower it by leaving, so
that only the size is asked."""
ALIKE, WORDS_ALIKE = 0.95, 0.7
"""Cosine, and Jaccard overlap of the words, from which on two passages are near-duplicates."""
_WORD = re.compile(r"\w+")


def tests(of: Audited) -> Iterator[Tested]:
    """One test a passage that is met, near-duplicates of the most frequent together."""
    from scipy.stats import binom

    met = meetings(of)
    n, done = max(1, len(of.queries)), set[int]()
    rate = min(0.5, max(SMALLEST, TIMES * FIRST / max(1, len(of.passages))))
    for passage in sorted(met, key=lambda at: (-len(met[at]), at)):
        if passage in done:
            continue
        near = near_duplicates(of, passage).tolist() if len(met[passage]) >= SMALLEST * n / 2 else [passage]
        members = np.array([at for at in near if at not in done], np.int64)
        done.update(near)
        queries = sorted(set().union(*(met.get(member, set()) for member in members.tolist())))
        p = float(binom.sf(len(queries) - 1, n, rate))
        yield _tested(of, members, queries, len(queries) / n, p)


def meetings(of: Audited) -> dict[int, set[int]]:
    """Of each passage that is met the queries that have it among the first ten without its being relevant."""
    met: dict[int, set[int]] = {}
    for query, hits in enumerate(of.found):
        for at in hits[:FIRST].tolist():
            if at not in of.relevant[query]:
                met.setdefault(at, set()).add(query)
    return met


def near_duplicates(of: Audited, passage: int) -> Positions:
    """The passages that say nearly the same, ascending, itself among them."""
    row = of.rows[passage]
    near = np.flatnonzero(of.rows @ row >= ALIKE * of.lengths * of.lengths[passage])
    words = _words(of, passage)
    alike = [at for at in near.tolist() if at == passage or _overlap(words, _words(of, at)) >= WORDS_ALIKE]
    return np.array(sorted({*alike, passage}), np.int64)


def _words(of: Audited, passage: int) -> set[str]:
    return {word.casefold() for word in _WORD.findall(of.passages[passage].content)}


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _tested(of: Audited, members: Positions, queries: list[int], effect: float, p: float) -> Tested:
    ids = of.ids(members)

    def confirm() -> Confirmation:
        from scipy.stats import binomtest

        found = binomtest(len(queries), len(of.queries)).proportion_ci()
        what = f"The passage {plain(ids[0], 60)} is a hub"
        if len(ids) > 1:
            what = f"The {len(ids)} near-duplicates of {plain(ids[0], 60)} are a hub"
        sentence = (
            f"{what}: {effect:.1%} of the queries have {'one of them' if len(ids) > 1 else 'it'} among the first ten, "
            f"{'and for none of these was it judged relevant' if of.judged else 'and nobody judged'}."
        )
        counter = _dropped(of, members, queries) if of.judged else _centred(of, members)
        examples = tuple(of.queries[query].query_id for query in queries[:3])
        return Confirmation(sentence, float(found.low), float(found.high), examples, counter)

    subject = Subject("passages", ids[0], None, ids)
    return Tested("hub", PASSAGES, subject, effect, "share of queries", SMALLEST, p, len(of.queries), confirm)


def _dropped(of: Audited, members: Positions, queries: list[int]) -> Counterfactual:
    judged = [query for query in queries if of.relevant[query]]
    changed = f"{'them' if len(members) > 1 else 'it'} left out of the corpus, and the queries that met it ranked again"
    if not judged:
        return Counterfactual(changed, of.measure, 0.0, 0.0, 0, False)
    before = of.values(judged, [of.dense[query] for query in judged])
    after = of.values(judged, of.ranked(judged, without=members))
    gain = float((after - before).mean())
    return Counterfactual(
        changed, of.measure, float(before.mean()), float(after.mean()), len(judged), gain >= SMALLEST_GAIN
    )  # fmt: skip


def _centred(of: Audited, members: Positions) -> Counterfactual:
    before, after = (
        _met(found, members) for found in (of.dense, of.ranked(range(len(of.queries)), rows=_without_mean(of)))
    )
    changed = "the mean query's direction taken out of all passages"
    value = "share of queries that meet it"
    return Counterfactual(changed, value, before, after, len(of.queries), before > 0 and after <= before / 2)


def _met(found: list[Positions], members: Positions) -> float:
    return float(np.mean([np.isin(hits[:FIRST], members).any() for hits in found]))


def _without_mean(of: Audited) -> NDArray[np.float32]:
    direction = of.asked.mean(axis=0)
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    return np.asarray(of.rows - np.outer(of.rows @ direction, direction), np.float32)
