"""What a corpus of any size takes, stage by stage, by arithmetic from measured rates, and what breaks first.

    hours of a stage = the longest of: work / rate of all cores or cards, bytes / network of all machines

Nothing here was run at the size that is planned: rates are scaled in proportion to passages, tokens, parameters and
postings. Retries, failed machines, the start of machines and the language model that may name concepts are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unweave.cluster.assumptions import Assumptions
from unweave.cluster.limits import Limit, of_one_project, of_plan
from unweave.cluster.order import Order, Prices
from unweave.cluster.rates import Rates, trained_per_second
from unweave.cluster.simulation import Latency, Service, simulated
from unweave.cluster.sizes import Sizes, sizes_of
from unweave.sae.training.recipe import recommend

HOUR = 3600.0
MONTH_HOURS = 730.0
_CORES_MEASURED = 2
"""Training and naming were measured on a machine with so many cores."""


@dataclass(frozen=True)
class Stage:
    """What one stage takes; bytes are those of all machines together, memory that of one worker."""

    name: str
    machines: int
    workers: int
    """GPUs or cores at work."""
    on: str
    """GPU or core."""
    hours: float | None
    """None for the search service, which runs on."""
    bound_by: str
    """What the hours come from: processors, cards or network."""
    disk_bytes: float
    """Written and kept."""
    network_bytes: float | None
    worker_bytes: float
    money: float | None
    """None where no price of it is given; of the search service, for a month."""


@dataclass(frozen=True)
class Plan:
    """What was asked, and what it takes."""

    order: Order
    machines: int
    cores: int
    sizes: Sizes
    stages: tuple[Stage, ...]
    service: Service
    latency: Latency
    texts_per_gpu_second: float | None
    limits: tuple[Limit, ...]
    """Of this plan, the nearest to its limit first."""
    one_project: tuple[Limit, ...]
    """The same corpus as one project on one machine."""
    stored_money: float | None
    """A month of everything that is kept."""
    rates: Rates
    assumptions: Assumptions
    prices: Prices

    @property
    def hours(self) -> float:
        """All stages one after the other, without the search service."""
        return sum(stage.hours for stage in self.stages if stage.hours is not None)

    @property
    def kept_bytes(self) -> float:
        """On disk when all is made; the search service's copies count besides."""
        return sum(stage.disk_bytes for stage in self.stages)

    @property
    def making_money(self) -> float | None:
        """All stages but the search service."""
        return _added(stage.money for stage in self.stages if stage.hours is not None)


