"""The commands about how concepts relate to each other, to passages and to corpora: families, paths, prevalent,
contrast, carrying."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from unweave.base.plain import plain
from unweave.base.records import Trust
from unweave.cli.complete import CONCEPT
from unweave.cli.options import JSON, PROJECT, SVG, draw, open_project, print_json

if TYPE_CHECKING:
    from unweave.concepts.relations.contrast import Differing
    from unweave.concepts.relations.shares import Interval
    from unweave.concepts.store import Concepts
    from unweave.stages.across import Contrast

T = TypeVar("T")

_SHOWN_MEMBERS = 12


@click.command()
@PROJECT
@click.option("--top", default=20, show_default=True, type=click.IntRange(min=1), help="Families to show.")
@JSON
def families(project: Path, top: int, as_json: bool) -> None:
    """Show the families of concepts that are active together, the largest first.

    \b
    Examples:
      unweave families demo
    """

    opened = open_project(project)
    names, found = opened.concepts, opened.families()
    if as_json:
        print_json({
            "n_families": len(found),
            "families": [
                {"head": _named(names, family.head), "trust": _for_all(names, family.head).value,
                 "members": [{**_named(names, member), "weight": weight}
                             for member, weight in zip(family.members, family.weights, strict=True)]}
                for family in found[:top]
            ],
        })  # fmt: skip
        return
    for family in _set_apart(found[:top], lambda family: names.returns(family.head)):
        trust = _for_all(names, family.head)
        for_all = "" if trust is Trust.UNSCORED else f"   for all of them: {trust.mark} {trust}"
        click.echo(f"{1 + len(family.members):>4}  {_shown(names, family.head)}{for_all}")
        for member, weight in zip(family.members[:_SHOWN_MEMBERS], family.weights, strict=False):
            click.echo(f"        {weight:.2f}  {_shown(names, member)}")
        if len(family.members) > _SHOWN_MEMBERS:
            click.echo(f"              {len(family.members) - _SHOWN_MEMBERS} more")
    _legend(names)
    if not found:
        click.echo(f"no families are stored for these concepts; run: unweave name {plain(str(project))}", err=True)


def _for_all(names: Concepts, head: int) -> Trust:
    """How far a head's name is to be trusted as that of its family."""
    concept = names.concept(head)
    return Trust.UNSCORED if concept is None else concept.family_trust


@click.command()
@PROJECT
@click.argument("passage_id")
@JSON
def paths(project: Path, passage_id: str, as_json: bool) -> None:
    """Show the concepts of the passage PASSAGE_ID as paths from coarse to fine, the strongest first.

    \b
    Examples:
      unweave paths demo Wind_power
    """

    opened = open_project(project)
    names, found = opened.concepts, opened.paths(passage_id)
    if as_json:
        print_json({
            "passage_id": passage_id,
            "paths": [
                {"strength": path.strength,
                 "concepts": [{**_named(names, latent), "activation": activation}
                              for latent, activation in zip(*path, strict=True)]}
                for path in found
            ],
        })  # fmt: skip
        return
    for path in found:
        steps = [
            _shown(names, latent) if activation else f"({_shown(names, latent)})"
            for latent, activation in zip(*path, strict=True)
        ]
        click.echo(f"{path.strength:7.3f}  {' > '.join(steps)}")
    _legend(names)
    if any(0 in path.activations for path in found):
        click.echo("in brackets: concepts on the way that the passage does not activate")
    if not found:
        click.echo("this passage activates no concept", err=True)


@click.command()
@PROJECT
@click.argument("query")
@click.option("--cutoff", "-k", default=50, show_default=True, type=click.IntRange(min=1), help="Passages to look at.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Concepts to show.")
@JSON
def prevalent(project: Path, query: str, cutoff: int, top: int, as_json: bool) -> None:
    """Search PROJECT for QUERY and show what the found passages are about, each concept with passages as proof.

    \b
    Examples:
      unweave prevalent demo "electricity from wind"
    """

    opened = open_project(project)
    hits = opened.search(query, cutoff)
    names, found = opened.concepts, opened.prevalent(hits, top)
    if as_json:
        print_json({
            "query": query,
            "n_hits": len(hits),
            "concepts": [
                {**_named(names, one.latent), "n_hits": one.n_hits, "share": one.share, "lift": one.lift,
                 "p_value": one.p_value,
                 "passages": [{"passage_id": opened.corpus[passage].passage_id, "activation": activation}
                              for passage, activation in zip(one.passages, one.activations, strict=True)]}
                for one in found
            ],
        })  # fmt: skip
        return
    for one in _set_apart(found, lambda one: one.returns):
        click.echo(f"{one.n_hits:>3} of {len(hits)}  {one.lift:7.1f} x  {_shown(names, one.latent)}")
        for passage in (opened.corpus[position] for position in one.passages):
            click.echo(f"       {plain(passage.title or passage.text, 80)}  [{plain(passage.passage_id, 60)}]")
    _legend(names)
    if found:
        click.echo("x: how many times as frequent as in the whole corpus")
    else:
        click.echo("no concept sets the found passages apart from the corpus", err=True)


