"""A dictionary that was made elsewhere: taken over as it is, latents of the corpus's own behind it, in a project."""

from __future__ import annotations

import json
import logging
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from conftest import unit
from unweave.base.building import build
from unweave.base.records import Trust
from unweave.cli import main
from unweave.config import DEFAULT_MODEL, FitConfig, SAEConfig, TrainConfig
from unweave.dictionaries.latents import LATENTS, Latent, save, write_latents
from unweave.errors import BadData, DimensionMismatch, MissingArtifact
from unweave.project import Project
from unweave.sae.formats import FORMATS, export_sae
from unweave.sae.given import fingerprint, in_common, joined, located, read_sae
from unweave.sae.model import SAE, WEIGHTS
from unweave.sae.training import run
from unweave.sae.training.arithmetic import CPUEngine, Engine, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.recipe import carried, planned_beside
from unweave.sae.training.run import run_training
from unweave.sae.training.variants.residual import Residual
from unweave.stages.given import chosen_dictionary

TENSORS = ("W_enc", "b_enc", "W_dec", "b_pre")
OWN = SAEConfig(d_in=16, n_latents=8, k=1)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)


pytestmark = pytest.mark.usefixtures("one_thread")


# --- two dictionaries in one -----------------------------------------------------------------------


def test_both_dictionaries_make_one_sae_the_given_latents_first(identity_sae):
    # Behind the three axes with their threshold of .5, one latent along (1, 1, 0) / sqrt 2 with a threshold of 2.
    half = np.sqrt(0.5, dtype=np.float32)
    direction = np.array([[half, half, 0]], np.float32)
    own = SAE(SAEConfig(d_in=3, n_latents=1, k=1), direction, np.array([0.1], np.float32), direction,
              np.zeros(3, np.float32), np.array([2.0], np.float32))  # fmt: skip
    both = joined(identity_sae, own)
    assert (both.config.n_latents, both.config.k, both.config.encoder) == (4, 2, "toy")
    np.testing.assert_array_equal(both.threshold, np.float32([0.5, 0.5, 0.5, 2.0]))
    # (2, 1, .5): 2 and 1 exceed .5, .5 does not; 3 / sqrt 2 + .1 = 2.22 exceeds 2.  (1, 1, 0): 1.51 does not.
    found = both.encode(np.array([[2, 1, 0.5], [1, 1, 0]], np.float32)).toarray()
    np.testing.assert_allclose(found, [[2, 1, 0, 3 * half + 0.1], [1, 1, 0, 0]], rtol=1e-6)


def test_dictionaries_that_do_not_fit_together_are_not_joined(identity_sae):
    by_rank = replace(identity_sae, config=replace(identity_sae.config, selection="top_k"))
    with pytest.raises(ValueError, match="both are selected by threshold"):
        joined(by_rank, identity_sae)
    with pytest.raises(ValueError, match="b_pre differs"):
        joined(identity_sae, replace(identity_sae, b_pre=np.ones(3, np.float32)))


def test_what_two_have_in_common_are_the_first_latents_that_are_the_same_in_both(random_sae):
    given, *own = (replace(random_sae(seed, n_latents=n), b_pre=np.zeros(8, np.float32)) for seed, n in
                   ((0, 24), (1, 5), (2, 6)))  # fmt: skip
    one, other = (joined(given, behind) for behind in own)
    assert in_common(one, other) == in_common(given, one) == in_common(other, given) == 24
    assert in_common(one, one) == 29
    assert in_common(*own) == 0 == in_common(given, replace(given, b_pre=np.ones(8, np.float32)))
    for name, at in (("W_enc", (7, 2)), ("b_enc", 7), ("W_dec", (7, 7)), ("threshold", 7)):
        changed = getattr(one, name).copy()
        changed[at] = np.nextafter(changed[at], np.float32(9))  # the least that can change
        assert in_common(replace(one, **{name: changed}), other) == 7, name


def test_latents_that_compete_are_the_same_in_one_and_the_same_sae_alone(random_sae):
    by_rank = replace(random_sae(0), config=replace(random_sae(0).config, selection="top_k"))
    assert in_common(by_rank, by_rank) == 24
    assert in_common(by_rank, replace(by_rank, config=replace(by_rank.config, k=5))) == 0
    assert in_common(by_rank, random_sae(0)) == 0


