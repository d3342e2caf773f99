"""The same search, its shards held by the workers of a Ray cluster."""

import os
import signal
from pathlib import Path

import pytest
from stored import asked, found, publish, read, state, stored, until_whole

from unweave.cluster import states
from unweave.cluster.searching import ShardSearch
from unweave.errors import BadData
from unweave.index.query import ConceptQuery

ray = pytest.importorskip("ray")

PARTS = [[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 1, 1]], [[2, 2, 2]]]
ALL = [0.5, 1, 2]


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def searched(cluster, tmp_path_factory):
    store = stored(tmp_path_factory.mktemp("shards") / "store", PARTS)
    with ShardSearch(store, on="cluster", holders=2) as search:
        yield store, search


def test_workers_find_what_this_process_finds(searched) -> None:
    store, search = searched
    here = ShardSearch(store)
    for cutoff in (1, 3, 10):
        assert asked(search, ALL, cutoff) == asked(here, ALL, cutoff)
    query = read(search, ALL)
    hits = search.search(query).hits
    assert [why.score for why in search.explain(query, hits)] == [hit.score for hit in hits]
    assert search.search_all([query, query], 2) == [search.search(query, 2)] * 2


def test_an_error_of_the_query_comes_back_as_it_is(searched) -> None:
    _, search = searched
    query = read(search, ALL)
    wrong = query.of(ConceptQuery(query.latents, query.weights * float("nan")), query.state)
    with pytest.raises(BadData, match="weights must be finite"):
        search.search(wrong)
    assert not search.search(query).is_partial


def test_shards_come_and_go(searched) -> None:
    store, search = searched
    publish(Path(store.address), 4, [[1, 1, 1]])
    state(Path(store.address), {0: 2, 2: 1, 3: 1, 4: 1})
    search.refresh()
    assert asked(search, ALL) == asked(ShardSearch(store), ALL)


def test_a_worker_that_is_killed_is_said_and_another_takes_its_place(searched, monkeypatch) -> None:
    monkeypatch.setattr(states, "PAUSE", 0.0)
    _, search = searched
    whole, state_before = asked(search, ALL), search._states.now
    holder = state_before.holders[0]
    os.kill(holder.result(holder.ask("process")), signal.SIGKILL)
    answer = asked(search, ALL)
    assert set(answer.missing) == set(state_before.selected[0])
    assert all(why.startswith("its worker is gone") for why in answer.missing.values())
    assert found(answer) == [(hit.passage_id, hit.score) for hit in whole.hits if hit.shard not in answer.missing]
    assert found(until_whole(search, ALL)) == found(whole)
