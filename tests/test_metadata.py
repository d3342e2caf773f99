"""Filtering by metadata: the table of values against reading every passage."""

from __future__ import annotations

import copy
import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.artifact import MARK, read_manifest
from unweave.base.building import build
from unweave.base.inverted import by_column, counts_by_column
from unweave.base.pages import open_checked, write_sums
from unweave.base.records import Passage, Query
from unweave.base.strings import Strings
from unweave.errors import BadData, CorruptArtifact
from unweave.texts import metadata as table
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet

TOPICS = [{"topic": "Sea", "year": 1687}, {"topic": "Air"}, {}, {"topic": "Sea", "year": "1687", "see": ["Ice", 7]}]


def write(folder: Path, *metadata: dict) -> Corpus:
    return Corpus.write(folder, [Passage(f"p{i}", "", "text", held) for i, held in enumerate(metadata)], settings={})


def read(corpus: Corpus, wanted: dict[str, str]) -> list[bool]:
    """The slow way: every passage is read, and every value compared as text."""

    def holds(value, text: str) -> bool:
        return text in map(str, value) if isinstance(value, list) else value is not None and str(value) == text

    return [all(holds(p.metadata.get(name), text) for name, text in wanted.items()) for p in corpus]


# --- what a filter finds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [True, True, True, True]),
        ({"topic": "Sea"}, [True, False, False, True]),
        ({"year": "1687"}, [True, False, False, True]),  # a number and a text of the same look
        ({"see": "7"}, [False, False, False, True]),  # a member of a list
        ({"topic": "Sea", "see": "Ice"}, [False, False, False, True]),
        ({"topic": "Fire"}, [False, False, False, False]),
        ({"topic": "Se"}, [False, False, False, False]),
    ],
)
def test_a_passage_is_found_by_all_of_its_values(tmp_path, wanted, found):
    assert write(tmp_path / "c", *TOPICS).where(wanted).tolist() == found


def test_an_unknown_field_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(BadData, match="no passage has metadata 'colour'; there are: see, topic, year"):
        write(tmp_path / "c", *TOPICS).where({"colour": "red"})
    with pytest.raises(BadData, match="no passage has metadata 'topic'; there are: none"):
        write(tmp_path / "d", {}).where({"topic": "Sea"})


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.floats(), st.text(st.characters(), max_size=3), st.just("Sea")
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.just("k"), SCALARS, max_size=1))


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "é\ud800"]), VALUES, max_size=3), min_size=1, max_size=8))
def test_the_table_finds_what_reading_every_passage_finds(metadata):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "MOST_VALUES", 4)  # so that some fields have lists and others have not
        corpus = write(Path(folder) / "c", *metadata)
        there = {name: text for p in corpus for name, value in p.metadata.items() for text in table.as_texts(value)}
        for name in {name for p in corpus for name in p.metadata}:
            for text in {*there.values(), "", "absent"}:
                assert corpus.where({name: text}).tolist() == read(corpus, {name: text})
        assert corpus.where(there).tolist() == read(corpus, there)


@pytest.mark.parametrize("text", ["x" * 201, None])
def test_a_field_of_free_text_or_many_values_is_found_by_reading_and_takes_no_room(tmp_path, monkeypatch, text):
    monkeypatch.setattr(table, "MOST_VALUES", 3)
    metadata = [{"topic": "Sea" if i % 2 else "Air", "url": f"u{i}"} for i in range(4)]
    if text is not None:
        metadata[1]["url"] = text
    corpus = write(tmp_path / "c", *metadata)
    assert json.loads((tmp_path / "c/fields.json").read_text())["url"] is None
    assert (tmp_path / "c/values.txt").read_text() == "Air\nSea\n"
    assert np.load(tmp_path / "c/value_positions.npy").tolist() == [0, 2, 1, 3]
    assert corpus.where({"url": "u3"}).tolist() == [False, False, False, True]
    assert corpus.where({"url": "u3", "topic": "Air"}).tolist() == [False] * 4


def test_only_the_passages_that_other_fields_leave_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MOST_VALUES", 3)
    corpus = write(tmp_path / "c", *({"topic": "Sea" if i in (2, 5) else "Air", "url": f"u{i}"} for i in range(9)))
    was_read = []
    monkeypatch.setattr(Corpus, "__getitem__", lambda self, i: was_read.append(i) or Passage("", "", "", {"url": "u5"}))
    assert np.flatnonzero(corpus.where({"url": "u5", "topic": "Sea"})).tolist() == [2, 5]
    assert was_read == [2, 5]


