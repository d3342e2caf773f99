"""An artefact: a folder of files that a person can open, with a manifest that says what it is.

`config.json`, the manifest, holds the kind of the artefact, the settings it was made with, the fingerprints of the
artefacts it was made from, and the size and SHA-256 of each file. `building` makes artefacts; what is read of one is
read through this module or `pages`, which compare it with what was written before anybody uses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from unweave.base.cores import on_every_core
from unweave.base.files import file_digest, sync, write_atomically
from unweave.base.stored import read_record
from unweave.errors import CorruptArtifact, MissingArtifact, UnweaveError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

_one_header_at_a_time = threading.Lock()
"""NumPy reads headers with `ast`, which in CPython 3.11 fails with a SystemError if two threads do so at once."""

MANIFEST = "config.json"
MARK = ".unweave"
"""A file that says that unweave made the folder, whatever became of the manifest."""
FORMAT = 1
_ESSENTIAL = {"kind", "settings", "made_from", "files"}


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


def checksum_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of all fields but the checksum, as hex."""
    return _digest({**fields, "checksum": ""})


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make this what the folder holds, in one step that neither a kill nor a power cut can split."""
    fields = asdict(manifest)
    fields["checksum"] = checksum_of(fields)
    text = json.dumps(fields, indent=1)
    write_atomically(folder / MANIFEST, lambda p: p.write_text(text, encoding="utf-8"))
    sync(folder)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """Open an artefact's manifest and check that its files are all there, of the size that they had.

    Raises:
        MissingArtifact: there is no such folder.
        CorruptArtifact: the manifest is unreadable, of another kind, or a file is missing or truncated.
    """
    recover(folder)
    path = folder / MANIFEST
    if not path.is_file():
        raise MissingArtifact(f"there is no {kind} in {folder} ({MANIFEST} not found)")
    with damaged(f"{path} is not a manifest of unweave ({{}}); rebuild the {kind}"):
        fields = json.loads(path.read_text(encoding="utf-8"))
        manifest = read_record(Manifest, fields, path)
        sizes = {name: int(entry["bytes"]) for name, entry in manifest.files.items()}
        if not (isinstance(manifest.settings, dict) and isinstance(manifest.state, dict)):
            raise TypeError("its settings and its state should be tables")
        if manifest.checksum and manifest.checksum != checksum_of(fields):
            raise CorruptArtifact(f"{path} does not match its own checksum: it was changed; rebuild the {kind}")
    if manifest.kind != kind or manifest.format != FORMAT:
        raise CorruptArtifact(
            f"{folder} holds a {manifest.kind} of format {manifest.format}, not a {kind} of format {FORMAT}"
        )
    _check_files(folder, sizes, kind)
    return manifest


def _check_files(folder: Path, sizes: Mapping[str, int], kind: str) -> None:
    """Whether files are in the folder itself, and as long as they were."""
    names = [PurePosixPath(name) for name in sizes]
    outside = next((str(n) for n in names if n.is_absolute() or ".." in n.parts or "\\" in str(n)), None)
    if outside is not None:
        raise CorruptArtifact(f"{folder / MANIFEST} lists {outside!r}, which is not in its folder; rebuild the {kind}")
    for name, expected in sizes.items():
        path = folder / name
        try:
            there = os.stat(path)  # noqa: PTH116 - links are followed: the hub's cache is made of them
            actual = there.st_size if stat.S_ISREG(there.st_mode) else None
        except OSError:
            actual = None
        if actual != expected:
            found = "is missing" if actual is None else f"has {actual} bytes, expected {expected}"
            raise CorruptArtifact(f"{path} {found}: it was truncated or changed; rebuild the {kind}")


_DAMAGED = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, EOFError, AssertionError,
    TokenError, SystemError, sqlite3.Error,
)  # fmt: skip
"""What readers raise for bytes that nobody wrote."""


@contextmanager
def damaged(said: str) -> Iterator[None]:
    """What reading damaged, or hostile, bytes may raise becomes one error.

    Args:
        said: the error's message, with {} where what was raised goes.

    Raises:
        CorruptArtifact: in place of anything that is no error of ours, of the disk or of memory.
    """
    try:
        yield
    except UnweaveError:
        raise
    except _DAMAGED as error:
        raise CorruptArtifact(said.format(f"{type(error).__name__}: {error}")) from error


def verify(folder: Path, manifest: Manifest) -> None:
    """Read every file and compare its SHA-256.

    Raises:
        CorruptArtifact: a file's contents are not those that were written.
    """
    on_every_core(lambda name: check_file(folder, manifest, name), manifest.files)


def check_file(folder: Path, manifest: Manifest, name: str) -> Path:
    """The path of one file, all of which was read and is as it was written.

    Raises:
        CorruptArtifact: it is not, or the manifest does not list it.
    """
    path, listed = folder / name, manifest.files.get(name)
    if listed is None or not path.is_file() or file_digest(path) != listed["sha256"]:
        raise CorruptArtifact(f"{path} does not match its checksum; rebuild the {manifest.kind}")
    return path


def read_file(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of one file, as they were written; the same errors as `check_file`."""
    content = (folder / name).read_bytes() if name in manifest.files else b""
    if name not in manifest.files or hashlib.sha256(content).hexdigest() != manifest.files[name]["sha256"]:
        raise CorruptArtifact(f"{folder / name} does not match its checksum; rebuild the {manifest.kind}")
    return content


