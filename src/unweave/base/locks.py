"""Locks on files, which the system releases when their process ends, however it ends: on Linux, macOS and Windows.

Where `flock` is, it is used. Windows locks ranges of bytes and has no shared locks in C's library: there, who shares a
lock takes one of its places, and who wants it alone takes them all.
"""

from __future__ import annotations

import errno
import importlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

fcntl: Any
try:
    import fcntl
except ImportError:
    fcntl = None

WINDOWS = fcntl is None
"""A folder with an open file cannot be moved there, and a folder cannot be opened."""
_PLACES = 64
"""So many can share a lock on Windows at a time; more wait."""
_PAUSE = 0.02
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a file; see `take`."""
    with take(path, shared=shared, wait=wait):
        yield


def take(path: Path, *, shared: bool = False, wait: bool = True) -> IO[bytes]:
    """The file, opened and locked, until it is closed; it is made if it is not there.

    Args:
        shared: others may share it; otherwise nobody else has it.
        wait: until those who have it close it.

    Raises:
        BlockingIOError: others have it, and there is to be no waiting.
        FileNotFoundError: its folder is not there, or was moved away meanwhile.
    """
    while True:
        file = path.open("ab")
        try:
            _lock(file.fileno(), shared=shared, wait=wait)
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it was moved away between opening and locking; what is at its place now is not locked


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(handle: int, *, shared: bool, wait: bool) -> None:
    while True:
        try:
            if fcntl is not None:
                fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
            else:
                _lock_bytes(handle, shared=shared)
        except OSError as error:
            if error.errno not in _HELD:
                raise
            if not wait:
                raise BlockingIOError(errno.EWOULDBLOCK, "the lock is held by another process") from error
            time.sleep(_PAUSE)
        else:
            return


def _lock_bytes(handle: int, *, shared: bool) -> None:
    """Lock one place, or all of them, of an open file on Windows; raises an OSError if none, or not all, are free."""
    windows: Any = importlib.import_module("msvcrt")
    places = random.sample(range(_PLACES), _PLACES) if shared else [0]
    for number, place in enumerate(places, 1):
        os.lseek(handle, place, os.SEEK_SET)
        try:
            windows.locking(handle, windows.LK_NBLCK, 1 if shared else _PLACES)
        except OSError as error:
            if error.errno not in _HELD or number == len(places):
                raise
        else:
            return
