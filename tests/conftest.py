"""What several test files share: SAEs to calculate by hand, sparse data, a disk that fills up, a real project."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import settings
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray
from scipy.sparse import csr_array

import unweave
from unweave.base.artifact import MANIFEST, Manifest, write_manifest
from unweave.base.files import file_digest
from unweave.base.pages import write_sums
from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.config import SAEConfig
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import Scoring
from unweave.project import Project
from unweave.sae.latents import write_latents
from unweave.sae.model import SAE
from unweave.texts.collection import Collection
from unweave.texts.vital_articles import vital_articles

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
IN_MEMORY = Path("/dev/shm")
ROOM = 8 * 2**30
"""Bytes that must be free for temporary folders to lie in memory; all tests take less than 3 GB of them."""

# The same examples in every run: a test that fails here fails everywhere.
settings.register_profile("unweave", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("unweave")


def pytest_configure() -> None:
    """Temporary folders lie in memory where there is room: thousands of files are written down to the disk else."""
    if not WORKER and "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(IN_MEMORY)


# --- what workers do once for all of them -------------------------------------------------------


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """While no other process holds this lock; `BlockingIOError` if one does and is not waited for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once(shared_folder):
    """A kernel is compiled by one worker; another that needs the same waits and reads it from numba's cache."""
    compile_now, turn, depth = Dispatcher.compile, threading.RLock(), 0

    def compile_in_turn(dispatcher: Any, signature: Any) -> Any:
        nonlocal depth
        kernel = f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__name__}"
        with turn, nullcontext() if depth else locked(shared_folder / "compiling" / kernel):
            depth += 1
            try:
                return compile_now(dispatcher, signature)
            finally:
                depth -= 1

    with pytest.MonkeyPatch.context() as patched:
        if WORKER:
            patched.setattr(Dispatcher, "compile", compile_in_turn)
        yield


@pytest.fixture(scope="session")
def shared_folder(request, tmp_path_factory) -> Path:
    """A folder for what all workers and later runs of the tests share."""
    cache = getattr(request.config, "cache", None)
    if cache is None:
        own = tmp_path_factory.getbasetemp()
        return own.parent / "shared" if WORKER else own / "shared"
    return cache.mkdir("shared")


def made_once(folder: Path, make: Callable[[Path], None], to: Path, *, wait: bool = True) -> Path:
    """A copy of a folder that is made if this code has not made it before."""
    with locked(folder / "lock", wait=wait):
        made = folder / _made_with()
        if not made.exists():
            for old in folder.iterdir():
                shutil.rmtree(old) if old.is_dir() else None
            make(folder / "partial")
            (folder / "partial").rename(made)
        return shutil.copytree(made, to)


@cache
def _made_with() -> str:
    """A digest of the code that makes something, and of the versions of what it uses."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted((*Path(unweave.__file__).parent.rglob("*.py"), Path(__file__))):
        digest.update(path.read_bytes())
    for name in ("numpy", "scipy", "torch", "sentence-transformers", "transformers", "scikit-learn", "wordllama"):
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="session", autouse=True)
def users_configuration(tmp_path_factory):
    """A folder for what is kept of the user's word, in place of the real one, for commands in other processes too."""
    folder = tmp_path_factory.mktemp("config")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def one_thread():
    """Steps of a small training take ten times as long when threads wait for each other on a busy machine."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_disk(tmp_path):
    """A folder that takes 64 kB: a disk of that size, or, where mounting is not allowed, a limit on each file."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]
    if mount and subprocess.run(command, capture_output=True).returncode == 0:
        yield disk
        subprocess.run(["umount", "-l", disk], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    yield disk
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="session")
def identity_sae() -> SAE:
    """Latent j is axis j of three, without biases; activations up to 0.5 count as 0."""
    axes = np.eye(3, dtype=np.float32)
    config = SAEConfig(d_in=3, n_latents=3, k=1, encoder="toy")
    return SAE(
        config, axes, np.zeros(3, np.float32), axes, np.zeros(3, np.float32), threshold=np.array([0.5], np.float32)
    )


