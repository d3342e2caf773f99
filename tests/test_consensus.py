"""An SAE of what several runs agree on."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import unweave as uw
from unweave.base.building import build
from unweave.config import FitConfig, SAEConfig, TrainConfig
from unweave.errors import BadData
from unweave.sae.agreement import with_twin
from unweave.sae.model import SAE
from unweave.sae.training import consensus as module
from unweave.sae.training import run
from unweave.sae.training.consensus import consensus, run_consensus
from unweave.sae.training.run import run_training

SMALL = SAEConfig(d_in=16, n_latents=32, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)
VARIANTS = ("batch_topk", "topk", "nested_topk", "matryoshka", "jumprelu", "matching_pursuit")

pytestmark = pytest.mark.usefixtures("one_thread")


def by_directions(rows: Any, b_enc: Any = (0, 0, 0), b_pre: float = 0) -> SAE:
    """An SAE of three latents on four dimensions that reads twice what it writes, from .1 on."""
    directions = np.array(rows, np.float32)
    return SAE(
        SAEConfig(d_in=4, n_latents=3, k=1), 2 * directions, np.array(b_enc, np.float32), directions,
        np.full(4, b_pre, np.float32), np.array([0.1], np.float32),
    )  # fmt: skip


X, Y, Z, W = np.eye(4, dtype=np.float32)


# --- what runs agree on ----------------------------------------------------------------------------


def test_the_consensus_of_three_runs_by_hand():
    # All have x, in other places, and the third has it .6 off (cosine .8). The first and the third have y; z, w, -z and
    # -y are of one run each.
    found = consensus([
        by_directions([X, Y, Z], [1, 2, 3], b_pre=0.0),
        by_directions([W, -Z, X], [4, 5, 6], b_pre=0.3),
        by_directions([Y, 0.8 * X + 0.6 * W, -Y], [7, 8, 9], b_pre=0.6),
    ])  # fmt: skip
    assert found.n_groups == 2
    mean = (2.8 * X + 0.6 * W) / 3
    np.testing.assert_allclose(found.sae.W_dec, [mean / np.linalg.norm(mean), Y, Z], atol=1e-6)
    np.testing.assert_allclose(found.sae.W_enc, [2 * mean, 2 * Y, 2 * Z], atol=1e-6)
    np.testing.assert_allclose(found.sae.b_enc, [(1 + 6 + 8) / 3, (2 + 7) / 2, 3], atol=1e-6)
    np.testing.assert_allclose(found.sae.b_pre, np.full(4, 0.3), atol=1e-6)


def test_what_the_first_run_lacks_and_the_others_have_takes_the_place_of_a_latent_of_its_own():
    found = consensus([by_directions([X, Y, Z]), by_directions([X, W, -Y]), by_directions([-X, W, -Z])])
    assert found.n_groups == 2
    np.testing.assert_allclose(found.sae.W_dec, [X, W, Y], atol=1e-6)


def test_of_many_runs_half_have_to_agree():
    both, neither = by_directions([X, Y, Z]), by_directions([-X, -Y, -Z])
    odd = by_directions([W, -W, -X])
    assert consensus([both, both, odd, neither]).n_groups == 3
    assert consensus([both, both, odd, neither, neither]).n_groups == 1  # -x, which three have; two are too few
    assert consensus([both, odd]).n_groups == 0


def test_runs_that_are_one_agree_on_everything(random_sae):
    sae = random_sae(d_in=16, n_latents=40, seed=1)
    found = consensus([sae, sae, sae])
    assert found.n_groups == 40
    np.testing.assert_allclose(found.sae.W_dec, sae.W_dec, atol=1e-6)
    np.testing.assert_allclose(found.sae.W_enc, sae.W_enc, atol=1e-6)


# --- training on from it ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(sparse_data):
    return sparse_data(n=1200).embeddings


@pytest.fixture(scope="module")
def trained(texts):
    return run_consensus(texts[:1000], texts[1000:], SMALL, SHORT, runs=3)


def runs_of(texts) -> list[SAE]:
    seeds = (0, 1 << 20, 2 << 20)
    return [run_training(texts[:1000], texts[1000:], SMALL, replace(SHORT, seed=seed)).sae for seed in seeds]


def test_what_runs_agree_on_stays_and_the_rest_learns(texts, trained):
    start = consensus(runs_of(texts))
    assert 0 < start.n_groups < 32
    stays, others = slice(0, start.n_groups), slice(start.n_groups, None)
    np.testing.assert_array_equal(trained.sae.W_dec[stays], start.sae.W_dec[stays])
    alive = np.isin(np.arange(start.n_groups, 32), start.sae.encode(texts[:1000]).indices)
    assert alive.any()
    assert (trained.sae.W_dec[others] != start.sae.W_dec[others]).any(axis=1)[alive].all()
    assert (trained.sae.W_enc[stays] != start.sae.W_enc[stays]).any(axis=1).all()
    assert trained.history[-1]["step"] == 30


def test_of_its_runs_the_one_that_found_a_latent_least_marks_it(texts, trained):
    each = [with_twin(trained.sae, one, texts[:1000]) for one in runs_of(texts)]
    np.testing.assert_array_equal(trained.sae.twin, np.min(each, axis=0))
    assert np.nanmax(trained.sae.twin) < 1  # an average is none of its members


@pytest.mark.slow  # five whole trainings
def test_it_finds_more_of_what_texts_are_made_of_than_one_run(sparse_data):
    data = sparse_data(n=3000, active=2)

    def found(**given: Any) -> int:
        sae = uw.train(data.embeddings, 2, n_latents=24, steps=800, batch_size=256, **given)
        return int(((data.dictionary @ sae.W_dec.T).max(axis=1) > 0.98).sum())

    assert found(consensus=4) >= found()


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_consensus(texts, variant):
    config = replace(SHORT, variant=variant)
    sae = run_consensus(texts[:1000], texts[1000:], SMALL, config, runs=2).sae
    assert sae.measure(texts[1000:]).nmse < 1
    assert sae.twin is not None


def test_encoders_stay_as_near_as_they_have_to(texts):
    near = run_consensus(texts[:1000], texts[1000:], SMALL, replace(SHORT, least_cosine=0.95), runs=2).sae
    cosines = (near.W_enc * near.W_dec).sum(axis=1) / np.linalg.norm(near.W_enc, axis=1)
    assert (cosines > 0.95 - 1e-4).all()


def test_a_kill_during_the_last_training_loses_no_run(texts, trained, tmp_path, monkeypatch):
    np.save(tmp_path / "texts.npy", texts)
    killed = subprocess.run([sys.executable, "-c", _KILLED_IN_THE_LAST, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    steps: list[int] = []
    learn = run.Run.learn
    monkeypatch.setattr(
        run.Run, "learn", lambda self, x, number, hint: steps.append(number) or learn(self, x, number, hint)
    )
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        resumed = run_consensus(texts[:1000], texts[1000:], SMALL, SHORT, runs=3, checkpoint=made)
        assert not list(made.path.glob("*.safetensors"))
    assert steps == list(range(17, 30))
    np.testing.assert_array_equal(resumed.sae.W_dec, trained.sae.W_dec)
    np.testing.assert_array_equal(resumed.sae.twin, trained.sae.twin)


_KILLED_IN_THE_LAST = """
import os, pathlib, signal, sys
import numpy as np
from unweave.base.building import build
from unweave.config import SAEConfig
from unweave.sae.training import run
from unweave.sae.training.consensus import run_consensus

