"""The commands that measure: systems over projects and query by query, and whether explanations name causes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unweave.base.files import write_atomically
from unweave.base.plain import plain
from unweave.cli.complete import SYSTEM
from unweave.cli.options import JSON, PROJECT, open_project, print_json

if TYPE_CHECKING:
    from unweave.evaluation.causes import Share
    from unweave.evaluation.stability import Figures, Stable

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

    \b
    Examples:
      unweave leaderboard scifact nfcorpus
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
@click.argument("systems", type=SYSTEM, nargs=-1)
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

    \b
    Examples:
      unweave compare demo CL-SR BM25
    """
    from unweave.evaluation.significance import shown_p

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
        f"(95 % {whole.low:+.4f} to {whole.high:+.4f}, p {shown_p(whole.p)}); "
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
@click.option("--system", type=SYSTEM, default="dense", show_default=True, help="Whose explanations: dense, codes …")
@click.option("--most", default=200, show_default=True, type=click.IntRange(min=2),
              help="Queries of PROJECT to ask, at most.")  # fmt: skip
@JSON
def faithfulness(project: Path, system: str, most: int, as_json: bool) -> None:
    """Show whether explanations of PROJECT's hits name causes.

    Of the ten first hits of each query, the share that leaves the ten without the concepts that add most to it, without
    as many others of as much activation drawn at random, and that stays by those concepts alone; each with the interval
    in which 95 % of resampled queries have it.

    \b
    Examples:
      unweave faithfulness demo
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


@click.command()
@PROJECT
@click.option("--other", type=_PATH, help="Another SAE of the same embeddings, such as another seed's: its folder, or "
              "a project's.")  # fmt: skip
@click.option("--paraphrases", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Queries in two wordings: a file of JSON lines, each with a query and its paraphrase.")  # fmt: skip
@click.option("--synonyms", type=_PATH, help="WordNet's folder dict, by which words that have one sense alone are "
              "replaced by a synonym.")  # fmt: skip
@click.option("--most", default=100, show_default=True, type=click.IntRange(min=2),
              help="Queries of PROJECT to ask, at most.")  # fmt: skip
@JSON
def stability(
    project: Path, other: Path | None, paraphrases: Path | None, synonyms: Path | None, most: int, as_json: bool
) -> None:  # fmt: skip
    """Show how much of the explanations of PROJECT's hits stays when a text is said otherwise.

    Of what an account's five largest concepts add, the share that is among the changed account's five; of all that
    either account holds, what both do; and the rank correlation of what the concepts of both add. Each has the interval
    in which 95 % of resampled queries have it, and below it stands what another text gives in the changed one's place.

    \b
    Examples:
      unweave stability demo
    """
    from unweave.cli.show import table
    from unweave.texts.rephrasing import read_paraphrases

    pairs = read_paraphrases(paraphrases) if paraphrases is not None else []
    found = open_project(project).stability(other=other, paraphrases=pairs, synonyms=synonyms, most=most)
    if as_json:
        print_json({"stability": [
            {**one._asdict(), "found": _record(one.found), "by_chance": _record(one.by_chance)} for one in found
        ]})  # fmt: skip
        return
    for line in table([row for one in found for row in stability_rows(one)]):
        click.echo(line)


def stability_rows(of: Stable) -> list[dict[str, str]]:
    """How much stays under one change, and below it with another text in the changed one's place."""
    said = f"{of.of}: {plain(of.change, 90)}"
    return [
        {"what changes": said, "queries": str(of.n_queries), **_figures(of.found)},
        {"what changes": f"  {_ANOTHER[of.of]}", "queries": "", **_figures(of.by_chance)},
    ]


_ANOTHER = {
    "query": "another query in its place", "passage": "another hit in its place",
    "dictionary": "its account of another hit",
}  # fmt: skip
"""What the floor of each kind of change is."""


def _figures(of: Figures) -> dict[str, str]:
    order = "-" if of.order is None else f"{of.order.value:.2f} ({of.order.low:.2f} to {of.order.high:.2f})"
    return {"first five": _share(of.strongest), "in common": _share(of.common), "order": order}


def _record(of: Figures) -> dict[str, dict[str, float] | None]:
    return {name: share and share._asdict() for name, share in of._asdict().items()}


def _share(share: Share) -> str:
    return f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
