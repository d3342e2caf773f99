"""Many distinct texts on disk: a number for each text, and the text of each number.

    NAME.txt        the texts in UTF-8, each with a line break after it, though a text may hold some itself
    NAME_ends.npy   (n_texts,) int64: where each text ends in NAME.txt, its line break included

Memory-mapped; a text is found by halving, so nothing is read but what is asked for.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from unweave.base.arrays import ArrayWriter
from unweave.base.artifact import load_array
from unweave.errors import CorruptArtifact


class Strings(Sequence[str]):
    """Texts that are ascending by code point, all of them or within known ranges."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        """Open what `write` left in an artefact of this kind.

        Raises:
            CorruptArtifact: the files are damaged.
        """
        self._ends = np.asarray(load_array(folder / f"{name}_ends.npy", kind)).data  # read by the number, quickly
        path = folder / f"{name}.txt"
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            size = path.stat().st_size
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        if size != (self._ends[-1] if len(self._ends) else 0):
            raise CorruptArtifact(f"{path} and {name}_ends.npy do not belong together; rebuild the {kind}")

    @staticmethod
    def write(folder: Path, name: str, texts: Iterable[str]) -> None:
        """Write texts in the order given; lone surrogates, which UTF-8 has not, become question marks."""
        end = 0
        with (folder / f"{name}.txt").open("wb") as file, ArrayWriter(folder / f"{name}_ends.npy", "int64") as ends:
            for text in texts:
                end += file.write(text.encode("utf-8", "replace") + b"\n")
                ends.add(end)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> list[str]: ...
    def __getitem__(self, number: int | slice) -> str | list[str]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"number {number} is outside a table of {len(self)} texts")
        start = self._ends[number - 1] if number else 0
        return self._bytes[start : self._ends[number] - 1].decode("utf-8")

    def find(self, text: str, within: range | None = None) -> int | None:
        """The number of a text, or None if it is not there.

        Args:
            within: numbers whose texts are ascending; by default all.
        """
        numbers = range(len(self)) if within is None else within
        place = bisect_left(numbers, text, key=self.__getitem__)
        return numbers[place] if place < len(numbers) and self[numbers[place]] == text else None
