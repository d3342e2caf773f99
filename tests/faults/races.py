"""Two commands at once: the first is stopped at one of its events, and the second runs meanwhile, as far as it can."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from forked import Child, Ended, forked
from held import DATABASE, Units, aside, held, names
from kinds import Case, crashed
from questions import MISSING, OK, TRACEBACK, Answers, answers
from toy import FIT, Said
from world import LOST, WRONG, Problem, Scenario, World, evenly

from unweave import settings

_MEANWHILE = 1.0
"""Seconds that the second may take until it is taken to wait for the first."""
_SECONDS = 120
_IN_USE = re.compile(
    r"edit\(s\) by people|\(process \d+, since |in use|already|again|was made from another|has changed since"
)
"""What a command may say that could not be done beside the other."""


class Pair(NamedTuple):
    """Two commands on one project."""

    first: Scenario
    second: Scenario

    def __str__(self) -> str:
        return f"{self.first.name}, and meanwhile {self.second.name}"


class State(NamedTuple):
    """What is there after both."""

    units: Units
    asked: Answers
    names: Counter[str]


Done = tuple[bool, bool]


def pairs(scenarios: list[Scenario]) -> list[Pair]:
    """What is tried together."""
    by_name = {scenario.name: scenario for scenario in scenarios}
    for name, run in {
        "name otherwise": ("name", "{project}", "--examples", "12"),
        "fit otherwise": ("fit", "{project}", *FIT, "--seed", "2"),
        "rename another": ("concepts", "rename", "{project}", "3", "a third name"),
        "other settings": _other_settings,
        "flag": ("concepts", "flag", "{project}", "9", "seen"),
    }.items():
        by_name[name] = Scenario(name, run)
    together = (
        ("name", "rename"), ("name", "import"), ("name", "merge"), ("name", "flag"), ("name", "undo"),
        ("name", "name otherwise"), ("name", "evaluate"), ("name by another", "rename"), ("judge", "rename"),
        ("judge", "name"), ("rename", "rename another"), ("import", "rename another"), ("rename", "name"),
        ("import", "name"), ("settings", "other settings"), ("fit anew", "other settings"), ("name", "other settings"),
        ("fit anew", "fit otherwise"), ("fit anew", "search-all"), ("fit anew", "name"), ("embed brought", "fit anew"),
        ("index build", "index build"), ("index build anew", "search-all"), ("evaluate", "evaluate"),
        ("report", "report"), ("export", "export"), ("search-all", "search-all"), ("sae save", "sae save"),
        ("index add", "index delete"), ("index compact", "index add"), ("index compact", "search-all"),
        ("tokens anew", "rename"), ("init", "init"), ("sae import", "sae import"),
    )  # fmt: skip
    return [
        Pair(by_name[first], by_name[second]._replace(base=by_name[first].base))
        for first, second in together
        if first in by_name and second in by_name
    ]


def _other_settings(case: Path) -> Said:
    settings.update(case / "project" / "unweave.toml", {"index": {"code_k": 5}})
    settings.update(case / "project" / "unweave.toml", {"evaluate": {"candidates": 17}})
    return Said(0, "", "")


def races(world: World, scenarios: list[Scenario], most: int) -> Iterator[Case]:
    """Each pair, the first stopped at events evenly spread."""
    for pair in pairs(scenarios):
        for at in evenly(world.undisturbed(pair.first).events, most):
            yield Case(f"{pair} from event {at} on", partial(_raced, world, pair, at))


def _raced(world: World, pair: Pair, event: int) -> list[Problem]:
    case = world.case(pair.first.base)
    theirs = aside(case)
    (told, tell), (wait, go) = os.pipe(), os.pipe()

    def first() -> Said:
        world.shim.watch(case)
        world.shim.pause_at(event, tell, wait)
        said = pair.first.act(case)
        world.shim.watch(None)
        os.write(tell, b"!")
        return said

    one = Child(first)
    os.read(told, 1)  # it has stopped, or ended
    other = Child(lambda: pair.second.act(case))
    other.ended_within(_MEANWHILE)
    os.write(go, b".")
    ended = one.wait(_SECONDS), other.wait(_SECONDS)
    for descriptor in (told, tell, wait, go):
        os.close(descriptor)
    try:
        return _found(world, pair, case, ended, theirs)
    finally:
        world.done_with(case)


def _found(world: World, pair: Pair, case: Path, ended: tuple[Ended, Ended], theirs: dict[str, str]) -> list[Problem]:
    if bad := [problem for one in ended for problem in _raised(one)]:
        return bad
    said: list[Said] = [one.value or Said(1, one.error, "") for one in ended]
    found = [Problem(TRACEBACK, one.traceback) for one in said if one.traceback]
    done = said[0].code == 0, said[1].code == 0
    found += [
        Problem(WRONG, f"it says: {one.output[-600:]}") for one in said if one.code and not _IN_USE.search(one.output)
    ]
    by_done = world.kept(str(pair), lambda: _allowed(world, pair))
    # What failed may have done a part of its work; what succeeded has done all of it.
    allowed = [state for of, states in by_done.items() if of[0] >= done[0] and of[1] >= done[1] for state in states]
    if not allowed:
        return [*found, Problem(WRONG, f"{done} succeeded; {[one.output for one in said]}")]
    looked = forked(lambda: State(held(case), answers(case / "project"), names(case)), seconds=_SECONDS)
    if bad := crashed(looked):
        return [*found, *bad]
    return found + _of_state(looked.value, allowed, done) + _of_theirs(case, theirs)


def _raised(ended: Ended) -> list[Problem]:
    """What is wrong with how a command ended; what is called from Python raises errors for people as they are."""
    last = ended.error.rstrip().rpartition("\n")[2]
    return [] if last.startswith("unweave.errors.") and not ended.killed_by else crashed(ended)


def _of_state(now: State, allowed: list[State], done: Done) -> list[Problem]:
    found = [
        Problem(LOST, f"{name} is as after neither order, of {done}: {_lacking(now, allowed, name)}")
        for name in sorted(now.units.keys() | allowed[0].units.keys())
        if now.units.get(name) not in [state.units.get(name) for state in allowed]
    ]
    for question, answer in now.asked.items():
        expected = [state.asked.get(question) for state in allowed]
        if answer.kind == TRACEBACK:
            found.append(Problem(TRACEBACK, f"{question}: {answer.said[-1500:]}"))
        elif answer not in expected and not (answer.kind == MISSING and MISSING in {e.kind for e in expected if e}):
            found.append(Problem(WRONG if answer.kind == OK else LOST, f"{question}: {str(answer.said)[:500]}"))
    expected_names = Counter[str]()
    for state in allowed:
        expected_names |= state.names
    if left := sorted(now.names - expected_names):
        found.append(Problem(WRONG, f"left behind: {', '.join(left)}"))
    return found


def _lacking(now: State, allowed: list[State], name: str) -> str:
    there, expected = now.units.get(name), allowed[0].units.get(name)
    if there is None or expected is None:
        return "gone" if there is None else "there"
    unlike = [file for file in there.keys() | expected.keys() if there.get(file) != expected.get(file)]
    if DATABASE in unlike and isinstance(there[DATABASE], frozenset):
        return f"{unlike} lacks {sorted(map(str, expected[DATABASE] - there[DATABASE]))[:4]}"
    return str(unlike)


def _of_theirs(case: Path, theirs: dict[str, str]) -> list[Problem]:
    changed = sorted(key for key, value in aside(case).items() if theirs.get(key) != value and key != "project")
    return [Problem(LOST, f"touched what is somebody else's: {changed}")] if changed else []


def _allowed(world: World, pair: Pair) -> dict[Done, list[State]]:
    """What may be there, by who succeeded: as if one had come after the other, or alone."""
    found: dict[Done, list[State]] = {}
    for order in ((), (0,), (1,), (0, 1), (1, 0)):
        case = world.case(pair.first.base)
        ended = forked(partial(_in_order, pair, order, case), seconds=_SECONDS)
        if ended.error:
            raise RuntimeError(f"{pair}, {order}: {ended.error}")
        done, state = ended.value
        found.setdefault(done, []).append(state)
        world.done_with(case)
    return found


def _in_order(pair: Pair, order: tuple[int, ...], case: Path) -> tuple[Done, State]:
    done = [False, False]
    for which in order:
        done[which] = pair[which].act(case).code == 0
    return (done[0], done[1]), State(held(case), answers(case / "project"), names(case))
