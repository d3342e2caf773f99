"""Writes THIRD_PARTY.md, the licences of what the wheel ships and others made: `python release/third_party.py`.

That is the JavaScript which Vite bundles into the explorer's pages, and the dictionary that was learned from others'
texts. The packages come from web/package-lock.json, their licences from web/node_modules, so `make web` comes first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
DICTIONARY = ROOT / "src" / "unweave" / "pretrained" / "README.md"
WRITTEN = ROOT / "THIRD_PARTY.md"
TERMS = "## Origin and terms of its texts\n"
"""The heading of the dictionary's card below which each source stands with its terms."""
WRITTEN_BY_VITE = "node_modules/vite"
"""It is no dependency of the pages, but puts a few lines of its own into them, which load scripts ahead."""


class Bundled(NamedTuple):
    """A package of npm whose code is in the pages."""

    name: str
    version: str
    licence: str
    """As SPDX writes it."""
    folder: Path


def bundled() -> list[Bundled]:
    """What the lock says that the pages need when they run, and Vite, by name."""
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return sorted(
        Bundled(place.removeprefix("node_modules/"), one["version"], one["license"], WEB / place)
        for place, one in lock.items()
        if place and (not one.get("dev") or place == WRITTEN_BY_VITE)
    )


def terms() -> str:
    """The sources of the dictionary with their terms, a list in Markdown."""
    return DICTIONARY.read_text(encoding="utf-8").partition(TERMS)[2].strip()


def page() -> Iterator[str]:
    """The lines of THIRD_PARTY.md."""
    packages = bundled()
    yield "# What others made in the wheel of unweave\n"
    yield (
        "unweave itself is under the Apache License 2.0, in LICENSE. The wheel carries two things besides that others\n"
        "made or that were made from what they wrote. `python release/third_party.py` writes this file.\n"
    )
    yield "## JavaScript in the explorer's pages and in reports\n"
    yield "| package of npm | version | licence |\n| --- | --- | --- |"
    yield from (f"| {one.name} | {one.version} | {one.licence} |" for one in packages)
    yield ""
    for one in packages:
        yield f"### {one.name}\n\n```text\n{_licence(one)}\n```\n"
    yield "## The dictionary in unweave/pretrained\n"
    yield (
        "It holds numbers learned from texts, and a name of a few words for each; none of the texts is in it. These\n"
        "are the texts, with where they came from and their terms.\n"
    )
    yield terms()


def _licence(package: Bundled) -> str:
    """The text of a package's own licence; of a long file, the package's part."""
    (path,) = (path for path in package.folder.iterdir() if re.fullmatch(r"licen[cs]e(\.md|\.txt)?", path.name.lower()))
    return path.read_text(encoding="utf-8").partition("\n# Licenses of bundled dependencies")[0].strip()


if __name__ == "__main__":
    WRITTEN.write_text("\n".join(page()) + "\n", encoding="utf-8")
