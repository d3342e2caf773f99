"""The training run: its schedule, the calibrated threshold, killed runs, several processes, what it reports."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from unweave.base.building import build
from unweave.config import SAEConfig, TrainConfig
from unweave.encode.embeddings import Embeddings
from unweave.errors import ArtifactInUse, BadData, CorruptArtifact, DimensionMismatch
from unweave.sae.model import SAE
from unweave.sae.training import reports, run
from unweave.sae.training.retrieval_loss import retrieval_loss
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import run_training, schedule
from unweave.sae.training.variants import VARIANTS

SMALL = SAEConfig(d_in=16, n_latents=32, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)


pytestmark = pytest.mark.usefixtures("one_thread")


# --- the run ---------------------------------------------------------------------------------------


def test_the_step_size_rises_stays_and_falls():
    # 100 steps, 10 of warm-up: 1/10 at first, 1 from the tenth; level until half-way; then 50 steps down to 1/50.
    config = TrainConfig(steps=100, warmup_steps=10)
    at = {number: schedule(number, config) for number in (0, 4, 9, 50, 75, 99)}
    assert at == pytest.approx({0: 0.1, 4: 0.5, 9: 1.0, 50: 1.0, 75: 0.5, 99: 0.02})


def test_a_short_training_warms_up_for_a_quarter_of_it_at_most():
    # 8 steps, so 2 of warm-up in place of 100; then 4 steps down: 1, .75, .5, .25.
    shares = [schedule(number, TrainConfig(steps=8)) for number in range(8)]
    assert shares == pytest.approx([0.5, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert schedule(0, TrainConfig(steps=1)) == 1


@pytest.fixture(scope="module")
def texts(sparse_data):
    return sparse_data(n=1200).embeddings


@pytest.fixture(scope="module")
def trained(texts):
    return run_training(texts[:1000], texts[1000:], SMALL, SHORT)


def test_training_recovers_the_directions_that_sparse_data_is_made_of(sparse_data):
    embeddings, dictionary = sparse_data(n=2200)
    texts, held_out = embeddings[:2000], embeddings[2000:]
    sae, history = run_training(
        texts, held_out, SMALL, TrainConfig(steps=500, batch_size=128, lr=1e-2, dead_after=5000)
    )
    assert history[-1]["nmse_held_out"] < 0.5 * history[0]["nmse_held_out"]
    assert history[-1]["nmse_held_out"] < 0.5 * random_dictionary(texts).measure(held_out).nmse
    # Most of the 20 true directions are the direction of some latent.
    nearest = (dictionary @ sae.W_dec.T).max(axis=1)
    assert (nearest > 0.95).mean() > 0.8


def random_dictionary(texts: np.ndarray) -> SAE:
    """As many random directions, with the threshold at which L0 is k and the scale that suits them best."""
    directions = np.random.default_rng(0).normal(size=(SMALL.n_latents, SMALL.d_in))
    directions = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    mean = texts.mean(axis=0)
    products = (texts - mean) @ directions.T
    threshold = np.sort(products, axis=None)[-SMALL.k * len(texts) - 1]
    guess = np.where(products > threshold, products, 0) @ directions
    scale = float(((texts - mean) * guess).sum() / np.square(guess).sum())
    no_bias = np.zeros(SMALL.n_latents, np.float32)
    sae = SAE(SMALL, scale * directions, no_bias, directions, mean, threshold=np.array([scale * threshold], np.float32))
    assert sae.measure(texts).l0 == pytest.approx(SMALL.k, rel=0.01)
    return sae


def test_the_calibrated_threshold_gives_k_latents_a_text(trained, texts):
    # 1,000 texts at k = 2: 2,000 active entries, one more or less where NumPy rounds otherwise than torch.
    assert trained.sae.encode(texts[:1000]).nnz == pytest.approx(2000, abs=1)
    assert trained.sae.threshold > 0


def test_the_threshold_is_calibrated_over_all_texts_however_unevenly_the_latents_lie(sparse_data):
    # The first 4,096 texts, which are read as one block, are three times as long and hold most of the active entries.
    texts = sparse_data(n=5000).embeddings
    texts[:4096] *= 3
    sae, _ = run_training(texts, texts[:50], SMALL, TrainConfig(steps=5, batch_size=64))
    assert sae.encode(texts).nnz == pytest.approx(10_000, abs=2)
    assert sae.encode(texts[:4096]).nnz > 1.1 * 2 * 4096


def test_directions_keep_length_one(trained):
    np.testing.assert_allclose(np.linalg.norm(trained.sae.W_dec, axis=1), 1, rtol=1e-5)


def test_the_history_goes_on_to_the_last_step(trained):
    numbers = [entry["step"] for entry in trained.history]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == SHORT.steps
    assert trained.history[-1]["texts"] == SHORT.steps * SHORT.batch_size
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]


def test_the_auxiliary_loss_takes_part_only_once_latents_are_dead(trained, texts):
    without = replace(SHORT, aux_alpha=0)
    # 60 batches of 64 are 3,840 texts: by then nothing can have been silent for 50,000, so AuxK changed nothing.
    assert max(entry["dead_latents"] for entry in trained.history) == 0
    assert_same(run_training(texts[:1000], texts[1000:], SMALL, without), trained)
    # Silent for one batch is dead here, and the 20 directions of the data leave 12 of 32 latents without much to do.
    strict = run_training(texts[:1000], texts[1000:], SMALL, replace(SHORT, dead_after=64))
    assert max(entry["dead_latents"] for entry in strict.history) > 0
    assert not np.array_equal(strict.sae.W_enc, trained.sae.W_enc)


def test_the_same_seed_gives_the_same_sae_and_another_seed_another(trained, texts):
    again = run_training(texts[:1000], texts[1000:], SMALL, SHORT)
    assert_same(again, trained)
    other = run_training(texts[:1000], texts[1000:], SMALL, replace(SHORT, seed=1))
    assert not np.array_equal(other.sae.W_dec, trained.sae.W_dec)


def test_a_batch_larger_than_the_data_is_all_of_the_data(texts):
    config = TrainConfig(steps=5, batch_size=512)
    assert_same(
        run_training(texts[:40], texts[40:80], SMALL, config),
        run_training(texts[:40], texts[40:80], SMALL, replace(config, batch_size=40)),
    )


def test_a_killed_run_goes_on_to_the_same_sae_and_history(texts, tmp_path):
    # Latents silent for 300 texts are dead, so how long each has been silent has to come through the kill as well.
    config = replace(SHORT, dead_after=300)
    uninterrupted = run_training(texts[:1000], texts[1000:], SMALL, config)
    assert max(entry["dead_latents"] for entry in uninterrupted.history) > 0
    np.save(tmp_path / "texts.npy", texts)
    killed = subprocess.run([sys.executable, "-c", _KILLED_AT_STEP_37, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    checkpoint = tmp_path / ".sae.unweave-build" / "checkpoint.safetensors"
    with safe_open(checkpoint, framework="pt") as file:
        assert 0 < int(file.metadata()["step"]) <= 37
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        resumed = run_training(texts[:1000], texts[1000:], SMALL, config, checkpoint=made)
        assert not checkpoint.exists()
    assert_same(resumed, uninterrupted)


_KILLED_AT_STEP_37 = """
import os, pathlib, signal, sys
import numpy as np
from unweave.base.building import build
from unweave.config import SAEConfig
from unweave.sae.training import run

