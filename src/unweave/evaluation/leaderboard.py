"""Several systems on several collections: one measure, its macro average, and what differs from a baseline for sure.

Each collection is an evaluated project; the per-query values come from the runs that the evaluation left there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unweave.base.cores import on_every_core
from unweave.base.plain import plain
from unweave.errors import BadData, MissingExtra
from unweave.evaluation.significance import Comparison, compare, holm, macro_interval

SURE = 0.05
"""Holm's p below which a difference is claimed."""


@dataclass(frozen=True)
class Entry:
    """One system."""

    system: str
    values: dict[str, float]
    """The measure by collection; a collection where the system is undefined is missing."""
    macro: float | None
    """Mean over the collections; None if one is missing."""
    low: float | None
    high: float | None
    """The macro average's 95 % interval."""
    bytes_per_passage: float | None
    """Mean over the collections."""
    against: dict[str, Comparison]
    """Compared with the baseline, by collection, p corrected over the whole leaderboard."""

    @property
    def better(self) -> list[str]:
        """Collections on which it is better than the baseline for sure."""
        return [name for name, found in self.against.items() if found.p < SURE and found.difference > 0]

    @property
    def worse(self) -> list[str]:
        """Collections on which it is worse for sure."""
        return [name for name, found in self.against.items() if found.p < SURE and found.difference < 0]


@dataclass(frozen=True)
class Leaderboard:
    """Systems by macro average, the best first; those that miss a collection come last."""

    measure: str
    baseline: str
    collections: list[str]
    entries: list[Entry]
    notes: list[str] = field(default_factory=list)
    """What of runs that were brought does not belong to their collections, a sentence each."""


def from_values(
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]],
    bytes_per_passage: Mapping[str, float],
    name: str = "nDCG@10",
    baseline: str = "dense",
) -> Leaderboard:
    """Make a leaderboard of values by collection, system and query."""
    collections = list(per_query)
    systems = list(dict.fromkeys(system for of in per_query.values() for system in of))
    if baseline not in systems:
        raise BadData(f"no system {baseline!r} was evaluated; there are: {', '.join(systems) or 'none'}")
    pairs = [(s, c) for c, of in per_query.items() for s in of if s != baseline and baseline in of]
    # Resampling takes most of a second for thousands of queries, and each pair and interval stands for itself.
    compared = on_every_core(lambda pair: compare(per_query[pair[1]][pair[0]], per_query[pair[1]][baseline]), pairs)
    found = dict(zip(pairs, compared, strict=True))
    corrected = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    by_system = [
        {c: np.array(list(of[system].values())) for c, of in per_query.items() if system in of} for system in systems
    ]
    intervals = on_every_core(
        lambda values: macro_interval(list(values.values())) if len(values) == len(collections) else (None, None),
        by_system,
    )
    entries = []
    for system, values, (low, high) in zip(systems, by_system, intervals, strict=True):
        means = {c: float(of.mean()) for c, of in values.items()}
        whole = len(means) == len(collections)
        against = {c: found[system, c]._replace(p=corrected[system, c]) for c in collections if (system, c) in found}
        macro = float(np.mean(list(means.values()))) if whole else None
        entries.append(Entry(system, means, macro, low, high, bytes_per_passage.get(system), against))
    entries.sort(key=lambda entry: -1.0 if entry.macro is None else entry.macro, reverse=True)
    return Leaderboard(name, baseline, collections, entries)


_MARKERS = "osDv"


# --- what is shown --------------------------------------------------------------------------------


def rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One row a system: the macro average, its interval, wins and losses for sure, and each collection."""
    return [
        {
            "system": entry.system,
            "macro": _number(entry.macro),
            "95 %": "-" if entry.low is None or entry.high is None else f"{entry.low:.3f} to {entry.high:.3f}",
            "better": "" if entry.system == board.baseline else str(len(entry.better)),
            "worse": "" if entry.system == board.baseline else str(len(entry.worse)),
            "bytes/passage": entry.bytes_per_passage,
            **{plain(c): _number(entry.values.get(c)) + _sign(entry, c) for c in board.collections},
        }
        for entry in board.entries
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sign(entry: Entry, collection: str) -> str:
    return "▲" if collection in entry.better else "▼" if collection in entry.worse else " "


_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def _latex(text: str) -> str:
    """Text as LaTeX shows it: names of folders are anyone's."""
    return "".join(_LATEX.get(c, c if c.isprintable() else "") for c in text)


def latex(board: Leaderboard) -> str:
    """A table for a paper, with booktabs: best values bold, differences for sure marked with a dagger."""
    columns = ["macro", *board.collections]
    best = {c: max((e.values[c] for e in board.entries if c in e.values), default=None) for c in board.collections}
    best["macro"] = max((e.macro for e in board.entries if e.macro is not None), default=None)
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(["system", *map(_latex, columns)]) + r" \\",
        r"\midrule",
    ]
    for entry in board.entries:
        cells = [_latex(entry.system)]
        for column in columns:
            value = entry.macro if column == "macro" else entry.values.get(column)
            cell = "--" if value is None else f"{value:.3f}"
            cell = rf"\textbf{{{cell}}}" if value is not None and value == best[column] else cell
            sure = column in entry.better or column in entry.worse
            cells.append(cell + (r"$^\dagger$" if sure else ""))
        lines.append(" & ".join(cells) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"% {_latex(board.measure)}; dagger: differs from {_latex(board.baseline)}, sign-flip test, Holm's p < {SURE}",
    ]
    return "\n".join(lines) + "\n"


def plot(board: Leaderboard, path: Path) -> None:
    """Bytes a passage, on a log axis, against the macro average, with its interval.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("plotting", "report") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 5))
    shown = [e for e in board.entries if e.macro is not None and e.bytes_per_passage]
    for number, entry in enumerate(shown):
        assert entry.macro is not None and entry.low is not None and entry.high is not None
        spread = [[entry.macro - entry.low], [entry.high - entry.macro]]
        axis.errorbar(
            [entry.bytes_per_passage or 0.0], [entry.macro], yerr=spread, elinewidth=0.5, markersize=7,
            color=f"C{number % 10}", marker=_MARKERS[number // 10 % len(_MARKERS)], linestyle="none",
            label=entry.system.replace("$", r"\$"),  # which would begin a formula
        )  # fmt: skip
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, frameon=False)
    axis.set_xscale("log")
    axis.set_xlabel("bytes a passage")
    axis.set_ylabel(f"{re.sub(r'[$]', '', board.measure)}, mean of {len(board.collections)} collections")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110, format="png")
    pyplot.close(figure)