def test_a_fingerprint_is_of_all_that_decides_latents_and_of_nothing_else(random_sae):
    sae = random_sae(0)
    assert fingerprint(sae) == fingerprint(random_sae(0)) != fingerprint(random_sae(1))
    assert fingerprint(replace(sae, config=replace(sae.config, encoder="other"))) == fingerprint(sae)
    for name in (*TENSORS, "threshold"):
        changed = getattr(sae, name).copy()
        changed.flat[0] = np.nextafter(changed.flat[0], np.float32(9))  # the least that can change
        assert fingerprint(replace(sae, **{name: changed})) != fingerprint(sae), name
    assert fingerprint(replace(sae, config=replace(sae.config, selection="top_k"))) != fingerprint(sae)


# --- what is left over -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [Engine(), CPUEngine()])
def test_the_target_is_what_the_given_dictionary_leaves_over(sae_with_biases, engine):
    # x = (3, 4) has x_hat = (5.7, 5.6), calculated where the fixture is: (-2.7, -1.6) is left over.
    target = Residual(SHORT, 1, sae_with_biases, "cpu").target(engine, torch.tensor([[2.0, 2.0]]))
    np.testing.assert_allclose(target, [[-2.7, -1.6]], rtol=1e-6)


def test_what_is_left_over_is_what_numpy_leaves_over(random_sae):
    sae = replace(random_sae(3), threshold=np.random.default_rng(3).uniform(-0.2, 0.6, 24).astype(np.float32))
    x = np.random.default_rng(4).normal(size=(50, 8)).astype(np.float32)
    for engine in (Engine(), CPUEngine()):
        target = Residual(SHORT, 1, sae, "cpu").target(engine, torch.from_numpy(x - sae.b_pre))
        np.testing.assert_allclose(target, x - sae.reconstruct(x), atol=1e-5)


@pytest.mark.parametrize("engine", [Engine(), CPUEngine()])
@pytest.mark.parametrize("dead", [[], [0, 2, 5]])
def test_the_gradients_are_those_of_autograd_and_b_pre_has_none(random_sae, engine, dead):
    given = random_sae(5)
    x = torch.from_numpy(np.random.default_rng(6).normal(size=(16, 8)).astype(np.float32))
    W_enc, W_dec = (torch.tensor(random_sae(n).W_dec[:6], requires_grad=True) for n in (7, 8))
    b_enc = torch.zeros(6, requires_grad=True)
    b_pre = torch.from_numpy(given.b_pre)
    variant = Residual(SHORT, 2, given, "cpu")
    p = Parameters(*(t.detach() for t in (W_enc, b_enc, W_dec, b_pre, torch.zeros(6))))
    step = variant.step(engine, p, x, dead=torch.tensor(dead, dtype=torch.int64), hint=0.0, world=World())

    left = x - torch.from_numpy(given.reconstruct(x.numpy()))
    activations = torch.relu((x - b_pre) @ W_enc.T + b_enc)
    cut = activations.flatten().sort(descending=True).values[2 * 16 - 1].detach()
    z = torch.where(activations >= cut, activations, 0)
    loss = (left - z @ W_dec).square().sum() / 16
    if dead:  # AuxK reads every eighth text: the first and the ninth
        error = (left - z @ W_dec).detach()[::8]
        dense = ((x - b_pre) @ W_enc.T + b_enc)[::8][:, dead]
        kept = torch.where(dense >= dense.topk(2, dim=1).values[:, -1:], dense, 0).clamp_min(0)
        loss = loss + SHORT.aux_alpha * (error - kept @ W_dec[dead]).square().sum() / 2
    loss.backward()
    g_enc, g_dec = engine.gradients(step.gradients.W, 6)
    torch.testing.assert_close(step.loss.float(), loss.detach(), rtol=1e-4, atol=1e-5)
    for found, wanted in ((g_enc, W_enc.grad), (g_dec, W_dec.grad), (step.gradients.b_enc, b_enc.grad)):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert not step.gradients.b_pre.any()


