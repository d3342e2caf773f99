"""The protocol of "Decoding Dense Embeddings" (Park, Kim & Ko 2025, arXiv 2506.00041) on any encoder and collection.

For each k: an SAE with 32 latents a dimension; its NMSE on passages and queries; dense search over what it
reconstructs; and Concept-Level Sparse Retrieval with the paper's constants, once with at most 24 concepts a passage
(Efficient) and once with at most 65 (Max). Each system is measured on all queries and on the mismatch subset.

    PROJECT/reproduction/sae-K/    the SAE of one k
    PROJECT/reproduction/report/   report.json: the table, and where this differs from the published code
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from unweave.artifact import build, read_manifest, write_atomically
from unweave.errors import BadData, ScoringUndefined, at_least
from unweave.evaluation.evaluate import embedded_queries, rank
from unweave.evaluation.measures import measure
from unweave.evaluation.mismatch import depth_for, mismatched
from unweave.evaluation.runs import Run
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.latents import encode_all
from unweave.pipeline import is_stale
from unweave.project import Project
from unweave.retrieval import ConceptSearcher
from unweave.sae.model import SAE
from unweave.systems import BM25, CLSR, Dense, EmbeddedQuery, Reconstructed, System

KIND = "reproduction"
FOLDER = "reproduction"
EFFICIENT, MAX = 24, 65
"""Concepts a passage in the paper's two indexes, at most."""
MEASURES = ("RR@10", "nDCG@10", "R@1000")
_CUTOFF = 1000
_MEASURED = 100_000
_REPORT = "report.json"

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


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig:
    """What is reproduced; what is not said follows the paper."""

    ks: tuple[int, ...] = (32, 48, 64, 128)
    """Active latents per text, on average: one SAE each."""
    expansion: int = 32
    """Latents a dimension of the embedding."""
    steps: int | None = None
    """Batches to train each SAE on; by default as for: unweave fit."""
    seed: int = 0
    """Decides each SAE's initial directions, the order of texts and which are held out."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1."""
    split: str = "test"
    """Which judgements to evaluate against."""

    def __post_init__(self) -> None:
        at_least(self, 1, "expansion", "steps")
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            raise ValueError(f"ks must be different whole numbers from 1 on, got {self.ks}")


@dataclass(frozen=True)
class Row:
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
    rows: list[Row]
    saes: dict[int, dict[str, dict[str, Any]]]
    """NMSE, L0 and live latents on `passages` and `queries`, by k."""
    differences: tuple[str, ...] = DIFFERENCES

    @classmethod
    def load(cls, project: Path) -> Reproduction:
        """Read what `reproduce` wrote into a project."""
        folder = project / FOLDER / "report"
        read_manifest(folder, KIND)
        record = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
        record["rows"] = [Row(**row) for row in record["rows"]]
        record["saes"] = {int(k): of for k, of in record["saes"].items()}
        record["differences"] = tuple(record["differences"])
        return cls(**record)


def reproduce(project: Project, config: ReproduceConfig) -> Reproduction:
    """Run the protocol; what a stopped run finished is not done again.

    Raises:
        BadData: the project has no queries with judgements of the asked split.
    """
    if not len(project.queries):
        raise BadData(f"{project.path} has no queries, so there is nothing to measure; its corpus came alone")
    positions = project.queries.judged(config.split)
    if not positions:
        raise BadData(f"no query has judgements in split {config.split!r}")
    made_from = project.made_from("corpus", "queries", "embeddings/passages", "embeddings/queries")
    settings = asdict(config) | {"ks": list(config.ks)}
    folder = project.path / FOLDER / "report"
    if is_stale(folder, KIND, settings, made_from):
        with build(folder, KIND, settings=settings, made_from=made_from) as made:
            found = asdict(_Protocol(project, config, positions).run())
            text = json.dumps(found, indent=1)
            write_atomically(made.path / _REPORT, lambda p: p.write_text(text, encoding="utf-8"))
    return Reproduction.load(project.path)


