"""How long a query takes that asks every shard on every machine: a simulation, query by query.

    answered = embedding + max over machines of (waiting + searching + message) + gathering + message for the texts

- Queries come at random moments (exponential gaps). A machine answers them in order; its waiting follows Lindley 1952:
  waiting' = max(0, waiting + searching - gap).
- A machine searches its shards on all of its cores: their times added up, over the cores times what a core does beside
  others, but never less than its slowest shard. Times are drawn from what was measured: a query's own factor, the same
  on all shards since a hard query is hard everywhere, and a factor for each shard.
- Now and then a machine is slow for a reason of its own, and a message takes its time: both are assumptions.
- A machine merges the hits of its shards. The answers of all machines reach the process that was asked through its
  network, one after the other: gathering.

The slowest of M machines decides, so that what is rare on one is common on many (Dean and Barroso 2013, The tail at
scale). Left out: sorting those hits, and machines that fail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unweave.cluster.assumptions import Assumptions
from unweave.cluster.rates import Spread

QUERIES = 3000
_WARM = 300
_DRAWN = 64
"""Shards of a machine that are drawn one by one; the sum of more is drawn as the normal number that it nears."""
_Z99 = 2.3263
"""Standard deviations above the mean that 1 of 100 normal numbers lies beyond."""


@dataclass(frozen=True)
class Service:
    """What answers queries."""

    n_shards: int
    machines: int
    """Of one copy of all shards."""
    cores: float
    """Of a machine."""
    cores_share: float
    """What each core does beside others, of what it does alone."""
    shard_seconds: float
    """Median of one core for one query on one shard."""
    spread: Spread
    embedding_seconds: float
    """Of a query."""
    gathering_seconds: float
    """In which the answers of all machines arrive where the query was asked."""
    queries_per_second: float
    """That reach one copy."""

    @property
    def core_seconds(self) -> float:
        """What all cores together spend on one query."""
        mean = float(np.mean(self.spread.of_queries) * np.mean(self.spread.of_shards))
        return self.n_shards * self.shard_seconds * mean / self.cores_share

    @property
    def load(self) -> float:
        """Share of the time that the busiest machine is busy, without stragglers; from 1 on queues grow for ever.

        A machine answers one query at a time, so one with fewer shards than cores is busy as long as with one shard.
        """
        share = -(-self.n_shards // self.machines) / self.n_shards
        of_one = self.shard_seconds * float(np.mean(self.spread.of_queries) * np.mean(self.spread.of_shards))
        return self.queries_per_second * max(self.core_seconds * share / self.cores, of_one)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of simulated queries; None where queues grow for ever."""

    load: float
    """Share of the time that a machine is busy."""
    p50: float | None
    p99: float | None
    p999: float | None
    p99_without_stragglers: float | None
    """What it would be if no machine were slow for a reason of its own."""
    embedding: float
    searching: float | None
    """Median of the slowest machine's search."""
    waiting: float | None
    """Median of that machine's waiting for earlier queries."""
    messages: float | None
    """Median of both messages."""
    gathering: float


def simulated(service: Service, assumptions: Assumptions, *, seed: int = 0, queries: int = QUERIES) -> Latency:
    """Ask some thousand queries.

    Args:
        seed: of all that is drawn; the same gives the same.
    """
    slow = assumptions.straggler_share * (assumptions.straggler_factor - 1)
    load, embedding = service.load * (1 + slow), 1e3 * service.embedding_seconds
    gathering = 1e3 * service.gathering_seconds
    if load >= 1:
        return Latency(load, None, None, None, None, embedding, None, None, None, gathering)
    asked = _asked(service, assumptions, seed, queries)
    calm = _asked(service, replace(assumptions, straggler_share=0.0), seed, queries)
    total = gathering + 1e3 * asked.sum(axis=1)
    p50, p99, p999 = (float(value) for value in np.quantile(total, (0.5, 0.99, 0.999)))
    searching, waiting, messages = (1e3 * float(value) for value in np.median(asked[:, 1:], axis=0))
    without = gathering + 1e3 * float(np.quantile(calm.sum(axis=1), 0.99))
    return Latency(load, p50, p99, p999, without, embedding, searching, waiting, messages, gathering)


def _asked(service: Service, assumptions: Assumptions, seed: int, queries: int) -> NDArray[np.float64]:
    """Seconds of each query, (queries, 4): embedding, and searching, waiting and messages of its slowest machine."""
    random = np.random.default_rng(seed)
    hardness = _drawn(random, service.spread.of_queries, _WARM + queries)
    gaps = random.exponential(1 / service.queries_per_second, _WARM + queries)
    shards = np.full(service.machines, service.n_shards // service.machines)
    shards[: service.n_shards % service.machines] += 1
    waiting, rows = np.zeros(service.machines), np.zeros((_WARM + queries, 4))
    for number, (hard, gap) in enumerate(zip(hardness.tolist(), gaps.tolist(), strict=True)):
        searching = hard * service.shard_seconds * _on_machines(random, service, shards)
        slow = random.random(service.machines) < assumptions.straggler_share
        searching = np.where(slow, assumptions.straggler_factor, 1.0) * searching
        message = _messages(random, assumptions, service.machines)
        last = int(np.argmax(waiting + searching + message))
        texts = float(_messages(random, assumptions, min(10, service.machines)).max())
        rows[number] = service.embedding_seconds, searching[last], waiting[last], message[last] + texts
        waiting = np.maximum(0.0, waiting + searching - gap)
    return rows[_WARM:]


def _on_machines(random: np.random.Generator, service: Service, shards: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each machine, (machines,): its time for one query, in medians of one shard."""
    factors = np.array(service.spread.of_shards)
    most, parallel = int(shards.max()), service.cores * service.cores_share
    if most > _DRAWN:
        added = shards * factors.mean() + np.sqrt(shards) * factors.std() * random.standard_normal(len(shards))
        return np.asarray(np.maximum(added / parallel, factors.max()))
    drawn = _drawn(random, service.spread.of_shards, len(shards) * most).reshape(len(shards), most)
    drawn[np.arange(most) >= shards[:, None]] = 0
    return np.asarray(np.maximum(drawn.sum(axis=1) / parallel, drawn.max(axis=1)))


def _drawn(random: np.random.Generator, quantiles: tuple[float, ...], n: int) -> NDArray[np.float64]:
    """n numbers of a measured distribution, between its quantiles on straight lines."""
    return np.interp(random.random(n), np.linspace(0, 1, len(quantiles)), quantiles)


def _messages(random: np.random.Generator, assumptions: Assumptions, n: int) -> NDArray[np.float64]:
    """Seconds of n messages there and back: log-normal, by the assumed median and the assumed one in a hundred."""
    sigma = math.log(assumptions.round_trip_p99_ms / assumptions.round_trip_ms) / _Z99
    return np.asarray(1e-3 * assumptions.round_trip_ms * np.exp(sigma * random.standard_normal(n)))
