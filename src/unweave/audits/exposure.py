"""Exposure of groups of passages: whether some are shown more, or less, than what is relevant of them.

The hit at rank r of a query gets 1 / log2(1 + r) of a reader's attention, to rank ten, scaled to 1 a query (Singh &
Joachims 2018, "Fairness of Exposure in Rankings", arXiv 1802.07281, with nDCG's discount). A group deserves its share
of the relevant passages, or of the corpus where nobody judged. The effect is the ratio of both shares, as its logarithm
to base 2. Test: the group's members drawn anew among all passages, so that one passage that is shown to everybody does
not make its group a favourite. Counterfactual: the group is moved so that its mean is that of the others, each
embedding as long as before; half of the effect at least has to go with that, and no opposite one as large may come.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from unweave.audits.audited import FIRST, Audited, Positions
from unweave.audits.claims import RETRIEVER, Confirmation, Counterfactual, Subject, Tested
from unweave.base.plain import plain
from unweave.errors import BadData
from unweave.evaluation.significance import RESAMPLES
from unweave.texts.metadata import as_texts

SMALLEST = math.log2(1.25)
"""Four fifths, or five fourths: the rule by which selection rates of groups are called unequal (29 CFR 1607.4 D)."""
FEWEST, MOST_GROUPS = 20, 50
"""Passages of a group, at least, and groups of one key of the metadata, the largest, at most."""
MOST_DRAWN_FROM = 20_000
"""Passages that group members are drawn among, at most."""


def groups_of(of: Audited, key: str) -> dict[str, Positions]:
    """The passages that have each value of a key of the metadata, the largest groups first.

    Raises:
        BadData: no passage has this key.
    """
    members: dict[str, list[int]] = {}
    for position, passage in enumerate(of.passages):
        for value in dict.fromkeys(as_texts(passage.metadata.get(key))):
            members.setdefault(value, []).append(position)
    if not members:
        raise BadData(f"no passage has metadata {key!r}; expected a key that the corpus was read with")
    large = {value: np.array(at, np.int64) for value, at in members.items() if FEWEST <= len(at) < len(of.passages)}
    return dict(sorted(large.items(), key=lambda item: -len(item[1]))[:MOST_GROUPS])


def attention(found: Sequence[Positions], n_passages: int) -> NDArray[np.float64]:
    """Each passage's share of the attention of some queries, (n_passages,), mean over the queries with hits."""
    total, answered = np.zeros(n_passages), [hits[:FIRST] for hits in found if len(hits)]
    for top in answered:
        total[top] += by_rank(len(top))
    return total / max(1, len(answered))


def by_rank(n: int) -> NDArray[np.float64]:
    """The share of attention that each of n hits gets, (n,)."""
    weights = 1 / np.log2(np.arange(2, n + 2))
    return np.asarray(weights / weights.sum())


def deserved(of: Audited, queries: Sequence[int]) -> NDArray[np.float64]:
    """Each passage's share of what is relevant to some queries, (n_passages,); the same for all where nobody judged."""
    if not of.judged:
        return np.full(len(of.passages), 1 / len(of.passages))
    total = np.zeros(len(of.passages))
    for query in queries:
        grades = of.relevant[query]
        total[list(grades)] += 1 / (len(grades) * len(queries))
    return total


def tests(of: Audited, keys: Sequence[str]) -> Iterator[Tested]:
    """One test a group of each key."""
    if not len(of.queries):
        return
    queries = of.judged or list(range(len(of.queries)))
    shown, right = attention([of.found[query] for query in queries], len(of.passages)), deserved(of, queries)
    for key in keys:
        for value, members in groups_of(of, key).items():
            yield _tested(of, f"{key} = {value}", members, queries, shown, right)


def log_ratio(shown: NDArray[np.float64], right: NDArray[np.float64], members: Positions) -> float:
    """log2 of a group's share of attention over the share that it deserves; shares of under 1 in 10,000 count as it."""
    return float(np.log2(max(shown[members].sum(), 1e-4) / max(right[members].sum(), 1e-4)))


