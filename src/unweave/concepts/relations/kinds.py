"""What becomes of a concept in another model, and the bounds of it; without arrays, for whoever shows them."""

from __future__ import annotations

from enum import StrEnum

SAME = 0.5
"""The least correlation of two that are called the same. On 865 passages and 1,217 concepts with their like in another
dictionary, shuffled texts brought the best of 1 in 300 concepts this far, and the real texts 1 in 3."""
LEAST_TEXTS = 5
"""Concepts of fewer texts are not compared: two that share one text, which is luck, would correlate perfectly."""


class Kind(StrEnum):
    """What becomes of a concept in the other model."""

    MATCHED = "matched"
    SPLIT = "split"
    MERGED = "merged"
    OVERLAPPING = "overlapping"
    ONLY = "only"
