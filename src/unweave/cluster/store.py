"""Artefacts in a store: a folder that every machine sees, or an object store such as S3, GCS or Azure.

    shards/NAME/ARTEFACT/…   the artefacts of each shard, as they would lie in a project's folder

The manifest of an artefact is written after all of its files, and what is fetched is compared with it on the way, so
that what a lost machine left half-written, and what was damaged since, is never taken for an artefact. A store that
does not answer is asked again for `PATIENCE` seconds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from unweave.base.artifact import MANIFEST, MARK, Manifest, read_manifest, write_manifest
from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, MissingExtra

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds for which a store may be out of reach before the work of a shard fails."""
_PAUSE = 0.5
_CHUNK = 1 << 20
_ALIEN = "://"


class _Files(Protocol):
    """Files by their name below the store."""

    def open(self, name: str) -> IO[bytes]:
        """To be read; FileNotFoundError if there is none."""

    def put(self, name: str, source: Path) -> None:
        """Copy a file there, whole or not at all."""

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""

    def below(self, folder: str) -> list[str]:
        """The names of all files below a folder."""


class Store:
    """Files and artefacts by name. Safe to use from many processes, each with one of its own."""

    def __init__(self, address: str, *, patience: float = PATIENCE) -> None:
        """Nothing is reached yet.

        Args:
            address: a folder, or an address that pyarrow's file systems know, such as s3://BUCKET/PREFIX.
        """
        self.address = address
        self._patience = patience

    def __repr__(self) -> str:
        return f"Store({plain(self.address, 120)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.address,)

    @cached_property
    def _files(self) -> _Files:
        return _Objects(self.address) if _ALIEN in self.address else _Folder(Path(self.address))

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            MissingArtifact: there is none.
        """

        def whole() -> bytes:
            with self._files.open(name) as file:
                return file.read()

        return self._patiently(name, whole)

    def read_json(self, name: str) -> Any:
        """What a file of JSON holds.

        Raises:
            MissingArtifact: there is none.
            CorruptArtifact: it is no JSON.
        """
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise CorruptArtifact(f"{self.where(name)} is no JSON ({plain(str(error), 100)}); remove it") from error

    def write(self, name: str, content: bytes, scratch: Path) -> None:
        """Put a file there, whole or not at all; `scratch` is a folder to fill it in."""
        aside = scratch / "written"
        aside.write_bytes(content)
        self._patiently(name, lambda: self._files.put(name, aside))
        aside.unlink()

    def write_json(self, name: str, value: Any, scratch: Path) -> None:
        """Put a file of JSON there, whole or not at all."""
        self.write(name, json.dumps(value, indent=1, sort_keys=True).encode(), scratch)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self._patiently(name, lambda: self._files.remove(name))

    def names(self, folder: str) -> list[str]:
        """The names of all files below a folder, in their order."""
        return sorted(self._patiently(folder, lambda: self._files.below(folder)))

    def where(self, name: str) -> str:
        """What a person would look for."""
        return plain(f"{self.address.rstrip('/')}/{name}", 300)

    # --- artefacts --------------------------------------------------------------------------------

    def manifest(self, name: str, kind: str) -> Manifest:
        """What an artefact states.

        Raises:
            MissingArtifact, CorruptArtifact: there is none, or another.
        """
        stated = self.read_json(f"{name}/{MANIFEST}")
        try:
            manifest = Manifest(**stated)
            files = {file: (int(of["bytes"]), str(of["sha256"])) for file, of in manifest.files.items()}
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise CorruptArtifact(f"{self.where(name)}/{MANIFEST} is no manifest of unweave; remove it") from error
        outside = next((file for file in files if not _is_within(file)), None)
        if outside is not None or manifest.kind != kind:
            raise CorruptArtifact(f"{self.where(name)}/{MANIFEST} does not state a {kind}; remove it")
        return manifest

    def fetch(self, name: str, kind: str, into: Path) -> Manifest:
        """Copy an artefact to a new folder.

        Raises:
            MissingArtifact: there is none.
            CorruptArtifact: a file is missing, or not what was written.
        """
        manifest = self.manifest(name, kind)
        into.mkdir(parents=True)
        for file, stated in manifest.files.items():
            (into / file).parent.mkdir(parents=True, exist_ok=True)
            found = self.fetch_file(f"{name}/{file}", into / file)
            if found != stated["sha256"]:
                raise CorruptArtifact(f"{self.where(name)}/{file} does not match its checksum")
        (into / MARK).touch()
        (into / MANIFEST).write_bytes(self.read(f"{name}/{MANIFEST}"))
        return read_manifest(into, kind)

    def fetch_file(self, name: str, into: Path) -> str:
        """Copy one file; its SHA-256."""
        return self._patiently(name, lambda: self._copy(name, into))

    def publish(self, folder: Path, kind: str, name: str) -> Manifest:
        """Copy an artefact there, its manifest last; what stood in its place is no artefact from the first file on.

        How long it took to make is left out, so that whoever makes it writes the same bytes.
        """
        manifest = replace(read_manifest(folder, kind), seconds=0.0)
        write_manifest(folder, manifest)
        self.remove(f"{name}/{MANIFEST}")
        for file in (*manifest.files, MANIFEST):
            self._patiently(name, partial(self._files.put, f"{name}/{file}", folder / file))
        return manifest

    def keep(self, folder: Path, kind: str, name: str) -> Manifest:
        """Publish an artefact unless the same is there."""
        try:
            there = self.manifest(name, kind)
            if there.fingerprint == read_manifest(folder, kind).fingerprint:
                return there
        except (MissingArtifact, CorruptArtifact):
            pass
        return self.publish(folder, kind, name)

    def _copy(self, name: str, into: Path) -> str:
        digest = hashlib.sha256()
        with self._files.open(name) as source, into.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()

    def _patiently(self, name: str, act: Callable[[], T]) -> T:
        """Do it, again and again while the store is out of reach; what this machine's own disk refuses is not that."""
        until = time.monotonic() + self._patience
        pause = _PAUSE
        while True:
            try:
                return act()
            except FileNotFoundError as error:
                raise MissingArtifact(f"there is no {self.where(name)}") from error
            except OSError as error:
                if error.errno is not None or time.monotonic() + pause > until:  # of the system, as a full disk is
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 8.0)


