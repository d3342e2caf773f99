"""Tests run against changes of one module: collected once, and run in a fork for each change.

A fork has what takes seconds (torch, numba, pytest, all of unweave, the tests themselves) and changes the module in
place: the code of its functions, the methods of its classes, its constants wherever they were imported to. Each change
so costs what its tests cost. Time is counted as processor time, so that a busy machine makes no test too slow.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import pytest

ROOT = Path(__file__).parent.parent
MORE_MEMORY = 2 << 30
"""Bytes that a trial may take beyond what is there."""
FOR_EVER = 3600.0
"""Seconds after which a trial that waits for something is given up; a busy machine makes a minute of ten seconds."""
NEVER_ENDS, DIED = "it never ends", "it died"
Change = Callable[[], ast.Module]
"""The tree of a module, changed."""
_SAID = "="
"""Begins what a fork says, which may be nothing; of one that dies nothing comes."""


def trials(
    module: str, tests: Iterable[str], changes: Mapping[str, Change], *, interpreted: bool = False
) -> Iterator[tuple[str, str]]:
    """Which test fails first with each change of a module, by the change's name; "" if none does.

    Args:
        module: its full name.
        tests: what pytest is to run, in this order, until one fails.
        changes: what gives the module with the change, by any name.
        interpreted: without numba's compiler.

    Raises:
        RuntimeError: the tests cannot be collected, or fail with the module as it is.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _serve(module, list(tests), changes, interpreted, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        for line in said:
            name, failed = json.loads(line)
            if name is None:
                raise RuntimeError(f"{module}, as it is: {failed}")
            yield name, failed
    os.waitpid(child, 0)


def _serve(module: str, tests: list[str], changes: Mapping[str, Change], interpreted: bool, writing: int) -> None:
    """Collect the tests in this process, a fork, run them with each change, and end."""

    def say(name: str | None, failed: str) -> None:
        os.write(writing, (json.dumps([name, failed]) + "\n").encode())

    try:
        if interpreted:
            numba.config.DISABLE_JIT = True
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        os.chdir(ROOT)
        loop = _Trials(module, changes, say)
        # The modules that this process has already are no news of a test.
        words = ["-q", "--tb=no", "-W", "ignore::pytest.PytestAssertRewriteWarning", *(f"tests/{one}" for one in tests)]
        code = pytest.main(words, plugins=[loop])
        if not loop.began:
            say(None, f"the tests cannot be collected, pytest ended with {int(code)}: {loop.broken}")
    except Exception as error:
        say(None, f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


class _Trials:
    """A plugin of pytest that runs the collected tests once for each change, each time in a fork."""

    def __init__(self, module: str, changes: Mapping[str, Change], say: Callable[[str | None, str], None]) -> None:
        self._module, self._changes, self._say = module, changes, say
        self.began, self.broken = False, ""

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.broken = str(report.longrepr)[-500:]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        if session.testsfailed or not session.items:
            return True
        self.began = True
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        if failed := _in_a_fork(partial(_first_failure, session.items), FOR_EVER):
            self._say(None, failed)
            return True
        usual = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        for name, change in self._changes.items():
            self._say(name, _in_a_fork(partial(self._changed, session.items, change), 10 + 10 * usual))
        return True

    def _changed(self, items: list[Any], change: Change) -> str:
        try:
            put_in_place(sys.modules[self._module], change())
        except Exception as error:
            return f"the import: {type(error).__name__}"
        return _first_failure(items)


def _first_failure(items: list[Any]) -> str:
    """The name of the first test that fails."""
    failed: list[str] = []

    class Watching:
        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                failed.append(report.nodeid.removeprefix("tests/"))

    items[0].config.pluginmanager.register(Watching())
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if failed:
            return failed[0]
    return ""


def _in_a_fork(work: Callable[[], str], seconds: float) -> str:
    """What some work says, in a fork that has so much processor time."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.close(reading)
        said = DIED
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
            held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY, held + MORE_MEMORY))
            said = work()
        except BaseException as error:  # pytest's exit and whatever a fault makes of a test
            said = f"{DIED}: {type(error).__name__}"
        finally:
            os.write(writing, f"{_SAID}{said}".encode())
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], FOR_EVER)
    said = os.read(reading, 65_536).decode() if ready else ""
    os.close(reading)
    if not said:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # and what it began
    _, status = os.waitpid(child, 0)
    if said:
        return said.removeprefix(_SAID)
    ran_out = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    return NEVER_ENDS if ran_out or not ready else DIED


def put_in_place(module: ModuleType, source: ast.Module) -> None:
    """Make an imported module what another tree makes of it, for everybody who has imported from it."""
    made = ModuleType(module.__name__)
    made.__dict__.update({"__file__": module.__file__, "__package__": module.__package__})
    real = sys.modules[module.__name__]
    sys.modules[module.__name__] = made  # where dataclasses and named tuples look for what they are made in
    try:
        exec(compile(source, str(module.__file__), "exec"), made.__dict__)
    finally:
        sys.modules[module.__name__] = real
    for name, new in vars(made).items():
        old = vars(module).get(name)
        if name.startswith("__") or old is None or getattr(new, "__module__", made.__name__) != made.__name__:
            continue
        if isinstance(old, type):
            _replace_methods(old, new)
        elif function := _function(old):
            _replace_code(function, _function(new), old)
        elif repr(old) != repr(new):
            _renew(name, old, new)


def _function(value: Any) -> FunctionType | None:
    """The function in a function, method, property or cache."""
    for name in ("__wrapped__", "py_func", "fget", "func", "__func__"):
        inner = getattr(value, name, None)
        if isinstance(inner, FunctionType):
            return inner
    return value if isinstance(value, FunctionType) else None


def _replace_code(old: FunctionType, new: FunctionType | None, holder: Any) -> None:
    if new is None:
        return
    old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__
    if hasattr(holder, "cache_clear"):
        holder.cache_clear()


def _replace_methods(old: type, new: type) -> None:
    for name, value in vars(new).items():
        if function := _function(vars(old).get(name)):
            changed = _function(value)
            if changed is not None and changed.__code__.co_freevars == function.__code__.co_freevars:
                _replace_code(function, changed, vars(old)[name])
        elif isinstance(value, int | float | str | tuple) and name in vars(old) and vars(old)[name] != value:
            setattr(old, name, value)


def _renew(name: str, old: Any, new: Any) -> None:
    """A constant: settings in place, since others may hold them by any name, all else wherever it has this name."""
    if isinstance(old, dict):
        for key in old.keys() & new.keys():
            if repr(old[key]) != repr(new[key]):
                _renew_in(old, key, new[key])
    elif is_dataclass(old):
        _renew_fields(old, new)
    else:
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get(name) is old:
                setattr(module, name, new)


def _renew_in(holder: dict[Any, Any], key: Any, new: Any) -> None:
    if is_dataclass(holder[key]):
        _renew_fields(holder[key], new)
    else:
        holder[key] = new


def _renew_fields(old: Any, new: Any) -> None:
    for field in fields(old):
        object.__setattr__(old, field.name, getattr(new, field.name))
