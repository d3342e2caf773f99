"""The commands that explain."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.cli.complete import SYSTEM
from unweave.cli.options import JSON, PROJECT, SVG, draw, open_project, print_json
from unweave.cli.search import factors, read_vector, show_hits

if TYPE_CHECKING:
    from unweave.base.records import Explanation
    from unweave.explaining.counterfactual import Counterfactual
    from unweave.explaining.difference import Difference
    from unweave.explaining.two_sided import TwoSided
    from unweave.explaining.words import ByWords, SumByWords


_DICTIONARY = click.option("--dictionary", help="Without PROJECT, what is read with: a dictionary's folder, or its "
                           "repository on the hub.  [default: the one in the package]")  # fmt: skip


_TOP = click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Concepts to show.")
_SYSTEM = click.option("--system", type=SYSTEM, help="With PROJECT, whose score: CL-SR, BM25 …, or a sum.  "
                       "[default: dense]")  # fmt: skip
_BOOST = click.option("--boost", "boosts", multiple=True, metavar="CONCEPT=FACTOR", help="With PROJECT, the score in a "
                      "search with a concept's weight multiplied. May be given several times.")  # fmt: skip


@click.command()
@click.argument("words", nargs=-1, metavar="[PROJECT] QUERY PASSAGE")
@_SYSTEM
@_BOOST
@_DICTIONARY
@_TOP
@click.option("--two-sided", "account", flag_value="two_sided",
              help="Write QUERY in concepts too: what both share, what pairs of other concepts add, and what is "
              "left of each. Of a dense score.")  # fmt: skip
@click.option("--by-words", "account", flag_value="by_words",
              help="Split each part of a dense score into the words of the passage; of a sum with dense in it, dense's "
              "part.")  # fmt: skip
@click.option("--hits", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Explain what any engine found, in place of PASSAGE: a file of JSON lines, each with an id, a "
              "vector or a text, and the engine's score.")  # fmt: skip
@click.option("--query", "engine_query", help="With --hits, what the engine was asked.")
@click.option("--query-vector", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="With --hits, the embedding that the engine was asked with, a .npy file of one row.")  # fmt: skip
@click.option("--measure", default="auto", show_default=True,
              help="With --hits, how the engine scores: cosine, dot, squared L2 …; auto finds what its scores agree "
              "with.")  # fmt: skip
@click.option("--lucene", is_flag=True, help="Print JSON in the shape of Lucene's explanations, which search engines "
              "answer _explain with.")  # fmt: skip
@SVG
@JSON
def explain(
    words: tuple[str, ...], system: str | None, boosts: tuple[str, ...], dictionary: str | None, top: int,
    account: str | None, hits: Path | None, engine_query: str | None, query_vector: Path | None, measure: str,
    lucene: bool, svg: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Explain the score of QUERY and PASSAGE as a sum of named parts.

    With PROJECT, PASSAGE is the id of one of its passages. Without, both are texts, and nothing else is needed. With
    --hits and --query, the hits of any engine are explained, by PROJECT's concepts or by those of the dictionary.

    \b
    Examples:
      unweave explain "electricity from wind" "a wind turbine"
      unweave explain demo "electricity from wind" Wind_power --by-words
      unweave explain demo --hits hits.jsonl --query "electricity from wind"
    """
    if hits is not None:
        if account is not None or system is not None or svg is not None or boosts:
            raise click.UsageError("--hits takes neither --system, --boost, --two-sided, --by-words nor --svg")
        _explain_hits(words, hits, (engine_query, query_vector), measure, dictionary, as_json, lucene)
        return
    if engine_query is not None or query_vector is not None:
        raise click.UsageError("--query and --query-vector go with --hits; give QUERY and PASSAGE as arguments")
    project, (query, passage) = _project_and(words, 2)
    of_sum = account == "by_words" and system is not None and "+" in system
    if account is not None and (lucene or boosts or not (of_sum or system in (None, "dense"))):
        said = "without --lucene" if lucene else "for the dense score as it is; leave --system and --boost out"
        raise click.UsageError(f"--{account.replace('_', '-')} is {said}")
    if (account == "two_sided" or of_sum) and svg is not None:
        said = "a sum by words" if of_sum else "--two-sided"
        raise click.UsageError(f"{said} has no picture; leave --svg out")
    asked = {"query": query, "passage" if project is None else "passage_id": passage}
    of = _opened(project, dictionary, system, boosts)
    explain_pair = of.explain if project is None else partial(of.explain, **_by(system, boosts))
    if account == "two_sided":
        _show_two_sided(asked, of.two_sided(query, passage), top, as_json)
        return
    if of_sum:
        (by_systems,) = of.all_by_words(query, [passage], system=system)
        _show_sum_by_words(asked, by_systems, top, as_json)
        return
    found = of.by_words(query, passage) if account == "by_words" else explain_pair(query, passage)
    draw(svg, lambda: _picture(found, query))
    _show_explanation(asked, found, top, as_json, lucene=lucene)


