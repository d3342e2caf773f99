"""Controlled experiments: a passage is changed in one respect, embedded anew, and scored again for the same query.

An effect is the mean over pairs of a query and a passage, one pair a query, of

    (score of the changed text - score of the text it is compared with) / spread of the query's first hundred scores

tested by a paired t-test, as ColDeR does (Fayyaz et al. 2025, arXiv 2503.05037). Half of the pairs, drawn by the seed,
are for the test. The other half is the counterfactual: there the effect has to return, and it is shown in ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.audits.audited import Audited
from unweave.audits.claims import RETRIEVER, Confirmation, Counterfactual, Subject, Tested

FEWEST = 5
"""Pairs in each half, at least: a t-test of fewer says nothing."""
SMALLEST = 0.2
"""A fifth of the spread of a query's first hundred scores: what typically parts two hits some ranks from each other."""
UNIT = "spreads of the first hundred scores"
RANK = "rank (geometric mean)"


class Pair(NamedTuple):
    """A query, a passage, and the text that the passage is changed to."""

    query: int
    passage: int
    changed: str
    instead_of: str | None = None
    """The text that it is compared with; None: the passage as it is."""


class Change(NamedTuple):
    """What became of some pairs, (n_pairs,) each."""

    effects: NDArray[np.float64]
    """The change of the score in spreads of the query's scores."""
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    """Ranks of the passage among all for its query, 1 for the best, with the text compared with and the changed one."""


def changes(of: Audited, pairs: Sequence[Pair]) -> Change:
    """Embed the changed texts, and score and rank them."""
    changed = of.embedded([pair.changed for pair in pairs])
    others = iter(of.embedded([pair.instead_of for pair in pairs if pair.instead_of is not None]))
    effects, ranks = np.empty(len(pairs)), np.empty((2, len(pairs)))
    for i, pair in enumerate(pairs):
        asked = of.asked[pair.query]
        before = of.rows[pair.passage] if pair.instead_of is None else next(others)
        scores = of.rows @ asked
        scores[pair.passage] = -np.inf
        old, new = float(before @ asked), float(changed[i] @ asked)
        effects[i] = (new - old) / of.spread[pair.query]
        ranks[:, i] = 1 + (scores > old).sum(), 1 + (scores > new).sum()
    return Change(effects, *ranks)


def typical(ranks: NDArray[np.float64]) -> float:
    """The geometric mean of some ranks, (n,): one of a thousand does not outweigh a hundred small ones."""
    return float(np.exp(np.log(ranks).mean()))


class T(NamedTuple):
    """A mean, with what a paired t-test says of it."""

    mean: float
    low: float
    high: float
    """Its 95 % interval."""
    p: float


def t_test(effects: NDArray[np.float64]) -> T:
    """Whether the mean of some differences, (n,) of at least two, is 0."""
    from scipy.stats import ttest_1samp

    if np.ptp(effects) == 0:
        mean = float(effects[0])
        return T(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    found = ttest_1samp(effects, 0)
    low, high = found.confidence_interval()
    return T(float(effects.mean()), float(low), float(high), float(found.pvalue))


def returns(effect: float, again: T) -> bool:
    """Whether an effect was found again on other pairs: surely of the same sign, and half as large as matters."""
    surely = again.low > 0 if effect > 0 else again.high < 0
    return surely and abs(again.mean) >= SMALLEST / 2


def experiment(
    of: Audited, kind: str, subject: Subject, pairs: Sequence[Pair], changed: str, said: Callable[[float, int], str],
    examples: Callable[[Pair], str] | None = None,
) -> Tested | None:  # fmt: skip
    """Test one respect in which texts were changed; None if there are too few pairs, or nothing embeds texts.

    Args:
        pairs: one a query.
        changed: what was changed, a clause.
        said: the sentence that is claimed, by the effect and how many pairs it was found on.
        examples: what a pair is shown by; by default the passage's id.
    """
    order = of.random(kind).permutation(len(pairs))
    tried, kept = ([pairs[i] for i in half.tolist()] for half in (order[::2], order[1::2]))
    if len(kept) < FEWEST or of.encoder is None:
        return None
    test = t_test(changes(of, tried).effects)

    def confirm() -> Confirmation:
        found = changes(of, kept)
        again = t_test(found.effects)
        stands = returns(test.mean, again)
        ranks = typical(found.before), typical(found.after)
        counter = Counterfactual(f"{changed}, on other queries", RANK, *ranks, len(kept), stands)
        strongest = np.argsort(-np.sign(test.mean) * found.effects, kind="stable")[:3].tolist()
        shown = [kept[i] for i in strongest]
        ids = tuple(examples(pair) for pair in shown) if examples else of.ids([pair.passage for pair in shown])
        return Confirmation(said(test.mean, len(tried)), test.low, test.high, ids, counter)

    return Tested(kind, RETRIEVER, subject, test.mean, UNIT, SMALLEST, test.p, len(tried), confirm)


def one_a_query(of: Audited, chosen: Sequence[tuple[int, int]], most: int, what: str) -> list[tuple[int, int]]:
    """At most `most` of some pairs of a query and a passage, drawn by the seed, no query twice."""
    order = of.random(what).permutation(len(chosen))
    first: dict[int, int] = {}
    for i in order.tolist():
        query, passage = chosen[i]
        first.setdefault(query, passage)
    return list(first.items())[:most]