# --- training beside it ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(sparse_data):
    return sparse_data(n=1200).embeddings


@pytest.fixture(scope="module")
def dictionary(texts):
    """Twelve latents for texts of twenty directions: eight are left for others to learn."""
    return run_training(texts[:500], texts[500:600], SAEConfig(d_in=16, n_latents=12, k=2), SHORT).sae


@pytest.fixture(scope="module")
def trained(texts, dictionary):
    return run_training(texts[:1000], texts[1000:], OWN, SHORT, given=dictionary)


def test_the_given_latents_stay_what_they_were_bit_for_bit(trained, dictionary, texts):
    sae = trained.sae
    for name in TENSORS:
        np.testing.assert_array_equal(getattr(sae, name)[: 16 if name == "b_pre" else 12], getattr(dictionary, name))
    np.testing.assert_array_equal(sae.threshold[:12], np.broadcast_to(dictionary.threshold, 12))
    given = sae.encode(texts[1000:])[:, :12].toarray()
    np.testing.assert_allclose(given, dictionary.encode(texts[1000:]).toarray(), rtol=1e-6)
    assert (sae.config.n_latents, sae.config.k) == (20, 3)


def test_own_latents_learn_what_is_left_over_and_unseen_texts_gain(trained, dictionary, texts):
    before, after = dictionary.measure(texts[1000:]), trained.sae.measure(texts[1000:])
    assert after.nmse < 0.75 * before.nmse
    assert after.l0 == pytest.approx(before.l0 + 1, rel=0.1)  # one of its own a text
    assert trained.history[-1]["nmse_held_out"] == pytest.approx(after.nmse, rel=0.01)  # of both together


