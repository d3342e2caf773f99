"""What a holder of shards opens, finds and lets go."""

import errno
import os

import numpy as np
import pytest
from stored import index_of, name_of, publish, stored

from unweave.cluster.copies import take
from unweave.cluster.holding import Found, Holder, best_found
from unweave.cluster.shards import Note, read_note, write_note
from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.index.concept_index import KIND, ConceptIndex
from unweave.index.query import ConceptQuery

PARTS = [[[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [1, 0, 0]], [[0, 1, 1]]]
NAMES = [name_of(i) for i in range(3)]
QUERY = ConceptQuery(np.array([0, 1], np.int32), np.array([1, 2], np.float32))


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path / "store", PARTS)


@pytest.fixture
def holder(store) -> Holder:
    made = Holder(store, "default")
    made.open(NAMES)
    made.select(1, NAMES)
    return made


def test_a_selection_is_searched_as_one_index(holder) -> None:
    # Impacts of 1 are 1, so a score is the sum of the weights of shared latents: 3, 1; 1; 2.
    reply = holder.search(1, [QUERY], 3)
    (found,) = reply.found
    assert (found.shards.tolist(), found.positions.tolist()) == ([0, 2, 0], [0, 0, 1])
    assert found.ids == ["0-0", "2-0", "0-1"] and found.scores == pytest.approx([3, 2, 1], rel=1e-2)
    assert reply.missing == {}


def test_shards_that_are_not_selected_are_not_searched(holder) -> None:
    holder.select(2, NAMES[1:])
    (found,) = holder.search(2, [QUERY], 3).found
    assert found.ids == ["2-0", "1-1"] and found.shards.tolist() == [1, 0]
    holder.select(3, [])
    assert holder.search(3, [QUERY], 3).found[0].ids == []
    holder.keep([2], NAMES[1:])
    with pytest.raises(MissingArtifact, match="not held any more; search again"):
        holder.search(1, [QUERY], 3)


@pytest.mark.parametrize("array", ["lists", "forward", "ids"])
def test_whichever_file_is_damaged_its_shard_is_said_and_the_others_are_searched(holder, tmp_path, array) -> None:
    path = next(index_of(tmp_path / "store", 1).rglob(f"{array}.npy"))
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.write(content[:128] + bytes(b ^ 0xFF for b in content[128:]))
    for _ in range(2):
        reply = holder.search(1, [QUERY, QUERY], 4)  # of ids, those of what is found are read
        assert list(reply.missing) == [NAMES[1]]
        assert [found.ids for found in reply.found] == [["0-0", "2-0", "0-1"]] * 2
    path.write_bytes(content)
    assert [held.said for held in holder.open(NAMES)] == [""] * 3
    holder.select(2, NAMES)
    assert holder.search(2, [QUERY], 4).found[0].ids == ["0-0", "2-0", "0-1", "1-1"]


def test_where_no_shard_alone_is_damaged_all_are_searched_alone(holder, monkeypatch) -> None:
    whole = holder.search(1, [QUERY], 3)

    def fails(*_):
        raise CorruptArtifact("somewhere")

    monkeypatch.setattr(holder._selection(1), "search", fails)
    reply = holder.search(1, [QUERY], 3)
    assert reply.missing == {} and reply.found[0].ids == whole.found[0].ids
    np.testing.assert_array_equal(reply.found[0].scores, whole.found[0].scores)


def test_a_shard_that_is_not_there_is_said_in_one_line(holder) -> None:
    there, gone = holder.open([NAMES[0], name_of(9)])
    assert (there.n_passages, there.said, there.document_frequency.tolist()) == (2, "", [2, 1, 0])
    assert gone.terms is None and gone.said.startswith("there is no") and "\n" not in gone.said


def test_what_was_opened_stays_as_it_is_until_it_is_opened_again(holder, tmp_path) -> None:
    before = holder.search(1, [QUERY], 3)
    publish(tmp_path / "store", 0, [[0, 0, 1]])
    assert holder.search(1, [QUERY], 3).found[0].ids == before.found[0].ids
    (held,) = holder.open(NAMES[:1])
    holder.select(2, NAMES)
    assert held.n_passages == 1 and holder.search(2, [QUERY], 3).found[0].ids == ["2-0", "1-1"]
    assert holder.search(1, [QUERY], 3).found[0].ids == before.found[0].ids


def test_folders_go_with_what_was_held(holder) -> None:
    folders = [holder._opened[name].copy.path for name in NAMES]
    holder.keep([], [NAMES[0]])
    assert [folder.exists() for folder in folders] == [True, False, False]


def test_a_folder_on_the_same_disk_is_read_without_a_copy_and_another_is_copied(store, tmp_path, monkeypatch) -> None:
    name = f"shards/{NAMES[0]}/index/default"
    take(store, name, KIND, tmp_path / "linked")
    (lists,) = (tmp_path / "linked").rglob("lists.npy")
    assert lists.stat().st_ino == next(index_of(tmp_path / "store", 0).rglob("lists.npy")).stat().st_ino

    def refused(*_, **__):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refused)
    take(store, name, KIND, tmp_path / "copied")
    (copied,) = (tmp_path / "copied").rglob("lists.npy")
    assert copied.stat().st_nlink == 1 and copied.read_bytes() == lists.read_bytes()
    for folder in ("linked", "copied"):
        index = ConceptIndex.open(tmp_path / folder)
        index.verify()
        assert index.n_passages == 2


def test_a_copy_that_is_damaged_on_the_way_is_refused(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.EXDEV, "another disk")))
    path = next(index_of(tmp_path / "store", 1).rglob("forward.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    (held,) = Holder(store, "default").open([NAMES[1]])
    assert "does not match its checksum" in held.said


def test_the_best_of_several_by_hand() -> None:
    def of(shards, positions, scores):
        ids = [f"{shard}-{place}" for shard, place in zip(shards, positions, strict=True)]
        return Found(np.array(shards), np.array(positions), np.array(scores, np.float32), ids)

    one, other = of([0, 2], [5, 0], [2, 1]), of([1, 1, 1], [9, 1, 3], [3, 1, 1])
    assert best_found([one, other], 4).ids == ["1-9", "0-5", "1-1", "1-3"]  # of three scores of 1, the last is cut off
    assert best_found([], 4).ids == []


def test_a_damaged_array_that_is_found_when_a_shard_is_opened_is_to_be_made_again(store, tmp_path) -> None:
    write_note(store, NAMES[1], "index", Note({}, {}, {}), tmp_path)
    path = next(index_of(tmp_path / "store", 1).rglob("scales.npy"))
    content = path.read_bytes()
    path.unlink()  # which other names of the file do not see
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (held,) = Holder(store, "default").open([NAMES[1]])
    assert "does not match its checksum" in held.said and "unweave index build" in held.said
    assert read_note(store, NAMES[1], "index") is None
