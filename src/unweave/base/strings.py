"""Many distinct texts on disk: a number for each text, and the text of each number.

    NAME.txt        the texts in UTF-8, each with a line break after it, though a text may hold some itself
    NAME_ends.npy   (n_texts,) int64: where each text ends in NAME.txt, its line break included

Memory-mapped; both files are compared with what was written when they are opened. A text is found by halving.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from unweave.base.arrays import ArrayWriter
from unweave.base.pages import Checked
from unweave.errors import CorruptArtifact


class Strings(Sequence[str]):
    """Texts that are ascending by code point, all of them or within known ranges."""

    def __init__(self, opened: Mapping[str, Checked], name: str) -> None:
        """Read what `write` left in an artefact.

        Args:
            opened: the artefact's files, those of `files_of` among them.

        Raises:
            CorruptArtifact: the files are damaged.
        """
        ends = opened[f"{name}_ends"].whole()
        self._ends = ends.data  # read by the number, quickly
        self._bytes = opened[f"{name}.txt"].whole().data
        if len(self._bytes) != (ends[-1] if len(ends) else 0) or (np.diff(ends, prepend=0) < 1).any():
            raise CorruptArtifact(f"{name}.txt and {name}_ends.npy do not belong together; rebuild what they are of")

    @staticmethod
    def files_of(name: str) -> dict[str, tuple[Any, int]]:
        """The files of a table, as `pages.open_checked` opens them."""
        return {f"{name}.txt": (np.uint8, 1), f"{name}_ends": (np.int64, 1)}

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
        return str(self._bytes[start : self._ends[number] - 1], "utf-8")

    def find(self, text: str, within: range | None = None) -> int | None:
        """The number of a text, or None if it is not there.

        Args:
            within: numbers whose texts are ascending; by default all.
        """
        numbers = range(len(self)) if within is None else within
        place = bisect_left(numbers, text, key=self.__getitem__)
        return numbers[place] if place < len(numbers) and self[numbers[place]] == text else None