def test_a_run_that_was_broken_off_goes_on_to_the_same_sae(texts, dictionary, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_CHECKPOINT_SECONDS", 0)

    def interrupt(report):
        if report["step"] > 10:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        run_training(texts[:1000], texts[1000:], OWN, SHORT, given=dictionary, checkpoint=made, reporters=[interrupt])
    other = replace(dictionary, b_enc=dictionary.b_enc + np.float32(1e-3))
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        assert (made.path / "checkpoint.safetensors").exists()
        with pytest.raises(BadData, match="another configuration"):
            run_training(texts[:1000], texts[1000:], OWN, SHORT, given=other, checkpoint=made)
        resumed = run_training(texts[:1000], texts[1000:], OWN, SHORT, given=dictionary, checkpoint=made)
    for name in (*TENSORS, "threshold"):
        np.testing.assert_array_equal(getattr(resumed.sae, name), getattr(trained.sae, name), err_msg=name)
    assert resumed.history == trained.history


# --- how many --------------------------------------------------------------------------------------


GIVEN = SAEConfig(d_in=384, n_latents=3072, k=32, encoder="a model")


def test_a_corpus_has_as_many_latents_of_its_own_as_its_texts_carry():
    # One for 30 texts: 1,000 of 30,000, of which 32 / 4 are active; 2,048 at most; below 16 none at all.
    plan = planned_beside(GIVEN, FitConfig(variant="topk", n_latents=9, k=3), 30_000)
    assert (plan.sae.n_latents, plan.sae.k, plan.sae.encoder, plan.training.variant) == (
        1000,
        8,
        "a model",
        "batch_topk",
    )
    assert planned_beside(GIVEN, FitConfig(), 10**9).sae.n_latents == 2048
    assert planned_beside(GIVEN, FitConfig(), 480).sae.n_latents == 16
    assert planned_beside(GIVEN, FitConfig(), 479) is None
    assert (carried(479), carried(10**6)) == (0, 33_333)


def test_own_latents_that_are_asked_for_are_as_many_as_asked_for():
    assert planned_beside(GIVEN, FitConfig(own_latents=5), 60).sae == SAEConfig(
        d_in=384, n_latents=5, k=5, encoder="a model"
    )
    assert planned_beside(GIVEN, FitConfig(own_latents=0), 10**6) is None


def test_latents_that_compete_take_none_beside_them():
    competing = replace(GIVEN, selection="top_k")
    assert planned_beside(competing, FitConfig(), 10**6) is None
    with pytest.raises(BadData, match="own_latents = 5, but this dictionary selects by top_k"):
        planned_beside(competing, FitConfig(own_latents=5), 10**6)


# --- a project -------------------------------------------------------------------------------------


@pytest.fixture
def project(tiny_project_folder, tmp_path) -> Path:
    return shutil.copytree(tiny_project_folder, tmp_path / "project")


@pytest.fixture
def given(project, tmp_path) -> Path:
    """A dictionary that reads the tiny project's embeddings, from another folder."""
    Project.open(project).sae.save(tmp_path / "given")
    return tmp_path / "given"


def unweave(command: str, *arguments: object) -> str:
    done = CliRunner().invoke(main, [*command.split(), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_given_dictionary_serves_for_all_that_a_trained_one_does(project, given, tmp_path):
    said = unweave("fit", project, "--dictionary", given)
    assert f"dictionary {given}: its 16 latents are taken as they are" in said
    assert re.search(r"own_latents 0: 5\d texts are too few to learn any from", said)
    opened = Project.open(project)
    assert opened.settings.fit.dictionary == str(given)
    assert fingerprint(opened.sae) == fingerprint(SAE.load(given))
    assert opened.shared_latents == 16
    for command in ("name", "index build", "evaluate", "report"):
        unweave(command, project)
    assert "concept score" in unweave("search", project, "--query-id", "q0", "--explain")
    assert "other texts: NMSE" in unweave("evaluate", project)
    assert "trained on none of these texts" in (project / "report.html").read_text()
    assert [one.said for one in opened.verify() if one.state != "whole"] == []
    assert opened.doctor() == []
    unweave("sae export", project / "sae", tmp_path / "there", "--format", "saelens")
    assert not any(outcome.fresh for outcome in Project.open(project).fit())


def test_names_that_come_with_a_dictionary_stand_beside_those_of_the_corpus(project, given, tmp_path):
    # A name that held on many texts elsewhere is shown where few speak against it; as a stranger's word, cleaned.
    sae = SAE.load(given)
    live = [int(latent) for latent in np.flatnonzero(np.bincount(Project.open(project).latents.indices))[:2]]
    folder = tmp_path / "named"
    save(folder, sae, [
        Latent(
            live[0], "sheep\x1b[2J in fields", over_nulls=0.97, holds_from=0.1, description="Flocks.", namer="curated"
        ),
        Latent(live[1], None),
    ])  # fmt: skip
    unweave("fit", project, "--dictionary", folder, "--own-latents", "0")
    unweave("name", project)
    shown, other = (Project.open(project).concepts.concept(latent) for latent in live)
    assert (shown.name, shown.namer, shown.trust) == ("sheep[2J in fields", "dictionary", Trust.HOLDS)
    assert shown.naming("keyphrases") is not None
    assert shown.naming("dictionary").provenance == {"dictionary": str(folder), "by": "curated"}
    assert (shown.naming("dictionary").description, shown.holds_from) == ("Flocks.", 0.1)
    assert other.namer == "keyphrases"
    shutil.rmtree(folder)  # the project has all that it needs
    assert Project.open(project).concepts[live[0]] == shown.name


def test_names_beside_an_sae_that_the_project_trained_are_nobodys(project):
    # A stranger's project can hold such a file, with a manifest that is right in all else.
    there, sae = Project.open(project).manifest("sae"), Project.open(project).sae
    with build(project / "sae", "sae", settings=there.settings, made_from=there.made_from) as made:
        sae.write_weights(made.path / WEIGHTS)
        write_latents(made.path / LATENTS, [Latent(latent, "sheep") for latent in range(sae.config.n_latents)])
        made.results.update(there.results)
    assert not Project.open(project).fit()[0].fresh
    Project.open(project).name()
    assert "sheep" not in Project.open(project).concepts.values()


@pytest.mark.parametrize(
    ("changes", "encoder", "chosen"),
    [
        ({}, DEFAULT_MODEL, "pretrained"),
        ({"own_latents": 0, "seed": 3}, DEFAULT_MODEL, "pretrained"),
        ({"n_latents": 512}, DEFAULT_MODEL, "own"),
        ({"k": 16}, DEFAULT_MODEL, "own"),
        ({"k": 16, "dictionary": "pretrained"}, DEFAULT_MODEL, "pretrained"),
        ({"dictionary": "own"}, DEFAULT_MODEL, "own"),
        ({}, "someone/encoder", "own"),
        ({}, "", "own"),
    ],
)
def test_the_packaged_dictionary_is_taken_for_texts_of_its_encoder_if_no_own_one_is_described(changes, encoder, chosen):
    assert chosen_dictionary(FitConfig(**changes), encoder) == chosen


def test_embeddings_of_the_packaged_encoder_pooled_otherwise_get_a_dictionary_of_their_own(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"_id": str(i), "text": f"the moon of night {i}"}) + "\n" for i in range(40)))
    unweave("init", tmp_path / "p", "--corpus", corpus)
    unweave("embed", tmp_path / "p", "--pooling", "cls", "--sentences", "0")
    unweave("fit", tmp_path / "p", "--steps", "5")
    assert Project.open(tmp_path / "p").manifest("sae").settings["training"]["steps"] == 5


