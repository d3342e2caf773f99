"""Remarks on concepts that are measured: too general, about a form of words, or near to everything.

A person's remark stays: these are only set where there is none, or where an earlier measurement set one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unweave.concepts.database import writing
from unweave.concepts.relations.ties import Nearest

GENERIC, BOILERPLATE, HUB = "generic", "boilerplate", "hub"
FLAGS = (BOILERPLATE, GENERIC, HUB)
"""The remarks that are measured. A concept has one; of several, the first of these."""
GENERIC_SHARE, GENERIC_TIMES = 0.05, 10
"""A generic concept is in more than this share of the passages, and so many times as frequent as a live concept is on
average: where a dictionary is small, every concept is in many passages."""
BOILERPLATE_OVERLAP = 0.5
"""Mean pairwise overlap of the words of a boilerplate concept's texts, from which on they are near-copies."""
BOILERPLATE_WORDS, BOILERPLATE_SHARE = 8, 0.8
"""Or so many words in a row stand in this share of its texts."""
BOILERPLATE_TEXTS = 5
"""Fewer texts say nothing about a form that they share."""
HUB_DEVIATIONS = 5
"""A hub is among the nearest of more concepts than the mean by so many standard deviations. Radovanović et al. 2010
("Hubs in Space", JMLR 11) call 2 a hub; nearly every twentieth concept is one by that."""
_WORD = re.compile(r"\w+")


def is_generic(frequency: NDArray[np.int64], n_texts: int) -> NDArray[np.bool_]:
    """Which latents, (n_latents,), are active in so many texts that they tell little.

    Args:
        frequency: (n_latents,) of the n_texts texts, how many activate each.
    """
    live = frequency > 0
    usual = frequency[live].mean() if live.any() else 0.0
    return np.asarray((frequency > GENERIC_SHARE * n_texts) & (frequency > GENERIC_TIMES * usual))


def is_hub(nearest: Nearest) -> NDArray[np.bool_]:
    """Which of some latents, (n,), are among the nearest of unusually many."""
    chosen = np.bincount(np.searchsorted(nearest.latents, nearest.others.ravel()), minlength=len(nearest.latents))
    if not len(chosen) or not chosen.std():
        return np.zeros(len(chosen), np.bool_)
    return np.asarray(chosen - chosen.mean() > HUB_DEVIATIONS * chosen.std())


def is_boilerplate(texts: Sequence[str]) -> bool:
    """Whether a concept's texts are near-copies of each other, or share a long run of words."""
    if len(texts) < BOILERPLATE_TEXTS:
        return False
    words = [_WORD.findall(text.casefold()) for text in texts]
    sets = [frozenset(of) for of in words]
    likeness = [len(one & other) / max(1, len(one | other)) for one, other in combinations(sets, 2)]
    if sum(likeness) / len(likeness) > BOILERPLATE_OVERLAP:
        return True
    runs = Counter(run for of in words for run in set(zip(*(of[i:] for i in range(BOILERPLATE_WORDS)), strict=False)))
    return max(runs.values(), default=0) >= BOILERPLATE_SHARE * len(texts)


def keep(database: Path, flags: Mapping[int, str]) -> None:
    """Store measured remarks in place of earlier measured ones; a concept that a person flagged, or unflagged, is left.

    Args:
        flags: of latents, one of `FLAGS`; those that are not named have none.
    """
    with writing(database) as db:
        edited = "SELECT latent FROM edits WHERE action = 'flag' AND NOT undone"
        db.execute(f"UPDATE concepts SET flag = NULL WHERE flag IN (?, ?, ?) AND latent NOT IN ({edited})", FLAGS)  # noqa: S608
        db.executemany(
            f"UPDATE concepts SET flag = ? WHERE latent = ? AND flag IS NULL AND latent NOT IN ({edited})",  # noqa: S608
            [(flag, latent) for latent, flag in flags.items()],
        )
