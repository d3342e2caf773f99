"""Artefacts in a store: a folder that every machine sees, or an object store such as S3, GCS or Azure.

    shards/NAME/ARTEFACT/…   the artefacts of each shard, as they would lie in a project's folder

The manifest of an artefact is written after all of its files, and what is fetched is compared with it on the way, so
that what a lost machine left half-written, and what was damaged since, is never taken for an artefact. Every file of
JSON states its own checksum. A store that does not answer is asked again for `PATIENCE` seconds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from unweave.base.addresses import is_remote
from unweave.base.artifact import MANIFEST, MARK, Manifest, checksum_of, read_manifest, write_manifest
from unweave.base.files import is_aside, write_atomically
from unweave.base.plain import plain
from unweave.errors import BadData, CorruptArtifact, MissingArtifact, MissingExtra

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds for which a store may be out of reach before the work of a shard fails."""
_PAUSE = 0.5
_CHUNK = 1 << 20
_PASSES = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
     errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.ESTALE, errno.EAGAIN, errno.EINTR,
     errno.EREMOTEIO}
)  # fmt: skip
"""What the system says of a store that is out of reach, and never of this machine's own disk."""
_REFUSED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "NO_SUCH_BUCKET", "EXPIRED_TOKEN",
            "INVALID_CLIENT_TOKEN_ID", "MISSING_AUTHENTICATION_TOKEN", "UNRECOGNIZED_CLIENT")  # fmt: skip
"""What a store that is there says, and will say again."""