@pytest.fixture(scope="session")
def sae_with_biases() -> SAE:
    """Three latents on two dimensions, every part of the formula in use.

    For x = (3, 4): x - b_pre = (2, 2), so W_enc (x - b_pre) + b_enc = (2, 2 - 1, 4 + 0.5) = (2, 1, 4.5).
    Only what exceeds the threshold of 1 stays: z = (2, 0, 4.5).
    x_hat = 2 (1, 0) + 4.5 (0.6, 0.8) + b_pre = (4.7, 3.6) + (1, 2) = (5.7, 5.6).
    """
    return SAE(
        SAEConfig(d_in=2, n_latents=3, k=2),
        W_enc=np.array([[1, 0], [0, 1], [1, 1]], np.float32),
        b_enc=np.array([0, -1, 0.5], np.float32),
        W_dec=np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32),
        b_pre=np.array([1, 2], np.float32),
        threshold=np.array([1.0], np.float32),
    )


@pytest.fixture(scope="session")
def random_sae() -> Callable[..., SAE]:
    """An SAE with random directions and biases: `random_sae(seed)`."""

    def make(seed: int, d_in: int = 8, n_latents: int = 24) -> SAE:
        random = np.random.default_rng(seed)
        directions = unit(random.normal(size=(n_latents, d_in)))
        b_enc, b_pre = (random.normal(0, 0.1, size).astype(np.float32) for size in (n_latents, d_in))
        W_enc = directions + random.normal(0, 0.05, directions.shape).astype(np.float32)
        return SAE(
            SAEConfig(d_in=d_in, n_latents=n_latents, k=4),
            W_enc,
            b_enc,
            directions,
            b_pre,
            threshold=np.array([0.25], np.float32),
        )

    return make


class SparseData(NamedTuple):
    """Embeddings that are sums of a few directions of a dictionary."""

    embeddings: NDArray[np.float32]  # (n, d_in)
    dictionary: NDArray[np.float32]  # (n_directions, d_in), rows of length 1


@pytest.fixture(scope="session")
def sparse_data() -> Callable[..., SparseData]:
    """Each text is the sum of `active` of `n_directions` random directions, each 1 to 2 long."""

    def make(n: int = 1200, d_in: int = 16, n_directions: int = 20, active: int = 2, seed: int = 0) -> SparseData:
        random = np.random.default_rng(seed)
        dictionary = unit(random.normal(size=(n_directions, d_in)))
        chosen = random.random((n, n_directions)).argsort(axis=1)[:, :active]
        strengths = random.uniform(1, 2, size=(n, active)).astype(np.float32)
        return SparseData((strengths[:, :, None] * dictionary[chosen]).sum(axis=1), dictionary)

    return make


@pytest.fixture(scope="session")
def index_of(tmp_path_factory) -> Callable[..., ConceptIndex]:
    """An index of rows of activations, (n_passages, n_latents), in a new folder: `index_of(rows, scoring)`."""

    def make(rows: Any, scoring: Scoring) -> ConceptIndex:
        return ConceptIndex.build(csr_array(rows), scoring=scoring, folder=tmp_path_factory.mktemp("index") / "index")

    return make


@pytest.fixture(scope="session")
def tamper() -> Callable[..., None]:
    """Replace a file of an artefact and set the checksums right, so that only a reader's own checks are left."""

    def replace(path: Path, content: bytes, paged: Iterable[str] = ()) -> None:
        path.write_bytes(content)
        folder = path.parent
        if paged:
            write_sums(folder, paged)
        manifest = Manifest(**json.loads((folder / MANIFEST).read_text()))
        for name in manifest.files:
            changed = folder / name
            manifest.files[name] = {"bytes": changed.stat().st_size, "sha256": file_digest(changed)}
        write_manifest(folder, manifest)

    return replace


