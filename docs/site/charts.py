"""Two kinds of chart as SVG that opens anywhere: rows of marks, and curves. Series differ in colour and in mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("agg")
mpl.rcParams.update({
    "svg.hashsalt": "unweave", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#d8dce2", "grid.linewidth": 0.7, "axes.axisbelow": True,
    "axes.edgecolor": "#5b6472", "legend.frameon": False, "figure.facecolor": "white", "savefig.facecolor": "white",
})  # fmt: skip
_MARKS, _COLOURS = (
    "osD^vP*Xh",
    ("#1f5fa8", "#c4551a", "#2b7a4b", "#7a3f98", "#5b6472", "#a8851f", "#b03060", "#0f8b8d", "#3b3f8f"),
)
_WIDTH, _ROW, _FRAME = 8.0, 0.29, 1.15  # inches


class Spread(NamedTuple):
    """Values, one a row, and the ends of their intervals."""

    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


Series = Mapping[str, Sequence[float] | Spread]


def rows(
    path: Path,
    labels: Sequence[str],
    series: Series,
    axis: str,
    *,
    log: bool = False,
    zero: bool = False,
    line: float | None = None,
) -> None:
    """One row a label, with a mark of each series; the first label stands at the top.

    Args:
        axis: what is measured, with its unit.
        log: whether the axis is logarithmic.
        zero: whether it begins at 0.
        line: a value to hold all others against, drawn as a line.
    """
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        figsize=(_WIDTH, _FRAME + _ROW * len(labels) + 0.2 * (len(series) > 1)), layout="constrained"
    )
    places = np.arange(len(labels))
    apart = min(0.18, 0.6 / max(1, len(series)))
    for number, (name, values) in enumerate(series.items()):
        shift = (number - (len(series) - 1) / 2) * apart
        spread = values if isinstance(values, Spread) else Spread(values, values, values)
        value, low, high = (np.asarray(one, dtype=float) for one in spread)
        axes.errorbar(value, places + shift, xerr=np.maximum(0, [value - low, high - value]), fmt=_MARKS[number],
                      color=_COLOURS[number], label=name, markersize=5.5, elinewidth=1.4, capsize=0)  # fmt: skip
    if line is not None:
        axes.axvline(line, color="#5b6472", linewidth=1, linestyle="--")
    axes.set_yticks(places, labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(axis)
    if log:
        _logarithmic(axes.xaxis)
    if zero:
        axes.set_xlim(left=0)
    _finish(figure, path, len(series) > 1)


def curves(
    path: Path, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, *, log: str = ""
) -> None:
    """A line a series through its points; `log` names the axes that are logarithmic, "x", "y" or "xy"."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(_WIDTH, 4.2), layout="constrained")
    for number, (name, (at, values)) in enumerate(lines.items()):
        style = _MARKS[number] + "-" if len(at) < 50 else "-" if number else "--"
        axes.plot(at, values, style, color=_COLOURS[number], label=name, markersize=5.5, linewidth=1.4)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    for name in log:
        _logarithmic(getattr(axes, f"{name}axis"))
    _finish(figure, path, len(lines) > 1)


def _logarithmic(axis: Any) -> None:
    """Makes an axis logarithmic, with numbers as people write them, at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _finish(figure: Any, path: Path, legend: bool) -> None:
    from matplotlib import pyplot

    if legend:
        labels = figure.axes[0].get_legend_handles_labels()[1]
        longest = max(map(len, labels))
        figure.legend(loc="outside upper center", ncols=min(4, max(1, 100 // (longest + 8))), fontsize=9)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
