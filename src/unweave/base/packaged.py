"""What travels in the package beside its code, and where it lies."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
DICTIONARY = _PACKAGE / "pretrained"
"""The dictionary for the default encoder; a build may be without it."""
PAGES = _PACKAGE / "server" / "pages"
"""The explorer's pages, as Vite builds them; a checkout may be without them."""
REPORT = _PACKAGE / "report" / "built"
"""What a report holds of those pages; a checkout may be without it too."""
