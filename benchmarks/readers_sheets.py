"""Sheets on which readers hold the packaged dictionary's names against texts, and what they wrote.

    UNWEAVE_DATA=… python benchmarks/readers_sheets.py draw FOLDER [--concepts 1350] [--nulls 150]
    UNWEAVE_DATA=… python benchmarks/readers_sheets.py more FOLDER READ_FOLDER
    UNWEAVE_DATA=… python benchmarks/readers_sheets.py grade FOLDER …

`draw` takes, of texts of the pool that the dictionary was neither trained nor named on, for each of the concepts that
contribute most four of the strong, the middle and the weak third of those that activate it, four near misses and two
silent ones, in random order, under the concept's name. Names of random directions stand among them; a reader knows
neither which these are nor what is active. He writes a JSON object a line, with `item` and `grades`: a digit a text, 0
if he would not call the text by that name, 1 partly, 2 if he would. The readers were language models.

`more` draws for a second round: where a name holds is mostly decided within the strong third, so of names read already
eight more texts of that, the strongest likeliest, and two near misses; and all other concepts, with six of the strong
third and three of each other.

`grade` joins what readers wrote, FOLDER/grades/*.jsonl, with what they did not know, and writes `read.jsonl`, from
which `readers_marks.py` says how far names hold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import texts
from numpy.typing import NDArray
from readers_marks import READ, SHARES, rows_of
from scipy.sparse import csc_array

from unweave.base.plain import plain
from unweave.concepts.evidence import Evidence, Texts
from unweave.concepts.judges import nulls
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.naming import ArrayRows
from unweave.config import EncoderConfig, EvidenceConfig, KeyphraseConfig
from unweave.dictionaries.dictionary import from_pretrained
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.texts.pool import read_pool

TRAINED_ON, UNREAD = 600_000, 40_000
"""Texts of the pool, in its order: those of the dictionary, and those after them that are read here."""
ON_A_SHEET = 24
LONGEST = 320
"""Characters of a text that are shown."""
SEED = 38
BANDS = ("strong", "middle", "weak")
NEAR_MISS, SILENT = "near miss", "silent"
KEY, GRADES = "key.jsonl", "grades"


class Drawing(NamedTuple):
    """How many texts of a name are on its sheet."""

    bands: tuple[int, int, int]
    """Of the strong, the middle and the weak third of the active ones."""
    near: int
    """Near misses."""
    silent: int
    deep: bool
    """Whether of the strong third each halving of the rank is as likely, not each text."""


FIRST, AGAIN, OTHERS = (
    Drawing((4, 4, 4), 4, 2, deep=False), Drawing((8, 0, 0), 2, 0, deep=True), Drawing((6, 3, 3), 4, 2, deep=True)
)  # fmt: skip


class Item(NamedTuple):
    """A name, and the texts to hold it against."""

    latent: int | None
    """None: a random direction."""
    name: str
    texts: list[str]
    kinds: list[str]
    """Of each text, one of `BANDS`, or a kind of silence."""
    activations: list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("--concepts", type=int, default=1350, help="so many, those that contribute most")
    drawing.add_argument("--nulls", type=int, default=150, help="random directions among them")
    drawing.set_defaults(run=lambda of: draw(of.folder, of.concepts, of.nulls))
    again = commands.add_parser("more")
    again.add_argument("folder", type=Path)
    again.add_argument("read", type=Path)
    again.set_defaults(run=lambda of: more(of.folder, of.read))
    grading = commands.add_parser("grade")
    grading.add_argument("folders", type=Path, nargs="+")
    grading.set_defaults(run=lambda of: grade(of.folders))
    options = parser.parse_args()
    options.run(options)


# --- sheets ---------------------------------------------------------------------------------------


def draw(folder: Path, n_concepts: int, n_nulls: int) -> None:
    """Write the sheets, and beside them the key: what a reader is not to know."""
    evidence, rng = unread(), np.random.default_rng(SEED)
    names = named()
    contributed = np.asarray(evidence.latents.sum(axis=0)).ravel()
    first = [latent for latent in np.argsort(-contributed, kind="stable").tolist() if latent in names][:n_concepts]
    items = [drawn(evidence, latent, latent, names[latent], FIRST, rng) for latent in first]
    of_random = evidence.seen_by(nulls.random_directions(evidence, 2 * n_nulls, SEED))
    namings = KeyphraseNamer(evidence, KeyphraseConfig()).beside(of_random).names(of_random.live.tolist())
    controls = [(latent, naming.name) for latent, naming in namings if naming.name is not None][:n_nulls]
    items += [drawn(of_random, latent, None, name, FIRST, rng) for latent, name in controls]
    write(folder, [item for item in items if item is not None], rng)


def more(folder: Path, read: Path) -> None:
    """Write the second round's."""
    evidence, rng = unread(), np.random.default_rng(SEED + 1)
    seen = {row["latent"]: row["texts"] for row in rows_of(read / KEY) if row["latent"] is not None}
    live = [(latent, name) for latent, name in named().items() if len(evidence.active(latent)[0])]
    items = [
        drawn(evidence, latent, latent, name, AGAIN if latent in seen else OTHERS, rng, seen.get(latent, ()))
        for latent, name in live
    ]
    write(folder, [item for item in items if item is not None], rng)


