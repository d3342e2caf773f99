"""The command that compares two models of the same passages: models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.base.plain import number_of, plain
from unweave.cli.options import JSON, open_project, print_json
from unweave.concepts.relations.kinds import LEAST_TEXTS, SAME, Kind

if TYPE_CHECKING:
    from unweave.explaining.difference import Differing
    from unweave.stages.models import Equivalent, Fate, Marked, ModelDifference, Side, Unmatched
    from unweave.stages.winners import Changed, Lead, Winners

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FOR, _AGAINST = 3, 2
"""Concepts that are shown of a lead: those that make it, and those that take away from it."""


@click.command()
@click.argument("one", type=_FOLDER)
@click.argument("other", type=_FOLDER)
@click.option("--top", default=5, show_default=True, type=click.IntRange(min=1), help="Rows to show of each kind.")
@JSON
def models(one: Path, other: Path, top: int, as_json: bool) -> None:
    """Show what sets two models of the same passages apart: concepts that only one has, and winners that change.

    ONE and OTHER are projects of one corpus, with other encoders or other dictionaries. Concepts are matched by when
    they are active on the passages that both have. Each query whose first dense hit is another one is shown with the
    concepts that put it there.

    \b
    Examples:
      unweave models small large
    """
    from unweave.cli import show
    from unweave.stages.models import compare_models

    found = compare_models(open_project(one), open_project(other))
    if as_json:
        print_json(_record(found, top))
        return
    for line in _lines(found, top):
        click.echo(line)
    click.echo(show.MARKS_MEAN, err=True)
    if any(concept.returns is not None for row in found.relations for concept in (*row.ones, *row.others)):
        click.echo(show.RETURNS_MEANS, err=True)


def _lines(found: ModelDifference, top: int) -> Iterator[str]:
    names = [plain(str(path), 60) for path in found.paths]
    yield from _header(found, names)
    directions = {
        Kind.MATCHED: "matched: one of each",
        Kind.SPLIT: f"split: one of {names[0]}, several of {names[1]}",
        Kind.MERGED: f"merged: several of {names[0]}, one of {names[1]}",
    }
    for kind, said in directions.items():
        rows = found.of_kind(kind)
        if rows:
            yield f"\n{said}, the highest correlation first"
        yield from (f"  {row.correlation:.2f}  {_equivalent(row)}" for row in rows[:top])
    for name, side in zip(names, (found.one, found.other), strict=True):
        if side.only:
            yield f"\nonly in {name}, the most frequent first"
        yield from map(_only, side.only[:top])
    yield from _queries(found, names, top)


def _header(found: ModelDifference, names: Sequence[str]) -> Iterator[str]:
    from unweave.cli import show

    passages, sides = found.passages, (found.one, found.other)
    yield f"{names[0]} and {names[1]}: {passages.n_shared:,} passages in common"
    left_out = {
        f"only in {names[0]}": passages.n_only_one, f"only in {names[1]}": passages.n_only_other,
        "with the same id and another text": passages.n_differing,
    }  # fmt: skip
    if any(left_out.values()):
        yield f"left out: {', '.join(f'{n:,} {said}' for said, n in left_out.items() if n)}"
    yield (
        f"{sides[0].n_compared:,} and {sides[1].n_compared:,} concepts compared; {sides[0].n_rare:,} and "
        f"{sides[1].n_rare:,} are active in fewer than {LEAST_TEXTS} of these passages, too few"
    )
    yield ""
    yield from show.table([
        {"concepts": kind.value, **{f"of {name}": f"{side.kinds[kind]:,}" for name, side in _both(names, sides)},
         **{f"of {name}, by chance": f"{side.by_chance[kind]:,}" for name, side in _both(names, sides)}}
        for kind in Kind
    ])  # fmt: skip
    yield "overlapping: the counterpart belongs to another concept; by chance: with the passages of one shuffled"


def _both(names: Sequence[str], sides: Sequence[Side]) -> Iterator[tuple[str, Side]]:
    """Each side by the project's name; two of one name are told apart."""
    twice = names[0] == names[1]
    return (
        (f"{name} ({i})" if twice else name, side) for i, (name, side) in enumerate(zip(names, sides, strict=True), 1)
    )


def _equivalent(row: Equivalent) -> str:
    sides = (" + ".join(map(_marked, side)) for side in (row.ones, row.others))
    return (" = " if row.kind is Kind.MATCHED else " -> ").join(sides)


def _only(row: Unmatched) -> str:
    near = "" if row.closest is None else f"   closest: {_marked(row.closest)}, {row.correlation:.2f}"
    return f"  {row.n_passages:>5,} passages  {_marked(row.concept)}{near}"


def _marked(concept: Marked | Differing) -> str:
    from unweave.cli import show

    return show.named(concept.latent, concept.name, concept.trust, concept.returns)


