"""What travels in the package beside its code, and where it lies."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder that the code is in."""
DICTIONARY = PACKAGE / "pretrained"
"""The dictionary for the default encoder; a build may be without it."""
PAGES = PACKAGE / "server" / "pages"
"""The explorer's pages, as Vite builds them; a checkout may be without them."""
REPORT = PACKAGE / "report" / "built"
"""What a report holds of those pages; a checkout may be without it too."""
