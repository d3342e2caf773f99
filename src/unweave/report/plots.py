"""The report's plots, as inline SVG in colours that read on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from unweave.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NMSE, _L0, _INK = "#3b7dd8", "#d9822b", "#7d8590"


def training_curve(history: Sequence[Mapping[str, float]], k: int) -> str:
    """Held-out NMSE and L0 against the number of texts trained on."""
    history = [entry for entry in history if entry["nmse_held_out"] is not None]
    texts = [entry["texts"] for entry in history]

    def draw(figure: Figure) -> None:
        left = figure.add_subplot()
        left.plot(texts, [entry["nmse_held_out"] for entry in history], color=_NMSE, marker="o", markersize=3)
        left.set_ylim(bottom=0)
        left.set_xlabel("texts seen in training")
        left.set_ylabel("NMSE, held out", color=_NMSE)
        left.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        right = left.twinx()
        right.plot(texts, [entry["l0_held_out"] for entry in history], color=_L0, marker="s", markersize=3)
        right.axhline(k, color=_L0, linewidth=0.8, linestyle=":")
        right.set_ylim(bottom=0)
        right.set_ylabel(f"L0, held out (k = {k} dotted)", color=_L0)
        for axes in (left, right):
            _plain(axes)

    return _svg(draw, 7.2, 3.0)


def histograms(latents: csr_array) -> str:
    """Activations, active latents per passage and document frequencies, side by side; latents: (n, n_latents)."""
    frequency = np.bincount(latents.indices, minlength=latents.shape[1])
    live = frequency[frequency > 0]

    def draw(figure: Figure) -> None:
        strengths, lengths, spread = figure.subplots(1, 3)
        strengths.hist(latents.data, bins=60, color=_NMSE, log=True)
        strengths.set_xlabel("activation")
        strengths.set_ylabel("active latents")
        active = np.diff(latents.indptr)
        lengths.hist(active, bins=(np.arange(active.min(), active.max() + 2) - 0.5).tolist(), color=_NMSE)
        lengths.set_xlabel("active latents per passage")
        lengths.set_ylabel("passages")
        spread.hist(live, bins=np.geomspace(1, max(2, live.max(initial=2)), 30).tolist(), color=_NMSE)
        spread.set_xscale("log")
        spread.set_xlabel("passages with the latent")
        spread.set_ylabel("latents")
        for axes in (strengths, lengths, spread):
            axes.spines["right"].set_visible(False)
            _plain(axes)

    return _svg(draw, 10.5, 2.7)


def _plain(axes: Axes) -> None:
    axes.spines["top"].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(9)
        if label.get_color() == "black":
            label.set_color(_INK)


def _svg(draw: Callable[[Figure], None], width: float, height: float) -> str:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("the report", "report") from error
    # Text stays text, ids do not change from run to run, and no date is written.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unweave", "font.family": "sans-serif"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]
