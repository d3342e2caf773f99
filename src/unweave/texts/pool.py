"""Texts to pretrain on: many files, shuffled once by a seed, so that any beginning is a fair sample of all.

The place of a text follows from its own id alone. Fewer texts are therefore the first of many, and when a file is
added its texts spread among the others, whose order stays.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unweave.base.digests import digest_of
from unweave.base.records import Passage
from unweave.errors import BadData
from unweave.texts.collection import Collection
from unweave.texts.readers import READERS, ending, passages_of_file

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
        seed: at least 0.
        most: only so many, at least 1, the first in the order.

    Raises:
        BadData: there is no such file, one is of no known format, cannot be read, or two have the same name.
        ValueError: the seed or `most` is too low.
    """
    if seed < 0 or (most is not None and most < 1):
        raise ValueError(f"seed must be at least 0 and most at least 1, got {seed} and {most}")
    sources = _sources(paths)
    placed = _distinct(_placed(sources, seed))
    chosen = sorted(placed) if most is None else heapq.nsmallest(most, placed)
    return Collection(
        passages=(one.passage for one in chosen),
        about={"sources": sorted(sources), "seed": seed, "most": most},
    )


def _sources(paths: Sequence[Path]) -> dict[str, Iterator[Passage]]:
    """The passages of each file, by its name without ending; none is read yet."""
    found: dict[str, Path] = {}
    for file in (file for path in paths for file in _files(path)):
        name = file.name.partition(".")[0]
        if name in found:
            raise BadData(f"{found[name]} and {file} have the same name, and texts are named by their file's")
        found[name] = file
    return {name: passages_of_file(file) for name, file in found.items()}


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder that hold passages."""
    if not path.exists():
        raise BadData(f"{path} is neither a file nor a folder")
    return sorted(p for p in path.iterdir() if ending(p) in READERS) if path.is_dir() else [path]


def _placed(sources: Mapping[str, Iterator[Passage]], seed: int) -> Iterator[_Placed]:
    salt = seed.to_bytes(8)
    for source, passages in sources.items():
        for passage in passages:
            name = f"{source}/{passage.passage_id}"
            digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=9, salt=salt).digest()
            title, text = (passage.title, passage.text) if passage.text else ("", passage.title)
            if text:
                kept = title if digest[8] % 2 else ""
                yield _Placed(int.from_bytes(digest[:8]), Passage(name, kept, text, {SOURCE: source}))


def _distinct(placed: Iterable[_Placed]) -> Iterator[_Placed]:
    """The texts without those whose words there were already."""
    seen: set[int] = set()
    for one in placed:
        digest = digest_of(one.passage.text)
        if digest not in seen:
            seen.add(digest)
            yield one
