"""What all shapes share, and how long what comes in may be."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

LONGEST_QUERY = 10_000
"""Characters of a query, or of a text that is tried."""
MOST_HITS = 100
"""Hits of one page."""
MOST_ROWS = 1_000
"""Rows of one page of a table."""


class Shape(BaseModel):
    """What all share: nothing is there that is not named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Shape):
    """Why there is no answer."""

    error: str
    """What came in, what was expected, the next step: a sentence for a person."""
    kind: str
    """The class of the error, such as `BadData` or `MissingArtifact`."""
