"""The commands that search and explain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from unweave.base.plain import plain
from unweave.base.records import Hit
from unweave.cli.options import JSON, PROJECT, open_project, print_json


@click.command()
@PROJECT
@click.argument("query")
@click.option("--cutoff", "-k", default=10, show_default=True, type=click.IntRange(min=1), help="Passages to show.")
@click.option("--explain", is_flag=True, help="Show which concepts make up each score.")
@click.option("--rescore", is_flag=True, help="Order the best thousand anew by the dense query and stored codes.")
@click.option("--boost", "boosts", multiple=True, metavar="CONCEPT=FACTOR", help="Multiply a concept's weight in the "
              "query: 0 leaves it out, below 0 pushes it away. May be given several times.")  # fmt: skip
@click.option("--ban", "banned", multiple=True, type=int, metavar="CONCEPT",
              help="Leave out passages with this concept. May be given several times.")  # fmt: skip
@click.option("--where", multiple=True, metavar="KEY=VALUE",
              help="Find only passages with this metadata. May be given several times.")  # fmt: skip
@click.option("--query-k", type=click.IntRange(min=1), help="Use only so many concepts of the query, its strongest.")
@click.option("--passage-k", type=click.IntRange(min=1), help="Count only so many of each passage, its strongest.")
@click.option("--effort", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
              help="Share of the query's postings to read; below 1, the search is approximate.")  # fmt: skip
@click.option("--profile", type=click.Choice(["default", "paper", "tokens"]), default="default", show_default=True,
              help="Scoring formula; tokens: by concepts of single tokens, see unweave tokens.")  # fmt: skip
@click.option("--fuse", "fused", multiple=True, metavar="SYSTEM", help="Search by several systems in one call, named "
              "as by unweave evaluate: BM25, dense, tokens, 'concept codes' … To be given at least twice.")  # fmt: skip
@click.option("--by", type=click.Choice(["score", "rank"]), default="score", show_default=True,
              help="Fuse scores, each system's stretched to 0 to 1, or reciprocal ranks.")  # fmt: skip
@JSON
def search(
    project: Path,
    query: str,
    cutoff: int,
    explain: bool,
    rescore: bool,
    boosts: tuple[str, ...],
    banned: tuple[int, ...],
    where: tuple[str, ...],
    query_k: int | None,
    passage_k: int | None,
    effort: float,
    profile: str,
    fused: tuple[str, ...],
    by: str,
    as_json: bool,
) -> None:
    """Search PROJECT for QUERY by concepts. A concept is given by its number, as --explain shows it."""
    from unweave.retrieval.steering import Steering

    opened = open_project(project)
    if fused:
        _refuse_steering()
        _show_hits(query, opened.search_fused(query, fused, cutoff, by=by, explain=explain), as_json)
        return
    allowed = opened.where(dict(_pair(given, "KEY=VALUE") for given in where), profile) if where else None
    steering = Steering(
        boosts=_boosts(boosts), banned=banned, allowed=allowed, query_k=query_k, passage_k=passage_k, effort=effort
    )
    _show_hits(
        query,
        opened.search(query, cutoff, explain=explain, profile=profile, rescore=rescore, steering=steering),
        as_json,
    )


def _refuse_steering() -> None:
    """Options of a search by one index mean nothing to systems that have no concepts."""
    context = click.get_current_context()
    for name in ("rescore", "boosts", "banned", "where", "query_k", "passage_k", "effort", "profile"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            (given,) = (p.opts[0] for p in context.command.params if p.name == name)
            raise click.UsageError(f"{given} is for a search by one index; it does not go with --fuse")


def _show_hits(query: str, hits: Sequence[Hit], as_json: bool) -> None:
    from unweave.cli import show

    if as_json:
        print_json({"query": query, "hits": [hit.to_dict() for hit in hits]})
        return
    for hit in hits:
        for line in show.hit(hit):
            click.echo(line)
    if not hits:
        click.echo("no passage shares anything with this query", err=True)


def _pair(given: str, form: str) -> tuple[str, str]:
    left, sign, right = given.partition("=")
    if not sign or not left:
        raise click.BadParameter(f"{plain(given, 60)!r} is not of the form {form}")
    return left, right


def _boosts(given: tuple[str, ...]) -> dict[int, float]:
    boosts = {}
    for one in given:
        concept, factor = _pair(one, "CONCEPT=FACTOR")
        try:
            boosts[int(concept)] = float(factor)
        except ValueError:
            raise click.BadParameter(f"{plain(one, 60)!r} is not a concept's number = a factor") from None
    return boosts


@click.command()
@PROJECT
@click.argument("query")
@click.argument("passage_id")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Concepts to show.")
@JSON
def explain(project: Path, query: str, passage_id: str, top: int, as_json: bool) -> None:
    """Explain the dense score of QUERY and the passage PASSAGE_ID as named concepts, bias and residual."""
    from unweave.cli import show

    explanation = open_project(project).explain(query, passage_id)
    explanation.check()
    if as_json:
        print_json({"query": query, "passage_id": passage_id, **explanation.to_dict()})
        return
    for line in show.explain(explanation, top):
        click.echo(line)
