"""Pictures of explanations as plain SVG: a score as a staircase, two as a waterfall, ranks that move, words by words.

Each follows the light or dark scheme of the page or the viewer, tells what adds from what takes away without colour
(filled against hollow, solid against dashed), has its numbers in its text, and escapes all that it writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import number_of, plain
from unweave.base.records import NO_NAME_HOLDS, Contribution, Explanation, Trust, marks, traces_of
from unweave.encode.words import Word
from unweave.explaining.counterfactual import Counterfactual, Standing
from unweave.explaining.difference import Difference, Differing
from unweave.explaining.words import ByWords
from unweave.report.svg import Palette, framed, style, text

_WIDTH, _LABELS, _ROW, _HEAD = 880, 320, 26, 64  # pixels
_PLOT = _WIDTH - _LABELS - 110
_STEPS = 9
"""Concepts of a waterfall that have a row of their own."""
_WORDS, _QUERY_WORDS = 26, 16
"""Words that have a column and a row of their own in a heat map."""
_CELL = 22
_TITLE_SHOWN, _WORD_SHOWN = 44, 14  # characters
Step = tuple[str, float]
"""What a part is called, and what it adds."""


def _colours(of: Palette) -> dict[str, str]:
    return {
        ".adds": f"fill: {of.blue}; stroke: {of.blue}", ".takes": f"fill: {of.page}; stroke: {of.orange}",
        ".up": f"stroke: {of.blue}", ".down": f"stroke: {of.orange}", ".same": f"stroke: {of.soft}",
        ".score": f"stroke: {of.ink}", ".hot": f"fill: {of.blue}", ".cold": f"fill: {of.page}; stroke: {of.orange}",
    }  # fmt: skip


_SCOPE = "pict"
_STYLE = style(
    _SCOPE,
    ".pict .score, .pict .takes, .pict .cold, .pict .up, .pict .down, .pict .same { stroke-width: 2; } "
    ".pict .down { stroke-dasharray: 6 4; }",
    _colours,
)


def staircase(explanation: Explanation, title: str) -> str:
    """A score from zero up, part by part: filled steps add, hollow ones take away; the last line is the score.

    Args:
        title: what was asked and found.
    """
    whole, traces = explanation.folded()
    steps = [(_label(c), c.value) for c in whole[:_STEPS]]
    if others := whole[_STEPS:]:
        steps.append((number_of(len(others), "more concept"), math.fsum(c.value for c in others)))
    steps += [traces_of(traces)] if traces else []
    steps += [(part.system, part.value) for part in explanation.parts]
    rest = (("bias", explanation.bias), ("residual", explanation.residual))
    steps += [(name, value) for name, value in rest if value]
    return _in_steps(plain(title, 120), ("", 0.0), steps, (f"{explanation.of} score", explanation.score))


def waterfall(found: Difference, first: str, second: str) -> str:
    """From the second score to the first, concept by concept: filled steps raise it, hollow ones lower it.

    Args:
        first, second: what the passages are called.
    """
    steps = [(_label(one), one.difference) for one in found.concepts[:_STEPS]]
    if others := found.concepts[_STEPS:]:
        steps.append((number_of(len(others), "more concept"), math.fsum(one.difference for one in others)))
    steps += [(part.system, part.first - part.second) for part in found.parts]
    steps += [(name, value) for name, value in (("bias", found.bias), ("residual", found.residual)) if value]
    start, end = (
        (f"{which}: {plain(title, _TITLE_SHOWN)}", of.score)
        for which, title, of in (("second", second, found.second), ("first", first, found.first))
    )
    return _in_steps("What makes the difference of two scores", start, steps, end)


def _in_steps(title: str, start: Step, steps: Sequence[Step], end: Step) -> str:
    """Bars that begin where the one above ends, from a start, which is drawn if it has a label, to an end."""
    ends = np.cumsum([start[1], *(value for _, value in steps)]).tolist()
    low, high = min(ends), max(ends)
    spread = (high - low) or 1.0

    def x(score: float) -> float:
        return float(_LABELS + _PLOT * (score - low) / spread)

    lines = list(_at_score(start, x(start[1]), _HEAD)) if start[0] else []
    top = _HEAD + _ROW * bool(start[0])
    for number, ((label, value), begin, stop) in enumerate(zip(steps, ends[:-1], ends[1:], strict=True)):
        y = top + _ROW * number
        lines.append(text(20, y + 17, plain(label, _TITLE_SHOWN)))
        lines.append(
            f'<rect class="{"adds" if value > 0 else "takes"}" x="{x(min(begin, stop)):.2f}" y="{y + 5}" '
            f'width="{abs(x(stop) - x(begin)):.2f}" height="{_ROW - 10}"/>'
        )
        lines.append(text(_WIDTH - 20, y + 17, f"{value:+.4f}", anchor="end"))
    lines += _at_score(end, x(end[1]), top + _ROW * len(steps))
    said = f"from {start[1]:.4f} to {end[1]:.4f}: " + "; ".join(f"{label} {value:+.4f}" for label, value in steps)
    return _picture(title, said, _WIDTH, top + _ROW * (len(steps) + 1) + 16, lines)


def slopes(found: Counterfactual) -> str:
    """Where the first hits stood before a change of concepts, and where they stand after it."""
    hits = found.hits
    shown = len(hits)
    left, right = 40, 120
    lines = [text(left, _HEAD - 4, "before", "soft", "end"), text(right, _HEAD - 4, "after", "soft")]
    for row, hit in enumerate(hits):
        y, before = _HEAD + _ROW * row + 17, hit.rank_before
        from_row = shown if before is None or before > shown else before - 1
        from_y = _HEAD + _ROW * from_row + 12
        lines.append(f'<line class="{_moved(hit)}" x1="{left + 8}" y1="{from_y}" x2="{right - 12}" y2="{y - 5}"/>')
        if from_row < shown:
            lines.append(text(left, from_y + 5, f"{before}", anchor="end"))
        lines.append(text(right, y, f"{hit.rank_after}  {plain(hit.title, 90) or plain(hit.passage_id, 90)}"))
        was = "was not found" if before is None else f"was {before:,}"
        lines.append(text(_WIDTH - 20, y, was, "soft", "end"))
    said = "; ".join(f"{hit.passage_id}, rank {hit.rank_before} to {hit.rank_after}" for hit in hits)
    return _picture("Ranks before and after", said, _WIDTH, _HEAD + _ROW * (shown + 1) + 16, lines)


def heat(found: ByWords) -> str:
    """What each word of the query and each of the passage add together: filled cells add, hollow ones take away."""
    rows, columns = _strongest(found.pairs, _QUERY_WORDS), _strongest(found.pairs.T, _WORDS)
    pairs = _folded(_folded(found.pairs, rows).T, columns).T
    of_query, of_passage = (_words(words, kept) for words, kept in ((found.query_words, rows), (found.words, columns)))
    left, top = 150, 150
    largest = float(np.abs(pairs).max(initial=0.0)) or 1.0
    lines = [text(left - 8, top + _CELL * i + 16, word, anchor="end") for i, word in enumerate(of_query)]
    lines += [
        f'<text transform="translate({left + _CELL * j + 15},{top - 8}) rotate(-60)">{escape(word)}</text>'
        for j, word in enumerate(of_passage)
    ]
    for i, j in np.ndindex(*pairs.shape):
        value, size = float(pairs[i, j]), (_CELL - 4) * math.sqrt(abs(float(pairs[i, j])) / largest)
        if size < 1:
            continue
        inset = (_CELL - size) / 2
        lines.append(
            f'<rect class="{"hot" if value > 0 else "cold"}" x="{left + _CELL * j + inset:.2f}" '
            f'y="{top + _CELL * i + inset:.2f}" width="{size:.2f}" height="{size:.2f}">'
            f"<title>{escape(of_query[i])} \u00d7 {escape(of_passage[j])} {value:+.4f}</title></rect>"
        )
    strongest = "; ".join(
        f"{plain(one.query.text, _WORD_SHOWN)} \u00d7 {plain(one.passage.text, _WORD_SHOWN)} {one.value:+.4f}"
        for one in found.strongest_pairs(8)
    )
    width = max(480, left + _CELL * len(of_passage) + 120)
    title = f"A score of {found.explanation.score:.4f}, word by word: query down, passage across"
    return _picture(title, f"strongest pairs: {strongest}", width, top + _CELL * len(of_query) + 24, lines)


# --- parts ----------------------------------------------------------------------------------------


def _picture(title: str, said: str, width: int, height: int, shapes: Iterable[str]) -> str:
    return framed(_SCOPE, title, said, (width, height), _STYLE, shapes)


def _at_score(step: Step, x: float, y: float) -> Iterator[str]:
    yield text(20, y + 17, step[0], "soft")
    yield f'<line class="score" x1="{x:.2f}" y1="{y + 2}" x2="{x:.2f}" y2="{y + _ROW - 2}"/>'
    yield text(_WIDTH - 20, y + 17, f"{step[1]:.4f}", anchor="end")


def _label(one: Contribution | Differing) -> str:
    if one.name is None:
        return f"{marks(None, one.returns)} (unnamed) #{one.latent}".strip()
    name = NO_NAME_HOLDS if one.trust is Trust.NONE else plain(one.name, 30)
    return f"{marks(one.trust or Trust.UNSCORED, one.returns)} {name} #{one.latent}".strip()


def _moved(hit: Standing) -> str:
    if hit.rank_before == hit.rank_after:
        return "same"
    return "up" if hit.rank_before is None or hit.rank_after is None or hit.rank_before > hit.rank_after else "down"


def _strongest(values: NDArray[np.float64], most: int) -> list[int]:
    """The rows with most in them, in their order."""
    sums = np.abs(values).sum(axis=1)
    return sorted(np.argsort(-sums, kind="stable")[:most].tolist())


def _folded(values: NDArray[np.float64], kept: Sequence[int]) -> NDArray[np.float64]:
    """These rows, and the others as one more, if there are any."""
    rest = np.delete(values, kept, axis=0)
    return np.vstack([values[kept], rest.sum(axis=0)]) if len(rest) else values[kept]


def _words(words: Sequence[Word], kept: Sequence[int]) -> list[str]:
    shown = [plain(words[i].text, _WORD_SHOWN) for i in kept]
    others = len(words) - len(kept)
    return [*shown, f"{others} more"] if others else shown
