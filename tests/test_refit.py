"""A fit that goes on from the SAE that is there: its latents keep their numbers, and what they are called."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import unit
from invoked import unweave
from unweave.base.building import build
from unweave.base.records import Passage
from unweave.concepts import edits, identity, store
from unweave.concepts.concept import DETECTION, KEPT, PERSON, Score
from unweave.concepts.database import DATABASE
from unweave.config import FitConfig, SAEConfig, TrainConfig
from unweave.errors import BadData, DimensionMismatch
from unweave.project import Project
from unweave.sae.agreement import Directions, by_number, directions_of
from unweave.sae.given import fingerprint
from unweave.sae.model import SAE, WEIGHTS
from unweave.sae.training.recipe import continued, planned
from unweave.sae.training.run import run_training
from unweave.stages.agree import compare_saes
from unweave.stages.refit import Last, Stayed, agreement_kept, planned_on, said_of, stayed
from unweave.texts.collection import Collection

SMALL = SAEConfig(d_in=16, n_latents=24, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)
STILL = TrainConfig(steps=1, batch_size=64, lr=1e-12)
"""One step that moves nothing."""


pytestmark = pytest.mark.usefixtures("one_thread")


# --- what stayed ----------------------------------------------------------------------------------


def turned(*degrees: float) -> np.ndarray:
    """Directions in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_latent_stayed_if_both_its_directions_are_near_to_what_they_were():
    # cos 25° = .906 and cos 26° = .899; the third latent reads elsewhere, the last one has no counterpart.
    before = Directions(turned(0, 0, 0, 0), turned(0, 0, 0, 0))
    now = Directions(turned(25, 26, 0), turned(0, 0, 26))
    np.testing.assert_allclose(by_number(before, now), np.cos(np.radians([25, 26, 26])), rtol=1e-6)
    assert identity.stayed(before, now).tolist() == [True, False, False]
    assert identity.stayed(now, before).tolist() == [True, False, False, False]


def test_directions_of_another_width_or_without_length_did_not_stay():
    assert not identity.stayed(Directions(np.eye(3), np.eye(3)), Directions(turned(0), turned(0))).any()
    nothing = np.zeros((1, 2), np.float32)
    assert not identity.stayed(Directions(nothing, nothing), Directions(turned(0), turned(0))).any()


def test_what_was_named_is_kept_so_that_small_moves_do_not_add_up_unseen():
    # Twice 20°: each move alone is one of cos 20° = .94, together one of cos 40° = .77.
    first, second, third = (Directions(turned(angle), turned(angle)) for angle in (0, 20, 40))
    kept = identity.stayed(first, second)
    named = identity.renewed(first, second, [0])
    assert kept.tolist() == [True]
    assert identity.stayed(second, third).tolist() == [True]
    assert identity.stayed(named, third).tolist() == [False]
    np.testing.assert_array_equal(identity.renewed(named, third, []).decoder, third.decoder)
    assert identity.renewed(None, third, [0]) is third


def test_live_latents_that_moved_are_listed_the_furthest_first(identity_sae):
    # Axis 2 is not active for the texts; axis 1 turned by 30° and axis 0 by 60°.
    axes = np.eye(3, dtype=np.float32)
    axes[0], axes[1] = [0.5, np.sqrt(0.75), 0], [np.sqrt(0.75), 0.5, 0]
    axes[1] = [-0.5, np.sqrt(0.75), 0]
    found = stayed(identity_sae, replace(identity_sae, W_enc=axes, W_dec=axes), np.float32([[2, 0, 0], [0, 2, 0]]))
    assert found == Stayed(live=2, stayed=0, moved=[0, 1])
    assert said_of(found) == "0 of 2 live latents kept their directions (cosines from 0.9 on); moved: #0, #1"
    assert said_of(Stayed(30, 10, list(range(20)))).endswith("#9 and 10 more")
    assert said_of(Stayed(2, 2, [])).endswith("(cosines from 0.9 on)")


# --- training on ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(sparse_data):
    return sparse_data(n=1200).embeddings


