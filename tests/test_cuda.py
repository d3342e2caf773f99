"""Training on a GPU: the same SAE as on the CPU, alone and under `torchrun` with nccl. Needs CUDA; CI has none."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from unweave.base.building import build
from unweave.config import SAEConfig, TrainConfig
from unweave.sae import training
from unweave.sae.model import SAE
from unweave.sae.training import run
from unweave.sae.training.arithmetic import Engine, Parameters, engine_for
from unweave.sae.training.run import run_training
from unweave.sae.training.variants import VARIANTS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch can use")

SMALL = SAEConfig(d_in=64, n_latents=256, k=4)
SHORT = TrainConfig(steps=20, batch_size=128, lr=3e-3, dead_after=256)


@pytest.fixture(scope="module")
def texts():
    random = np.random.default_rng(0)
    codes = np.where(random.random((2200, 100)) < 0.05, random.random((2200, 100)), 0)
    return (codes @ random.normal(size=(100, 64)) + 0.1 * random.normal(size=(2200, 64))).astype(np.float32)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_gpu_trains_the_sae_that_a_cpu_trains(texts, variant):
    # The same batches; sums in another order, and twenty steps keep the difference small.
    config = replace(SHORT, variant=variant, retrieval_weight=0.1)
    there = run_training(texts[:2000], texts[2000:], SMALL, config, device="cuda")
    here = run_training(texts[:2000], texts[2000:], SMALL, config, device="cpu")
    assert there.history[-1]["nmse_held_out"] == pytest.approx(here.history[-1]["nmse_held_out"], rel=1e-3)
    cosines = (there.sae.W_dec * here.sae.W_dec).sum(axis=1)
    assert np.quantile(cosines, 0.05) > 0.999


def test_a_search_in_bfloat16_finds_what_an_exact_one_finds():
    random = torch.Generator().manual_seed(0)
    W_enc, b_enc = torch.randn(1000, 96, generator=random), torch.randn(1000, generator=random) / 3
    p = Parameters(W_enc, b_enc, W_enc, torch.zeros(96), torch.zeros(1000))
    x = torch.randn(300, 96, generator=random)
    exact = Engine().above(p, x, 25.0)
    found = engine_for("cuda").above(Parameters(*(t.cuda() for t in p)), x.cuda(), 25.0)
    assert len(exact.rows) > 500
    same = torch.stack([exact.rows, exact.columns]).T.tolist(), torch.stack([found.rows, found.columns]).T.tolist()
    # A product that equals the floor but for rounding may fall on either side.
    assert len(set(map(tuple, same[0])) ^ set(map(tuple, same[1]))) <= 1
    torch.testing.assert_close(found.values.sum().cpu(), exact.values.sum(), rtol=1e-5, atol=30)


def test_a_training_that_stopped_on_a_gpu_goes_on_as_if_nothing_had_happened(texts, tmp_path, monkeypatch):
    whole = run_training(texts[:2000], texts[2000:], SMALL, SHORT, device="cuda")
    learn = run.Run.learn

    def stop_at_ten(run, x, number, hint):
        if number == 10:
            raise KeyboardInterrupt
        return learn(run, x, number, hint)

    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0)
    for what in (stop_at_ten, learn):
        monkeypatch.setattr(run.Run, "learn", what)
        with (
            pytest.raises(KeyboardInterrupt) if what is stop_at_ten else nullcontext(),
            build(tmp_path / "sae", "sae", settings={}, made_from={}) as made,
        ):
            resumed = run_training(texts[:2000], texts[2000:], SMALL, SHORT, device="cuda", checkpoint=made)
    assert [report["step"] for report in resumed.history] == [report["step"] for report in whole.history]
    np.testing.assert_allclose(resumed.sae.W_dec, whole.sae.W_dec, atol=1e-4)


def test_a_process_started_by_torchrun_talks_over_nccl(texts, tmp_path):
    np.save(tmp_path / "texts.npy", texts)
    (tmp_path / "train.py").write_text(_TRAINED_UNDER_TORCHRUN)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for n in range(1, min(2, torch.cuda.device_count()) + 1):
        command = [*launch, str(n), str(tmp_path / "train.py"), str(tmp_path), str(n)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        alone = run_training(texts[:2000], texts[2000:], SMALL, SHORT, device="cuda").sae
        np.testing.assert_allclose(SAE.load(tmp_path / f"sae-{n}").W_dec, alone.W_dec, atol=1e-4)


_TRAINED_UNDER_TORCHRUN = """
import os, pathlib, sys
import numpy as np
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.training.run import run_training

folder, n = pathlib.Path(sys.argv[1]), sys.argv[2]
texts = np.load(folder / "texts.npy")
config = TrainConfig(steps=20, batch_size=128, lr=3e-3, dead_after=256)
sae = run_training(texts[:2000], texts[2000:], SAEConfig(d_in=64, n_latents=256, k=4), config, device="cuda").sae
if os.environ["RANK"] == "0":
    sae.save(folder / f"sae-{n}")
"""
