"""Folders for a while on this machine's disk, of which nothing stays when their process is killed.

A process that is killed cannot take its folder away. Whoever makes the next one on that machine does: the folder of a
process that lives is locked, and the system takes a lock back however its holder ends.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import IO

from unweave.base.locks import take

_PREFIX = "unweave-shard-"
_LOCK = ".held"


class Scratch:
    """A new folder. It goes with the block, with this object or with Python; after a kill, when the next is made."""

    def __init__(self) -> None:
        """Make it, and clear what killed processes left.

        Raises:
            OSError: there is no room for it.
        """
        _clear_abandoned()
        self.path, held = _new()
        self._close = weakref.finalize(self, _remove, self.path, held, os.getpid())

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self._close()


def _new() -> tuple[Path, IO[bytes]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            return folder, take(folder / _LOCK, wait=False)
        except FileNotFoundError:  # another took it for abandoned, just before it was locked
            continue
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _remove(folder: Path, held: IO[bytes], maker: int) -> None:
    if os.getpid() == maker:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)
    held.close()


def _clear_abandoned() -> None:
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX):
                with suppress(OSError):
                    _clear(Path(entry.path))


def _clear(folder: Path) -> None:
    if stat.S_ISDIR(folder.lstat().st_mode) and (folder / _LOCK).is_file():
        with take(folder / _LOCK, wait=False):  # BlockingIOError, an OSError: its process lives
            shutil.rmtree(folder)
