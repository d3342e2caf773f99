"""The commands that write a project in the forms of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from unweave.base.plain import plain
from unweave.cli.engines import ENGINE_COMMANDS
from unweave.cli.options import JSON, PROJECT, opened_with, print_json


@click.group()
def export() -> None:
    """Write a project's passages and concepts as another tool reads them."""


@export.command()
@PROJECT
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@JSON
def atlas(project: Path, out: Path, as_json: bool) -> None:
    """Write the passages of PROJECT, their places and concepts to OUT, a Parquet file for embedding-atlas.

    Then: embedding-atlas OUT --text text --x map_x --y map_y --features features, with a DuckDB below 2. In its list
    of features a source says whether a concept's name holds for a passage (named), the concept is too weak there
    (traces), or no name holds (unnamed). The map has to be there: unweave map PROJECT. It needs the extra parquet.

    \b
    Examples:
      unweave export atlas demo concepts.parquet
    """
    with opened_with(project) as opened:
        done = opened.export_atlas(out)
    if as_json:
        print_json({**done._asdict(), "file": str(done.file)})
    else:
        click.echo(f"{plain(str(out))}: {done.n_passages:,} passages with {done.n_features:,} activations of concepts")


for command in ENGINE_COMMANDS:
    export.add_command(command)