def _queries(found: ModelDifference, names: Sequence[str], top: int) -> Iterator[str]:
    asked = found.queries
    if not asked.n_shared:
        yield "\nno query of the same id and text is embedded in both"
        return
    yield f"\n{len(asked.changed):,} of {asked.n_shared:,} queries have another winner{_right(asked, names)}"
    for query in asked.changed[:top]:
        yield from _changed(query, found, names)
    if asked.changed:
        yield (
            "\n=: the same concept in the other model; part of: together with others; near: the closest, which belongs "
            f"to another concept; only here: the other model has none that correlates at {SAME} or above"
        )


def _right(asked: Winners, names: Sequence[str]) -> str:
    judged, p = asked.judged(), asked.p_value()
    n = sum(judged.values())
    if not n:
        return ""
    test = "" if p is None else f"; sign test p = {p:.2g}"
    return (
        f"\nof {n:,} judged ones, the winner is relevant of {names[0]} alone in {judged['one']:,}, "
        f"of {names[1]} alone in {judged['other']:,}, of both in {judged['both']:,}, of neither in "
        f"{judged['neither']:,}{test}"
    )


def _changed(query: Changed, found: ModelDifference, names: Sequence[str]) -> Iterator[str]:
    right = {"one": names[0], "other": names[1], "both": "both", "neither": "neither"}.get(query.right or "")
    yield f"\n{plain(query.text, 90)}  [{plain(query.query_id, 40)}]{f'   right: {right}' if right else ''}"
    for name, lead, fates in zip(names, (query.one, query.other), found.fates, strict=True):
        yield f"  {name}: {plain(lead.title, 70)}  [{plain(lead.passage_id, 40)}]"
        yield from (f"    {line}" for line in _lead(lead, fates))


def _lead(lead: Lead, fates: Mapping[int, Fate]) -> Iterator[str]:
    """The lead of a winner as a sum: what makes it, what takes away, all others, and what concepts leave over."""
    found = lead.account
    gains, losses = ([one for one in found.concepts if one.difference * sign > 0] for sign in (1, -1))
    others = [*gains[_FOR:], *losses[_AGAINST:]]
    yield f"{found.first.score:.4f}, {lead.value:.4f} above the other's winner ="
    for one in (*gains[:_FOR], *losses[:_AGAINST]):
        yield f"  {one.difference:+.4f}  {_marked(one)}   {_fate(fates.get(one.latent))}"
    if others:
        more = number_of(len(others), "more concept")
        yield f"  {math.fsum(one.difference for one in others):+.4f}  {more}"
    yield f"  {found.residual:+.4f}  residual"


def _fate(fate: Fate | None) -> str:
    if fate is None:
        return "too rare to compare"
    if fate.kind is Kind.ONLY:
        return "only here"
    others = " + ".join(map(_marked, fate.counterparts))
    if fate.kind is Kind.OVERLAPPING:
        return f"near {others}"
    return f"= {others}" if fate.kind is Kind.MATCHED or len(fate.counterparts) > 1 else f"part of {others}"


def _record(found: ModelDifference, top: int) -> dict[str, Any]:
    def concept(of: Marked | None) -> dict[str, Any] | None:
        return None if of is None else of._asdict()

    def unmatched(rows: Sequence[Unmatched]) -> list[dict[str, Any]]:
        return [row._asdict() | {"concept": concept(row.concept), "closest": concept(row.closest)} for row in rows]

    def side(of: Side) -> dict[str, Any]:
        return of._asdict() | {"only": unmatched(of.only[:top]), "overlapping": unmatched(of.overlapping[:top])}

    def fate(of: Fate | None) -> dict[str, Any] | None:
        return None if of is None else {"kind": of.kind, "counterparts": list(map(concept, of.counterparts))}

    def lead(of: Lead, fates: Mapping[int, Fate]) -> dict[str, Any]:
        account = of.account.to_dict()
        concepts = [one | {"fate": fate(fates.get(one["latent"]))} for one in account["concepts"]]
        return of._asdict() | {"account": account | {"concepts": concepts}}

    return {
        "one": str(found.paths[0]), "other": str(found.paths[1]), "passages": found.passages._asdict(),
        "concepts": {"one": side(found.one), "other": side(found.other)},
        "relations": [
            row._asdict() | {"ones": list(map(concept, row.ones)), "others": list(map(concept, row.others))}
            for kind in Kind for row in found.of_kind(kind)[:top]
        ],
        "queries": {
            "n_shared": found.queries.n_shared, "n_left_out": found.queries.n_left_out,
            "n_changed": len(found.queries.changed), "right": found.queries.judged(),
            "p_value": found.queries.p_value(),
            "changed": [
                query._asdict() | {"one": lead(query.one, found.fates[0]), "other": lead(query.other, found.fates[1])}
                for query in found.queries.changed[:top]
            ],
        },
    }  # fmt: skip
