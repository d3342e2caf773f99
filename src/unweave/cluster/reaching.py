"""How a holder of shards is asked: in this process, or in a worker of its own on a Ray cluster."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from unweave.cluster.holding import Holder
from unweave.cluster.store import Store
from unweave.cluster.workers import actor
from unweave.config import HERE

_AT_ONCE = 4
"""Calls that a holder in this process works on at a time, or as many as there are cores."""


class WorkerGone(Exception):
    """A holder does not live any more, or cannot be reached."""


class Reached(Protocol):
    """A holder, wherever it is."""

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        """Call one of its methods, see `result`."""

    def result(self, future: Future[Any], timeout: float | None = None) -> Any:
        """What a call gave, or the error that it raised.

        Raises:
            WorkerGone: there is nobody who could answer.
            TimeoutError: it has not answered within `timeout` seconds.
        """

    def end(self) -> None:
        """Let it go, with all that it holds."""


class InThisProcess:
    """A holder that threads of this process ask."""

    def __init__(self, *arguments: Any) -> None:
        self._holder = Holder(*arguments)
        self._threads = ThreadPoolExecutor(max(_AT_ONCE, os.cpu_count() or 1), "unweave-holder")

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        try:
            return self._threads.submit(getattr(self._holder, method), *arguments)
        except RuntimeError:
            ended: Future[Any] = Future()
            ended.set_exception(WorkerGone("the search was closed"))
            return ended

    def result(self, future: Future[Any], timeout: float | None = None) -> Any:
        return future.result(timeout)

    def end(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Served:
    """A holder in a worker of its own."""

    def __init__(self, store: Store, profile: str) -> None:
        self._holder = Holder(store, profile)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the holder."""
        return getattr(self._holder, method)(*arguments)


class OnRay:
    """A holder in a worker of its own."""

    def __init__(self, *arguments: Any) -> None:
        self._actor = actor(Served, *arguments)

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        future: Future[Any] = self._actor.call.remote(method, *arguments).future()
        return future

    def result(self, future: Future[Any], timeout: float | None = None) -> Any:
        from ray.exceptions import RayError, RayTaskError

        try:
            return future.result(timeout)
        except RayTaskError as error:
            raise error.cause from error
        except RayError as error:
            raise WorkerGone(f"its worker is gone ({type(error).__name__})") from error

    def end(self) -> None:
        self._actor.__ray_terminate__.remote()


def reach(on: str, store: Store, profile: str) -> Reached:
    """A new holder.

    Args:
        on: where it is to be, see `workers.workers_on`.
    """
    return InThisProcess(store, profile) if on == HERE else OnRay(store, profile)
