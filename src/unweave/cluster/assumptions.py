"""What a plan assumes because nobody measured it: machines, network, the object store, how much is asked.

Each can be changed in a file of TOML or JSON, `name = value`; all of them are printed with every plan.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from unweave import settings
from unweave.base import fields as checks
from unweave.base.foreign import LARGEST_SETTINGS, parse_json, shown
from unweave.base.plain import plain
from unweave.cluster.workers import FAN_IN
from unweave.config import ShardsConfig
from unweave.errors import BadData


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Figures that were not measured."""

    cores_per_machine: int = 16
    """Cores of a machine."""
    memory_gb: float = 64.0
    """Memory of a machine, GB."""
    memory_share: float = 0.8
    """Share of the memory that data may take."""
    disk_gb: float = 2000.0
    """Disk of a machine, GB."""
    gpus_per_machine: int = 8
    """GPUs of a machine that has any."""
    network_gbit: float = 10.0
    """Network of a machine, Gbit/s each way."""
    network_share: float = 0.7
    """Share of the network's speed that data reach."""
    puts_per_second: float = 3500.0
    """Objects that an object store takes in a second below one prefix."""
    gpu_share: float = 0.4
    """Share of a card's measured speed in products that an encoder reaches."""
    dictionary_texts: int = ShardsConfig.sample
    """Texts that the dictionary is trained on, at most; the program's default."""
    n_latents: int | None = None
    """Latents of the dictionary."""
    shard_passages: int = ShardsConfig.size
    """Passages of a shard; the program's default."""
    fan_in: int = FAN_IN
    """Shards whose evidence is merged at a time; as the program does."""
    replicas: int = 1
    """Copies of each shard that are searched, one for each query."""
    queries_per_second: float = 20.0
    """Queries that are asked in a second, at random moments."""
    busy: float = 0.5
    """Share of the time that searchers may be busy; above it queues grow."""
    query_tokens: int = 12
    """Tokens of a query."""
    round_trip_ms: float = 0.5
    """A message to a machine and back, the median."""
    round_trip_p99_ms: float = 5.0
    """The same, one in a hundred."""
    straggler_share: float = 0.001
    """Share of a machine's answers that are slow for a reason of the machine's own."""
    straggler_factor: float = 10.0
    """Times as long as such an answer takes."""
    most_hours: float = 168.0
    """Hours in which a stage is to be done."""
    most_ms: float = 200.0
    """Milliseconds in which 99 of 100 queries are to be answered."""

    def __post_init__(self) -> None:
        checks.check_numbers(self)
        whole = ("cores_per_machine", "gpus_per_machine", "dictionary_texts", "shard_passages", "replicas",
                 "query_tokens", "n_latents")  # fmt: skip
        checks.at_least(self, 1, *whole, "straggler_factor")
        checks.at_least(self, 2, "fan_in")
        for name in ("memory_gb", "disk_gb", "network_gbit", "puts_per_second", "queries_per_second", "round_trip_ms",
                     "round_trip_p99_ms", "most_hours", "most_ms"):  # fmt: skip
            checks.above_zero(self, 1e9, name)
        for name in ("memory_share", "network_share", "gpu_share", "busy"):
            checks.above_zero(self, 1.0, name)
        if not 0 <= self.straggler_share <= 1:
            raise ValueError(f"straggler_share must lie between 0 and 1, got {self.straggler_share}")
        if self.round_trip_p99_ms < self.round_trip_ms:
            raise ValueError("round_trip_p99_ms must be at least round_trip_ms, its median")

    @property
    def usable_memory(self) -> float:
        """Bytes of a machine that data may take."""
        return self.memory_gb * 1e9 * self.memory_share

    @property
    def network(self) -> float:
        """Bytes a second of one machine."""
        return self.network_gbit / 8 * 1e9 * self.network_share

    def rows(self) -> Iterator[dict[str, str]]:
        """Each assumption as a row of a table."""
        meanings = settings.documentation(Assumptions)
        for one in fields(self):
            value = getattr(self, one.name)
            said = "as fit chooses" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,g}"
            yield {"assumed": one.name, "value": said, "what it is": meanings[one.name].rstrip(".")}


def read_assumptions(path: Path) -> Assumptions:
    """Assumptions from a file; those that it does not name stay as they are.

    Raises:
        BadData: it is neither TOML nor JSON, names something else, or a value cannot be.
    """
    stated = _table(path)
    known = {one.name for one in fields(Assumptions)}
    if strange := sorted(stated.keys() - known):
        raise BadData(f"{path} names {shown(strange[0])}, which is no assumption; there are {', '.join(sorted(known))}")
    floats = {one.name for one in fields(Assumptions) if one.type == "float"}
    values: dict[str, Any] = {name: _number(value) if name in floats else value for name, value in stated.items()}
    try:
        return Assumptions(**values)
    except (ValueError, TypeError) as error:
        raise BadData(f"{path}: {plain(str(error))}") from error


def _number(value: Any) -> Any:
    try:
        return float(value) if type(value) is int else value
    except OverflowError:
        return value  # which is refused by its size


def _table(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_SETTINGS + 1)
        if len(text) > LARGEST_SETTINGS:
            raise ValueError(f"over {LARGEST_SETTINGS:,} bytes, expected a few assumptions")
        stated = parse_json(text) if text.lstrip()[:1] == b"{" else tomllib.loads(text.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path} cannot be read as TOML or JSON: {plain(str(error), 200)}") from error
    if not isinstance(stated, dict):
        raise BadData(f"{path} holds no table of assumptions, name = value")
    return stated
