"""What `unweave doctor` shows of an installation: short lines, wrapped where the terminal is narrow."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from unweave.base.plain import plain
from unweave.installation.kept import Cache, Part
from unweave.installation.machine import Accelerators, Folder, Processor
from unweave.installation.packages import Extra, Package
from unweave.installation.whole import Advice, Installation

Rows = list[tuple[str, str]]
_WIDEST = 100
_LISTED = 8
"""Packages of an extra that are shown one by one."""


def lines(found: Installation) -> Iterator[str]:
    """All of an installation, and last what to do."""
    here = [
        ("unweave", f"{found.version or 'not installed'}, in {found.package}"),
        ("Python", f"{found.python}, {found.executable}"),
        ("platform", found.platform),
    ]
    yield from _section("Versions", here)
    yield from _section("Core", [] if found.core is None else [_extra("needed", found.core)])
    for title, whole in (("Extras that are here", True), ("Extras that are not, or not in full", False)):
        yield from _section(title, [_extra(one.name, one) for one in found.extras if one.fits is whole])
    missing = next((one for one in found.extras if not one.fits), None)
    if missing is not None:
        yield f"  to install one: {missing.install.replace(f'[{missing.name}]', '[NAME]')}"
    yield from _section("Devices", [*_processor(found.processor), *_accelerators(found.accelerators)])
    yield from _section("In the package", [_part(part) for part in found.parts])
    yield from _section("Caches, which may be deleted", [_cache(cache) for cache in found.caches])
    set_, unset = ([name for name, is_set in found.keys.items() if is_set is wanted] for wanted in (True, False))
    yield from _section("Keys in the environment", [("set", ", ".join(set_) or "none"), ("not set", ", ".join(unset))])
    yield from _section("This folder", [_folder(found.folder)])
    yield from _advice(found.advice)


def _advice(advice: Sequence[Advice]) -> Iterator[str]:
    """What to do, each with its command, which is never wrapped."""
    if not advice:
        yield "\nall is well: the core is whole"
        return
    yield "\nWhat to do"
    for about, run in advice:
        yield f"- {plain(about)}"
        if run:
            yield f"  run: {plain(run)}"


def _section(title: str, rows: Rows) -> Iterator[str]:
    """Rows of two columns, the second wrapped to the terminal's width; no name or path is broken."""
    if not rows:
        return
    yield f"\n{title}"
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    first = max(len(plain(name)) for name, _ in rows) + 2
    for name, said in rows:
        indent = " " * (first + 2 if first <= width // 3 else 4)
        start = f"  {plain(name).ljust(first)}" if first <= width // 3 else f"  {plain(name)}  "
        yield from textwrap.wrap(
            plain(said), width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False,
            break_long_words=False,
        )  # fmt: skip


def _extra(name: str, extra: Extra) -> tuple[str, str]:
    """An extra with what is here of it; of many packages, how many, and the first that do not fit."""
    missing = [one for one in extra.packages if not one.fits]
    if len(extra.packages) <= _LISTED:
        return name, ", ".join(map(_package, extra.packages))
    if not missing:
        return name, f"all of its {len(extra.packages)} packages"
    more = f", and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    listed = ", ".join(map(_package, missing[:_LISTED]))
    return name, f"{len(missing)} of its {len(extra.packages)} packages are missing or do not fit: {listed}{more}"


def _package(package: Package) -> str:
    if package.fits:
        return f"{package.name} {package.installed}"
    return f"{package.name} {package.installed or 'missing'} (needs {package.wanted or 'any version'})"


def _processor(processor: Processor) -> Rows:
    limits = ", ".join(f"{name}={value}" for name, value in processor.limits.items())
    features = processor.features
    return [
        ("cores", f"{processor.cores} of {processor.cores_of_machine}{f'; {limits}' if limits else ''}"),
        ("memory", "not known" if processor.memory is None else _size(processor.memory)),
        ("vectors", "not known: llvmlite is missing" if features is None else ", ".join(features) or "none of note"),
    ]


def _accelerators(found: Accelerators) -> Rows:
    threads = "" if found.threads is None else f", {found.threads} threads"
    return [
        ("torch", "not installed" if found.torch is None else f"{found.torch}{threads}"),
        ("GPUs", f"{', '.join(found.devices) or 'none'} ({found.how})"),
    ]


def _part(part: Part) -> tuple[str, str]:
    return part.name, part.said or ("whole, every byte as written" if part.name == "dictionary" else "there")


def _cache(cache: Cache) -> tuple[str, str]:
    return cache.name, f"{_size(cache.n_bytes)} in {cache.path}{'' if cache.writable else ', not to be written'}"


def _folder(folder: Folder) -> tuple[str, str]:
    state = "writable" if folder.writable else "not to be written"
    return folder.path, f"{state}, {folder.file_system or 'file system not known'}, {_size(folder.free)} free"


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes} bytes"