def _picture(found: Explanation | ByWords, query: str) -> str:
    from unweave.base.records import Explanation
    from unweave.report import pictures

    return pictures.staircase(found, query) if isinstance(found, Explanation) else pictures.heat(found)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[PROJECT] QUERY FIRST SECOND")
@_SYSTEM
@_BOOST
@_DICTIONARY
@_TOP
@click.option("--by-words", is_flag=True, help="Show the words of each passage that a concept's parts are made of.")
@SVG
@JSON
def difference(
    words: tuple[str, ...], system: str | None, boosts: tuple[str, ...], dictionary: str | None, top: int,
    by_words: bool, svg: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show why FIRST scores above SECOND for QUERY, or below: the concepts that make the difference.

    With PROJECT, FIRST and SECOND are ids of its passages. Without, all three are texts. Below stands the smallest
    change of one concept's weight in the query that makes both scores equal.

    \b
    Examples:
      unweave difference demo "electricity from wind" Wind_power Windmill
    """
    from unweave.cli import accounts, show

    project, (query, first, second) = _project_and(words, 3)
    if by_words and (boosts or system not in (None, "dense")):
        raise click.UsageError("--by-words is for the dense score as it is; leave --system and --boost out")
    of = _opened(project, dictionary, system, boosts)
    compare = of.difference if project is None else partial(of.difference, **_by(system, boosts))
    found = compare(query, first, second)
    found.check()
    draw(svg, lambda: _waterfall(found, first, second))
    if as_json:
        print_json({"query": query, "first_passage": first, "second_passage": second, **found.to_dict()})
        return
    both = [of.by_words(query, passage) for passage in (first, second)] if by_words else []
    for line in accounts.difference(found, top, both):
        click.echo(line)
    for line in show.legend([found.first, found.second]):
        click.echo(line, err=True)


@click.command()
@PROJECT
@click.argument("query")
@click.argument("passage_id", required=False)
@click.option("--scale", multiple=True, metavar="CONCEPT=FACTOR", help="Take a concept so many times as strong; 0 "
              "takes it out. May be given several times.")  # fmt: skip
@click.option("--add", multiple=True, metavar="CONCEPT=ACTIVATION", help="Add a concept with an activation, in units "
              "of the embedding's length. Of the dense score.")  # fmt: skip
@click.option("--in-query", is_flag=True, help="Change the query in place of the passage, and rank all passages by it.")
@click.option("--cut", "latent", type=click.IntRange(min=0), metavar="CONCEPT", help="Leave out the sentence of the "
              "passage that carries a concept, and embed the rest anew.")  # fmt: skip
@click.option(
    "--system", type=SYSTEM, default="dense", show_default=True, help="Whose scores and ranks: dense, CL-SR …"
)
@click.option("--cutoff", "-k", default=10, show_default=True, type=click.IntRange(min=1), help="Passages to show.")
@SVG
@JSON
def counterfactual(
    project: Path, query: str, passage_id: str | None, scale: tuple[str, ...], add: tuple[str, ...], in_query: bool,
    latent: int | None, system: str, cutoff: int, svg: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what scores and ranks would be with a concept of PASSAGE_ID weaker, stronger, gone or added.

    Or with --in-query, of QUERY; or with --cut, without the sentence of the passage that carries it.

    \b
    Examples:
      unweave counterfactual demo "electricity from wind" Wind_power --scale 1826=0
    """
    from unweave.cli import accounts

    opened = open_project(project)
    if latent is not None:
        if passage_id is None or scale or add or in_query or svg is not None or system != "dense":
            raise click.UsageError(
                "--cut takes a QUERY and a PASSAGE_ID and no other change, and is of the dense score"
            )
        cut = opened.cut(query, passage_id, latent)
        record, lines = cut.to_dict(), accounts.cut(cut)
    else:
        changes = factors(scale, "CONCEPT=FACTOR"), factors(add, "CONCEPT=ACTIVATION")
        moved = opened.counterfactual(
            query, passage_id, scale=changes[0], add=changes[1], in_query=in_query, system=system, cutoff=cutoff
        )
        draw(svg, lambda: _slopes(moved))
        record, lines = moved.to_dict(), accounts.counterfactual(moved)
    if as_json:
        print_json({"query": query, "passage_id": passage_id, **record})
        return
    for line in lines:
        click.echo(line)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[PROJECT] TEXT")
@_DICTIONARY
@_TOP
@JSON
def decompose(words: tuple[str, ...], dictionary: str | None, top: int, as_json: bool) -> None:
    """Show what the embedding of TEXT is made of: the share of each concept, and what no concept accounts for.

    With PROJECT, its own concepts are shown. Without, nothing but the text is needed.

    \b
    Examples:
      unweave decompose "a wind turbine makes electricity"
    """
    project, (text,) = _project_and(words, 1)
    _show_explanation({"text": text}, _opened(project, dictionary).decompose(text), top, as_json)


def _waterfall(found: Difference, first: str, second: str) -> str:
    from unweave.report import pictures

    return pictures.waterfall(found, first, second)


def _slopes(found: Counterfactual) -> str:
    from unweave.report import pictures

    return pictures.slopes(found)


def _project_and(words: tuple[str, ...], texts: int) -> tuple[Path | None, tuple[str, ...]]:
    """The project, if there is a word more than texts, and the texts."""
    if len(words) not in (texts, texts + 1):
        raise click.UsageError(f"{len(words)} arguments came in; give {texts} or, with a project first, {texts + 1}")
    return (Path(words[0]) if len(words) > texts else None), words[-texts:]


def _by(system: str | None, boosts: tuple[str, ...]) -> dict[str, Any]:
    """Whose score of a project is asked for, and how it is bent."""
    from unweave.retrieval.steering import Steering

    return {"system": system or "dense", "steering": Steering(boosts=factors(boosts))}


def _opened(
    project: Path | None, dictionary: str | None, system: str | None = None, boosts: tuple[str, ...] = ()
) -> Any:
    """What explains: a project, or without one a dictionary; both have the same verbs."""
    if project is not None:
        if dictionary is not None:
            raise click.UsageError("--dictionary goes without a PROJECT, which has a dictionary of its own")
        return open_project(project)
    if system is not None:
        raise click.UsageError("--system goes with a PROJECT, and only texts were given")
    if boosts:
        raise click.UsageError("--boost goes with a PROJECT, whose concepts have numbers, and only texts were given")
    from unweave.config import PRETRAINED
    from unweave.dictionaries.dictionary import from_pretrained

    return from_pretrained(PRETRAINED if dictionary is None else dictionary)


def _explain_hits(
    words: tuple[str, ...], hits: Path, query: tuple[str | None, Path | None], measure: str, dictionary: str | None,
    as_json: bool, lucene: bool,
) -> None:  # fmt: skip
    """Explain the hits of any engine."""
    from unweave.texts.hits import read_hits

    text, vector = query
    if len(words) > 1 or (text is None) == (vector is None):
        raise click.UsageError("--hits takes a PROJECT or nothing before it, and one of --query and --query-vector")
    asked = read_vector(vector) if vector is not None else text
    said = text if text is not None else str(vector)
    of = _opened(Path(words[0]) if words else None, dictionary)
    found = of.explain_hits(asked, read_hits(hits), measure=measure)
    for hit in found:
        hit.explanation.check()
    if lucene:
        from unweave.explaining.lucene import as_lucene

        answers = [
            {"_id": hit.passage.passage_id, "matched": True, "explanation": as_lucene(hit.explanation)} for hit in found
        ]
        print_json({"query": said, "hits": answers})
    else:
        show_hits(said, found, as_json)


def _show_explanation(
    asked: dict[str, str], found: Explanation | ByWords, top: int, as_json: bool, *, lucene: bool = False
) -> None:
    from unweave.base.records import Explanation
    from unweave.cli import accounts, show
    from unweave.explaining.lucene import as_lucene

    found.check()
    explanation, words = (found, None) if isinstance(found, Explanation) else (found.explanation, found)
    if lucene:
        print_json(as_lucene(explanation))
        return
    if as_json:
        print_json({**asked, **explanation.to_dict(), **({} if words is None else {"by_words": words.to_dict()})})
        return
    for line in show.explain(explanation, top) if words is None else accounts.by_words(words, top):
        click.echo(line)
    for line in show.legend([explanation]):
        click.echo(line, err=True)


def _show_sum_by_words(asked: dict[str, str], found: SumByWords, top: int, as_json: bool) -> None:
    from unweave.cli import accounts, show

    found.check()
    if as_json:
        print_json({**asked, **found.explanation.to_dict(), "by_words": found.to_dict()})
        return
    for line in accounts.sum_by_words(found, top):
        click.echo(line)
    for line in show.legend([found.explanation]):
        click.echo(line, err=True)


def _show_two_sided(asked: dict[str, str], found: TwoSided, top: int, as_json: bool) -> None:
    from unweave.cli import accounts

    found.check()
    if as_json:
        print_json({**asked, **found.to_dict()})
        return
    for line in accounts.two_sided(found, top):
        click.echo(line)
