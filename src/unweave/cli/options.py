"""What commands share: the project, its settings as options, JSON, and what a stage did."""

from __future__ import annotations

import json
import logging
import sys
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unweave.base import progress
from unweave.base.cores import is_helper
from unweave.base.plain import plain
from unweave.cli.bars import Bars

if TYPE_CHECKING:
    from unweave.project import Project
    from unweave.stages.ensure import Outcome
    from unweave.stages.trust import Reach

logger = logging.getLogger(__name__)

T = TypeVar("T")

APPLIES_ALL = "unweave: applies all settings"
"""In a context's `meta`: a command that runs all stages, so nothing is to be said of settings not applied yet."""
PROJECT = click.argument("project", type=click.Path(file_okay=False, path_type=Path))
SVG = click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw it, too: a picture for "
                   "a page or a paper.")  # fmt: skip
ON = click.option("--on", default="here", show_default=True, metavar="[here|cluster|ADDRESS]", help="Where the work "
                  "of shards runs: here, in this process; cluster, on Ray; or at the address of a Ray.")  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


def draw(svg: Path | None, picture: Callable[[], str]) -> None:
    """Write a picture, if one is wanted."""
    if svg is not None:
        from unweave.base.files import write_atomically

        drawn = picture()
        write_atomically(svg, lambda path: path.write_text(drawn, encoding="utf-8"))


def print_json(value: Any) -> None:
    """One JSON object, for programs."""
    click.echo(json.dumps(value, ensure_ascii=True))


KEPT = (
    "A setting that is left out is as PROJECT/unweave.toml says; the default is what a new project's file has. A "
    "setting that is given is written there once the command has succeeded."
)
"""Below the help of a command that has a stage's settings as options."""


def stage_options(stage: str, *, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """One option for each of a stage's settings. What is given is kept in the project's `unweave.toml`.

    Args:
        without: settings that another stage of the same command has by the same name.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        from unweave import settings

        config = typing.get_type_hints(settings.Settings)[stage]
        for setting in reversed(fields(config)):
            command = command if setting.name in without else _option(config, setting)(command)
        return command

    return decorate


def _option(config: type, setting: Field[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    from unweave import settings

    kind: Any = settings.value_type(config, setting.name)
    choices = settings.choices_of(setting)
    flag = setting.name.replace("_", "-")
    default = settings.default_of(setting)
    shown = "" if default in (None, "") else f"  [default: {_shown(default, flag)}]"
    return click.option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        setting.name,
        type=click.Choice(choices) if choices else None if kind is bool else kind,
        metavar=f"[{'|'.join(filter(None, choices))}]" if choices else None,
        default=None,
        help=settings.documentation(config)[setting.name] + shown,
    )


def _shown(default: Any, flag: str) -> str:
    if isinstance(default, bool):
        return flag if default else f"no-{flag}"
    return f"{default:g}" if isinstance(default, float) else str(default)


def open_project(path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Project:
    """A project; notes which settings were changed since they were used, unless the command at hand applies them."""
    from unweave.project import Project
    from unweave.stages.places import ARTIFACTS

    project = Project.open(path, changes, ask=partial(_allowed, path))
    context = click.get_current_context()
    if is_helper() or context.meta.get(APPLIES_ALL):
        return project
    changed: dict[str, list[str]] = {}
    for one in project.unapplied():
        command = ARTIFACTS[one.artifact].command
        if not command.startswith(_words(context)):
            said = f"[{one.stage}] {one.setting} = {one.now!r} ({one.artifact} was made with {one.made_with!r})"
            changed.setdefault(command, []).append(said)
    for command, settings in changed.items():
        said = f"settings changed since they were used: {', '.join(settings)}"
        logger.warning("%s; to apply them, run: unweave %s %s", said, command, path)
    return project


def _allowed(path: Path, reaches: Sequence[Reach]) -> bool:
    """Ask on the terminal, if there is one, whether a project may reach what its settings name."""
    if is_helper() or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    click.echo(f"{plain(str(path))}/unweave.toml asks for what only you can allow:", err=True)
    for reach in reaches:
        click.echo(f"  {reach}", err=True)
    return click.confirm("allow it, as long as these values stay?", err=True)


def _words(context: click.Context) -> str:
    """The command at hand without the program's name, such as `index build`."""
    words: list[str] = []
    while context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(words)


@contextmanager
def opened_with(path: Path, **stages: dict[str, Any]) -> Iterator[Project]:
    """A project with the options that were given for some stages.

    They are written to its settings when the command has succeeded, not before, and beside what others changed there
    meanwhile.
    """
    project = open_project(path, {stage: given(options) for stage, options in stages.items()})
    if is_helper():  # the first process writes and speaks
        yield project
        return
    with progress.watched(Bars()):
        yield project
    project.keep_changes()


def config_of(kind: type[T], **options: Any) -> T:
    """Settings from a command's options; a value that they refuse is a wrong option."""
    try:
        return kind(**options)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def by_stage(options: dict[str, Any], *stages: str) -> dict[str, dict[str, Any]]:
    """Options of several stages apart, each by the fields of its settings."""
    from unweave import settings

    configs = typing.get_type_hints(settings.Settings)
    return {stage: {f.name: options[f.name] for f in fields(configs[stage])} for stage in stages}


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given a value."""
    return {name: value for name, value in options.items() if value is not None}


def show_outcomes(outcomes: Sequence[Outcome], as_json: bool) -> None:
    """What each step of a stage did."""
    if as_json:
        print_json({done.artifact: {**done._asdict(), "artifact": done.artifact} for done in outcomes})
        return
    for done in outcomes:
        click.echo(done.said)
