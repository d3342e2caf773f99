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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from unweave.base.building import build
from unweave.base.extras import require
from unweave.base.fields import LARGEST
from unweave.base.files import write_atomically
from unweave.config import ANEW, OWN, ReproduceConfig, SAEConfig
from unweave.encode.devices import refuse_missing
from unweave.errors import BadData, ScoringUndefined
from unweave.evaluation.measures import measure
from unweave.evaluation.mismatch import depth_for, mismatched
from unweave.evaluation.rank import rank
from unweave.evaluation.reproduction import (
    EFFICIENT,
    FOLDER,
    KIND,
    MAX,
    MEASURES,
    REPORT,
    ReproducedRow,
    Reproduction,
)
from unweave.evaluation.runs import Run
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import PROFILES
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.systems import CLSR, Dense, Lexical, Reconstructed, System
from unweave.sae.latents import encode_all
from unweave.sae.model import SAE
from unweave.stages.ensure import is_stale
from unweave.stages.evaluate import embedded_queries
from unweave.stages.lexical import count_words, counted
from unweave.stages.workspace import Workspace

_CUTOFF = 1000
_MEASURED = 100_000


def reproduce(project: Workspace, config: ReproduceConfig) -> Reproduction:
    """Run the protocol; what a stopped run finished is not done again.

    Raises:
        BadData: the project has no queries with judgements of the asked split, or an SAE has fewer latents than k.
    """
    if not len(project.queries):
        raise BadData(f"{project.path} has no queries, so there is nothing to measure; its corpus came alone")
    positions = project.queries.judged(config.split)
    if not positions:
        raise BadData(f"no query has judgements in split {config.split!r}")
    require("training an SAE", "fit", "torch")
    refuse_missing(config.device)
    d_in = project.embedded("passages").d_in
    n_latents = config.expansion * d_in
    if n_latents > LARGEST:
        raise BadData(f"an SAE has at most {LARGEST} latents; {config.expansion} a dimension are {n_latents}")
    if max(config.ks) > n_latents:
        raise BadData(
            f"k must be at most {n_latents}, the latents of an SAE with {config.expansion} a dimension; got "
            f"{max(config.ks)}"
        )
    from unweave.stages.fit import refuse_without_room  # which needs torch

    refuse_without_room(SAEConfig(d_in=d_in, n_latents=n_latents, k=max(config.ks)), project.path, config.device)
    made_from = project.made_from("corpus", "queries", "embeddings/passages", "embeddings/queries")
    settings = asdict(config) | {"ks": list(config.ks)}
    folder = project.path / FOLDER / "report"
    if is_stale(folder, KIND, settings, made_from):
        with build(folder, KIND, settings=settings, made_from=made_from) as made:
            found = asdict(_Protocol(project, config, positions).run())
            text = json.dumps(found, indent=1)
            write_atomically(made.path / REPORT, lambda p: p.write_text(text, encoding="utf-8"))
    return Reproduction.load(project.path)


