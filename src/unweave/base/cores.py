"""The processors that this process may use, and whether it is one of several."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from unweave.base.progress import heed


def launched() -> bool:
    """Whether `torchrun` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_helper() -> bool:
    """Whether this process works beside a first one, which alone writes files and speaks."""
    return launched() and int(os.environ["RANK"]) > 0


T = TypeVar("T")
R = TypeVar("R")


def n_cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux: others have no say in where a process runs
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_thread = threading.local()


def _mark() -> None:
    _thread.is_ours = True


_pool = cache(lambda n: ThreadPoolExecutor(n, thread_name_prefix="unweave", initializer=_mark))
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive one


def on_every_core(work: Callable[[T], R], pieces: Iterable[T]) -> list[R]:
    """`work` done on each piece, several at once; results in order, the first error raised.

    It can be cancelled between pieces. Work that is already done beside other work does its own pieces itself: it would
    wait for threads that wait for it.
    """
    cores, all_pieces = n_cores(), list(pieces)
    if cores == 1 or len(all_pieces) < 2 or getattr(_thread, "is_ours", False):
        return [_heeding(work(piece)) for piece in all_pieces]
    doing = [_pool(cores).submit(work, piece) for piece in all_pieces]
    try:
        return [_heeding(one.result()) for one in doing]
    except BaseException:  # of a piece, or the work is cancelled: no further piece is begun
        for one in doing:
            one.cancel()
        raise


def _heeding(result: R) -> R:
    heed()
    return result


def spans(n: int, size: int) -> list[tuple[int, int]]:
    """0 to n cut into runs of at most `size`: [(0, size), (size, 2 size), …]."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]
