"""The training run: its schedule, the calibrated threshold, killed runs, several processes, what it reports."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from unweave.artifact import build
from unweave.errors import BadData, DimensionMismatch
from unweave.sae.model import SAE, SAEConfig
from unweave.sae.training import TrainConfig, schedule, train

SMALL = SAEConfig(d_in=16, n_latents=32, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Steps this small take ten times as long when threads wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    return train(texts[:1000], texts[1000:], SMALL, SHORT)


def test_training_recovers_the_directions_that_sparse_data_is_made_of(sparse_data):
    embeddings, dictionary = sparse_data(n=2200)
    texts, held_out = embeddings[:2000], embeddings[2000:]
    sae, history = train(texts, held_out, SMALL, TrainConfig(steps=500, batch_size=128, lr=1e-2, dead_after=5000))
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
    sae, _ = train(texts, texts[:50], SMALL, TrainConfig(steps=5, batch_size=64))
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
    assert_same(train(texts[:1000], texts[1000:], SMALL, without), trained)
    # Silent for one batch is dead here, and the 20 directions of the data leave 12 of 32 latents without much to do.
    strict = train(texts[:1000], texts[1000:], SMALL, replace(SHORT, dead_after=64))
    assert max(entry["dead_latents"] for entry in strict.history) > 0
    assert not np.array_equal(strict.sae.W_enc, trained.sae.W_enc)


def test_the_same_seed_gives_the_same_sae_and_another_seed_another(trained, texts):
    again = train(texts[:1000], texts[1000:], SMALL, SHORT)
    assert_same(again, trained)
    other = train(texts[:1000], texts[1000:], SMALL, replace(SHORT, seed=1))
    assert not np.array_equal(other.sae.W_dec, trained.sae.W_dec)


def test_a_batch_larger_than_the_data_is_all_of_the_data(texts):
    config = TrainConfig(steps=5, batch_size=512)
    assert_same(
        train(texts[:40], texts[40:80], SMALL, config),
        train(texts[:40], texts[40:80], SMALL, replace(config, batch_size=40)),
    )


def test_a_killed_run_goes_on_to_the_same_sae_and_history(texts, tmp_path):
    # Latents silent for 300 texts are dead, so how long each has been silent has to come through the kill as well.
    config = replace(SHORT, dead_after=300)
    uninterrupted = train(texts[:1000], texts[1000:], SMALL, config)
    assert max(entry["dead_latents"] for entry in uninterrupted.history) > 0
    np.save(tmp_path / "texts.npy", texts)
    killed = subprocess.run([sys.executable, "-c", _KILLED_AT_STEP_37, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    checkpoint = tmp_path / "sae.partial" / "checkpoint.safetensors"
    with safe_open(checkpoint, framework="pt") as file:
        assert 0 < int(file.metadata()["step"]) <= 37
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        resumed = train(texts[:1000], texts[1000:], SMALL, config, checkpoint=made)
        assert not checkpoint.exists()
    assert_same(resumed, uninterrupted)


_KILLED_AT_STEP_37 = """
import os, pathlib, signal, sys
import numpy as np
from unweave.artifact import build
from unweave.sae import training
from unweave.sae.model import SAEConfig

learn = training._Run._learn

def learn_until_killed(run, x, number, hint):
    if number == 37:
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(run, x, number, hint)

training._Run._learn = learn_until_killed
training._CHECKPOINT_SECONDS = 0
folder = pathlib.Path(sys.argv[1])
texts = np.load(folder / "texts.npy")
config = training.TrainConfig(steps=60, batch_size=64, lr=1e-2, dead_after=300)
with build(folder / "sae", "sae", settings={}, made_from={}) as made:
    training.train(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config, checkpoint=made)
"""


def assert_same(a, b):
    for name in ("W_enc", "b_enc", "W_dec", "b_pre"):
        np.testing.assert_array_equal(getattr(a.sae, name), getattr(b.sae, name), err_msg=name)
    assert a.sae.threshold == b.sae.threshold
    assert a.history == b.history


# --- what it refuses -------------------------------------------------------------------------------


def test_embeddings_that_are_all_the_same_cannot_train_an_sae():
    with pytest.raises(BadData, match="all embeddings are the same"):
        train(np.ones((10, 16), np.float32), np.ones((2, 16), np.float32), SMALL, SHORT)


def test_one_text_cannot_train_an_sae():
    with pytest.raises(BadData, match=r"1 text\(s\) cannot train an SAE"):
        train(np.ones((1, 16), np.float32), np.ones((2, 16), np.float32), SMALL, SHORT)


def test_embeddings_of_another_width_cannot_train_an_sae():
    with pytest.raises(DimensionMismatch, match=r"shape \(10, 15\) came in, but the SAE reads \(n, 16\)"):
        train(np.ones((10, 15), np.float32), np.ones((2, 15), np.float32), SMALL, SHORT)
