"""Runs of words that many passages share, found without knowing what they say: footers, notices, menus.

A run begins as eight words in a row that stand in at least ten passages and in one of two hundred, and grows, word by
word, as long as half of these passages go on alike. Numbers count as one word, so that a year or a page may differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WIDTH = 8
"""Words in a row: `concepts.relations.flags` calls so many boilerplate, too."""
FEWEST, SHARE = 10, 0.005
MOST_READ, MOST_RUNS = 20_000, 5
"""Passages that runs are looked for in, drawn at random, and runs that are kept, the most frequent."""
MOST_OF_A_TEXT = 0.5
"""A run that is more than half of its passages is no boilerplate; they are near-duplicates."""
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_NUMBER = "0"


class Run(NamedTuple):
    """Words that passages share."""

    text: str
    """As one passage has it."""
    pattern: re.Pattern[str]
    passages: list[int]
    """Those that hold all of it."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it stands in a text."""
        return [found.span() for found in self.pattern.finditer(text)]


def repeated(texts: Sequence[str], random: np.random.Generator) -> list[Run]:
    """The runs that many texts share, the most frequent first."""
    read = np.arange(len(texts))
    if len(texts) > MOST_READ:
        read = np.sort(random.choice(len(texts), MOST_READ, replace=False))
    words = {at: as_words(texts[at]) for at in read.tolist()}
    frequency: Counter[int] = Counter()
    for of in words.values():
        frequency.update({hash(tuple(of[i : i + WIDTH])) for i in range(len(of) - WIDTH + 1)})
    fewest = max(FEWEST, SHARE * len(read))
    frequency = Counter({run: n for run, n in frequency.items() if n >= fewest})
    if not frequency:
        return []
    found: list[Run] = []
    taken: set[int] = set()
    first = _first_places(words, frequency)
    for run, _ in sorted(frequency.items(), key=lambda item: (-item[1], first[item[0]])):
        if run in taken:
            continue
        at, start = first[run]
        start, end = _grown(words[at], start, frequency)
        taken |= {hash(tuple(words[at][i : i + WIDTH])) for i in range(start, end - WIDTH + 1)}
        made = _run(texts, texts[at], words[at][start:end], start, end)
        if len(made.passages) >= fewest and not _mostly(texts, made, end - start):
            found.append(made)
            taken |= _overlapping(words, made.passages, set(words[at][start:end]), frequency)
        if len(found) == MOST_RUNS:
            break
    return found


def as_words(text: str) -> list[str]:
    """The words of a text in lower case, each with a digit in it as the same word."""
    return [_NUMBER if _DIGIT.search(word) else word for word in _WORD.findall(text.casefold())]


def _first_places(words: dict[int, list[str]], frequency: Counter[int]) -> dict[int, tuple[int, int]]:
    first: dict[int, tuple[int, int]] = {}
    for at, of in words.items():
        for i in range(len(of) - WIDTH + 1):
            run = hash(tuple(of[i : i + WIDTH]))
            if run in frequency:
                first.setdefault(run, (at, i))
    return first


def _grown(words: list[str], start: int, frequency: Counter[int]) -> tuple[int, int]:
    """A run of eight words from `start` on, grown to both sides; where it begins and ends."""

    def common(i: int) -> bool:
        return 0 <= i <= len(words) - WIDTH and frequency[hash(tuple(words[i : i + WIDTH]))] >= least

    least = frequency[hash(tuple(words[start : start + WIDTH]))] / 2
    first = last = start
    while common(first - 1):
        first -= 1
    while common(last + 1):
        last += 1
    return first, last + WIDTH


def _run(texts: Sequence[str], text: str, words: list[str], start: int, end: int) -> Run:
    parts = [r"\w*\d\w*" if word == _NUMBER else re.escape(word) for word in words]
    pattern = re.compile(r"\b" + r"\W+".join(parts) + r"\b", re.IGNORECASE)
    places = list(_WORD.finditer(text.casefold()))
    shown = (
        text[places[start].start() : places[end - 1].end()] if len(text) == len(text.casefold()) else " ".join(words)
    )
    return Run(shown, pattern, [at for at, one in enumerate(texts) if pattern.search(one)])


def _mostly(texts: Sequence[str], run: Run, n_words: int) -> bool:
    shares = [n_words / max(1, len(_WORD.findall(texts[at]))) for at in run.passages[:1000]]
    return float(np.median(shares)) > MOST_OF_A_TEXT


def _overlapping(words: dict[int, list[str]], passages: list[int], of: set[str], frequency: Counter[int]) -> set[int]:
    """Runs of eight words, half of them of a longer run, that stand in its passages: its edges, no others."""
    found = set()
    for at in passages:
        for i in range(len(words.get(at, ())) - WIDTH + 1):
            some = words[at][i : i + WIDTH]
            if hash(tuple(some)) in frequency and sum(word in of for word in some) >= WIDTH // 2:
                found.add(hash(tuple(some)))
    return found
