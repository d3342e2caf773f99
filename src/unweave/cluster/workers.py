"""Where work runs: in this process, or on the workers of a Ray cluster.

Ray schedules, moves results, and runs again what was on a worker that was lost. What is left to decide here is which
errors are worth another attempt: those of a machine, such as a full disk, and never those of the data, which every
machine would meet.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from unweave.base import progress
from unweave.base.plain import plain
from unweave.config import HERE
from unweave.errors import BadData, MissingExtra, UnweaveError

CLUSTER = "cluster"
ATTEMPTS = 3
"""Times that a shard is tried where a machine's error stopped it."""
_LOST_WORKERS = 20
"""Times that Ray runs a task again whose worker was lost."""
_IN_FLIGHT = 1000
"""Tasks that are given to Ray at a time."""
FAN_IN = 16
"""Results that one task of a reduction brings together."""

Item = TypeVar("Item", bound=Hashable)
Result = TypeVar("Result")


class Failed(NamedTuple):
    """Work on one item that ended in an error."""

    said: str
    again: bool
    """Whether another machine, or another time, may do better."""


class Ended(NamedTuple, Generic[Item, Result]):
    """Work on one item that ended."""

    item: Item
    result: Result | Failed


class Workers(Protocol):
    """Runs a function on many items."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Ended[Item, Result]]:
        """What came of each item, in whatever order they end."""

    def reduce(
        self, work: Callable[[Item], Result], items: Sequence[Item], combine: Callable[[Sequence[Result]], Result]
    ) -> Result:
        """The results of all items brought together, some at a time, and never all in one place.

        Args:
            combine: of results in the order of their items, what stands for all of them; it may be applied to what it
                gave, and gives the same however they are grouped.

        Raises:
            UnweaveError, OSError: of the first item that failed.
        """


class Here:
    """This process, one item after another."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Ended[Item, Result]]:
        return (Ended(item, attempt(work, item)) for item in items)

    def reduce(
        self, work: Callable[[Item], Result], items: Sequence[Item], combine: Callable[[Sequence[Result]], Result]
    ) -> Result:
        found: Result | None = None
        for item in items:
            new = work(item)
            found = combine([new]) if found is None else combine([found, new])
        assert found is not None
        return found


class Ray:
    """The workers of a Ray cluster."""

    def __init__(self, cpus: float, gpus: float) -> None:
        """Workers that each take so much of a machine."""
        self._ray = _ray()
        self._taken = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": _LOST_WORKERS, "max_calls": 0}

    def map(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Ended[Item, Result]]:
        run = self._ray.remote(**self._taken, scheduling_strategy="SPREAD")(attempt)
        given = self._ray.put(work)
        todo = iter(items)
        running = {run.remote(given, item): item for item in islice(todo, _IN_FLIGHT)}
        try:
            while running:
                ended, _ = self._ray.wait(list(running), num_returns=1, timeout=1.0)
                progress.heed()
                for one in ended:
                    item = running.pop(one)
                    running |= {run.remote(given, item): item for item in islice(todo, 1)}
                    yield Ended(item, self._got(one))
        finally:
            for one in running:
                self._ray.cancel(one, force=True)

    def reduce(
        self, work: Callable[[Item], Result], items: Sequence[Item], combine: Callable[[Sequence[Result]], Result]
    ) -> Result:
        run = self._ray.remote(**self._taken, retry_exceptions=[OSError], scheduling_strategy="SPREAD")(
            lambda item: work(item)
        )
        bring = self._ray.remote(**self._taken)(lambda *some: combine(some))
        found = [run.remote(item) for item in items]
        while len(found) > 1:
            found = [bring.remote(*found[i : i + FAN_IN]) for i in range(0, len(found), FAN_IN)]
        try:
            while not self._ray.wait(found, timeout=1.0)[0]:
                progress.heed()
            result: Result = self._ray.get(found[0])
        except self._ray.exceptions.RayError as error:  # others are not cancelled: Ray 2.60 may abort this process then
            raise self._plainly(error) from error
        return result

    def _plainly(self, error: Exception) -> Exception:
        """What was raised on a worker, or that there is none any more."""
        while isinstance(error, self._ray.exceptions.RayTaskError) and error.cause is not None:
            error = error.cause
        if isinstance(error, UnweaveError):
            return error
        return BadData(f"a worker failed ({_last_line(error)}); run the same command again")

    def _got(self, one: Any) -> Any:
        try:
            return self._ray.get(one)
        except (self._ray.exceptions.RayError, OSError) as error:  # its worker was lost too often, or it
            return Failed(_last_line(error), again=True)


def _last_line(error: Exception) -> str:
    return plain((str(error).strip().splitlines() or [type(error).__name__])[-1], 300)


def attempt(work: Callable[[Item], Result], item: Item) -> Result | Failed:
    """Do it; an error of the data, or of this machine, is a result too."""
    try:
        return work(item)
    except UnweaveError as error:
        return Failed(str(error), again=False)
    except OSError as error:
        return Failed(plain(f"{type(error).__name__}: {error}", 300), again=True)


def run(workers: Workers, work: Callable[[Item], Result], items: Sequence[Item], label: str) -> dict[Item, Result]:
    """The result of every item; what a machine's error stopped is tried again when all others have ended.

    Raises:
        BadData: some items failed; it says how many and what the first error was. What the others made is kept.
    """
    results: dict[Item, Result] = {}
    todo, failed = list(items), dict[Item, Failed]()
    with progress.steps(label, total=len(items), unit="shards") as advance:
        for _ in range(ATTEMPTS):
            again = []
            for item, result in workers.map(work, todo):
                if not isinstance(result, Failed):
                    results[item] = result
                    advance(1)
                    failed.pop(item, None)
                    continue
                failed[item] = result
                if result.again:
                    again.append(item)
            todo = again
            if not todo:
                break
    if failed:
        first = next(iter(failed))
        raise BadData(
            f"{label}: {len(failed):,} of {len(items):,} shards failed, first {first}: {failed[first].said}. What the "
            "others made is kept; run the same command again"
        )
    return {item: results[item] for item in items}


def workers_on(on: str, *, cpus: float = 1, gpus: float = 0) -> Workers:
    """Where work is to run.

    Args:
        on: `here`, in this process; `cluster`, the Ray cluster that RAY_ADDRESS names or that runs on this machine, and
            a new one of this machine's processors where there is none; or the address of one, such as ray://HOST:10001.
        cpus, gpus: what a worker takes of a machine.

    Raises:
        MissingExtra: Ray is not installed.
        BadData: there is no cluster at that address.
    """
    if on == HERE:
        return Here()
    join(on)
    return Ray(cpus, gpus)


def join(on: str) -> None:
    """Make this process part of a Ray cluster, unless it is, or nothing is to run there; see `workers_on`."""
    if on == HERE or (ray := _ray()).is_initialized():
        return
    address = None if on == CLUSTER else on
    try:
        ray.init(address=address, log_to_driver=False, include_dashboard=None, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise BadData(
            f"there is no Ray cluster at {plain(str(address), 100)} ({plain(str(error), 200)}); give '{CLUSTER}', or "
            "the address of one, such as ray://HOST:10001"
        ) from error


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("working on a cluster", "cluster") from error
    return ray


def actor(kind: type, *arguments: Any) -> Any:
    """An object that lives in a worker of its own; each call of a method gives a reference to what it will give."""
    return _ray().remote(num_cpus=0, max_concurrency=4, scheduling_strategy="SPREAD")(kind).remote(*arguments)
