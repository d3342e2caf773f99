"""Artefacts of a store on this machine's disk, for as long as somebody reads them."""

from __future__ import annotations

import os
import shutil
import weakref
from itertools import count
from pathlib import Path

from unweave.base.artifact import MANIFEST, MARK
from unweave.cluster.scratch import Scratch
from unweave.cluster.store import Store


class Copy:
    """A folder with an artefact, taken away when nobody holds this object any more."""

    def __init__(self, path: Path, owner: Copies) -> None:
        self.path, self._owner = path, owner
        weakref.finalize(self, _remove, path, os.getpid())


class Copies:
    """Where one holder keeps what it reads. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        """Nothing is there yet."""
        self._store, self._scratch, self._numbers = store, Scratch(), count()

    def take(self, name: str, kind: str) -> Copy:
        """Have an artefact in a folder of its own, since what it replaces may still be read.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or a file is missing, or not what was written.
        """
        copy = Copy(self._scratch.path / f"{next(self._numbers):06d}", self)
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


def _remove(folder: Path, maker: int) -> None:
    if os.getpid() == maker:  # and not a process that was forked off
        shutil.rmtree(folder, ignore_errors=True)