class _Site(NamedTuple):
    """What the stages share."""

    order: Order
    sizes: Sizes
    machines: int
    cores: int
    rates: Rates
    assumptions: Assumptions
    prices: Prices

    def on_cores(
        self, name: str, core_seconds: float, disk: float, network: float, worker: float, cores: int | None = None
    ) -> Stage:
        """A stage that processors do: by all cores, or by so many as are given."""
        workers = cores or self.cores
        machines = max(1, min(self.machines, -(-workers * self.machines // self.cores)))
        work, moved = core_seconds / workers, network / (machines * self.assumptions.network)
        hours = max(work, moved) / HOUR
        money = self.prices.of(core_hours=hours * workers)
        bound = "network" if moved > work else "cores"
        return Stage(name, machines, workers, "core", hours, bound, disk, network, worker, money)

    def on_cards(self, name: str, card_seconds: float, disk: float, network: float, worker: float, cards: int) -> Stage:
        """A stage that GPUs do."""
        machines = -(-cards // self.assumptions.gpus_per_machine)
        work, moved = card_seconds / cards, network / (machines * self.assumptions.network)
        hours = max(work, moved) / HOUR
        money = self.prices.of(gpu_hours=hours * cards)
        bound = "network" if moved > work else "GPUs"
        return Stage(name, machines, cards, "GPU", hours, bound, disk, network, worker, money)


def planned(order: Order, rates: Rates, assumptions: Assumptions | None = None, prices: Prices | None = None) -> Plan:
    """Plan a corpus."""
    assumptions, prices = assumptions or Assumptions(), prices or Prices()
    sizes = sizes_of(order, rates, assumptions)
    shard_seconds = rates.seconds_of_a_shard(sizes.shard_passages)
    searchers = _searchers(sizes, shard_seconds, rates, assumptions)
    for_cards = -(-order.gpus // assumptions.gpus_per_machine)
    machines = order.machines or max(searchers, for_cards)
    cores = order.cpus or machines * assumptions.cores_per_machine
    if cores < machines:
        machines = cores  # no machine is without a core
    site = _Site(order, sizes, machines, cores, rates, assumptions, prices)
    searching = max(1, min(machines // assumptions.replicas, sizes.n_shards))
    service = Service(
        sizes.n_shards, searching, cores / machines, rates["cores"],
        shard_seconds, rates.spread, assumptions.query_tokens * order.encoder.parameters / rates["embed"],
        searching * sizes.answer_bytes / assumptions.network,
        assumptions.queries_per_second / assumptions.replicas,
    )  # fmt: skip
    stages = (
        _cut(site), _embed(site), _dictionary(site), _latents(site), _index(site), _names(site), _search(site, service)
    )  # fmt: skip
    latency = simulated(service, assumptions)
    embed_hours = stages[1].hours or 0.0
    hours = sum(stage.hours for stage in stages if stage.hours is not None)
    one_alone = site._replace(machines=1, cores=assumptions.cores_per_machine)
    hours_alone = _on_cores_embed(one_alone).hours or 0.0
    return Plan(
        order, machines, cores, sizes, stages, service, latency, _gpu_texts(site) if order.gpus else None,
        of_plan(sizes, service, latency, embed_hours, hours, machines, rates, assumptions),
        of_one_project(order, sizes, hours_alone, rates, assumptions),
        prices.of(gb_months=sum(stage.disk_bytes for stage in stages) / 1e9) if prices.gb_month is not None else None,
        rates, assumptions, prices,
    )  # fmt: skip


def _searchers(sizes: Sizes, shard_seconds: float, rates: Rates, assumptions: Assumptions) -> int:
    """Machines that hold the index in memory, and answer as many queries as are asked, whichever are more."""
    holding = math.ceil(sizes.searched_bytes / assumptions.usable_memory)
    one = Service(sizes.n_shards, 1, 1, rates["cores"], shard_seconds, rates.spread, 0, 0, 1)
    cores = assumptions.queries_per_second * one.core_seconds / assumptions.busy
    answering = math.ceil(cores / assumptions.cores_per_machine)
    return max(assumptions.replicas * holding, answering, 1)


# --- the stages ------------------------------------------------------------------------------------


def _cut(site: _Site) -> Stage:
    """Read the source once, and write it as shards; a worker holds a shard's ids."""
    size = site.sizes
    work = size.text_bytes / site.rates["cut"]
    return site.on_cores("cut corpus into shards", work, size.corpus_bytes, 2 * size.corpus_bytes,
                         32 * size.shard_passages)  # fmt: skip


def _embed(site: _Site) -> Stage:
    """Every passage through the encoder, by GPUs if there are any."""
    if not site.order.gpus:
        return _on_cores_embed(site)
    size, moved = site.sizes, site.sizes.text_bytes + site.sizes.embedding_bytes
    seconds = site.order.n_passages / _gpu_texts(site)
    return site.on_cards("embed", seconds, size.embedding_bytes, moved, size.encoder_bytes, site.order.gpus)


def _on_cores_embed(site: _Site) -> Stage:
    size, moved = site.sizes, site.sizes.text_bytes + site.sizes.embedding_bytes
    seconds = size.tokens * site.order.encoder.parameters / site.rates["embed"]
    return site.on_cores("embed", seconds, size.embedding_bytes, moved, size.encoder_bytes)


def _gpu_texts(site: _Site) -> float:
    """Texts a second of one card: the reader's own figure, or operations / (2 x parameters x tokens)."""
    if site.order.texts_per_gpu_second is not None:
        return site.order.texts_per_gpu_second
    per_text = 2 * site.order.encoder.parameters * site.sizes.tokens / site.order.n_passages
    return site.rates["product"] * site.assumptions.gpu_share / per_text


def _dictionary(site: _Site) -> Stage:
    """Train one SAE on a sample, on one card or one machine."""
    size, d_in = site.sizes, site.order.encoder.d_in
    recipe = recommend(size.dictionary_texts, d_in, size.k, n_latents=size.n_latents)
    seen = recipe.steps * recipe.batch_size
    moved = 4.0 * d_in * size.dictionary_texts
    weights = 2.0 * 4 * d_in * size.n_latents
    if site.order.gpus:
        seconds = seen / trained_per_second(site.rates.trained_on_gpu, d_in, size.n_latents)
        return site.on_cards("dictionary", seconds, weights, moved, 3 * weights + moved, 1)
    seconds = _CORES_MEASURED * seen / trained_per_second(site.rates.trained_on_cpu, d_in, size.n_latents)
    cores = max(1, site.cores // site.machines)
    return site.on_cores("dictionary", seconds, weights, moved, 3 * weights + moved, cores)


def _latents(site: _Site) -> Stage:
    """Every embedding through the SAE, and by pursuit into a code."""
    size, rates = site.sizes, site.rates
    work = site.order.n_passages * site.order.encoder.d_in * size.n_latents
    slower = 1.0 if size.gram_is_stored else rates["no gram"]
    seconds = work / rates["encode"] + slower * work / rates["code"]
    made = size.latents_bytes + size.codes_bytes
    worker = 2.0 * 4 * site.order.encoder.d_in * size.n_latents + (4.0 * size.n_latents**2 * size.gram_is_stored)
    return site.on_cores("latents and codes", seconds, made, size.embedding_bytes + made, worker)


def _index(site: _Site) -> Stage:
    """One segment a shard."""
    size = site.sizes
    worker = site.rates["build memory"] * size.shard_postings
    moved = size.latents_bytes + size.index_bytes
    return site.on_cores("index", size.postings / site.rates["build"], size.index_bytes, moved, worker)


def _names(site: _Site) -> Stage:
    """The strongest passages of each latent gathered from all shards; names from 200,000 passages, on one machine."""
    size = site.sizes
    seconds = size.n_latents / site.rates["name"] * size.evidence_passages / size.most_evidence_passages
    worker = site.rates["name memory"] + min(site.assumptions.fan_in, size.n_shards) * size.evidence_of_shard
    moved = size.n_shards * size.evidence_of_shard + size.concepts_bytes
    return site.on_cores("evidence and names", seconds, size.concepts_bytes, moved, worker,
                         min(_CORES_MEASURED, site.cores))  # fmt: skip


def _search(site: _Site, service: Service) -> Stage:
    """All shards in memory, on as many machines as there are."""
    size, copies = site.sizes, site.assumptions.replicas
    machines = service.machines * copies
    money = site.prices.of(core_hours=MONTH_HOURS * site.cores * machines / site.machines)
    return Stage(
        "search service", machines, round(site.cores * machines / site.machines), "core", None, "memory and cores",
        copies * (size.searched_bytes + size.corpus_bytes), None, size.searched_bytes / service.machines, money,
    )  # fmt: skip


def _added(parts: Iterator[float | None] | Sequence[float | None]) -> float | None:
    """The sum of what is known; None if nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
