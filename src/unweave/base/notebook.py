"""Explanations, hits and concepts as HTML for notebooks: self-contained, no script, everything that comes in escaped.

The bars of an explanation add up: what adds runs right from zero, what takes away runs back from there, and ends at
the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from unweave.base.plain import plain

_NAME, _ID, _TEXT = 80, 80, 240
"""Characters shown of a name, an id and a text."""
_COLOURS = ("#3b6fb5", "#c2571a", "#2d8a63", "#8a5fb0", "#a8891c", "#b3456b")
"""Of the concepts that carry most; the rest are grey."""
_GREY = "#8c8c8c"
_MOST = 10
"""Concepts that have a row of their own."""
_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;max-width:860px;margin:4px 0"
_TABLE = "border-collapse:collapse;font-size:inherit;color:inherit"
_CELL = "text-align:left;padding:1px 10px 1px 0;background:none;vertical-align:top"
_FIGURE = (
    "text-align:right;padding:1px 10px 1px 0;background:none;vertical-align:top;white-space:nowrap;"
    "font-variant-numeric:tabular-nums"
)


class Piece(NamedTuple):
    """A part of a score as it is drawn."""

    label: str
    value: float
    note: str = ""
    """How it comes about, such as `0.51 x 1.2`."""
    plain: bool = False
    """Whether it belongs to no concept: bias and residual are drawn as empty boxes."""


class Line(NamedTuple):
    """A row of a table of hits."""

    rank: int
    score: float
    passage_id: str
    text: str
    pieces: Sequence[Piece]
    """Of the score; none where it is not explained."""


class Axis(NamedTuple):
    """What the width of a bar stands for."""

    low: float
    """The score at the left end, 0 or below."""
    whole: float
    """From the left end to the right one."""


def shown(text: str, most: int) -> str:
    """Untrusted text as one line of HTML, its direction kept to itself."""
    return f"<bdi>{escape(plain(text, most))}</bdi>"


def account(title: str, score: float, pieces: Sequence[Piece]) -> str:
    """A score as a bar and a table whose last line is the score."""
    own = [piece.label for piece in pieces if not piece.plain][:_MOST]
    drawn, colours = _folded(pieces, own), _colours(own)
    rows = [
        f'<tr><td style="{_CELL}">{_swatch(piece, colours)} {shown(piece.label, _NAME)}</td>'
        f'<td style="{_FIGURE};opacity:.7">{escape(piece.note)}</td><td style="{_FIGURE}">{piece.value:+.4f}</td></tr>'
        for piece in drawn
    ]
    foot = (
        f'<td style="{_CELL}"><b>{shown(title, _NAME)}</b></td><td></td><td style="{_FIGURE}"><b>{score:.4f}</b></td>'
    )
    return (
        f'<div style="{_BOX}">{_bar(drawn, colours, _axis([drawn]))}<table style="{_TABLE}">'
        f'{"".join(rows)}<tr style="border-top:1px solid {_GREY}">{foot}</tr></table></div>'
    )


def hit_table(lines: Sequence[Line]) -> str:
    """Hits as a table, best first; their bars have one scale, and a concept has one colour and place in all of them."""
    sums: dict[str, float] = {}
    for piece in (piece for line in lines for piece in line.pieces if not piece.plain):
        sums[piece.label] = sums.get(piece.label, 0.0) + abs(piece.value)
    own = sorted(sums, key=lambda label: -sums[label])[: len(_COLOURS)]
    drawn = [_folded(line.pieces, own) for line in lines]
    colours, axis = _colours(own), _axis(drawn)
    rows = "".join(
        f'<tr><td style="{_FIGURE}">{line.rank}</td><td style="{_FIGURE}">{line.score:.4g}</td>'
        f'<td style="{_CELL};width:100%">'
        f"<b>{shown(line.passage_id, _ID)}</b> {shown(line.text, _TEXT)}{_bar(pieces, colours, axis)}</td></tr>"
        for line, pieces in zip(lines, drawn, strict=True)
    )
    named = {piece.label for pieces in drawn for piece in pieces}
    legend = " · ".join(f"{_swatch(Piece(one, 0), colours)} {shown(one, _NAME)}" for one in own if one in named)
    return f'<div style="{_BOX}">{legend}<table style="{_TABLE};width:100%">{rows}</table></div>'


def _folded(pieces: Sequence[Piece], own: Sequence[str]) -> list[Piece]:
    """The concepts with a piece of their own, the others in one that adds and one that takes away, then the rest."""
    place = {label: number for number, label in enumerate(own)}
    concepts = [piece for piece in pieces if not piece.plain]
    kept = sorted((piece for piece in concepts if piece.label in place), key=lambda piece: place[piece.label])
    others = [piece.value for piece in concepts if piece.label not in place]
    halves = ((word, [v for v in others if v * sign > 0]) for word, sign in (("add", 1), ("take away", -1)))
    more = [Piece(f"{len(values):,} more that {word}", math.fsum(values)) for word, values in halves if values]
    return kept + more + [piece for piece in pieces if piece.plain and piece.value]


def _colours(own: Sequence[str]) -> dict[str, str]:
    return dict(zip(own, _COLOURS, strict=False))


def _axis(bars: Iterable[Sequence[Piece]]) -> Axis:
    """One that all the bars fit: from the lowest score below 0 to the largest sum of what adds."""
    low = high = 0.0
    for pieces in bars:
        low = min(low, math.fsum(piece.value for piece in pieces))
        high = max(high, math.fsum(piece.value for piece in pieces if piece.value > 0))
    return Axis(low, high - low)


def _bar(pieces: Sequence[Piece], colours: Mapping[str, str], axis: Axis) -> str:
    """The pieces as two lanes: what adds, from zero rightwards; below, what takes away, back to the sum."""
    if not pieces or not 0 < axis.whole < math.inf:
        return ""

    def box(piece: Piece, start: float, y: int, height: int) -> str:
        x, width = 100 * (start - axis.low) / axis.whole, 100 * abs(piece.value) / axis.whole
        said = escape(f"{plain(piece.label, _NAME)}: {piece.value:+.4f}")
        return (
            f'<rect x="{x:.4f}%" y="{y}" width="{width:.4f}%" height="{height}" {_fill(piece, colours)}>'
            f"<title>{said}</title></rect>"
        )

    boxes, end = [], 0.0
    for piece in (piece for piece in pieces if piece.value > 0):
        boxes.append(box(piece, end, 0, 20))
        end += piece.value
    for piece in (piece for piece in pieces if piece.value < 0):
        end += piece.value
        boxes.append(box(piece, end, 22, 10))
    at = 100 * (end - axis.low) / axis.whole
    tick = f'<rect x="{at:.4f}%" y="0" width="2" height="34" fill="currentColor" transform="translate(-1)"/>'
    said = f"The parts add up to {end:.4f}"
    return (
        f'<svg role="img" aria-label="{said}" width="100%" height="34" style="display:block;margin:2px 0 4px">'
        f"{''.join(boxes)}{tick}</svg>"
    )


def card(title: str, facts: Iterable[str], groups: Iterable[tuple[str, Sequence[tuple[float, str]]]]) -> str:
    """A concept: its name, a line of facts, and groups of texts with an activation each."""
    return f'<div style="{_BOX}"><b>{shown(title, _NAME)}</b> {" · ".join(map(escape, facts))}{_groups(groups)}</div>'


def _groups(groups: Iterable[tuple[str, Sequence[tuple[float, str]]]]) -> str:
    rows: list[str] = []
    for group, texts in groups:
        rows.append(f'<tr><td colspan="2" style="{_CELL};opacity:.7">{escape(group)}</td></tr>')
        rows += [
            f'<tr><td style="{_FIGURE}">{activation:.3f}</td><td style="{_CELL}">{shown(text, _TEXT)}</td></tr>'
            for activation, text in texts
        ]
    return f'<table style="{_TABLE}">{"".join(rows)}</table>' if rows else ""


def _fill(piece: Piece, colours: Mapping[str, str]) -> str:
    if piece.plain:
        return f'fill="none" stroke="{_GREY}" stroke-dasharray="3 2"'
    return f'fill="{colours.get(piece.label, _GREY)}"'


def _swatch(piece: Piece, colours: Mapping[str, str]) -> str:
    return f'<svg width="10" height="10"><rect width="10" height="10" {_fill(piece, colours)}/></svg>'
