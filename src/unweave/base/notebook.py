"""Explanations, hits and concepts as HTML for notebooks: self-contained, no script, everything that comes in escaped.

The bars of an explanation add up: what adds runs right from zero, what takes away runs back from there, and ends at
the score.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from unweave.base.plain import plain

_NAME, _ID, _TEXT = 80, 80, 240
"""Characters shown of a name, an id and a text."""
_COLOURS = ("#3b6fb5", "#c2571a", "#2d8a63", "#8a5fb0", "#a8891c", "#b3456b")
"""Of the concepts that come first; the rest are grey. Ink on them is white."""
_REST, _EDGE = "#8c8c8c", "#8c8c8c"
_MOST = 10
"""Concepts that have a row of their own."""
_BOX = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5;max-width:860px;margin:4px 0"
_CELL = "text-align:left;padding:1px 10px 1px 0;background:none;vertical-align:top"
_FIGURE = "text-align:right;padding:1px 10px 1px 0;background:none;white-space:nowrap;font-variant-numeric:tabular-nums"


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
    why: str
    """HTML."""


def shown(text: str, most: int) -> str:
    """Untrusted text as one line of HTML, its direction kept to itself."""
    return f"<bdi>{escape(plain(text, most))}</bdi>"


def folded(pieces: Sequence[Piece], most: int = _MOST) -> list[Piece]:
    """The first concepts, the rest in one that adds and one that takes away, then what is of no concept."""
    concepts = [piece for piece in pieces if not piece.plain]
    others = [piece for piece in pieces if piece.plain and piece.value]
    rest = concepts[most:]
    halves = ([piece.value for piece in rest if piece.value * sign > 0] for sign in (1, -1))
    more = [Piece(f"{len(values):,} more", math.fsum(values)) for values in halves if values]
    return concepts[:most] + more + others


def account(title: str, score: float, pieces: Sequence[Piece]) -> str:
    """A score as a bar and a table whose last line is the score."""
    drawn = folded(pieces)
    rows = [
        f'<tr><td style="{_CELL}">{_swatch(number, piece)} {shown(piece.label, _NAME)}</td>'
        f'<td style="{_FIGURE};opacity:.7">{escape(piece.note)}</td><td style="{_FIGURE}">{piece.value:+.4f}</td></tr>'
        for number, piece in enumerate(drawn)
    ]
    foot = (
        f'<td style="{_CELL}"><b>{shown(title, _NAME)}</b></td><td></td><td style="{_FIGURE}"><b>{score:.4f}</b></td>'
    )
    return (
        f'<div style="{_BOX}">{bar(drawn)}<table style="border-collapse:collapse;font-size:inherit">'
        f'{"".join(rows)}<tr style="border-top:1px solid {_EDGE}">{foot}</tr>'
        "</table></div>"
    )


def bar(pieces: Sequence[Piece]) -> str:
    """The pieces as two lanes: what adds, from zero rightwards; below, what takes away, back to the sum."""
    plus = math.fsum(piece.value for piece in pieces if piece.value > 0)
    minus = math.fsum(-piece.value for piece in pieces if piece.value < 0)
    low = min(0.0, plus - minus)
    whole = plus - low
    if not 0 < whole < math.inf:
        return ""
    boxes, right, left = [], 0.0, plus
    for number, piece in enumerate(pieces):
        if piece.value > 0:
            boxes.append(_box(number, piece, (right - low) / whole, piece.value / whole, top=0, height=20))
            right += piece.value
        elif piece.value < 0:
            left += piece.value
            boxes.append(_box(number, piece, (left - low) / whole, -piece.value / whole, top=22, height=10))
    at = 100 * (plus - minus - low) / whole
    tick = f'<rect x="{at:.4f}%" y="0" width="2" height="34" fill="currentColor" transform="translate(-1)"/>'
    said = f"The parts add up to {plus - minus:.4f}"
    return (
        f'<svg role="img" aria-label="{said}" width="100%" height="34" style="display:block;margin:2px 0 4px">'
        f"{''.join(boxes)}{tick}</svg>"
    )


def hit_table(lines: Iterable[Line]) -> str:
    """Hits as a table, best first."""
    rows = "".join(
        f'<tr><td style="{_FIGURE}">{line.rank}</td><td style="{_FIGURE}">{line.score:.4g}</td>'
        f'<td style="{_CELL}"><b>{shown(line.passage_id, _ID)}</b> {shown(line.text, _TEXT)}{line.why}</td></tr>'
        for line in lines
    )
    return (
        f'<div style="{_BOX}"><table style="border-collapse:collapse;font-size:inherit;width:100%">{rows}</table></div>'
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
    return f'<table style="border-collapse:collapse;font-size:inherit">{"".join(rows)}</table>' if rows else ""


def _fill(number: int, piece: Piece) -> str:
    if piece.plain:
        return f'fill="none" stroke="{_EDGE}" stroke-dasharray="3 2"'
    return f'fill="{_COLOURS[number] if number < len(_COLOURS) else _REST}"'


def _box(number: int, piece: Piece, start: float, width: float, *, top: int, height: int) -> str:
    said = escape(f"{plain(piece.label, _NAME)}: {piece.value:+.4f}")
    return (
        f'<rect x="{100 * start:.4f}%" y="{top}" width="{100 * width:.4f}%" height="{height}" {_fill(number, piece)}>'
        f"<title>{said}</title></rect>"
    )


def _swatch(number: int, piece: Piece) -> str:
    return f'<svg width="10" height="10"><rect width="10" height="10" {_fill(number, piece)}/></svg>'
