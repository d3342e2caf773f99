"""Other search engines, each run by its own code in a process, and mostly an environment, apart from ours.

    with Worker("scipy", data, out) as worker:
        answer = worker.ask(k=10, threads=1)

`serving` says what an engine is given and what it answers; `run_NAME.py` says what of the peer is run, and how.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environments import python_of
from numpy.typing import NDArray

HERE = Path(__file__).parent
OURS = "unweave"
LINES_OF_ERROR = 15


class Answer(NamedTuple):
    """What an engine found, and how fast."""

    seconds: list[float]
    """Of each query or, of several threads, of all together."""
    passages: NDArray[np.int64]
    """(n_queries, k); -1 where nothing was found."""
    resident_bytes: int


class Worker:
    """An engine with its index in a process of its own, which stands still while others are measured."""

    def __init__(self, engine: str, data: Path, out: Path) -> None:
        """Start it; its index is built, unless it is there, and opened.

        Raises:
            RuntimeError: it failed; with its last words.
        """
        name, *kind = engine.split()
        environment = HERE / f"requirements-{name}.txt"
        if not environment.exists():
            environment = HERE / "requirements-shared.txt"
        python = sys.executable if name == OURS else python_of(environment)
        out.mkdir(parents=True, exist_ok=True)
        self.engine, self._out = engine, out
        self._errors = (out / "errors.txt").open("w+", encoding="utf-8")
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        command = [python, HERE / f"run_{name}.py", data, out, *kind]
        environ = _without_ours() | threads
        if not (out / "built.json").exists():  # by a process of its own, whose memory is not that of searching
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._errors, env=environ
            )
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            start_new_session=True, env=environ,
        )  # fmt: skip
        self.about: dict[str, Any] = self._answer()

    def ask(self, k: int, threads: int, setting: Any = None) -> Answer:
        """All queries, once."""
        os.killpg(self._process.pid, signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"k": k, "threads": threads, "setting": setting}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return Answer(answer["seconds"], np.load(self._out / "answers.npy"), answer["resident_bytes"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # some engines print of their own
                os.killpg(self._process.pid, signal.SIGSTOP)
                return dict(json.loads(line))
        self._process.wait()
        self._errors.seek(0)
        last = "".join(self._errors.readlines()[-LINES_OF_ERROR:])
        raise RuntimeError(f"{self.engine} ended with exit status {self._process.returncode}; its last words:\n{last}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself, with the error that is under way
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()


def _without_ours() -> dict[str, str]:
    """The environment, without what would lead Python to our packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
