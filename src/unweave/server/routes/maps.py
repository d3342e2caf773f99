"""Where concepts and passages stand on the map."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from unweave.base.fields import LARGEST
from unweave.errors import NotThere
from unweave.server import shapes
from unweave.server.asked import Latent
from unweave.server.card import LONGEST_TEXT
from unweave.server.held import Held
from unweave.server.table import table_of

router = APIRouter(prefix="/api/map", tags=["map"])


@router.get("/concepts")
def concepts(held: Held) -> shapes.ConceptMap:
    """Where each live concept stands: close where directions are."""
    project = held.project
    found, rows = project.concept_map, table_of(project).rows
    known = [i for i, latent in enumerate(found.latents.tolist()) if latent in rows]
    shown = [rows[latent] for latent in found.latents[known].tolist()]
    x, y = _columns(found.places[known])
    return shapes.ConceptMap(
        latent=[row.latent for row in shown], x=x, y=y, name=[row.name for row in shown],
        trust=[row.trust for row in shown], returns=[row.returns for row in shown],
        document_frequency=[row.document_frequency for row in shown],
    )  # fmt: skip


@router.get("/passages")
def passages(
    held: Held,
    most: Annotated[int, Query(ge=1, le=1_000_000, description="Passages at most, drawn evenly.")] = 100_000,
    latent: Annotated[Latent | None, Query(description="Only passages that activate this concept.")] = None,
) -> shapes.PassageMap:
    """Where passages stand: each at the mean of its concepts, by activation."""
    places = held.project.places
    asked = np.arange(len(places)) if latent is None else np.sort(held.project.active_in(latent).passages)
    there = asked[~np.isnan(places[asked, 0])]
    drawn = there[np.linspace(0, len(there) - 1, min(most, len(there))).astype(np.int64)]
    x, y = _columns(places[drawn])
    return shapes.PassageMap(position=drawn.tolist(), x=x, y=y, total=len(there))


@router.get("/names")
def names(
    held: Held, at: Annotated[list[Annotated[int, Query(ge=0, le=LARGEST)]], Query(min_length=1, max_length=100)]
) -> shapes.PassageNames:
    """Ids, titles and beginnings of the passages at some positions."""
    corpus = held.project.corpus
    beyond = [position for position in at if position >= len(corpus)]
    if beyond:
        raise NotThere(f"there is no passage at position {beyond[0]}; the corpus has {len(corpus):,}")
    rows = [
        shapes.PassageName(
            position=position, passage_id=corpus[position].passage_id, title=corpus[position].title,
            text=corpus[position].text[:LONGEST_TEXT],
        )
        for position in at
    ]  # fmt: skip
    return shapes.PassageNames(rows=rows)


def _columns(places: NDArray[np.float32]) -> tuple[list[float], list[float]]:
    """Places, (n, 2), as two columns of four decimals: a screen has no more."""
    x, y = np.round(places.astype(np.float64), 4).T.tolist()
    return x, y
