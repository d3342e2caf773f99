"""A folder that belongs to an object and goes away with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any


class OwnFolder:
    """A new temporary folder, taken away when nobody holds this object any more, or when Python ends.

    Copies in the same process share the folder. A forked process that ends, and one that got this object by pickle,
    leave it to the process that made it, and can read it as long as that one holds it.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="unweave-"))
        weakref.finalize(self, _remove, self.path, os.getpid())

    def __copy__(self) -> OwnFolder:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnFolder:
        return self


def _remove(path: Path, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(path, ignore_errors=True)
