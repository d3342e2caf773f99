"""Making artefacts: a folder is built beside its place and swapped in whole.

A reader sees the old artefact or the new one, never a half-written one, and so does whoever comes after a kill or a
power cut: every file and folder is synced before the swap, and the old one goes only when the new one is on the disk.
Only folders that carry unweave's mark are ever taken away, and no link is followed.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from unweave.base import locks
from unweave.base.artifact import MANIFEST, MARK, Manifest, is_ours, replaced, write_manifest
from unweave.base.files import file_digest, refuse_links, sync, sync_tree, write_atomically
from unweave.base.progress import Stopwatch
from unweave.errors import BadData

_PURPOSE, _ELAPSED = "purpose.json", "elapsed"
_SCAFFOLD = {_PURPOSE, _ELAPSED, MARK}
_SWAPS = 100


class Build:
    """An artefact in the making; `path` is where its files go."""

    def __init__(self, path: Path, earlier_seconds: float) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self._watch = Stopwatch()
        self._earlier_seconds = earlier_seconds

    @property
    def seconds(self) -> float:
        """Time spent so far, that of killed runs up to their last checkpoint included."""
        return self._earlier_seconds + self._watch.seconds

    def checkpoint(self) -> None:
        """Note that all work up to here is safely on disk."""
        write_atomically(self.path / _ELAPSED, lambda p: p.write_text(str(self.seconds), encoding="utf-8"))


@contextmanager
def build(
    folder: Path,
    kind: str,
    *,
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
    mutable: frozenset[str] = frozenset(),
    replace: bool = True,
    before_swap: Callable[[Build], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Build]:
    """Make the artefact at `folder`: yield a place to write, then swap it in.

    A killed build of the same settings and sources is found again with all its files, so that the
    caller can go on from what is whole; one of other settings is discarded.

    Args:
        mutable: files that may change after the build (people edit names); the manifest does not list them.
        replace: another artefact that is there already.
        before_swap: entered when all else is written, and left when the artefact is in its place: what was changed in
            the old one meanwhile can be taken over, and the lock held under which it is changed.

    Raises:
        ArtifactInUse: another process is building the same artefact.
        BadData: something that is not unweave's is in the way, or an artefact that is not to be replaced.
    """
    refuse_links(folder)
    if folder.exists() and not is_ours(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise BadData(f"{folder} is in the way and is not unweave's; move it, or give another folder")
    with _alone(folder) as partial:
        if not replace and folder.exists():
            shutil.rmtree(partial)
            raise BadData(f"{folder} is there already; give another folder")
        try:
            made = Build(partial, _resume(partial, kind, settings, made_from))
            yield made
            with before_swap(made):
                _finish(made, kind, settings, made_from, mutable)
                _swap_in(partial, folder)
        except BaseException:
            if partial.is_dir() and not (partial / _ELAPSED).exists():  # nothing was checkpointed: nothing to keep
                shutil.rmtree(partial, ignore_errors=True)
            raise


def in_the_making(folder: Path) -> Path:
    """Where an artefact is built."""
    return folder.with_name(f".{folder.name}.unweave-build")


def _finish(
    made: Build, kind: str, settings: Mapping[str, Any], made_from: Mapping[str, str], mutable: frozenset[str]
) -> None:
    """Put all files on the disk, then the manifest, which says what they are."""
    sync_tree(made.path)
    manifest = Manifest(
        kind=kind,
        # Through JSON, so that what is compared later is what was written (tuples become lists).
        settings=json.loads(json.dumps(settings)),
        made_from=dict(made_from),
        files=_contents(made.path, mutable),
        results=made.results,
        seconds=round(made.seconds, 2),
        state=made.state,
    )
    write_manifest(made.path, manifest)
    for name in (_PURPOSE, _ELAPSED):
        (made.path / name).unlink(missing_ok=True)
    sync(made.path)


def _contents(partial: Path, mutable: frozenset[str]) -> dict[str, dict[str, Any]]:
    """Size and checksum of each file of a finished artefact."""
    aside = _SCAFFOLD | mutable | {MANIFEST}
    return {
        p.relative_to(partial).as_posix(): {"bytes": p.stat().st_size, "sha256": file_digest(p)}
        for p in sorted(partial.rglob("*"))
        if p.is_file() and p.name not in aside
    }


def _resume(partial: Path, kind: str, settings: Mapping[str, Any], made_from: Mapping[str, str]) -> float:
    """Keep the files of a killed build with the same purpose, else start empty. Returns its seconds."""
    purpose = json.dumps({"kind": kind, "settings": settings, "made_from": made_from}, sort_keys=True)
    stated = partial / _PURPOSE
    if _is_text(stated, purpose) and not any(path.is_symlink() for path in partial.rglob("*")):
        for path in partial.rglob(".*"):  # what others and we ourselves had begun to write
            if path.name != MARK and path.is_file():
                path.unlink()
        with suppress(OSError, ValueError):
            return float((partial / _ELAPSED).read_text(encoding="utf-8"))
        return 0.0
    for leftover in partial.iterdir():
        if leftover.name != MARK:
            _remove(leftover)
    write_atomically(stated, lambda p: p.write_text(purpose, encoding="utf-8"))
    return 0.0


def _is_text(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _remove(path: Path) -> None:
    """Take away a file, a link, or a folder with all that is in it; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[Path]:
    """The place where an artefact is built, by nobody else; folders that were made for it and hold nothing go again.

    Raises:
        ArtifactInUse: another process is building it.
        BadData: something that is not unweave's is in its place.
    """
    partial = in_the_making(folder)
    made = [parent for parent in partial.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for parent in made:
            sync(parent.parent)
        with locks.alone(_lock_of(folder), f"writing {folder}"):
            _open_place(partial)
            yield partial
    finally:
        _remove_empty(made)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.unweave-lock")


def _open_place(partial: Path) -> None:
    """Make the folder in which an artefact is built, or find it; nothing else may be in its place."""
    refuse_links(partial)
    with suppress(FileExistsError):
        partial.mkdir()
    if not is_ours(partial) and any(path.name != MARK for path in partial.iterdir()):
        raise BadData(f"{partial} is in the way and is not unweave's; move it")
    mark = partial / MARK
    try:
        mark.touch(exist_ok=False)  # which follows no link
    except FileExistsError:
        refuse_links(mark)
    except OSError:
        partial.rmdir()
        raise


def _remove_empty(folders: list[Path]) -> None:
    """Take away folders, the innermost first, that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _swap_in(partial: Path, folder: Path) -> None:
    old = replaced(folder)
    for attempt in range(_SWAPS):
        _remove_ours(old)
        with suppress(OSError):
            folder.rmdir()  # one that holds nothing
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
            break
        except OSError as error:
            # A reader that came between the two renames has put the old artefact back: once more.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _SWAPS - 1:
                raise
    sync(folder.parent)
    with suppress(OSError):  # what cannot be taken away now goes with the next run
        _remove_ours(old)


def clear_leftovers(folder: Path) -> None:
    """Take away what a killed process, or a power cut, left beside a whole artefact: its lock, the one it replaced."""
    lock, old = _lock_of(folder), replaced(folder)
    if lock.exists() or old.is_dir():
        with suppress(OSError, BadData), locks.held(lock, wait=False):  # another process may be making it anew
            _remove_ours(old)


def discard(folder: Path) -> None:
    """Take away an artefact that is not to be made again.

    Raises:
        ArtifactInUse: another process is building it.
        BadData: it is not unweave's.
    """
    with locks.alone(_lock_of(folder), f"writing {folder}"):
        _remove_ours(folder)


def _remove_ours(folder: Path) -> None:
    """Take an artefact away, its mark last, so that what a power cut leaves of it is still known to be unweave's."""
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()  # all that was left
    elif is_ours(folder):
        for path in folder.iterdir():
            if path.name != MARK:
                _remove(path)
        sync(folder)
        shutil.rmtree(folder)
    elif folder.is_symlink() or folder.exists():
        raise BadData(f"{folder} is in the way and is not unweave's; move it")
