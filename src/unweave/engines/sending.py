"""An index sent to an engine: batch by batch, found again after a kill, and counted at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.engines.engine import Engine, Rows, Shape
from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex
from unweave.index.postings import MAX_CODE

BATCH = 4_096
"""Passages at once, at most; where batches end is the same each time an index is sent."""
Fields = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]
"""What travels with the passages of some ids."""
Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""The embeddings of the passages of some ids."""


def no_fields(ids: Sequence[str]) -> list[Mapping[str, Any]]:
    """Nothing travels with the passages but their ids."""
    return [{}] * len(ids)


def shape_of(index: ConceptIndex, state: str, width: int = 0, texts: bool = False) -> Shape:
    """What an engine is told of an index.

    Args:
        state: stands for what travels beside the index's own numbers, and how.
        width: dimensions of the embeddings that travel along, if any do.
        texts: whether titles, texts and metadata do.
    """
    # An impact is stored as a code of 1 to MAX_CODE times its latent's scale, rounded up.
    largest = max((float(segment.scales.max(initial=0)) for segment in index.segments), default=0) * MAX_CODE
    n_postings = int(index.document_frequency.sum())
    stated = f"{index.manifest.checksum}-{state}"
    return Shape(index.n_passages, index.n_latents, n_postings, largest or 1.0, stated, width, texts)


def rows_of(
    index: ConceptIndex, fields_of: Fields = no_fields, there: int = 0, embeddings_of: Vectors | None = None
) -> Iterator[Rows]:
    """The passages of an index, without the batches of which the first `there` passages have all."""
    first = 0
    for ids, impacts in index.batches(BATCH):
        if first + len(ids) > there:
            yield Rows(first, ids, impacts, fields_of(ids), embeddings_of(ids) if embeddings_of else None)
        first += len(ids)


def send(
    index: ConceptIndex, engine: Engine, shape: Shape, fields_of: Fields = no_fields,
    done: Callable[[], object] = lambda: None, embeddings_of: Vectors | None = None,
) -> int:  # fmt: skip
    """Send what an engine does not hold yet.

    Args:
        fields_of: what travels with the passages of these ids.
        done: called after each batch that the engine has.
        embeddings_of: the passages' embeddings, if they travel along; `shape.width` is theirs.

    Returns:
        How many passages an earlier export had left there.

    Raises:
        BadData: the engine holds other passages at the end than were sent.
    """
    engine.prepare(shape)
    there = engine.count()
    with progress.steps("exporting", total=shape.n_passages, unit="passages", done=there) as advance:
        for rows in rows_of(index, fields_of, there, embeddings_of):
            if not np.isfinite(rows.impacts.data).all():
                raise BadData("an impact of the index is no number; see: unweave verify")
            engine.add(rows)
            done()
            advance(len(rows.ids) - max(there - rows.first, 0))
    engine.finish()
    held = engine.count()
    if held != shape.n_passages:
        raise BadData(
            f"the engine holds {held:,} passages and {shape.n_passages:,} were sent; does something else write there?"
        )
    return there