@pytest.fixture(scope="module")
def first(texts) -> SAE:
    return run_training(texts[:900], texts[1000:], SMALL, SHORT).sae


def test_training_on_begins_at_the_sae_and_draws_nothing(first, texts):
    begun = run_training(texts[:1000], texts[1000:], SMALL, STILL, start=first).sae
    for name in ("W_enc", "b_enc", "W_dec", "b_pre"):
        np.testing.assert_allclose(getattr(begun, name), getattr(first, name), atol=1e-6)
    other_seed = run_training(texts[:1000], texts[1000:], SMALL, replace(STILL, seed=1), start=first).sae
    np.testing.assert_allclose(other_seed.W_dec, first.W_dec, atol=1e-6)


@pytest.mark.parametrize("variant", ["topk", "jumprelu", "matching_pursuit", "matryoshka"])
def test_every_kind_is_trained_on_with_its_thresholds(texts, variant):
    config = replace(SHORT, variant=variant, steps=20)
    before = run_training(texts[:900], texts[1000:], SMALL, config).sae
    begun = run_training(texts[:900], texts[1000:], SMALL, replace(STILL, variant=variant), start=before).sae
    np.testing.assert_allclose(begun.W_dec, before.W_dec, atol=1e-6)
    np.testing.assert_allclose(begun.threshold, before.threshold, atol=1e-5)
    assert begun.measure(texts).nmse == pytest.approx(before.measure(texts).nmse, abs=1e-4)


def test_training_on_learns_the_new_texts_and_keeps_the_latents(first, sparse_data, texts):
    new = sparse_data(n=300, seed=0).embeddings[:, ::-1].copy()  # sums of other directions
    both = np.concatenate([texts[:900], new])
    on = run_training(both, texts[1000:], SMALL, replace(SHORT, steps=30, lr=5e-3), start=first).sae
    assert on.measure(new).nmse < first.measure(new).nmse
    assert (by_number(directions_of(first), directions_of(on)) > 0.9).mean() > 0.8
    anew = run_training(both, texts[1000:], SMALL, SHORT).sae
    assert (by_number(directions_of(first), directions_of(anew)) > 0.9).mean() < 0.5


def test_latents_of_ones_own_are_trained_on_beside_a_given_dictionary(first, texts):
    config = SAEConfig(d_in=16, n_latents=8, k=1)
    own = run_training(texts[:900], texts[1000:], config, SHORT, given=first).sae
    behind = SAE(config, own.W_enc[24:], own.b_enc[24:], own.W_dec[24:], own.b_pre, own.threshold[24:])
    on = run_training(texts[:1000], texts[1000:], config, STILL, given=first, start=behind).sae
    np.testing.assert_array_equal(on.W_dec[:24], first.W_dec)
    np.testing.assert_allclose(on.W_dec[24:], behind.W_dec, atol=1e-6)


@pytest.mark.parametrize("change", [{"n_latents": 23}, {"k": 3}, {"selection": "top_k"}])
def test_an_sae_of_another_shape_is_not_trained_on(first, texts, change):
    other = replace(first, config=replace(first.config, **change))
    with pytest.raises(DimensionMismatch, match="came in to train on from, and one of"):
        run_training(texts[:1000], texts[1000:], SMALL, SHORT, start=other)


def test_a_killed_training_on_goes_on_to_the_same_sae_and_from_no_other(first, texts, tmp_path, monkeypatch):
    monkeypatch.setattr("unweave.sae.training.run._CHECKPOINT_SECONDS", 0.0)
    whole = run_training(texts[:1000], texts[1000:], SMALL, SHORT, start=first).sae

    class Interrupted(Exception):
        pass

    def interrupt(report):
        if report["step"] > 20:
            raise Interrupted

    settings = {"settings": {}, "made_from": {}}
    with pytest.raises(Interrupted), build(tmp_path / "sae", "sae", **settings) as made:
        run_training(texts[:1000], texts[1000:], SMALL, SHORT, start=first, checkpoint=made, reporters=[interrupt])
    other = replace(first, b_enc=first.b_enc + np.float32(0.1))
    with build(tmp_path / "sae", "sae", **settings) as made:
        with pytest.raises(BadData, match="another configuration"):
            run_training(texts[:1000], texts[1000:], SMALL, SHORT, start=other, checkpoint=made)
        resumed = run_training(texts[:1000], texts[1000:], SMALL, SHORT, start=first, checkpoint=made).sae
    assert fingerprint(resumed) == fingerprint(whole)


