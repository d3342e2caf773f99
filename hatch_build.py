"""What the build adds: the README in a form whose links work on a package index, and pages that must be there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?://|#)[^)]+)\)")
"""A link or picture whose target is a file of the repository."""
HOME = "Source"
"""The entry of `[project.urls]` below which the repository's files are served."""
PAGES = "src/unweave/server/pages/index.html"
"""The explorer's first page, as Vite builds it."""
HOMELESS = "The files that this page names are in the source distribution.\n\n"


class ReadmeForAnIndex(MetadataHookInterface):
    """Fills in the field `readme`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = for_an_index(readme, metadata.get("urls", {}).get(HOME))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class WithPages(BuildHookInterface[Any]):
    """Refuses a wheel without the explorer's pages, which a user could not build; a checkout may do without."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable" and not (Path(self.root) / PAGES).is_file():
            raise FileNotFoundError(
                f"the explorer's pages are not built, and a wheel needs them: run make web first ({PAGES})"
            )


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
