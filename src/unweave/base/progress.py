"""Who watches long work: nobody in the library, a bar with rate and time left on the command line.

A watcher is told of every step, from whatever depth, and may raise to cancel: what was finished is kept, and the same
call goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

Advance = Callable[[int], object]


class Watch(Protocol):
    """Told how long work goes on."""

    def steps(self, label: str, total: int, unit: str, done: int) -> AbstractContextManager[Advance]:
        """Work of `total` units begins, `done` of which an earlier run has finished.

        Yields a function that is called with the number of units just finished; it may raise to cancel the work.
        """

    def say(self, line: str) -> None:
        """A line for a person."""


class _Silent:
    def steps(self, label: str, total: int, unit: str, done: int) -> AbstractContextManager[Advance]:
        return nullcontext(lambda _: None)

    def say(self, line: str) -> None:
        pass


SILENT: Watch = _Silent()
_watch: ContextVar[Watch] = ContextVar("unweave_watch", default=SILENT)
_innermost: ContextVar[Advance] = ContextVar("unweave_advance", default=lambda _: None)
"""Counts the work that was begun last."""


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Within this block, a watcher is told of long work."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


@contextmanager
def steps(label: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
    """Count `total` units of work, `done` of which an earlier run has finished; see `Watch.steps`."""
    outer = _innermost.get()
    with _watch.get().steps(label, total, unit, done) as advance:
        _innermost.set(advance)
        try:
            yield advance
        finally:
            _innermost.set(outer)


def heed() -> None:
    """Within a unit that takes seconds: whoever watches may cancel the work here too. Nothing is counted."""
    _innermost.get()(0)


def say(line: str) -> None:
    """Tell whoever watches how long work goes on."""
    _watch.get().say(line)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start
