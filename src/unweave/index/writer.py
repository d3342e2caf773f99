"""Adding to an index, deleting from it and compacting it while others read.

A change writes new files beside those in use, waits until they are on the disk, and then replaces the manifest in one
step. Whatever happens before that step leaves the state before; what is left behind unused is taken away by the next
writer. Readers hold a state of their own and notice nothing.

Three locks, on files in the index: `lock` is held while a manifest is replaced; `writing` is shared by all who have
files that no manifest lists yet, so that nobody clears away what another is writing; `compacting` is for one at a time.

An index that was changed is no longer `as_built`, and never is again: that counts fit does not make positions fit.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base import locks
from unweave.base.arrays import save_array
from unweave.base.artifact import MANIFEST, Manifest, write_manifest
from unweave.base.building import build
from unweave.base.files import file_digest, refuse_links, sync, sync_tree, write_atomically
from unweave.base.foreign import shown
from unweave.errors import ArtifactInUse, BadData
from unweave.index import kernels
from unweave.index.concept_index import KIND, SEGMENTS, ConceptIndex, settings_of
from unweave.index.scoring import Scoring
from unweave.index.segment import Batch, IdBytes, Segment, as_bytes, write_segment

_LOCK, _WRITING, _COMPACTING = "lock", "writing", "compacting"
_GROWTH = 2
"""Segments are merged until each is more than so many times as large as all after it together."""


@dataclass(frozen=True)
class IndexWriter:
    """Makes new states of the index in a folder. Every method is one commit, and is on the disk when it returns.

    Many writers, threads or processes, may work on one index; they wait for each other only to commit.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path | str, n_latents: int, scoring: Scoring) -> IndexWriter:
        """Make an empty index, to be filled with `add`.

        Raises:
            BadData: there is an index already.
        """
        folder = Path(folder)
        if (folder / MANIFEST).exists():
            raise BadData(f"{folder} is an index already; open it with IndexWriter(folder)")
        with build(folder, KIND, settings=settings_of(scoring, n_latents), made_from={}) as made:
            made.state.update(mean_latents=0.0, segments=[], as_built=False)
        return cls(folder)

    def add(self, ids: Sequence[str], latents: csr_array) -> ConceptIndex:
        """Add passages after those that are there; one with an id that is there already replaces the old one.

        Args:
            latents: (n_passages, n_latents) activations, > 0.

        Raises:
            BadData: an id is empty or comes twice, or activations are not positive numbers.
        """
        return self.add_batches([Batch(ids, latents)])

    def add_batches(self, batches: Iterable[Batch]) -> ConceptIndex:
        """Add passages that do not fit into memory at once, in one commit."""
        with self._writing():
            index = ConceptIndex.open(self.folder)
            name = self._new_segment()
            try:
                # A mean that is known stays, so that equal passages have equal scores whenever they were added.
                mean = index.mean_latents if index.segments else None
                written = write_segment(self.folder / name, batches, index.scoring, index.n_latents, mean)
                if not written.n_passages:
                    raise BadData("there are no passages to add")
                sync_tree(self.folder / name)
                sync((self.folder / name).parent)
                with self._committing() as index:
                    if index.segments and mean is None and index.scoring.b:
                        raise ArtifactInUse(f"another process filled {self.folder} first; add the passages again")
                    manifest = self._with_files(index.manifest, name)
                    segments = [*_segments(manifest), {"name": name, "deletion": None}]
                    mean = index.mean_latents if index.segments else written.mean_latents
                    state = {"mean_latents": mean, "segments": segments, "as_built": False}
                    added = Segment(self.folder, manifest, name, n_latents=index.n_latents, deletion=None)
                    manifest = self._delete(replace(manifest, state=state), index, added.ids)
                    write_manifest(self.folder, manifest)
            except BaseException:
                shutil.rmtree(self.folder / name, ignore_errors=True)
                raise
        return self._cleared()

    def delete(self, ids: Sequence[str]) -> ConceptIndex:
        """Delete the passages with these ids.

        Raises:
            BadData: one of them is not in the index, and then none is deleted.
        """
        with self._writing(), self._committing() as index:
            unknown = [name for name, at in zip(ids, index.positions(ids).tolist(), strict=True) if at < 0]
            if unknown:
                raise BadData(f"{len(unknown)} of {len(ids)} ids are not in {self.folder}, first {shown(unknown[0])}")
            manifest = self._delete(index.manifest, index, as_bytes(ids))
            write_manifest(
                self.folder, replace(manifest, state=manifest.state | {"as_built": index.as_built and not ids})
            )
        return self._cleared()

    def compact(self, *, fully: bool = False) -> ConceptIndex:
        """Merge small segments into larger ones without their deleted passages; positions change, their order does not.

        Others may search, add and delete meanwhile.

        Args:
            fully: merge all into one.

        Raises:
            ArtifactInUse: another process is compacting.
        """
        with self._writing(), self._locked(_COMPACTING, wait=False):
            index = ConceptIndex.open(self.folder)
            first = 0 if fully else _first_to_merge([segment.n_live for segment in index.segments])
            merged = index.segments[first:]
            if len(merged) > 1 or any(segment.n_live < segment.n_passages for segment in merged):
                self._merge(index, merged)
        return self._cleared()  # also of what a killed one left

    def _merge(self, index: ConceptIndex, merged: Sequence[Segment]) -> None:
        """Commit one segment in the place of several."""
        name = self._new_segment()
        try:
            batches = (batch for segment in merged for batch in segment.live_batches())
            write_segment(self.folder / name, batches, index.scoring, index.n_latents, index.mean_latents)
            sync_tree(self.folder / name)
            sync((self.folder / name).parent)
            with self._committing() as now:
                write_manifest(self.folder, self._with_merged(now, merged, name))
        except BaseException:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            raise

    # --- parts of a commit ------------------------------------------------------------------------

    def _with_files(self, manifest: Manifest, name: str, only: Sequence[str] = ("*",)) -> Manifest:
        """The manifest with a segment's files listed."""
        paths = sorted(path for pattern in only for path in (self.folder / name).glob(pattern))
        files = {f"{name}/{p.name}": {"bytes": p.stat().st_size, "sha256": file_digest(p)} for p in paths}
        return replace(manifest, files=manifest.files | files)

    def _delete(self, manifest: Manifest, index: ConceptIndex, ids: IdBytes) -> Manifest:
        """The manifest with those of these passages deleted that the index's segments have."""
        for segment in index.segments:
            places = segment.places(ids)
            places = np.unique(places[places >= 0])
            if len(places):
                manifest = self._with_deletion(manifest, index, segment, places)
        return manifest

    def _with_deletion(
        self, manifest: Manifest, index: ConceptIndex, segment: Segment, places: NDArray[np.int64]
    ) -> Manifest:
        """Note passages of a segment as deleted, in new files; the old ones are forgotten."""
        live = np.zeros(segment.n_passages, np.bool_)
        live[segment.live_places] = True
        live[places] = False
        deletion = f"{int(segment.deletion or 0) + 1:06d}"
        folder = self.folder / segment.name
        for name, array in (
            (f"live-{deletion}", kernels.allowed_bits(live)),
            (
                f"document_frequency-{deletion}",
                segment.document_frequency - segment.frequency_of(places, index.formula),
            ),
        ):
            write_atomically(folder / f"{name}.npy", partial(save_array, array=array))
        manifest = self._with_files(manifest, segment.name, only=[f"*-{deletion}.npy"])
        old = [f"{segment.name}/{n}-{segment.deletion}.npy" for n in ("live", "document_frequency")]
        files = {path: entry for path, entry in manifest.files.items() if path not in old}
        segments = [s | {"deletion": deletion} if s["name"] == segment.name else s for s in _segments(manifest)]
        return replace(manifest, files=files, state=manifest.state | {"segments": segments})

    def _with_merged(self, now: ConceptIndex, merged: Sequence[Segment], name: str) -> Manifest:
        """The manifest with a new segment in the place of those that were merged, less what was deleted meanwhile."""
        places, before = [], 0
        for segment in merged:
            was_live = segment.live_places
            is_live = next(s for s in now.segments if s.name == segment.name).live_places
            places.append(before + np.flatnonzero(~np.isin(was_live, is_live)))
            before += len(was_live)
        gone = {segment.name for segment in merged}
        stated = _segments(now.manifest)
        at = next(i for i, s in enumerate(stated) if s["name"] in gone)
        kept = [s for s in stated if s["name"] not in gone]
        kept.insert(at, {"name": name, "deletion": None})
        files = {path: e for path, e in now.manifest.files.items() if Path(path).parent.as_posix() not in gone}
        manifest = replace(now.manifest, files=files, state=now.manifest.state | {"segments": kept})
        manifest = self._with_files(manifest, name)
        new = Segment(self.folder, manifest, name, n_latents=now.n_latents, deletion=None)
        deleted = np.concatenate(places)
        return self._with_deletion(manifest, now, new, deleted) if len(deleted) else manifest

    def _new_segment(self) -> str:
        """The name of a new, empty folder for a segment."""
        folder = self.folder / SEGMENTS
        refuse_links(folder)
        folder.mkdir(exist_ok=True)
        number = max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0)
        while True:
            number += 1
            with suppress(FileExistsError):
                (folder / f"{number:06d}").mkdir()
                return f"{SEGMENTS}/{number:06d}"

    # --- locks ------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, name: str, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
        try:
            lock = locks.take(self.folder / name, shared=shared, wait=wait)
        except BlockingIOError as error:
            raise ArtifactInUse(f"another process works on {self.folder} ({name}); wait for it to end") from error
        with lock:
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if not (self.folder / MANIFEST).is_file():
            ConceptIndex.open(self.folder)  # which says what is missing
        with self._locked(_WRITING, shared=True):
            yield

    @contextmanager
    def _committing(self) -> Iterator[ConceptIndex]:
        with self._locked(_LOCK):
            index = ConceptIndex.open(self.folder)
            refuse_links(self.folder, self.folder / SEGMENTS, *(segment.folder for segment in index.segments))
            yield index

    def _cleared(self) -> ConceptIndex:
        """The state now, after files that no manifest lists were taken away, unless another is writing."""
        with suppress(ArtifactInUse), self._locked(_WRITING, wait=False), self._locked(_LOCK):
            index = ConceptIndex.open(self.folder)
            listed = index.manifest.files
            refuse_links(self.folder / SEGMENTS)
            for folder in (self.folder / SEGMENTS).glob("*"):  # an index that was always empty has no such folder
                if not folder.is_dir() or folder.is_symlink():
                    continue  # nobody knows whose it is
                if not any(Path(path).parent.as_posix() == f"{SEGMENTS}/{folder.name}" for path in listed):
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                for path in folder.iterdir():
                    if f"{SEGMENTS}/{folder.name}/{path.name}" not in listed and not path.is_dir():
                        path.unlink()
            return index
        return ConceptIndex.open(self.folder)


def _segments(manifest: Manifest) -> list[dict[str, Any]]:
    return list(manifest.state["segments"])


def _first_to_merge(sizes: Sequence[int]) -> int:
    """The first of the segments to merge, so that each before it is more than `_GROWTH` times all after it together."""
    first, after = len(sizes), 0
    for i in reversed(range(len(sizes))):
        if sizes[i] <= _GROWTH * after:
            first = i
        after += sizes[i]
    return first
