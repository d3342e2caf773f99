"""Are the packaged dictionary's names what a reader would call its texts, and from which activation on?

    python benchmarks/readers_marks.py mark
    UNWEAVE_DATA=… python benchmarks/readers_marks.py check

Readers held names against texts of the pool that the dictionary was neither trained nor named on (`readers_sheets.py`,
`read.jsonl`). `mark` puts into the packaged dictionary what follows from that: the activation from which a name holds,
and the share of random directions' names that it is surely better than, where the second encoder had not found more.
What holds from nowhere has readers' share alone; names that nobody read keep what the second encoder found. Names that
readers gave anew (`readers_names.py`, then in `curated.jsonl`) and that were read come with it.

`check` says what the readers found, and how often names fit texts in which they are said to hold, by the readings of
`reading.json`, of eight collections that had no part in this. `HOLDS` was chosen by the first. Writes
results/readers_marks.json; the last line is one JSON object with the figures to hold a change against.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import texts
from measuring import about
from numpy.typing import NDArray
from scipy.special import expit, logit

from unweave.base.artifact import read_manifest
from unweave.base.building import build
from unweave.cli.show import table
from unweave.concepts.concept import ABOVE_NULLS, CURATED
from unweave.concepts.namers.base import digest
from unweave.dictionaries.dictionary import from_pretrained
from unweave.dictionaries.latents import LATENTS, read_latents, write_latents
from unweave.sae.hub import CARD
from unweave.sae.model import WEIGHTS
from unweave.texts.open import open_collection

READ, READING, NAMED = (Path(__file__).parent / name for name in ("read.jsonl", "reading.json", "curated.jsonl"))
RESULTS = Path(__file__).parent / "results" / "readers_marks.json"
PACKAGED = Path(__file__).parents[1] / "src" / "unweave" / "pretrained"
FITS, PLAINLY = 1, 2
"""The grades from which a name fits, and fits plainly."""
HOLDS = 0.75
"""A name holds from where it fits so many of the texts."""
SHARES = tuple(2.0**-i for i in range(9))
"""Of the texts that activate a latent, those of which the weakest's activation is known: all, down to one in 256."""
SPREAD = 1.2
"""By which the readings are about as likely as they can be."""
USUAL, WEIGHT = 0.04, 25
"""The share of silent texts that a name fits, in the mean, and for how many texts that counts beside those read."""
Z = 1.96
STEPS = 100
NAMES, CONTROLS = "names", "random"
STRENGTHS = {"strongest 1/64": 1 / 64, "to 1/16": 1 / 16, "to 1/4": 1 / 4, "the rest": 1.0}
"""Parts of the texts that activate a latent, by the share that is at least as strong."""
SILENT = "silent"
READINGS = ("first", "second")
COLLECTIONS = ("scifact", "dbpedia-entity-5k", "medline", "fiqa-mini", "msmarco-dl-5k", "cisi", "medquad-liveqa",
               "cranfield")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["mark", "check"])
    {"mark": mark, "check": check}[parser.parse_args().command]()


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- marks ----------------------------------------------------------------------------------------


