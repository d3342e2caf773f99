"""Artefacts of a store on this machine's disk, for as long as somebody reads them.

A folder of the system's temporary ones holds them all. It goes away with its process; where that was killed, the next
process that holds artefacts takes it away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

from unweave.base import locks
from unweave.base.artifact import MANIFEST, MARK
from unweave.cluster.store import Store

_PREFIX, _LOCK = "unweave-held-", "lock"
_NEW = 60.0
"""Seconds in which a folder may not have its lock yet."""


class Copy:
    """A folder with an artefact, taken away when nobody holds this object any more."""

    def __init__(self, path: Path, owner: Copies) -> None:
        self.path, self._owner = path, owner
        weakref.finalize(self, _remove, path, os.getpid())


class Copies:
    """Where one holder keeps what it reads. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        """Nothing is there yet; what killed processes of the same user left is taken away."""
        _clear_abandoned()
        self._store = store
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._numbers = count()
        weakref.finalize(self, _remove, self._root, os.getpid(), locks.take(self._root / _LOCK, wait=False))

    def take(self, name: str, kind: str) -> Copy:
        """Have an artefact in a folder of its own, since what it replaces may still be read.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or a file is missing, or not what was written.
        """
        copy = Copy(self._root / f"{next(self._numbers):06d}", self)
        take(self._store, name, kind, copy.path)
        return copy


def take(store: Store, name: str, kind: str, into: Path) -> None:
    """Have an artefact in a new folder: its files as further names of those in the store, where these lie on the same
    disk, so that they take no space and no time; otherwise copied, and compared with their checksums.

    Files in a store are replaced and never changed, so what is read stays as it is; what was damaged all the same is
    found when it is first read, as in any index.

    Raises:
        MissingArtifact, CorruptArtifact: there is none, or a file is missing, or not what was written.
    """
    root = Path(store.address) / name
    if root.is_dir():
        manifest = store.manifest(name, kind)
        try:
            for file in (*manifest.files, MANIFEST):
                (into / file).parent.mkdir(parents=True, exist_ok=True)
                os.link(root / file, into / file, follow_symlinks=False)
            (into / MARK).touch()
            return
        except OSError:  # another disk, or one that knows no further names
            shutil.rmtree(into)
    store.fetch(name, kind, into)


def _remove(folder: Path, maker: int, lock: IO[bytes] | None = None) -> None:
    if os.getpid() == maker:  # and not a process that was forked off
        shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        lock.close()


def _clear_abandoned() -> None:
    """Take away the folders of this user whose process has ended without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process is at it
            there = folder.lstat()
            if there.st_uid != os.getuid() or not folder.is_dir() or folder.is_symlink():
                continue
            if time.time() - there.st_mtime < _NEW:
                continue
            with locks.take(folder / _LOCK, wait=False):  # its process held it for as long as it lived
                shutil.rmtree(folder, ignore_errors=True)
