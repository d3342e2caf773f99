"""Measured rates: what a plan is calculated from, each with the day, the machine and the script that measured it.

The packaged ones are in `rates.json`, which `python benchmarks/rates.py` writes; `calibration.calibrated` measures
those of the machine at hand. Rates of a processor are for a second of one core's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.foreign import read_settings
from unweave.errors import CorruptArtifact

PACKAGED = Path(__file__).parent / "rates.json"


@dataclass(frozen=True)
class Rate:
    """One measured figure, and where it comes from."""

    value: float
    unit: str
    what: str
    """What was measured, in a few words."""
    date: str
    machine: str
    script: str
    """What measures it again."""


@dataclass(frozen=True)
class Training:
    """How fast one size of an SAE was trained."""

    d_in: int
    n_latents: int
    per_second: float
    """Embeddings, on the whole machine for a processor, on one card for a GPU."""


@dataclass(frozen=True)
class Spread:
    """How the times of searching one shard differ, as factors of the median: (n_quantiles,) ascending each."""

    of_queries: tuple[float, ...]
    """Of one query over all shards: some queries are harder everywhere."""
    of_shards: tuple[float, ...]
    """Of one shard, for one query, over that query's median."""


@dataclass(frozen=True)
class Rates:
    """All that a plan is calculated from that was measured."""

    rates: Mapping[str, Rate]
    trained_on_cpu: tuple[Training, ...]
    trained_on_gpu: tuple[Training, ...]
    shard_seconds: tuple[tuple[int, float], ...]
    """(passages, median seconds of one core) of an exact search for ten, sizes ascending."""
    spread: Spread

    def __getitem__(self, name: str) -> float:
        return self.rates[name].value

    def with_rates(self, measured: Mapping[str, Rate]) -> Rates:
        """These, with some measured elsewhere in the place of theirs; times of search follow `search`."""
        rates = {**self.rates, **measured}
        faster = rates["search"].value / self["search"]
        seconds = tuple((n, faster * seconds) for n, seconds in self.shard_seconds)
        return Rates(rates, self.trained_on_cpu, self.trained_on_gpu, seconds, self.spread)

    def seconds_of_a_shard(self, n_passages: float) -> float:
        """Median seconds of one core for one query on a shard: a straight line between the measured sizes.

        Beyond the largest size, and below the smallest, the line to the nearest two goes on.
        """
        sizes, seconds = (np.array(column, np.float64) for column in zip(*self.shard_seconds, strict=True))
        at = int(np.clip(np.searchsorted(sizes, n_passages) - 1, 0, len(sizes) - 2))
        slope = (seconds[at + 1] - seconds[at]) / (sizes[at + 1] - sizes[at])
        return max(float(seconds[at] + slope * (n_passages - sizes[at])), 1e-6)

    def rows(self) -> Iterator[dict[str, str]]:
        """Each rate as a row of a table."""
        for name, rate in self.rates.items():
            yield {
                "rate": name, "value": figure(rate.value), "unit": rate.unit, "what": rate.what, "measured": rate.date,
                "machine": rate.machine, "script": rate.script,
            }  # fmt: skip


def trained_per_second(measured: tuple[Training, ...], d_in: int, n_latents: int) -> float:
    """Embeddings a second in training: of the nearest measured size, scaled by d_in * n_latents.

    Linear scaling is on the careful side above a measured size: by `benchmarks/growth.py` time grows slower than that.
    """
    wanted = d_in * n_latents
    nearest = min(measured, key=lambda row: abs(np.log(row.d_in * row.n_latents / wanted)))
    return nearest.per_second * nearest.d_in * nearest.n_latents / wanted


def quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    """101 quantiles, from the lowest to the highest, rounded to four digits."""
    return tuple(float(f"{value:.4g}") for value in np.quantile(values, np.linspace(0, 1, 101)))


def figure(value: float) -> str:
    """Three significant digits, as a person reads them."""
    if value == 0:
        return "0"
    for size, sign in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:,.3g} {sign}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def packaged(path: Path = PACKAGED) -> Rates:
    """The rates that came with the package.

    Raises:
        CorruptArtifact: the file is not what `benchmarks/rates.py` writes.
    """
    try:
        return from_dict(read_settings(path))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorruptArtifact(f"{path} does not hold rates ({error}); install unweave again") from error


def from_dict(stored: Mapping[str, Any]) -> Rates:
    """What `as_dict` gave."""
    return Rates(
        {name: Rate(**rate) for name, rate in stored["rates"].items()},
        tuple(Training(**row) for row in stored["trained_on_cpu"]),
        tuple(Training(**row) for row in stored["trained_on_gpu"]),
        tuple((int(n), float(seconds)) for n, seconds in stored["shard_seconds"]),
        Spread(*(tuple(stored["spread"][of]) for of in ("of_queries", "of_shards"))),
    )


def as_dict(rates: Rates) -> dict[str, Any]:
    """All of it as JSON takes it."""
    return asdict(rates) | {"rates": {name: asdict(rate) for name, rate in rates.rates.items()}}
