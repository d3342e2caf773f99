"""Hits that any engine returned, explained by their vectors: cosine, dot product or a distance, as the engine says it.

Each of these scores is a dot product, scaled and shifted, so that each is a sum of concepts as that is:

    score = shift + factor * (q . d),   q . d = sum_j z_j(d) (w_j . q) + b_pre . q + r . q

    cosine           q, d of length 1       0 + q . d
    half cosine      q, d of length 1       1/2 + (q . d) / 2          Elasticsearch's score of cosine
    cosine distance  q, d of length 1       1 - q . d                  pgvector <=>, Chroma
    dot              as they are            0 + q . d
    negative dot     as they are            0 - q . d                  pgvector <#>
    squared L2       as they are            |q|^2 + |d|^2 - 2 q . d    FAISS, Chroma
    L2               as they are            explained as its square    Qdrant, pgvector <->
    inverse L2       as they are            1 / (1 + L2^2), as its L2^2    Elasticsearch's score of l2_norm

What an engine's score has beyond that, because it stores fewer digits, is part of the residual.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base.contributions import Names
from unweave.base.foreign import shown
from unweave.base.records import Explanation, Hit, HitList, Passage
from unweave.base.vectors import refuse_unusable
from unweave.errors import BadData
from unweave.explaining.accounting import explain_dense
from unweave.sae.model import SAE
from unweave.texts.hits import EngineHit

logger = logging.getLogger(__name__)

AUTO = "auto"
"""The measure that the hits' scores agree with."""
DISTANCE = "distance"
"""What an explanation is of where less is nearer."""
_ROUNDED = 0.02
"""By how much a score may differ from that of its vectors, as a share of 1 or of the score: engines that store eight
bits a value are off by less."""
Rows = NDArray[np.float64]


class Measure(NamedTuple):
    """How a score comes about from two vectors."""

    unit: bool
    """Whether it is that of the vectors scaled to length 1."""
    shift: Callable[[Rows, Rows], Rows]
    """Of the query, (d_in,), and the passages, (n, d_in): what is added, (n,)."""
    factor: float
    undone: Callable[[Rows], Rows] = np.asarray
    """What is explained, (n,), from the engine's scores: for most, the scores themselves."""


def _constant(value: float) -> Callable[[Rows, Rows], Rows]:
    return lambda _, passages: np.full(len(passages), value)


def _squared_lengths(query: Rows, passages: Rows) -> Rows:
    return np.asarray(query @ query + np.square(passages).sum(axis=1))


def _inverse(scores: Rows) -> Rows:
    with np.errstate(divide="ignore"):
        return np.asarray(1 / scores - 1)


MEASURES: Mapping[str, Measure] = {
    "cosine": Measure(True, _constant(0.0), 1.0),
    "half cosine": Measure(True, _constant(0.5), 0.5),
    "cosine distance": Measure(True, _constant(1.0), -1.0),
    "dot": Measure(False, _constant(0.0), 1.0),
    "negative dot": Measure(False, _constant(0.0), -1.0),
    "squared L2": Measure(False, _squared_lengths, -2.0),
    "L2": Measure(False, _squared_lengths, -2.0, np.square),
    "inverse L2": Measure(False, _squared_lengths, -2.0, _inverse),
}
"""By name, in the order in which they are tried."""


def explain_hits(
    query: NDArray[np.floating[Any]],
    hits: Sequence[EngineHit],
    sae: SAE,
    encode: Callable[[list[str]], NDArray[np.float32]] | None = None,
    names: Names | None = None,
    *,
    measure: str = AUTO,
) -> HitList[Hit]:
    """The hits of an engine in its order, each score as named concepts, bias and residual.

    Hits without vectors are embedded by their texts; where the engine's scores are another encoder's, the explained
    scores are cosines by this one, and a note says so.

    Args:
        query: (d_in,) as the engine was asked.
        encode: what embeds texts; None: hits have to bring their vectors.
        measure: how the engine scores, one of `MEASURES`; by default what its scores agree with, cosine without scores.

    Raises:
        BadData: there is no such measure, scores agree with none or not with this one, some hits have vectors and some
            have not, or a vector is of another width than the SAE reads, zero or not finite.
    """
    if not hits:
        return HitList()
    vectors, scores = _vectors(hits, encode), _scores(hits)
    if hits[0].vector is None and measure == AUTO and scores is not None:
        _, off = _nearest(*_rows(query, vectors, sae), scores)
        if not off <= _ROUNDED:
            logger.warning("the scores that came with these texts are not this encoder's: explained are its cosines")
            scores = None
    explanations = explain_scores(query, vectors, scores, sae, names, measure=measure)
    return HitList(
        Hit(rank, why.score, Passage(hit.hit_id, hit.title, hit.text), why)
        for rank, (hit, why) in enumerate(zip(hits, explanations, strict=True), 1)
    )


