"""The commands that measure: systems over projects and query by query, and whether explanations name causes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.cli.options import JSON, PROJECT, open_project, print_json

if TYPE_CHECKING:
    from unweave.evaluation.causes import Share

_PATH = click.Path(file_okay=False, path_type=Path)
_MEASURE = click.option("--measure", default="nDCG@10", show_default=True, help="A measure, as ir_measures names it.")
_SHOWN = 70


@click.command()
@click.argument("projects", nargs=-1, required=True, type=_PATH)
@_MEASURE
@click.option("--against", default="dense", show_default=True, help="The system that others are compared with.")
@click.option("--runs", type=_PATH, help="A folder with runs of other systems: COLLECTION/SYSTEM.trec, or .trec.gz.")
@click.option("--latex", type=click.Path(dir_okay=False, path_type=Path), help="Write a table for a paper, too.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw bytes against quality, as PNG.")
@JSON
def leaderboard(
    projects: tuple[Path, ...], measure: str, against: str, runs: Path | None, latex: Path | None, plot: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare all systems over several evaluated PROJECTS, each a collection.

    ▲ and ▼: better or worse than the system given by --against, by a sign-flip test with Holm's correction over the
    whole table.
    """
    from unweave.cli import show
    from unweave.evaluation import leaderboard as boards
    from unweave.stages import compare as stage

    board = stage.leaderboard(projects, measure, against, runs)
    for note in board.notes:
        click.echo(plain(note), err=True)
    if latex:
        write_atomically(latex, lambda p: p.write_text(boards.latex(board), encoding="utf-8"))
    if plot:
        write_atomically(plot, lambda p: boards.plot(board, p))
    if as_json:
        click.echo(json.dumps(asdict(board)))
        return
    for line in show.table(boards.rows(board)):
        click.echo(line)


@click.command()
@click.argument("project", type=_PATH)
@click.argument("systems", nargs=-1)
@click.option(
    "--run",
    "runs",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="Run of another system, in TREC's six columns, gzipped or not; in place of one of the SYSTEMS, or of both.",
)
@_MEASURE
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Queries to show of each end.")
@JSON
def compare(
    project: Path, systems: tuple[str, ...], runs: tuple[Path, ...], measure: str, top: int, as_json: bool
) -> None:
    """Show on which queries of PROJECT the first of two SYSTEMS beats the second, and on which it loses.

    Systems are given as `unweave evaluate` names them, e.g. "CL-SR rescored" dense.
    """

    both: list[str | Path] = [*systems, *runs]
    if len(both) != 2:
        raise click.UsageError(f"two systems or runs are compared, got {len(both)}")
    diff = open_project(project).compare(both[0], both[1], measure)
    for note in diff.notes:
        click.echo(plain(note), err=True)
    if as_json:
        click.echo(json.dumps(asdict(diff) | {"queries": [query._asdict() for query in diff.queries]}))
        return
    whole = diff.whole
    click.echo(
        f"{measure}: {plain(diff.first)} less {plain(diff.second)} = {whole.difference:+.4f} "
        f"(95 % {whole.low:+.4f} to {whole.high:+.4f}, p = {whole.p:.4f}); "
        f"{whole.wins} wins, {whole.ties} ties, {whole.losses} losses"
    )
    won = [query for query in diff.queries if query.value > 0][:top]
    lost = [query for query in diff.queries[::-1] if query.value < 0][:top]
    for title, queries in (("wins", won), ("losses", lost)):
        if queries:
            click.echo(f"\n{title}")
        for query in queries:
            shown = plain(query.text, _SHOWN)
            click.echo(
                f"  {query.value:+.3f}  {query.first:.3f} {query.second:.3f}  {shown}  [{plain(query.query_id, 40)}]"
            )


@click.command()
@PROJECT
@click.option("--system", default="dense", show_default=True, help="Whose explanations: dense, codes, CL-SR …")
@click.option("--most", default=200, show_default=True, type=click.IntRange(min=2),
              help="Queries of PROJECT to ask, at most.")  # fmt: skip
@JSON
def faithfulness(project: Path, system: str, most: int, as_json: bool) -> None:
    """Show whether explanations of PROJECT's hits name causes.

    Of the ten first hits of each query, the share that leaves the ten without the concepts that add most to it, without
    as many others of as much activation drawn at random, and that stays by those concepts alone; each with the interval
    in which 95 % of resampled queries have it.
    """
    from unweave.cli.show import table

    found = open_project(project).faithfulness(system=system, most=most)
    if as_json:
        print_json({"system": system, "causes": [{
            "n": one.n, **{name: getattr(one, name)._asdict() for name in ("erased", "erased_at_random", "kept")},
        } for one in found]})  # fmt: skip
        return
    shown = {"erased": "leave", "erased_at_random": "leave by chance", "kept": "stay"}
    for line in table([
        {"concepts": str(one.n), **{said: _share(getattr(one, name)) for name, said in shown.items()}} for one in found
    ]):  # fmt: skip
        click.echo(line)


def _share(share: Share) -> str:
    return f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
