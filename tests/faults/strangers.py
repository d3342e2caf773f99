"""What a stranger's project may hold: links where something is written, names of variables, traps in its database."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import powercut
from forked import Child, forked
from held import aside
from kinds import Case, crashed
from questions import TRACEBACK, answers
from toy import STAGES, command, filled
from world import LOST, Problem, Scenario, World

from unweave import settings
from unweave.stages.places import ARTIFACTS

_SECONDS = 30
SECRET = "not-for-strangers-0123456789"


# --- links ------------------------------------------------------------------------------------------------------------


def links(world: World, scenarios: list[Scenario]) -> Iterator[Case]:
    """A link to a file or folder of the user at each name that a command writes and that can be foreseen."""
    seen = set()
    for scenario in scenarios:
        first = world.undisturbed(scenario).log
        again = world.undisturbed(scenario._replace(name=f"{scenario.name}, once more")).log
        for path, is_folder in sorted(_written(first).items() & _written(again).items()):
            for to in ("folder",) if is_folder else ("file", "nothing"):
                if (path, to) not in seen:
                    seen.add((path, to))
                    yield Case(f"{scenario.name}, {path} a link to a {to}", partial(_linked, world, scenario, path, to))


def _written(log: list[powercut.Event]) -> dict[str, bool]:
    """The paths that are written, and whether a folder is there."""
    found, folders = {}, set()
    for event in log:
        if event.op == powercut.MKDIR:
            folders.add(event.first)
        if event.op in (powercut.CREATE, powercut.OPEN, powercut.TRUNCATE, powercut.MKDIR):
            found[event.first] = event.op == powercut.MKDIR
        if event.op == powercut.RENAME:
            found[event.second] = event.first in folders or found.get(event.first, "." not in Path(event.first).name)
    return {path: is_folder for path, is_folder in found.items() if path and "/" in path}


def _linked(world: World, scenario: Scenario, path: str, to: str) -> list[Problem]:
    case = world.case(scenario.base)
    try:
        _plant(case, path, to)
        theirs = aside(case)
        return _after(case, theirs, lambda: scenario.act(case))
    finally:
        world.done_with(case)


def _plant(case: Path, path: str, to: str) -> None:
    link, target = case / path, case / "guard" / "target"
    if link.exists():
        shutil.move(link, target)  # what was there is the user's, and looks as it should
    elif to == "folder":
        target.mkdir()
        (target / "thesis.tex").write_text("precious")
    elif to == "file":
        target.write_text("precious")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _after(case: Path, theirs: dict[str, str], act: Callable[[], object]) -> list[Problem]:
    """Do something, ask everything, and see that nothing of the user's has changed."""
    ended = forked(lambda: (act(), answers(case / "project")), seconds=_SECONDS)
    found = [] if "unweave.errors." in ended.error and not ended.killed_by else crashed(ended)
    if ended.value:
        said, asked = ended.value
        found += [Problem(TRACEBACK, said.traceback)] if getattr(said, "traceback", "") else []
        found += [Problem(TRACEBACK, f"{q}: {a.said[-1500:]}") for q, a in asked.items() if a.kind == TRACEBACK]
    now = aside(case)
    changed = sorted(name for name in now.keys() | theirs.keys() if now.get(name) != theirs.get(name))
    changed = [name for name in changed if name != "project"]
    return found + ([Problem(LOST, f"touched what is somebody else's: {changed}")] if changed else [])


# --- traps ------------------------------------------------------------------------------------------------------------


def strangers(world: World) -> Iterator[Case]:
    """Projects that try to reach what is not theirs, or never to end."""
    for name, place in ARTIFACTS.items():
        for ending in (".old", ".partial", ".writing"):
            yield Case(
                f"{name}{ending} is a folder of the user", partial(_kept_aside, world, name, place.command, ending)
            )
    yield Case("a variable and an address in the settings", partial(_sends_variable, world))
    yield Case("a folder for logs outside of the project", partial(_writes_logs, world))
    yield Case("a lexicon outside of the project", partial(_reads_file, world))
    for name, script in _TRAPS.items():
        yield Case(f"a database with {name}", partial(_trapped, world, script))
    for name in ARTIFACTS:
        folder = world.folder / "whole" / "project" / name
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        for path in [path for path in files if path.is_file()][:3]:
            yield Case(f"{name}/{path.name} is a pipe", partial(_pipe, world, f"{name}/{path.name}"))
        yield Case(f"{name} lists a file outside", partial(_lists_outside, world, name))


def _kept_aside(world: World, name: str, words: str, ending: str) -> list[Problem]:
    case = world.case("whole")
    mine = case / "project" / f"{name}{ending}"
    mine.mkdir()
    (mine / "thesis.tex").write_text("precious")
    shutil.rmtree(case / "project" / name)  # so that it is made again
    try:
        found = _after(case, aside(case), lambda: command(*words.split(), case / "project"))
        if not (mine / "thesis.tex").exists():
            found.append(Problem(LOST, f"{name}{ending}/thesis.tex is gone"))
        return found
    finally:
        world.done_with(case)


def _set(case: Path, stage: str, **values: object) -> None:
    settings.update(case / "project" / "unweave.toml", {stage: dict(values)})