class _Protocol:
    """One run of it, with what all its systems read."""

    def __init__(self, project: Workspace, config: ReproduceConfig, positions: list[int]) -> None:
        self.project, self.config = project, config
        self.queries: list[EmbeddedQuery] = list(embedded_queries(project, positions))
        self.query_ids = [project.queries.all[i].query_id for i in positions]
        self.qrels = project.queries.qrels(config.split)
        self.mismatch: dict[str, dict[str, int]] = {}
        passages = project.embedded("passages")
        self.passages = passages

    def run(self) -> Reproduction:
        n = len(self.project.corpus)
        depth = depth_for(n)
        count_words(self.project)
        lexical = Lexical(counted(self.project), self._ids)
        run = self._rank(lexical)
        self.mismatch = mismatched(run, self.qrels, depth)
        rows = [self._row("BM25", None, run, lexical.bytes_per_passage)]
        rows.append(
            self._measured("dense", None, Dense(self.passages.rows(), ids=self._ids), products=n * self.passages.d_in)
        )
        saes = {}
        for k in self.config.ks:
            sae = self._sae(k)
            latents = encode_all(self.passages.batches(), sae)
            saes[k] = self._reconstruction(sae)
            rows += self._of_sae(k, sae, latents)
        return Reproduction(
            self.project.encoder_of_embeddings or "an unknown encoder",
            n,
            len(self.queries),
            len(self.mismatch),
            depth,
            rows,
            saes,
        )

    def _of_sae(self, k: int, sae: SAE, latents: csr_array) -> Iterator[ReproducedRow]:
        reconstructed = Reconstructed(sae, sae.decode(latents), self._ids)
        yield self._measured("reconstructed dense", k, reconstructed, products=len(self.passages) * sae.config.d_in)
        del reconstructed
        for name, most in (("CL-SR Efficient", EFFICIENT), ("CL-SR Max", MAX)):
            scoring = replace(PROFILES["paper"], max_latents=most)
            with tempfile.TemporaryDirectory(dir=self.project.path / FOLDER) as aside:
                try:
                    index = ConceptIndex.build(latents, self.project.corpus.ids, scoring, folder=Path(aside) / "index")
                except ScoringUndefined as error:
                    yield ReproducedRow(name, k, {}, {}, note=str(error))
                    continue
                searcher = ConceptSearcher(sae, index)
                left_out = int(index.manifest.results["left_out"])
                system = CLSR(searcher, name=name)
                yield self._measured(
                    name, k, system, products=self._postings(searcher),
                    note=f"{left_out:,} passages left out" if left_out else "",
                )  # fmt: skip

    def _sae(self, k: int) -> SAE:
        """The SAE of one k, trained unless it is there."""
        config, folder = self.config, self.project.path / FOLDER / f"sae-{k}"
        n_latents = config.expansion * self.passages.d_in
        changes = {
            "k": k, "n_latents": n_latents, "seed": config.seed, "device": config.device, "steps": config.steps,
            "refit": ANEW, "dictionary": OWN,
        }  # fmt: skip
        of_this_k = Workspace.open(self.project.path, {"fit": changes}, ask=self.project.ask)
        from unweave.stages.fit import fit_sae  # which needs torch

        fit_sae(of_this_k, folder)
        return SAE.load(folder)

    def _reconstruction(self, sae: SAE) -> dict[str, dict[str, Any]]:
        some = np.linspace(0, len(self.passages) - 1, min(len(self.passages), _MEASURED)).astype(np.int64)
        texts = {
            "passages": self.passages.take(some),
            "queries": np.stack([query.embedding() for query in self.queries]),
        }
        return {name: sae.measure(rows)._asdict() for name, rows in texts.items()}

    def _postings(self, searcher: ConceptSearcher) -> float:
        """Postings that a query reads, on average: one multiplication each."""
        frequency = searcher.index.document_frequency
        return float(np.mean([frequency[searcher.read(query.embedding()).latents].sum() for query in self.queries]))

    def _ids(self, positions: Iterable[int]) -> list[str]:
        corpus = self.project.corpus
        return [corpus[position].passage_id for position in positions]

    def _rank(self, system: System) -> Run:
        run, _ = rank(system, self.queries, self.query_ids, _CUTOFF)
        return run

    def _measured(
        self, name: str, k: int | None, system: System, products: float | None = None, note: str = ""
    ) -> ReproducedRow:
        return self._row(name, k, self._rank(system), system.bytes_per_passage, products, note)

    def _row(
        self, name: str, k: int | None, run: Run, bytes_per_passage: float, products: float | None = None,
        note: str = "",
    ) -> ReproducedRow:  # fmt: skip
        means = {m: judged.mean for m, judged in measure(run, self.qrels, MEASURES).items()}
        of_mismatch = measure(run, self.mismatch, MEASURES) if self.mismatch else {}
        return ReproducedRow(
            name, k, means, {m: judged.mean for m, judged in of_mismatch.items()}, products, bytes_per_passage,
            note,
        )  # fmt: skip
