"""What a plan is asked for: how many passages, of what length, by which encoder, on which machines, at which prices."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from unweave.base.foreign import shown
from unweave.cluster.encoders import Shape
from unweave.errors import BadData

_COUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?|[0-9]{1,3}(?:,[0-9]{3})+)(?:e([0-9]{1,2}))?\s*([kKMmBGT]?)")
_TIMES = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
MOST = 10**13
"""Passages: more than the web has."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What things cost, in the reader's own currency; None: not said, and not counted."""

    gpu_hour: float | None = None
    cpu_hour: float | None = None
    """Of one core."""
    gb_month: float | None = None

    def __post_init__(self) -> None:
        for name in ("gpu_hour", "cpu_hour", "gb_month"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and 0 <= price <= 1e6):
                raise ValueError(f"price_{name} must be a number from 0 to a million, got {shown(price)}")

    @property
    def known(self) -> bool:
        """Whether anything has a price."""
        return (self.gpu_hour, self.cpu_hour, self.gb_month) != (None, None, None)

    def of(self, gpu_hours: float = 0, core_hours: float = 0, gb_months: float = 0) -> float | None:
        """Money for what has a price; None if nothing of it has."""
        needed = ((self.gpu_hour, gpu_hours), (self.cpu_hour, core_hours), (self.gb_month, gb_months))
        priced = [price * n for price, n in needed if price is not None and n > 0]
        return sum(priced) if priced else None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be planned."""

    n_passages: int
    words: float
    """Of a passage, on average."""
    encoder: Shape
    gpus: int = 0
    machines: int | None = None
    """None: as many as the search service needs, and as hold the GPUs."""
    cpus: int | None = None
    """Cores of all machines together; None: those that the assumptions give each machine."""
    texts_per_gpu_second: float | None = None
    """The reader's own figure for one card; None: by the arithmetic that the plan states."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_passages <= MOST:
            raise ValueError(f"passages must be between 1 and {MOST:,}, got {shown(self.n_passages)}")
        if not 0 < self.words <= 1_000_000:
            raise ValueError(f"words must be above 0 and at most a million, got {shown(self.words)}")
        for name, least in (("gpus", 0), ("machines", 1), ("cpus", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 1_000_000:
                raise ValueError(f"{name} must be between {least} and a million, got {shown(value)}")
        speed = self.texts_per_gpu_second
        if speed is not None and not 0 < speed <= 1e9:
            raise ValueError(f"texts_per_gpu_second must be above 0 and at most 1e9, got {shown(speed)}")
        if speed is not None and not self.gpus:
            raise ValueError("texts_per_gpu_second is the speed of one GPU, and there are none; give --gpus")


def count(text: str) -> int:
    """A number as people write it: 100M, 8.8M, 10B, 1e6, 1,000,000.

    Raises:
        BadData: it is none, or no whole number.
    """
    found = _COUNT.fullmatch(text.strip()) if len(text) <= 40 else None
    if found is not None:
        number, power, times = found.groups()
        value = float(number.replace(",", "")) * 10.0 ** int(power or 0) * _TIMES[times.upper()]
        if 1 <= value <= MOST and abs(value - round(value)) < 1e-6 * max(1.0, value):
            return round(value)
    raise BadData(f"{shown(text)} is no number of passages; give one such as 100M, 8.8M, 10B, 1e6 or 1,000,000")