def _sends_variable(world: World) -> list[Problem]:
    case, heard = world.case("whole"), []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/v1"

        def listen() -> None:
            server.settimeout(20)
            try:
                connection, _ = server.accept()
                heard.append(connection.recv(1 << 16))
                connection.close()
            except OSError:
                return

        def act() -> object:
            os.environ["AWS_SECRET_ACCESS_KEY"] = SECRET
            words = ("--namer", "language-model", "--most", "1", "--attempts", "1")
            return command("name", case / "project", *words)

        forked(lambda: _set(case, "language_model", base_url=address, key_from="AWS_SECRET_ACCESS_KEY"))
        theirs, thread = aside(case), threading.Thread(target=listen)
        child = Child(lambda: (act(), answers(case / "project")))
        thread.start()  # after the fork, which would copy what it holds
        found = crashed(child.wait(_SECONDS))
        server.close()
        thread.join()
    if any(SECRET.encode() in part for part in heard):
        found.append(Problem(LOST, "a variable of the user was sent to the address that the project names"))
    found += [Problem(LOST, "touched what is somebody else's")] if aside(case) != theirs else []
    world.done_with(case)
    return found


def _writes_logs(world: World) -> list[Problem]:
    case = world.case("whole")
    try:
        forked(lambda: _set(case, "fit", tensorboard=str(case / "guard" / "logs"), seed=3))
        return _after(case, aside(case), lambda: command("fit", case / "project"))
    finally:
        world.done_with(case)


def _reads_file(world: World) -> list[Problem]:
    case = world.case("whole")
    try:
        forked(lambda: _set(case, "lexicon", lexicon=str(case / "guard" / "thesis.tex")))
        found = _after(case, aside(case), lambda: command("name", case / "project", "--namer", "lexicon"))
        read = [p for p in (case / "project").rglob("*") if p.is_file() and b"precious" in p.read_bytes()]
        return found + ([Problem(LOST, f"a file of the user was read into {[p.name for p in read]}")] if read else [])
    finally:
        world.done_with(case)


_ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
_TRAPS = {
    "a view without an end for a table": "ALTER TABLE names RENAME TO n2; CREATE VIEW names AS "
    f"{_ENDLESS} SELECT n2.* FROM n2, c;",
    "a trigger that removes edits": "CREATE TRIGGER t AFTER INSERT ON edits BEGIN DELETE FROM edits; END;",
    "a trigger without an end": "CREATE TABLE z (x); CREATE TRIGGER t AFTER INSERT ON edits BEGIN INSERT INTO z "
    f"SELECT x FROM ({_ENDLESS} SELECT x FROM c); END;",
    "columns that are computed": "ALTER TABLE names ADD COLUMN more TEXT AS (hex(zeroblob(1000000))) VIRTUAL;",
    "names of another type": "UPDATE names SET name = x'ff00ff', provenance = '[[[[';",
    "texts of 100 MB": "UPDATE names SET description = hex(zeroblob(50000000)) WHERE latent = 1;",
    "an example of a passage that is not there": "UPDATE examples SET position = 99999999999;",
    "concepts merged in a circle": "UPDATE concepts SET merged_into = 2 WHERE latent = 1; "
    "UPDATE concepts SET merged_into = 1 WHERE latent = 2;",
    "a latent beyond the dictionary": "UPDATE concepts SET merged_into = 4611686018427387904 WHERE latent = 1;",
}


def _trapped(world: World, script: str) -> list[Problem]:
    case = world.case("whole")
    database = case / "project" / "concepts" / "concepts.sqlite"
    with sqlite3.connect(database) as db:
        db.executescript(script)
    db.close()
    edited = forked(lambda: answers(case / "project")["history"], seconds=_SECONDS).value
    try:
        rename = ("concepts", "rename", "{project}", "2", "mine")
        found = _after(case, aside(case), lambda: command(*filled(rename, case)))
        after = forked(lambda: answers(case / "project").get("history"), seconds=_SECONDS).value
        if edited and after and edited.kind == after.kind == "ok" and len(after.said) < len(edited.said):
            found.append(Problem(LOST, "edits are gone"))
        return found
    finally:
        world.done_with(case)


def _pipe(world: World, name: str) -> list[Problem]:
    case = world.case("whole")
    path = case / "project" / name
    path.unlink()
    os.mkfifo(path)
    try:
        return _after(case, aside(case), lambda: command(*filled(STAGES["evaluate"], case)))
    finally:
        path.unlink(missing_ok=True)
        world.done_with(case)


def _lists_outside(world: World, name: str) -> list[Problem]:
    """A manifest, with the right checksum, of a file of the user; then everything that works on it is run."""
    case = world.case("whole")
    path = case / "project" / name / "config.json"
    fields = json.loads(path.read_text())
    outside = os.path.relpath(case / "guard" / "thesis.tex", path.parent)
    data = (case / "guard" / "thesis.tex").read_bytes()
    fields["files"][outside] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if fields.get("checksum"):
        fields["checksum"] = ""
        fields["checksum"] = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(fields, indent=1))
    commands = (ARTIFACTS[name].command.split(), ["index", "compact"])

    def act() -> object:
        said = [command(*words, case / "project") for words in commands]
        return next((one for one in said if one.traceback), said[0])

    try:
        return _after(case, aside(case), act)
    finally:
        world.done_with(case)
