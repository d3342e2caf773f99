"""The command that lays out a project's concepts on a map."""

from __future__ import annotations

from pathlib import Path

import click

from unweave.cli.options import JSON, PROJECT, opened_with, show_outcomes


@click.command()
@PROJECT
@JSON
def map(project: Path, as_json: bool) -> None:  # noqa: A001 - a command is called what it does
    """Lay out the concepts of PROJECT on a map, those of close directions close to each other.

    Passages stand amid their concepts. `unweave serve` shows the map, and `unweave export atlas` writes it for another
    tool. What is close is alike; how far apart two distant concepts stand says nothing.

    \b
    Examples:
      unweave map demo
    """
    with opened_with(project) as opened:
        show_outcomes([opened.map()], as_json)
