"""A few dozen faults of each kind, and the replay of power cuts by hand. All of them: make faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import powercut
import preloaded
import pytest
import run
from powercut import CREATE, EMPTY, MKDIR, MODELS, RENAME, SYNC, SYNCED, UNLINK, WHOLE, WRITE, ZEROS, Event, Replay

HERE = Path(__file__).parent
needs_compiler = pytest.mark.skipif(preloaded.missing() is not None, reason=str(preloaded.missing()))


# --- power cuts, by hand ----------------------------------------------------------------------------------------------


def replayed(folder: Path, *events: Event) -> Replay:
    replay = Replay(folder)
    replay.happened(events)
    return replay


def cut(replay: Replay, at: int, model: str, to: Path, seed: int = 0) -> dict[str, bytes]:
    replay.cut(at, model, Random(seed), to)
    return {str(p.relative_to(to)): p.read_bytes() for p in sorted(to.rglob("*")) if p.is_file()}


def event(op: int, first: str = "", second: str = "", inode: int = 0, offset: int = 0, data: bytes = b"") -> Event:
    return Event(op, first, second, inode, offset, data)


@pytest.fixture
def replaced(tmp_path):
    """`a` is replaced as a careless program does it: the new file is written and renamed, and nothing is synced."""
    folder = tmp_path / "before"
    folder.mkdir()
    (folder / "a").write_bytes(b"old")
    return replayed(
        folder,
        event(CREATE, "b", inode=10**18),
        event(WRITE, "b", inode=10**18, data=b"newer"),
        event(RENAME, "b", "a"),
    )


def test_what_was_not_synced_may_be_lost(replaced, tmp_path):
    assert cut(replaced, 3, SYNCED, tmp_path / "synced") == {"a": b"old"}
    assert cut(replaced, 3, WHOLE, tmp_path / "whole") == {"a": b"newer"}


def test_a_name_may_be_on_the_disk_before_its_file(replaced, tmp_path):
    assert cut(replaced, 3, EMPTY, tmp_path / "empty") == {"a": b""}
    assert cut(replaced, 3, ZEROS, tmp_path / "zeros") == {"a": bytes(5)}


def test_a_cut_before_an_event_knows_nothing_of_it(replaced, tmp_path):
    assert cut(replaced, 2, WHOLE, tmp_path / "whole") == {"a": b"old", "b": b"newer"}


def test_what_was_synced_in_the_right_order_is_there_by_every_model(tmp_path):
    folder = tmp_path / "before"
    folder.mkdir()
    (folder / "a").write_bytes(b"old")
    replay = replayed(
        folder,
        event(CREATE, "b", inode=10**18),
        event(WRITE, "b", inode=10**18, data=b"newer"),
        event(SYNC, "b", inode=10**18),
        event(RENAME, "b", "a"),
        event(SYNC, "", inode=folder.stat().st_ino),
    )
    for number, model in enumerate(MODELS * 5):
        assert cut(replay, 5, model, tmp_path / f"{number}", seed=number) == {"a": b"newer"}, model
        found = cut(replay, number % 5, model, tmp_path / f"{number}-earlier", seed=number)
        assert found["a"] in (b"old", b"newer"), model


def test_an_old_folder_that_is_removed_before_the_new_one_is_synced_may_leave_neither(tmp_path):
    # C1: x.partial takes the place of x, and the old files go at once. In the weak order they may go alone.
    folder = tmp_path / "before"
    (folder / "x").mkdir(parents=True)
    (folder / "x" / "f").write_bytes(b"old")
    replay = replayed(
        folder,
        event(MKDIR, "x.partial", inode=10**18),
        event(CREATE, "x.partial/f", inode=10**18 + 1),
        event(WRITE, "x.partial/f", inode=10**18 + 1, data=b"new"),
        event(RENAME, "x", "x.old"),
        event(RENAME, "x.partial", "x"),
        event(UNLINK, "x.old/f"),
    )
    found = [cut(replay, 6, powercut.WEAK, tmp_path / f"{seed}", seed=seed) for seed in range(40)]
    assert any(b"old" not in files.values() and b"new" not in files.values() for files in found)


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # a minute; `make faults` tries thousands
@needs_compiler
def test_nothing_is_lost_wrong_or_a_traceback_after_a_few_faults_of_each_kind():
    done = subprocess.run([sys.executable, HERE / "run.py", "--quick", "--jobs", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert (counts["lost"], counts["wrong"], counts["tracebacks"]) == (0, 0, 0), done.stderr
    assert all(counts[kind] > 2 for kind in run.KINDS)
