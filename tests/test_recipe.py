"""What is trained with when nothing is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.sae.training.recipe import recommend


def test_the_recipe_for_thirty_thousand_texts_by_hand():
    recipe = recommend(30_000, 384, 32)
    # 30,000 / 5 / 384 = 15.6, so 16 times the width; 60 * 30,000^(1/4) = 790, so batches of 1,024; twenty passes.
    assert recipe.n_latents == 16 * 384
    assert recipe.batch_size == 1024
    assert recipe.steps == 586
    assert recipe.lr == pytest.approx(6e-3 * (300 / 586) ** 0.5)
    assert (recipe.warmup_steps, recipe.dead_after) == (100, 7680)  # 40 * 6,144 / 32 texts


def test_fewer_texts_a_latent_make_a_larger_dictionary():
    # 30,000 / 384 = 78 texts a dimension: 64 times the width at one text a latent, but 32 at most.
    assert recommend(30_000, 384, 32, texts_per_latent=1).n_latents == 32 * 384
    assert recommend(30_000, 384, 32, texts_per_latent=20).n_latents == 4 * 384


def test_millions_of_texts_are_passed_over_twice():
    recipe = recommend(8_841_823, 768, 32)
    assert recipe.n_latents == 32 * 768
    assert recipe.batch_size == 4096
    assert recipe.steps == 5000  # more than two passes, 4,317 steps
    assert recommend(100_000_000, 768, 32).steps == round(2 * 100_000_000 / 4096)


def test_more_steps_are_smaller_ones():
    # Four times the 300 steps: half the step size.
    assert recommend(30_000, 384, 32, steps=1200).lr == pytest.approx(3e-3)


def test_what_is_given_is_kept_and_the_rest_follows_from_it():
    recipe = recommend(30_000, 384, 32, n_latents=1000, batch_size=256, steps=77)
    assert (recipe.n_latents, recipe.batch_size, recipe.steps) == (1000, 256, 77)
    assert recipe.lr == pytest.approx(3e-3)  # half, at a quarter of the batch
    assert recipe.warmup_steps == 19


@given(st.integers(2, 10**9), st.integers(1, 4096), st.integers(1, 256))
def test_every_recipe_can_be_trained_with(n_texts, d_in, k):
    recipe = recommend(n_texts, d_in, k)
    assert k <= recipe.n_latents <= max(k, 32 * d_in)
    assert 1 <= recipe.batch_size <= min(n_texts, 4096)
    assert recipe.steps >= 300
    assert 0 < recipe.lr < 0.05
    assert set(recipe.reasons) == {"n_latents", "batch_size", "steps", "lr"}
