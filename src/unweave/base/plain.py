"""Untrusted text made safe to print."""

from __future__ import annotations

import unicodedata

# Joiners that some scripts need; every other invisible control or direction mark is dropped.
_ALLOWED_FORMAT = {"\u200c", "\u200d"}


def plain(text: str, limit: int | None = None) -> str:
    """Untrusted text as one line that is safe to print.

    Control characters (terminal escapes) and direction marks are dropped, runs of white space
    become one blank, and the result is cut to `limit` characters with an ellipsis.
    """
    spaced = "".join(" " if c.isspace() else c for c in text)
    kept = "".join(
        c for c in spaced if c in _ALLOWED_FORMAT or unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join(kept.split())
    if limit is not None and len(line) > limit:
        return line[: limit - 1].rstrip() + "…"
    return line
