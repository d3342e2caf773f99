"""Two models of the same passages: their concepts matched, and the queries that they answer differently."""

from __future__ import annotations

import json
from math import fsum
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import save_latents
from unweave.base.building import build
from unweave.base.records import Passage, Query, Trust
from unweave.cli.models import models
from unweave.concepts import edits, store
from unweave.concepts.concept import Concept, Naming
from unweave.concepts.relations.kinds import Kind
from unweave.errors import BadData, MissingArtifact
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.stages.models import compare_models
from unweave.texts.collection import Collection

AXES = np.eye(3, dtype=np.float32)
TEXTS = [*(f"tide {i}" for i in range(6)), *(f"loan {i}" for i in range(6)), *(f"bread {i}" for i in range(6))]
"""Six texts on each axis of the first model: tides on 0, loans on 1, bread on 2."""
FIRST, TURNED = AXES[np.repeat([0, 1, 2], 6)], AXES[np.repeat([1, 0, 2], 6)]
"""The other model has tides on axis 1 and loans on axis 0."""
NAMES = ["zero", "one", "two"]
QUERIES = [Query("q0", "which tide"), Query("q1", "what loan"), Query("q2", "both")]
QRELS = {"test": {"q0": {"p0": 1, "p6": 0}, "q2": {"p0": 0, "p6": 2}}}


def made(
    folder: Path, sae: SAE, rows: np.ndarray, queries: np.ndarray, texts: list[str] = TEXTS, *, first: int = 0
) -> Project:
    """A project of these texts, p0 and on, with embeddings that are read by this SAE; the first three have names."""
    passages = [Passage(f"p{i}", "", text) for i, text in enumerate(texts, first)]
    asked = QUERIES[: len(queries)]
    project = Project.create(
        folder, Collection(passages=passages, queries=asked, qrels=QRELS if len(asked) == 3 else {})
    )
    for of, vectors in (("passages", rows), ("queries", queries)):
        if len(vectors):
            np.save(folder.with_suffix(f".{of}.npy"), vectors)
            project.bring_embeddings(of, folder.with_suffix(f".{of}.npy"))
    sae.save(folder / "sae")
    save_latents(folder / "latents", sae.encode(rows))
    mutable = frozenset({store.DATABASE})
    with build(folder / "concepts", store.KIND, settings={}, made_from={}, mutable=mutable) as made:
        database = made.path / store.DATABASE
        store.create(database)
        store.add(database, [Concept(j, 6, 1.0, (Naming("keyphrases", name),)) for j, name in enumerate(NAMES)])
    return Project.open(folder)


