"""The table of an evaluation, as it is stored and shown.

evaluation.json     a row a system, what the SAE explains, and which concepts were useful
runs/SYSTEM.trec    what each system found, in TREC's six columns; runs/qrels.trec the judgements, in four
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unweave.base.artifact import check_file, damaged, read_json, read_manifest
from unweave.base.stored import read_record
from unweave.evaluation.measures import LABELS, MEASURES

KIND = "evaluation"
REPORT = "evaluation.json"


@dataclass(frozen=True)
class SystemRow:
    """One system's line in the table."""

    system: str
    measures: dict[str, float]
    """Mean over the judged queries, by ir_measures' name; empty if the system is undefined here."""
    bytes_per_passage: float | None
    ms_per_query: float | None
    """Median time of one search, without embedding the query; machines differ, ratios are what to read."""
    note: str | None = None
    """What is to be known of this row: why a system cannot rank this corpus, or what it leaves out."""


@dataclass(frozen=True)
class Evaluation:
    """The table, with what the SAE does to the embeddings below it."""

    split: str
    n_queries: int
    rows: list[SystemRow]
    sae: dict[str, Any]
    """NMSE and L0 by held-out kind of text, live latents."""
    usefulness: list[tuple[int, float]]
    """Latents by how much they lift relevant passages over the hits around them, the most useful first."""

    @classmethod
    def load(cls, folder: Path) -> Evaluation:
        """Read a project's evaluation."""
        report = read_json(folder, read_manifest(folder, KIND), REPORT)
        with damaged(f"{folder / REPORT} holds no evaluation ({{}}); evaluate again"):
            return cls.from_dict(report)

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Evaluation:
        """Read what was written as JSON."""
        rows = [read_record(SystemRow, row, "an evaluation") for row in record["rows"]]
        usefulness = [(int(latent), float(gain)) for latent, gain in record["usefulness"]]
        return cls(record["split"], record["n_queries"], rows, record["sae"], usefulness)


def run_of(project: Path, system: str) -> Path:
    """Where an evaluation left a system's run.

    Raises:
        CorruptArtifact: it is not what was written.
    """
    folder = project / KIND
    return check_file(folder, read_manifest(folder, KIND), f"runs/{file_of(system)}")


def file_of(system: str) -> str:
    """The name of a system's run among the runs of an evaluation."""
    return f"{system.replace(' ', '-')}.trec"


def table(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The rows as plain values, for printing and for JSON."""
    return [
        {
            "system": row.system,
            **{LABELS[name]: row.measures.get(name) for name in MEASURES},
            "bytes/passage": row.bytes_per_passage,
            "ms/query": row.ms_per_query,
        }
        for row in evaluation.rows
    ]