learn = run.Run.learn

def learn_until_killed(run, x, number, hint):
    if number == 37:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(run, x, number, hint)

run.Run.learn = learn_until_killed
run._CHECKPOINT_SECONDS = 0
folder = pathlib.Path(sys.argv[1])
texts = np.load(folder / "texts.npy")
config = run.TrainConfig(steps=60, batch_size=64, lr=1e-2, dead_after=300)
with build(folder / "sae", "sae", settings={}, made_from={}) as made:
    run.run_training(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config, checkpoint=made)
"""


def assert_same(a, b):
    for name in ("W_enc", "b_enc", "W_dec", "b_pre"):
        np.testing.assert_array_equal(getattr(a.sae, name), getattr(b.sae, name), err_msg=name)
    assert a.sae.threshold == b.sae.threshold
    assert a.history == b.history


# --- what it refuses -------------------------------------------------------------------------------


def test_embeddings_that_are_all_the_same_cannot_train_an_sae():
    with pytest.raises(BadData, match="all embeddings are the same"):
        run_training(np.ones((10, 16), np.float32), np.ones((2, 16), np.float32), SMALL, SHORT)


def test_one_text_cannot_train_an_sae():
    with pytest.raises(BadData, match=r"1 text\(s\) cannot train an SAE"):
        run_training(np.ones((1, 16), np.float32), np.ones((2, 16), np.float32), SMALL, SHORT)


def test_embeddings_of_another_width_cannot_train_an_sae():
    with pytest.raises(DimensionMismatch, match=r"shape \(10, 15\) came in, but the SAE reads \(n, 16\)"):
        run_training(np.ones((10, 15), np.float32), np.ones((2, 15), np.float32), SMALL, SHORT)


def test_embeddings_with_nan_name_the_shard_and_the_row(texts, tmp_path, tamper):
    folder = write_embeddings(tmp_path / "embeddings", np.tile(texts, (2, 1))).folder
    damaged, file = np.load(folder / "000001.npy"), io.BytesIO()
    damaged[5, 3] = np.nan
    np.save(file, damaged)
    tamper(folder / "000001.npy", file.getvalue(), [*sorted(path.stem for path in folder.glob("0*.npy")), "texts"])
    embeddings = Embeddings.load(folder)
    rows = TrainingTexts([(embeddings, np.arange(len(embeddings)))], in_memory_bytes=0)
    with pytest.raises(BadData, match=r"000001\.npy: row 5 holds NaN"):
        run_training(rows, texts[:20], SMALL, SHORT)


def test_a_checkpoint_of_another_configuration_is_refused(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_CHECKPOINT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt), build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        run_training(texts[:1000], texts[1000:], SMALL, SHORT, checkpoint=made, reporters=[interrupt])
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        with pytest.raises(BadData, match=r"another configuration .*\"k\": 2.*\"k\": 3.*delete it to start anew"):
            run_training(texts[:1000], texts[1000:], replace(SMALL, k=3), SHORT, checkpoint=made)
        # The refused checkpoint is still there, and the configuration it was saved by goes on from it.
        assert_same(
            run_training(texts[:1000], texts[1000:], SMALL, SHORT, checkpoint=made),
            run_training(texts[:1000], texts[1000:], SMALL, SHORT),
        )


def interrupt(report):
    if report["step"] > 10:
        raise KeyboardInterrupt


def test_a_truncated_checkpoint_says_how_to_start_anew(texts, tmp_path):
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        (made.path / "checkpoint.safetensors").write_bytes(b"\xff" * 100)
        with pytest.raises(CorruptArtifact, match=r"not a checkpoint .*delete it to start anew"):
            run_training(texts[:1000], texts[1000:], SMALL, SHORT, checkpoint=made)
        (made.path / "checkpoint.safetensors").unlink()


def test_a_step_size_at_which_training_diverges_is_an_error(texts, monkeypatch):
    monkeypatch.setattr(run, "refuse_scale", lambda *_: None)  # within the lengths that are taken, none was found
    with pytest.raises(BadData, match=r"the loss at step \d+ is .*lower lr"):
        run_training(texts[:1000] * 1e14, texts[1000:], SMALL, replace(SHORT, lr=1.0))


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "gated"},
        {"retrieval_loss": "hinge"},
        {"lr": 0},
        {"lr": float("nan")},
        {"decay": 1.5},
        {"steps": 0},
        {"batch_size": 0},
        {"patience": -1},
    ],
)
def test_a_configuration_out_of_range_is_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(SHORT, **change)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_every_variant_trains_saves_and_encodes_with_about_k_latents(variant, sparse_data, tmp_path):
    embeddings, _ = sparse_data(n=2200)
    config = TrainConfig(steps=200, batch_size=128, lr=1e-2, variant=variant)
    trained = run_training(embeddings[:2000], embeddings[2000:], SMALL, config)
    assert trained.history[-1]["nmse_held_out"] < 0.75 * random_dictionary(embeddings[:2000]).measure(embeddings).nmse
    trained.sae.save(tmp_path / "sae")
    codes = SAE.load(tmp_path / "sae").encode(embeddings[:2000])
    assert codes.nnz / 2000 == pytest.approx(SMALL.k, rel=0.15)
    np.testing.assert_array_equal(codes.toarray(), trained.sae.encode(embeddings[:2000]).toarray())


def test_numpy_encodes_what_torch_encodes(trained, texts):
    sae = trained.sae
    W_enc, b_enc, b_pre = (torch.from_numpy(t) for t in (sae.W_enc, sae.b_enc, sae.b_pre))
    activations = torch.relu((torch.from_numpy(texts) - b_pre) @ W_enc.T + b_enc)
    threshold = float(sae.threshold[0])
    expected = torch.where(activations > threshold, activations, 0).numpy()
    on_it = (activations - threshold).abs().numpy() < 1e-5  # which side a rounded sum falls on is the processor's
    assert on_it.sum() <= 3
    found = sae.encode(texts).toarray()
    np.testing.assert_allclose(found[~on_it], expected[~on_it], atol=1e-5)


def test_one_model_can_be_cut_to_fewer_latents_when_it_was_trained_for_several_k(sparse_data):
    embeddings, _ = sparse_data(n=2200, active=4)
    config = TrainConfig(steps=300, batch_size=128, lr=1e-2)
    sae_config = replace(SMALL, k=4)
    errors = {}
    for variant in ("topk", "nested_topk"):
        sae = run_training(embeddings[:2000], embeddings[2000:], sae_config, replace(config, variant=variant)).sae
        cut = sae.decode(sae.encode(embeddings[2000:], max_latents=1))
        errors[variant] = np.square(embeddings[2000:] - cut).sum()
    assert errors["nested_topk"] < errors["topk"]


def test_the_first_part_of_a_matryoshka_dictionary_reconstructs_better_alone(sparse_data):
    embeddings, _ = sparse_data(n=2200)
    errors = {}
    for variant in ("batch_topk", "matryoshka"):
        config = TrainConfig(steps=300, batch_size=128, lr=1e-2, variant=variant)
        sae = run_training(embeddings[:2000], embeddings[2000:], SMALL, config).sae
        codes = sae.encode(embeddings[2000:]).toarray()
        codes[:, SMALL.n_latents // 4 :] = 0
        errors[variant] = np.square(embeddings[2000:] - (codes @ sae.W_dec + sae.b_pre)).sum()
    assert errors["matryoshka"] < errors["batch_topk"]


def test_training_stops_early_and_gives_the_best_it_had(sparse_data):
    # 60 texts and 32 latents: learned by heart, and worse on others from some point on.
    embeddings, _ = sparse_data(n=400, active=6, n_directions=60)
    config = TrainConfig(steps=600, batch_size=60, lr=3e-2, decay=0, patience=3)
    sae, history = run_training(embeddings[:60], embeddings[60:], replace(SMALL, k=6), config)
    measured = [report["nmse_held_out"] for report in history]
    assert history[-1]["step"] < 600
    assert len(measured) - 1 - int(np.argmin(measured)) == 3
    assert sae.measure(embeddings[60:]).nmse == pytest.approx(min(measured), rel=0.02)


def test_a_retrieval_loss_keeps_neighbours_better(sparse_data):
    embeddings, _ = sparse_data(n=1200, d_in=16, n_directions=40, active=6)
    texts, held_out = embeddings[:1000], embeddings[1000:]
    errors = {}
    for weight in (0.0, 1.0):
        config = TrainConfig(steps=300, batch_size=128, lr=1e-2, retrieval_weight=weight, temperature=1.0)
        sae = run_training(texts, held_out, SMALL, config).sae
        x = torch.from_numpy(held_out)
        errors[weight] = float(retrieval_loss(x, torch.from_numpy(sae.reconstruct(held_out)), "kl", 1.0))
    assert errors[1.0] < errors[0.0]


# --- reports ---------------------------------------------------------------------------------------


def test_reports_go_to_json_lines_and_tensorboard(texts, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reporters = [reports.json_lines(tmp_path / "history.jsonl"), reports.tensorboard(tmp_path / "events")]
    history = run_training(texts[:1000], texts[1000:], SMALL, SHORT, reporters=reporters).history
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert [event.step for event in events.Scalars("nmse_held_out")] == [report["step"] for report in history]
    assert events.Scalars("loss")[-1].value == pytest.approx(history[-1]["loss"])


def test_a_report_counts_every_latent_in_its_histogram_of_density(trained):
    for report in trained.history:
        assert sum(report["density"]) == SMALL.n_latents
        assert 0 < report["cosine"] <= 1
        assert report["live_latents"] <= SMALL.n_latents
    assert trained.history[-1]["nmse"] <= trained.history[-1]["nmse_held_out"]


# --- streaming -------------------------------------------------------------------------------------


def write_embeddings(folder, array):
    digests = np.arange(len(array), dtype=np.uint64)
    return Embeddings.write(folder, digests, array.__getitem__, label="embedding", settings={}, made_from={})


def test_texts_read_from_disk_train_the_same_sae_as_texts_in_memory(texts, trained, tmp_path):
    # Two sources, from which some rows in another order make up the same texts.
    first = write_embeddings(tmp_path / "first", texts[:600][::-1].copy())
    second = write_embeddings(tmp_path / "second", texts[600:])
    parts = [(first, np.arange(600)[::-1].copy()), (second, np.arange(400))]
    streamed = TrainingTexts(parts, in_memory_bytes=0)
    np.testing.assert_array_equal(streamed.take(np.array([0, 999, 3, 600])), texts[[0, 999, 3, 600]])
    assert_same(run_training(streamed, texts[1000:], SMALL, SHORT), trained)


@pytest.mark.parametrize("window_bytes", [1 << 29, 4096])
def test_an_epoch_shows_every_text_once_in_another_order_each_time(window_bytes):
    texts = TrainingTexts.of(np.ones((1001, 4), np.float32))
    first, second = (texts.order(0, epoch, window_bytes) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(1001))
    assert (first != second).mean() > 0.9


def test_a_window_smaller_than_the_data_still_mixes_far_texts():
    # 64 runs of 64 texts, windows of 256 rows: a window holds texts from 4 runs all over the data.
    texts = TrainingTexts.of(np.ones((4096, 4), np.float32))
    window = texts.order(0, 0, window_bytes=256 * 16)[:256]
    assert len(np.unique(window // 64)) == 4
    assert np.ptp(window) > 1024
    assert (np.abs(np.diff(window)) > 1).mean() > 0.9


# --- several processes -----------------------------------------------------------------------------


def test_two_processes_train_the_sae_that_one_trains(texts, tmp_path):
    # The same batches, so the same gradients but for the order of their sums; ten steps keep the difference small.
    np.save(tmp_path / "texts.npy", texts)
    script = tmp_path / "train.py"
    script.write_text(_TRAINED_UNDER_TORCHRUN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    variants = ("batch_topk", "jumprelu", "matching_pursuit")
    for n in (1, 2):
        command = [*launch, "--nproc-per-node", str(n), str(script), str(tmp_path), str(n), *variants]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
    for variant in variants:
        config = TrainConfig(steps=10, batch_size=64, lr=1e-2, variant=variant, dead_after=64, retrieval_weight=0.1)
        here = run_training(texts[:1000], texts[1000:], SMALL, config).sae
        alone, first, second = (SAE.load(tmp_path / f"{variant}-{name}") for name in ("1-0", "2-0", "2-1"))
        for name in ("W_enc", "b_enc", "W_dec", "b_pre", "threshold"):
            what = f"{variant}: {name}"
            np.testing.assert_allclose(getattr(alone, name), getattr(here, name), atol=2e-5, err_msg=what)
            np.testing.assert_allclose(getattr(first, name), getattr(here, name), atol=2e-5, err_msg=what)
            np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=what)


_TRAINED_UNDER_TORCHRUN = """
import os, pathlib, sys
import numpy as np
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.training.parallel import world_of
from unweave.sae.training.run import run_training

folder, n, variants = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
texts = np.load(folder / "texts.npy")
with world_of("cpu"):
    for variant in variants:
        config = TrainConfig(steps=10, batch_size=64, lr=1e-2, variant=variant, dead_after=64, retrieval_weight=0.1)
        sae = run_training(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config).sae
        sae.save(folder / f"{variant}-{n}-{os.environ['RANK']}")
"""


def test_batches_of_one_text_train(texts):
    sae, history = run_training(texts[:1000], texts[1000:], SMALL, TrainConfig(steps=50, batch_size=1))
    assert history[-1]["texts"] == 50
    assert np.isfinite(sae.W_enc).all()


def test_two_trainers_on_one_folder_are_an_error_and_the_first_goes_on(texts, tmp_path):
    def second(_report):
        refused = pytest.raises(ArtifactInUse, match=r"is writing .*sae; wait for it to end")
        with refused, build(tmp_path / "sae", "sae", settings={}, made_from={}):
            pass

    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        run_training(texts[:1000], texts[1000:], SMALL, SHORT, checkpoint=made, reporters=[second])
