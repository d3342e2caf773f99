"""What a request may hold, each with its bounds: an id or a number, never a path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from unweave.base.fields import LARGEST
from unweave.server.shapes import LONGEST_QUERY, MOST_HITS, MOST_ROWS

LONGEST_ID = 1_000
MOST_STEERED = 64
"""Boosts, bans or filters of one search."""

QueryText = Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY, description="What is searched for.")]
SystemName = Annotated[str, Query(min_length=1, max_length=200, description='Such as "dense" or "BM25 + 2 codes".')]
PassageId = Annotated[str, Query(min_length=1, max_length=LONGEST_ID)]
Latent = Annotated[int, Field(ge=0, le=LARGEST)]
Boosts = Annotated[
    list[Annotated[str, Field(pattern=r"^\d{1,9}:-?\d{1,7}(\.\d{1,6})?$")]],
    Query(max_length=MOST_STEERED, description="CONCEPT:FACTOR, a factor for its weight in the query."),
]
Bans = Annotated[
    list[Latent], Query(max_length=MOST_STEERED, description="Passages with one of these concepts are left out.")
]
Where = Annotated[
    list[Annotated[str, Field(max_length=2 * LONGEST_ID, pattern=r"^[^=]+=")]],
    Query(max_length=MOST_STEERED, description="KEY=VALUE of the passages' metadata; all have to hold."),
]
Top = Annotated[int, Query(ge=1, le=MOST_HITS)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
Offset = Annotated[int, Query(ge=0, le=LARGEST)]
