"""Encoders that stay within an angle of their decoders."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from conftest import unit
from unweave.config import FitConfig, SAEConfig, TrainConfig
from unweave.sae.training.arithmetic import Parameters
from unweave.sae.training.cone import hold_within
from unweave.sae.training.run import run_training

SAE_CONFIG = SAEConfig(d_in=16, n_latents=24, k=2)
SHORT = TrainConfig(steps=60, batch_size=64, lr=1e-2)

pytestmark = pytest.mark.usefixtures("one_thread")


def held(W_enc, W_dec, cosine: float) -> np.ndarray:
    zeros = torch.zeros(len(W_enc))
    p = Parameters(
        torch.tensor(W_enc, dtype=torch.float32), zeros, torch.tensor(W_dec, dtype=torch.float32), zeros, zeros
    )
    hold_within(p, cosine)
    return p.W_enc.numpy()


def test_an_encoder_outside_the_cone_is_brought_to_its_edge_and_keeps_its_part_along_the_decoder():
    # cos(phi) = .8, so tan(phi) = .75: (4, 5) along (1, 0) may have 3 across; (4, 2) has less, and stays.
    np.testing.assert_allclose(held([[4, 5], [4, -2]], [[1, 0], [1, 0]], 0.8), [[4, 3], [4, -2]], rtol=1e-6)
    np.testing.assert_allclose(held([[4, 5]], [[1, 0]], 1.0), [[4, 0]], rtol=1e-6)  # tied
    np.testing.assert_allclose(held([[-4, 5]], [[1, 0]], 0.8), [[0, 0]], atol=1e-5)  # begins again


@given(
    st_numpy.arrays(np.float32, (3, 4), elements=st.floats(-8, 8, width=32)),
    st.integers(0, 99),
    st.floats(0.01, 1),
)
def test_no_encoder_leaves_the_cone_and_none_inside_moves(W_enc, seed, cosine):
    W_dec = unit(np.random.default_rng(seed).normal(size=(3, 4)))
    once = held(W_enc, W_dec, cosine)
    along, length = (once * W_dec).sum(axis=1), np.linalg.norm(once, axis=1)
    assert (along >= cosine * length - 1e-4 * (1 + length)).all()
    inside = (W_enc * W_dec).sum(axis=1) > (cosine + 1e-3) * np.linalg.norm(W_enc, axis=1) + 1e-3
    np.testing.assert_allclose(once[inside], W_enc[inside], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cosine", [0.9, 1.0])
def test_a_training_holds_its_encoders_and_still_reconstructs(sparse_data, cosine):
    texts = sparse_data(1200, 16).embeddings
    sae = run_training(
        texts[:1000], texts[1000:], SAE_CONFIG, TrainConfig(steps=200, batch_size=64, lr=1e-2, least_cosine=cosine)
    ).sae
    assert (unit(sae.W_enc) * sae.W_dec).sum(axis=1).min() >= cosine - 1e-4
    assert sae.measure(texts[1000:]).nmse < 0.3
    free = run_training(texts[:1000], texts[1000:], SAE_CONFIG, SHORT).sae
    assert (unit(free.W_enc) * free.W_dec).sum(axis=1).min() < 0.9


@pytest.mark.parametrize("cosine", [-0.1, 1.1, math.nan])
def test_what_is_no_cosine_is_refused(cosine):
    for kind in (lambda: FitConfig(least_cosine=cosine), lambda: TrainConfig(steps=1, least_cosine=cosine)):
        with pytest.raises(ValueError, match="least_cosine"):
            kind()