class _Files(Protocol):
    """Files by their name below the store."""

    def open(self, name: str) -> IO[bytes]:
        """To be read; FileNotFoundError if there is none."""

    def put(self, name: str, source: Path) -> None:
        """Copy a file there, whole or not at all."""

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""

    def below(self, folder: str) -> dict[str, int]:
        """The bytes of all files below a folder, by their names."""


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
        return partial(Store, self.address, patience=self._patience), ()

    @cached_property
    def _files(self) -> _Files:
        return _Objects(self.address) if is_remote(self.address) else _Folder(Path(self.address))

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            MissingArtifact: there is none.
        """

        def whole() -> bytes:
            with self._files.open(name) as file:
                return file.read()

        return self._patiently(name, whole)

    def read_json(self, name: str) -> dict[str, Any]:
        """What a file of JSON holds, as it was written.

        Raises:
            MissingArtifact: there is none.
            CorruptArtifact: it is no JSON, or not what was written.
        """
        try:
            fields = json.loads(self.read(name))
            stated = fields.get("checksum")
        except (ValueError, RecursionError, AttributeError) as error:
            raise CorruptArtifact(f"{self.where(name)} is no JSON of unweave ({plain(str(error), 100)})") from error
        if stated != checksum_of(fields):
            raise CorruptArtifact(f"{self.where(name)} does not match its own checksum")
        return {key: value for key, value in fields.items() if key != "checksum"}

    def write(self, name: str, content: bytes, scratch: Path) -> None:
        """Put a file there, whole or not at all; `scratch` is a folder to fill it in."""
        aside = scratch / "written"
        aside.write_bytes(content)
        self._patiently(name, lambda: self._files.put(name, aside))
        aside.unlink()

    def write_json(self, name: str, value: Mapping[str, Any], scratch: Path) -> None:
        """Put a file of JSON there, whole or not at all, with its checksum."""
        fields = json.loads(json.dumps(value))  # as it will be read
        whole = fields | {"checksum": checksum_of(fields)}
        self.write(name, json.dumps(whole, indent=1, sort_keys=True).encode(), scratch)

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""
        self._patiently(name, lambda: self._files.remove(name))

    def sizes(self, folder: str) -> dict[str, int]:
        """The bytes of all files below a folder, by their names."""
        return self._patiently(folder, lambda: self._files.below(folder))

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
            raise CorruptArtifact(f"{self.where(name)}/{MANIFEST} is no manifest of unweave") from error
        outside = next((file for file in files if not _is_within(file)), None)
        if outside is not None or manifest.kind != kind:
            raise CorruptArtifact(f"{self.where(name)}/{MANIFEST} does not state a {kind}")
        return manifest

    def is_whole(self, name: str, kind: str, fingerprint: str) -> bool:
        """Whether this very artefact is there, each file as long as it was; what they hold is compared when fetched."""
        try:
            manifest = self.manifest(name, kind)
        except (MissingArtifact, CorruptArtifact):
            return False
        there = self.sizes(name)
        return manifest.fingerprint == fingerprint and all(
            there.get(f"{name}/{file}") == of["bytes"] for file, of in manifest.files.items()
        )

    def check(self, name: str, kind: str) -> Manifest:
        """Read all of an artefact.

        Raises:
            MissingArtifact: there is none.
            CorruptArtifact: a file is missing, or not what was written.
        """
        manifest = self.manifest(name, kind)
        for file, stated in manifest.files.items():
            self._match(name, file, stated, lambda of: self.fetch_file(of, Path(os.devnull)))
        return manifest

    def _match(self, name: str, file: str, stated: Mapping[str, Any], digest: Callable[[str], str]) -> None:
        try:
            found = digest(f"{name}/{file}")
        except MissingArtifact as error:
            raise CorruptArtifact(f"{self.where(name)}/{file} is missing") from error
        if found != stated["sha256"]:
            raise CorruptArtifact(f"{self.where(name)}/{file} does not match its checksum")

    def fetch(self, name: str, kind: str, into: Path) -> Manifest:
        """Copy an artefact to a new folder.

        Raises:
            MissingArtifact: there is none.
            CorruptArtifact: a file is missing, or not what was written.
        """
        manifest = self.manifest(name, kind)
        into.mkdir(parents=True)
        for file, stated in manifest.files.items():
            path = into / file
            path.parent.mkdir(parents=True, exist_ok=True)
            self._match(name, file, stated, partial(self.fetch_file, into=path))
        (into / MARK).touch()
        (into / MANIFEST).write_bytes(self.read(f"{name}/{MANIFEST}"))
        return read_manifest(into, kind)

    def fetch_file(self, name: str, into: Path) -> str:
        """Copy one file; its SHA-256."""
        return self._patiently(name, lambda: self._copy(name, into))

    def publish(self, folder: Path, kind: str, name: str) -> Manifest:
        """Copy an artefact there, its manifest last; another in its place is none from the first file on.

        The same in its place stays one, so that who reads it meanwhile finds it whole. How long it took to make is left
        out, so that whoever makes it writes the same bytes.
        """
        manifest = replace(read_manifest(folder, kind), seconds=0.0)
        write_manifest(folder, manifest)
        with suppress(MissingArtifact):
            if not self._is_there(name, kind, manifest.fingerprint):
                self.remove(f"{name}/{MANIFEST}")
        for file in (*manifest.files, MANIFEST):
            self._patiently(name, partial(self._files.put, f"{name}/{file}", folder / file))
        return manifest

    def _is_there(self, name: str, kind: str, fingerprint: str) -> bool:
        try:
            return self.manifest(name, kind).fingerprint == fingerprint
        except CorruptArtifact:
            return False

    def _copy(self, name: str, into: Path) -> str:
        digest = hashlib.sha256()
        with self._files.open(name) as source, into.open("wb") as target:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()

    def _patiently(self, name: str, act: Callable[[], T]) -> T:
        """Do it, again and again while the store is out of reach.

        What this machine's own disk refuses is not that: the system has a number for it, as for a full disk. What the
        server of an object store says has none.
        """
        until = time.monotonic() + self._patience
        pause = _PAUSE
        while True:
            try:
                return act()
            except FileNotFoundError as error:
                raise MissingArtifact(f"there is no {self.where(name)}") from error
            except OSError as error:
                passes = error.errno in _PASSES or (error.errno is None and not any(r in str(error) for r in _REFUSED))
                if not passes or time.monotonic() + pause > until:
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

    def below(self, folder: str) -> dict[str, int]:
        files = (path for path in (self._root / folder).rglob("*") if path.is_file() and not is_aside(path))
        return {path.relative_to(self._root).as_posix(): path.stat().st_size for path in files}


class _Objects:
    """A bucket, whose objects are written whole."""

    def __init__(self, address: str) -> None:
        self._system, self._root = file_system(address)

    def open(self, name: str) -> IO[bytes]:
        return cast(IO[bytes], self._system.open_input_stream(f"{self._root}/{name}"))

    def put(self, name: str, source: Path) -> None:
        with source.open("rb") as read:
            written = self._system.open_output_stream(f"{self._root}/{name}")
            try:
                shutil.copyfileobj(read, written, _CHUNK)
            except BaseException:
                with suppress(OSError):
                    written.close()  # which makes an object of what was written so far
                    self.remove(name)
                raise
            written.close()

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._system.delete_file(f"{self._root}/{name}")

    def below(self, folder: str) -> dict[str, int]:
        from pyarrow import fs

        found = self._system.get_file_info(
            fs.FileSelector(f"{self._root}/{folder}", recursive=True, allow_not_found=True)
        )
        return {info.path.removeprefix(f"{self._root}/"): info.size for info in found if info.type == fs.FileType.File}


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