def _is_within(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in file and file == str(path)


class _Folder:
    """A folder on a disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self, name: str) -> IO[bytes]:
        return (self._root / name).open("rb")

    def put(self, name: str, source: Path) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda aside: shutil.copyfile(source, aside))

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def below(self, folder: str) -> list[str]:
        return [path.relative_to(self._root).as_posix() for path in (self._root / folder).rglob("*") if path.is_file()]


class _Objects:
    """A bucket, whose objects are written whole."""

    def __init__(self, address: str) -> None:
        self._system, self._root = file_system(address)

    def open(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], self._system.open_input_stream(f"{self._root}/{name}"))

    def put(self, name: str, source: Path) -> None:
        with source.open("rb") as read, self._system.open_output_stream(f"{self._root}/{name}") as written:
            shutil.copyfileobj(read, written, _CHUNK)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.delete_file(f"{self._root}/{name}")

    def below(self, folder: str) -> list[str]:
        from pyarrow import fs

        found = self._system.get_file_info(
            fs.FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True)
        )
        return [info.path.removeprefix(f"{self._root}/") for info in found if info.type == fs.FileType.File]


def file_system(address: str) -> tuple[FileSystem, str]:
    """The file system of an address, and the path in it.

    Raises:
        MissingExtra: pyarrow is not installed.
        BadData: no file system is known by such an address.
    """
    try:
        import pyarrow as pa
        from pyarrow import fs
    except ImportError as error:
        raise MissingExtra("reaching an object store", "cluster") from error
    if urlsplit(address).password is not None:
        raise BadData("an address with a key in it would be written to files; keys come from the environment alone")
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (pa.ArrowException, ValueError, OSError) as error:
        raise BadData(
            f"{plain(address, 200)} is no address of a store ({plain(str(error), 200)}); expected a folder, or "
            "s3://BUCKET/PREFIX, gs://… or abfss://…"
        ) from error
    return system, path.rstrip("/")