class Readers(NamedTuple):
    """How likely a reader calls a text by a name: sigma(a + b . f(share)), a of each name, b of all.

    f is (d, sqrt(d)) of the depth d = -log2(share), how many times the texts that are at least as strong can be halved.
    a is normal around the mean of all names with the deviation `SPREAD`; those of random directions are treated as all
    others are, as the reader did.
    """

    a: NDArray[np.float64]  # (n_names,) most likely
    deviation: NDArray[np.float64]  # (n_names,) of a, by the curvature there
    b: NDArray[np.float64]  # (2,)
    nulls: NDArray[np.float64]  # (n_nulls,) a of the names of random directions

    def fits(self, name: int, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The chance that the name fits a text at each share of its texts."""
        return expit(self.a[name] + depth(shares) @ self.b)

    def holds_from(self, name: int, at: Sequence[float]) -> float | None:
        """The activation from which on the name fits `HOLDS` of the texts; None: from none.

        Args:
            at: the activations at `SHARES`.
        """
        shares = np.geomspace(SHARES[-1], 1, 200)
        weights = np.diff(shares, prepend=0)
        above = np.cumsum(weights * self.fits(name, shares)) / np.cumsum(weights)
        holding = np.flatnonzero(above >= HOLDS)
        if not len(holding):
            return None
        return float(np.interp(np.log(shares[holding[-1]]), np.log(SHARES[::-1]), at[::-1]))


def depth(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    halvings = -np.log2(shares)
    return np.stack([halvings, np.sqrt(halvings)], axis=-1)


def fitted(rows: Sequence[Mapping[str, Any]]) -> Readers:
    """The most likely chances, by Newton's method, names and all in turns."""
    of = np.repeat(np.arange(len(rows)), [len(row["active"]) for row in rows])
    shares, grades = (np.array([pair[i] for row in rows for pair in row["active"]]) for i in (0, 1))
    f, fits = depth(shares), grades >= FITS
    a, b, curvature = np.zeros(len(rows)), np.zeros(2), np.ones(len(rows))
    for _ in range(STEPS):
        p = expit(a[of] + f @ b)
        slope = np.bincount(of, fits - p, len(rows)) - (a - a.mean()) / SPREAD**2
        curvature = np.bincount(of, p * (1 - p), len(rows)) + 1 / SPREAD**2
        a += np.clip(slope / curvature, -2, 2)
        p = expit(a[of] + f @ b)
        b += np.linalg.solve((f * (p * (1 - p))[:, None]).T @ f, f.T @ (fits - p))
    null = np.array([row["latent"] is None for row in rows])
    return Readers(a, 1 / np.sqrt(curvature), b, a[null])


def mark() -> None:
    """Put what readers found into the packaged dictionary."""
    rows = rows_of(READ)
    readers = fitted(rows)
    place = {(row["latent"], row["name"]): number for number, row in enumerate(rows)}
    manifest, card = read_manifest(PACKAGED, "sae"), (PACKAGED / CARD).read_text(encoding="utf-8")
    given, latents = {row["latent"]: row for row in rows_of(NAMED)}, []
    for one in read_latents(PACKAGED, int(manifest.results["n_latents"])):
        if (one.latent, given[one.latent]["name"]) in place and one.name != given[one.latent]["name"]:
            one = one._replace(**given[one.latent], namer=CURATED, over_nulls=None)  # named anew since it was packed
        number = place.get((one.latent, one.name))
        if number is not None:
            over, least = over_nulls(readers, number, rows[number]), readers.holds_from(number, rows[number]["levels"])
            over = over if least is None else max(over, one.over_nulls or 0.0)
            one = one._replace(over_nulls=over, holds_from=least)
        latents.append(one)
    settings = {**manifest.settings, "names": digest({"latents": latents})}
    weights = (PACKAGED / WEIGHTS).read_bytes()
    with build(PACKAGED, "sae", settings=settings, made_from=manifest.made_from) as made:
        (made.path / WEIGHTS).write_bytes(weights)
        write_latents(made.path / LATENTS, latents)
        made.results.update(manifest.results)
    (PACKAGED / CARD).write_text(card, encoding="utf-8")
    holding = sum(one.holds_from is not None for one in latents)
    marked = sum((one.over_nulls or 0) >= ABOVE_NULLS for one in latents)
    print(f"{len(latents):,} names: {holding:,} hold from somewhere, {marked:,} are surely better than nulls")


def over_nulls(readers: Readers, name: int, row: Mapping[str, Any]) -> float:
    """The share of names of random directions that fit less than this one surely does.

    What fits silent texts too says as much less.
    """
    silent = (sum(grade >= FITS for grade in row["silent"]) + WEIGHT * USUAL) / (len(row["silent"]) + WEIGHT)
    surely = readers.a[name] - Z * readers.deviation[name] - max(0.0, float(logit(silent) - logit(USUAL)))
    return round(float((readers.nulls < surely).mean()), 4)


# --- what they are worth --------------------------------------------------------------------------


def check() -> None:
    """Write what readers found, and how that does on texts of collections."""
    results = {"about": about("numpy"), "sheets": on_sheets(rows_of(READ)), **on_collections()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join(summary(results)))
    print(json.dumps(headline(results)))


def on_sheets(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """How many texts of each strength got each grade, for names of latents and of random directions."""
    found = {kind: {strength: [0, 0, 0] for strength in (*STRENGTHS, SILENT)} for kind in (NAMES, CONTROLS)}
    for row in rows:
        of = found[CONTROLS if row["latent"] is None else NAMES]
        for share, given in row["active"]:
            of[next(strength for strength, most in STRENGTHS.items() if share <= most)][given] += 1
        for given in row["silent"]:
            of[SILENT][given] += 1
    return found


def on_collections() -> dict[str, Any]:
    """The grades of pairs whose name is said to hold in the passage, and what such names carry of all passages read."""
    readings = json.loads(READING.read_text(encoding="utf-8"))
    readings = {reading: readings[reading] for reading in READINGS}
    keys, rows = passages_of({(pair["collection"], pair["passage"]) for of in readings.values() for pair in of})
    dictionary, place = from_pretrained(), {key: number for number, key in enumerate(keys)}
    activations = dictionary.sae.encode(rows).toarray()
    least = np.full(activations.shape[1], np.inf)
    for latent, label in dictionary.names.shown().items():
        least[latent] = np.inf if label.holds_from is None else label.holds_from
    bears = {one.name: one.latent for one in dictionary.latents}
    grades: dict[str, list[float]] = {reading: [] for reading in readings}
    for reading, pairs in readings.items():
        for pair in (pair for pair in pairs if pair["name"] in bears):
            latent = bears[pair["name"]]
            if activations[place[pair["collection"], pair["passage"]], latent] >= least[latent]:
                grades[reading].append(float(np.mean(pair["grades"])))
    contributions = activations * (rows @ dictionary.sae.W_dec.T)
    weights = np.array([(one.share or 0) * (one.median or 0) for one in dictionary.latents])
    marked = np.array([(one.over_nulls or 0) >= ABOVE_NULLS for one in dictionary.latents])
    return {
        "readings": grades,
        "named": float(contributions[activations >= least].sum() / contributions.sum()),
        "marked": float(marked.mean()),
        "marked_contribution": float(weights[marked].sum() / weights.sum()),
    }


def passages_of(wanted: set[tuple[str, str]]) -> tuple[list[tuple[str, str]], NDArray[np.float32]]:
    """Passages of collections, and their embeddings, (n, d_in)."""
    found = [
        ((collection, passage.passage_id), passage.content)
        for collection in COLLECTIONS
        for passage in open_collection(str(texts.data() / collection)).passages
        if (collection, passage.passage_id) in wanted
    ]
    stored = texts.CACHE / "reading.npy"
    if not stored.exists():
        np.save(stored, texts.encoder().encode_passages([content for _, content in found]))
    return [key for key, _ in found], np.load(stored)


def summary(results: Mapping[str, Any]) -> list[str]:
    """What the documentation shows."""
    sheets = [
        {"texts": strength}
        | {
            f"{kind}: {said}": share_of(results["sheets"][kind][strength], least)
            for kind in (NAMES, CONTROLS) for said, least in (("fit", FITS), ("plainly", PLAINLY))
        }
        for strength in (*STRENGTHS, SILENT)
    ]  # fmt: skip
    readings = [
        {
            "reading": reading, "pairs": f"{len(found):,}", "fit": f"{np.mean(np.array(found) >= 0.5):.1%}",
            "plainly": f"{np.mean(np.array(found) >= 1.5):.1%}",
        }
        for reading, found in results["readings"].items()
    ]  # fmt: skip
    return [*table(sheets), "", *table(readings)]


def share_of(counts: Sequence[int], least: int) -> str:
    return f"{sum(counts[least:]) / sum(counts):.1%}" if sum(counts) else "-"


def headline(results: Mapping[str, Any]) -> dict[str, float]:
    fits = {f"fits_{reading}": np.mean(np.array(found) >= 0.5) for reading, found in results["readings"].items()}
    figures = {**fits, **{key: results[key] for key in ("marked", "marked_contribution", "named")}}
    return {name: round(float(figure), 4) for name, figure in figures.items()}


if __name__ == "__main__":
    main()
