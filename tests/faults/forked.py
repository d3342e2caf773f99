"""Work done in a forked child, so that a case takes the time of its work and not that of a hundred imports."""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Ended(NamedTuple):
    """How a child ended."""

    value: Any
    """What its work returned; None if it did not return."""
    killed_by: int | None
    """The signal that ended it."""
    error: str
    """The traceback of what its work raised, or what else is wrong with how it ended; empty: nothing."""


class Child:
    """A child at work."""

    def __init__(self, work: Callable[[], Any], *, memory: int | None = None) -> None:
        """Fork and begin.

        Args:
            memory: bytes of address space that it may take beyond what this process has.
        """
        self._said = tempfile.TemporaryFile()
        self._answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _child(work, answer, self._said.fileno(), memory)
        os.close(answer)

    def wait(self, seconds: float) -> Ended:
        """Until it ends, or kill it after so long."""
        answer, until = b"", time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self._answer], [], [], max(0, until - time.monotonic()))
            part = os.read(self._answer, 1 << 20) if ready else b""
            answer += part
            if not part:
                break
        late = not ready
        if late:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._answer)
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self._said.close()
        killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        if late:
            return Ended(None, killed_by, f"it did not end within {seconds:g} s")
        value, error = pickle.loads(answer) if answer else (None, "" if killed_by else f"no answer; it said: {said}")
        return Ended(value, killed_by, error)

    def ended_within(self, seconds: float) -> bool:
        """Whether it ends within so many seconds, or has answered."""
        return bool(select.select([self._answer], [], [], seconds)[0])


def forked(work: Callable[[], Any], *, seconds: float = 120, memory: int | None = None) -> Ended:
    """Do some work in a child and wait for it."""
    return Child(work, memory=memory).wait(seconds)


def _child(work: Callable[[], Any], answer: int, said: int, memory: int | None) -> None:
    code = 1
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        if memory is not None:
            limit = _address_space() + memory
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            result = (work(), "")
        except BaseException:
            result = (None, traceback.format_exc())
        sent = memoryview(pickle.dumps(result))
        while sent:
            sent = sent[os.write(answer, sent) :]
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
