"""Progress of long work: silent in the library, a bar with rate and time left on the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Advance = Callable[[int], None]

_shown: ContextVar[bool] = ContextVar("unweave_progress_shown", default=False)


@contextmanager
def shown() -> Iterator[None]:
    """Within this block, long work draws a bar on stderr."""
    token = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(token)


@contextmanager
def steps(label: str, total: int, unit: str, done: int = 0) -> Iterator[Advance]:
    """Count `total` units of work, `done` of which an earlier run has finished.

    Yields a function to call with the number of units just finished.
    """
    if not _shown.get():
        yield lambda _: None
        return
    from tqdm import tqdm

    # A bar appears once the work has lasted two seconds: shorter work needs none.
    with tqdm(
        total=total, initial=done, desc=f"  {label}", unit=f" {unit}", delay=2, mininterval=0.5, dynamic_ncols=True
    ) as bar:
        yield lambda n: (bar.update(n), None)[1]


def say(line: str) -> None:
    """Tell a person on the command line how long work goes on; silent in the library."""
    if _shown.get():
        from tqdm import tqdm

        tqdm.write(f"  {line}", file=sys.stderr)  # above the bar, if there is one


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start
