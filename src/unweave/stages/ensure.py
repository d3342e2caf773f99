"""What a stage does: make an artefact once, and say so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unweave.base.artifact import read_manifest, verify
from unweave.base.building import clear_leftovers
from unweave.base.plain import plain
from unweave.base.stored import differing
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.stages.made_with import DEFAULTS
from unweave.stages.places import ARTIFACTS
from unweave.stages.workspace import Workspace


class Outcome(NamedTuple):
    """What a stage did about one artefact."""

    artifact: str
    fresh: bool
    """False if it was there already, up to date."""
    seconds: float
    """Time it took to make, whenever that was."""
    results: dict[str, Any]

    @property
    def said(self) -> str:
        """One line on what was done."""
        if "undefined" in self.results:
            return f"{self.artifact}: left out: {plain(str(self.results['undefined']))}"
        simple = {name: value for name, value in self.results.items() if isinstance(value, int | float | str)}
        said = ", ".join(f"{plain(name.replace('_', ' '))} {_number(value)}" for name, value in simple.items())
        state = f"made in {self.seconds:.1f} s" if self.fresh else "already there"
        return f"{self.artifact}: {state}" + (f" ({said})" if said else "")


def _number(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else plain(str(value))


def is_stale(
    folder: Path, kind: str, settings: Mapping[str, Any], made_from: Mapping[str, str], holds: Collection[str] = ()
) -> bool:
    """Whether an artefact is missing, damaged, or made with other settings or from other sources.

    All of it is read, so that making it again mends whatever has changed. A setting that its manifest lacks has its
    default; one that is not known here is noted and changes nothing. What a killed process left beside it goes.

    Args:
        holds: files that it has to have, which those of an earlier version have not.
    """
    try:
        there = read_manifest(folder, kind)
        verify(folder, there)
    except (MissingArtifact, CorruptArtifact):
        return True
    if not there.files.keys() >= set(holds):
        return True
    if there.made_from != dict(made_from) or differing(there.settings, settings, DEFAULTS[kind], folder):
        return True
    clear_leftovers(folder)
    return False


def ensure(
    project: Workspace,
    name: str,
    make: Callable[[], object],
    *,
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
    holds: Collection[str] = (),
) -> Outcome:
    """Make an artefact unless it is there, whole, with these settings, sources and files."""
    folder, kind = project.path / name, ARTIFACTS[name].kind
    fresh = is_stale(folder, kind, settings, made_from, holds)
    if fresh:
        make()
    manifest = read_manifest(folder, kind)
    return Outcome(name, fresh, manifest.seconds, manifest.results)