learn = run.Run.learn

def learn_until_killed(run, x, number, hint):
    if number == 17 and len(run.settled):
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(run, x, number, hint)

run.Run.learn = learn_until_killed
run._CHECKPOINT_SECONDS = 0
folder = pathlib.Path(sys.argv[1])
texts = np.load(folder / "texts.npy")
config = run.TrainConfig(steps=60, batch_size=64, lr=1e-2)
with build(folder / "sae", "sae", settings={}, made_from={}) as made:
    run_consensus(texts[:1000], texts[1000:], SAEConfig(d_in=16, n_latents=32, k=2), config, runs=3, checkpoint=made)
"""


def test_a_matching_that_does_not_fit_into_memory_is_refused_before_any_training(texts, monkeypatch):
    monkeypatch.setattr(module, "run_training", None)
    with pytest.raises(BadData, match="--consensus 0"):
        run_consensus(texts[:1000], texts[1000:], replace(SMALL, n_latents=10_000_000), SHORT, runs=3)


# --- asked for -------------------------------------------------------------------------------------


def test_in_python_a_consensus_is_asked_for(texts):
    sae = uw.train(texts, 2, n_latents=32, steps=30, consensus=2)
    assert len(sae.returns) > 20
    one = uw.train(texts, 2, n_latents=32, steps=30, consensus=1)
    np.testing.assert_array_equal(one.W_dec, uw.train(texts, 2, n_latents=32, steps=30).W_dec)


def test_no_such_number_of_runs():
    with pytest.raises(ValueError, match="consensus must be at least 0, got -1"):
        FitConfig(consensus=-1)
