"""The scenarios, what each does undisturbed, and what may be found after it was disturbed."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import toy
from forked import forked
from held import DATABASE, Unit, Units, aside, held, names
from powercut import Event, Replay, read
from preloaded import Shim
from questions import ERROR, MISSING, OK, TRACEBACK, Answers, answers
from toy import Said, command, filled

LOST, WRONG = "lost", "wrong"
SETTINGS = "unweave.toml"


class Problem(NamedTuple):
    """Something that may not be."""

    kind: str
    """lost, wrong or traceback."""
    what: str


class Scenario(NamedTuple):
    """One command on a project."""

    name: str
    run: tuple[str, ...] | Callable[[Path], Said]
    """The words of the command, or what does it to a case."""
    base: str = "whole"
    """What is there before."""
    in_steps: bool = False
    """It keeps what it has done so far, so that some concepts may be new and others old."""
    once: bool = False
    """To run it again is another thing: done, it is not run again."""

    def act(self, case: Path) -> Said:
        """Do it."""
        return self.run(case) if callable(self.run) else command(*filled(self.run, case))


class Undisturbed(NamedTuple):
    """What a scenario finds and makes."""

    old: Units
    new: Units
    asked_before: Answers
    asked_after: Answers
    names_after: Counter[str]
    aside: dict[str, str]
    events: int
    spaces: int
    log: list[Event]
    replay: Replay


class World:
    """The bases of all scenarios, in a folder that goes away."""

    def __init__(self, shim: Shim) -> None:
        self.shim = shim
        self._aside = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.folder = Path(self._aside.name).resolve()
        self._numbers = itertools.count()
        self._undisturbed: dict[str, Undisturbed] = {}
        self._kept: dict[str, Any] = {}
        toy.use_toy_encoder()
        toy.make_whole(self.folder / "whole")
        toy.make_inputs(self.folder / "nothing" / "inputs")
        toy.make_guard(self.folder / "nothing" / "guard")
        (self.folder / "nothing" / "out").mkdir()
        answers(self.folder / "whole" / "project")  # once here: what is compiled or read once, every child has
        gc.collect()
        gc.freeze()  # what is here stays: no collection goes through it, here or in a child

    def close(self) -> None:
        """Remove everything."""
        self._aside.cleanup()

    def base(self, name: str, change: Callable[[Path], None] | None = None, of: str = "whole") -> Path:
        """The folder of a base; a new one is a copy of another that is then changed, in a child."""
        folder = self.folder / name
        if not folder.exists() and change is not None:
            shutil.copytree(self.folder / of, folder, symlinks=True)
            ended = forked(lambda: change(folder))
            if ended.error or ended.killed_by:
                raise RuntimeError(ended.error)
        return folder

    def kept(self, key: str, make: Callable[[], Any]) -> Any:
        """Something that is made once."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def case(self, base: str) -> Path:
        """A copy of a base, to be changed."""
        case = self.folder / f"case-{next(self._numbers)}"
        shutil.copytree(self.folder / base, case, symlinks=True)
        return case

    def done_with(self, case: Path) -> None:
        """Remove a case."""
        shutil.rmtree(case)

    def undisturbed(self, scenario: Scenario) -> Undisturbed:
        """What a scenario does when nothing disturbs it."""
        if scenario.name not in self._undisturbed:
            case = self.case(scenario.base)
            ended = forked(lambda: _undisturbed(self.shim, scenario, case))
            if ended.error or ended.killed_by:
                raise RuntimeError(f"{scenario.name}: {ended.error or ended.killed_by}")
            self._undisturbed[scenario.name] = ended.value
            self.done_with(case)
        return self._undisturbed[scenario.name]


def _undisturbed(shim: Shim, scenario: Scenario, case: Path) -> Undisturbed:
    old, asked, theirs = held(case), answers(case / "project"), aside(case)
    replay = Replay(case)
    with tempfile.TemporaryFile() as log:
        shim.watch(case)
        shim.log_to(log.fileno())
        done = scenario.act(case)
        events, spaces = shim.events, shim.spaces
        shim.watch(None)
        log.seek(0)
        happened = read(log.read(), case)
    if done.code:
        raise RuntimeError(f"{done.output}{done.traceback}")
    after = names(case)
    replay.happened(happened)
    new, asked_after = held(case), answers(case / "project")
    return Undisturbed(old, new, asked, asked_after, after, theirs, events, spaces, happened, replay)


# --- what may be found ------------------------------------------------------------------------------------------------


