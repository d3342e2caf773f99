"""Running several commands one after the other, each shown as a user would type it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from unweave.base.plain import plain
from unweave.base.progress import Stopwatch
from unweave.cli.options import APPLIES_ALL


def as_typed(project: str, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
    """The words of a command, in an order in which no argument is taken for an option."""
    if any(word.startswith("-") for word in (project, *arguments)):
        return [*options, "--", project, *arguments]
    return [project, *arguments, *options]


def shown(words: Sequence[str]) -> str:
    """Words as they are typed; what would not print is left out of them."""
    return shlex.join(map(plain, words))


class Steps:
    """Runs commands as if they were typed, shows them, and keeps the time of each."""

    def __init__(self, ctx: click.Context, project: Path) -> None:
        self._ctx = ctx
        ctx.meta[APPLIES_ALL] = True
        self._project = str(project)
        self.seconds: dict[str, float] = {}

    def run(self, name: str, *options: str, arguments: Sequence[str] = ()) -> None:
        """Run one command.

        Args:
            options: as they are typed, after the project.
            arguments: what comes from data and may look like an option.
        """
        from unweave.cli import main

        first, *rest = name.split()
        words = [*rest, *as_typed(self._project, options, arguments)]
        click.secho(f"$ unweave {first} {shown(words)}", bold=True)
        command = main.commands[first]
        watch = Stopwatch()
        with command.make_context(first, words, parent=self._ctx.parent) as context:
            command.invoke(context)
        self.seconds[first] = self.seconds.get(first, 0.0) + watch.seconds
        click.echo()
