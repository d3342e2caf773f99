"""What the pictures share: colours that follow a light or a dark page, escaped text, and the frame around all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from typing import NamedTuple

from unweave.base.plain import plain


class Palette(NamedTuple):
    """The colours of one scheme; blue and orange, which eyes that confuse red and green tell apart."""

    page: str
    ink: str
    soft: str
    grid: str
    blue: str
    orange: str


LIGHT = Palette("#ffffff", "#1f2933", "#52606d", "#d9dee4", "#0b5fa5", "#b8500f")
DARK = Palette("#14181d", "#e8ecf0", "#a7b1bc", "#343c45", "#74b9f5", "#f5a05c")


def style(scope: str, shapes: str, colours: Callable[[Palette], dict[str, str]]) -> str:
    """CSS for the pictures of one kind, in both schemes.

    Args:
        scope: the class of their frame.
        shapes: rules that are the same in both schemes, each beginning with the scope.
        colours: of a scheme, what each class is painted like, beside the page, text, soft text and the grid.
    """

    def rules(of: Palette) -> str:
        # Each colour by itself: not every viewer of SVG knows variables.
        painted = {
            ".page": f"fill: {of.page}", "text": f"fill: {of.ink}", ".soft": f"fill: {of.soft}",
            ".grid": f"stroke: {of.grid}", **colours(of),
        }  # fmt: skip
        return " ".join(f".{scope} {which} {{ {how}; }}" for which, how in painted.items())

    fonts = (
        f".{scope} text {{ font: 13px system-ui, sans-serif; }} "
        f".{scope} .title {{ font-size: 16px; font-weight: 600; }}"
    )
    return f"\n{fonts}\n{shapes}\n{rules(LIGHT)}\n@media (prefers-color-scheme: dark) {{ {rules(DARK)} }}\n"


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text at a place, in pixels."""
    of_kind = f' class="{kind}"' if kind else ""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:g}" y="{y:g}"{of_kind}{at}>{escape(said)}</text>'


def framed(scope: str, title: str, said: str, size: tuple[int, int], css: str, shapes: Iterable[str]) -> str:
    """A whole picture.

    Args:
        scope: the class of its frame.
        title, said: what it is of and what it shows, for those who do not see it; the title is written on it too.
        size: width and height in pixels.
    """
    width, height = size
    title, said = plain(title), plain(said)
    head = (
        f'<svg class="{scope}" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    )
    page = f'<rect class="page" width="{width}" height="{height}"/>'
    return "\n".join([
        head, f"<title>{escape(title)}</title>", f"<desc>{escape(said)}</desc>", f"<style>{css}</style>", page,
        text(20, 30, title, "title"), *shapes, "</svg>", "",
    ])  # fmt: skip