def save_latents(folder: Path, latents: csr_array) -> None:
    """Latents that are there already, (n_texts, n_latents), as an artefact."""
    write_latents(
        folder, latents.shape[0], lambda start, end: latents[start:end], label="", made_from={},
        settings={"n_latents": latents.shape[1]},
    )  # fmt: skip


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows scaled to length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# --- a real project -----------------------------------------------------------------------------

N_ARTICLES, LENGTH = 350, 240
"""Articles, and characters of each: to embed all of them whole takes a core half a minute, in test after test."""
SMALL = {
    "fit": ["--steps", "80", "--n-latents", "768", "--k", "32", "--batch-size", "128"],
    "embed": ["--sentences", "300"],
}


def small_collection() -> Collection:
    """Where every 29th article begins, and that on wind turbines, with the queries that describe them."""
    whole = vital_articles()
    passages = [p for i, p in enumerate(whole.passages) if i % 29 == 0 or p.passage_id == "Wind_turbine"][:N_ARTICLES]
    passages = [p._replace(text=textwrap.shorten(p.text, LENGTH, placeholder="")) for p in passages]
    ids = {p.passage_id for p in passages}
    qrels = {
        split: {q: judged for q, judged in of_split.items() if set(judged) <= ids}
        for split, of_split in whole.qrels.items()
    }
    asked = {q for of_split in qrels.values() for q in of_split}
    return Collection(passages=passages, queries=[q for q in whole.queries if q.query_id in asked], qrels=qrels)


@pytest.fixture(scope="session")
def project_folder(request, shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole path on real text with the real encoder: 350 articles' beginnings, their sentences and descriptions."""
    made, own = shared_folder / "project", tmp_path_factory.mktemp("real") / "project"
    try:
        return made_once(made, make_project, own, wait=False)
    except BlockingIOError:  # while another worker embeds for a minute, this one has the kernels compiled
        request.getfixturevalue("tiny_project_folder")
        return made_once(made, make_project, own)


def make_project(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Project.create(folder, small_collection())
    for command in ("embed", "fit", "name", "index build", "evaluate"):
        done = CliRunner().invoke(main, [*command.split(), str(folder), *SMALL.get(command, [])])
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="session")
def tiny_project_folder(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole path in seconds, without an encoder: sixty texts of four words, their vectors of eight numbers made up.

    Read-only: a test that changes it takes a copy.
    """
    return made_once(shared_folder / "tiny", make_tiny, tmp_path_factory.mktemp("tiny") / "made") / "project"


def make_tiny(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(0)
    words = ["moon", "sea", "wind", "blade", "tower", "wave", "light", "stone", "river", "cloud"]
    texts = [" ".join(random.choice(words, 4, replace=False)) for _ in range(60)]
    source = Collection(
        passages=[Passage(f"p{i}", "", text, {"half": "ab"[i % 2]}) for i, text in enumerate(texts)],
        queries=[Query(f"q{i}", texts[i]) for i in range(6)],
        qrels={"test": {f"q{i}": {f"p{i}": 1} for i in range(6)}},
    )
    Project.create(folder / "project", source)
    np.save(folder / "passages.npy", unit(random.normal(size=(60, 8))))
    np.save(folder / "queries.npy", unit(random.normal(size=(6, 8))))
    brought = ["--passages", str(folder / "passages.npy"), "--queries", str(folder / "queries.npy")]
    small = ["--n-latents", "16", "--k", "2", "--steps", "20", "--batch-size", "16", "--twin"]
    for command, options in (("embed", brought), ("fit", small), ("name", []), ("index build", []), ("evaluate", [])):
        done = CliRunner().invoke(main, [*command.split(), str(folder / "project"), *options])
        assert done.exit_code == 0, done.output


@pytest.fixture
def kept_copy(tmp_path) -> Path:
    """A copy of the small project that the repository keeps, with all that can be made."""
    folder = tmp_path / "project"
    shutil.copytree(Path(__file__).parent / "kept" / "project", folder)
    return folder
