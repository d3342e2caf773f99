"""macOS and Windows, simulated here: what their Python lacks is taken away in a process of its own.

macOS has no `os.sched_getaffinity`; Windows has neither that, nor `os.register_at_fork`, nor `fcntl`. In place of
`msvcrt.locking`, which locks ranges of bytes for each open file, stand Linux's locks of the same kind.
"""

import subprocess
import sys
import textwrap
import time
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it takes Linux's locks to simulate the others'")

LINUX = "import os, sys\n"
MACOS = LINUX + "del os.sched_getaffinity\n"
WINDOWS = MACOS + textwrap.dedent("""
    import errno, fcntl, struct, types
    import random, subprocess  # which look at the platform themselves: they keep what they have here
    del os.register_at_fork

    def locking(handle, mode, n_bytes):
        start = os.lseek(handle, 0, os.SEEK_CUR)
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, start, n_bytes, 0)
        try:
            fcntl.fcntl(handle, F_OFD_SETLK, lock)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None  # as Windows says it

    F_OFD_SETLK = 37
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    sys.modules["fcntl"] = None  # so importing it raises an ImportError
""")
PLATFORMS = pytest.mark.parametrize("platform", [LINUX, MACOS, WINDOWS], ids=["linux", "macos", "windows"])


def python(platform: str, script: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-c", platform + textwrap.dedent(script), *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen) -> str:
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    return out


# --- the same work on all of them -----------------------------------------------------------------

WORK = """
    import json
    from pathlib import Path
    import numpy as np
    from scipy.sparse import csr_array
    from unweave.base import cores, locks
    from unweave.config import SAEConfig
    from unweave.index.concept_index import ConceptIndex
    from unweave.index.writer import IndexWriter
    from unweave.sae.model import SAE

    assert (locks.fcntl is None) == (sys.modules.get("fcntl", 0) is None)
    random = np.random.default_rng(0)
    directions = random.normal(size=(24, 8)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    zeros = (np.zeros(24, np.float32), np.zeros(8, np.float32))
    config = SAEConfig(d_in=8, n_latents=24, k=4)
    sae = SAE(config, directions, zeros[0], directions, zeros[1], threshold=np.array([0.25], np.float32))
    latents = sae.encode(random.normal(size=(200, 8)).astype(np.float32))
    folder = Path(sys.argv[1]) / "index"
    ConceptIndex.build(latents, folder=folder)
    writer = IndexWriter(folder)
    writer.add(["more"], latents[:1])
    writer.delete(["3"])
    index = writer.compact(fully=True)
    index.verify()
    many = index.hits_of_each(latents[:5], 3)
    one = index.hits(latents.indices[:3].astype(np.int64), latents.data[:3], 5)
    print(json.dumps([cores.n_cores() > 0, sorted(index.manifest.files), one.passages.tolist(), one.scores.tolist(),
                      [hits.passages.tolist() for hits in many]]))
"""


def test_encoding_indexing_and_searching_give_the_same_on_every_platform(tmp_path):
    found = []
    for platform in (LINUX, MACOS, WINDOWS):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        found.append(said(python(platform, WORK, folder)))
    assert found[0] == found[1] == found[2]
    assert '"segments/' in found[0]


# --- locks ----------------------------------------------------------------------------------------

HOLD = """
    from pathlib import Path
    from unweave.base.locks import take
    with take(Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
        print("held", flush=True)
        sys.stdin.read()
"""
TRY = """
    from pathlib import Path
    from unweave.base.locks import take
    try:
        with take(Path(sys.argv[1]), shared=sys.argv[2] == "shared", wait=False):
            print("had")
    except BlockingIOError:
        print("refused")
"""


@PLATFORMS
@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [("shared", "shared", "had"), ("shared", "alone", "refused"), ("alone", "shared", "refused"),
     ("alone", "alone", "refused")],
)  # fmt: skip
def test_a_lock_is_shared_or_held_alone(tmp_path, platform, first, second, outcome):
    holder = python(platform, HOLD, tmp_path / "lock", first)
    assert holder.stdout.readline() == "held\n"
    assert said(python(platform, TRY, tmp_path / "lock", second)) == f"{outcome}\n"
    holder.kill()  # however it ends, what it held is free
    holder.communicate()
    assert said(python(platform, TRY, tmp_path / "lock", "alone")) == "had\n"


@PLATFORMS
def test_who_waits_has_the_lock_when_the_holder_ends(tmp_path, platform):
    holder = python(platform, HOLD, tmp_path / "lock", "alone")
    assert holder.stdout.readline() == "held\n"
    waiting = python(platform, HOLD, tmp_path / "lock", "alone")
    time.sleep(0.5)
    assert waiting.poll() is None
    assert said(holder) == ""
    assert said(waiting) == "held\n"


@PLATFORMS
def test_two_builders_at_once_are_told_apart(tmp_path, platform):
    script = """
        from pathlib import Path
        from unweave.base.artifact import read_manifest
        from unweave.base.building import build
        from unweave.errors import ArtifactInUse
        try:
            with build(Path(sys.argv[1]), "words", settings={}, made_from={}) as made:
                (made.path / "within").mkdir()
                (made.path / "within" / "words.txt").write_text("abc")
                print("building", flush=True)
                sys.stdin.read()
        except ArtifactInUse as error:
            print(error)
        else:
            print(sorted(read_manifest(Path(sys.argv[1]), "words").files))
    """
    first = python(platform, script, tmp_path / "a")
    assert first.stdout.readline() == "building\n"
    refused = said(python(platform, script, tmp_path / "a"))
    assert refused.endswith(f" is writing {tmp_path / 'a'}; wait for it to end, or stop it\n")
    assert said(first) == "['within/words.txt']\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [".unweave", "config.json", "within"]


@PLATFORMS
def test_a_lock_that_was_moved_away_meanwhile_is_not_taken_for_the_one_at_its_place(tmp_path, platform):
    # A builder that ends moves its folder, lock and all, while another has opened that lock and waits for it.
    script = """
        from pathlib import Path
        from unweave.base import locks
        path = Path(sys.argv[1]) / "lock"
        path.parent.mkdir()
        lock = locks._lock

        def slowly(handle, **how):
            if path.parent.exists() and not path.parent.with_name("done").exists():
                path.parent.rename(path.parent.with_name("done"))
                path.parent.mkdir()
            lock(handle, **how)

        locks._lock = slowly
        with locks.take(path, wait=False) as held:
            print(os.path.samestat(os.fstat(held.fileno()), path.stat()))
    """
    assert said(python(platform, script, tmp_path / "partial")) == "True\n"


def test_the_package_says_where_it_runs():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    systems = [c for c in project["classifiers"] if c.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux", "Operating System :: MacOS"]
