"""Work on a real Ray cluster whose workers are killed: nothing is lost, and errors are one line."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from itertools import chain

import pytest

from unweave.cluster import workers
from unweave.cluster.workers import CLUSTER, run, workers_on
from unweave.errors import BadData

ray = pytest.importorskip("ray", reason="needs Ray, see the extra `cluster`")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray's own


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two workers of this machine."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def once(tmp_path) -> Callable[[str], bool]:
    """Whether this is asked for the first time, wherever."""
    folder = str(tmp_path)

    def first(name: str) -> bool:
        try:
            os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    return first


def test_a_lost_worker_and_a_full_disk_cost_another_attempt(once) -> None:
    def work(item: int) -> int:
        if item == 1 and once("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 2 and once("full"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return item * item

    assert run(workers_on(CLUSTER), work, [1, 2, 3, 4], "squaring") == {1: 1, 2: 4, 3: 9, 4: 16}


def test_a_worker_that_is_always_lost_is_said_in_one_line(monkeypatch) -> None:
    def work(item: int) -> int:
        if item == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    monkeypatch.setattr(workers, "_LOST_WORKERS", 0)
    monkeypatch.setattr(workers, "ATTEMPTS", 1)
    with pytest.raises(BadData, match=r"1 of 2 shards failed, first 1: .*run the same command again") as raised:
        run(workers_on(CLUSTER), work, [1, 2], "losing")
    assert "\n" not in str(raised.value)


def test_what_the_data_are_to_blame_for_is_not_tried_again(once) -> None:
    def work(item: int) -> int:
        assert once(str(item))
        raise BadData("a line is none")

    with pytest.raises(BadData, match=r"2 of 2 shards failed, first .: a line is none"):
        run(workers_on(CLUSTER), work, [1, 2], "reading")


def test_a_reduction_goes_on_over_a_lost_worker_and_a_full_disk(once) -> None:
    def work(item: int) -> list[int]:
        if item == 3 and once("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 4 and once("full"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return [item]

    found = workers_on(CLUSTER).reduce(work, list(range(20)), lambda some: list(chain(*some)))
    assert found == list(range(20))


@pytest.mark.parametrize(
    ("raised", "said"),
    [(BadData("a line is none"), "^a line is none$"), (RuntimeError("a bug"), "a worker failed .*a bug.*again")],
)
def test_what_a_reduction_fails_of_is_one_error(raised, said) -> None:
    def work(item: int) -> list[int]:
        if item == 3:
            raise raised
        return [item]

    with pytest.raises(BadData, match=said) as found:
        workers_on(CLUSTER).reduce(work, list(range(20)), lambda some: list(chain(*some)))
    assert "\n" not in str(found.value)


def test_a_lost_worker_of_a_reduction_is_one_error(monkeypatch) -> None:
    def work(item: int) -> list[int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return [item]

    monkeypatch.setattr(workers, "_LOST_WORKERS", 0)
    with pytest.raises(BadData, match="a worker failed") as found:
        workers_on(CLUSTER).reduce(work, [1, 2], lambda some: list(chain(*some)))
    assert "\n" not in str(found.value)
