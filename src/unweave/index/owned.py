"""A folder that belongs to an object and goes away with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class OwnFolder:
    """A new temporary folder, taken away when nobody holds this object any more, or when Python ends.

    A forked process that ends leaves it to the one that made it.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="unweave-"))
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(path, ignore_errors=True)
