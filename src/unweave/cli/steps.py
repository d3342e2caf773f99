"""Running several commands one after the other, each shown as a user would type it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from unweave.base.progress import Stopwatch
from unweave.base.typed import as_typed, shown
from unweave.cli.options import APPLIES_ALL


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
