"""Matching pursuit that stops by itself, in directions of any length, as SAELens trains it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unweave.errors import BadData
from unweave.sae import model
from unweave.sae.given import fingerprint
from unweave.sae.model import SAE, pursue
from unweave.sae.stopping import pursue_until

SHORT = np.array([[0.9, 0], [0, 0.9]], np.float32)


def step_by_step(centred, W, most_steps, bound, at_repeat):
    """One embedding's activations, as the docstring of `stopping` says it."""
    r, z = centred.astype(np.float64), np.zeros(len(W))
    for _ in range(most_steps):
        j = int(np.argmax(W @ r))
        added = max(W[j] @ r, 0)
        again = z[j] > 0
        z[j] += added
        r = r - added * W[j]
        if added == 0 or (at_repeat and again) or np.linalg.norm(r) < bound:
            break
    return z


@pytest.fixture
def stopping(random_sae):
    """An SAE of 24 latents whose directions are .8 to 1.2 long, and the way it stops."""
    sae = random_sae(3)
    W = sae.W_dec * np.linspace(0.8, 1.2, 24, dtype=np.float32)[:, None]
    config = replace(sae.config, selection="matching_pursuit", most_steps=8, stops_at_repeat=True)
    return replace(sae, config=config, W_enc=W, W_dec=W, threshold=np.array([0.3], np.float32))


@pytest.mark.parametrize(
    ("most_steps", "bound", "at_repeat", "z"),
    [
        # x = (1, .5) gives .9 and leaves (.19, .5), which gives .45 and leaves (.19, .095): .171 of the first
        (9, 0.0, True, [1.071, 0.45]),
        (2, 0.0, True, [0.9, 0.45]),
        # which leaves (.0361, .095), .1016 long; before it were .2124 left
        (9, 0.2, False, [1.071, 0.45]),
        (9, 0.25, False, [0.9, 0.45]),
        # and from there .0855 of the second
        (4, 0.0, False, [1.071, 0.5355]),
    ],
)
def test_a_pursuit_by_hand(most_steps, bound, at_repeat, z):
    found = pursue_until(np.array([[1, 0.5]], np.float32), SHORT, most_steps, bound, at_repeat=at_repeat)
    np.testing.assert_allclose(found.toarray(), [z], rtol=1e-6)


def test_an_embedding_that_no_direction_explains_has_no_latents():
    assert pursue_until(np.array([[-1, -1], [0, 0]], np.float32), SHORT, 9, 0.0, at_repeat=False).nnz == 0


@pytest.mark.parametrize("at_repeat", [True, False])
@pytest.mark.parametrize("bound", [0.0, 0.3])
def test_many_at_once_are_what_a_loop_finds_of_each(stopping, bound, at_repeat):
    texts = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    config = replace(stopping.config, stops_at_repeat=at_repeat)
    sae = replace(stopping, config=config, threshold=np.array([bound], np.float32))
    expected = [step_by_step(x - sae.b_pre, sae.W_dec, 8, np.float32(bound), at_repeat) for x in texts]
    np.testing.assert_allclose(sae.encode(texts).toarray(), expected, rtol=1e-4, atol=1e-5)


def test_one_by_one_equals_batched_and_a_limit_is_kept(stopping):
    texts = np.random.default_rng(1).normal(size=(100, 8)).astype(np.float32)
    whole = stopping.encode(texts).toarray()
    single = np.concatenate([stopping.encode(text).toarray() for text in texts])
    np.testing.assert_allclose(single, whole, rtol=1e-5, atol=1e-6)
    assert (np.diff(stopping.encode(texts, max_latents=2).indptr) <= 2).all()
    assert stopping.encode(texts[:0]).shape == (0, 24)


def test_texts_are_the_same_on_both_sides_of_a_block_border(stopping, monkeypatch):
    texts = np.random.default_rng(1).normal(size=(20, 8)).astype(np.float32)
    whole = stopping.encode(texts).toarray()
    monkeypatch.setattr(model, "_PURSUIT_FLOATS", 1)
    monkeypatch.setattr(model, "_PURSUED_AT_ONCE", 7)
    np.testing.assert_allclose(stopping.encode(texts).toarray(), whole, rtol=1e-5, atol=1e-6)


def test_one_that_does_not_stop_by_itself_takes_its_k_steps(stopping):
    config, texts = replace(stopping.config, most_steps=None), np.random.default_rng(1).normal(size=(20, 8))
    found = replace(stopping, config=config, threshold=np.array([9.0], np.float32)).encode(texts)
    np.testing.assert_array_equal(found.toarray(), pursue(stopping, texts, method="matching").toarray())
    assert np.diff(found.indptr).max() == config.k > 1


def test_how_it_stops_is_saved_and_is_part_of_what_it_computes(stopping, tmp_path):
    stopping.save(tmp_path / "sae")
    back = SAE.load(tmp_path / "sae")
    assert back.config == stopping.config
    assert fingerprint(back) == fingerprint(stopping)
    assert fingerprint(replace(back, config=replace(back.config, stops_at_repeat=False))) != fingerprint(stopping)


def test_a_pursuit_that_grows_without_end_is_an_error():
    # Directions 30 long, one against the other: each step leaves hundreds of times more than was there.
    W = np.array([[30, 0], [-30, 0]], np.float32)
    with pytest.raises(BadData, match="leaves more at each step"):
        pursue_until(np.array([[1, 0]], np.float32), W, 60, 0.0, at_repeat=False)
