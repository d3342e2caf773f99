"""How much of an explanation stays, over queries, with intervals: see `explaining.stability` for the three figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from unweave.base.records import Explanation
from unweave.evaluation.causes import Share
from unweave.evaluation.significance import interval
from unweave.explaining.stability import Alike, alike


class Accounts(NamedTuple):
    """Accounts of one score that should say the same, and one that should not."""

    one: Explanation
    changed: Explanation
    """Of the changed text, or by the other dictionary."""
    another: Explanation
    """The same of another text: the floor."""


class Figures(NamedTuple):
    """Means over queries; see `explaining.stability.Alike`."""

    strongest: Share
    common: Share
    order: Share | None
    """None where no query's accounts have three concepts in common."""


class Stable(NamedTuple):
    """How much of explanations stays under one change."""

    of: str
    """What changes: `query`, `passage` or `dictionary`."""
    change: str
    """How, in words."""
    n_queries: int
    found: Figures
    by_chance: Figures
    """With another text in the changed one's place: how alike any two accounts are."""


def stable(
    of: str, change: str, queries: Iterable[Sequence[Accounts]], partners: Mapping[int, int] | None = None
) -> Stable | None:
    """How much of the accounts of some queries' hits stays; None if there is no account to compare.

    Args:
        queries: the accounts of each query's hits; a query counts with their mean.
        partners: see `explaining.stability.alike`.
    """
    found, by_chance = [], []
    for hits in queries:
        likened = [
            (mine, theirs)
            for one, changed, another in hits
            if (mine := alike(one, changed, partners)) and (theirs := alike(one, another, partners))
        ]
        if likened:
            found.append([mine for mine, _ in likened])
            by_chance.append([theirs for _, theirs in likened])
    return Stable(of, change, len(found), _figures(found), _figures(by_chance)) if found else None


def _figures(queries: Sequence[Sequence[Alike]]) -> Figures:
    orders = [[one.order for one in hits if one.order is not None] for hits in queries]
    known = [values for values in orders if values]
    return Figures(
        _share([[one.strongest for one in hits] for hits in queries]),
        _share([[one.common for one in hits] for hits in queries]),
        _share(known) if known else None,
    )


def _share(queries: Sequence[Sequence[float]]) -> Share:
    means = np.array([np.mean(values) for values in queries])
    return Share(float(means.mean()), *interval(means))
