"""Locks on files, which the system releases when their process ends, however it ends: on Linux, macOS and Windows.

Where `flock` is, it is used. Windows locks ranges of bytes and has no shared locks in C's library: there, who shares a
lock takes one of its places, and who wants it alone takes them all.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import random
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from unweave.base.plain import plain
from unweave.errors import ArtifactInUse, BadData

logger = logging.getLogger(__name__)

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
_PATIENCE = 1.0
"""Seconds of waiting of which nothing is said."""
_LONGEST = 1000
_HELD = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock whose file says who has it; who has to wait for longer than a second is told for whom.

    Raises:
        BlockingIOError: another has it, and there is to be no waiting; it says who.
    """
    file = _taken_at_last(path) if wait else take(path, wait=False)
    with file:
        _say_who(file)
        try:
            yield
        finally:
            with suppress(OSError):  # Windows keeps a file that is open
                path.unlink()  # who waits for it finds that it is gone, and takes the next one at its place


@contextmanager
def alone(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock that `held` takes, without waiting.

    Args:
        doing: what who has it is doing, as the error says it.

    Raises:
        ArtifactInUse: another has it; it says who.
    """
    try:
        with held(path, wait=False):
            yield
    except BlockingIOError as error:
        raise ArtifactInUse(f"{holder(path)} is {doing}; wait for it to end, or stop it") from error


def _taken_at_last(path: Path) -> IO[bytes]:
    asked = time.monotonic()
    while time.monotonic() - asked < _PATIENCE:
        with suppress(BlockingIOError):
            return take(path, wait=False)
        time.sleep(_PAUSE)
    logger.warning("waiting for %s", holder(path))
    return take(path)


def _say_who(file: IO[bytes]) -> None:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]) if sys.argv and sys.argv[0] != "-c" else "python"
    since = time.strftime("%H:%M:%S")
    with suppress(OSError):  # a full disk: then it is not said
        file.truncate(0)
        file.write(json.dumps({"command": command, "process": os.getpid(), "since": since}).encode())
        file.flush()


def holder(path: Path) -> str:
    """Who has, or last had, a lock that `held` took, in words."""
    try:
        said = json.loads(path.read_bytes()[:_LONGEST])
        command = plain(str(said["command"]), 60) or "a program"
        return f"{command} (process {int(said['process'])}, since {plain(str(said['since']), 8)})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


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
        file = _opened(path)
        try:
            _lock(file.fileno(), shared=shared, wait=wait)
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # it was moved away between opening and locking; what is at its place now is not locked


def _opened(path: Path) -> IO[bytes]:
    """The file, made if it is not there; a link, a pipe or a device in its place is not opened."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise BadData(f"{path} is a link, in the place of a lock; remove it") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BadData(f"{path} is no file, in the place of a lock; remove it")
    return os.fdopen(handle, "ab")


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