class _Protocol:
    """One run of it, with what all its systems read."""

    def __init__(self, project: Project, config: ReproduceConfig, positions: list[int]) -> None:
        self.project, self.config = project, config
        self.queries: list[EmbeddedQuery] = list(embedded_queries(project, positions))
        self.query_ids = [project.queries.all[i].query_id for i in positions]
        self.qrels = project.queries.qrels(config.split)
        self.mismatch: dict[str, dict[str, int]] = {}
        passages = project.embeddings("passages")
        assert passages is not None
        self.passages = passages

    def run(self) -> Reproduction:
        n = len(self.project.corpus)
        depth = depth_for(n)
        lexical = BM25([passage.content for passage in self.project.corpus])
        run = self._rank("BM25", lexical)
        self.mismatch = mismatched(run, self.qrels, depth)
        rows = [self._row("BM25", None, run, lexical.bytes_per_passage)]
        rows.append(self._measured("dense", None, Dense(self.passages.rows()), products=n * self.passages.d_in))
        saes = {}
        for k in self.config.ks:
            sae = self._sae(k)
            latents = encode_all(self.passages, sae)
            saes[k] = self._reconstruction(sae)
            rows += self._of_sae(k, sae, latents)
        return Reproduction(
            self.project.settings.encoder.model, n, len(self.queries), len(self.mismatch), depth, rows, saes
        )

    def _of_sae(self, k: int, sae: SAE, latents: csr_array) -> Iterator[Row]:
        reconstructed = Reconstructed(sae, sae.decode(latents))
        yield self._measured("reconstructed dense", k, reconstructed, products=len(self.passages) * sae.config.d_in)
        del reconstructed
        for name, most in (("CL-SR Efficient", EFFICIENT), ("CL-SR Max", MAX)):
            scoring = replace(PROFILES["paper"], max_latents=most)
            with tempfile.TemporaryDirectory(dir=self.project.path / FOLDER) as aside:
                try:
                    index = ConceptIndex.build(Path(aside) / "index", latents, scoring, ids=self.project.corpus.ids)
                except ScoringUndefined as error:
                    yield Row(name, k, {}, {}, note=str(error))
                    continue
                searcher = ConceptSearcher(sae, index)
                left_out = int(index.manifest.results["left_out"])
                system = CLSR(searcher, index.bytes(forward=True) / index.n_passages)
                yield self._measured(
                    name, k, system, products=self._postings(searcher),
                    note=f"{left_out:,} passages left out" if left_out else "",
                )  # fmt: skip

    def _sae(self, k: int) -> SAE:
        """The SAE of one k, trained unless it is there."""
        config, folder = self.config, self.project.path / FOLDER / f"sae-{k}"
        n_latents = config.expansion * self.passages.d_in
        changes = {"k": k, "n_latents": n_latents, "seed": config.seed, "device": config.device, "steps": config.steps}
        of_this_k = Project.open(self.project.path, {"fit": changes})
        from unweave.fitting import fit_sae  # which needs torch

        fit_sae(of_this_k, folder)
        return SAE.load(folder)

    def _reconstruction(self, sae: SAE) -> dict[str, dict[str, Any]]:
        some = np.linspace(0, len(self.passages) - 1, min(len(self.passages), _MEASURED)).astype(np.int64)
        texts = {"passages": self.passages.take(some), "queries": np.stack([query.vector for query in self.queries])}
        return {name: sae.measure(rows)._asdict() for name, rows in texts.items()}

    def _postings(self, searcher: ConceptSearcher) -> float:
        """Postings that a query reads, on average: one multiplication each."""
        frequency = searcher.index.document_frequency
        return float(np.mean([frequency[searcher.read(query.vector).latents].sum() for query in self.queries]))

    def _rank(self, name: str, system: System) -> Run:
        run, _ = rank(name, system, self.queries, self.query_ids, self.project.corpus.ids, _CUTOFF)
        return run

    def _measured(self, name: str, k: int | None, system: System, products: float | None = None, note: str = "") -> Row:
        return self._row(name, k, self._rank(name, system), system.bytes_per_passage, products, note)

    def _row(
        self, name: str, k: int | None, run: Run, bytes_per_passage: float, products: float | None = None,
        note: str = "",
    ) -> Row:  # fmt: skip
        means = {m: judged.mean for m, judged in measure(run, self.qrels, MEASURES).items()}
        of_mismatch = measure(run, self.mismatch, MEASURES) if self.mismatch else {}
        return Row(
            name, k, means, {m: judged.mean for m, judged in of_mismatch.items()}, products, bytes_per_passage,
            note,
        )  # fmt: skip


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
