"""Running several commands one after the other, each shown as a user would type it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from unweave.base.progress import Stopwatch
from unweave.cli.options import APPLIES_ALL


class Steps:
    """Runs commands as if they were typed, shows them, and keeps the time of each."""

    def __init__(self, ctx: click.Context, project: Path) -> None:
        self._ctx = ctx
        ctx.meta[APPLIES_ALL] = True
        self._project = str(project)
        self.seconds: dict[str, float] = {}

    def run(self, name: str, *arguments: str) -> None:
        from unweave.cli import main

        first, *rest = name.split()
        words = [*rest, self._project, *arguments]
        click.secho(f"$ unweave {first} {shlex.join(words)}", bold=True)
        command = main.commands[first]
        watch = Stopwatch()
        with command.make_context(first, words, parent=self._ctx.parent) as context:
            command.invoke(context)
        self.seconds[first] = self.seconds.get(first, 0.0) + watch.seconds
        click.echo()