def test_own_latents_come_behind_the_given_ones(project, given):
    said = unweave("fit", project, "--dictionary", given, "--own-latents", 6, "--steps", 20)
    assert "own_latents 6: as set" in said
    opened = Project.open(project)
    before, after = SAE.load(given), opened.sae
    for name in ("W_enc", "b_enc", "W_dec"):
        np.testing.assert_array_equal(getattr(after, name)[:16], getattr(before, name))
    assert (after.config.n_latents, opened.latents.shape[1], opened.shared_latents) == (22, 22, 16)
    assert opened.manifest("sae").results["trained_on"]["passages"] > 50
    assert opened.unapplied() == []
    for command in ("name", "index build", "evaluate", "report"):
        unweave(command, project)
    unweave("search", project, "--query-id", "q0", "--explain", "--system", "CL-SR rescored")
    assert "6 of this corpus's own" in (project / "report.html").read_text()
    assert opened.doctor() == []


def test_a_dictionary_that_changed_in_its_folder_is_noticed(project, given):
    unweave("fit", project, "--dictionary", given)
    sae = SAE.load(given)
    replace(sae, threshold=sae.threshold * np.float32(1.1)).save(given)
    assert [outcome.fresh for outcome in Project.open(project).fit()] == [True, True]
    assert fingerprint(Project.open(project).sae) == fingerprint(SAE.load(given))


def test_from_own_to_given_and_back_each_fit_says_what_is_not_applied(project, given, caplog):
    logging.getLogger("unweave").handlers = []
    own = Project.open(project).sae
    as_given = {"fit": {"dictionary": str(given)}}
    assert [one.setting for one in Project.open(project, as_given).unapplied()] == ["dictionary"]
    Project.open(project, as_given).fit()
    as_own = {"fit": {"dictionary": "own"}}
    assert [one.setting for one in Project.open(project, as_own).unapplied()] == ["dictionary"]
    Project.open(project, as_own).fit()
    assert fingerprint(Project.open(project).sae) == fingerprint(own)
    assert "not known here" not in caplog.text


@pytest.mark.parametrize("kind", FORMATS)
def test_an_sae_of_another_tool_serves_from_fit_to_evaluate(project, given, tmp_path, kind):
    sae = SAE.load(given)
    if kind == "paper":  # which has no b_enc
        sae = replace(sae, b_enc=np.zeros_like(sae.b_enc))
    there = tmp_path / "there"
    export_sae(sae, there, kind, as_top_k=kind in ("sparsify", "sentence-transformers"))
    read = read_sae(located(str(there)))
    for command, options in (("fit", ["--dictionary", there]), ("name", []), ("index build", []), ("evaluate", [])):
        unweave(command, project, *options)
    opened = Project.open(project)
    assert fingerprint(opened.sae) == fingerprint(read)
    assert opened.search(unit(np.ones((1, 8)))[0], 3, explain=True)


# --- what is refused -------------------------------------------------------------------------------


