"""The commands that measure a project and report on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from unweave.base.plain import plain
from unweave.cli.options import JSON, KEPT, PROJECT, opened_with, print_json, stage_options


@click.command(epilog=KEPT)
@PROJECT
@stage_options("evaluate")
@JSON
def evaluate(project: Path, as_json: bool, **options: Any) -> None:
    """Compare BM25, dense search and CL-SR on the project's judged queries.

    \b
    Examples:
      unweave evaluate demo
    """
    from unweave.cli import show
    from unweave.evaluation.table import table

    with opened_with(project, evaluate=options) as opened:
        measured = opened.evaluate()
    if as_json:
        print_json({"split": measured.split, "n_queries": measured.n_queries, "systems": table(measured),
                     "sae": measured.sae})  # fmt: skip
        return
    for line in show.evaluation(measured):
        click.echo(line)


@click.command()
@PROJECT
@click.option("--query", "queries", multiple=True, help="A search to show explained; give it several times.")
@JSON
def report(project: Path, queries: tuple[str, ...], as_json: bool) -> None:
    """Write PROJECT/report.html: one file that opens from disk.

    \b
    Examples:
      unweave report demo --query wind
    """
    with opened_with(project) as opened:
        path = opened.report(queries)
    if as_json:
        print_json({"report": str(path)})
    else:
        click.echo(plain(str(path)))
