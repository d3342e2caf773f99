"""What breaks first: everything that has a limit, with how much of it a plan takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unweave.cluster.assumptions import Assumptions
from unweave.cluster.order import Order
from unweave.cluster.rates import Rates
from unweave.cluster.simulation import Latency, Service
from unweave.cluster.sizes import Sizes
from unweave.encode.embeddings import SHARD_ROWS

MOST_POSTINGS = 2**31
"""From here on SciPy counts in 64 bits: latents that were read from disk are copied, twice as large, into memory."""
MOST_PASSAGES = 2**31
"""Positions in an index are 32-bit numbers."""
MOST_MAPS = 65_530
"""Memory maps of one process on Linux (vm.max_map_count); embeddings are a map for every 2,048 passages."""
HOUR = 3600.0
_FILES = 60
"""Files that a shard has beside its embeddings, about."""
_COUNT_BYTES = 8


@dataclass(frozen=True)
class Limit:
    """One thing that can break."""

    what: str
    used: float
    limit: float
    unit: str
    way_out: str
    """What helps."""
    avoided: bool = False
    """Whether the plan does not do this, and it is said to show why."""

    @property
    def share(self) -> float:
        """Of the limit; above 1 it breaks."""
        return self.used / self.limit


def of_plan(
    sizes: Sizes, service: Service, latency: Latency, embed_hours: float, hours: float, machines: int,
    rates: Rates, assumptions: Assumptions,
) -> tuple[Limit, ...]:  # fmt: skip
    """What is nearest to breaking in a plan on many machines, first."""
    memory, disk = assumptions.usable_memory, assumptions.disk_gb * 1e9
    kept = sizes.corpus_bytes + sizes.embedding_bytes + sizes.latents_bytes + sizes.searched_bytes
    files = sizes.n_shards * (-(-sizes.shard_passages // SHARD_ROWS) + _FILES)
    building = rates["build memory"] * sizes.shard_postings * min(service.cores, sizes.n_shards / machines)
    driver = rates["name memory"] + min(assumptions.fan_in, sizes.n_shards) * sizes.evidence_of_shard
    found = [
        Limit("memory of one searcher", sizes.searched_bytes / service.machines, memory, "B", "more machines"),
        Limit("searchers' cores", latency.load, assumptions.busy, "busy",
              "more machines"),
        Limit("memory while building", building, memory, "B", "smaller shards"),
        Limit("postings of a shard", sizes.shard_postings, MOST_POSTINGS, "", "smaller shards"),
        Limit("disk of one machine", kept / machines, disk, "B", "more machines"),
        Limit("hours of embedding", embed_hours, assumptions.most_hours, "h", "more GPUs, or a smaller encoder"),
        Limit("files written to an object store", files / (hours * HOUR), assumptions.puts_per_second, "/s",
              "several prefixes"),
        Limit("driver's memory, evidence", driver, memory, "B", "a smaller fan_in"),
        Limit("front's memory, counts of every shard", _COUNT_BYTES * sizes.n_latents * sizes.n_shards, memory, "B",
              "larger shards"),
        Limit("front's network, hits of every machine",
              assumptions.queries_per_second * service.machines * sizes.answer_bytes, assumptions.network, "B/s",
              "more fronts"),
        Limit("driver's memory, all evidence at once", sizes.n_shards * sizes.evidence_of_shard, memory, "B",
              f"merged {assumptions.fan_in} shards at a time", avoided=True),
    ]  # fmt: skip
    if latency.p99 is not None:
        found.append(
            Limit("slowest of 100 queries", latency.p99, assumptions.most_ms, "ms", "replicas, asked again when slow")
        )
    return _nearest(found)


def of_one_project(
    order: Order, sizes: Sizes, embed_hours: float, rates: Rates, assumptions: Assumptions
) -> tuple[Limit, ...]:
    """What breaks first if the same corpus is one project on one machine, without GPUs."""
    memory, n = assumptions.usable_memory, order.n_passages
    kept = sizes.corpus_bytes + sizes.embedding_bytes + sizes.latents_bytes + sizes.searched_bytes
    return _nearest([
        Limit("hours of embedding on its cores", embed_hours, assumptions.most_hours, "h", "GPUs, or more machines"),
        Limit("memory to build the index at once", rates["build memory"] * sizes.postings, memory, "B", "shards"),
        Limit("memory to search without a disk", sizes.searched_bytes, memory, "B", "several machines"),
        Limit("disk", kept, assumptions.disk_gb * 1e9, "B", "several machines"),
        Limit("postings, counted in 32 bits by SciPy", sizes.postings, MOST_POSTINGS, "", "shards"),
        Limit("memory maps of the embeddings", n / SHARD_ROWS, MOST_MAPS, "", "shards, or vm.max_map_count"),
        Limit("positions of 32 bits", n, MOST_PASSAGES, "", "shards"),
    ])  # fmt: skip


def _nearest(found: Iterable[Limit]) -> tuple[Limit, ...]:
    return tuple(sorted(found, key=lambda one: (one.avoided, -one.share)))
