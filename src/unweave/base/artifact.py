"""An artefact: a folder of files that a person can open, with a manifest that says what it is.

`config.json`, the manifest, is written last. It holds the kind of the artefact, the settings it was
made with, the fingerprints of the artefacts it was made from, and the size and SHA-256 of each file.
A folder is built beside its final place and swapped in whole, so a reader sees the old artefact or
the new one, never a half-written one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

from unweave.base import locks
from unweave.base.progress import Stopwatch
from unweave.base.stored import read_record
from unweave.errors import ArtifactInUse, CorruptArtifact, MissingArtifact

if TYPE_CHECKING:
    from numpy.typing import NDArray

_one_header_at_a_time = threading.Lock()
"""NumPy reads headers with `ast`, which in CPython 3.11 fails with a SystemError if two threads do so at once."""

MANIFEST = "config.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What an artefact's `config.json` says."""

    kind: str
    settings: dict[str, Any]
    """Everything a user could have chosen differently; the same settings and sources give the same artefact."""
    made_from: dict[str, str]
    """Fingerprint of each artefact this one was computed from, by its name in the project."""
    files: dict[str, dict[str, Any]]
    """Bytes and SHA-256 of each file, by its path in the folder."""
    results: dict[str, Any] = field(default_factory=dict)
    """What was measured on the way, for people to read."""
    seconds: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)
    """What an artefact that can change holds at present, such as the segments of an index."""
    format: int = FORMAT
    checksum: str = ""
    """SHA-256 of all the other fields."""

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the kind, settings, sources and contents, as hex."""
        identity = [self.format, self.kind, self.settings, self.made_from, self.files]
        return _digest(identity)

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(int(entry["bytes"]) for entry in self.files.values())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make this what the folder holds, in one step that a crash cannot split."""
    fields = asdict(manifest) | {"checksum": ""}
    fields["checksum"] = _digest(fields)
    text = json.dumps(fields, indent=1)
    write_atomically(folder / MANIFEST, lambda p: p.write_text(text, encoding="utf-8"))
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    if locks.WINDOWS and path.is_dir():
        return  # which cannot be opened there
    handle = os.open(path, os.O_RDWR if locks.WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """Open an artefact's manifest and check that its files are all there, whole.

    Sizes are checked on every open; checksums by `verify`, which reads every byte.

    Raises:
        MissingArtifact: there is no such folder.
        CorruptArtifact: the manifest is unreadable, of another kind, or a file is missing or truncated.
    """
    _recover(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingArtifact(f"there is no {kind} in {folder} ({MANIFEST} not found)")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        manifest = read_record(Manifest, fields, path)
        sizes = {name: int(entry["bytes"]) for name, entry in manifest.files.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptArtifact(f"{path} is not a manifest of unweave ({error}); rebuild the {kind}") from error
    if manifest.checksum and manifest.checksum != _digest(fields | {"checksum": ""}):
        raise CorruptArtifact(f"{path} does not match its own checksum: it was changed; rebuild the {kind}")
    if manifest.kind != kind or manifest.format != FORMAT:
        raise CorruptArtifact(
            f"{folder} holds a {manifest.kind} of format {manifest.format}, not a {kind} of format {FORMAT}"
        )
    for name, expected in sizes.items():
        actual = (folder / name).stat().st_size if (folder / name).is_file() else None
        if actual != expected:
            found = "is missing" if actual is None else f"has {actual} bytes, expected {expected}"
            raise CorruptArtifact(f"{folder / name} {found}: it was truncated or changed; rebuild the {kind}")
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Read every file and compare its SHA-256.

    Raises:
        CorruptArtifact: a file's contents are not those that were written.
    """
    for name, entry in manifest.files.items():
        if file_digest(folder / name) != entry["sha256"]:
            raise CorruptArtifact(f"{folder / name} does not match its checksum; rebuild the {manifest.kind}")


def load_array(path: Path, kind: str) -> NDArray[Any]:
    """One `.npy` of an artefact, memory-mapped.

    Raises:
        CorruptArtifact: it is no whole array.
    """
    import numpy as np  # here, because reading settings and manifests needs no arrays

    try:
        with _one_header_at_a_time:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (ValueError, OSError, EOFError, TokenError) as error:  # TokenError: NumPy's for some broken headers
        raise CorruptArtifact(f"{path} is not a whole array ({error}); rebuild the {kind}") from error


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


_PURPOSE, _ELAPSED, _LOCK = "purpose.json", "elapsed", "lock"
_SWAPS = 100
_SCAFFOLD = {_PURPOSE, _ELAPSED, _LOCK}


@contextmanager
def build(
    folder: Path,
    kind: str,
    *,
    settings: Mapping[str, Any],
    made_from: Mapping[str, str],
    mutable: frozenset[str] = frozenset(),
) -> Iterator[Build]:
    """Make the artefact at `folder`: yield a place to write, then swap it in.

    A killed build of the same settings and sources is found again with all its files, so that the
    caller can go on from what is whole; one of other settings is discarded.

    Args:
        mutable: files that may change after the build (people edit names); they carry no checksum.

    Raises:
        ArtifactInUse: another process is building the same artefact.
    """
    partial = folder.with_name(folder.name + ".partial")
    with _locked(partial) as lock:
        try:
            made = Build(partial, _resume(partial, kind, settings, made_from))
            yield made
            manifest = Manifest(
                kind=kind,
                # Through JSON, so that what is compared later is what was written (tuples become lists).
                settings=json.loads(json.dumps(settings)),
                made_from=dict(made_from),
                files=_contents(partial, mutable),
                results=made.results,
                seconds=round(made.seconds, 2),
                state=made.state,
            )
            write_manifest(partial, manifest)
        except BaseException:
            if not (partial / _ELAPSED).exists():  # nothing was checkpointed, so nothing is worth keeping
                shutil.rmtree(partial, ignore_errors=True)
            raise
        for name in (_PURPOSE, _ELAPSED):
            (partial / name).unlink(missing_ok=True)
        if locks.WINDOWS:
            lock.close()
        _swap_in(partial, folder)
        (folder / _LOCK).unlink()


def _contents(partial: Path, mutable: frozenset[str]) -> dict[str, dict[str, Any]]:
    """Size and checksum of each file of a finished artefact."""
    aside = _SCAFFOLD | mutable | {MANIFEST}
    return {
        p.relative_to(partial).as_posix(): {"bytes": p.stat().st_size, "sha256": file_digest(p)}
        for p in sorted(partial.rglob("*"))
        if p.is_file() and p.name not in aside
    }


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then rename it there; on failure nothing is left.

    Raises:
        OSError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    aside = path.with_name(path.name + ".writing")
    try:
        write(aside)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _resume(partial: Path, kind: str, settings: Mapping[str, Any], made_from: Mapping[str, str]) -> float:
    """Keep the files of a killed build with the same purpose, else start empty. Returns its seconds."""
    purpose = json.dumps({"kind": kind, "settings": settings, "made_from": made_from}, sort_keys=True)
    stated = partial / _PURPOSE
    if stated.is_file() and stated.read_text(encoding="utf-8") == purpose:
        for half_written in partial.rglob("*.writing"):
            half_written.unlink()
        elapsed = partial / _ELAPSED
        return float(elapsed.read_text(encoding="utf-8")) if elapsed.is_file() else 0.0
    for leftover in partial.iterdir():
        if leftover.name != _LOCK:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    write_atomically(stated, lambda p: p.write_text(purpose, encoding="utf-8"))
    return 0.0


@contextmanager
def _locked(partial: Path) -> Iterator[IO[bytes]]:
    """Hold the lock of a build, whose folder is made if need be and taken away again if the lock cannot be."""
    made = [folder for folder in (partial, *partial.parents) if not folder.exists()]
    try:
        lock = _take_lock(partial)
    except BlockingIOError as error:
        raise ArtifactInUse(
            f"another process is writing {partial.with_suffix('')}; wait for it to end, or stop it"
        ) from error
    except OSError:
        _remove_empty(made)
        raise
    with lock:
        try:
            yield lock
        except BaseException:
            _remove_empty(made)
            raise


def _take_lock(partial: Path) -> IO[bytes]:
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # a builder that just ended has moved the folder to its place
            return locks.take(partial / _LOCK, wait=False)


def _remove_empty(folders: list[Path]) -> None:
    """Take away folders, the innermost first, that hold nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _swap_in(partial: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    for attempt in range(_SWAPS):
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
            break
        except OSError as error:
            # A reader that came between the two renames has put the old artefact back: once more.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == _SWAPS - 1:
                raise
    shutil.rmtree(old, ignore_errors=True)


def _recover(folder: Path) -> None:
    """Undo a swap that was killed between its two renames."""
    old = folder.with_name(folder.name + ".old")
    if old.exists() and not folder.exists():
        with suppress(OSError):  # the writer, or another reader, was faster
            old.rename(folder)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
