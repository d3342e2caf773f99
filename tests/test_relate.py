"""Remarks, and what is stored of how concepts relate: in a project small enough to check by hand."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import click
import numpy as np
import pytest
from click.testing import CliRunner
from scipy.sparse import csr_array

from conftest import save_latents
from unweave.base.building import build
from unweave.base.records import Hit, Passage
from unweave.cli.families import carrying as carrying_command
from unweave.cli.families import families as families_command
from unweave.cli.families import paths as paths_command
from unweave.cli.families import prevalent as prevalent_command
from unweave.concepts import store
from unweave.concepts.concept import Concept, Naming, Related
from unweave.concepts.database import writing
from unweave.concepts.relations import flags
from unweave.concepts.relations.stored import Family, RelatedSummary, stored_families, stored_parents
from unweave.concepts.relations.ties import Nearest
from unweave.concepts.store import Concepts
from unweave.config import SAEConfig
from unweave.errors import BadData
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.stages.relate import passage_paths, prevalent, relate
from unweave.texts.collection import Collection

COMMANDS = (families_command, paths_command, prevalent_command, carrying_command)

# --- remarks ---------------------------------------------------------------------------------------


def test_a_generic_concept_is_in_many_passages_and_far_more_frequent_than_others():
    # 20 live latents of 1,000 texts: one in 600, the others in 10 or 55 each.
    rare, frequent = np.array([0, 600, *[10] * 19]), np.array([0, 600, *[55] * 19])
    assert np.flatnonzero(flags.is_generic(rare, 1000)).tolist() == [1]  # 600 > 10 * (600 + 190) / 20 = 395
    assert not flags.is_generic(frequent, 1000).any()  # 600 < 10 * (600 + 1,045) / 20 = 822
    assert not flags.is_generic(rare, 20_000).any()  # 600 of 20,000 is 3 %
    assert not flags.is_generic(np.zeros(3, np.int64), 10).any()


def test_a_hub_is_near_to_most_others():
    # Latent 99 is the neighbour of all 98 others but one; it, and latent 1, are nearest to latent 0.
    latents = np.arange(100)
    others = np.full((100, 1), 99)
    others[[1, 99]] = 0
    nearest = Nearest(latents, others, np.ones((100, 1), np.float32))
    assert np.flatnonzero(flags.is_hub(nearest)).tolist() == [99]
    ring = Nearest(latents, np.roll(latents, 1)[:, None], np.ones((100, 1), np.float32))
    assert not flags.is_hub(ring).any()
    assert not flags.is_hub(Nearest(latents[:0], others[:0], np.ones((0, 1), np.float32))).any()


COPIES = [f"Order number {n} has left our store, and will soon be with you." for n in range(5)]
SHARED_RUN = [
    f"{subject} All rights reserved, no part may be copied without leave."
    for subject in (
        "A sea of stars shines.",
        "Bread wants time.",
        "Two ships met at dawn.",
        "He sings.",
        "No wind today?",
    )
]
VARIED = [
    "Bread wants time.",
    "Two ships met at dawn.",
    "No wind today?",
    "He sings of old oak.",
    "Iron rusts in rain.",
]


def test_boilerplate_is_near_copies_or_a_long_run_of_words():
    assert flags.is_boilerplate(COPIES)
    assert flags.is_boilerplate(SHARED_RUN)
    assert flags.is_boilerplate([*SHARED_RUN[:4], VARIED[0]])  # four of five
    assert not flags.is_boilerplate([*SHARED_RUN[:3], *VARIED[:2]])
    assert not flags.is_boilerplate(VARIED)
    assert not flags.is_boilerplate(COPIES[:4])  # four texts say nothing
    assert not flags.is_boilerplate(["", "…", "", " ", "?"])


@pytest.fixture
def database(tmp_path):
    """Concepts 0 to 4, not flagged."""
    file = tmp_path / store.DATABASE
    store.create(file)
    store.add(file, [Concept(latent, 1, 1.0) for latent in range(5)])
    return file


def flags_in(database) -> dict[int, str | None]:
    with writing(database) as db:
        return dict(db.execute("SELECT latent, flag FROM concepts").fetchall())


def edit(database, action: str, latent: int, flag: str | None, undone: int = 0) -> None:
    with writing(database) as db:
        db.execute("UPDATE concepts SET flag = ? WHERE latent = ?", (flag, latent))
        db.execute(
            "INSERT INTO edits (made, action, latent, before, after, undone) VALUES ('', ?, ?, '', '', ?)",
            (action, latent, undone),
        )


def test_measured_remarks_replace_measured_ones(database):
    flags.keep(database, {0: flags.HUB, 1: flags.GENERIC})
    flags.keep(database, {1: flags.BOILERPLATE, 2: flags.HUB, 99: flags.HUB})
    assert flags_in(database) == {0: None, 1: "boilerplate", 2: "hub", 3: None, 4: None}


def test_a_persons_remark_or_their_removal_of_one_stays(database):
    flags.keep(database, {0: flags.HUB, 1: flags.HUB, 3: flags.HUB})
    edit(database, "flag", 0, None)  # a person took the remark away
    edit(database, "flag", 1, "generic")  # a person said what a measurement could have said
    edit(database, "flag", 2, "about my cat")
    edit(database, "flag", 3, "hub", undone=1)
    edit(database, "rename", 4, None)
    flags.keep(database, dict.fromkeys(range(5), flags.BOILERPLATE))
    assert flags_in(database) == {0: None, 1: "generic", 2: "about my cat", 3: "boilerplate", 4: "boilerplate"}


# --- a project -------------------------------------------------------------------------------------

# Latents of 24 passages: 0 stars in passages 0-11, 1 "star" in 0-5, 2 comets in 6-10, 3 boats in 12-19, 4 is dead,
# 5 a form of words in 12-18, and 6 is active in sentences only.
STARS, STAR, COMETS, BOATS, DEAD, FORM, OF_SENTENCES = range(7)
_WHERE = {STARS: range(12), STAR: range(6), COMETS: range(6, 11), BOATS: range(12, 20), FORM: range(12, 19)}
_NAMES = {STARS: "stars", STAR: "Star", COMETS: "comets", BOATS: None, FORM: "order", OF_SENTENCES: "rain"}


def make_project(path, variant: str = "batch_topk") -> Project:
    words = ["sky", "oak", "salt", "iron", "song", "mill"]
    passages = [Passage(f"p{n}", f"T{n}", f"{words[n % 6]} {n} " + (COPIES[0] if n in _WHERE[FORM] else ""))
                for n in range(24)]  # fmt: skip
    project = Project.create(path, Collection(passages=passages))
    rows = np.zeros((24, 7), np.float32)
    for latent, active in _WHERE.items():
        rows[active, latent] = 1 + np.arange(len(active))
    directions = np.eye(7, dtype=np.float32)
    directions[[STAR, COMETS, BOATS], [STARS, STARS, STARS]] = 0.5, 0.4, 0.01
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    zeros = np.zeros(7, np.float32)
    sae = SAE(SAEConfig(d_in=7, n_latents=7, k=2), directions, zeros, directions, zeros, np.zeros(1, np.float32))
    sae.save(path / "sae", training={"variant": variant})
    save_latents(path / "latents", csr_array(rows))
    mutable = frozenset({store.DATABASE})
    with build(path / "concepts", store.KIND, settings={}, made_from={}, mutable=mutable) as made:
        store.create(made.path / store.DATABASE)
        frequency = {latent: len(_WHERE.get(latent, ())) for latent in _NAMES}
        store.add(
            made.path / store.DATABASE,
            [Concept(j, frequency[j], 1.0, (Naming("keyphrases", name),)) for j, name in _NAMES.items()],
        )
    return project


@pytest.fixture
def project(tmp_path) -> Project:
    return make_project(tmp_path / "project")


def test_relations_of_a_small_project_by_hand(project):
    # Stars and star meet in 6 of 24 texts: npmi ln(24 / 12) / ln(24 / 6) = .5; stars and comets in 5: .44;
    # boats and the form of words in 7: ln(24 * 7 / (8 * 7)) / ln(24 / 7) = .89. Stars and star are also alike in
    # name and near. The 6 concepts have 5 neighbours each; the dead latent is no concept.
    summary = relate(project)
    assert summary == RelatedSummary(
        neighbours=30, co_occurring=6, duplicates=1, families=2, in_families=5, with_parents=2, generic=0,
        boilerplate=2, hubs=0,
    )  # fmt: skip
    star = project.concepts.concept(STAR)
    by_relation = {one.relation: one for one in star.related if one.relation != "neighbour"}
    cosine = pytest.approx(0.5 / np.sqrt(1.25))
    assert by_relation == {
        "co-occurring": Related("co-occurring", STARS, pytest.approx(0.5)),
        "duplicate": Related("duplicate", STARS, cosine),
        "family": Related("family", STARS, pytest.approx(0.5)),
        "parent": Related("parent", STARS, 1.0),
    }
    assert next(one for one in star.related if one.relation == "neighbour") == Related("neighbour", STARS, cosine)
    assert stored_parents(project.concepts.database) == {STAR: STARS, COMETS: STARS}
    form = pytest.approx(np.log(3) / np.log(24 / 7))
    comets = pytest.approx(np.log(2) / np.log(24 / 5))
    assert stored_families(project.concepts.database) == [
        Family(STARS, (STAR, COMETS), (pytest.approx(0.5), comets)),
        Family(BOATS, (FORM,), (form,)),
    ]
    assert {j: flag for j, flag in flags_in(project.concepts.database).items() if flag} == {
        FORM: "boilerplate",
        BOATS: "boilerplate",
    }


def test_relating_again_changes_nothing(project):
    def dump() -> list[str]:
        with closing(sqlite3.connect(project.concepts.database)) as db, db:
            return list(db.iterdump())

    relate(project)
    before = dump()
    assert relate(project) == relate(project, project.concepts.database)
    assert dump() == before


def test_the_place_in_a_matryoshka_dictionary_decides_who_is_more_general(tmp_path):
    # Of 7 latents, the parts end at 0, 0, 1, 3 and 7: 0 is of the third, 1 and 2 of the fourth, 3 to 6 of the last.
    made = make_project(tmp_path / "project", variant="matryoshka")
    relate(made)
    assert stored_parents(made.concepts.database) == {STAR: STARS, COMETS: STARS}
    rows = np.zeros((24, 7), np.float32)
    rows[:6, STARS] = rows[:12, STAR] = 1  # the more frequent one is of the later part
    save_latents(made.path / "latents", csr_array(rows))
    relate(Project.open(made.path))
    assert stored_parents(made.concepts.database) == {STAR: STARS}


def test_concepts_that_nothing_activates_relate_to_nothing(project):
    save_latents(project.path / "latents", csr_array((24, 7), dtype=np.float32))
    summary = relate(project)
    assert summary._replace(neighbours=0, duplicates=0) == RelatedSummary(*[0] * 9)
    assert stored_families(project.concepts.database) == []
    assert passage_paths(project, "p0") == []


def test_a_passages_paths_and_a_passage_that_is_not_there(project):
    relate(project)
    (only,) = passage_paths(project, "p3")
    assert (only.latents, only.activations) == ((STARS, STAR), (4.0, 4.0))
    assert [path.latents for path in passage_paths(project, "p12")] == [(BOATS,), (FORM,)]
    with pytest.raises(BadData, match="the corpus has no passage with the id 'nowhere'"):
        passage_paths(project, "nowhere")


def found(project: Project, positions: range) -> list[Hit]:
    return [Hit(rank, 1.0, project.corpus[position]) for rank, position in enumerate(positions, 1)]


def test_what_found_passages_are_about(project):
    first, second = prevalent(project, found(project, range(6)))
    assert (first.latent, first.n_hits, first.passages) == (STAR, 6, (5, 4, 3))
    assert (second.latent, second.lift) == (STARS, pytest.approx(2))
    assert prevalent(project, []) == []


# --- the command line ------------------------------------------------------------------------------


@pytest.fixture
def run():
    group = click.Group(commands={command.name: command for command in COMMANDS})

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(group, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_families_are_shown_with_trust_and_number(project, run):
    assert f"run: unweave name {project.path}" in run("families", project.path)
    relate(project)
    lines = run("families", project.path).splitlines()
    assert lines[:2] == ["   3  · stars  #0", "        0.50  · Star  #1"]
    assert lines[3] == "   2  (unnamed)  #3"
    shown = json.loads(run("families", project.path, "--top", 1, "--json"))
    assert shown["n_families"] == 2
    assert [family["head"] for family in shown["families"]] == [
        {"latent": 0, "name": "stars", "trust": "unscored", "returns": None}
    ]
    assert [member["latent"] for member in shown["families"][0]["members"]] == [1, 2]


def test_paths_are_shown_from_coarse_to_fine(project, run):
    relate(project)
    assert run("paths", project.path, "p3") == "  8.000  · stars  #0 > · Star  #1\n"
    shown = json.loads(run("paths", project.path, "p3", "--json"))
    assert [concept["activation"] for concept in shown["paths"][0]["concepts"]] == [4.0, 4.0]
    assert "this passage activates no concept" in run("paths", project.path, "p23")


def test_a_concept_on_the_way_that_is_silent_stands_in_brackets(project, run):
    relate(project)
    store.replace_related(project.concepts.database, ["parent"], [(STARS, Related("parent", FORM, 1.0))])
    output = run("paths", project.path, "p11")
    assert output.splitlines()[0] == " 12.000  (· order  #5) > · stars  #0"
    assert "in brackets: concepts on the way that the passage does not activate" in output


def test_prevalent_concepts_of_a_query_are_shown_with_their_proof(project, run, monkeypatch):
    hits = found(project, range(6))
    monkeypatch.setattr(Project, "search", lambda self, query, cutoff: hits[:cutoff])
    output = run("prevalent", project.path, "stars", "--top", 1).splitlines()
    assert output[:2] == ["  6 of 6      4.0 x  · Star  #1", "       T5  [p5]"]
    shown = json.loads(run("prevalent", project.path, "stars", "--json"))
    assert (shown["n_hits"], shown["concepts"][0]["latent"]) == (6, STAR)
    assert [proof["passage_id"] for proof in shown["concepts"][0]["passages"]] == ["p5", "p4", "p3"]
    assert "no concept sets the found passages apart" in run("prevalent", project.path, "x", "--cutoff", 1)


def test_names_lose_control_characters_on_their_way_to_a_terminal(project, run):
    store.add_namings(project.concepts.database, [(STARS, Naming("keyphrases", "\x1b[31mred"))])
    relate(project)
    assert Concepts(project.concepts.database)[STARS] == "\x1b[31mred"
    assert "\x1b" not in run("families", project.path)


def test_every_command_has_help(run):
    for command in COMMANDS:
        assert command.help
        assert all(option.help for option in command.params if isinstance(option, click.Option))