def explain_scores(
    query: NDArray[np.floating[Any]],
    vectors: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]] | None,
    sae: SAE,
    names: Names | None = None,
    *,
    measure: str = AUTO,
) -> list[Explanation]:
    """The scores of vectors, (n, d_in), as an engine gave them, (n,), or worked out if it gave none."""
    q, passages = _rows(query, vectors, sae)
    given = None if scores is None else np.asarray(scores, np.float64)
    chosen = MEASURES[_agreeing(q, passages, given) if measure == AUTO else _known(measure)]
    if chosen.unit:
        q, passages = _unit(q[None])[0], _unit(passages)
    shifts = chosen.shift(q, passages)
    exact = shifts + chosen.factor * (passages @ q)
    explained = exact if given is None else chosen.undone(given)
    _refuse_other(explained, exact, measure)
    accounts = explain_dense((passages @ q).tolist(), q, passages, sae, names)
    of = "dense" if chosen.factor > 0 else DISTANCE
    columns = zip(accounts, *(column.tolist() for column in (explained, exact, shifts)), strict=True)
    return [
        replace(
            account, of=of, score=score,
            contributions=tuple(
                c._replace(query=chosen.factor * c.query, value=chosen.factor * c.value) for c in account.contributions
            ),
            bias=shift + chosen.factor * account.bias,
            residual=chosen.factor * account.residual + score - worked_out,
        )
        for account, score, worked_out, shift in columns
    ]  # fmt: skip


def _vectors(
    hits: Sequence[EngineHit], encode: Callable[[list[str]], NDArray[np.float32]] | None
) -> NDArray[np.floating[Any]]:
    brought = [hit.vector for hit in hits if hit.vector is not None]
    if len(brought) == len(hits):
        if len({len(vector) for vector in brought}) > 1:
            raise BadData("the hits' vectors are not of one width; do they come from one field of one engine?")
        return np.stack(brought)
    if brought:
        raise BadData(f"{len(brought)} of {len(hits)} hits have vectors; give the vectors of all, or the texts of all")
    if encode is None:
        raise BadData("the hits have texts and no vectors, and there is no encoder here; give their vectors")
    return encode([f"{hit.title} {hit.text}".strip() for hit in hits])


def _scores(hits: Sequence[EngineHit]) -> NDArray[np.float64] | None:
    scores = [hit.score for hit in hits if hit.score is not None]
    if scores and len(scores) < len(hits):
        raise BadData(f"{len(scores)} of {len(hits)} hits have scores; give those of all or of none")
    return np.array(scores) if scores else None


def _unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _rows(query: NDArray[np.floating[Any]], vectors: NDArray[np.floating[Any]], sae: SAE) -> tuple[Rows, Rows]:
    q, passages, width = np.asarray(query, np.float64), np.asarray(vectors, np.float64), sae.config.d_in
    if q.shape != (width,) or passages.ndim != 2 or passages.shape[1] != width:
        raise BadData(
            f"a query of shape {q.shape} and hits of shape {passages.shape} came in; expected ({width},) and "
            f"(n, {width}), as the SAE's encoder makes them"
        )
    refuse_unusable(q[None].astype(np.float32), "the query's vector")
    refuse_unusable(passages.astype(np.float32), "the hits' vectors")
    return q, passages


def _agreeing(q: Rows, passages: Rows, scores: Rows | None) -> str:
    """The measure that the scores agree with; the first of all where none came."""
    if scores is None:
        return next(iter(MEASURES))
    nearest, off = _nearest(q, passages, scores)
    if not off <= _ROUNDED:
        raise BadData(
            f"the hits' scores, first {shown(float(scores[0]))}, are none that their vectors have by "
            f"{', '.join(MEASURES)}; nearest is {nearest}, off by {off:.2g}. Are the vectors those that the "
            "engine searched, and the query embedded as it was there?"
        )
    return nearest


def _nearest(q: Rows, passages: Rows, scores: Rows) -> tuple[str, float]:
    """The measure whose scores of these vectors are nearest to those that came, and how far off they are."""
    off = {name: _off(q, passages, scores, measure) for name, measure in MEASURES.items()}
    nearest = min(off, key=lambda name: round(off[name], 6))
    return nearest, off[nearest]


def _off(q: Rows, passages: Rows, scores: Rows, measure: Measure) -> float:
    """By how much scores differ from those of the vectors, at most, as a share of 1 or of the score."""
    if measure.unit:
        q, passages = _unit(q[None])[0], _unit(passages)
    exact = measure.shift(q, passages) + measure.factor * (passages @ q)
    return float(np.max(_missed(measure.undone(scores), exact), initial=0.0))


def _missed(given: Rows, exact: Rows) -> Rows:
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs(given - exact) / np.maximum(1.0, np.abs(exact)), nan=np.inf)


def _known(measure: str) -> str:
    if measure not in MEASURES:
        raise BadData(f"there is no measure {shown(measure)}; expected {AUTO} or one of {', '.join(MEASURES)}")
    return measure


def _refuse_other(given: Rows, exact: Rows, measure: str) -> None:
    off = _missed(given, exact)
    worst = int(np.argmax(off)) if len(off) else 0
    if len(off) and not off[worst] <= _ROUNDED:
        raise BadData(
            f"hit {worst + 1} came with a score that is {given[worst]:.6g} by {shown(measure)}, and its vector gives "
            f"{exact[worst]:.6g}; leave the measure out to find the one that fits"
        )
