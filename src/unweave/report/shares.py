"""The picture of two corpora: how many passages of each activate the concepts that set them apart.

A row a concept: a filled circle is the share of the first corpus, a hollow diamond that of the other, each on the line
of its 95 % interval. Shapes tell the two apart without colour; the colours are blue and orange, which eyes that confuse
red and green tell apart as well. It is plain SVG without script, which follows the page's or the viewer's light or dark
scheme. All text comes from names that anybody may have written, and is escaped.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from unweave.base.plain import plain
from unweave.base.records import NO_NAME_HOLDS, Trust, marks
from unweave.concepts.relations.contrast import Differing
from unweave.concepts.relations.shares import Interval
from unweave.report.svg import Palette, framed, style, text
from unweave.stages.across import Contrast

_WIDTH, _LABELS, _PLOT, _ROW, _HEAD = 880, 330, 370, 26, 118  # pixels; _LABELS is where the plot begins
_NUMBERS = _LABELS + _PLOT + 78
_MOST_COLUMNS = 42
"""Of a label: what fits left of the plot; a wide character takes two."""


def _colours(of: Palette) -> dict[str, str]:
    return {
        ".over": f"stroke: {of.page}", ".one": f"stroke: {of.blue}; fill: {of.blue}",
        ".other": f"stroke: {of.orange}; fill: {of.page}",
    }  # fmt: skip


_SCOPE = "shares"
_STYLE = style(
    _SCOPE,
    ".shares .line { stroke-width: 2.5; } .shares .mark { stroke-width: 2; } "
    ".shares .over { stroke-width: 5; paint-order: stroke; }",
    _colours,
)


class _Scale(NamedTuple):
    """The horizontal axis."""

    end: float
    """The share at its right end."""
    step: float
    """From tick to tick."""

    def x(self, share: float) -> float:
        return _LABELS + _PLOT * share / self.end


def drawn(found: Contrast, one: str, other: str, top: int = 10) -> str:
    """The concepts that set two corpora apart most as an SVG, at most `top` of either.

    Args:
        one, other: what the corpora are called.
    """
    one, other = (_cut(plain(name, 60), 40) for name in (one, other))
    groups = [(name, rows, rows[:top]) for name, rows in ((one, found.more), (other, found.less))]
    shown = [row for _, _, rows in groups for row in rows]
    scale = _scale(max((max(row.interval_one.high, row.interval_other.high) for row in shown), default=0.1))
    height = _HEAD + _ROW * (len(shown) + len(groups)) + 44
    said = f"{found.n_tested:,} concepts tested at a false discovery rate of 5 %."
    lines = [*_legend(found, one, other), *_axis(scale, height - 34)]
    y = _HEAD
    for name, rows, some in groups:
        all_shown = "" if len(some) == len(rows) else f", {len(some):,} of them shown"
        lines.append(text(20, y + 17, f"{len(rows):,} more frequent in {name}{all_shown}", "soft over"))
        y += _ROW
        for row in some:
            lines += _row(row, y + _ROW / 2, scale)
            y += _ROW
    lines.append(text(20, height - 12, said, "soft"))
    spoken = " ".join([said, *map(_spoken, shown)])
    return framed(_SCOPE, f"Concept shares of {one} and {other}", spoken, (_WIDTH, height), _STYLE, lines)


def _scale(highest: float) -> _Scale:
    """An axis from 0 to a round share, with four to eight ticks."""
    rough = highest / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return _Scale(step * math.ceil(highest / step - 1e-9), step)


def _axis(scale: _Scale, bottom: float) -> Iterator[str]:
    digits = max(0, -math.floor(math.log10(100 * scale.step) + 1e-9))
    for number in range(round(scale.end / scale.step) + 1):
        share = number * scale.step
        x = scale.x(share)
        yield f'<line class="grid" x1="{x:.1f}" y1="{_HEAD - 6}" x2="{x:.1f}" y2="{bottom:.1f}"/>'
        yield text(x, _HEAD - 14, f"{100 * share:.{digits}f} %", "soft", "middle")


def _legend(found: Contrast, one: str, other: str) -> Iterator[str]:
    """What the marks mean, and the same marks as the heads of the two columns of numbers."""
    for number, (mark, name, n) in enumerate(((_circle, one, found.n_one), (_diamond, other, found.n_other))):
        yield mark(26, 52 + 20 * number)
        said = f"share of the {n:,} passages of {name}, with its 95 % interval"
        yield text(38, 56 + 20 * number, said, "soft")
        yield mark(_NUMBERS + 74 * number - 16, _HEAD - 19)


def _row(row: Differing, y: float, scale: _Scale) -> Iterator[str]:
    yield text(_LABELS - 14, y + 4.5, _label(row), "", "end")
    yield from _share("one", _circle(scale.x(row.share_one), y - 4), row.interval_one, y - 4, scale)
    yield from _share("other", _diamond(scale.x(row.share_other), y + 4), row.interval_other, y + 4, scale)
    yield text(_NUMBERS, y + 4.5, f"{row.share_one:.1%}", "", "end")
    yield text(_NUMBERS + 74, y + 4.5, f"{row.share_other:.1%}", "", "end")


def _share(of: str, mark: str, interval: Interval, y: float, scale: _Scale) -> Iterator[str]:
    x1, x2 = (scale.x(end) for end in interval)
    yield f'<line class="{of} line" x1="{x1:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y:.1f}"/>'
    yield mark


def _circle(x: float, y: float) -> str:
    return f'<circle class="one mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def _diamond(x: float, y: float) -> str:
    return f'<path class="other mark" d="M{x - 5:.1f} {y:.1f} l5 -5 l5 5 l-5 5 z"/>'


def _label(row: Differing) -> str:
    """A concept by its marks, its name and its number, cut to what fits."""
    mark = marks(None if row.name is None else row.trust or Trust.UNSCORED, row.returns).strip()
    name = "(unnamed)" if row.name is None else NO_NAME_HOLDS if row.trust is Trust.NONE else plain(row.name, 60)
    around = f"{mark}   #{row.latent}"
    return f"{mark} {_cut(name, _MOST_COLUMNS - len(around))}  #{row.latent}".strip()


def _cut(name: str, most: int) -> str:
    """A name in so many columns; East Asian wide characters take two."""
    used = 0
    for place, character in enumerate(name):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > most:
            return name[: place - 1].rstrip() + "…"
    return name


def _spoken(row: Differing) -> str:
    """A row of the picture as a sentence."""
    return f"{_label(row)}: {_said(row.share_one, row.interval_one)} and {_said(row.share_other, row.interval_other)}."


def _said(share: float, interval: Interval) -> str:
    return f"{share:.1%} ({interval.low:.1%} to {interval.high:.1%})"
