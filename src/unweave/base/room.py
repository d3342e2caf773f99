"""Whether there is room for what is about to be made, in memory and on disk: said before the work begins."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

from unweave.errors import BadData

_LIMIT = Path("/sys/fs/cgroup/memory.max")


@cache
def memory() -> int | None:
    """Bytes of memory that this process could have if nothing else ran; None where that is not known."""
    found = []
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError):  # a container's; without a limit the file says `max`
        found.append(int(_LIMIT.read_text(encoding="ascii")))
    return min(found, default=None)


def refuse_beyond_memory(n_bytes: int, what: str, way_out: str, there: int | None = None) -> None:
    """Raise BadData if something cannot be held in memory.

    Args:
        n_bytes: that it takes at least.
        way_out: what to do instead.
        there: bytes of the device's memory; by default this machine's.
    """
    there = memory() if there is None else there
    if there is not None and n_bytes > there:
        raise BadData(f"{what} takes {_gb(n_bytes)} of memory at least, and there are {_gb(there)}; {way_out}")


def refuse_beyond_disk(n_bytes: int, folder: Path, what: str, way_out: str) -> None:
    """Raise BadData if something of so many bytes cannot be written below a folder."""
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise BadData(f"{what} takes {_gb(n_bytes)} on disk, and {folder} has {_gb(free)} left; {way_out}")


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB"
