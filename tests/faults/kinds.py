"""The kinds of faults: each gives cases, and a case gives what is wrong after it."""

from __future__ import annotations

import errno
import random
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import powercut
from forked import Ended, forked
from questions import ERROR, MISSING, OK, PROJECT, TRACEBACK, Answers, answers
from toy import Said, command
from world import LOST, WRONG, Problem, Scenario, Undisturbed, World, evenly, problems

from unweave.stages.places import ARTIFACTS

_SAME_NAMES = (powercut.OPEN, powercut.SYNC, powercut.CLOSE, powercut.SYNC_ALL)
"""Events after which a folder is as before."""
_MEMORY = 2 << 30
_SECONDS = 60
_RUN = re.compile(rf"unweave ([a-z -]+?) {PROJECT}")


class Case(NamedTuple):
    """One fault."""

    name: str
    problems: Callable[[], list[Problem]]


def crashed(ended: Ended) -> list[Problem]:
    """What is wrong with how a child ended, if it gave no value."""
    if ended.killed_by:
        return [Problem(TRACEBACK, f"{signal.Signals(ended.killed_by).name} {ended.error}")]
    return [Problem(TRACEBACK, ended.error)] if ended.error else []


def judged(world: World, scenario: Scenario, of: Undisturbed, case: Path, said: Said | None) -> list[Problem]:
    """What is wrong in a case, found in a child; the case is removed."""
    ended = forked(lambda: problems(scenario, of, case, said), seconds=_SECONDS)
    world.done_with(case)
    return crashed(ended) or ended.value


# --- kills and full disks ---------------------------------------------------------------------------------------------


def kills(world: World, scenarios: list[Scenario], most: int) -> Iterator[Case]:
    """SIGKILL at each event that finds the folder otherwise than the one before, and in the middle of each write."""
    for scenario in scenarios:
        of = world.undisturbed(scenario)
        after = {event.number + 1 for event in of.log if event.op not in _SAME_NAMES}
        within = {event.number for event in of.log if event.op == powercut.WRITE}
        points = sorted(number for number in after | within if number <= of.events)
        for at in evenly(len(points), most):
            yield Case(f"{scenario.name}, killed at event {points[at - 1]}", _killed(world, scenario, points[at - 1]))


def _killed(world: World, scenario: Scenario, event: int) -> Callable[[], list[Problem]]:
    def found() -> list[Problem]:
        case = world.case(scenario.base)
        ended = _acted(world, scenario, case, lambda: world.shim.kill_at(event, torn=True))
        said = None if ended.killed_by == signal.SIGKILL and not ended.error else ended.value
        bad = [] if said is None else [Problem(WRONG, "it was not killed")]
        return bad + judged(world, scenario, world.undisturbed(scenario), case, said)

    return found


def _acted(world: World, scenario: Scenario, case: Path, disturb: Callable[[], None]) -> Ended:
    """The scenario, done by a child in the folder of a case that is watched and disturbed."""

    def work() -> Said:
        world.shim.watch(case)
        disturb()
        said = scenario.act(case)
        world.shim.watch(None)
        return said

    return forked(work, seconds=_SECONDS)


def disk_full(world: World, scenarios: list[Scenario], most: int) -> Iterator[Case]:
    """No room on the disk from each write on, or, one time in five, an error of the disk."""
    for scenario in scenarios:
        for i, at in enumerate(evenly(world.undisturbed(scenario).spaces, most)):
            error = errno.EIO if i % 5 == 4 else errno.ENOSPC
            name = f"{scenario.name}, {errno.errorcode[error]} from write {at} on"
            yield Case(name, _full(world, scenario, at, error))


def _full(world: World, scenario: Scenario, space: int, error: int) -> Callable[[], list[Problem]]:
    def found() -> list[Problem]:
        case = world.case(scenario.base)
        ended = _acted(world, scenario, case, lambda: world.shim.full_from(space, error))
        # What is called from Python raises an OSError, as it should; the command line shows it as one line.
        raised = re.search(r"^OSError.*|^\w+Error: \[Errno", ended.error, re.MULTILINE) and callable(scenario.run)
        said = Said(1, ended.error, "" if raised else ended.error) if ended.error else ended.value
        return crashed(ended) if ended.killed_by else judged(world, scenario, world.undisturbed(scenario), case, said)

    return found


# --- power cuts -------------------------------------------------------------------------------------------------------


