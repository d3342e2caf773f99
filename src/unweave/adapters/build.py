"""A project made of passages alone, for frameworks that bring a corpus and want an index of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unweave.base.records import Passage
from unweave.project import Project
from unweave.texts.collection import Collection

DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
"""Of a new project."""


def build_project(
    folder: Path | str, passages: Iterable[Passage], settings: Mapping[str, Mapping[str, Any]] = DEFAULTS, *,
    names: bool = True,
) -> Project:  # fmt: skip
    """Create a project, embed, fit, name and index.

    Args:
        folder: which is not there yet, or is empty.
        settings: those that are not the default, by stage, as in `unweave.toml`.
        names: whether concepts get names; a search needs none.
    """
    Project.create(folder, Collection(passages=passages))
    made = Project.open(folder, settings)
    for make in (made.embed, made.fit, *([made.name] if names else []), made.index):
        make()
    made.keep_changes()
    return made
