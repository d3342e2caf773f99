"""Long work in a thread beside the server: watched step by step, cancelled between steps, and gone on with later.

A job works on a project of its own, opened anew on the same folder, so that what it makes is seen by the held one as
what another process made is. What it finished stays on the disk; of jobs themselves nothing is kept there.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from unweave.base import progress
from unweave.base.failures import sentence_of
from unweave.base.plain import plain
from unweave.base.progress import Advance
from unweave.concepts.namers.language_model import LanguageModelNamer
from unweave.errors import ArtifactInUse, NotThere
from unweave.language.spending import Spent
from unweave.project import Project
from unweave.server import shapes
from unweave.server.work import KINDS, check, command_of

logger = logging.getLogger(__name__)

_State = Literal["running", "cancelling", "cancelled", "done", "failed"]
KEPT = 50
"""Jobs that are remembered, the last ones."""
_LINES, _STEPS = 100, 100
"""Of a job that are remembered, the last ones."""
_LONGEST_LABEL = 100


def jobs_of(project: Project) -> Jobs:
    """The jobs of a project that is held open."""
    return project.kept("jobs", [], lambda: Jobs(project))


class Jobs:
    """Begins jobs, one at a time, and remembers the last ones."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._jobs: deque[_Job] = deque(maxlen=KEPT)
        self._beginning, self._foretelling = threading.Lock(), threading.Lock()

    def begin(self, asked: shapes.BeginJob) -> shapes.Job:
        """Begin a job.

        Raises:
            ArtifactInUse: another one runs.
            BadData: it is asked for with what is another kind's.
        """
        check(asked)
        with self._beginning:
            running = next((job for job in self._jobs if job.runs), None)
            if running is not None:
                raise ArtifactInUse(f"the job {running.kind!r} is running; wait for it to end, or cancel it")
            job = _Job(self._project, asked)
            self._jobs.append(job)
            job.start()
        return job.shape()

    def all(self) -> list[shapes.Job]:
        """All that are remembered, the last first."""
        return [job.shape() for job in reversed(list(self._jobs))]

    def job(self, job_id: str) -> shapes.Job:
        """How far a job is."""
        return self._of(job_id).shape()

    def cancel(self, job_id: str) -> shapes.Job:
        """Have a job stop at its next step; one that has ended stays as it is."""
        job = self._of(job_id)
        job.cancel()
        return job.shape()

    def forecast(self, most: int | None) -> list[str]:
        """What naming by the language model would take and cost, a sentence each; nothing is sent.

        One after the other: the first gathers the evidence, and whoever asks meanwhile for other numbers needs it too.
        """
        with self._foretelling:
            return [plain(line) for line in self._project.forecast(most=most).said()]

    def stop(self, seconds: float) -> None:
        """Cancel what runs, and wait for it so long."""
        for job in list(self._jobs):
            job.cancel()
            job.join(seconds)

    def _of(self, job_id: str) -> _Job:
        found = next((job for job in self._jobs if job.id == job_id), None)
        if found is None:
            raise NotThere(f"there is no job {job_id!r}; a server remembers its last {KEPT}")
        return found


class _Cancelled(Exception):
    """Raised where a job is told how far it is, when it is to stop."""


class _Job:
    """One job, and who watches it."""

    def __init__(self, project: Project, asked: shapes.BeginJob) -> None:
        self.id, self.kind = secrets.token_hex(4), asked.kind
        self._project, self._asked = project, asked
        self._state: _State = "running"
        self._began = _now()
        self._ended: str | None = None
        self._steps: deque[_Step] = deque(maxlen=_STEPS)
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._result: list[str] = []
        self._error: str | None = None
        self._cancel = threading.Event()
        self._changing = threading.Lock()
        self._before = project.spent
        self._final: Spent | None = None
        self._thread = threading.Thread(target=self._work, name=f"unweave {self.kind}", daemon=True)

    @property
    def runs(self) -> bool:
        return self._ended is None

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def cancel(self) -> None:
        with self._changing:
            if self._state == "running":
                self._state = "cancelling"
                self._cancel.set()

    def shape(self) -> shapes.Job:
        cost = self._cost() if self.runs else self._final
        with self._changing:
            return shapes.Job(
                id=self.id, kind=self.kind, state=self._state, began=self._began, ended=self._ended,
                steps=[shapes.Progress(**asdict(step)) for step in self._steps], lines=list(self._lines),
                result=self._result, error=self._error, asked=self._asked,
                command=command_of(self._project, self._asked),
                spent=spent_shape(self._project, cost),
            )  # fmt: skip

    def _cost(self) -> Spent | None:
        """What this job has cost so far; None of one that asks no language model."""
        if self._asked.namer != LanguageModelNamer.namer or (now := self._project.spent) is None:
            return None
        before = self._before or Spent(0.0, 0, 0, 0, 0)
        return Spent(
            now.cost - before.cost, now.requests - before.requests, now.open - before.open,
            now.input_tokens - before.input_tokens, now.output_tokens - before.output_tokens,
        )  # fmt: skip

    # --- told from within the work ----------------------------------------------------------------

    @contextmanager
    def steps(self, label: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        """Count work; raises `_Cancelled` where it is to stop."""
        step = _Step(plain(label, _LONGEST_LABEL), unit, done, total)
        with self._changing:
            self._steps.append(step)

        def advance(n: int) -> None:
            with self._changing:
                step.done += n
            self._stop_if_cancelled()

        self._stop_if_cancelled()
        yield advance

    def say(self, line: str) -> None:
        """Keep a line."""
        with self._changing:
            self._lines.append(plain(line))

    def _stop_if_cancelled(self) -> None:
        if self._cancel.is_set():
            raise _Cancelled

    # --- in its thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with progress.watched(self):
                result = KINDS[self.kind].work(copy(self._project), self._asked)
            for line in result:
                self.say(line)
            self._end("done", result=result)
        except _Cancelled:
            self._end("cancelled")
        except BaseException as error:  # whatever it is: a job that never ends keeps all others from beginning
            said = sentence_of(error)
            if said is None:
                logger.exception("the job %s failed", self.kind)
                said = f"something went wrong here ({type(error).__name__}); the terminal that serves says what"
            self._end("failed", said)

    def _end(self, state: _State, error: str | None = None, result: Sequence[str] = ()) -> None:
        cost = self._cost()
        with self._changing:
            self._state, self._error, self._ended, self._final = state, error, _now(), cost
            self._result = [plain(line) for line in result[:_LINES]]


@dataclass
class _Step:
    """How far one step of a job is."""

    label: str
    unit: str
    done: int
    total: int


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def spent_shape(project: Project, spent: Spent | None) -> shapes.Spent | None:
    """What a language model was asked and cost, beside the cap of the settings."""
    if spent is None:
        return None
    return shapes.Spent(
        requests=spent.requests, input_tokens=spent.input_tokens, output_tokens=spent.output_tokens, cost=spent.cost,
        most=project.settings.language_model.cap,
    )  # fmt: skip