def read_json(folder: Path, manifest: Manifest, name: str) -> Any:
    """What one file of JSON holds, as it was written; the same errors as `check_file`."""
    with damaged(f"{folder / name} is no JSON ({{}}); rebuild the {manifest.kind}"):
        return json.loads(read_file(folder, manifest, name))


def checked_array(folder: Path, manifest: Manifest, name: str, dtype: DTypeLike, ndim: int = 1) -> NDArray[Any]:
    """One `.npy`, memory-mapped, all of which was read and is as it was written; the same errors as `check_file`."""
    return typed_array(check_file(folder, manifest, f"{name}.npy"), manifest.kind, dtype, ndim)


def typed_array(path: Path, kind: str, dtype: DTypeLike, ndim: int = 1) -> NDArray[Any]:
    """One `.npy`, memory-mapped, of this type and so many axes, its contents not compared with what was written.

    Raises:
        CorruptArtifact: it is no such array.
    """
    import numpy as np  # here, because reading settings and manifests needs no arrays

    array = load_array(path, kind)
    if array.dtype != dtype or array.ndim != ndim or not array.flags.c_contiguous:
        found = f"{array.dtype} of shape {array.shape}"
        raise CorruptArtifact(f"{path} holds {found}, expected {np.dtype(dtype)} in {ndim} axes; rebuild the {kind}")
    if array.offset + array.nbytes != path.stat().st_size:
        raise CorruptArtifact(f"{path} is longer than its header says; rebuild the {kind}")
    return np.asarray(array)


def load_array(path: Path, kind: str) -> Any:
    """One `.npy`, memory-mapped, of whatever type.

    Raises:
        CorruptArtifact: it is no whole array.
    """
    import numpy as np

    with damaged(f"{path} is not a whole array ({{}}); rebuild the {kind}"), _one_header_at_a_time:
        return np.load(path, mmap_mode="r", allow_pickle=False)


def recover(folder: Path) -> None:
    """Undo a swap that was killed between its two renames."""
    old = replaced(folder)
    if not folder.exists() and is_ours(old):
        with suppress(OSError):  # the writer, or another reader, was faster
            old.rename(folder)


def replaced(folder: Path) -> Path:
    """Where an artefact lies while another takes its place."""
    whole = folder.absolute()  # "." has no name of its own
    return whole.parent / f".{whole.name}.unweave-old"


def is_ours(folder: Path) -> bool:
    """Whether unweave made this folder, so that it may take it away: it has the mark, or a manifest."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if (folder / MARK).is_file():
        return True
    try:
        return bool(json.loads((folder / MANIFEST).read_bytes()).keys() >= _ESSENTIAL)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
