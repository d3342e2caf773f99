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
from unweave.index.scoring import DOT, PROFILES, TOKENS, Scoring, query_weights
from unweave.retrieval import systems
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.sums import Sum
from unweave.sae.model import SAE, pursue, strongest

PEERS = Path(__file__).parent / "effectiveness_peers"
CANDIDATES = 1000
EXPANDED = 1024
CODES = (16, dictionaries.K)
BLEND = 0.2
"""The weight of CL-SR beside its own codes; the same everywhere."""
BLENDED = "CL-SR + 4 codes"
QUANTISED, QUANTISER_TRAINING = ("PQ 96 B", "PQ 48 B", "int8", "binary"), 10_000


def of(collection: Collection, system: systems.System) -> System:
    """A system of the product's, asked this collection's queries."""
    asked = [EmbeddedQuery(*pair) for pair in zip(collection.query_texts, collection.queries, strict=True)]
    return System(lambda i: system.search(asked[i], DEEP), system.bytes_per_passage)


def of_words(collection: Collection) -> System:
    """BM25."""
    with tempfile.TemporaryDirectory() as aside:  # what was opened there can still be read
        lexical = BM25.write(Path(aside) / "bm25", collection.contents, len(collection.contents))
    return of(collection, systems.Lexical(lexical))


def of_dense(collection: Collection) -> System:
    return of(collection, systems.Dense(collection.passages))


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


def of_sae(collection: Collection, sae: SAE, folder: Path) -> Iterator[tuple[str, System]]:
    """Everything that one SAE of pooled embeddings gives."""
    latents, n = sae.encode(collection.passages), len(collection.passages)
    pursued = {k: as_long(sae, collection.passages, pursue(sae, collection.passages, k)) for k in CODES}
    codes = {k: Codes.of(found) for k, found in pursued.items()}
    found: dict[str, systems.System] = {}
    for name, profile in (("CL-SR", "default"), ("CL-SR paper", "paper")):
        try:
            index = ConceptIndex.build(latents, scoring=PROFILES[profile], folder=folder / profile)
        except ScoringUndefined:
            continue  # the paper's formula, for a collection with very short passages
        found[name] = systems.CLSR(ConceptSearcher(sae, index, codes[dictionaries.K]), name=name)
        yield name, of(collection, found[name])
    searcher = ConceptSearcher(sae, ConceptIndex.open(folder / "default"), codes[dictionaries.K])
    size = (searcher.index.bytes(forward=True) + codes[dictionaries.K].bytes) / n
    yield "CL-SR rescored", of(collection, systems.RescoredCLSR(searcher, CANDIDATES, size))
    for k in CODES:
        of_k = systems.ConceptCodes(ConceptSearcher(sae, searcher.index, codes[k]), codes[k].bytes / n)
        found[f"codes {k}"] = of_k
        yield f"codes {k}", of(collection, of_k)
    both = {"CL-SR": found["CL-SR"], "codes": found[f"codes {dictionaries.K}"]}
    yield BLENDED, of(collection, Sum(BLENDED, both, (BLEND, 1 - BLEND)))
    yield "expanded", expanded(collection, sae, pursued[dictionaries.K], folder / "expanded")


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
