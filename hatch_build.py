"""What the build adds to the package's metadata: the README in a form whose links work on a package index."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?://|#)[^)]+)\)")
"""A link or picture whose target is a file of the repository."""
HOME = "Source"
"""The entry of `[project.urls]` below which the repository's files are served."""
HOMELESS = "The files that this page names are in the source distribution.\n\n"


class ReadmeForAnIndex(MetadataHookInterface):
    """Fills in the field `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = for_an_index(readme, metadata.get("urls", {}).get(HOME))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def for_an_index(readme: str, home: str | None) -> str:
    """The README as a package index is to show it, where no file lies beside it.

    Args:
        home: address of the repository, as GitHub and its like serve it. Each relative link is made absolute. None:
            there is no such address, so a link is left as its text, which names the file, and pictures are left out.
    """

    def placed(found: re.Match[str]) -> str:
        if home is None:
            return "" if found["picture"] else f"`{found['text']}`"
        kind = "raw" if found["picture"] else "blob"
        return f"{found['picture']}[{found['text']}]({home.rstrip('/')}/{kind}/HEAD/{found['target']})"

    text = re.sub(r"\n{3,}", "\n\n", LINK.sub(placed, readme))
    if home is not None:
        return text
    title, rest = text.split("\n\n", 1)
    return f"{title}\n\n{HOMELESS}{rest}"
