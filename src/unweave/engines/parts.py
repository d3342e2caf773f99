"""A folder of files, one a batch, each of which is there whole or not at all: what most formats have in common.

passages-FIRST-END.EXTENSION    the passages from number FIRST to END, which is not among them
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from scipy.sparse import csr_array

from unweave.base.files import sync, write_atomically
from unweave.engines.engine import Found, Question, Rows, Shape
from unweave.engines.scan import scan

_NAME = re.compile(r"passages-(\d+)-(\d+)\.\w+")


class Parts(ABC):
    """An engine that is files; a format says how some passages are written and read."""

    ran = True
    numbers: str
    posting_bytes: float
    extension: str

    def __init__(self, folder: Path) -> None:
        """Take the folder that files are or will be in."""
        self.folder = folder

    def prepare(self, shape: Shape) -> None:
        """The folder is found again only if it is of the same state: see `base.building`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.shape = shape

    def count(self) -> int:
        ends = [end for _, end in self._spans()]
        return max(ends, default=0)

    def add(self, rows: Rows) -> None:
        end = rows.first + len(rows.ids)
        name = f"passages-{rows.first:010d}-{end:010d}.{self.extension}"
        write_atomically(self.folder / name, lambda path: self.write(path, rows))

    def hybrid(self, question: Question, cutoff: int) -> str | None:
        return None

    def finish(self) -> None:
        sync(self.folder)

    def close(self) -> None:
        return  # nothing is held

    def search(self, queries: csr_array, cutoff: int) -> list[Found]:
        return scan(self.rows(), queries, cutoff)

    def rows(self) -> Iterator[Rows]:
        """What is written, read again."""
        for first, end in self._spans():
            name = f"passages-{first:010d}-{end:010d}.{self.extension}"
            yield self.read(self.folder / name, first)

    def _clear(self) -> None:
        """Take the files away, when another format has all that was in them."""
        for path in self.folder.glob(f"passages-*.{self.extension}"):
            path.unlink()

    def _spans(self) -> list[tuple[int, int]]:
        found = (_NAME.fullmatch(path.name) for path in self.folder.glob(f"passages-*.{self.extension}"))
        return sorted((int(name[1]), int(name[2])) for name in found if name)

    @abstractmethod
    def write(self, path: Path, rows: Rows) -> None:
        """Write some passages to a new file."""

    @abstractmethod
    def read(self, path: Path, first: int) -> Rows:
        """Read them again, as far as a search needs it."""
