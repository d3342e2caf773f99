"""The systems whose rankings `effectiveness.py` compares, each of one collection."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dictionaries
import environments
import numpy as np
from judged import DEEP, DEPTH, Collection, Floats, System
from scipy.sparse import csr_array

from unweave.errors import ScoringUndefined
from unweave.index.codes import Codes, as_long
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits, best
from unweave.index.scoring import (
    DOT,
    PROFILES,
    TOKENS,
    Scoring,
    query_weights,
)
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.fusion import by_normalized_score
from unweave.retrieval.searcher import ConceptSearcher
from unweave.sae.model import SAE, pursue, strongest

PEERS = Path(__file__).parent / "effectiveness_peers"
CANDIDATES = 1000
EXPANDED = 1024
CODES = (16, dictionaries.K)
BLEND = 0.2
"""The weight of CL-SR beside its own codes; the same everywhere."""
QUANTISED, QUANTISER_TRAINING = ("PQ 96 B", "PQ 48 B", "int8", "binary"), 10_000


def of_words(of: Collection) -> System:
    """BM25."""
    with tempfile.TemporaryDirectory() as aside:  # what was opened there can still be read
        lexical = BM25.write(Path(aside) / "bm25", of.contents, len(of.contents))
    return System(lambda i: lexical.search(of.query_texts[i], DEEP), lexical.bytes_per_passage)


def of_dense(of: Collection) -> System:
    every = np.arange(len(of.passages))
    return System(lambda i: best(of.passages @ of.queries[i], every, DEEP), 4.0 * of.passages.shape[1])


def of_quantisers(of: Collection, training: Floats) -> Iterator[tuple[str, System]]:
    """What FAISS finds by quantised vectors."""
    python = environments.python_of(PEERS / "requirements-shared.txt")
    with tempfile.TemporaryDirectory() as aside:
        arrays = {"training": training[:QUANTISER_TRAINING], "passages": of.passages, "queries": of.queries}
        for name, rows in arrays.items():
            np.save(Path(aside) / f"{name}.npy", rows)
        subprocess.run([python, PEERS / "run_faiss.py", aside, str(DEPTH)], check=True)
        found = dict(np.load(Path(aside) / "found.npz"))
    for name in QUANTISED:
        passages, scores = found[f"{name}.passages"], found[f"{name}.scores"]
        yield name, System(lambda i, p=passages, s=scores: Hits(p[i], s[i]), float(found[f"{name}.bytes"]))


def of_sae(of: Collection, sae: SAE, folder: Path) -> Iterator[tuple[str, System]]:
    """Everything that one SAE of pooled embeddings gives."""
    latents, n = sae.encode(of.passages), len(of.passages)
    pursued = {k: as_long(sae, of.passages, pursue(sae, of.passages, k)) for k in CODES}
    codes = {k: Codes.of(found) for k, found in pursued.items()}
    searchers = {}
    for name, profile in (("CL-SR", "default"), ("CL-SR paper", "paper")):
        try:
            index = ConceptIndex.build(latents, scoring=PROFILES[profile], folder=folder / profile)
        except ScoringUndefined:
            continue  # the paper's formula, for a collection with very short passages
        searchers[name] = searcher = ConceptSearcher(sae, index, codes[dictionaries.K])
        yield name, System(lambda i, s=searcher: s.search(of.queries[i], DEEP), index.bytes(forward=True) / n)
    clsr = searchers["CL-SR"]
    size = (clsr.index.bytes(forward=True) + codes[dictionaries.K].bytes) / n
    yield "CL-SR rescored", System(lambda i: clsr.rescored(of.queries[i], DEEP, CANDIDATES), size)
    for k in CODES:
        searcher = ConceptSearcher(sae, clsr.index, codes[k])
        yield f"codes {k}", System(lambda i, s=searcher: s.scanned(of.queries[i], DEEP), codes[k].bytes / n)
    both = lambda i: [clsr.search(of.queries[i], DEEP), clsr.scanned(of.queries[i], DEEP)]  # noqa: E731
    yield "CL-SR + codes", System(lambda i: by_normalized_score(both(i), DEEP, [BLEND, 1 - BLEND]).hits, size)
    yield "expanded", expanded(of, sae, pursued[dictionaries.K], folder / "expanded")


def expanded(of: Collection, sae: SAE, codes: csr_array, folder: Path) -> System:
    """The codes in inverted lists, and of each query the directions that it is nearest to."""
    index = ConceptIndex.build(codes, scoring=DOT, folder=folder)

    def search(i: int) -> Hits:
        products = sae.W_dec @ of.queries[i]
        nearest = np.argpartition(-products, EXPANDED)[:EXPANDED]
        nearest = nearest[products[nearest] > 0]
        return index.hits(nearest.astype(np.int32), products[nearest], DEEP)

    return System(search, index.bytes(forward=True) / len(of.passages))


def of_sparse(of: Collection, latents: dictionaries.Sparse, folder: Path, scoring: Scoring = TOKENS) -> System:
    """Sparse rows in an index, by default concepts of single tokens, summed over each text."""
    kept = latents.passages if scoring.max_latents is None else strongest(latents.passages, scoring.max_latents)
    index = ConceptIndex.build(kept, scoring=scoring, folder=folder)
    asked = latents.queries

    def search(i: int) -> Hits:
        found = slice(asked.indptr[i], asked.indptr[i + 1])
        active = asked.indices[found]
        weights = query_weights(asked.data[found], index.idf[active], scoring)
        return index.hits(active[weights != 0].astype(np.int32), weights[weights != 0], DEEP)

    return System(search, index.bytes(forward=True) / len(of.passages))


def of_codes(of: Collection, sae: SAE) -> System:
    """All passages by a pursuit's codes on these directions, without an index."""
    codes = Codes.of(as_long(sae, of.passages, pursue(sae, of.passages, dictionaries.K)))
    products = of.queries.astype(np.float64) @ sae.W_dec.T.astype(np.float64)
    every = np.arange(len(of.passages))

    def search(i: int) -> Hits:
        return best(codes.reconstructed(products[i], every).astype(np.float32), every, DEEP)

    return System(search, codes.bytes / len(of.passages))
