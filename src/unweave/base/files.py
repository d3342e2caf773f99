"""Writing one file so that nothing is lost and nothing else is touched.

A file is filled under a random name beside its place, synced, renamed there, and its folder is synced: a reader, a kill
and a power cut find the old file or the new one. No link that lies in the way is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unweave.base import locks
from unweave.errors import BadData

_ASIDE = re.compile(r"\.(.+)\.[0-9a-f]{16}\.unweave", re.DOTALL)
"""The name under which a file is filled."""
_ABANDONED = 24 * 3600
"""Seconds after which a file that was being filled and has not changed since was left by a killed process."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new file beside `path`, then put it there; on failure nothing is left of it.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    if not path.name or path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    clear_abandoned(path)
    aside, mode = _new_beside(path)
    try:
        write(aside)
        aside.chmod(mode)  # some writers put a file of their own, for their eyes only, in the place of this one
        sync(aside)
        aside.replace(path)
        sync(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _new_beside(path: Path) -> tuple[Path, int]:
    """A new, empty file of a name that nobody can foresee, and the mode that the finished file is to have."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.unweave")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    with suppress(FileNotFoundError):
        there = path.lstat()
        if stat.S_ISREG(there.st_mode):
            mode = stat.S_IMODE(there.st_mode)
    return aside, mode


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder that is not there yet under a random name, then put it there; on failure nothing is left of it.

    Raises:
        OSError: it cannot be written, or is there by now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(folder)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.unweave")
    aside.mkdir()
    try:
        yield aside
        sync_tree(aside)
        aside.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def is_aside(path: Path, of: str | None = None) -> bool:
    """Whether a file has the name of one that is being filled, for the file called `of` or for any."""
    found = _ASIDE.fullmatch(path.name)
    return found is not None and of in (None, found[1])


def clear_abandoned(path: Path, *, alone: bool = False) -> None:
    """Take away what killed processes left of filling this file or folder; what changed within a day may be in work.

    Args:
        alone: nobody else can be filling it, so that nothing is in work.
    """
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.endswith(".unweave") and is_aside(Path(entry.name), path.name):
                there = entry.stat(follow_symlinks=False)
                if not alone and time.time() - there.st_mtime < _ABANDONED:
                    continue
                if stat.S_ISDIR(there.st_mode):
                    shutil.rmtree(entry.path)
                elif stat.S_ISREG(there.st_mode):
                    Path(entry.path).unlink()


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if locks.WINDOWS and path.is_dir():
        return  # which cannot be opened there
    handle = os.open(path, os.O_RDWR if locks.WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Wait until all files below a folder are on the disk, then the lists of them, the innermost first."""
    for inner, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(inner, name))
        sync(Path(inner))


def refuse_links(*paths: Path) -> None:
    """Refuse to write where a link would lead elsewhere.

    Raises:
        BadData: one of these is a symbolic link.
    """
    for path in paths:
        if path.is_symlink():
            raise BadData(
                f"{path} is a link, and what is written there would lie elsewhere; remove the link, or put the file or "
                "folder that it leads to in its place"
            )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def when_written(file: str) -> tuple[int, ...] | None:
    """What changes when a file is written anew; None if it cannot be looked at."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a tenth of the time of a Path
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
