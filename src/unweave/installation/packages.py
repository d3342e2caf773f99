"""The packages that unweave works with, as its own metadata lists them, and which of them are here and fit."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "unweave"
CORE = ""
"""The extra of what is needed without one."""


@dataclass(frozen=True)
class Package:
    """One package that is needed, and what is here of it."""

    name: str
    wanted: str
    """The versions that fit, such as `>=2.6`; empty: any."""
    installed: str | None
    """The version that is here; None: it is not installed."""
    fits: bool


@dataclass(frozen=True)
class Extra:
    """The packages that one extra brings; those of other extras that it names are among them."""

    name: str
    packages: tuple[Package, ...]
    fits: bool
    """Every package is here in a version that fits."""
    install: str
    """The command that installs what is missing."""


def read_extra(name: str) -> Extra:
    """What is here of an extra, or of the core.

    Raises:
        importlib.metadata.PackageNotFoundError: unweave itself is on the path without being installed.
    """
    found = {canonicalize_name(one.name): one for one in _required(OURS, name)}
    packages = tuple(_package(found[of]) for of in sorted(found))
    return Extra(name, packages, all(one.fits for one in packages), install_command(name))


def extras() -> tuple[Extra, ...]:
    """Every extra, in the order of the package's metadata."""
    return tuple(read_extra(name) for name in metadata.metadata(OURS).get_all("Provides-Extra") or ())


def python_fits() -> bool:
    """Whether this Python is one that the package is made for."""
    wanted = metadata.metadata(OURS)["Requires-Python"]
    return wanted is None or Requirement(f"python{wanted}").specifier.contains(_python(), prereleases=True)


def install_command(extra: str) -> str:
    """The command that installs an extra, or the core, from where this package came."""
    pip = shutil.which("pip")
    beside = pip is not None and Path(pip).parent == Path(sys.executable).parent
    return f"{'pip' if beside else f'{sys.executable} -m pip'} install {_source(extra)}"


def _source(extra: str) -> str:
    asked = f"[{extra}]" if extra else ""
    text = metadata.distribution(OURS).read_text("direct_url.json")
    if text is None:  # it came from a package index
        return f"'{OURS}{asked}'"
    came_from = json.loads(text)
    url = str(came_from["url"])
    if url.startswith("file://") and "dir_info" in came_from:
        editable = "-e " if came_from["dir_info"].get("editable") else ""
        return f"{editable}'{url.removeprefix('file://')}{asked}'"
    return f"'{OURS}{asked} @ {url}'"


def _required(distribution: str, extra: str) -> Iterator[Requirement]:
    """The requirements of a distribution's extra, and of the extras that these name; of one not installed, none."""
    for one in _requirements(distribution):
        of_core = one.marker is None or one.marker.evaluate({"extra": CORE})
        if not (of_core if extra == CORE else not of_core and one.marker and one.marker.evaluate({"extra": extra})):
            continue
        if canonicalize_name(one.name) != OURS:
            yield one
        for named in sorted(one.extras):
            yield from _required(one.name, named)


@cache  # metadata is parsed as an e-mail is, the README with it
def _requirements(distribution: str) -> tuple[Requirement, ...]:
    try:
        return tuple(map(Requirement, metadata.requires(distribution) or ()))
    except metadata.PackageNotFoundError:
        if distribution == OURS:
            raise
        return ()


def _package(needed: Requirement) -> Package:
    try:
        installed: str | None = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        installed = None
    fits = installed is not None and needed.specifier.contains(installed, prereleases=True)
    return Package(needed.name, str(needed.specifier), installed, fits)


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))
