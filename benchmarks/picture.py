"""The picture of the front page: one hit's dense score as a sum of named concepts, drawn from measured results.

`render.py` draws it from results/demo.json as an SVG of plain shapes, so that the same results give the same file.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from unweave.base.records import Explanation, Hit

TOP = 8  # concepts with a bar of their own
WIDTH, LABELS, ROW = 900, 300, 30  # pixels
HEAD = 62  # pixels above the first bar
SCALE_END = 80  # pixels to the right of the widest bar, for its value
COLOURS = {"concept": "#3b7dd8", "other": "#9dbfec", "less": "#d9822b", "score": "#1f2933"}


class Bar(NamedTuple):
    """One part of the score: it reaches from where the parts above it end to where it ends."""

    label: str
    start: float
    end: float
    colour: str


def drawn(query: str, hit: Hit) -> str:
    """The dense score of a query's hit as an SVG: a bar a concept, each beginning where the one above it ends.

    Raises:
        ValueError: the hit carries no explanation of its dense score.
    """
    if hit.dense_explanation is None:
        raise ValueError("this hit carries no explanation of its dense score; search with explain=True")
    bars = list(parts(hit.dense_explanation))
    height = HEAD + ROW * len(bars) + 14
    title = f"Why “{query}” finds “{hit.passage.title}”"
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif" font-size="14">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="20" y="32" font-size="18" font-weight="600" fill="{COLOURS["score"]}">{escape(title)}</text>',
    ]
    widest = max(bar.end for bar in bars)
    for number, bar in enumerate(bars):
        lines += _shapes(bar, HEAD + ROW * number, (WIDTH - LABELS - SCALE_END) / widest)
    return "\n".join([*lines, "</svg>", ""])


def parts(explanation: Explanation) -> Iterator[Bar]:
    """The strongest concepts, the others together, the bias and the residual, one after the other; then the score."""
    strongest = sorted(explanation.contributions, key=lambda part: -part.value)
    others = strongest[TOP:]
    named = [(f"{part.name or 'unnamed'}  #{part.latent}", part.value, "concept") for part in strongest[:TOP]]
    named += [
        (f"{len(others)} more concepts", sum(part.value for part in others), "other"),
        ("shared by all passages (bias)", explanation.bias, "other"),
        ("residual: what is left unexplained", explanation.residual, "other"),
    ]
    start = 0.0
    for label, value, kind in named:
        yield Bar(label, start, start + value, COLOURS[kind if value >= 0 else "less"])
        start += value
    yield Bar("dense score", 0.0, explanation.score, COLOURS["score"])


def _shapes(bar: Bar, top: int, per_unit: float) -> Iterator[str]:
    left, right = (LABELS + per_unit * end for end in sorted((bar.start, bar.end)))
    value = f"{bar.end - bar.start:+.3f}" if bar.start or bar.colour != COLOURS["score"] else f"{bar.end:.3f}"
    yield f'<text x="{LABELS - 12}" y="{top + 17}" text-anchor="end" fill="#3e4c59">{escape(bar.label)}</text>'
    yield f'<rect x="{left:.1f}" y="{top + 3}" width="{right - left:.1f}" height="{ROW - 8}" fill="{bar.colour}"/>'
    yield f'<text x="{right + 8:.1f}" y="{top + 17}" fill="#3e4c59">{value}</text>'
