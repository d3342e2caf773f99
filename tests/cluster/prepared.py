"""Stores to test with, a server of objects among them, and a small project in shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import small
from disturbed import KEYS, S3

from unweave.base import artifact, files
from unweave.cluster import stages
from unweave.cluster.store import Store
from unweave.project import Project
from unweave.stages import workspace


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A server that speaks S3, behind a proxy that can be down."""
    pytest.importorskip("moto.server", reason="needs moto[server], an object store to test with")
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    with pytest.MonkeyPatch.context() as patched:
        for name, value in KEYS.items():
            patched.setenv(name, value)
        server = S3()
        yield server
        server.close()


@pytest.fixture(params=["folder", "objects"])
def store(request, tmp_path) -> Store:
    """An empty store that waits for a server for three seconds."""
    if request.param == "folder":
        return Store(str(tmp_path / "store"), patience=3)
    return Store(request.getfixturevalue("s3").address(tmp_path.name), patience=3)


@pytest.fixture
def damage(request, store) -> Callable[[str, bytes | None], None]:
    """Change a file of the store without asking it; None: take it away."""

    def do(name: str, content: bytes | None) -> None:
        if "://" in store.address:
            prefix = store.address.partition("?")[0].rpartition("/")[2]
            request.getfixturevalue("s3").put(f"{prefix}/{name}", content)
            return
        path = Path(store.address) / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    return do


class Made(NamedTuple):
    """A project in shards, the files that it is made of, and its store."""

    project: Project
    files: Path
    store: Path


@pytest.fixture(scope="module")
def toy_encoder() -> Iterator[None]:
    """Let shards and projects of this module be embedded with the toy encoder."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(workspace, "open_encoder", small.ToyEncoder)
        patched.setattr(stages, "open_encoder", small.ToyEncoder)
        for module in (files, artifact):  # a disk that is waited for tells nothing here
            patched.setattr(module, "sync", lambda _: None)
        stages._loaded.cache_clear()
        yield
    stages._loaded.cache_clear()


@pytest.fixture(scope="module")
def faultless(toy_encoder, tmp_path_factory) -> Made:
    """All that is done with two small shards."""
    folder = tmp_path_factory.mktemp("faultless")
    files, sae = small.write_files(folder / "files"), small.dictionary(folder / "sae")
    project = small.project_of(folder / "project", str(folder / "store"), sae)
    small.make_all(project, files)
    return Made(project, files, folder / "store")


@pytest.fixture
def begun(faultless, tmp_path) -> Made:
    """A new project of the same files, of which nothing is done."""
    sae = faultless.files.parent / "sae"
    project = small.project_of(tmp_path / "project", str(tmp_path / "store"), sae)
    return Made(project, faultless.files, tmp_path / "store")


@pytest.fixture
def made(faultless, begun) -> Made:
    """A copy of all that is done."""
    shutil.copytree(faultless.store, begun.store, dirs_exist_ok=True)
    shutil.copytree(faultless.project.path / "sample", begun.project.path / "sample")
    return begun
