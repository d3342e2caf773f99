"""All of it together, and what to do about it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from unweave.base import packaged
from unweave.installation import kept, machine, packages
from unweave.installation.kept import Cache, Part
from unweave.installation.machine import Accelerators, Folder, Processor
from unweave.installation.packages import CORE, OURS, Extra


class Advice(NamedTuple):
    """Something to do."""

    about: str
    run: str
    """The command that mends it; empty where a person has to."""


@dataclass(frozen=True)
class Installation:
    """What is installed here and what this machine has."""

    version: str | None
    """None if it is on the path without being installed."""
    package: str
    """The folder that the code is in."""
    python: str
    executable: str
    platform: str
    core: Extra | None
    """What every command needs; None if unweave is on the path without being installed."""
    extras: tuple[Extra, ...]
    processor: Processor
    accelerators: Accelerators
    parts: tuple[Part, ...]
    caches: tuple[Cache, ...]
    keys: dict[str, bool]
    """Whether each variable is set; no value is read."""
    folder: Folder
    """The current one."""
    works: bool
    """All that the core needs is here."""
    advice: tuple[Advice, ...]


def installation() -> Installation:
    """Look at everything; nothing is changed."""
    try:
        core, extras, python_fits = packages.read_extra(CORE), packages.extras(), packages.python_fits()
    except metadata.PackageNotFoundError:
        core, extras, python_fits = None, (), True
    parts, caches, folder = kept.parts(), kept.caches(), machine.folder(Path.cwd())
    advice = [*_about_packages(core, extras, python_fits), *_about_parts(parts), *_about_places(caches, folder)]
    return Installation(
        version=None if core is None else metadata.version(OURS),
        package=str(packaged.PACKAGE),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=platform.platform(),
        core=core,
        extras=extras,
        processor=machine.processor(),
        accelerators=machine.accelerators(),
        parts=parts,
        caches=caches,
        keys=kept.keys(),
        folder=folder,
        works=core is not None and core.fits and python_fits and not parts[0].said,
        advice=tuple(advice),
    )


def _about_packages(core: Extra | None, extras: tuple[Extra, ...], python_fits: bool) -> Iterator[Advice]:
    if not python_fits:
        yield Advice(f"Python {platform.python_version()} is older than {OURS} needs; make an environment anew", "")
    if core is None:
        yield Advice(f"{OURS} is on the path without being installed, so nobody can say what it needs", "pip install .")
        return
    missing = [one for one in core.packages if not one.fits]
    if missing:
        yield Advice(f"the core lacks {', '.join(one.name + one.wanted for one in missing)}", core.install)
    for extra in extras:
        aged = [one for one in extra.packages if one.installed is not None and not one.fits]
        if aged:
            said = ", ".join(f"{one.name} {one.installed}, expected {one.wanted}" for one in aged)
            yield Advice(f"the extra {extra.name} has {said}", extra.install)


def _about_parts(parts: tuple[Part, ...]) -> Iterator[Advice]:
    dictionary, *built = parts
    if dictionary.said:
        yield Advice(f"the packaged dictionary is damaged or missing: {dictionary.said}; install {OURS} anew", "")
    missing = [part.name for part in built if part.said]
    if missing:
        yield Advice(
            f"the {' and the '.join(missing)} are not built, as in a fresh checkout; a wheel has them", "make web"
        )


def _about_places(caches: tuple[Cache, ...], folder: Folder) -> Iterator[Advice]:
    for cache in caches:
        if not cache.writable:
            yield Advice(
                f"{cache.path} ({cache.name}) is not to be written; set {cache.moved_by} to a folder that is", ""
            )
    if not folder.writable:
        yield Advice(f"{folder.path} is not to be written: a project has to be made elsewhere", "")
