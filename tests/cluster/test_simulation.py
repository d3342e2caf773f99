"""The simulation of search over many machines, held to what can be worked out without it."""

import numpy as np
import pytest

from unweave.cluster.assumptions import Assumptions
from unweave.cluster.rates import Spread
from unweave.cluster.simulation import Service, simulated

EVEN = Spread((1.0, 1.0), (1.0, 1.0))
CALM = Assumptions(straggler_share=0.0, round_trip_ms=1.0, round_trip_p99_ms=1.0)


def service(**given) -> Service:
    fields = {
        "n_shards": 8, "machines": 2, "cores": 4, "cores_share": 0.5, "shard_seconds": 0.010, "spread": EVEN,
        "embedding_seconds": 0.003, "gathering_seconds": 0.0, "queries_per_second": 1e-6,
    }  # fmt: skip
    return Service(**fields | given)


def test_without_chance_a_query_takes_what_its_parts_take():
    # A machine's 4 shards of 10 ms on 4 cores at half speed: 20 ms. Embedding 3 ms, two messages of 1 ms.
    latency = simulated(service(), CALM)
    assert latency.searching == pytest.approx(20)
    assert latency.waiting == 0
    assert latency.p50 == latency.p99 == pytest.approx(3 + 20 + 1 + 1)


def test_all_cores_together_spend_what_all_shards_take():
    assert service().core_seconds == pytest.approx(8 * 0.010 / 0.5)


def test_the_hits_of_all_shards_take_their_time_to_arrive():
    assert simulated(service(gathering_seconds=0.007), CALM).p50 == pytest.approx(25 + 7)


def test_one_shard_is_no_faster_on_many_cores():
    latency = simulated(service(n_shards=2, cores=64), CALM)
    assert latency.searching == pytest.approx(10)


def test_waiting_is_that_of_the_queue_with_constant_service():
    # M/D/1: mean waiting = load / (2 (1 - load)) * service; at load 1/2 and 20 ms that is 10 ms.
    served = service(n_shards=4, machines=1, queries_per_second=25.0)
    assert served.load == pytest.approx(0.5)
    from unweave.cluster.simulation import _asked

    waiting = _asked(served, CALM, 0, 15_000)[:, 2]
    assert waiting.mean() == pytest.approx(0.010, rel=0.15)


def test_queries_that_come_faster_than_they_are_answered_have_no_latency():
    latency = simulated(service(queries_per_second=51.0), CALM)
    assert latency.load == pytest.approx(1.02)
    assert (latency.p50, latency.p99, latency.searching) == (None, None, None)


def test_what_is_rare_on_one_machine_is_common_on_many():
    # 1 answer of 1,000 is slow: of 100 machines 1 - .999^100 = 9.5 % of queries wait for one, of 1 machine .1 %.
    slow = Assumptions(straggler_share=0.001, straggler_factor=10.0, round_trip_ms=1.0, round_trip_p99_ms=1.0)
    many = simulated(service(n_shards=400, machines=100), slow)
    one = simulated(service(n_shards=4, machines=1), slow)
    assert one.p50 == many.p50 == pytest.approx(25)
    assert one.p99 == pytest.approx(25) and many.p99 == pytest.approx(205)
    assert many.p99_without_stragglers == pytest.approx(25)


def test_a_hard_query_is_hard_on_every_shard():
    # Half of the queries take twice as long; if shards drew that each for themselves, most machines would be average.
    spread = Spread((1.0, 1.0, 1.0, 2.0, 2.0, 2.0), (1.0, 1.0))
    latency = simulated(service(n_shards=400, machines=1, shard_seconds=1e-4, spread=spread), CALM)
    assert latency.p99 == pytest.approx(3 + 2 * 20 + 2) and latency.p50 < 45


def test_the_same_seed_gives_the_same_and_another_about_the_same():
    spread = Spread((0.5, 1.0, 2.0), (0.8, 1.0, 1.5))
    asked = service(spread=spread, queries_per_second=10.0)
    assert simulated(asked, Assumptions()) == simulated(asked, Assumptions())
    assert simulated(asked, Assumptions(), seed=1).p50 == pytest.approx(simulated(asked, Assumptions()).p50, rel=0.05)


def test_many_shards_of_a_machine_add_up_as_few_do():
    # Above 64 shards a machine the sum is drawn at once, as a normal number.
    spread = Spread((1.0, 1.0), tuple(np.linspace(0.5, 1.5, 101)))
    few = simulated(service(n_shards=64, machines=1, shard_seconds=1e-3, spread=spread), CALM)
    many = simulated(service(n_shards=65, machines=1, shard_seconds=1e-3, spread=spread), CALM)
    assert few.searching == pytest.approx(32, rel=0.01) and many.searching == pytest.approx(32.5, rel=0.01)