def problems(scenario: Scenario, of: Undisturbed, case: Path, said: Said | None) -> list[Problem]:
    """What is wrong in a case after it was disturbed, and after the same was then done again undisturbed.

    Args:
        said: what the command said; None: it was killed.
    """
    found = []
    if said is not None and said.traceback:
        found.append(Problem(TRACEBACK, said.traceback))
    done = said is not None and said.code == 0
    asked = answers(case / "project")
    found += _of_answers(scenario, of, asked, done=done)
    units = held(case)
    found += _of_units(scenario, of, units, done=done)
    found += _of_aside(of, case)
    if said is not None and said.code and units.get(SETTINGS) != of.old.get(SETTINGS):
        found.append(Problem(WRONG, "the settings of a command that failed are kept"))
    if scenario.once and units == of.new:
        return found
    _two_days_later(case)
    again = scenario.act(case)
    if again.traceback:
        found.append(Problem(TRACEBACK, f"run again: {again.traceback}"))
    elif again.code and not (done or units == of.new):
        found.append(Problem(WRONG, f"run again, it says: {again.output}"))
    if again.code == 0 or units == of.new:
        found += [p._replace(what=f"run again: {p.what}") for p in _after_all(scenario, of, case)]
    return found + _of_aside(of, case)


def _two_days_later(case: Path) -> None:
    """Make old what a killed command was filling: until then it may be another's that is still at work."""
    for path in case.rglob(".*.unweave*"):
        if not path.is_symlink():
            os.utime(path, times=(time.time() - 48 * 3600,) * 2)


def _after_all(scenario: Scenario, of: Undisturbed, case: Path) -> list[Problem]:
    left = sorted(names(case) - of.names_after)
    return [
        *([Problem(WRONG, f"left behind: {', '.join(left)}")] if left else []),
        *_of_answers(scenario, of, answers(case / "project"), done=True),
        *_of_units(scenario, of, held(case), done=True),
    ]


def _of_answers(scenario: Scenario, of: Undisturbed, asked: Answers, *, done: bool) -> list[Problem]:
    found = []
    for question, answer in asked.items():
        allowed = [of.asked_after.get(question)] + ([] if done else [of.asked_before.get(question)])
        # Of what is missing or stale, which of several things is said first may differ.
        if answer in allowed or (answer.kind == MISSING and not (done and OK in {a.kind for a in allowed if a})):
            continue
        if answer.kind == OK and scenario.in_steps and not done:
            continue  # some concepts are named and others are not; their rows are compared one by one
        kind = {TRACEBACK: TRACEBACK, ERROR: LOST, MISSING: LOST}.get(answer.kind, WRONG)
        found.append(Problem(kind, f"{question}: {str(answer.said)[-1500:]}"))
    return found


def _of_units(scenario: Scenario, of: Undisturbed, units: Units, *, done: bool) -> list[Problem]:
    found = []
    for name in sorted(of.old.keys() | of.new.keys()):  # other names have to be gone after the next run
        allowed = [of.new.get(name)] + ([] if done else [of.old.get(name)])
        there = units.get(name)
        if there in allowed or (not done and scenario.in_steps and _between(there, of.old.get(name), of.new.get(name))):
            continue
        found.append(Problem(LOST, f"{name} is {_unlike(there, allowed[-1])}{' although it was done' if done else ''}"))
    return found


_FOLLOWS = (("made_from", "names"), ("made_from", "judged names"))


def _between(there: Unit | None, old: Unit | None, new: Unit | None) -> bool:
    """Whether a database has each row as it was or as it will be, and all that are in both.

    Relations and judgements follow from the names, and are worked out again at the next run, which is compared whole.
    """
    if there is None or old is None or new is None or DATABASE not in there:
        return False
    if not all(isinstance(one[DATABASE], frozenset) for one in (there, old, new)):
        return False
    rows, before, after = (
        {row for row in one[DATABASE] if row[0] not in ("related", "scores") and row[:2] not in _FOLLOWS}
        for one in (there, old, new)
    )
    return before & after <= rows <= before | after


def _unlike(there: Unit | None, allowed: Unit | None) -> str:
    if there is None or allowed is None:
        return "gone" if there is None else "there"
    differing = [name for name in there.keys() | allowed.keys() if there.get(name) != allowed.get(name)]
    said = [f"{name} ({there[name]})" if str(there.get(name)).startswith("damaged") else name for name in differing]
    if DATABASE in differing and isinstance(there[DATABASE], frozenset) and isinstance(allowed[DATABASE], frozenset):
        said += [f"lacks {sorted(map(str, allowed[DATABASE] - there[DATABASE]))[:3]}"]
        said += [f"has {sorted(map(str, there[DATABASE] - allowed[DATABASE]))[:3]}"]
    return f"another: {', '.join(said)}"


def _of_aside(of: Undisturbed, case: Path) -> list[Problem]:
    now = aside(case)
    changed = sorted(name for name in now.keys() | of.aside.keys() if now.get(name) != of.aside.get(name))
    changed = [name for name in changed if name != "project"]
    return [Problem(LOST, f"touched what is somebody else's: {', '.join(changed)}")] if changed else []


def evenly(n: int, most: int) -> list[int]:
    """At most so many of the numbers 1 to n, evenly spread: the first and the last among them, or the middle one."""
    if n <= most:
        return list(range(1, n + 1))
    return sorted({round(1 + i * (n - 1) / (most - 1)) for i in range(most)}) if most > 1 else [(n + 1) // 2]
