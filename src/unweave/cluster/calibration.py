"""The rates of the machine at hand, in about a minute: some hundred texts embedded, encoded, coded, indexed, searched.

Work is counted in seconds of processor time, all threads together, so that a rate is that of one core, however many
there are and whatever else runs. Sizes are scaled away: embedding is counted in parameters times tokens, encoding in
multiplications, building and searching an index in postings.
"""

from __future__ import annotations

import datetime
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base import progress
from unweave.base.cores import n_cores
from unweave.base.records import Passage
from unweave.cluster.encoders import Shape
from unweave.cluster.rates import Rate
from unweave.config import SAEConfig
from unweave.encode.encoder import Encoder, TokenEncoder
from unweave.errors import BadData
from unweave.index.codes import coded
from unweave.index.concept_index import ConceptIndex
from unweave.sae.model import SAE
from unweave.texts.corpus import Corpus

TEXTS = 320
"""Texts that are embedded."""
_WARM = 64
_CODED = 1024
_INDEXED = 65_536
_QUERIES, _ROUNDS = 100, 7
_CORPUS = 20_000
_CODE_K = 32
_EXPANSION = 8
SCRIPT = "unweave plan --calibrate"
T = TypeVar("T")


def calibrated(
    encoder: Encoder, shape: Shape, texts: Sequence[str], sae: SAE | None = None, *, script: str = SCRIPT
) -> dict[str, Rate]:
    """Measure this machine.

    Args:
        encoder: whose speed is measured.
        shape: its layers and width, for the parameters that a token goes through.
        texts: as long as those that are planned; few are embedded more than once.
        sae: reads the encoder's embeddings; None: one of random directions, since its size decides about time. Then
            searching is not measured: such latents are all alike in how many passages have them, as no others are.
        script: what measures all of this, for the record.

    Raises:
        BadData: there are too few texts, or the SAE reads embeddings of another width.
    """
    if len(texts) < 2 * _WARM:
        raise BadData(f"{len(texts)} texts are too few to measure by; give a project of {2 * _WARM} passages or more")
    machine, today = f"this one, {platform.machine()}, {n_cores()} cores", datetime.date.today().isoformat()

    def rate(value: float, unit: str, what: str) -> Rate:
        return Rate(value, unit, what, today, machine, script)

    chosen = list(islice(chain.from_iterable(repeat(texts)), TEXTS))
    tokens, words = _tokens(encoder, chosen, shape), sum(len(text.split()) for text in chosen)
    n_bytes = sum(len(text.encode()) for text in chosen)
    encoder.encode_passages(chosen[:_WARM])  # loads the model
    embedding, rows = _timed(lambda: encoder.encode_passages(chosen))
    if sae is not None and rows.shape[1] != sae.config.d_in:
        raise BadData(f"the SAE reads embeddings {sae.config.d_in} wide, and the encoder makes {rows.shape[1]}")
    found = {
        "embed": rate(shape.parameters * tokens / embedding, "parameters x tokens / core s",
                      f"{len(chosen)} texts, {tokens / len(chosen):.0f} tokens each, by {shape.name}"),
        "tokens": rate(tokens / words, "tokens / word", f"{words:,} words of English, by {shape.name}"),
        "text": rate(n_bytes / words, "bytes / word", "of the same texts"),
        "cut": rate(_cut(chosen), "bytes / core s", f"{_CORPUS:,} passages written as a corpus"),
        **_of_sae(rows, sae or random_sae(rows), rate),
    }  # fmt: skip
    if sae is None:
        del found["search"]
    return found


def _of_sae(rows: NDArray[np.float32], sae: SAE, rate: Callable[[float, str, str], Rate]) -> dict[str, Rate]:
    """How fast embeddings, (n, d_in), are encoded and coded, and their latents indexed and searched."""
    per_row = sae.config.d_in * sae.config.n_latents
    many = mixed(rows, _INDEXED)
    sae.encode(rows)
    encoding, latents = _timed(lambda: sae.encode(many))
    coded(sae, rows[:_WARM], _CODE_K)
    coding, _ = _timed(lambda: coded(sae, many[:_CODED], _CODE_K))
    building, searching, postings = _index(latents)
    return {
        "encode": rate(per_row * len(many) / encoding, "d_in x latents / core s",
                       f"{len(many):,} embeddings encoded, mixed from those of two texts each"),
        "code": rate(per_row * _CODED / coding, "d_in x latents / core s",
                     f"{_CODED:,} codes of {_CODE_K}, orthogonal pursuit"),
        "build": rate(postings / building, "postings / core s", f"{_INDEXED:,} passages indexed"),
        "search": rate(searching, "core s / posting",
                       f"median of {_QUERIES} exact searches for ten, {_INDEXED:,} passages"),
    }  # fmt: skip