def vectors(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def two(tmp_path_factory, identity_sae) -> list[Project]:
    """Both answer q1 alike. Of q0 the first model finds tides, the other loans; of q2 it is the other way round."""
    folder = tmp_path_factory.mktemp("models")
    one = made(folder / "one", identity_sae, FIRST, vectors([0.8, 0.6, 0], [0.6, 0.8, 0], [0, 1, 0]))
    other = made(folder / "other", identity_sae, TURNED, vectors([0.8, 0.6, 0], [1, 0, 0], [0, 1, 0.5]))
    return [one, other]


def test_concepts_are_matched_by_their_passages_whatever_their_numbers(two):
    found = compare_models(*two)
    assert found.passages == (18, 0, 0, 0)
    assert {(row.ones[0].latent, row.others[0].latent) for row in found.of_kind(Kind.MATCHED)} == {
        (0, 1),
        (1, 0),
        (2, 2),
    }
    assert found.one.kinds == found.other.kinds == dict.fromkeys(Kind, 0) | {Kind.MATCHED: 3}
    assert found.fates[0][0].counterparts == ((1, "one", Trust.UNSCORED, None),)


def test_a_changed_winner_by_hand(two):
    # q0 in the first model: tides score .8 by concept 0, loans .6 by concept 1: ahead by .2 = .8 - .6.
    # In the other: loans, on axis 0, score .8, tides .6. Of q1 both find loans.
    found = compare_models(*two).queries
    assert (found.n_shared, found.n_left_out, [query.query_id for query in found.changed]) == (3, 0, ["q2", "q0"])
    query = found.changed[1]
    assert (query.text, query.one.passage_id, query.other.passage_id) == ("which tide", "p0", "p6")
    account = query.one.account
    assert (account.first.score, account.second.score, query.one.value) == pytest.approx((0.8, 0.6, 0.2))
    assert [(one.latent, round(one.difference, 6)) for one in account.concepts] == [(0, 0.8), (1, -0.6)]
    assert account.bias == 0 and account.residual == pytest.approx(0)
    # p0 is judged to be relevant for q0, p6 for q2; the first model finds p0 and p6, the other p6 and p0.
    assert [changed.right for changed in found.changed] == ["one", "one"]
    assert found.judged() == {"one": 2, "other": 0, "both": 0, "neither": 0}
    assert found.p_value() == pytest.approx(2 / 4)


def test_the_parts_of_a_lead_add_up_under_any_sae(tmp_path, random_sae):
    random = np.random.default_rng(3)
    projects = []
    for seed in (1, 2):
        sae = random_sae(seed, d_in=8)
        rows = random.normal(size=(18, 8)).astype(np.float32)
        queries = random.normal(size=(3, 8)).astype(np.float32)
        projects.append(made(tmp_path / f"project{seed}", sae, rows, queries))
    changed = compare_models(*projects).queries.changed
    assert changed
    for query in changed:
        for project, lead, loser in ((projects[0], query.one, query.other), (projects[1], query.other, query.one)):
            vector = project.embedded("queries").rows()[int(query.query_id[1:])].astype(np.float64)
            rows = project.embedded("passages").rows()
            won, lost = (rows[project.position(of.passage_id)] @ vector for of in (lead, loser))
            assert won == pytest.approx(max(rows @ vector))
            assert lead.value == pytest.approx(won - lost)
            account = lead.account
            parts = [*(one.difference for one in account.concepts), account.bias, account.residual]
            assert fsum(parts) == pytest.approx(won - lost) and account.bias == 0


def test_a_model_beside_itself_is_all_matched_and_changes_nothing(two):
    found = compare_models(two[0], two[0])
    assert found.one.kinds[Kind.MATCHED] == found.one.n_compared == 3 and found.queries.changed == []
    assert found.queries.p_value() is None


def test_only_what_both_have_is_compared_and_the_rest_is_counted(two, identity_sae, tmp_path):
    # p2 to p17 are the same but for p17, whose text differs; p18 is the other's own. Without queries there are none.
    texts = [*TEXTS[2:17], "other bread", "cake"]
    other = made(tmp_path / "less", identity_sae, np.concatenate([TURNED[2:], AXES[:1]]), vectors(), texts, first=2)
    found = compare_models(two[0], other)
    assert found.passages == (15, 2, 1, 1)
    assert (found.one.n_compared, found.one.n_rare) == (2, 1), "of six tides four are left"
    assert (found.queries.n_shared, found.queries.n_left_out) == (0, 3)
    done = CliRunner().invoke(models, [str(two[0].path), str(other.path)])
    assert "left out: 2 only in " in done.stdout and ", 1 with the same id and another text" in done.stdout
    assert "no query of the same id and text is embedded in both" in done.stdout


def test_copies_of_one_text_are_one_winner(identity_sae, tmp_path):
    # Both texts are the same, and the two models prefer another one of them.
    texts = ["tide", "tide", *TEXTS[2:]]
    rows, turned = FIRST.copy(), FIRST.copy()
    rows[2:6] *= 0.8
    turned[2:6] *= 0.8
    rows[0] *= 0.9
    turned[1] *= 0.9
    asked = vectors([1, 0, 0])
    both = [made(tmp_path / name, identity_sae, of, asked, texts) for name, of in (("one", rows), ("other", turned))]
    assert compare_models(*both).queries.changed == []


def test_what_cannot_be_compared_is_refused_with_what_to_do(two, tmp_path):
    def bare(name: str, passage: Passage) -> Project:
        return Project.create(tmp_path / name, Collection(passages=[passage]))

    with pytest.raises(BadData, match="no passage of the same id and text in common; make both from one corpus, or"):
        compare_models(two[0], bare("elsewhere", Passage("p100", "", TEXTS[0])))
    with pytest.raises(BadData, match="in common, 1 ids with another text; make both from one corpus"):
        compare_models(two[0], bare("changed", Passage("p0", "", TEXTS[1])))
    with pytest.raises(MissingArtifact, match="unnamed has no concepts yet; run: unweave name"):
        compare_models(two[0], bare("unnamed", Passage("p0", "", TEXTS[0])))


# --- the command -----------------------------------------------------------------------------------


def test_the_command_shows_the_kinds_first_then_matches_and_winners(two):
    done = CliRunner().invoke(models, [*(str(of.path) for of in two)])
    assert done.exit_code == 0, done.output
    said = done.stdout
    order = [
        "18 passages in common", "3 and 3 concepts compared", "matched ", "matched: one of each", "  1.00  ",
        "2 of 3 queries have another winner", "of 2 judged ones, the winner is relevant of ", "both  [q2]   right: ",
        "which tide  [q0]", "0.8000, 0.2000 above the other's winner =", "+0.8000  · zero  #0   = · one  #1",
        "-0.6000  · one  #1   = · zero  #0", "+0.0000  residual",
    ]  # fmt: skip
    place = -1
    for part in order:
        assert (place := said.find(part, place + 1)) >= 0, part
    assert all(line.count("#") == 2 for line in said.splitlines() if line.startswith("  1.00  "))


def test_the_json_is_what_the_text_says(two):
    done = CliRunner().invoke(models, [*(str(of.path) for of in two), "--top", "1", "--json"])
    found = json.loads(done.stdout)
    assert found["concepts"]["one"]["kinds"]["matched"] == 3 and len(found["relations"]) == 1
    assert found["relations"][0]["kind"] == "matched" and found["relations"][0]["correlation"] == pytest.approx(1)
    assert (found["queries"]["n_changed"], len(found["queries"]["changed"])) == (2, 1)
    lead = found["queries"]["changed"][0]["one"]
    account = lead["account"]
    assert account["concepts"][0]["fate"]["kind"] == "matched"
    parts = fsum(one["difference"] for one in account["concepts"])
    assert parts + account["bias"] + account["residual"] == pytest.approx(account["difference"])


def test_hostile_names_and_texts_stay_text(identity_sae, tmp_path):
    hostile = "\x1b[31mred\x1b[0m\n\u202eno"
    texts = [f"{hostile} {text}" for text in TEXTS]
    asked = vectors([0.8, 0.6, 0])
    both = [made(tmp_path / name, identity_sae, rows, asked, texts) for name, rows in (("a", FIRST), ("b", TURNED))]
    edits.rename(both[0].concepts.database, 0, hostile)
    done = CliRunner().invoke(models, [*(str(of.path) for of in both)])
    assert done.exit_code == 0, done.output
    assert not {"\x1b", "\u202e"} & set(done.stdout + done.stderr)
    assert "✓ [31mred[0m no  #0" in done.stdout
