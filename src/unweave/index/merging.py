"""Several indexes made one, as if it had been built of all their passages together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unweave.base.cores import spans
from unweave.base.foreign import shown
from unweave.errors import BadData
from unweave.index.concept_index import ConceptIndex

_IDS_AT_ONCE = 10_000


def merge(indexes: Sequence[ConceptIndex], folder: Path | str | None = None) -> ConceptIndex:
    """One index of the passages of several, those of the first one first; the indexes stay as they are.

    It is what `ConceptIndex.build` makes of all their latents: how many passages have a latent, how many latents a
    passage has on average, and so every score, are those of all passages together. Deleted passages are left out.

    Args:
        indexes: of latents of one SAE.
        folder: a new one, where the index will be. None: a temporary one, as for `ConceptIndex.build`.

    Raises:
        BadData: there is none, they differ in scoring or in their number of latents, an id is in two of them, or the
            folder is there already.
        ScoringUndefined: the formula is undefined for more than one in a hundred of all passages.
    """
    _refuse_unlike(indexes)
    _refuse_shared_ids(indexes)
    batches = (batch for index in indexes for segment in index.segments for batch in segment.live_batches())
    first = indexes[0]
    return ConceptIndex.from_batches(
        batches, first.scoring, first.n_latents, folder=folder, as_built=False, replace=False
    )


def _refuse_unlike(indexes: Sequence[ConceptIndex]) -> None:
    if not indexes:
        raise BadData("there is no index to merge; give one or more")
    first = indexes[0]
    for index in indexes[1:]:
        if index.scoring != first.scoring:
            raise BadData(
                f"{index!r} and {first!r} score passages in two ways, so that their impacts do not add up in one "
                "index; build both with the same scoring"
            )
        if index.n_latents != first.n_latents:
            raise BadData(
                f"{index!r} and {first!r} are of two SAEs, with {index.n_latents:,} and {first.n_latents:,} latents; "
                "build both from the latents of one"
            )


def _refuse_shared_ids(indexes: Sequence[ConceptIndex]) -> None:
    """Refuse an id that two indexes have: which of the two passages it is, a hit could not say."""
    for nth, index in enumerate(indexes):
        for segment in index.segments:
            for start, end in spans(len(segment.live_places), _IDS_AT_ONCE):
                ids = [segment.id(place) for place in segment.live_places[start:end].tolist()]
                for earlier in indexes[:nth]:
                    shared = np.flatnonzero(earlier.positions(ids) >= 0)
                    if len(shared):
                        raise BadData(
                            f"the passage id {shown(ids[shared[0]])} is in {earlier!r} and in {index!r}; ids must be "
                            "distinct: give those of one corpus a prefix, and each index once"
                        )