def power_cuts(world: World, scenarios: list[Scenario], most: int) -> Iterator[Case]:
    """What disks may hold after a power cut, by every model after the end, and at other moments."""
    for nth, scenario in enumerate(scenarios):
        of = world.undisturbed(scenario)
        n = len(of.log)
        for i in range(most):
            model = powercut.MODELS[(nth + i) % len(powercut.MODELS)]
            at = n if i < len(powercut.MODELS) else random.Random(i).randrange(1, n + 1)
            name = f"{scenario.name}, power cut after {at} of {n} changes, {model}"
            yield Case(name, _cut(world, scenario, at, model, i))


def _cut(world: World, scenario: Scenario, at: int, model: str, seed: int) -> Callable[[], list[Problem]]:
    def found() -> list[Problem]:
        of = world.undisturbed(scenario)
        case = world.folder / f"cut-{scenario.name}-{seed}"
        of.replay.cut(at, model, random.Random(seed), case)
        done = Said(0, "", "") if at == len(of.log) else None
        return judged(world, scenario, of, case, done)

    return found


# --- flips ------------------------------------------------------------------------------------------------------------


def flips(world: World, each: int) -> Iterator[Case]:
    """Flipped bits in each file of each artefact, half of them among the first bytes: detected, or without effect."""
    project = world.folder / "whole" / "project"
    before = forked(lambda: answers(project, report=True)).value
    files = sorted({p for name in ARTIFACTS for p in (project / name).rglob("*") if p.is_file() and p.stat().st_size})
    for path in files:
        name = str(path.relative_to(project))
        chance = random.Random(name)
        size = path.stat().st_size
        for i in range(each):
            at = chance.randrange(min(size, 256) if i % 2 else size)
            yield Case(f"{name}, byte {at}, bit {i % 8}", _flipped(world, name, at, i % 8, before, i))


def _flipped(world: World, name: str, at: int, bit: int, before: Answers, nth: int) -> Callable[[], list[Problem]]:
    def found() -> list[Problem]:
        case = world.case("whole")
        path = case / "project" / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1 << bit
        path.write_bytes(data)
        try:
            return _asked_of_flipped(case / "project", before, nth)
        finally:
            world.done_with(case)

    return found


def _asked_of_flipped(project: Path, before: Answers, nth: int) -> list[Problem]:
    ended = forked(lambda: answers(project, report=nth % 16 == 0), seconds=_SECONDS, memory=_MEMORY)
    if bad := crashed(ended):
        return bad
    found, asked = [], ended.value
    for question, answer in asked.items():
        if answer.kind == TRACEBACK:
            found.append(Problem(TRACEBACK, f"{question}: {answer.said[-1500:]}"))
        elif answer.kind == OK and answer != before[question]:
            found.append(
                Problem(WRONG, f"{question}: {str(answer.said)[:500]} and not {str(before[question].said)[:500]}")
            )
    said = [answer.said for answer in asked.values() if answer.kind in (ERROR, MISSING)]
    if said and not found and nth % 8 == 1:
        found += _mended(project, before, said)
    return found


def _mended(project: Path, before: Answers, said: list[str]) -> list[Problem]:
    """Whether running what the errors say leads to the answers before, people's edits among them."""

    def work() -> tuple[list[Said], Answers]:
        advice, ran, asked = list(said), [], Answers()
        for _ in range(6):  # one thing is mended after another
            words = list(dict.fromkeys(of for one in advice for of in _RUN.findall(one)))
            if not words:
                break
            ran += [command(*of.split(), project) for of in words]
            asked = answers(project)
            advice = [answer.said for answer in asked.values() if answer.kind in (ERROR, MISSING)]
            if not advice or ran[-1].code:
                break
        return ran, asked or answers(project)

    ended = forked(work, seconds=_SECONDS, memory=_MEMORY)
    if bad := crashed(ended):
        return bad
    ran, asked = ended.value
    found = [Problem(TRACEBACK, f"mending: {one.traceback}") for one in ran if one.traceback]
    if not ran:
        return found  # what it says to do is no command, such as to make a new project
    unlike = {q: a for q, a in asked.items() if a != before[q]}
    if "history" in unlike and unlike["history"].kind == OK:
        found.append(Problem(LOST, f"edits are gone after what {said[0]!r} says: {unlike['history'].said}"))
    if any(answer.kind != OK for answer in unlike.values()):
        shown = {q: str(a.said)[:300] for q, a in unlike.items() if a.kind != OK}
        found.append(
            Problem(WRONG, f"what it says does not mend it: {said[0]}; then: {shown}; {[r.output for r in ran]}")
        )
    return found