def refused(project: Path, dictionary: object, *options: object) -> str:
    before = (project / "sae/config.json").read_bytes()
    done = CliRunner().invoke(main, ["fit", str(project), "--dictionary", str(dictionary), *map(str, options)])
    assert done.exit_code == 1, done.output
    assert (project / "sae/config.json").read_bytes() == before
    return done.output


def test_a_dictionary_of_another_width_is_refused(project, random_sae, tmp_path):
    sae = random_sae(0, d_in=7)
    replace(sae, config=replace(sae.config, encoder="a model")).save(tmp_path / "narrow")
    said = refused(project, tmp_path / "narrow")
    assert "reads embeddings 7 wide, those of a model, and this project's are 8 wide" in said


def test_a_dictionary_of_another_encoder_is_refused_by_what_it_explains(project, given, tmp_path):
    # As wide, but turned around: what another encoder of that width would have.
    sae = SAE.load(given)
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0].astype(np.float32)
    replace(
        sae, W_enc=sae.W_enc @ turned, W_dec=sae.W_dec @ turned, b_pre=sae.b_pre + 1,
        config=replace(sae.config, encoder="another/model"),
    ).save(tmp_path / "other")  # fmt: skip
    assert "explains next to nothing of these embeddings" in refused(project, tmp_path / "other")


def test_what_is_no_dictionary_is_refused_with_what_would_be_one(project, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no SAE of a known format" in refused(project, tmp_path / "empty")
    assert "there is no dictionary '/no/such'" in refused(project, "/no/such")
    assert "the dictionary pretrained reads embeddings 384 wide" in refused(project, "pretrained")
    assert "where this project's own dictionary is written" in refused(project, project / "sae")


def test_too_many_latents_for_a_dictionary_whose_latents_compete(project, given, tmp_path):
    export_sae(SAE.load(given), tmp_path / "there", "sparsify", as_top_k=True)
    assert "own_latents = 3, but this dictionary selects by top_k" in refused(
        project, tmp_path / "there", "--own-latents", 3
    )


@pytest.mark.parametrize(("setting", "value"), [("dictionary", " "), ("own_latents", -1)])
def test_settings_that_mean_nothing_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        FitConfig(**{setting: value})


def test_a_width_and_a_name_that_cannot_be_had_are_their_own_errors(project, random_sae, tmp_path):
    random_sae(0, d_in=7).save(tmp_path / "narrow")
    with pytest.raises(DimensionMismatch):
        Project.open(project, {"fit": {"dictionary": str(tmp_path / "narrow")}}).fit()
    with pytest.raises(MissingArtifact):
        located("nowhere")


# --- seen and unseen -------------------------------------------------------------------------------


def test_a_fit_says_how_much_worse_unseen_texts_fare_and_what_so_many_carry(project):
    # Sixty texts of eight random numbers and sixteen latents: nothing to be learned but by heart.
    said = unweave("fit", project, "--steps", 60, "--seed", 3)
    assert " on texts trained on, " in said
    assert "has learned its texts by heart" in said
    assert "carry about no latents (--n-latents)" in said
    assert "by heart" not in unweave("fit", project)  # nothing is fitted anew


# --- real text -------------------------------------------------------------------------------------


def test_on_real_text_own_latents_lower_the_error_on_articles_that_they_never_saw(project_folder, tmp_path):
    """A dictionary of the descriptions alone; the articles and their sentences have more to say."""
    folder = shutil.copytree(project_folder, tmp_path / "project")
    opened = Project.open(folder)
    queries, passages = opened.embedded("queries"), opened.embedded("passages")
    rows = queries.rows(0, len(queries))
    config = SAEConfig(d_in=passages.d_in, n_latents=192, k=16)
    run_training(rows, rows[:1], config, TrainConfig(steps=60, batch_size=128)).sae.save(tmp_path / "given")
    errors = {}
    for n in (0, 64):
        unweave("fit", folder, "--dictionary", tmp_path / "given", "--own-latents", n)
        errors[n] = Project.open(folder).manifest("sae").results["unseen"]["nmse"]
    assert errors[64] < errors[0]
