"""What a name says of words, rather than of what they mean: "the word 'rock'", "words that begin with glu-".

Many latents are active for how a word looks. An encoder that averages meanings cannot tell whether such a name is
right; but whether a text holds such a word can be looked up.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from unweave.concepts.namers.keyphrases import stems

_WORD = re.compile(r"[^\W_]+")
_THE_WORD = re.compile(r"\b(?:word|verb|noun|name)s? '([^\W_]+)'", re.IGNORECASE)
_PARTS: dict[re.Pattern[str], Callable[[str, str], bool]] = {
    re.compile(r"\bbegin(?:ning)? with ([^\W_]+)-(?:,? or ([^\W_]+)-)?", re.IGNORECASE): str.startswith,
    re.compile(r"\bending in -([^\W_]+)(?:,? or -([^\W_]+))?", re.IGNORECASE): str.endswith,
    re.compile(r"\bwith '([^\W_]+)'(?:,? or '([^\W_]+)')?", re.IGNORECASE): str.__contains__,
}
"""How names speak of a part of a word, and how to see whether a word has it."""


def form_of(name: str) -> Callable[[str], bool] | None:
    """Whether a text holds a word of the form that a name speaks of; None: the name speaks of none.

    The forms are: the word 'x', words that begin with x-, words ending in -x, words with 'x'; each of the last three
    may say "or" once.
    """
    if whole := _THE_WORD.search(name):
        stem = stems(whole[1]) or [whole[1].casefold()]
        return lambda text: whole[1].casefold() in map(str.casefold, _WORD.findall(text)) or stem[0] in stems(text)
    for pattern, has in _PARTS.items():
        if found := pattern.search(name):
            parts = [part.casefold() for part in found.groups() if part]
            return lambda text: any(has(word.casefold(), part) for word in _WORD.findall(text) for part in parts)
    return None
