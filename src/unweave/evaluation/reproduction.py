"""What the paper's protocol found, as it is stored and shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unweave.base.artifact import damaged, read_json, read_manifest
from unweave.base.stored import read_record

KIND = "reproduction"
FOLDER = "reproduction"
EFFICIENT, MAX = 24, 65
"""Concepts a passage in the paper's two indexes, at most."""
MEASURES = ("RR@10", "nDCG@10", "R@1000")
REPORT = "report.json"
DIFFERENCES = (
    (
        "Each latent's decoder direction has length 1, as the paper's text says; the published code normalises along "
        "the other axis."
    ),
    "The auxiliary loss acts only while latents are dead; in the published code it is always on.",
    (
        "The threshold is calibrated after training to a mean of k latents a text and saved with the weights; the "
        "published code keeps a running value in a file's name."
    ),
    (
        "Learning rate, batch and steps follow from the number of texts (see: unweave fit); the published 5e-5 ends at "
        "more than twice the error here."
    ),
    "Trained on the passages and on training queries, if there are any; 5 % of the passages are held out.",
    (
        "A passage for which the formula is undefined (b = 2 with very few latents) is left out and counted, not "
        "scored with a negative denominator; where that is more than one in a hundred, the row is empty."
    ),
    "A latent of more than half of the passages has a negative idf, as the formula says.",
    "Measures are trec_eval's: a judged query without hits counts 0.",
    "Bytes are those of the index with its forward lists, from which scores are calculated exactly.",
)
"""Where this differs from the published code."""


@dataclass(frozen=True)
class ReproducedRow:
    """One system, measured as the paper does."""

    system: str
    k: int | None
    """Of its SAE; None: it has none."""
    measures: dict[str, float]
    """Over all judged queries; empty if the system is undefined here."""
    on_mismatch: dict[str, float]
    """The same over the mismatch subset; empty too if no query is in it."""
    products: float | None = None
    """Multiplications a query takes, on average: FLOPs, as the literature on sparse retrieval counts them."""
    bytes_per_passage: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Reproduction:
    """The whole protocol's outcome."""

    encoder: str
    n_passages: int
    n_queries: int
    n_mismatch: int
    """Queries for which BM25 finds nothing relevant to the depth below."""
    mismatch_depth: int
    rows: list[ReproducedRow]
    saes: dict[int, dict[str, dict[str, Any]]]
    """NMSE, L0 and live latents on `passages` and `queries`, by k."""
    differences: tuple[str, ...] = DIFFERENCES

    @classmethod
    def load(cls, project: Path) -> Reproduction:
        """Read what `reproduce` wrote into a project."""
        folder = project / FOLDER / "report"
        record = read_json(folder, read_manifest(folder, KIND), REPORT)
        with damaged(f"{folder / REPORT} holds no reproduction ({{}}); run it again"):
            record["rows"] = [read_record(ReproducedRow, row, folder / REPORT) for row in record["rows"]]
            record["saes"] = {int(k): of for k, of in record["saes"].items()}
            record["differences"] = tuple(record["differences"])
            return read_record(cls, record, folder / REPORT)


def table(found: Reproduction) -> list[dict[str, Any]]:
    """The rows as plain values, for printing and for JSON."""
    dense = next(row for row in found.rows if row.system == "dense")
    rows = []
    for row in found.rows:
        share = row.measures["RR@10"] / dense.measures["RR@10"] if row.measures and dense.measures["RR@10"] else None
        rows.append({
            "system": row.system if row.k is None else f"{row.system}, k={row.k}",
            "MRR@10": row.measures.get("RR@10"),
            "of dense": share,
            "nDCG@10": row.measures.get("nDCG@10"),
            "Recall@1k": row.measures.get("R@1000"),
            "MRR@10, mismatch": row.on_mismatch.get("RR@10"),
            "FLOPs/query": row.products,
            "bytes/passage": row.bytes_per_passage,
        })  # fmt: skip
    return rows