def random_sae(rows: NDArray[np.float32]) -> SAE:
    """An SAE of random directions that keeps as many latents of some embeddings, (n, d_in), as `unweave fit` does."""
    d_in = rows.shape[1]
    config = SAEConfig(d_in=d_in, n_latents=_EXPANSION * d_in, k=min(_CODE_K, _EXPANSION * d_in))
    directions = np.random.default_rng(0).standard_normal((config.n_latents, d_in), np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean = np.asarray(rows.mean(axis=0), np.float32)
    kept = np.quantile((rows - mean) @ directions.T, 1 - config.k / config.n_latents)
    bias, threshold = np.zeros(config.n_latents, np.float32), np.full(1, max(float(kept), 1e-6), np.float32)
    return SAE(config, directions, bias, directions, mean, threshold)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds of some work, and what it gave."""
    with progress.watched(progress.SILENT):
        began = time.process_time()
        done = work()
        return max(time.process_time() - began, 1e-6), done


def _tokens(encoder: Encoder, texts: list[str], shape: Shape) -> int:
    """Tokens that these texts take."""
    if not isinstance(encoder, TokenEncoder):
        raise BadData(
            f"{type(encoder).__name__} does not show its tokens, so that its speed says nothing of other texts"
        )
    return sum(min(len(words), shape.most_tokens) for words in encoder.words(texts))


def _cut(texts: Sequence[str]) -> float:
    """Bytes a core second that become a corpus."""
    passages = [
        Passage(f"p{i}", "", text) for i, text in enumerate(islice(chain.from_iterable(repeat(texts)), _CORPUS))
    ]
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = _timed(lambda: Corpus.write(Path(folder) / "corpus", iter(passages), settings={}))
    return sum(len(passage.text.encode()) for passage in passages) / seconds


def mixed(rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """n embeddings of length 1, (n, d_in), each between those of two texts: as many different ones as are wanted.

    Copies of the same few would be ties in every search, which no corpus has.
    """
    random = np.random.default_rng(0)
    one, other, share = random.integers(len(rows), size=n), random.integers(len(rows), size=n), random.random((n, 1))
    between = share.astype(np.float32) * rows[one] + (1 - share).astype(np.float32) * rows[other]
    return np.asarray(between / np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-6), np.float32)


def _index(latents: csr_array) -> tuple[float, float, int]:
    """Core seconds to build an index of many passages and to read a posting in a search, and its postings."""
    ConceptIndex.build(latents[:_WARM])  # what is compiled once is compiled now
    building, index = _timed(lambda: ConceptIndex.build(latents))
    queries = csr_array(latents[:_QUERIES])
    read = np.add.reduceat(index.document_frequency[queries.indices], queries.indptr[:-1][np.diff(queries.indptr) > 0])
    return building, float(np.median(search_seconds(index, queries)) / np.median(read)), latents.nnz


def search_seconds(index: ConceptIndex, queries: csr_array, cutoff: int = 10) -> NDArray[np.float64]:
    """Processor seconds of each query's exact search, (n_queries,): the least of some rounds."""
    read = list(_read(queries))
    for latents, weights in read[:10]:
        index.hits(latents, weights, cutoff)
    seconds = np.full((_ROUNDS, len(read)), np.inf)
    for number in range(_ROUNDS):
        for query, (latents, weights) in enumerate(read):
            began = time.perf_counter()
            index.hits(latents, weights, cutoff)
            seconds[number, query] = time.perf_counter() - began
    return np.asarray(seconds.min(axis=0))


def _read(queries: csr_array) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    for start, end in zip(queries.indptr[:-1], queries.indptr[1:], strict=True):
        if end > start:
            yield queries.indices[start:end].astype(np.int64), queries.data[start:end].astype(np.float32)
