"""The commands that search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.base.plain import plain
from unweave.cli.complete import SYSTEM
from unweave.cli.options import JSON, ON, PROJECT, open_project, print_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from unweave.base.records import Hit
    from unweave.explaining.words import ByWords, SumByWords
    from unweave.project import Project
    from unweave.stages.asked import Asked


@click.command()
@PROJECT
@click.argument("query", required=False)
@click.option("--query-id", help="Search for one of the project's own queries, by its id, in place of QUERY.")
@click.option("--query-vector", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Search for an embedding, a .npy file of one row, in place of QUERY.")  # fmt: skip
@click.option("--system", type=SYSTEM, default="CL-SR", show_default=True, help="What searches: CL-SR, "
              "CL-SR rescored, codes, tokens, dense, BM25 …, or a sum such as 'BM25 + 2 codes', or "
              "'BM25 + codes by rank'.")  # fmt: skip
@click.option("--cutoff", "-k", default=10, show_default=True, type=click.IntRange(min=1), help="Passages to show.")
@click.option("--explain", is_flag=True, help="Show which concepts make up each score.")
@click.option("--by-words", is_flag=True, help="Show the words that the dense score of each hit is made of, below it; "
              "of a sum with dense in it, dense's part.")  # fmt: skip
@click.option("--boost", "boosts", multiple=True, metavar="CONCEPT=FACTOR", help="Multiply a concept's weight in the "
              "query: 0 leaves it out, below 0 pushes it away. May be given several times.")  # fmt: skip
@click.option("--ban", "banned", multiple=True, type=int, metavar="CONCEPT",
              help="Leave out passages with this concept. May be given several times.")  # fmt: skip
@click.option("--where", multiple=True, metavar="KEY=VALUE",
              help="Find only passages with this metadata. May be given several times: a passage is to have all of "
              "it.")  # fmt: skip
@click.option("--query-k", type=click.IntRange(min=1), help="Use only so many concepts of the query, its strongest.")
@click.option("--passage-k", type=click.IntRange(min=1), help="Count only so many of each passage, its strongest.")
@click.option("--effort", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of the query's postings to read; below 1, the search is approximate.")  # fmt: skip
@ON
@JSON
def search(
    project: Path,
    query: str | None,
    query_id: str | None,
    query_vector: Path | None,
    system: str,
    cutoff: int,
    explain: bool,
    by_words: bool,
    boosts: tuple[str, ...],
    banned: tuple[int, ...],
    where: tuple[str, ...],
    query_k: int | None,
    passage_k: int | None,
    effort: float,
    on: str,
    as_json: bool,
) -> None:
    """Search PROJECT for QUERY. A concept is given by its number, as --explain shows it.

    \b
    Examples:
      unweave search demo "electricity from wind" --explain
      unweave search demo wind --system "BM25 + 2 codes" --cutoff 5
      unweave search demo wind --ban 1826 --boost 586=2
    """
    from unweave.retrieval.steering import Steering

    shown, asked = _asked(query, query_id, query_vector)
    opened = open_project(project)
    if opened.is_sharded:
        unread = {"--boost": boosts, "--ban": banned, "--where": where,
                  "--query-k": query_k, "--passage-k": passage_k, "--by-words": by_words,
                  "--effort": effort != 1}  # fmt: skip
        left_out = [name for name, value in unread.items() if value]
        _search_shards(opened, shown, asked, cutoff, system, explain, on, left_out, as_json)
        return
    opened.systems.check([system])
    filters = [pair(given, "KEY=VALUE") for given in where]
    allowed = [opened.where({key: value}, system=system) for key, value in filters]
    steering = Steering(
        boosts=factors(boosts), banned=banned, allowed=reduce(and_, allowed) if allowed else None,
        query_k=query_k, passage_k=passage_k, effort=effort,
    )  # fmt: skip
    hits = opened.search(asked, cutoff, system=system, steering=steering, explain=explain)
    words: Sequence[ByWords | SumByWords] = ()
    if by_words:
        if boosts:
            raise click.UsageError("--by-words is of scores as they are; leave --boost out")
        of = system if "+" in system else "dense"
        words = opened.all_by_words(asked, [hit.passage.passage_id for hit in hits], system=of)
    show_hits(shown, hits, as_json, words)


def _search_shards(
    project: Project, shown: str, asked: Asked, cutoff: int, system: str, explain: bool, on: str, unread: Sequence[str],
    as_json: bool,
) -> None:  # fmt: skip
    """Search a corpus that lies in shards; what is partial says so."""
    if unread:
        raise click.UsageError(f"a corpus in shards is searched unsteered; leave {', '.join(unread)} out")
    found = project.sharded(on).search(asked, cutoff, system=system, explain=explain)
    show_hits(shown, found.hits, as_json)
    for shard, why in found.missing.items():
        click.echo(f"PARTIAL: the shard {shard} was not searched: {plain(why)}", err=True)


@click.command("search-all")
@PROJECT
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--system", type=SYSTEM, default="CL-SR", show_default=True, help="What searches, as for: unweave search."
)
@click.option("--cutoff", "-k", default=100, show_default=True, type=click.IntRange(min=1), help="Hits a query.")
@JSON
def search_all(project: Path, out: Path, system: str, cutoff: int, as_json: bool) -> None:
    """Search for all of the project's queries, and write a run in TREC's format.

    OUT is a file of six columns, which trec_eval and ir_measures read.

    \b
    Examples:
      unweave search-all demo run.trec --system codes
    """
    from unweave.base.files import write_atomically
    from unweave.evaluation.runs import write_run

    run = open_project(project).search_all(cutoff=cutoff, system=system)
    lines = {query_id: list(hits.items()) for query_id, hits in run.items()}
    write_atomically(out, lambda path: write_run(path, lines, system))
    if as_json:
        print_json({"run": str(out), "n_queries": len(run), "system": system})
    else:
        click.echo(f"{plain(str(out))}: {len(run):,} queries by {plain(system)}")


def _asked(query: str | None, query_id: str | None, vector: Path | None) -> tuple[str, Asked]:
    """What to show of the query, and what to search for: exactly one of the three must be given."""
    from unweave.stages.asked import QueryId

    given = [one for one in (query, query_id, vector) if one is not None]
    if len(given) != 1:
        raise click.UsageError("give one of QUERY, --query-id and --query-vector")
    if query is not None:
        return query, query
    if query_id is not None:
        return query_id, QueryId(query_id)
    assert vector is not None
    return vector.name, read_vector(vector)


def read_vector(path: Path) -> NDArray[np.floating[Any]]:
    """The embedding in a .npy file of one row, (d_in,)."""
    import numpy as np

    from unweave.encode.brought import open_vectors
    from unweave.errors import BadData

    try:
        rows = open_vectors(path)
    except BadData:
        rows = open_vectors(path, ndim=1)[None]
    if len(rows) != 1:
        raise BadData(f"{path} has {len(rows):,} rows; expected one embedding, of shape (d_in,) or (1, d_in)")
    return np.array(rows[0])


def show_hits(
    query: str, hits: Sequence[Hit], as_json: bool, words: Sequence[ByWords | SumByWords] = ()
) -> None:  # fmt: skip
    """Print hits, with the words of their scores or without, and what their signs mean."""
    from unweave.cli import accounts, show

    for one in words:
        one.check()
    if as_json:
        more = [{"by_words": one.to_dict()} for one in words] or [{}] * len(hits)
        print_json({"query": query, "hits": [{**hit.to_dict(), **by} for hit, by in zip(hits, more, strict=True)]})
        return
    for number, hit in enumerate(hits):
        for line in show.hit(hit):
            click.echo(line)
        for line in accounts.words_of_hit(words[number]) if words else ():
            click.echo(f"     {line}")
    for line in show.legend(why for hit in hits for why in (hit.explanation, hit.dense_explanation)):
        click.echo(line, err=True)
    if not hits:
        click.echo("no passage shares anything with this query", err=True)


def pair(given: str, form: str) -> tuple[str, str]:
    """Both sides of what was given as LEFT=RIGHT."""
    left, sign, right = given.partition("=")
    if not sign or not left:
        raise click.BadParameter(f"{plain(given, 60)!r} is not of the form {form}")
    return left, right


def factors(given: tuple[str, ...], form: str = "CONCEPT=FACTOR") -> dict[int, float]:
    """Numbers by concept, as they were given as CONCEPT=FACTOR."""
    found: dict[int, float] = {}
    for one in given:
        left, right = pair(one, form)
        try:
            concept, factor = int(left), float(right)
        except ValueError:
            raise click.BadParameter(f"{plain(one, 60)!r} is not a concept's number = a number") from None
        if concept in found and found[concept] != factor:
            raise click.BadParameter(f"concept {concept} is given two numbers, {found[concept]:g} and {factor:g}")
        found[concept] = factor
    return found
