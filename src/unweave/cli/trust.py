"""The command that allows what a project's settings reach outside of its folder."""

from __future__ import annotations

from pathlib import Path

import click

from unweave.cli.options import JSON, PROJECT, open_project, print_json


@click.command()
@PROJECT
@JSON
def trust(project: Path, as_json: bool) -> None:
    """Allow what PROJECT's settings reach outside of its folder: addresses, variables, paths, models, money.

    It is for projects that come from others, or whose unweave.toml was written by hand: what is given as an option is
    allowed by that. Each value is kept in your own configuration (~/.config/unweave/trusted.toml); when it changes, it
    is asked for again.

    \b
    Examples:
      unweave trust theirs
    """
    found = open_project(project).trust()
    if as_json:
        print_json({"allowed": [reach._asdict() for reach in found]})
        return
    for reach in found:
        click.echo(f"allowed: {reach}")
    if not found:
        click.echo(f"{project}: its settings reach nothing outside of it", err=True)
