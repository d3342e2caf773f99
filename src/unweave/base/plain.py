"""Text as it is printed: what is untrusted made safe, and how many there are of something."""

from __future__ import annotations

import unicodedata

# Joiners that some scripts need; every other invisible control or direction mark is dropped.
_ALLOWED_FORMAT = {"\u200c", "\u200d"}
_PIECE = 4096
"""Characters that are looked at together: of a long text only what is shown."""


def plain(text: str, limit: int | None = None) -> str:
    """Untrusted text as one line that is safe to print.

    Control characters (terminal escapes) and direction marks are dropped, runs of white space
    become one blank, and the result is cut to `limit` characters with an ellipsis.
    """
    if limit is None:
        return " ".join(printable(text).split())
    kept = line = ""
    for start in range(0, len(text), _PIECE):
        kept += printable(text[start : start + _PIECE])
        line = " ".join(kept.split())
        if len(line) > limit:
            return line[: limit - 1].rstrip() + "…"
        kept = line + " " * kept.endswith(" ")
    return line


def printable(text: str) -> str:
    """Untrusted text without what does not print; white space becomes blanks, one each: columns stay aligned."""
    if text.isprintable():
        return text
    spaced = "".join(" " if c.isspace() else c for c in text)
    return "".join(
        c for c in spaced if c in _ALLOWED_FORMAT or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )


def number_of(n: int, noun: str) -> str:
    """`1 concept`, `1,000 concepts`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
