"""Texts to pretrain on: the order follows from each text alone, and nothing but texts comes through."""

import json

import pytest

from unweave.errors import BadData
from unweave.texts.pool import SOURCE, read_pool


@pytest.fixture
def files(tmp_path):
    for name in ("law", "medicine"):
        rows = [{"_id": f"{i}", "title": f"title {i}", "text": f"{name} text {i}"} for i in range(200)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "README.md").write_text("not a text")
    return tmp_path


def ids(*paths, **options):
    return [passage.passage_id for passage in read_pool(paths, **options).passages]


def test_fewer_texts_are_the_first_of_many(files):
    every = ids(files)
    assert sorted(every) == sorted(f"{name}/{i}" for name in ("law", "medicine") for i in range(200))
    assert ids(files, most=50) == every[:50]
    assert ids(files, seed=1) != every


def test_a_file_that_is_added_leaves_the_order_of_the_others(files):
    assert [one for one in ids(files) if one.startswith("law/")] == ids(files / "law.jsonl")


def test_a_beginning_is_a_fair_sample(files):
    first = list(read_pool([files], most=100).passages)
    assert 30 < sum(passage.metadata[SOURCE] == "law" for passage in first) < 70
    assert 30 < sum(bool(passage.title) for passage in first) < 70


def test_a_text_that_occurs_twice_is_taken_once(files):
    again = {"_id": "again", "title": "", "text": "law text 7"}
    (files / "other.jsonl").write_text(json.dumps(again) + "\n" + json.dumps({"_id": "blank", "text": ""}) + "\n")
    assert len(ids(files)) == 400


def test_what_cannot_be_read_is_one_clear_error(files):
    with pytest.raises(BadData, match="neither a file nor a folder"):
        read_pool([files / "nothing"])
    with pytest.raises(BadData, match="cannot tell its format"):
        read_pool([files / "README.md"])
    with pytest.raises(BadData, match="have the same name"):
        read_pool([files, files / "law.jsonl"])


@pytest.mark.parametrize("options", [{"seed": -1}, {"most": 0}, {"most": -3}])
def test_a_seed_or_a_number_of_texts_that_is_too_low_is_refused(files, options):
    with pytest.raises(ValueError, match="at least"):
        read_pool([files], **options)
