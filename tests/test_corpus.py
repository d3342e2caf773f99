"""The corpus on disk, and text that is safe to print."""

import io
import logging
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.errors import BadData, CorruptArtifact
from unweave.texts import corpus
from unweave.texts.corpus import Corpus

ANY_TEXT = st.text(st.characters(), max_size=20)
"""Every code point there is, lone surrogates too."""

TIDES = Passage("t1", "Tides", "The moon pulls the sea.", {"topic": "Sea", "year": 1687, "see": ["Newton"]})
WIND = Passage("w1", "", "Énergie du vent\u2028風力", {})
ICE = Passage("i1", "Ice", "", {})


def write(folder: Path, *passages: Passage) -> Corpus:
    return Corpus.write(folder, passages, settings={})


def as_stored(text: str) -> str:
    """UTF-8 has no lone surrogates; each becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


# --- reading what was written ---------------------------------------------------------------------


def test_passages_come_back_by_position_by_slice_and_in_order(tmp_path):
    corpus = write(tmp_path / "c", TIDES, WIND, ICE)
    assert len(corpus) == 3
    assert [corpus[0], corpus[1], corpus[2]] == list(corpus) == corpus[:] == [TIDES, WIND, ICE]
    assert corpus[1:] == [WIND, ICE]
    assert corpus.ids == ["t1", "w1", "i1"]


def test_passages_come_back_by_id_and_an_unknown_id_has_no_position(tmp_path):
    corpus = write(tmp_path / "c", TIDES, WIND, ICE)
    assert [corpus.position(name) for name in ("i1", "t1", "w1")] == [2, 0, 1]
    assert corpus.position("t2") is None


@pytest.mark.parametrize("position", [3, -1])
def test_a_position_outside_the_corpus_is_an_error(tmp_path, position):
    corpus = write(tmp_path / "c", TIDES, WIND, ICE)
    with pytest.raises(IndexError, match=f"position {position} is outside a corpus of 3 passages"):
        corpus[position]


def test_loading_a_corpus_gives_what_was_written(tmp_path):
    written = write(tmp_path / "c", TIDES, WIND, ICE)
    loaded = Corpus.load(str(tmp_path / "c"))
    assert list(loaded) == list(written)
    assert loaded.manifest == written.manifest
    assert loaded.manifest.results == {"n_passages": 3, "n_blank": 0}


@given(
    st.lists(
        st.builds(Passage, ANY_TEXT.filter(bool), ANY_TEXT, ANY_TEXT, st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=2)),
        min_size=1,
        max_size=8,
        unique_by=lambda passage: as_stored(passage.passage_id),
    )
)
def test_any_unicode_survives_the_disk(passages):
    with tempfile.TemporaryDirectory() as folder:
        corpus = write(Path(folder) / "c", *passages)
        assert len(corpus) == len(passages)
        for position, passage in enumerate(passages):
            stored = corpus[position]
            assert stored[:3] == tuple(map(as_stored, passage[:3]))
            assert stored.metadata == {as_stored(k): as_stored(v) for k, v in passage.metadata.items()}
            assert corpus.position(stored.passage_id) == position


def test_different_ids_with_the_same_hash_are_told_apart(tmp_path, monkeypatch):
    # Two ids with one 64-bit hash cannot be found by trying, so here every id has hash 7.
    monkeypatch.setattr("unweave.texts.corpus.digest_of", lambda passage_id: 7)
    corpus = write(tmp_path / "c", TIDES, WIND, ICE)
    assert [corpus.position(name) for name in ("i1", "t1", "w1", "?")] == [2, 0, 1, None]
    with pytest.raises(BadData, match=r"1 passage id\(s\) occur more than once, first 'w1' at positions 1 and 2"):
        write(tmp_path / "d", TIDES, WIND, WIND)


def test_what_the_encoder_reads_is_title_and_text_joined_by_a_blank():
    assert TIDES.content == "Tides The moon pulls the sea."
    assert (WIND.content, ICE.content) == (WIND.text, "Ice")


# --- what is refused, and what is only noted ------------------------------------------------------


def test_repeated_ids_are_named_with_their_positions_and_nothing_is_left(tmp_path):
    with pytest.raises(BadData, match=r"1 passage id\(s\) occur more than once, first 't1' at positions 0 and 2"):
        write(tmp_path / "c", TIDES, WIND, TIDES)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_corpus_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(BadData, match="the corpus is empty: its source holds no passage"):
        write(tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_id_is_refused_with_its_position_and_nothing_is_left(tmp_path):
    with pytest.raises(BadData, match=r"passage 1 \(counting from 0\) has an empty id"):
        write(tmp_path / "c", TIDES, Passage("", "No", "name"))
    assert list(tmp_path.iterdir()) == []


def test_blank_passages_are_counted_and_kept_with_a_note(tmp_path, caplog):
    blank = [Passage("b1", "", ""), Passage("b2", " ", "\n")]
    with caplog.at_level(logging.WARNING):
        corpus = write(tmp_path / "c", TIDES, *blank)
    assert corpus[1:] == blank
    assert corpus.manifest.results == {"n_passages": 3, "n_blank": 2}
    assert "2 passage(s) have neither title nor text (first: b1)" in caplog.text


def test_no_note_is_made_where_every_passage_says_something(tmp_path, caplog):
    write(tmp_path / "c", TIDES, WIND, ICE)
    assert caplog.records == []


def test_arrays_that_do_not_belong_to_the_passages_are_refused(tmp_path, tamper):
    write(tmp_path / "c", TIDES, WIND)
    file = io.BytesIO()
    np.save(file, np.load(tmp_path / "c" / "offsets.npy") + 1)
    tamper(tmp_path / "c" / "offsets.npy", file.getvalue(), corpus._FILES)
    with pytest.raises(CorruptArtifact, match=r"offsets\.npy and passages\.jsonl do not belong together"):
        Corpus.load(tmp_path / "c")


# --- text that is safe to print -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("two  words\n", "two words"),
        ("a\x1b[31mred\x1b[0m", "a[31mred[0m"),  # without ESC a terminal takes no orders
        ("\x1b]0;title\x07", "]0;title"),
        ("a\u202egnp.exe", "agnp.exe"),  # right-to-left override
        ("\u2066x\u2069\u200e\u200f\u061c", "x"),
        ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),  # all of these end a line somewhere
        ("\ud800x\x00\x7f\x9b", "x"),
        ("می\u200cخواهم 👩\u200d🔬", "می\u200cخواهم 👩\u200d🔬"),  # Persian and emoji need their joiners
        ("", ""),
    ],
)
def test_plain_text_keeps_words_and_drops_orders_to_the_terminal(text, printed):
    assert plain(text) == printed


def test_plain_text_is_cut_at_the_limit_with_an_ellipsis():
    assert plain("four", 4) == "four"
    assert plain("fiver", 4) == "fiv…"
    assert plain("to be", 4) == "to…"  # no blank before the ellipsis


@given(st.text(st.characters()), st.integers(min_value=1, max_value=12))
def test_plain_text_is_always_one_line_without_control_characters(text, limit):
    line = plain(text)
    categories = {unicodedata.category(c) for c in line if c not in "\u200c\u200d"}
    assert categories.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert len(line.splitlines()) <= 1
    assert plain(line) == line  # nothing more to do the second time
    assert len(plain(text, limit)) <= limit