@click.command()
@click.argument("one", type=click.Path(file_okay=False, path_type=Path))
@click.argument("other", type=click.Path(file_okay=False, path_type=Path))
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=1), help="Concepts to show of each side.")
@SVG
@JSON
def contrast(one: Path, other: Path, top: int, svg: Path | None, as_json: bool) -> None:
    """Show what sets the corpora of two projects, ONE and OTHER, apart: concepts much more frequent in one of them.

    Both have to read with the same dictionary, as with `unweave fit --dictionary`; concepts that a corpus has learned
    beside it are not compared. Shown is what is at least twice as frequent, beyond the luck of a draw.

    \b
    Examples:
      unweave contrast demo mine
    """
    from unweave.stages.across import contrast as set_apart

    found = set_apart(open_project(one), open_project(other))
    names = [plain(str(folder), 60) for folder in (one, other)]
    draw(svg, lambda: _picture(found, names, top))
    if as_json:
        sides = {"more": found.more[:top], "less": found.less[:top]}
        print_json({
            "one": str(one), "other": str(other), **found._asdict(),
            **{side: [row._asdict() for row in rows] for side, rows in sides.items()},
        })  # fmt: skip
        return
    for line in _contrast(found, names, top):
        click.echo(line)
    if any(row.returns is not None for row in (*found.more, *found.less)):
        from unweave.cli.show import RETURNS_MEANS

        click.echo(RETURNS_MEANS, err=True)


def _picture(found: Contrast, names: Sequence[str], top: int) -> str:
    from unweave.report.shares import drawn

    return drawn(found, names[0], names[1], top)


def _contrast(found: Contrast, names: Sequence[str], top: int) -> Iterator[str]:
    """What sets two corpora apart, each concept with its test."""
    yield f"{names[0]}: {found.n_one:,} passages; {names[1]}: {found.n_other:,}; {found.n_latents:,} concepts in common"
    for name, rows in zip(names, (found.more, found.less), strict=True):
        yield f"\n{len(rows):,} more frequent in {name}"
        yield from _apart(rows[:top])
    if found.more or found.less:
        yield f"\nshares of the passages of {names[0]} and {names[1]}, each with where it lies for 95 % of draws"
        yield "x: how many times as frequent; p: by Fisher's exact test, corrected for all that were tested"
    yield f"{found.n_tested:,} concepts were tested; of those found, one in twenty may differ by luck"


def _apart(rows: Sequence[Differing]) -> Iterator[str]:
    """A line for each, and before the first of those that do not return, which stand last, what they are."""
    from unweave.cli import show

    for before, row in zip([None, *rows], rows, strict=False):
        if row.returns is False and (before is None or before.returns is not False):
            yield show.NOT_FOUND_AGAIN
        yield _differing(row)


def _differing(row: Differing) -> str:
    from unweave.cli import show

    said = show.named(row.latent, row.name, row.trust, row.returns)
    shares = "  ".join(
        f"{share:6.1%} {_percents(interval)}"
        for share, interval in ((row.share_one, row.interval_one), (row.share_other, row.interval_other))
    )
    return f"{shares}  {2 ** abs(row.log_ratio):7.1f} x  p {row.p_value:<7.2g}  {said}"


def _percents(of: Interval) -> str:
    return f"{f'{100 * of.low:.1f}-{100 * of.high:.1f}':<10}"


@click.command()
@PROJECT
@click.argument("passage_id")
@click.argument("concept", type=CONCEPT)
@JSON
def carrying(project: Path, passage_id: str, concept: int, as_json: bool) -> None:
    """Show which sentence of the passage PASSAGE_ID carries CONCEPT, a concept's number.

    \b
    Examples:
      unweave carrying demo Wind_power 1826
    """

    opened = open_project(project)
    found = opened.carrying(passage_id, concept)
    if as_json:
        print_json({
            "passage_id": passage_id, **_named(opened.concepts, concept),
            "sentences": [sentence._asdict() for sentence in found],
        })  # fmt: skip
        return
    click.echo(f"{_shown(opened.concepts, concept)}\n  alone    lost")
    for sentence in found:
        mark = ">" if sentence.carries else " "
        click.echo(f"{sentence.alone:7.3f} {sentence.lost:+7.3f} {mark} {plain(sentence.text, 160)}")
    if not any(sentence.carries for sentence in found):
        click.echo("the passage does not activate this concept", err=True)


def _named(names: Concepts, latent: int) -> dict[str, Any]:
    trust = names.trust(latent)
    return {
        "latent": latent, "name": names.get(latent), "trust": None if trust is None else trust.value,
        "returns": names.returns(latent),
    }  # fmt: skip


def _set_apart(found: Iterable[T], returns: Callable[[T], bool | None]) -> Iterator[T]:
    """The same, and before the first of those that do not return, which stand last, what they are."""
    from unweave.cli import show

    said = False
    for one in found:
        if returns(one) is False and not said:
            click.echo(show.NOT_FOUND_AGAIN)
            said = True
        yield one


def _shown(names: Concepts, latent: int) -> str:
    from unweave.cli import show

    return show.named(latent, names.get(latent), names.trust(latent), names.returns(latent))


def _legend(names: Concepts) -> None:
    """What the sign of a concept that returns means, if it is known of one."""
    from unweave.cli import show

    if names.returning():
        click.echo(show.RETURNS_MEANS, err=True)
