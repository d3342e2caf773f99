"""A query to all shards: what one index of all passages gives, whatever comes, goes, breaks or is late."""

import math
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import DEFAULT, asked, found, index_of, latents_of, name_of, publish, read, state, stored, until_whole

from unweave.cluster import states
from unweave.cluster.holding import Holder
from unweave.cluster.searching import ShardSearch
from unweave.cluster.shards import Shard
from unweave.cluster.states import shared_out
from unweave.errors import BadData, DimensionMismatch, MissingArtifact
from unweave.index.concept_index import ConceptIndex
from unweave.index.query import ConceptQuery
from unweave.index.writer import IndexWriter

PARTS = [[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 1, 1]]]
ONE, ALL = [1, 1, 0], [0.5, 1, 2]


@pytest.fixture(autouse=True)
def mended_at_once(monkeypatch) -> None:
    monkeypatch.setattr(states, "PAUSE", 0.0)


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path / "store", PARTS)


def damage(path) -> bytes:
    """Overwrite a file's second half, in place."""
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(whole) // 2)
        file.write(bytes(b ^ 0xFF for b in whole[len(whole) // 2 :]))
    return whole


def lists_of(store, i):
    return next(index_of(store, i).rglob("lists.npy"))


def test_scores_by_hand(tmp_path) -> None:
    # An activation of 1 saturates to 1 (11) / (1 + 10) = 1 in queries and passages alike, so a score is a sum of idf.
    # Of 3 passages 2 have latent 0 and 1 has latent 1: ln(1 + 1.5/2.5) and ln(1 + 2.5/1.5), over both shards.
    search = ShardSearch(stored(tmp_path / "store", [[[1, 1, 0]], [[1, 0, 0], [0, 0, 1]]]), holders=2)
    answer = asked(search, [1, 1, 0])
    assert [(hit.rank, hit.shard, hit.position, hit.passage_id) for hit in answer.hits] == [
        (1, name_of(0), 0, "0-0"), (2, name_of(1), 0, "1-0"),
    ]  # fmt: skip
    assert [hit.score for hit in answer.hits] == pytest.approx([math.log(1.6) + math.log(8 / 3), math.log(1.6)])
    assert answer.missing == {} and not answer.is_partial and answer.n_passages == search.n_passages == 3


rows_of_passages = st.lists(st.lists(st.sampled_from([0, 0, 1, 1, 4]), min_size=3, max_size=3), min_size=1, max_size=12)


@settings(max_examples=8)
@given(rows_of_passages, st.lists(st.sampled_from([0, 1, 2.5]), min_size=3, max_size=3), st.data())
def test_any_split_into_shards_gives_what_one_index_gives(tmp_path_factory, rows, query, data) -> None:
    folder = tmp_path_factory.mktemp("split")
    ends = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))  # some shards are empty
    cuts = list(pairwise([0, *ends, len(rows)]))
    deleted = data.draw(st.sets(st.integers(0, len(rows) - 1), max_size=2))
    (folder / "store").mkdir()
    for i, (start, end) in enumerate(cuts):
        publish(folder / "store", i, rows[start:end], deleted=[n - start for n in deleted if start <= n < end])
    store = state(folder / "store", {i: end - start for i, (start, end) in enumerate(cuts)})
    ids = [f"{i}-{place}" for i, (start, end) in enumerate(cuts) for place in range(end - start)]
    ConceptIndex.build(latents_of(rows), ids, DEFAULT, mean_latents=2.0, folder=folder / "one")
    one = IndexWriter(folder / "one").delete([ids[n] for n in deleted])
    cutoff = data.draw(st.integers(1, 6))
    with ShardSearch(store, holders=data.draw(st.integers(1, 3))) as search:
        np.testing.assert_array_equal(search.idf, one.idf)
        answer = asked(search, query, cutoff)
        expected = one.search(latents_of([query]), cutoff)
    assert found(answer) == [(hit.passage_id, hit.score) for hit in expected]
    assert not answer.is_partial and answer.n_passages == one.n_passages


def test_scores_are_the_dense_product(store) -> None:
    search = ShardSearch(store, holders=2)
    query = read(search, ALL)
    weights = np.zeros(3)
    weights[query.latents] = query.weights
    z = np.sqrt(np.array([row for part in PARTS for row in part], float))
    scores = (z * 11 / (z + 10)) @ weights
    by_id = dict(found(search.search(query)))
    assert list(by_id.values()) == sorted(by_id.values(), reverse=True)
    names = [f"{i}-{place}" for i, part in enumerate(PARTS) for place in range(len(part))]
    assert by_id == pytest.approx(dict(zip(names, scores.tolist(), strict=True)), rel=1e-3)  # activations have 9 bits


def test_equal_scores_keep_the_order_of_the_corpus_whoever_holds_them(tmp_path) -> None:
    stored(tmp_path / "store", [[[1, 0, 0]] * 2] * 4)
    store = state(tmp_path / "store", dict.fromkeys((2, 0, 3, 1), 2))  # not the order of their names
    answer = asked(ShardSearch(store, holders=3), [1, 0, 0], 5)
    assert [hit.passage_id for hit in answer.hits] == ["2-0", "2-1", "0-0", "0-1", "3-0"]


def test_many_queries_at_once_are_answered_as_one_by_one(store) -> None:
    search = ShardSearch(store, holders=2)
    queries = [read(search, row) for row in (ONE, ALL, [0, 0, 0], [0, 0, 1])]
    assert search.search_all(queries, 3) == [search.search(query, 3) for query in queries]
    assert search.search_all([]) == [] and search.search(queries[2]).hits == []


def test_explanations_add_up(store) -> None:
    search = ShardSearch(store, holders=2)
    query = read(search, ALL)
    hits = search.search(query).hits
    for hit, why in zip(hits, search.explain(query, hits), strict=True):
        why.check()
        assert why.score == hit.score and sum(one.value for one in why.contributions) == pytest.approx(hit.score)


# --- what is lost is said -------------------------------------------------------------------------


def test_a_damaged_shard_is_named_and_the_others_keep_their_scores_until_it_is_mended(store, tmp_path) -> None:
    expected = found(asked(ShardSearch(store), ALL))
    search = ShardSearch(store, holders=2)
    lists = lists_of(tmp_path / "store", 1)
    whole = damage(lists)
    answer = asked(search, ALL)
    assert list(answer.missing) == [name_of(1)] and "does not match its checksum" in answer.missing[name_of(1)]
    assert "\n" not in answer.missing[name_of(1)]
    assert found(answer) == [hit for hit in expected if not hit[0].startswith("1-")]
    assert answer.n_passages == 5 and found(asked(search, ALL)) == found(answer)
    lists.write_bytes(whole)
    assert found(until_whole(search, ALL)) == expected


def test_a_shard_that_cannot_be_opened_is_named_and_opened_when_it_is_back(store, tmp_path) -> None:
    expected = found(asked(ShardSearch(store), ALL))
    index_of(tmp_path / "store", 2).rename(tmp_path / "aside")
    search = ShardSearch(store)
    answer = asked(search, ALL)
    assert list(answer.missing) == list(search.missing) == [name_of(2)] and "there is no" in answer.missing[name_of(2)]
    assert answer.n_passages == 4  # what was never opened is not known either
    (tmp_path / "aside").rename(index_of(tmp_path / "store", 2))
    assert found(until_whole(search, ALL)) == expected and search.missing == {}


def test_what_goes_from_the_store_is_still_held(store, tmp_path) -> None:
    search = ShardSearch(store, holders=2)
    before = found(asked(search, ALL))
    index_of(tmp_path / "store", 1).rename(tmp_path / "aside")
    search.refresh()
    assert found(asked(search, ALL)) == before and search.missing == {}


def test_a_shard_that_is_late_is_named_and_nobody_waits_for_it_again(store, monkeypatch) -> None:
    search, go_on = ShardSearch(store, holders=3, deadline=0.2), threading.Event()
    whole, slow = found(asked(search, ALL)), search._states.now.holders[1]._holder
    plainly = Holder.search

    def slowly(holder, *arguments):
        if holder is slow:
            go_on.wait(20)
        return plainly(holder, *arguments)

    monkeypatch.setattr(Holder, "search", slowly)
    late, again = asked(search, ALL), asked(search, ALL)
    assert set(late.missing.values()) == {"no answer within 0.2 s"}
    assert set(again.missing.values()) == {"its worker has not answered an earlier query yet"}
    assert late.hits == again.hits and late.missing.keys() == again.missing.keys() == {name_of(1)}
    go_on.set()
    assert found(until_whole(search, ALL)) == whole


def test_shards_of_another_dictionary_than_most_are_named(store, tmp_path) -> None:
    publish(tmp_path / "store", 1, [[1, 0, 0, 1]], n_latents=4)
    search = ShardSearch(store)
    answer = asked(search, ALL)
    assert list(answer.missing) == [name_of(1)] and "another SAE" in answer.missing[name_of(1)]
    assert answer.n_passages == 3 and len(search.idf) == 3


def test_a_query_that_cannot_be_meant_is_an_error_and_no_damage(store) -> None:
    search = ShardSearch(store, holders=2)
    for wrong in (ConceptQuery(np.array([0, 0]), np.ones(2, np.float32)), ConceptQuery(np.array([7]), np.ones(1))):
        query = read(search, ONE).of(wrong, search._states.now)
        with pytest.raises(BadData, match="latents must be"):
            search.search(query)
    with pytest.raises(BadData, match="cutoff must be at least 1, got 0"):
        asked(search, ONE, 0)
    with pytest.raises(DimensionMismatch, match="a query of 2 latents came to an index of 3"):
        read(search, [1, 1])
    assert not asked(search, ONE).is_partial


def test_nothing_to_search_is_an_error_that_says_why(tmp_path, store) -> None:
    with pytest.raises(MissingArtifact, match=r"it holds none\); cut a corpus"):
        ShardSearch(state(tmp_path / "empty", {}))
    for i in range(3):
        index_of(tmp_path / "store", i).rename(tmp_path / f"aside-{i}")
    with pytest.raises(MissingArtifact, match=r"could be opened \(there is no .*index it: unweave index build"):
        ShardSearch(store)
    with pytest.raises(BadData, match="one worker or more, got 0"):
        ShardSearch(store, holders=0)


def test_a_search_that_was_closed_finds_nothing_and_says_so(store) -> None:
    with ShardSearch(store) as search:
        query = read(search, ONE)
    answer = search.search(query)
    assert answer.hits == [] and set(answer.missing.values()) == {"the search was closed"}
    assert search.search(query).is_partial  # and nobody opens them again


# --- shards that come and go ----------------------------------------------------------------------


def test_a_query_is_searched_in_the_state_that_it_was_read_in(store, tmp_path) -> None:
    search = ShardSearch(store, holders=2)
    old = read(search, ALL)
    before = search.search(old)
    publish(tmp_path / "store", 3, [[1, 1, 1], [0, 1, 0]])
    state(tmp_path / "store", {0: 2, 1: 2, 3: 2})
    search.refresh()
    assert search.search(old) == before and before.n_passages == 5
    now = asked(search, ALL)
    assert found(now) == found(asked(ShardSearch(store), ALL)) and now.n_passages == 6
    assert {hit.shard for hit in now.hits} == {name_of(0), name_of(1), name_of(3)}
    mixed = search.search_all([old, read(search, ALL), old])
    assert mixed == [before, now, before]
    with pytest.raises(MissingArtifact, match=r"000000-000002 is not held any more; search again"):
        search.passages(before.hits)
    for hit, why in zip(before.hits, search.explain(old, before.hits), strict=True):
        assert why.score == hit.score


def test_a_state_that_nobody_can_ask_for_is_let_go_with_its_files(store, tmp_path) -> None:
    search = ShardSearch(store)
    (holder,) = (one._holder for one in search._states.now.holders)
    old, folder = read(search, ALL), holder._opened[name_of(2)].copy.path
    state(tmp_path / "store", {0: 2, 1: 2})
    search.refresh()
    assert len(holder._selections) == 2 and folder.exists()
    del old
    asked(search, ALL)
    search._states._worker.join(20)
    assert list(holder._selections) == [search._states.now.number] and not folder.exists()


def test_a_shard_that_was_indexed_anew_is_opened_anew(store, tmp_path) -> None:
    search = ShardSearch(store)
    publish(tmp_path / "store", 1, [[1, 1, 1]])
    search.refresh()
    assert found(asked(search, ALL)) == found(asked(ShardSearch(store), ALL)) and search.n_passages == 4


def test_when_nothing_is_left_the_old_shards_are_still_held(store, tmp_path) -> None:
    search = ShardSearch(store)
    before = asked(search, ALL)
    state(tmp_path / "store", {})
    with pytest.raises(MissingArtifact, match="it holds none"):
        search.refresh()
    assert asked(search, ALL) == before


def test_answers_are_of_the_old_shards_or_of_the_new_while_they_change(store, tmp_path) -> None:
    publish(tmp_path / "store", 3, [[2, 1, 1], [0, 3, 0]])
    sizes = [{0: 2, 1: 2, 2: 1}, {0: 2, 1: 2, 2: 1, 3: 2}, {0: 2, 2: 1, 3: 2}]
    expected = []
    for some in sizes:
        with ShardSearch(state(tmp_path / "store", some)) as alone:
            expected.append(asked(alone, ALL))
    state(tmp_path / "store", sizes[0])
    search, ended = ShardSearch(store, holders=2), threading.Event()
    answers, errors = [], []

    def ask() -> None:
        try:
            while not ended.is_set():
                answers.append(asked(search, ALL))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for some in sizes[1:] + sizes[::-1] + sizes:
        state(tmp_path / "store", some)
        search.refresh()
    ended.set()
    for thread in threads:
        thread.join()
    assert not errors and answers and all(answer in expected for answer in answers)
    assert asked(search, ALL) == expected[-1]


def test_new_shards_go_to_whoever_holds_the_fewest_passages() -> None:
    shards = [Shard("a", 5, ""), Shard("b", 1, ""), Shard("c", 3, ""), Shard("d", 1, "")]
    assert shared_out(shards, {}, 2) == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert shared_out(shards[1:], {"a": 0, "b": 1}, 2) == {"b": 1, "c": 0, "d": 1}