def test_a_corpus_without_its_table_is_refused(tmp_path):
    corpus = write(tmp_path / "c", *TOPICS)
    (tmp_path / "c/fields.json").write_text("{}")
    with pytest.raises(CorruptArtifact, match=r"fields\.json does not match its checksum; rebuild the corpus"):
        corpus.where({"topic": "Sea"})


def test_nothing_that_was_written_on_the_way_is_left(tmp_path):
    write(tmp_path / "c", *TOPICS)
    assert sorted(p.name for p in (tmp_path / "c").iterdir() if p.name != MARK) == [
        "config.json", "fields.json", "id_hashes.npy", "id_positions.npy", "offsets.npy", "passages.jsonl", "sums.npy",
        "value_positions.npy", "value_starts.npy", "values.txt", "values_ends.npy",
    ]  # fmt: skip


# --- the parts: tables of texts, and rows turned into columns -----------------------------------------


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=12), st.text(max_size=4))
def test_a_text_is_found_by_its_number_and_a_number_by_its_text(texts, other):
    with tempfile.TemporaryDirectory() as folder:
        with build(Path(folder) / "toy", "toy", settings={}, made_from={}) as made:
            Strings.write(made.path, "words", sorted(texts))
            write_sums(made.path, Strings.files_of("words"))
        toy = Path(folder) / "toy"
        there = Strings(open_checked(toy, read_manifest(toy, "toy"), Strings.files_of("words")), "words")
        assert list(there) == sorted(texts)
        assert [there.find(text) for text in sorted(texts)] == list(range(len(texts)))
        assert there.find(other) == (sorted(texts).index(other) if other in texts else None)


@given(st.lists(st.integers(0, 5), max_size=40), st.permutations([-1, 0, 1, 2, 3, -1]), st.integers(1, 50))
def test_rows_become_columns_whatever_the_size_of_a_piece(codes, column_of, at_once):
    # Oracle: a stable sort of the entries by their column, those of column -1 left out.
    columns = [column_of[code] for code in codes]
    expected = [i for column in range(4) for i, one in enumerate(columns) if one == column]
    codes, column_of = np.array(codes, np.int32), np.array(column_of, np.int32)
    counts = counts_by_column(codes, column_of, 4)
    assert counts.tolist() == [columns.count(column) for column in range(4)]
    pieces = list(by_column(codes, column_of, counts, at_once))
    assert [i for piece in pieces for i in piece] == expected
    assert all(len(piece) <= at_once or len(set(column_of[codes[piece]])) == 1 for piece in pieces)


# --- a corpus as an object -----------------------------------------------------------------------------


def test_a_corpus_that_has_been_read_can_be_copied_and_pickled(tmp_path):
    corpus = write(tmp_path / "c", *TOPICS)
    assert (len(corpus.ids), corpus.where({"topic": "Air"}).sum()) == (4, 1)
    for again in (copy.deepcopy(corpus), pickle.loads(pickle.dumps(corpus))):
        assert list(again) == list(corpus)
        assert again.where({"topic": "Sea"}).tolist() == [True, False, False, True]


def test_what_a_corpus_and_its_queries_hold_is_said(tmp_path):
    assert repr(write(tmp_path / "c", *TOPICS)) == f"Corpus(4 passages in {tmp_path}/c)"
    queries, qrels = [Query("q1", "tides"), Query("q2", "ice")], {"test": {"q1": {"p0": 1}}}
    written = QuerySet.write(tmp_path / "q", queries, qrels, settings={})
    assert repr(written) == f"QuerySet(2 queries, judged in test; in {tmp_path}/q)"
    alone = QuerySet.write(tmp_path / "r", queries, {}, settings={})
    assert repr(alone) == f"QuerySet(2 queries in {tmp_path}/r)"


@pytest.mark.parametrize("name", ["plain", 'a"b\\', "\n\t", "é漢\u2028", "\\u0041"])
def test_ids_are_read_without_their_passages(tmp_path, name):
    corpus = Corpus.write(tmp_path / "c", [Passage("first", "", "x"), Passage(name, "", "y")], settings={})
    assert corpus.ids == ["first", name]
    assert corpus.ids_at([1]) == [name]