def test_what_a_person_chose_is_not_made_smaller_when_it_is_trained_on():
    plan = planned(FitConfig(), 30_000, 384, "m")
    on = continued(plan, FitConfig())
    assert (on.training.steps, on.training.lr) == (plan.training.steps // 2, plan.training.lr / 2)
    assert on.sae == plan.sae
    asked = FitConfig(steps=70, lr=1e-3)
    chosen = continued(planned(asked, 30_000, 384, "m"), asked)
    assert (chosen.training.steps, chosen.training.lr) == (70, 1e-3)


def test_as_many_latents_as_there_are_are_trained_on_however_many_the_texts_would_take(first):
    last = Last(first, first, {}, [])
    plan = planned_on(last, FitConfig(k=2), None, lambda config: planned(config, 30_000, 16, "m"))
    assert plan.sae.n_latents == 24
    assert "so many texts would take 512 (--refit anew)" in plan.recipe.reasons["n_latents"]


# --- a project ------------------------------------------------------------------------------------


@pytest.fixture
def project(tiny_project_folder, tmp_path) -> Path:
    return shutil.copytree(tiny_project_folder, tmp_path / "project")


def grow(project: Path, n: int = 6) -> None:
    """Add texts to the tiny project, with vectors that are made up as its own are."""
    opened = Project.open(project)
    before = opened.embedded("passages").rows()
    words = [opened.corpus[i].text for i in range(n)]
    start = len(before)
    opened.add(Collection(passages=[Passage(f"p{start + i}", "", words[i]) for i in range(n)]))
    new = unit(np.random.default_rng(start).normal(size=(n, 8)))
    np.save(project.parent / "grown.npy", np.concatenate([before, new]))
    Project.open(project).bring_embeddings("passages", project.parent / "grown.npy")


def fit(project: Path, *options: str) -> str:
    return unweave("fit", str(project), *options).output


def test_a_fit_goes_on_from_the_sae_that_is_there_when_texts_were_added(project):
    before = Project.open(project).sae
    grow(project)
    said = fit(project)
    assert "trained on from the SAE that is there" in said
    assert "n_latents 16: as set" in said and "steps 20: as set" in said
    opened = Project.open(project)
    stated = opened.manifest("sae")
    assert stated.settings["began_from"] == [fingerprint(before)]
    assert stated.results["refit"]["live"] == stated.results["refit"]["stayed"] + len(stated.results["refit"]["moved"])
    assert f"{stated.results['refit']['stayed']} of " in said
    assert (by_number(directions_of(before), directions_of(opened.sae)) > 0.9).mean() > 0.7
    assert not any(outcome.fresh for outcome in Project.open(project).fit())
    assert opened.unapplied() == []
    shown = json.loads(unweave("fit", str(project), "--json").output)
    assert shown["sae"]["results"]["refit"] == stated.results["refit"]


def test_a_fit_that_was_killed_while_it_was_training_on_goes_on_to_the_same_sae(project, tmp_path):
    grow(project)
    other = shutil.copytree(project, tmp_path / "other")
    script = """
        import os, signal, sys
        from unweave.project import Project
        from unweave.sae.training import run

        save = run.Run._save

        def dies(self, number):
            save(self, number)
            if number > 10:
                os.kill(os.getpid(), signal.SIGKILL)

        run.Run._save, run._CHECKPOINT_SECONDS = dies, 0.0
        Project.open(sys.argv[1]).fit()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(project)]
    assert subprocess.run(command, timeout=300).returncode == -signal.SIGKILL
    before = fingerprint(SAE.load(project / "sae"))  # which is still there
    for folder in (project, other):
        Project.open(folder).fit()
    killed, whole = (Project.open(folder) for folder in (project, other))
    assert fingerprint(killed.sae) == fingerprint(whole.sae)
    assert killed.manifest("sae").settings["began_from"] == [before]


def test_anew_is_what_it_says_and_is_noticed_when_it_is_set_later(project):
    grow(project)
    fit(project)
    anew = {"fit": {"refit": "anew"}}
    assert [one.setting for one in Project.open(project, anew).unapplied()] == ["refit"]
    on = Project.open(project).sae
    said = fit(project, "--refit", "anew")
    assert "trained on" not in said.replace("texts trained on", "")
    opened = Project.open(project)
    assert "began_from" not in opened.manifest("sae").settings and "refit" not in opened.manifest("sae").results
    assert fingerprint(opened.sae) != fingerprint(on)
    assert opened.unapplied() == []
    assert not any(outcome.fresh for outcome in Project.open(project).fit())


def test_two_that_were_trained_on_from_one_are_not_taken_for_independent(project, tmp_path):
    first = tmp_path / "first"
    shutil.copytree(project / "sae", first)
    grow(project)
    fit(project)
    second = tmp_path / "second"
    shutil.copytree(project / "sae", second)
    grow(project)
    fit(project)
    assert len(Project.open(project).manifest("sae").settings["began_from"]) == 2
    for one in (first, second):
        assert compare_saes(project, one).runs.said == "one began from the other"
    assert not compare_saes(first, second).runs.independent


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--seed", "3"], "seed is 3 now, and it was made with 0"),
        (["--k", "3"], "k is 3 now, and it was made with 2"),
        (["--held-out", "0.1"], "held_out is 0.1 now, and it was made with 0.05"),
        (["--variant", "topk"], "variant is 'topk' now, and it was made with 'batch_topk'"),
        (["--n-latents", "12"], "n_latents is 12 now, and it was made with 16"),
    ],
)
def test_what_was_asked_for_otherwise_is_trained_anew_and_it_is_said_why(project, options, why):
    grow(project)
    assert f"trained anew, not on from the SAE that is there: {why}" in fit(project, *options)
    assert "began_from" not in Project.open(project).manifest("sae").settings


def test_other_settings_on_the_same_texts_are_trained_anew(project):
    grow(project)
    fit(project)
    fit(project, "--steps", "10")
    stated = Project.open(project).manifest("sae")
    assert (stated.settings["training"]["steps"], "began_from" in stated.settings) == (10, False)


def test_whether_a_twin_is_asked_for_does_not_cost_an_sae_that_went_on_its_numbers(project):
    grow(project)
    fit(project)
    on = fingerprint(Project.open(project).sae)
    for option in ("--no-twin", "--twin"):
        fit(project, option)
        assert fingerprint(Project.open(project).sae) == on
        assert Project.open(project).unapplied() == []


def test_an_sae_that_is_damaged_is_not_trained_on(project):
    weights = project / "sae" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\x42")
    grow(project)
    assert "trained on from" not in fit(project)


def test_embeddings_of_another_kind_are_noticed(project):
    opened = Project.open(project)
    mirrored = unit(np.random.default_rng(5).normal(size=(60, 8)) + 40)  # all on one side, where no text was
    np.save(project.parent / "other.npy", mirrored)
    opened.bring_embeddings("passages", project.parent / "other.npy")
    assert "explains next to nothing of these embeddings" in fit(project)


# --- names and what people said -------------------------------------------------------------------


def rewritten(project: Path, sae: SAE) -> None:
    """Put other weights in the place of the project's SAE, as made in the same way, and encode the passages with it."""
    stated = Project.open(project).manifest("sae")
    with build(project / "sae", "sae", settings=stated.settings, made_from=stated.made_from) as made:
        sae.write_weights(made.path / WEIGHTS)
        made.results.update(stated.results)
    fit(project)
    assert fingerprint(Project.open(project).sae) == fingerprint(sae)


def moved_by(project: Path, *latents: int) -> None:
    """Turn some latents of the project's SAE round, as a training might, and all others by next to nothing."""
    sae = Project.open(project).sae
    W_dec, W_enc = sae.W_dec.copy(), sae.W_enc.copy()
    for latent in latents:
        W_dec[latent], W_enc[latent] = np.roll(W_dec[latent], 3), np.roll(W_enc[latent], 3)
    rewritten(project, replace(sae, W_dec=W_dec, W_enc=W_enc * np.float32(1.01)))


def concepts(project: Path) -> dict[int, str | None]:
    return {concept.latent: concept.name for concept in Project.open(project).concepts.by_document_frequency()}


def test_names_scores_and_edits_stay_with_directions_and_leave_what_moved(project):
    database = project / "concepts" / DATABASE
    named = concepts(project)
    first, second, third, fourth = sorted(named)[:4]
    score = Score("detection", 0.9, 0.8, 1.0, 20)
    store.add_scores(database, [(second, "keyphrases", score), (third, "keyphrases", score), (second, "", score)])
    edits.rename(database, first, "a person's")
    edits.rename(database, third, "of what moves")
    edits.flag(database, second, "mine")
    edits.merge(database, fourth, third)
    moved_by(project, third)
    done = unweave("name", str(project), "--json")
    changes = json.loads(done.stdout)["concepts"]["results"]["changes"]
    assert changes["moved"] == 1 and changes["kept"] + 1 + changes["gone"] == len(named)
    (renamed,) = changes["renamed"]
    assert (renamed["latent"], renamed["was"]) == (third, "of what moves")
    opened = Project.open(project)
    assert concepts(project)[first] == "a person's"
    kept = opened.concepts.concept(second)
    assert (kept.name, kept.flag, kept.score("detection")) == (named[second], "mine", score)
    assert kept.naming("keyphrases").kept and kept.score("detection", "") is None
    moved = opened.concepts.concept(third)
    assert moved.namer != PERSON and not moved.naming("keyphrases").kept and score not in moved.scores["keyphrases"]
    assert opened.concepts.concept(fourth).merged_into is None
    assert "2 edit(s) by people were of concepts that are gone or moved" in done.stderr
    assert f"#{third} of what moves" in done.stderr
    (copy,) = project.glob("concepts-*.sqlite")
    assert [edit.latent for edit in edits.history(copy)] == [first, third, second, fourth]
    assert [edit.latent for edit in edits.history(database)] == [first, second]
    assert {one.state for one in opened.verify() if one.artifact == "concepts"} == {"whole"}


def test_what_became_of_concepts_is_said_in_a_few_lines(project):
    named = concepts(project)
    latent = min(named)
    moved_by(project, latent)
    said = unweave("name", str(project)).output
    assert f"{len(named) - 1} concepts keep their names, 1 moved and are named anew" in said
    assert f"named anew: #{latent} {named[latent]} → " in said
    assert "kept from an earlier training" in unweave("concepts", "show", str(project), str(max(named))).output
    assert not any(outcome.fresh for outcome in Project.open(project).name())


def test_names_that_were_kept_are_made_anew_on_request(project):
    moved_by(project, min(concepts(project)))
    opened = Project.open(project)
    opened.name()

    def kept() -> int:
        every = opened.concepts.by_document_frequency()
        return sum(KEPT in naming.provenance for concept in every for naming in concept.namings)

    assert kept() > 5
    opened.name(anew=True)
    assert kept() == 0 and None not in [concept.name for concept in opened.concepts.by_document_frequency()]


def test_what_moved_a_little_each_time_is_named_anew_in_the_end(project):
    # Twice by 20° in one plane: the first time the name stays, the second time its latent is 40° (.77) away from it.
    latent = min(concepts(project))
    edits.rename(project / "concepts" / DATABASE, latent, "named once")
    first = Project.open(project).sae

    def turned_by(degrees: float) -> None:
        sae = Project.open(project).sae
        W_dec, W_enc = sae.W_dec.copy(), sae.W_enc.copy()
        for rows, before in ((W_dec, first.W_dec[latent]), (W_enc, first.W_enc[latent])):
            aside = np.roll(before, 1) - (np.roll(before, 1) @ before) / (before @ before) * before
            aside *= np.linalg.norm(before) / np.linalg.norm(aside)
            rows[latent] = np.cos(np.radians(degrees)) * before + np.sin(np.radians(degrees)) * aside
        rewritten(project, replace(sae, W_dec=W_dec, W_enc=W_enc))
        Project.open(project).name()

    turned_by(20)
    assert concepts(project)[latent] == "named once"
    turned_by(40)
    assert concepts(project).get(latent) != "named once"


def test_edits_of_an_sae_that_was_trained_anew_are_not_given_up_unasked(project):
    edits.rename(project / "concepts" / DATABASE, min(concepts(project)), "a person's")
    moved_by(project, *range(16))
    with pytest.raises(BadData, match=r"has 1 edit\(s\) by people, of another SAE's concepts"):
        Project.open(project).name()
    Project.open(project).name(discard=True)
    assert "a person's" not in concepts(project).values()
    assert len(list(project.glob("concepts-*.sqlite"))) == 1


def test_concepts_that_do_not_say_which_directions_they_name_are_of_another_sae(project):
    edits.rename(project / "concepts" / DATABASE, min(concepts(project)), "a person's")
    moved_by(project, max(concepts(project)))
    (project / "concepts" / "directions.npy").unlink()
    with pytest.raises(BadData, match="of another SAE's concepts"):
        Project.open(project).name()


def test_a_corpus_grows_from_end_to_end_and_its_concepts_stay(kept_copy):
    before = Project.open(kept_copy)
    rows, names = before.embedded("passages").rows(), dict(before.concepts)
    first, before_judged = fingerprint(before.sae), before.concepts.by_document_frequency()
    kites = Passage("kites", "", "A kite is held in the air by the wind that its line turns against it.", {"page": "x"})
    before.add(Collection(passages=[kites]))
    embedded = {done.artifact: done.results for done in Project.open(kept_copy).embed()}
    assert embedded["embeddings/passages"] == {"kept": len(rows), "new": 1}
    grown = Project.open(kept_copy)
    np.testing.assert_array_equal(grown.embedded("passages").rows()[:-1], rows)
    grown.fit()
    grown.name()
    grown.index()
    changes = grown.manifest("concepts").results["changes"]
    moved = {renamed["latent"] for renamed in changes["renamed"]}
    assert len(moved) == changes["moved"] < 0.2 * len(names)
    now = dict(grown.concepts)
    assert all(now[latent] == name for latent, name in names.items() if latent not in moved and latent in now)
    judged = {c.latent: c.score(DETECTION, "keyphrases") for c in before_judged}
    grown.judge()
    for concept in grown.concepts.by_document_frequency():
        naming = concept.naming("keyphrases")
        if naming is not None and naming.kept:
            assert concept.score(DETECTION, "keyphrases") == judged[concept.latent]
    assert grown.search("what holds a kite in the air", 1)[0].passage.passage_id == "kites"
    assert grown.manifest("sae").settings["began_from"] == [first]


# --- what a twin found ------------------------------------------------------------------------------


def test_a_latent_that_stayed_keeps_what_a_twin_said_of_it_and_one_that_moved_does_not(random_sae):
    before = random_sae(0)
    assert agreement_kept(before, before) is None
    twin = np.linspace(0.1, 1, before.config.n_latents, dtype=np.float32)
    W_enc = before.W_enc.copy()
    W_enc[3] *= -1  # its decoder alone is as it was
    kept = agreement_kept(replace(before, twin=twin), replace(before, W_enc=W_enc))
    assert np.isnan(kept[3])
    np.testing.assert_array_equal(np.delete(kept, 3), np.delete(twin, 3))
