"""Draws which room of the library imports from which: docs/rooms.svg, from the imports as they are.

    python benchmarks/structure.py

A row is a room, from the roof down, and so is a column; a square says how many modules of the row's room import from
the column's. Where a room imports only from rooms below it, every square lies right of the diagonal.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"
CELL, LEFT, TOP = 26, 112, 100
_STYLE = """.rooms text { font: 12px system-ui, sans-serif; fill: #1f2328; } .rooms .n { font-size: 10px; fill: #fff; }
.rooms rect { fill: #1f5f99; } .rooms .floor { fill: #f2f4f6; } .rooms .self { fill: #c9d1d9; }
@media (prefers-color-scheme: dark) { .rooms text { fill: #e6edf3; } .rooms .floor { fill: #1c2128; }
.rooms .self { fill: #444c56; } .rooms rect { fill: #4c8dcc; } .rooms .n { fill: #0d1117; } }"""


def main() -> None:
    PICTURE.write_text(picture(), encoding="utf-8")


def floors() -> list[list[str]]:
    """The rooms of each floor, from the roof down, as the contract of the imports names them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in layer.split("|")] for layer in layers]


@cache
def imports() -> Counter[tuple[str, str]]:
    """How many modules of one room import from another one, by both rooms; imports for types alone count."""
    graph = grimp.build_graph("unweave")
    found: Counter[tuple[str, str]] = Counter()
    for module in graph.modules:
        rooms = {_room(imported) for imported in graph.find_modules_directly_imported_by(module)}
        found.update((_room(module), room) for room in rooms if room != _room(module))
    return found


def picture() -> str:
    """The drawing, an SVG that stands for itself."""
    rooms = [room for floor in floors() for room in floor]
    side = CELL * len(rooms)
    width, height = LEFT + side + 12, TOP + side + 12
    told = "Which room of unweave imports from which; every square lies right of the diagonal"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return "\n".join(
        (
            f'<svg class="rooms" xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{told}">',
            f"<title>{told}</title>",
            f"<style>{_STYLE}</style>",
            *_floors(side),
            *_squares(rooms, imports()),
            "</svg>\n",
        )
    )


def _floors(side: int) -> Iterator[str]:
    """A band for every other floor, and the name of each room at its row and its column."""
    at = 0
    for number, floor in enumerate(floors()):
        if number % 2 == 0:
            size = f'width="{LEFT + side}" height="{len(floor) * CELL}"'
            yield f'<rect class="floor" x="0" y="{TOP + at * CELL}" {size}/>'
        for room in floor:
            middle = at * CELL + CELL // 2
            yield f'<text x="8" y="{TOP + middle + 4}">{room}</text>'
            yield f'<text transform="translate({LEFT + middle + 4} {TOP - 8}) rotate(-60)">{room}</text>'
            at += 1


def _squares(rooms: list[str], found: Counter[tuple[str, str]]) -> Iterator[str]:
    for (row, importer), (column, imported) in product(enumerate(rooms), repeat=2):
        x, y = LEFT + column * CELL, TOP + row * CELL
        if row == column:
            yield f'<rect class="self" x="{x + 9}" y="{y + 9}" width="8" height="8"/>'
        elif n := found[importer, imported]:
            yield f'<rect x="{x + 2}" y="{y + 2}" width="{CELL - 4}" height="{CELL - 4}" rx="3">'
            yield f"<title>{n} of {importer} import from {imported}</title></rect>"
            yield f'<text class="n" x="{x + CELL // 2}" y="{y + CELL // 2 + 4}" text-anchor="middle">{n}</text>'


def _room(module: str) -> str:
    """The room of a module, or the package itself, which stands above all."""
    return module.split(".")[1] if "." in module else module


if __name__ == "__main__":
    main()
