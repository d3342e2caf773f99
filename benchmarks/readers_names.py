"""Better names for concepts of the packaged dictionary whose names hold from far only, by readers who judge each other.

    UNWEAVE_DATA=… python benchmarks/readers_names.py sheets FOLDER
    UNWEAVE_DATA=… python benchmarks/readers_names.py beside FOLDER NAMES
    UNWEAVE_DATA=… python benchmarks/readers_names.py choose FOLDER NAMES OUT
    UNWEAVE_DATA=… python benchmarks/readers_names.py again FOLDER CHOSEN BESIDE …

`sheets` shows, of each concept whose name fits less than `WELL` of its strongest sixteenth by `read.jsonl`, its
strongest texts and some that activate it less, all of every other text of the pool's part that `readers_sheets.py`
reads. A reader writes a JSON object a line: `latent`, `name` (null: none is better), `description`.

`beside` draws from the remaining texts sheets as `readers_sheets.py` does, with the former and the new name of a
concept as two items of the same texts; a reader knows neither that nor which is new. `choose` keeps a new name, in a
file for `unweave concepts import --curated`, where it fits at least two more of eight. `again` draws those once more,
with texts on which nothing was chosen, for `readers_sheets.py grade`, which tells how far they hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from readers_marks import FITS, READ, fitted, rows_of
from readers_sheets import KEY, LONGEST, SEED, SILENT, graded, item_of, named, unread, write

from unweave.base.plain import plain
from unweave.concepts.evidence import Evidence

WELL, TOP = 0.74, 1 / 16
"""Names that fit less than this share of the texts that are the strongest so many are named anew."""
STRONGEST, OTHERS = 9, 6
"""Texts of a concept on a sheet to name it by."""
BESIDE = (8, 0, 2)
ONCE_MORE = (8, 4, 4)
"""Texts to judge by: of the stronger half, the strongest likeliest; of the others; silent ones."""
BETTER = 2
"""Texts more that a new name has to fit."""
ON_A_SHEET, SHORT = 38, 200
ACTIVE = "active"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["sheets", "beside", "choose", "again"])
    parser.add_argument("paths", nargs="+", type=Path)
    options = parser.parse_args()
    run = {"sheets": sheets, "beside": beside, "choose": choose, "again": again}[options.command]
    run(*options.paths)


def sheets(folder: Path) -> None:
    """Write what to name the concepts by."""
    evidence, names = unread(), named()
    folder.mkdir(parents=True)
    poor = badly_named(names)
    for sheet, start in enumerate(range(0, len(poor), ON_A_SHEET)):
        lines = [line for latent in poor[start : start + ON_A_SHEET] for line in shown(evidence, latent, names[latent])]
        (folder / f"names-{sheet:02}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def badly_named(names: Mapping[int, str]) -> list[int]:
    """Latents whose names fit too few of their strongest texts, by all that was read."""
    rows = rows_of(READ)
    readers, shares = fitted(rows), np.geomspace(1 / 256, TOP, 40)
    weights = np.diff(shares, prepend=0) / TOP
    return [
        row["latent"] for number, row in enumerate(rows)
        if names.get(row["latent"]) == row["name"] and float(weights @ readers.fits(number, shares)) < WELL
    ]  # fmt: skip


def shown(evidence: Evidence, latent: int, name: str) -> Iterator[str]:
    texts = evidence.active(latent)[0]
    of = texts[texts % 2 == 0]
    others = of[STRONGEST : max(STRONGEST, len(of) // 2)]
    others = others[np.linspace(0, len(others) - 1, min(OTHERS, len(others))).astype(np.int64)]
    yield f"#{latent}  now called: «{name}»"
    for sign, some in (("+", of[:STRONGEST]), ("~", others)):
        yield from (f"{sign} {plain(evidence.content(int(text)), SHORT)}" for text in some)
    yield ""


def new_names(folder: Path) -> dict[int, dict[str, Any]]:
    """What readers wrote, by latent, where it is another name."""
    before = named()
    rows = [row for file in sorted(folder.glob("*.jsonl")) for row in rows_of(file)]
    return {row["latent"]: row for row in rows if row["name"] and row["name"] != before[row["latent"]]}


def beside(folder: Path, names: Path) -> None:
    """Write sheets with the former and the new name of each concept."""
    evidence, rng, before = unread(), np.random.default_rng(SEED + 2), named()
    items = []
    for latent, row in new_names(names).items():
        texts = drawn(evidence, latent, BESIDE, rng)
        items += [item_of(evidence, latent, name, texts, rng) for name in (before[latent], row["name"])]
    write(folder, items, rng)


def choose(folder: Path, names: Path, out: Path) -> None:
    """Keep the new names that fit more."""
    before, rows, fits = named(), new_names(names), fits_of(folder)
    kept = [
        {key: row[key] for key in ("latent", "name", "description")} for latent, row in sorted(rows.items())
        if (latent, row["name"]) in fits and fits[latent, row["name"]] >= fits[latent, before[latent]] + BETTER
    ]  # fmt: skip
    out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), encoding="utf-8")
    both = [(fits[j, before[j]], fits[j, row["name"]]) for j, row in rows.items() if (j, row["name"]) in fits]
    former, new = np.mean(both, axis=0) / BESIDE[0]
    print(f"{len(kept):,} of {len(both):,} new names kept; former names fit {former:.0%} of texts, new ones {new:.0%}")


def fits_of(folder: Path) -> dict[tuple[int, str], int]:
    """How many more active than silent texts each name was found to fit."""
    return {
        (of["latent"], of["name"]): sum(
            (1 if level else -1) * (grade >= FITS) for level, grade in zip(of["activations"], grades, strict=True)
        )
        for of, grades in graded(folder)
    }


def again(folder: Path, chosen: Path, *seen: Path) -> None:
    """Write sheets with the new names that were kept, and texts on which they were neither made nor chosen."""
    evidence, rng = unread(), np.random.default_rng(SEED + 3)
    read = {(row["latent"], text) for path in seen for row in rows_of(path / KEY) for text in row["texts"]}
    items = []
    for row in rows_of(chosen):
        latent = row["latent"]
        texts = drawn(evidence, latent, ONCE_MORE, rng, {text for of, text in read if of == latent})
        items.append(item_of(evidence, latent, row["name"], texts, rng))
    write(folder, items, rng)


def drawn(
    evidence: Evidence,
    latent: int,
    n: tuple[int, int, int],
    rng: np.random.Generator,
    but: frozenset[str] | set[str] = frozenset(),
) -> list[tuple[int, str, float]]:
    """Texts to judge by, their kind, and how strongly each activates the latent; fewer where there are not so many."""
    active, levels = evidence.active(latent)
    odd = [
        i for i in np.flatnonzero(active % 2).tolist() if plain(evidence.content(int(active[i])), LONGEST) not in but
    ]
    half = len(active) // 2
    strong, weak = (np.array([i for i in odd if (i < half) == stronger], np.int64) for stronger in (True, False))
    chosen = [*some(strong, n[0], 1 / (1.0 + strong), rng), *some(weak, n[1], np.ones(len(weak)), rng)]
    silent = np.setdiff1d(np.arange(len(evidence)), active)
    return [(int(active[i]), ACTIVE, float(levels[i])) for i in chosen] + [
        (text, SILENT, 0.0) for text in rng.choice(silent, n[2], replace=False).tolist()
    ]


def some(of: NDArray[np.int64], n: int, weights: NDArray[np.float64], rng: np.random.Generator) -> list[int]:
    n = min(n, len(of))
    return rng.choice(of, n, replace=False, p=weights / weights.sum()).tolist() if n else []


if __name__ == "__main__":
    main()
