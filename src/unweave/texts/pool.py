"""Texts to pretrain on: many files, shuffled once by a seed, so that any beginning is a fair sample of all.

The place of a text follows from its own id alone. Fewer texts are therefore the first of many, and when a file is
added its texts spread among the others, whose order stays.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from unweave.base.records import Passage
from unweave.errors import BadData
from unweave.texts.collection import Collection
from unweave.texts.readers import READERS, ending, passages

SOURCE = "source"
"""In a text's metadata: the name of the file that it comes from, without its ending."""


class _Placed(NamedTuple):
    """A text, and its place in the order of all."""

    place: int
    passage: Passage


def read_pool(paths: Sequence[Path], *, seed: int = 0, most: int | None = None) -> Collection:
    """The texts of several files in the order of a seed, half of them without their titles.

    Readers meet sentences more often than titled paragraphs, and a dictionary that has only seen titled texts spends
    latents on titles. Texts that are the same occur once.

    Args:
        paths: files of passages, or folders of such files.
        most: only so many, the first in the order.

    Raises:
        BadData: there is no such file, one is of no known format, two have the same name, or there is no text.
    """
    files = _files(paths)
    placed = _distinct(_placed(files, seed))
    chosen = sorted(placed) if most is None else heapq.nsmallest(most, placed)
    return Collection(
        passages=(one.passage for one in chosen),
        about={"sources": sorted(files), "seed": seed, "most": most},
    )


def _files(paths: Sequence[Path]) -> dict[str, Path]:
    """By its name without ending, each file that holds passages."""
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise BadData(f"{path} is neither a file nor a folder")
        within = sorted(p for p in path.iterdir() if ending(p) in READERS) if path.is_dir() else [path]
        for file in within:
            if ending(file) not in READERS:
                raise BadData(f"{file.name}: cannot tell its format; expected one of {', '.join(sorted(READERS))}")
            name = file.name.partition(".")[0]
            if name in found:
                raise BadData(f"{found[name]} and {file} have the same name, and texts are named by their file's")
            found[name] = file
    return found


def _placed(files: dict[str, Path], seed: int) -> Iterator[_Placed]:
    for source, file in files.items():
        for passage in passages(file.name, READERS[ending(file)](file)):
            name = f"{source}/{passage.passage_id}"
            digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=9, salt=seed.to_bytes(8)).digest()
            title, text = (passage.title, passage.text) if passage.text else ("", passage.title)
            if text:
                kept = title if digest[8] % 2 else ""
                yield _Placed(int.from_bytes(digest[:8]), Passage(name, kept, text, {SOURCE: source}))


def _distinct(placed: Iterable[_Placed]) -> Iterator[_Placed]:
    """The texts without those whose words there were already."""
    seen: set[bytes] = set()
    for one in placed:
        digest = hashlib.blake2b(one.passage.text.encode("utf-8", "replace"), digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            yield one