def named() -> dict[int, str]:
    return {one.latent: one.name for one in from_pretrained().latents if one.name is not None}


def write(folder: Path, items: Sequence[Item], rng: np.random.Generator) -> None:
    order = [items[i] for i in rng.permutation(len(items)).tolist()]
    folder.mkdir(parents=True)
    with (folder / KEY).open("w", encoding="utf-8") as key:
        key.writelines(json.dumps({"item": number, **item._asdict()}) + "\n" for number, item in enumerate(order))
    for sheet, start in enumerate(range(0, len(order), ON_A_SHEET)):
        some = order[start : start + ON_A_SHEET]
        lines = [line for number, item in enumerate(some, start) for line in shown(number, item)]
        (folder / f"sheet-{sheet:03}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def unread() -> Evidence:
    """The texts of the pool after those of the dictionary, as its latents see them."""
    passages = list(read_pool([texts.data() / "corpora"], most=TRAINED_ON + UNREAD).passages)[TRAINED_ON:]
    stored = texts.CACHE / "unread.npy"
    if not stored.exists():
        np.save(stored, texts.encoder().encode_passages([passage.content for passage in passages]))
    config = EvidenceConfig(passages=len(passages))
    encoder = SentenceTransformerEncoder(EncoderConfig())
    return Evidence(from_pretrained().sae, Texts(passages, ArrayRows(np.load(stored))), None, config, encoder=encoder)


def drawn(
    evidence: Evidence,
    latent: int,
    known_as: int | None,
    name: str,
    drawing: Drawing,
    rng: np.random.Generator,
    but: Sequence[str] = (),
) -> Item | None:
    """A name and its texts in random order; None where too few texts activate it."""
    ((_, samples),) = evidence.for_judging([latent])
    active, activations = evidence.active(latent) if drawing.deep else (samples.texts, samples.activations)
    chosen: list[tuple[int, str, float]] = []
    for band, of, n in zip(BANDS, np.array_split(np.arange(len(active)), len(BANDS)), drawing.bands, strict=True):
        fresh = of[[plain(evidence.content(int(active[i])), LONGEST) not in but for i in of]] if n else of
        weights = 1 / (1.0 + fresh) if drawing.deep and band == BANDS[0] else np.ones(len(fresh))
        if len(fresh) < n:
            return None
        if n:
            taken = rng.choice(fresh, n, replace=False, p=weights / weights.sum()).tolist()
            chosen += [(int(active[i]), band, float(activations[i])) for i in taken]
    near = rng.permutation(np.unique(samples.near_misses[samples.near_misses >= 0]))[: drawing.near]
    random = rng.permutation(np.setdiff1d(samples.random, near))[: drawing.silent + drawing.near - len(near)]
    chosen += [(int(text), NEAR_MISS, 0.0) for text in near] + [(int(text), SILENT, 0.0) for text in random]
    return item_of(evidence, known_as, name, chosen, rng)


def item_of(
    evidence: Evidence, latent: int | None, name: str, texts: Sequence[tuple[int, str, float]], rng: np.random.Generator
) -> Item:
    """A name and texts, each with its kind and activation, in random order."""
    order = [texts[i] for i in rng.permutation(len(texts)).tolist()]
    words = [plain(evidence.content(text), LONGEST) for text, _, _ in order]
    return Item(latent, name, words, [kind for _, kind, _ in order], [round(level, 5) for _, _, level in order])


def shown(number: int, item: Item) -> Iterator[str]:
    yield f"## item {number}: «{item.name}»"
    yield from (f"{place:2} {text}" for place, text in enumerate(item.texts, 1))
    yield ""


# --- what readers found ---------------------------------------------------------------------------


def grade(folders: Sequence[Path]) -> None:
    """Join the grades of each name with the key, and with the activations that lie at some shares of its texts."""
    by_latent = csc_array(unread().latents)
    found: dict[tuple[int | None, str], dict[str, Any]] = {}
    for folder in folders:
        for of, grades in graded(folder):
            name = found.setdefault((of["latent"], of["name"]), {"active": [], "silent": []})
            name["active"] += told(of, grades, by_latent)
            name["silent"] += [mark for level, mark in zip(of["activations"], grades, strict=True) if not level]
            if of["latent"] is not None:
                name["levels"] = [round(level, 4) for level in levels(of["latent"], by_latent)]
    rows = [{"latent": latent, "name": name, **of} for (latent, name), of in found.items()]
    rows.sort(key=lambda row: (row["latent"] is None, row["latent"], row["name"]))
    READ.write_text(
        "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8"
    )
    print(f"{len(rows):,} names, {sum(len(row['active']) + len(row['silent']) for row in rows):,} pairs")


def graded(folder: Path) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Each item of the key that a reader has graded, and the grades of its texts."""
    key = {row["item"]: row for row in rows_of(folder / KEY)}
    for row in (row for file in sorted((folder / GRADES).glob("*.jsonl")) for row in rows_of(file)):
        of, grades = key[row["item"]], [int(digit) for digit in row["grades"]]
        if len(grades) != len(of["texts"]) or not set(grades) <= {0, 1, 2}:
            raise SystemExit(f"{folder}, item {row['item']}: {row['grades']!r} for {len(of['texts'])} texts")
        yield of, grades


def told(of: Mapping[str, Any], grades: Sequence[int], by_latent: csc_array) -> list[tuple[float, int]]:
    """Of each active text the share of the name's texts that are at least as strong, and its grade, strongest first."""
    pairs = sorted(
        ((level, mark) for level, mark in zip(of["activations"], grades, strict=True) if level), reverse=True
    )
    if of["latent"] is None:  # drawn evenly of the thirds
        shares = ((np.arange(len(pairs)) + 0.5) / len(pairs)).tolist()
    else:
        every = activations_of(of["latent"], by_latent)
        shares = [(int((every >= level - 1e-5).sum()) - 0.5) / len(every) for level, _ in pairs]
    return [(float(f"{share:.3g}"), mark) for share, (_, mark) in zip(shares, pairs, strict=True)]


def activations_of(latent: int, by_latent: csc_array) -> NDArray[np.float32]:
    """Of all texts that activate it, strongest first."""
    return np.sort(by_latent.data[by_latent.indptr[latent] : by_latent.indptr[latent + 1]])[::-1]


def levels(latent: int, by_latent: csc_array) -> list[float]:
    """The activation that each of `SHARES` of a latent's texts have at least."""
    every = activations_of(latent, by_latent)
    return [float(every[max(0, round(share * len(every)) - 1)]) for share in SHARES]


if __name__ == "__main__":
    main()
