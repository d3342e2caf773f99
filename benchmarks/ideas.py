"""Pictures for docs/ideas.md, from what the other benchmarks measured; `render.py` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from unweave.base.records import Explanation, Trust, marks
from unweave.report.svg import Palette, framed, style, text

_WIDTH, _LABELS, _ROW, _HEAD = 880, 300, 30, 78  # pixels
_PLOT = _WIDTH - _LABELS - 130
_SHOWN = 8


class Row(NamedTuple):
    """Two values beside each other, such as a concept's activation in a query and in a passage."""

    label: str
    first: float
    second: float | None
    said: str
    """What stands at the row's end."""


def _colours(of: Palette) -> dict[str, str]:
    return {".first": f"fill: {of.blue}; stroke: {of.blue}", ".second": f"fill: {of.page}; stroke: {of.orange}"}


_STYLE = style("idea", ".idea .first, .idea .second { stroke-width: 2; }", _colours)


def pictures(hit: Explanation, related: Mapping[str, Any], read: Mapping[str, Any]) -> dict[str, str]:
    """Each picture as SVG, by its name.

    Args:
        hit: the account of the dense score of the demo's hit.
        related, read: the results of related.py and of readers_marks.py.
    """
    return {
        "concepts": bars("What a query has of a passage's concepts", ("query", "passage", "product"), shared(hit)),
        "residual": bars("What is left of an embedding", ("with so many latents", "", "left"), left(related)),
        "names": bars("How often a name fits a text", ("named latents", "random directions", "names"), fits(read)),
    }


def shared(hit: Explanation) -> list[Row]:
    """The strongest concepts of both; the passage's value times the query's is what the concept adds."""
    rows = []
    for one in hit.contributions[:_SHOWN]:
        named = one.trust is not Trust.NONE and one.name
        label = f"{marks(one.trust, one.returns)} {one.name if named else '(no name holds)'} #{one.latent}"
        rows.append(Row(label, one.query, one.passage, f"{one.value:+.4f}"))
    return rows


def left(related: Mapping[str, Any]) -> list[Row]:
    """The share of the variance that pursuit leaves over, by the number of latents."""
    found = (re.search(r"k =\s+(\d+): ([\d.]+)", line) for line in related["printed"]["related_pursuit"])
    return [
        Row(f"{one[1]} latent{'s' * (one[1] != '1')}", float(one[2]), None, f"{float(one[2]):.0%}")
        for one in found
        if one
    ]


def fits(read: Mapping[str, Any]) -> list[Row]:
    """The share of texts that readers said a name fits, by how strongly the text activates the latent."""
    names, random = read["sheets"]["names"], read["sheets"]["random"]
    labels = {
        "strongest 1/64": "strongest of 64 texts",
        "to 1/16": "to the strongest of 16",
        "to 1/4": "to the strongest of 4",
        "the rest": "all weaker ones",
        "silent": "latent silent",
    }
    return [
        Row(said, _share(names[key]), _share(random[key]) if sum(random[key]) else None, f"{_share(names[key]):.0%}")
        for key, said in labels.items()
    ]


def _share(counts: Sequence[int]) -> float:
    """Of the grades no, partly and plainly: what is not no."""
    return sum(counts[1:]) / sum(counts)


def bars(title: str, kinds: tuple[str, str, str], rows: Sequence[Row]) -> str:
    """A filled bar a row for the first of two kinds, a hollow one below it for the second, and a value at the end."""
    most = max(value for row in rows for value in (row.first, row.second or 0.0))
    said = "; ".join(f"{row.label}: {row.said}" for row in rows)
    height = _HEAD + _ROW * len(rows) + 16
    return framed("idea", title, said, (_WIDTH, height), _STYLE, _shapes(kinds, rows, most))


def _shapes(kinds: tuple[str, str, str], rows: Sequence[Row], most: float) -> Iterator[str]:
    for kind, x, name in (("first", _LABELS, kinds[0]), ("second", _LABELS + 170, kinds[1])):
        if name:
            yield f'<rect class="{kind}" x="{x}" y="48" width="12" height="10"/>'
            yield text(x + 20, 58, name, "soft")
    yield text(_WIDTH - 20, 58, kinds[2], "soft", "end")
    for number, row in enumerate(rows):
        y = _HEAD + _ROW * number
        yield text(20, y + 15, row.label)
        values = [("first", row.first)] + [("second", row.second)] * (row.second is not None)
        thick = 16 if len(values) == 1 else 8
        for place, (kind, value) in enumerate(values):
            yield (
                f'<rect class="{kind}" x="{_LABELS}" y="{y + 3 + place * (thick + 3)}" '
                f'width="{_PLOT * (value or 0.0) / most:.2f}" height="{thick}"/>'
            )
        yield text(_WIDTH - 20, y + 15, row.said, anchor="end")