def _tested(
    of: Audited, name: str, members: Positions, queries: list[int], shown: NDArray[np.float64],
    right: NDArray[np.float64],
) -> Tested:  # fmt: skip
    effect = log_ratio(shown, right, members)

    def confirm() -> Confirmation:
        rows = moved(of.rows, members)
        found = [of.dense[query] for query in queries], of.ranked(queries, rows=rows)
        before, after = (log_ratio(attention(one, len(of.passages)), right, members) for one in found)
        counter = Counterfactual(
            "the group moved so that its mean embedding is that of the others",
            "share of attention over share deserved", 2**before, 2**after, len(queries),
            _gone(float(np.sign(effect)) * before, float(np.sign(effect)) * after),
        )  # fmt: skip
        sentence = (
            f"Passages with {plain(name, 80)} get {2**effect:.2f} times the attention that they deserve: "
            f"{shown[members].sum():.1%} of it, and {right[members].sum():.1%} of what is "
            f"{'relevant' if of.judged else 'in the corpus'}."
        )
        odd = members[np.argsort(-np.sign(effect) * (shown - right)[members], kind="stable")[:3]]
        low, high = _interval(of, members, queries)
        return Confirmation(sentence, low, high, of.ids(odd), counter)

    p = _p(of, name, shown - right, members)
    unit = "log2 of attention over what is deserved"
    subject = Subject("group", name)
    return Tested("exposure", RETRIEVER, subject, effect, unit, SMALLEST, p, len(members), confirm)


def moved(rows: NDArray[np.float32], members: Positions) -> NDArray[np.float32]:
    """Rows, (n, d_in), some of which are moved together so that their mean is that of the others.

    Each stays as long as it was: where all rows have length 1, what a group adds has shortened the rest of them.
    """
    others = np.ones(len(rows), np.bool_)
    others[members] = False
    there = rows[members] + rows[others].mean(axis=0) - rows[members].mean(axis=0)
    lengths = np.linalg.norm(rows[members], axis=1) / np.maximum(np.linalg.norm(there, axis=1), 1e-12)
    rows = rows.copy()
    rows[members] = there * lengths[:, None]
    return rows


def _gone(before: float, after: float) -> bool:
    """Whether at least half of an effect went, counted in its own direction, and did not turn into its opposite."""
    return before > 0 and -before <= after <= before / 2


def _p(of: Audited, name: str, surplus: NDArray[np.float64], members: Positions) -> float:
    """How often as many passages, drawn among all, have as large a mean surplus."""
    from scipy.stats import permutation_test

    random = of.random(name)
    others = np.setdiff1d(np.arange(len(surplus)), members)
    if len(surplus) > MOST_DRAWN_FROM:
        share = MOST_DRAWN_FROM / len(surplus)
        members, others = (random.choice(some, max(2, int(share * len(some))), replace=False)
                           for some in (members, others))  # fmt: skip
    found = permutation_test(
        (surplus[members], surplus[others]), lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        n_resamples=RESAMPLES, vectorized=True, batch=max(1, 2_000_000 // len(surplus)), rng=random,
    )  # fmt: skip
    return float(found.pvalue)


def _interval(of: Audited, members: Positions, queries: list[int]) -> tuple[float, float]:
    """The percentile bootstrap's 95 % interval of the effect, over queries."""
    from scipy.stats import bootstrap

    tops = [of.found[query][:FIRST] for query in queries]
    shown = np.array([by_rank(len(top))[np.isin(top, members)].sum() for top in tops])
    right = np.full(len(queries), len(members) / len(of.passages))
    if of.judged:
        right = np.array([np.isin(list(of.relevant[query]), members).mean() for query in queries])

    def ratio(one: NDArray[np.float64], other: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        means = (np.maximum(of.mean(axis=axis), 1e-4) for of in (one, other))
        return np.asarray(np.log2(next(means) / next(means)))

    if len(queries) < 2:
        return -math.inf, math.inf
    found = bootstrap(
        (shown, right), ratio, paired=True, vectorized=True, n_resamples=RESAMPLES, method="percentile", batch=1000,
        rng=np.random.default_rng(of.seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
