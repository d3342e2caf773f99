"""BM25: scores against bm25s's and by hand, explanations, languages, and what lies on disk."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import tempfile
from contextlib import nullcontext
from pathlib import Path

import bm25s
import numpy as np
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from unweave.base import inverted, progress
from unweave.base.artifact import MARK
from unweave.errors import CorruptArtifact
from unweave.retrieval import bm25
from unweave.retrieval.bm25 import BM25
from unweave.texts.terms import Terms

TEXTS = [
    "The wind turbine on the ridge turned all night long in the storm",
    "Bakers knead sourdough before the town wakes",
    "A turbine hums",
    "Sourdough, rye and wind-dried apples: bakers trade them for oil",
    "Oil for the turbine blades comes by boat, and the boat waits for wind again",
]


@pytest.fixture
def made(tmp_path):
    """BM25 of some texts, in a new folder: `made(texts)`."""

    def write(texts: list[str], language: str = "en") -> BM25:
        return BM25.write(tmp_path / "bm25", texts, len(texts), language=language)

    return write


def of_bm25s(texts: list[str], query: str) -> np.ndarray:
    """The scores that bm25s gives, (n_passages,)."""
    tokenizer = bm25s.tokenization.Tokenizer(stopwords="en", stemmer=Stemmer.Stemmer("english"))
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    retriever.index(tokenizer.tokenize(texts, show_progress=False, return_as="tuple"), show_progress=False)
    (asked,) = tokenizer.tokenize([query], update_vocab=False, show_progress=False, allow_empty=False)
    return retriever.get_scores_from_ids(asked) if asked else np.zeros(len(texts), np.float32)


# --- scores ------------------------------------------------------------------------------------------


def test_scores_by_hand(made):
    # Three texts of 2, 1 and 3 terms: avgdl = 2. "rye" is in two of three: idf = ln(1 + 1.5 / 2.5).
    # In the third it stands twice among 3: tf = 2 / (2 + 1.2 (0.25 + 0.75 * 3 / 2)) = 2 / 3.65.
    # In the first once among 2: tf = 1 / (1 + 1.2) = 1 / 2.2.
    hits = made(["rye bread", "oil", "rye, rye, flour"]).search("rye", cutoff=10)
    assert hits.passages.tolist() == [2, 0]
    np.testing.assert_allclose(hits.scores, np.array([2 / 3.65, 1 / 2.2]) * math.log(1.6), rtol=1e-6)


@pytest.mark.parametrize(
    "query", ["wind turbine", "the bakers and their sourdough", "boats with oil", "turbine, turbine oil turbines"]
)
def test_scores_are_those_of_bm25s(made, query):
    expected = of_bm25s(TEXTS, query)
    hits = made(TEXTS).search(query, cutoff=10)
    assert hits.passages.tolist() == [p for p in np.argsort(-expected, kind="stable").tolist() if expected[p] > 0]
    assert hits.scores.tolist() == expected[hits.passages].tolist()  # to the last bit


WORDS = st.lists(st.sampled_from([*"abc", "rye", "ryes", "oil", "the", "Oil,", "漢字", "x1"]), max_size=8).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=7), WORDS, st.integers(1, 5))
def test_any_texts_score_as_in_bm25s_whatever_the_size_of_a_piece(texts, query, at_once):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(inverted, "ENTRIES_AT_ONCE", at_once)
        system = BM25.write(Path(folder) / "bm25", texts, len(texts))
        hits = system.search(query, cutoff=10)
        scores = np.zeros(len(texts), np.float32)
        scores[hits.passages] = hits.scores
        assert scores.tolist() == of_bm25s(texts, query).tolist()
        for explanation in system.explain(query, hits.passages, hits.scores):
            explanation.check()


def test_nothing_is_found_for_words_that_no_passage_has_nor_are_empty_passages(made):
    system = made(["The wind turbine turned", "", "the of"])
    for text in ("zeppelin", "", "the of"):
        assert len(system.search(text, cutoff=10).passages) == 0
    assert system.explain("zeppelin", [], []) == []


def test_texts_without_a_word_can_be_searched_and_have_nothing(made):
    system = made(["", "the"])
    assert len(system.search("rye", cutoff=3).passages) == 0
    assert system.bytes_per_passage > 0


def test_only_allowed_passages_are_found_in_the_same_order(made):
    system = made(TEXTS)
    everything = system.search("wind turbine oil", cutoff=10).passages.tolist()
    allowed = np.array([True, True, False, False, True])
    hits = system.search("wind turbine oil", cutoff=10, allowed=allowed)
    assert hits.passages.tolist() == [p for p in everything if allowed[p]] != everything


# --- explanations ----------------------------------------------------------------------------------------


def test_a_score_is_the_sum_of_its_terms(made):
    # The first passage has no "oil"; "turbine" counts twice, and "the" is no term.
    system, query = made(TEXTS), "Turbines, the turbine oil"
    hits = system.search(query, cutoff=10)
    for explained in system.explain(query, hits.passages, hits.scores):
        explained.check()
        assert {part.name: part.query for part in explained.contributions}.items() <= {"turbine": 2, "oil": 1}.items()
    (first,) = system.explain(query, [0], [1.0])
    assert [part.name for part in first.contributions] == ["turbine"]


def test_a_block_of_hits_is_explained_as_each_alone(made):
    system, query = made(TEXTS), "oil for the wind turbine and the bakers"
    hits = system.search(query, cutoff=10)
    alone = [system.explain(query, [p], [s])[0] for p, s in zip(hits.passages, hits.scores, strict=True)]
    assert system.explain(query, hits.passages, hits.scores) == alone
    assert len(alone) == 5


# --- languages -------------------------------------------------------------------------------------------


def test_a_language_has_its_own_stop_words_and_stemmer(made):
    # "Mühlen" and "Mühle" share a German stem, "und" is no term; English would keep all three apart.
    system = made(["Die Mühlen und der Wind", "Brot"], language="de")
    assert system.search("und eine Mühle", cutoff=5).passages.tolist() == [0]
    assert len(system.search("und die der", cutoff=5).passages) == 0
    assert system.manifest.results["stemmer"] == "german"


@pytest.mark.parametrize(("code", "stemmer"), [("en-GB", "english"), ("pt_BR", "portuguese"), ("NO", "norwegian")])
def test_a_language_is_known_by_its_first_part(code, stemmer):
    assert Terms.of(code).stemmer == stemmer
    assert Terms.of(code).stop_words


def test_a_language_that_nobody_knows_is_read_word_by_word_and_that_is_said(made):
    system = made(["mlima na bahari", "bahari"], language="sw")
    assert system.search("bahari na", cutoff=5).passages.tolist() == [0, 1]
    assert system.manifest.results == {"n_terms": 3, "stemmer": "none", "n_stop_words": 0}


# --- on disk ---------------------------------------------------------------------------------------------


def test_what_was_written_is_read_again_and_can_be_copied(made, tmp_path):
    system = made(TEXTS)
    expected = system.search("wind turbine", cutoff=5)
    for again in (BM25.load(tmp_path / "bm25"), copy.deepcopy(system), pickle.loads(pickle.dumps(system))):
        hits = again.search("wind turbine", cutoff=5)
        assert (hits.passages.tolist(), hits.scores.tolist()) == (expected.passages.tolist(), expected.scores.tolist())
    assert (
        repr(system)
        == f"BM25({len((tmp_path / 'bm25/terms.txt').read_text().split())} terms of 5 passages in {tmp_path}/bm25)"
    )


def test_nothing_but_plain_files_is_written_and_they_are_counted(made, tmp_path):
    system = made(TEXTS)
    names = {"passages.npy", "reading.json", "scores.npy", "starts.npy", "sums.npy", "terms.txt", "terms_ends.npy"}
    there = [path for path in (tmp_path / "bm25").iterdir() if path.name not in ("config.json", MARK)]
    files = {path.name: path.stat().st_size for path in there}
    assert set(files) == names
    assert system.bytes_per_passage == sum(files.values()) / 5
    for name in ("passages", "scores", "starts"):
        np.load(tmp_path / f"bm25/{name}.npy", allow_pickle=False)


@pytest.mark.parametrize("damage", [{"n_passages": "many"}, {"stop_words": None}])
def test_damaged_files_are_refused(made, tmp_path, tamper, damage):
    made(TEXTS)
    path = tmp_path / "bm25/reading.json"
    tamper(path, json.dumps(json.loads(path.read_text()) | damage).encode())
    with pytest.raises(CorruptArtifact, match=r"reading\.json does not say how a query is read .* rebuild the bm25"):
        BM25.load(tmp_path / "bm25")


def as_npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_arrays_that_do_not_belong_together_are_refused(made, tmp_path, tamper):
    made(TEXTS)
    starts = np.load(tmp_path / "bm25/starts.npy")
    tamper(tmp_path / "bm25/starts.npy", as_npy(starts + 1), bm25._FILES)
    with pytest.raises(CorruptArtifact, match=r"lists are not where starts\.npy says; rebuild the bm25"):
        BM25.load(tmp_path / "bm25")


@pytest.mark.parametrize("change", [-1, 5])  # of passages 0 to 4
def test_a_list_of_passages_that_are_not_there_is_refused(made, tmp_path, tamper, change):
    words = " ".join(TEXTS)
    assert len(made(TEXTS).search(words, 5).scores)
    passages = np.load(tmp_path / "bm25/passages.npy")
    tamper(tmp_path / "bm25/passages.npy", as_npy(passages + np.int32(change)), bm25._FILES)
    with pytest.raises(CorruptArtifact, match="lists passages that are not there; rebuild the bm25"):
        BM25.load(tmp_path / "bm25").search(words, 5)


def test_a_number_of_texts_that_is_wrong_is_refused_and_nothing_is_left(tmp_path):
    for n_texts in (4, 6):
        with pytest.raises((ValueError, IndexError)):
            BM25.write(tmp_path / "bm25", TEXTS, n_texts)
    with pytest.raises(ValueError, match="there is no text"):
        BM25.write(tmp_path / "bm25", [], 0)
    assert list(tmp_path.iterdir()) == []


def test_texts_are_read_once_and_each_is_told_of(tmp_path):
    class Watch:
        def __init__(self) -> None:
            self.done, self.totals = 0, []

        def say(self, line: str) -> None: ...

        def steps(self, label, total, unit, done):
            self.totals.append((label, total))
            return nullcontext(self.advance)

        def advance(self, n: int) -> None:
            self.done += n

    watch = Watch()
    with progress.watched(watch):
        BM25.write(tmp_path / "bm25", iter(TEXTS), len(TEXTS))
    assert (watch.totals, watch.done) == ([("counting words", 5)], 5)
