"""The one door: every search is a system, and what it finds, says and refuses does not depend on who asks."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import unweave as uw
from unweave.base.records import Contribution, Explanation, Part
from unweave.cli import main
from unweave.concepts import edits
from unweave.errors import AccountingError, BadData, UnweaveError
from unweave.index.concept_index import ConceptIndex
from unweave.index.hits import Hits
from unweave.index.writer import IndexWriter
from unweave.project import Project
from unweave.retrieval.bm25 import BM25
from unweave.retrieval.query import EmbeddedQuery
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import Steering
from unweave.retrieval.sums import Sum, name_of, parse
from unweave.retrieval.systems import CLSR, Dense, Lexical
from unweave.stages.asked import vector_of

QUERY = "Device to generate electricity from wind"
SYSTEMS = ["BM25", "dense", "CL-SR", "CL-SR paper", "CL-SR rescored", "CL-SR then dense", "codes", "BM25 + 2 codes",
           "CL-SR + dense", "BM25 + dense by rank"]  # fmt: skip


@pytest.fixture(scope="module")
def project(project_folder) -> Project:
    return Project.open(project_folder)


@pytest.fixture
def changed(tmp_path, project_folder) -> Project:
    """The real project, to be changed."""
    shutil.copytree(project_folder, tmp_path / "project")
    return Project.open(tmp_path / "project")


def found(project: Project, system: str, query=QUERY, cutoff: int = 10) -> list[tuple[str, float]]:
    hits = project.search(query, cutoff, system=system, explain=system != "reconstructed dense")
    for hit in hits:
        if hit.explanation is not None:
            assert hit.explanation.score == hit.score
    return [(hit.passage.passage_id, hit.score) for hit in hits]


# --- names ----------------------------------------------------------------------------------------


def test_a_sum_is_read_from_its_name():
    assert parse("BM25 + 2 codes") == ({"BM25": 1.0, "codes": 2.0}, "score")
    assert parse("0.5 CL-SR rescored+dense by rank") == ({"CL-SR rescored": 0.5, "dense": 1.0}, "rank")


@given(
    st.dictionaries(
        st.sampled_from(["BM25", "dense", "CL-SR then dense", "codes"]), st.sampled_from([1.0, 0.5, 10.0]), min_size=2
    ),
    st.sampled_from(["score", "rank"]),
)  # fmt: skip
def test_a_sums_name_says_what_it_is(weights, by):
    assert parse(name_of(weights, by)) == (weights, by)


@pytest.mark.parametrize("name", ["BM25 + BM25", "BM25 +", "+", "BM25 + 0 codes", "codes by rank", "BM25 + -1 codes"])
def test_what_is_no_sum_is_refused_by_library_and_commands_alike(project, name):
    with pytest.raises(BadData):
        project.search(QUERY, system=name)
    for command in (["search", QUERY, "--system", name], ["evaluate", "--sums", name]):
        done = CliRunner().invoke(main, [command[0], str(project.path), *command[1:]])
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1), done.output


def test_one_system_is_no_sum_to_evaluate(project):
    done = CliRunner().invoke(main, ["evaluate", str(project.path), "--sums", "BM25"])
    assert done.exit_code == 1
    assert "'BM25' is no sum of systems: it takes at least two" in done.stderr


def test_every_system_of_the_table_can_be_typed(project):
    assert list(project.systems) == [
        "BM25", "dense", "reconstructed dense", "CL-SR paper", "CL-SR", "CL-SR rescored", "CL-SR then dense", "codes",
    ]  # fmt: skip
    for name in project.systems:
        assert project.systems[name].name == name
        assert len(project.search(QUERY, 3, system=name)) == 3


def test_a_system_that_is_undefined_for_a_corpus_is_not_listed_and_says_so(changed):
    shutil.rmtree(changed.path / "index" / "paper")
    assert "CL-SR paper" not in changed.systems and "CL-SR" in changed.systems
    with pytest.raises(BadData, match="CL-SR paper is undefined for this corpus"):
        changed.search(QUERY, system="CL-SR paper")
    (row,) = [row for row in changed.evaluate().rows if row.system == "CL-SR paper"]
    assert row.measures == {} and "undefined" in row.note


# --- what a query may be --------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_query_is_a_text_or_an_id_and_a_run_is_what_searches_find(project, system):
    query = project.queries.all[project.queries.judged("test")[0]]
    by_text = project.search(query.text, 7, system=system)
    by_id = project.search(uw.QueryId(query.query_id), 7, system=system)
    run = project.search_all({query.query_id: query.text, "again": query.text}, 7, system=system)
    assert [h.passage.passage_id for h in by_text] == [h.passage.passage_id for h in by_id]
    assert [h.score for h in by_text] == pytest.approx([h.score for h in by_id], rel=1e-4)
    assert run["again"] == run[query.query_id]
    assert list(run["again"]) == [h.passage.passage_id for h in by_text]
    assert list(run["again"].values()) == pytest.approx([h.score for h in by_text])


def test_all_of_a_projects_queries_are_searched_at_once(project):
    run = project.search_all(cutoff=5)
    assert list(run) == [query.query_id for query in project.queries.all]
    assert all(first >= second for hits in run.values() for first, second in pairwise(hits.values()))


def test_words_are_not_searched_by_a_vector(project):
    vector = vector_of(project, QUERY)
    assert project.search(vector, 1)[0].passage.title
    for system in ("BM25", "BM25 + codes"):
        with pytest.raises(BadData, match="by a query's text, and a vector came in"):
            project.search(vector, system=system)


@pytest.mark.parametrize("query", [np.ones(3), np.ones((1, 384)), np.zeros(384), np.full(384, np.nan)])
def test_a_vector_that_is_none_of_these_passages_is_refused(project, query):
    with pytest.raises(UnweaveError):
        project.search(query)


def test_an_unknown_query_id_is_refused(project):
    with pytest.raises(BadData, match="no query with the id 'nobody'"):
        project.search(uw.QueryId("nobody"))


def test_the_command_searches_by_id_and_by_vector(project, tmp_path):
    query = project.queries.all[0]
    np.save(tmp_path / "q.npy", vector_of(project, uw.QueryId(query.query_id)))
    asked = [["--query-id", query.query_id], ["--query-vector", str(tmp_path / "q.npy")]]
    shown = [CliRunner().invoke(main, ["search", str(project.path), *how, "--json"]) for how in asked]
    hits = [json.loads(done.stdout)["hits"] for done in shown]
    assert hits[0] == hits[1] != []


def test_all_queries_are_written_as_a_run_that_ir_measures_reads(project, tmp_path):
    import ir_measures

    done = CliRunner().invoke(main, ["search-all", str(project.path), str(tmp_path / "run.trec"), "-k", "5"])
    assert done.exit_code == 0, done.output
    read = list(ir_measures.read_trec_run(str(tmp_path / "run.trec")))
    run = project.search_all(cutoff=5)
    assert {(hit.query_id, hit.doc_id): hit.score for hit in read} == pytest.approx(
        {(query, passage): score for query, hits in run.items() for passage, score in hits.items()}
    )


# --- steering -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "steering", "name"),
    [
        ("reconstructed dense", Steering(boosts={3: 2.0}), "boosts"),
        ("CL-SR rescored", Steering(passage_k=3), "passage_k"),
        ("BM25", Steering(banned=[3]), "banned"),
        ("dense", Steering(effort=0.5), "effort"),
        ("BM25", Steering(query_k=2), "query_k"),
        ("CL-SR + codes", Steering(query_k=3), "query_k"),
    ],
)
def test_what_a_system_cannot_be_steered_by_is_refused_by_name(project, system, steering, name):
    with pytest.raises(BadData, match=f"{system.replace('+', '.')} cannot be steered by {name}"):
        project.search(QUERY, system=system, steering=steering)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_finds_only_what_is_allowed(project, system):
    allowed = np.zeros(len(project.corpus), np.bool_)
    allowed[::3] = True
    hits = project.search(QUERY, 20, system=system, steering=Steering(allowed=allowed))
    assert hits
    assert all(allowed[project.position(hit.passage.passage_id)] for hit in hits)


# --- explaining -----------------------------------------------------------------------------------


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_hit_of_every_system_is_explained_to_the_last(project, system):
    for cutoff in (1, 25, len(project.corpus)):
        hits = project.search(QUERY, cutoff, system=system, explain=True)
        assert len(hits) <= cutoff
        for hit in hits:
            assert hit.explanation is not None
            hit.explanation.check()
            assert hit.explanation.score == hit.score
        alone = project.explain(QUERY, hits[0].passage.passage_id, system=system)
        assert alone.score == pytest.approx(hits[0].score, rel=1e-5)


def test_the_lowest_hits_of_a_sum_are_explained_too(project):
    # Near a system's lowest hit its part is about 0, and its own parts are as large as ever.
    for position in project.queries.judged("test")[:60]:
        query = uw.QueryId(project.queries.all[position].query_id)
        for system in ("CL-SR + codes", "BM25 + codes", "BM25 + CL-SR"):
            assert project.search(query, 25, system=system, explain=True)


def test_a_part_that_is_wrong_is_found_however_small_the_rest():
    part = Explanation("terms", 1.0, (Contribution(0, "wind", 1.0, 1.0, 1.0),))
    whole = Explanation("sum", 1.5, (), parts=(Part("BM25", 1.0, 1, part), Part("dense", 0.5, 2, None)))
    whole.check()
    assert Explanation.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole
    with pytest.raises(AccountingError):
        Explanation("sum", 1.5, (), parts=(*whole.parts, Part("codes", 0.1, 1, None))).check()
    with pytest.raises(AccountingError):
        Explanation("sum", 1.0, (), parts=(Part("BM25", 1.0, 1, Explanation("terms", 1.0, ())),)).check()


# --- what a sum makes of few hits -----------------------------------------------------------------

TEXTS = ["the theremin is played without touch", "a violin and a bow", "a drum", "a flute of silver"]


VECTORS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.8, 0.2, 0.0]], np.float32)
THEREMIN = EmbeddedQuery("theremin", np.array([1.0, 0.0, 0.0], np.float32))


@pytest.fixture
def words_and_vectors(tmp_path, identity_sae):
    return {"BM25": Lexical(BM25.write(tmp_path / "words", TEXTS, 4)), "dense": Dense(VECTORS, identity_sae)}


def test_the_only_passage_with_a_rare_word_gets_all_of_bm25s_weight(words_and_vectors):
    # Dense prefers all others; the found minimum would make a system's only hit worth as much as none.
    hits = Sum("BM25 + dense", words_and_vectors, (1.0, 1.0)).search(THEREMIN, 4)
    # theremin: BM25 1/2 of 1, dense 1/2 of 0. violin: dense 1/2 of 1. Equal scores keep the corpus's order.
    assert hits.passages.tolist()[:2] == [0, 1]
    np.testing.assert_allclose(hits.scores[:2], [0.5, 0.5])


def test_a_sum_by_rank_by_hand(words_and_vectors):
    # Half of 1 / (60 + rank) each. The theremin is BM25's only hit and dense's last.
    both = Sum("BM25 + dense by rank", words_and_vectors, (1.0, 1.0), by="rank")
    hits = both.search(THEREMIN, 4)
    assert hits.passages.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(hits.scores, [(1 / 61 + 1 / 64) / 2, 1 / 61 / 2, 1 / 62 / 2, 1 / 63 / 2])
    first, *others = both.explain(THEREMIN, hits)
    assert [(part.system, part.rank) for part in first.parts] == [("BM25", 1), ("dense", 4)]
    assert [part.value for part in first.parts] == pytest.approx([1 / 61 / 2, 1 / 64 / 2])
    of_words = words_and_vectors["BM25"].search(THEREMIN, 4).scores.tolist()
    assert [part.explanation.score for part in first.parts] == [*of_words, 0.0], "each system's own score"
    assert [why.parts[0] for why in others] == [Part("BM25", 0.0, None, None)] * 3


def test_what_a_sum_says_of_itself(words_and_vectors):
    both = Sum("BM25 + dense", words_and_vectors, (1.0, 1.0))
    assert both.bytes_per_passage == words_and_vectors["BM25"].bytes_per_passage + 12
    assert both.lowest == 0
    many = Dense(np.repeat(VECTORS, 3, axis=0))
    assert len(Sum("dense + dense", {"one": many, "other": many}, (1.0, 1.0)).search(THEREMIN).passages) == 10


def test_a_word_that_one_passage_has_finds_it(project):
    word = next(
        word
        for passage in project.corpus
        for word in passage.text.split()
        if word.isalpha() and len(word) > 9 and len(project.search(word, 5, system="BM25")) == 1
    )
    (only,) = project.search(word, 5, system="BM25")
    hits = project.search(word, len(project.corpus), system="BM25 + codes")
    assert only.passage.passage_id in [hit.passage.passage_id for hit in hits[:2]]


def test_weights_decide_and_add_up_to_one(project):
    for name, share in (("BM25 + codes", 1 / 2), ("BM25 + 2 codes", 1 / 3), ("3 BM25 + codes", 3 / 4)):
        (hit, *_) = project.search(QUERY, 1, system=name, explain=True)
        assert hit.explanation.parts[0].value <= share * (1 + 1e-6)
    assert project.search(QUERY, 1, system="BM25 + codes")[0].score <= 1 + 1e-6


# --- an index that was changed ---------------------------------------------------------------------


def test_a_passage_that_moved_in_its_index_is_still_found_under_its_own_id(changed):
    before = found(changed, "CL-SR")
    index = changed.index_of("default")
    moved = before[0][0]
    place = changed.position(moved)
    latents = changed.latents[[place]]
    IndexWriter(index.folder).add([moved], csr_array(latents))
    IndexWriter(index.folder).compact(fully=True)
    assert changed.index_of("default").n_positions == len(changed.corpus)  # counts fit, and positions do not
    assert found(changed, "CL-SR") == [(name, pytest.approx(score, rel=1e-5)) for name, score in before]
    for system in ("CL-SR rescored", "codes", "CL-SR then dense", "CL-SR + dense", "BM25 + codes"):
        with pytest.raises(BadData, match="was changed since it was built"):
            changed.search(QUERY, system=system)
    shutil.rmtree(changed.path / "evaluation")
    with pytest.raises(BadData, match="was changed since it was built"):
        changed.evaluate()


def test_a_passage_that_only_the_index_has_is_not_shown_under_anothers_text(changed):
    index = changed.index_of("default")
    best, _ = found(changed, "CL-SR")[0]
    IndexWriter(index.folder).add(["a stranger"], csr_array(changed.latents[[changed.position(best)]]))
    hits = changed.search(QUERY, 20)
    (stranger,) = [hit.passage for hit in hits if hit.passage.passage_id == "a stranger"]
    assert (stranger.title, stranger.text) == ("", "")
    assert all(hit.passage == changed.corpus[changed.position(hit.passage.passage_id)]
               for hit in hits if hit.passage != stranger)  # fmt: skip


CHANGES = 25


@pytest.mark.parametrize("seed", range(8))
def test_an_index_changed_at_random_finds_what_one_built_anew_finds(changed, tmp_path, seed):
    """Two hundred changes in all: passages updated, deleted, added back, segments compacted."""
    random, ids = np.random.default_rng(seed), changed.corpus.ids
    writer = IndexWriter(changed.index_of("default").folder)
    row_of = dict(zip(ids, range(len(ids)), strict=True))  # whose latents each live passage has
    gone: list[str] = []
    for change in random.choice(["update", "delete", "add", "compact"], CHANGES, p=[0.4, 0.3, 0.2, 0.1]):
        if change == "compact":
            writer.compact(fully=bool(random.integers(2)))
        elif change == "delete":
            some = random.choice(list(row_of), 3, replace=False).tolist()
            writer.delete(some)
            gone += [name for name in some if row_of.pop(name) >= 0]
        else:
            source = list(row_of) if change == "update" else gone
            some = random.choice(source, min(4, len(source)), replace=False).tolist() if source else []
            rows = random.integers(len(ids), size=len(some))
            if some:
                writer.add(some, csr_array(changed.latents[rows]))
            row_of.update(zip(some, rows.tolist(), strict=True))
            gone = [name for name in gone if name not in row_of]
    rows, scoring = csr_array(changed.latents[list(row_of.values())]), changed.index_of("default").scoring
    anew = ConceptIndex.build(rows, ids=list(row_of), scoring=scoring, folder=tmp_path / "anew")
    expected = CLSR(ConceptSearcher(changed.sae, anew), changed.concepts)
    for query in changed.embedded("queries").rows(0, 4):
        hits = changed.search(query, len(ids), explain=True)
        theirs = expected.search(EmbeddedQuery(vector=query), len(ids))
        found_ids = expected.ids(theirs.passages.tolist())
        whys = dict(zip(found_ids, expected.explain(EmbeddedQuery(vector=query), theirs), strict=True))
        assert {hit.passage.passage_id for hit in hits} == whys.keys()
        for hit in hits:
            why = whys[hit.passage.passage_id]
            assert hit.score == pytest.approx(why.score, rel=1e-5)
            assert {c.latent for c in hit.explanation.contributions} == {c.latent for c in why.contributions}
    for system in ("CL-SR rescored", "CL-SR then dense", "codes", "CL-SR + dense", "BM25 + 2 codes"):
        with pytest.raises(BadData, match="was changed since it was built"):
            changed.search(QUERY, system=system)


# --- held open -------------------------------------------------------------------------------------


def test_a_rename_is_seen_by_a_project_that_is_open(changed):
    (hit, *_) = changed.search(QUERY, 1, explain=True)
    latent = hit.explanation.contributions[0].latent
    edits.rename(Project.open(changed.path).concepts.database, latent, "what turns in the wind")
    (again, *_) = changed.search(QUERY, 1, explain=True)
    assert again.explanation.contributions[0].name == "what turns in the wind"
    assert changed.concepts[latent] == "what turns in the wind"


def test_many_threads_see_one_project_while_a_person_renames(changed):
    query = vector_of(changed, QUERY)
    (first, *_) = changed.search(query, 5, explain=True)
    latent = first.explanation.contributions[0].latent
    expected = [hit.passage.passage_id for hit in changed.search(query, 5)]
    seen: list[str | None] = []

    def ask(number: int) -> None:
        if number % 10 == 5:
            edits.rename(changed.concepts.database, latent, f"name {number}")
        hits = changed.search(query, 5, system=("CL-SR", "dense", "CL-SR + codes")[number % 3], explain=True)
        if number % 3 == 0:
            assert [hit.passage.passage_id for hit in hits] == expected
            seen.append(hits[0].explanation.contributions[0].name)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(60)))
    last = edits.history(changed.concepts.database)[-1].after["naming"]["name"]  # whichever thread came last
    assert changed.search(query, 1, explain=True)[0].explanation.contributions[0].name == last
    assert None not in seen


def test_an_index_that_is_built_anew_is_searched_at_once(changed):
    before = found(changed, "CL-SR")
    shutil.rmtree(changed.path / "index" / "default")
    with pytest.raises(UnweaveError, match="index build"):
        changed.search(QUERY)
    other = Project.open(changed.path)
    other.index()
    assert found(changed, "CL-SR") == before


def test_no_hits_have_no_explanations(tmp_path):
    nothing = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    assert Lexical(BM25.write(tmp_path / "words", TEXTS, 4)).explain(EmbeddedQuery("wind"), nothing) == []
