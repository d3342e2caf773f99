"""What people change about concepts: each change is noted, can be undone, and is all or none."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.base.records import Trust
from unweave.concepts import edits, store
from unweave.concepts.concept import DETECTION, OVER_NULLS, PERSON, Concept, Naming, Score
from unweave.concepts.database import writing
from unweave.concepts.store import Concepts
from unweave.errors import ArtifactInUse, BadData

KITES = Naming("keyphrases", "kite festival", "Texts about kites.", coverage=0.75, made_with="a1")
CONCEPTS = [
    Concept(0, 9, 2.0, (KITES, Naming("lexicon", "flying"))),
    Concept(1, 7, 1.5, (Naming("keyphrases", "boats"),), flag="hub"),
    Concept(2, 5, 1.0, (Naming("keyphrases", None),)),
    Concept(3, 3, 1.0),
    Concept(4, 1, 0.5, (Naming("keyphrases", "bread"),)),
]


@pytest.fixture
def database(tmp_path) -> Path:
    """Concepts 0 to 4: two named, one of them by two namers, one of which was judged; two nameless; one more."""
    return make(tmp_path / store.DATABASE)


def make(file: Path, latents: range = range(5)) -> Path:
    store.create(file)
    store.add(file, [concept for concept in CONCEPTS if concept.latent in latents])
    judged = Score(DETECTION, 0.9, 0.8, 0.95, 40), Score(OVER_NULLS, 1.0, 0.97, 1.0, 100)
    store.add_scores(file, [(0, "keyphrases", score) for score in judged] if 0 in latents else [])
    return file


def rows(database: Path) -> dict[str, list]:
    """Everything that edits change."""
    with writing(database) as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("concepts", "names", "scores")
        }


def merged(database: Path) -> dict[int, int]:
    return {c.latent: c.merged_into for c in Concepts(database).by_document_frequency() if c.merged_into is not None}


def flag_of(database: Path, latent: int) -> str | None:
    return Concepts(database).concept(latent).flag


# --- names ----------------------------------------------------------------------------------------


def test_a_persons_name_is_shown_before_all_others_and_keeps_them(database):
    edit = edits.rename(database, 0, "kites", "Paper that flies.")
    assert (edit.number, edit.action, edit.latent, edit.undone) == (1, "rename", 0, False)
    assert datetime.fromisoformat(edit.made).utcoffset().total_seconds() == 0
    concept = Concepts(database).concept(0)
    assert (concept.name, concept.trust) == ("kites", Trust.CONFIRMED)
    assert concept.namings[0].description == "Paper that flies."
    assert [naming.namer for naming in concept.namings] == [PERSON, "keyphrases", "lexicon"]


def test_a_concept_that_no_namer_named_takes_a_name(database):
    edits.rename(database, 2, "tide")
    edits.rename(database, 3, "moon")
    names = Concepts(database)
    assert (names[2], names[3]) == ("tide", "moon")


def test_the_same_name_again_is_no_edit(database):
    edits.rename(database, 0, "kites", "Paper.")
    assert edits.rename(database, 0, " kites\n", "Paper. ") is None
    assert edits.rename(database, 0, "kites") is not None  # without the description it is another
    assert len(edits.history(database)) == 2


def test_a_new_name_has_not_been_judged_and_undoing_brings_the_old_one_back_with_its_scores(database):
    edits.rename(database, 0, "kites")
    store.add_scores(database, [(0, PERSON, Score("detection", 0.6, 0.5, 0.7, 20))])
    edits.rename(database, 0, "wind toys")
    assert PERSON not in Concepts(database).concept(0).scores
    edits.undo(database)
    concept = Concepts(database).concept(0)
    assert concept.name == "kites"
    assert concept.scores[PERSON] == (Score("detection", 0.6, 0.5, 0.7, 20),)


def test_locking_keeps_the_shown_name_and_whose_it_was(database):
    edits.lock(database, 0)
    locked = Concepts(database).concept(0).namings[0]
    assert locked == Naming(
        PERSON, KITES.name, KITES.description, KITES.coverage, provenance={"confirmed": "keyphrases"}
    )
    store.add_namings(database, [(0, Naming("keyphrases", "a worse name"))])
    assert Concepts(database)[0] == "kite festival"
    assert edits.lock(database, 0) is None


def test_unlocking_shows_a_namers_name_again(database):
    before = rows(database)
    assert edits.unlock(database, 0) is None
    edits.rename(database, 0, "kites")
    assert edits.unlock(database, 0).action == "unlock"
    assert rows(database) == before
    edits.undo(database)
    assert Concepts(database)[0] == "kites"


@pytest.mark.parametrize("latent", [2, 3])
def test_there_is_nothing_to_lock_without_a_name(database, latent):
    with pytest.raises(BadData, match=f"latent {latent} has no name to confirm; give it one: unweave concepts rename"):
        edits.lock(database, latent)


# --- remarks --------------------------------------------------------------------------------------


def test_a_remark_is_replaced_removed_and_brought_back(database):
    edits.flag(database, 1, "about my boat")
    assert flag_of(database, 1) == "about my boat"
    assert edits.flag(database, 1, "about my boat") is None
    edits.flag(database, 1, None)
    assert flag_of(database, 1) is None
    assert edits.flag(database, 1, None) is None
    edits.undo(database)
    assert flag_of(database, 1) == "about my boat"
    edits.undo(database)
    assert flag_of(database, 1) == "hub"


# --- merges ---------------------------------------------------------------------------------------


def test_a_merged_concept_has_the_others_name(database):
    edits.merge(database, 3, 0)
    names = Concepts(database)
    assert (names[3], names.trust(3)) == ("kite festival", Trust.HOLDS)
    assert edits.merge(database, 3, 0) is None


def test_no_concept_is_ever_merged_into_one_that_is_merged(database):
    edits.merge(database, 1, 0)
    edits.merge(database, 2, 1)  # 1 means 0, so 2 does
    assert merged(database) == {1: 0, 2: 0}
    edits.merge(database, 0, 4)  # 1 and 2 follow
    assert merged(database) == {0: 4, 1: 4, 2: 4}
    assert {Concepts(database)[latent] for latent in (0, 1, 2, 4)} == {"bread"}
    edits.undo(database)
    assert merged(database) == {1: 0, 2: 0}


def test_a_concept_that_is_merged_can_be_merged_into_another(database):
    edits.merge(database, 1, 0)
    edits.merge(database, 1, 4)
    assert merged(database) == {1: 4}
    edits.undo(database)
    assert merged(database) == {1: 0}


def test_two_concepts_are_not_merged_into_each_other(database):
    with pytest.raises(BadData, match="latent 1 cannot be merged into latent 1: they are one"):
        edits.merge(database, 1, 1)
    edits.merge(database, 1, 0)
    with pytest.raises(BadData, match="latent 1 is merged into latent 0 already; see: unweave concepts history"):
        edits.merge(database, 0, 1)
    edits.merge(database, 2, 1)
    with pytest.raises(BadData, match="latent 2 is merged into latent 0 already"):
        edits.merge(database, 0, 2)


@pytest.mark.parametrize("change", [lambda db: edits.rename(db, 1, "ships"), lambda db: edits.lock(db, 1)])
def test_a_merged_concept_takes_no_name_of_its_own(database, change):
    edits.merge(database, 1, 0)
    with pytest.raises(BadData, match="latent 1 is merged into latent 0 and has its name; name latent 0, or undo"):
        change(database)
    assert edits.flag(database, 1, "a remark") is not None


# --- history --------------------------------------------------------------------------------------


def test_undoing_the_last_again_and_again_goes_back_step_by_step(database):
    before = rows(database)
    edits.rename(database, 0, "kites")
    edits.flag(database, 0, "mine")
    edits.merge(database, 1, 0)
    assert [edits.undo(database).action for _ in range(3)] == ["merge", "flag", "rename"]
    assert rows(database) == before
    assert [edit.undone for edit in edits.history(database)] == [True] * 3
    with pytest.raises(BadData, match="there is no edit to undo; see: unweave concepts history"):
        edits.undo(database)


def test_an_edit_is_undone_by_its_number_where_no_later_one_builds_on_it(database):
    edits.rename(database, 0, "kites")
    edits.flag(database, 0, "mine")
    edits.rename(database, 1, "ships")
    undone = edits.undo(database, 1)
    assert (undone.number, undone.undone) == (1, True)
    names = Concepts(database)
    assert (names[0], names[1], flag_of(database, 0)) == ("kite festival", "ships", "mine")


@pytest.mark.parametrize(("number", "said"), [(1, "edit 1 is undone already"), (2, "there is no edit 2")])
def test_an_edit_that_is_undone_or_was_never_made_is_not_undone(database, number, said):
    edits.rename(database, 0, "kites")
    edits.undo(database)
    with pytest.raises(BadData, match=f"{said}; see: unweave concepts history"):
        edits.undo(database, number)


BUILDING = {
    "a name on a name": [("rename", 0, "kites"), ("rename", 0, "toys")],
    "a lock on a name's loss": [("rename", 0, "kites"), ("unlock", 0)],
    "a remark on a remark": [("flag", 0, "one"), ("flag", 0, "two")],
    "a merge that moves a follower": [("merge", 1, 0), ("merge", 0, 4)],
    "a merge of the same": [("merge", 1, 0), ("merge", 1, 4)],
    "a merge that went through it": [("merge", 1, 0), ("merge", 2, 1)],
}


@pytest.mark.parametrize("made", BUILDING.values(), ids=BUILDING)
def test_an_edit_that_a_later_one_builds_on_is_not_undone_first(database, made):
    for action, *arguments in made:
        assert getattr(edits, action)(database, *arguments) is not None
    before = rows(database)
    with pytest.raises(BadData, match=r"edit 1 .* cannot be undone before edit 2 .*; undo edit 2 first"):
        edits.undo(database, 1)
    assert rows(database) == before
    edits.undo(database, 2)
    edits.undo(database, 1)


def test_undoing_a_merge_never_merges_into_a_concept_that_is_merged_by_now(database):
    edits.merge(database, 1, 0)
    edits.merge(database, 1, 4)  # away from 0 again
    edits.merge(database, 0, 3)  # so 1 does not follow
    with pytest.raises(BadData, match=r"edit 2 .* cannot be undone before edit 3"):
        edits.undo(database, 2)


INDEPENDENT = {
    "another latent's name": [("rename", 0, "kites"), ("rename", 1, "ships")],
    "a remark on what was named": [("rename", 0, "kites"), ("flag", 0, "mine")],
    "another merge into the same": [("merge", 1, 0), ("merge", 2, 0)],
    "a merge of what was named": [("rename", 1, "ships"), ("merge", 1, 0)],
}


@pytest.mark.parametrize("made", INDEPENDENT.values(), ids=INDEPENDENT)
def test_independent_edits_are_undone_in_any_order(database, made):
    before = rows(database)
    for action, *arguments in made:
        getattr(edits, action)(database, *arguments)
    edits.undo(database, 1)
    edits.undo(database, 2)
    assert rows(database) == before


def test_the_history_of_one_latent_is_what_was_done_to_it(database):
    edits.rename(database, 0, "kites")
    edits.flag(database, 1, "mine")
    edits.rename(database, 0, "toys")
    assert [edit.number for edit in edits.history(database, 0)] == [1, 3]
    assert edits.history(database, 4) == []


def test_a_number_is_not_given_twice(database):
    edits.rename(database, 0, "kites")
    edits.undo(database)
    assert edits.rename(database, 0, "kites").number == 2


_latents = st.integers(0, 4)
_words = st.sampled_from(["kites", "ships", "dough"])
_undos = st.tuples(st.just("undo"), st.none() | st.integers(1, 6))
_merges = st.tuples(st.just("merge"), _latents, _latents)
_steps = st.one_of(
    st.tuples(st.just("rename"), _latents, _words, st.sampled_from(["", "A sentence."])),
    st.tuples(st.sampled_from(["lock", "unlock"]), _latents),
    st.tuples(st.just("flag"), _latents, st.none() | _words),
    _merges,
    _undos,
)


@settings(max_examples=100)
@given(st.lists(_merges | _steps, min_size=2, max_size=14))
def test_undoing_all_edits_brings_back_every_row_and_merges_stay_flat(steps):
    with tempfile.TemporaryDirectory() as folder:
        database = make(Path(folder) / store.DATABASE)
        before = rows(database)
        for action, *arguments in steps:
            there = rows(database)
            try:
                edit = getattr(edits, action)(database, *arguments)
            except BadData:
                edit = None
            assert edit is not None or rows(database) == there
            assert not set(merged(database).values()) & merged(database).keys()
            dict(Concepts(database))
        for edit in reversed(edits.history(database)):
            if not edit.undone:
                edits.undo(database, edit.number)
                assert not set(merged(database).values()) & merged(database).keys()
        assert rows(database) == before


# --- all or none ----------------------------------------------------------------------------------


def test_edits_that_share_a_transaction_are_all_made_or_none(database):
    before = rows(database)
    with pytest.raises(BadData, match="latent 99 never fired"), edits.transaction(database) as db:
        edits.rename(db, 0, "kites")
        edits.merge(db, 1, 0)
        edits.rename(db, 99, "nothing")
    assert (rows(database), edits.history(database)) == (before, [])
    with edits.transaction(database) as db:
        edits.rename(db, 0, "kites")
        edits.undo(db)
        edits.merge(db, 1, 0)
    assert (Concepts(database)[1], merged(database)) == ("kite festival", {1: 0})


def test_a_database_that_another_is_writing_is_said_to_be_in_use(database, monkeypatch):
    monkeypatch.setattr("unweave.concepts.database._PATIENCE", 0.01)
    with edits.transaction(database):
        with pytest.raises(ArtifactInUse, match=r"sqlite is being written by another program .* wait"):
            edits.rename(database, 0, "kites")
        assert Concepts(database)[0] == "kite festival"  # reading goes on
    assert edits.rename(database, 0, "kites") is not None


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", [-1, 5, 2**63, 2**200])
@pytest.mark.parametrize(
    "change",
    [
        lambda db, latent: edits.rename(db, latent, "name"),
        edits.lock,
        edits.unlock,
        lambda db, latent: edits.flag(db, latent, None),
        lambda db, latent: edits.merge(db, latent, 0),
        lambda db, latent: edits.merge(db, 0, latent),
        edits.history,
    ],
)
def test_a_latent_without_a_concept_is_refused(database, change, latent):
    said = f"latent {latent} never fired or does not exist; live latents are among 0..4: unweave concepts list"
    with pytest.raises(BadData, match=f"^{said}$"):
        change(database, latent)
    assert edits.history(database) == []


def test_where_there_are_no_concepts_that_is_said(tmp_path):
    store.create(tmp_path / store.DATABASE)
    assert str(edits.no_concept(tmp_path / store.DATABASE, 3)) == (
        "latent 3 never fired or does not exist; there are none yet: unweave concepts list"
    )


@pytest.mark.parametrize("words", ["", " \n\t", "\x00\x1b\u202e", "\ud800"])
def test_words_of_which_nothing_can_be_seen_are_refused(database, words):
    with pytest.raises(BadData, match="the name is empty; expected a few words"):
        edits.rename(database, 0, words)
    with pytest.raises(BadData, match="the remark is empty; expected a few words"):
        edits.flag(database, 0, words)


def test_words_that_are_too_long_are_refused_and_never_cut(database):
    with pytest.raises(BadData, match=r"^the name has 61 characters, expected at most 60: x{39}…$"):
        edits.rename(database, 0, "x" * 61)
    with pytest.raises(BadData, match=r"^the description has 501 characters, expected at most 500: "):
        edits.rename(database, 0, "kites", "x" * 501)
    with pytest.raises(BadData, match=r"^the remark has 61 characters, expected at most 60: "):
        edits.flag(database, 0, "x" * 61)
    assert edits.rename(database, 0, "x" * 60, "y" * 500) is not None


def test_control_characters_do_not_reach_the_database(database):
    edits.rename(database, 0, "\x1b[31mred\x00\u202e kites\r\n", "one\u2028two\ufeff")
    edits.flag(database, 0, "\x07mine\tnow")
    concept = Concepts(database).concept(0)
    assert (concept.name, concept.namings[0].description, concept.flag) == ("[31mred kites", "one two", "mine now")


def test_quotes_and_other_scripts_are_kept_as_they_are(database):
    name = 'baker\'s "rise"; DROP TABLE names -- 風車 می‌خواهم'
    edits.rename(database, 0, name)
    assert Concepts(database)[0] == name
    edits.rename(database, 0, "kites")
    edits.undo(database)
    assert Concepts(database)[0] == name


# --- carried to another database ------------------------------------------------------------------


def edited(database: Path) -> None:
    """A name, a lost name, remarks, merges, one of each undone."""
    edits.rename(database, 0, "kites", "Paper.")
    edits.rename(database, 1, "ships")
    edits.unlock(database, 1)
    edits.flag(database, 1, None)
    edits.flag(database, 4, "mine")
    edits.flag(database, 3, "not mine")
    edits.undo(database)
    edits.merge(database, 3, 2)
    edits.merge(database, 2, 0)
    edits.merge(database, 4, 0)
    edits.undo(database)


def test_edits_are_carried_over_with_their_history_and_can_be_undone_there(database, tmp_path):
    new = make(tmp_path / "new.sqlite")
    unedited = rows(new)
    edited(database)
    store.add_scores(database, [(0, PERSON, Score("detection", 0.6, 0.5, 0.7, 20))])
    assert edits.carry_over(database, new) == []
    assert edits.history(new) == edits.history(database)
    assert rows(new) == rows(database)
    assert edits.carry_over(database, new) == []
    assert rows(new) == rows(database)
    while any(not edit.undone for edit in edits.history(new)):
        edits.undo(new)
    assert rows(new) == unedited


def test_the_other_databases_own_edits_are_replaced(database, tmp_path):
    new = make(tmp_path / "new.sqlite")
    edits.rename(new, 4, "dough")
    edits.flag(new, 4, "mine")
    edits.merge(new, 1, 0)
    edits.rename(database, 0, "kites")
    edits.carry_over(database, new)
    assert rows(new) == rows(database)
    assert edits.history(new) == edits.history(database)


def test_edits_that_were_undone_since_are_not_carried_over_again(database, tmp_path):
    new = make(tmp_path / "new.sqlite")
    edits.flag(database, 4, "mine")
    edits.merge(database, 3, 2)
    edits.rename(database, 0, "kites")
    edits.carry_over(database, new)
    for _ in range(3):
        edits.undo(database)
    edits.carry_over(database, new)
    assert rows(new) == rows(database)


def test_edits_of_latents_that_are_gone_stay_behind_and_are_counted(database, tmp_path):
    edits.merge(database, 1, 4)  # into one that is gone: stays behind
    edits.merge(database, 1, 0)  # undoing it there must not bring back what it was merged into
    edits.merge(database, 4, 0)  # of one that is gone
    edits.merge(database, 2, 4)  # asked for one that is gone, but 0 is meant
    edits.flag(database, 4, "mine")
    new = make(tmp_path / "new.sqlite", range(4))
    assert len(edits.carry_over(database, new)) == 3
    assert [edit.number for edit in edits.history(new)] == [2, 4]
    assert merged(new) == {1: 0, 2: 0}
    edits.undo(new)
    edits.undo(new)
    assert merged(new) == {}
    assert Concepts(new)[1] == "boats"


def test_a_follower_that_is_gone_does_not_keep_a_merge_behind(database, tmp_path):
    edits.merge(database, 4, 1)
    edits.merge(database, 1, 0)  # 4 follows
    new = make(tmp_path / "new.sqlite", range(4))
    assert len(edits.carry_over(database, new)) == 1
    assert merged(new) == {1: 0}
    assert edits.history(new)[0].before == {"merged_into": {"1": None}}


def test_no_merge_comes_over_without_the_edit_that_undoes_it(database, tmp_path):
    edits.merge(database, 1, 4)
    edits.merge(database, 4, 0)  # moves 1 along, but is an edit of 4, which is gone
    new = make(tmp_path / "new.sqlite", range(4))
    assert len(edits.carry_over(database, new)) == 2
    assert (merged(new), edits.history(new)) == ({}, [])


def test_carrying_over_is_all_or_none(database, tmp_path, monkeypatch):
    edits.rename(database, 0, "kites")
    edits.flag(database, 1, "mine")
    new = make(tmp_path / "new.sqlite")
    before = rows(new)

    def fail(*_):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(edits, "_put", fail)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        edits.carry_over(database, new)
    assert (rows(new), edits.history(new)) == (before, [])


@settings(max_examples=100)
@given(st.lists(_merges | _undos, min_size=3, max_size=12), st.sets(_latents, min_size=3, max_size=4))
def test_merges_that_were_carried_over_can_always_be_read_and_undone(steps, live):
    with tempfile.TemporaryDirectory() as folder:
        database = make(Path(folder) / store.DATABASE)
        new = Path(folder) / "new.sqlite"
        shutil.copy(database, new)
        with writing(new) as db:
            gone = sorted(set(range(5)) - live)
            for table in ("concepts", "names", "scores"):
                db.executemany(f"DELETE FROM {table} WHERE latent = ?", [(latent,) for latent in gone])
        before = rows(new)
        for action, *arguments in steps:
            try:
                getattr(edits, action)(database, *arguments)
            except BadData:
                continue
        edits.carry_over(database, new)
        assert merged(new).items() <= merged(database).items()
        dict(Concepts(new))
        for edit in reversed(edits.history(new)):
            if not edit.undone:
                edits.undo(new, edit.number)
            dict(Concepts(new))
            assert not set(merged(new).values()) & merged(new).keys()
        assert rows(new) == before
