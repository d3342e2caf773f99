"""Embeddings on disk: `.npy` shards of rows, memory-mapped, in the order of the texts they came from.

000000.npy, 000001.npy ...   (`SHARD_ROWS`, d_in) float32 each, the last one shorter
texts.npy                    (n,) uint64: a digest of each text, so that its row is found again by the text
sums.npy                     the sums of the pages of all these, see `base.pages`
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.arrays import save_array
from unweave.base.artifact import Manifest, read_manifest, typed_array
from unweave.base.building import Build, build
from unweave.base.digests import digest_of
from unweave.base.files import write_atomically
from unweave.base.pages import open_checked, write_sums
from unweave.base.vectors import refuse_unusable
from unweave.errors import BadData, CorruptArtifact

_TEXTS = "texts"
TEXTS_FILE = f"{_TEXTS}.npy"
SHARD_ROWS = 2048
"""Rows in a shard: at most so many texts are embedded again after a kill."""


class Embeddings:
    """(n, d_in) float32 rows in shards of `SHARD_ROWS`; rows are read from disk when asked for."""

    kind = "embeddings"

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        names = sorted(name.removesuffix(".npy") for name in manifest.files if name[:1].isdigit())
        files = {**dict.fromkeys(names, (np.float32, 2)), _TEXTS: (np.uint64, 1)}
        *self._shards, self._texts = open_checked(folder, manifest, files).values()
        self.d_in = self._shards[0].shape[1] if self._shards else 0
        n = sum(map(len, self._shards))
        shapes = [(min(SHARD_ROWS, n - first), self.d_in) for first in range(0, n, SHARD_ROWS)]
        if [shard.shape for shard in self._shards] != shapes or len(self._texts) != n:
            raise CorruptArtifact(f"{folder}: its shards do not fit together; embed the texts again")

    @classmethod
    def load(cls, folder: Path | str) -> Embeddings:
        """Open an embeddings folder."""
        folder = Path(folder)
        return cls(folder, read_manifest(folder, cls.kind))

    @classmethod
    def write(
        cls,
        folder: Path,
        texts: NDArray[np.uint64],
        rows: Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]],
        *,
        label: str,
        settings: Mapping[str, Any],
        made_from: Mapping[str, str],
        known: Embeddings | None = None,
    ) -> Embeddings:
        """Make a row for each text, shard by shard; a killed run goes on at the first missing shard.

        Args:
            texts: (n,) the digest of each text, see `digests_of`.
            rows: called with the positions of some texts, (m,), ascending; returns their rows, (m, d_in).
            label: what is being embedded, for the progress bar and for errors.
            known: embeddings of other texts, or of some of these, by the same encoder: a text that is among them has
                the row that it has there, bit for bit. To embed it once more would give the same to rounding only,
                since that depends on the texts that are embedded with it.

        Raises:
            BadData: a row is zero or not finite, or shards differ in width.
        """
        at = np.full(len(texts), -1, np.int64) if known is None else known.positions_of(texts)
        with build(folder, cls.kind, settings=settings, made_from=made_from) as made:
            save_array(made.path / TEXTS_FILE, texts)
            write_sums(made.path, [*_write_shards(made, _with_known(rows, known, at), len(texts), label), _TEXTS])
            if known is not None:
                n_kept = int((at >= 0).sum())
                made.results.update(kept=n_kept, new=len(texts) - n_kept)
        return cls.load(folder)

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._shards)

    def rows(self, start: int = 0, end: int | None = None) -> NDArray[np.float32]:
        """Rows start to end - 1, (end - start, d_in)."""
        end = len(self) if end is None else min(end, len(self))
        pieces = [
            shard.part(max(start - first, 0), min(end - first, len(shard)))
            for first, shard in zip(range(0, len(self), SHARD_ROWS), self._shards, strict=True)
            if first < end and start < first + len(shard)
        ]
        return np.concatenate(pieces) if pieces else self._no_rows()

    def take(self, positions: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The rows at these positions, (len(positions), d_in), in the order asked.

        Raises:
            BadData: a row is zero or not finite; the error names its shard.
        """
        positions = np.asarray(positions, dtype=np.int64)
        if len(positions) and not (positions.min() >= 0 and positions.max() < len(self)):
            raise IndexError(f"positions {positions.min()} to {positions.max()} asked of {len(self)} rows")
        out = np.empty((len(positions), self.d_in), dtype=np.float32)
        shard_of = positions // SHARD_ROWS
        for number in np.unique(shard_of):
            chosen = shard_of == number
            rows = positions[chosen] - number * SHARD_ROWS
            out[chosen] = self._shards[number].take(rows)
            refuse_unusable(out[chosen], str(self.folder / _shard_name(number)), rows)
        return out

    def positions_of(self, texts: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Where the row of each of some texts is, (len(texts),), by its digest; -1 where there is none."""
        there = self._texts.whole()
        if not len(there):
            return np.full(len(texts), -1, np.int64)
        order = np.argsort(there, kind="stable")
        slots = np.minimum(np.searchsorted(there, texts, sorter=order), len(there) - 1)
        return np.where(there[order[slots]] == texts, order[slots], -1)

    def batches(self, size: int = SHARD_ROWS) -> Iterator[NDArray[np.float32]]:
        """All rows in order, `size` at a time."""
        return (self.rows(start, start + size) for start in range(0, len(self), size))

    def _no_rows(self) -> NDArray[np.float32]:
        return np.empty((0, self.d_in), dtype=np.float32)


def digests_of(texts: Iterable[str]) -> NDArray[np.uint64]:
    """The digest of each text, (n_texts,)."""
    return np.fromiter(map(digest_of, texts), np.uint64)


def _with_known(
    rows: Callable[[NDArray[np.int64]], NDArray[np.floating[Any]]], known: Embeddings | None, at: NDArray[np.int64]
) -> Callable[[int, int], NDArray[np.floating[Any]]]:
    """Rows start to end - 1, those that are known as they are and the others made.

    Args:
        at: (n,) where the known rows are, -1 for the others.
    """

    def of(start: int, end: int) -> NDArray[np.floating[Any]]:
        here = at[start:end]
        missing = np.flatnonzero(here < 0)
        if known is None or len(missing) == len(here):
            return rows(np.arange(start, end))
        found = known.take(np.maximum(here, 0))
        if len(missing):
            found[missing] = _of_width(rows(start + missing), known.d_in)
        return found

    return of


def _of_width(made: NDArray[np.floating[Any]], d_in: int) -> NDArray[np.floating[Any]]:
    if made.shape[1] != d_in:
        raise BadData(
            f"the encoder gave rows {made.shape[1]} wide, but {d_in} wide before; is it another one of the same name? "
            "Remove the embeddings' folder to embed all texts anew"
        )
    return made


def _shard_name(number: int) -> str:
    return f"{number:06d}.npy"


def _write_shards(made: Build, rows: Callable[[int, int], NDArray[np.floating[Any]]], n: int, label: str) -> list[str]:
    """Write what is missing; returns the names of all shards."""
    starts = range(0, n, SHARD_ROWS)
    paths = [made.path / _shard_name(number) for number in range(len(starts))]
    done = sum(min(SHARD_ROWS, n - start) for start, path in zip(starts, paths, strict=True) if path.exists())
    there = next((path for path in paths if path.exists()), None)
    d_in = typed_array(there, Embeddings.kind, np.float32, 2).shape[1] if there else None
    with progress.steps(label, total=n, unit="texts", done=done) as advance:
        for start, path in zip(starts, paths, strict=True):
            if path.exists():
                continue
            shard = np.asarray(rows(start, min(start + SHARD_ROWS, n)), dtype=np.float32)
            refuse_unusable(shard, label, first=start)
            d_in = d_in or shard.shape[1]
            if shard.shape != (min(SHARD_ROWS, n - start), d_in):
                raise BadData(f"{label}: rows from {start} have the shape {shard.shape}, those before are {d_in} wide")
            write_atomically(path, partial(save_array, array=shard))
            made.checkpoint()
            advance(len(shard))
    return [path.stem for path in paths]
