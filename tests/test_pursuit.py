"""Pursuit encoders: by hand, against a slow and obvious one, and what each method promises."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba.core.dispatcher import Dispatcher
from scipy.optimize import nnls

import unweave
from unweave.config import SAEConfig
from unweave.errors import BadData, DimensionMismatch
from unweave.sae import model
from unweave.sae.model import SAE, pursue
from unweave.sae.pursuit import GRADIENT, MATCHING, METHODS, ORTHOGONAL

every_method = pytest.mark.parametrize("method", METHODS)


def sae_of(directions, b_pre=None) -> SAE:
    """An SAE with these directions; pursuit reads nothing else but b_pre."""
    W_dec = np.asarray(directions, np.float32)
    n_latents, d_in = W_dec.shape
    zeros = np.zeros(n_latents, np.float32)
    b_pre = np.zeros(d_in, np.float32) if b_pre is None else np.asarray(b_pre, np.float32)
    return SAE(SAEConfig(d_in=d_in, n_latents=n_latents, k=1), np.zeros_like(W_dec), zeros, W_dec, b_pre, zeros)


@pytest.fixture(scope="module")
def any_lengths() -> SAE:
    """200 random directions on 32 dimensions, of lengths from about 3 to 9."""
    random = np.random.default_rng(5)
    return sae_of(random.normal(size=(200, 32)), random.normal(0, 0.1, 32))


@pytest.fixture(scope="module")
def gaussian():
    return np.random.default_rng(6).normal(size=(60, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def halves_sae():
    """The axes of four dimensions and all (±1/2, ±1/2, ±1/2, ±1/2): every length is exactly 1 in float32."""
    signs = np.array(np.meshgrid(*[[0.5, -0.5]] * 4)).reshape(4, 16).T
    return sae_of(np.concatenate([np.eye(4), signs]))


# No 0 among them, so that no row is the zero vector, which an SAE refuses.
short_numbers = st.sampled_from([-2.0, -1.0, -0.5, 0.25, 0.5, 1.0, 3.0])
embeddings_in_quarters = st.integers(1, 6).flatmap(lambda n: arrays(np.float32, (n, 4), elements=short_numbers))


def errors(sae, embeddings, codes):
    """|x - x_hat|^2 of each embedding."""
    return np.square(embeddings - sae.decode(codes), dtype=np.float64).sum(axis=1)


def slowly(sae, embedding, k, method):
    """The obvious pursuit: all in d_in dimensions, each refit from the start; (n_latents,) activations."""
    lengths = np.linalg.norm(sae.W_dec.astype(np.float64), axis=1)
    U = sae.W_dec / lengths[:, None]
    x = embedding.astype(np.float64) - sae.b_pre
    z = np.zeros(len(U))
    most = k + k // 8 if method == ORTHOGONAL else k
    for _ in range(k if method == MATCHING else 2 * most):
        correlations = U @ (x - z @ U)
        j = correlations.argmax()
        if correlations[j] < 1e-5 * np.linalg.norm(x) or (method != MATCHING and np.count_nonzero(z) == most):
            break
        support = np.union1d(np.flatnonzero(z), [j])
        if method == MATCHING:
            z[j] += correlations[j]
        elif method == ORTHOGONAL:
            z[support] = nnls(U[support].T, x)[0]
        else:
            step = np.zeros_like(z)
            step[support] = correlations[support]
            length = step @ step / np.square(step @ U).sum()
            falling = np.flatnonzero(step < 0)
            longest = min(-z[falling] / step[falling], default=np.inf)
            z = z + min(length, longest) * step
            z[falling[z[falling] < 1e-12]] = 0
    while np.count_nonzero(z) > k:
        support = np.flatnonzero(z)
        # lstsq, not nnls, says what an absence costs: what would turn negative then is found out afterwards.
        costs = [np.linalg.lstsq(U[np.delete(support, i)].T, x)[1][0] for i in range(len(support))]
        support = np.delete(support, np.argmin(costs))
        z[:] = 0
        z[support] = nnls(U[support].T, x)[0]
    return z / lengths


# --- by hand ----------------------------------------------------------------------------------------

# Directions (1, 0), (0, 1), (0.6, 0.8), b_pre (1, 2), x = (3, 4): x - b_pre = (2, 2) has the correlations (2, 2, 2.8).
# Latent 2 is first. The residual (2, 2) - 2.8 (0.6, 0.8) = (0.32, -0.24) has (0.32, -0.24, 0): latent 0 is next.


@every_method
def test_the_first_choice_is_the_highest_correlation(sae_with_biases, method):
    np.testing.assert_allclose(pursue(sae_with_biases, np.array([3, 4]), 1, method).toarray(), [[0, 0, 2.8]], rtol=1e-6)


def test_matching_adds_the_correlation_of_the_residual(sae_with_biases):
    code = pursue(sae_with_biases, np.array([3, 4]), 2, MATCHING)
    np.testing.assert_allclose(code.toarray(), [[0.32, 0, 2.8]], rtol=1e-6)


def test_orthogonal_solves_for_both_coefficients(sae_with_biases):
    # 2.5 (0.6, 0.8) + 0.5 (1, 0) = (2, 2)
    code = pursue(sae_with_biases, np.array([3, 4]), 2, ORTHOGONAL)
    np.testing.assert_allclose(code.toarray(), [[0.5, 0, 2.5]], rtol=1e-5)


def test_gradient_steps_as_far_as_the_error_falls():
    # a = (1, 0), b = (0.6, 0.8), x = (2, 0.5): first a with 2. The residual (0, 0.5) has the gradient (0, 0.4) on
    # {a, b}, and 0.4 is how far b moves. The next residual, (-0.24, 0.18), has no positive correlation.
    code = pursue(sae_of([[1, 0], [0.6, 0.8]]), np.array([2, 0.5]), 2, GRADIENT)
    np.testing.assert_allclose(code.toarray(), [[2, 0.4]], rtol=1e-6)


def test_matching_chooses_a_latent_again_and_adds_its_coefficients():
    # a = (1, 0), b = (-0.6, 0.8), x = (1, 1):  a 1 -> (0, 1);  b 0.8 -> (0.48, 0.36);  a 0.48 -> (0, 0.36);  b 0.288.
    code = pursue(sae_of([[1, 0], [-0.6, 0.8], [0, -1]]), np.array([1, 1]), 3, MATCHING)
    np.testing.assert_allclose(code.toarray(), [[1.48, 0.8, 0]], rtol=1e-6)


def test_a_coefficient_that_would_turn_negative_leaves_the_support():
    # x = (1, 1, -0.1): m = (2, 2, 1) / 3 is first (1.3), then both axes. x = 1.2 e0 + 1.2 e1 - 0.3 m would need less
    # than nothing of m, so m leaves and e0 + e1 is the best that is left.
    sae = sae_of([[1, 0, 0], [0, 1, 0], [2 / 3, 2 / 3, 1 / 3]])
    embedding = np.array([1, 1, -0.1])
    assert pursue(sae, embedding, 2).indices.tolist() == [0, 2]
    np.testing.assert_allclose(pursue(sae, embedding, 3).toarray(), [[1, 1, 0]], atol=1e-6)


def test_of_coefficients_that_would_turn_negative_the_first_to_reach_zero_leaves_alone():
    # Two would turn negative at once; without both of them less is explained.
    sae = sae_of([[4, -1, 0], [5, -2, -2], [-2, -1, 5], [1, 0, 1], [-1, 1, 4]])
    embedding = np.array([6, 2, 1])
    code = pursue(sae, embedding, 3, exact=True)
    np.testing.assert_allclose(code.toarray()[0], slowly(sae, embedding, 3, ORTHOGONAL), atol=1e-5)
    assert code.indices.tolist() == [0, 3]


def test_a_direction_in_the_span_of_those_before_it_is_not_taken():
    # a and b are chosen first; c lies within 1e-3 of their plane, and it would take thousands of c to explain the rest.
    sae = sae_of([[1, 0, 0], [0, 1, 0], [1, 1, 5e-4]])
    code = pursue(sae, np.array([1, 0.3, 1]), 3, exact=True)
    np.testing.assert_allclose(code.toarray(), [[1, 0.3, 0]], atol=1e-6)


@every_method
@pytest.mark.parametrize("scale", [1e-7, 1e7])
def test_of_a_longer_embedding_there_is_more_of_the_same(method, scale):
    random = np.random.default_rng(1)
    sae, embeddings = sae_of(random.normal(size=(9, 4))), random.normal(size=(20, 4))
    expected = pursue(sae, embeddings, 3, method)
    found = pursue(sae, embeddings * scale, 3, method)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.data / scale, expected.data, rtol=1e-4)


@every_method
def test_only_positive_parts_are_chosen(identity_sae, method):
    code = pursue(identity_sae, np.array([-3.0, 2.0, -1.0]), 3, method)
    np.testing.assert_array_equal(code.toarray(), [[0, 2, 0]])
    assert code.nnz == 1


@every_method
def test_directions_of_any_length_give_the_same_reconstruction(method):
    # Twice the length, half the activation; a direction of length 0 is never chosen.
    code = pursue(sae_of([[2, 0], [0, 0], [0, 0.5]]), np.array([3, 1]), 3, method)
    np.testing.assert_allclose(code.toarray(), [[1.5, 0, 2]], rtol=1e-6)


@every_method
def test_of_equal_directions_the_first_is_taken(method):
    for most_gram_bytes in (model.MOST_GRAM_BYTES, 0):
        code = pursue(
            sae_of([[0, 1], [1, 0], [1, 0], [3, 0]]), np.array([2, 1]), 4, method, most_gram_bytes=most_gram_bytes
        )
        np.testing.assert_array_equal(code.toarray(), [[1, 2, 0, 0]])
        sae = sae_of([[0, 1], [0, 1], [1, 0]] * 1000)  # more than are lowered at a time
        code = pursue(sae, np.array([2, 1]), 4, method, most_gram_bytes=most_gram_bytes)
        assert (code.indices.tolist(), code.data.tolist()) == ([0, 2], [1, 2])


@every_method
def test_an_embedding_at_b_pre_has_no_latents(sae_with_biases, method):
    code = pursue(sae_with_biases, np.array([[1, 2], [3, 4]]), 1, method)
    assert np.diff(code.indptr).tolist() == [0, 1]


@every_method
def test_no_embeddings_have_no_latents(identity_sae, method):
    code = pursue(identity_sae, np.empty((0, 3), np.float32), method=method)
    assert (code.shape, code.nnz) == ((0, 3), 0)


def test_k_is_the_saes_own_unless_given(identity_sae):
    assert pursue(identity_sae, np.array([1.0, 2.0, 3.0])).nnz == identity_sae.config.k


# --- against the obvious one ------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("k", [1, 5, 20])
def test_looking_at_every_latent_equals_the_obvious_pursuit(any_lengths, gaussian, method, k):
    expected = [slowly(any_lengths, x, k, method) for x in gaussian]
    np.testing.assert_allclose(pursue(any_lengths, gaussian, k, method, exact=True).toarray(), expected, atol=2e-5)


@every_method
def test_with_more_latents_than_are_lowered_at_a_time_the_obvious_ones_are_found(method):
    random = np.random.default_rng(2)
    sae, embeddings = sae_of(random.normal(size=(3000, 16))), random.normal(size=(3, 16)).astype(np.float32)
    expected = [slowly(sae, embedding, 4, method) for embedding in embeddings]
    for most_gram_bytes in (model.MOST_GRAM_BYTES, 0):
        for exact in (True, False):
            codes = pursue(sae, embeddings, 4, method, exact=exact, most_gram_bytes=most_gram_bytes)
            np.testing.assert_allclose(codes.toarray(), expected, atol=1e-4)
    assert {int(latent) // 1024 for latent in codes.indices} == {0, 1, 2}


def test_where_correlations_are_close_only_looking_at_every_latent_is_exact():
    random = np.random.default_rng(3)
    sae, embeddings = sae_of(random.normal(size=(60, 24))), random.normal(size=(10, 24)).astype(np.float32)
    quick, exact = (pursue(sae, embeddings, 16, GRADIENT, exact=exact).toarray() for exact in (False, True))
    expected = [slowly(sae, embedding, 16, GRADIENT) for embedding in embeddings]
    np.testing.assert_allclose(exact, expected, atol=1e-4)
    assert np.abs(quick - expected).max() > 1e-3


@pytest.mark.parametrize("method", [ORTHOGONAL, GRADIENT])
def test_of_random_directions_the_candidates_find_what_looking_at_every_latent_finds(any_lengths, gaussian, method):
    quick, exact = (pursue(any_lengths, gaussian, 10, method, exact=exact).toarray() for exact in (False, True))
    np.testing.assert_allclose(quick, exact, atol=1e-4)


@every_method
@pytest.mark.parametrize("exact", [True, False])
def test_without_a_gram_matrix_the_codes_are_the_same(any_lengths, gaussian, method, exact):
    with_gram = pursue(any_lengths, gaussian, 20, method, exact=exact)
    without = pursue(any_lengths, gaussian, 20, method, exact=exact, most_gram_bytes=4 * 200**2 - 1)
    np.testing.assert_allclose(without.toarray(), with_gram.toarray(), atol=1e-4)


@pytest.mark.parametrize("method", [ORTHOGONAL, GRADIENT])
def test_the_candidates_cost_less_than_two_percent(method):
    # Random directions and texts are the worst case: no latent stands out, and all keep changing places.
    random = np.random.default_rng(7)
    sae = sae_of(random.normal(size=(1024, 128)))
    embeddings = random.normal(size=(200, 128)).astype(np.float32)
    quick, exact = (errors(sae, embeddings, pursue(sae, embeddings, 32, method, exact=e)).sum() for e in (False, True))
    assert quick < 1.02 * exact


# --- what each pursuit promises ---------------------------------------------------------------------


@given(embeddings_in_quarters, st.sampled_from(METHODS), st.integers(1, 20), st.booleans())
def test_codes_are_positive_sorted_and_no_longer_than_k(halves_sae, embeddings, method, k, exact):
    codes = pursue(halves_sae, embeddings, k, method, exact=exact)
    assert codes.shape == (len(embeddings), 20)
    assert np.diff(codes.indptr).max() <= k
    assert (codes.data > 0).all()
    assert all((np.diff(codes[[row]].indices) > 0).all() for row in range(len(embeddings)))


@given(embeddings_in_quarters, st.sampled_from(METHODS))
def test_more_latents_never_reconstruct_worse(halves_sae, embeddings, method):
    by_k = [errors(halves_sae, embeddings, pursue(halves_sae, embeddings, k, method)) for k in range(1, 8)]
    assert (np.diff(by_k, axis=0) <= 1e-5).all()


@every_method
def test_more_latents_never_reconstruct_worse_with_random_directions(any_lengths, gaussian, method):
    by_k = [errors(any_lengths, gaussian, pursue(any_lengths, gaussian, k, method)) for k in range(1, 40, 3)]
    assert (np.diff(by_k, axis=0) <= 1e-4).all()


@given(embeddings_in_quarters)
def test_the_first_two_latents_are_matchings_and_orthogonal_weighs_them_best(halves_sae, embeddings):
    # Both choose the same two; least squares has the least error on them. Later choices may differ.
    orthogonal, matching = (errors(halves_sae, embeddings, pursue(halves_sae, embeddings, 2, m)) for m in METHODS[::-2])
    assert (orthogonal <= matching + 1e-5).all()


def test_over_many_texts_orthogonal_is_better_than_gradient_and_gradient_than_matching(any_lengths, gaussian):
    matching, gradient, orthogonal = (
        errors(any_lengths, gaussian, pursue(any_lengths, gaussian, 12, m)).sum() for m in METHODS
    )
    assert orthogonal < gradient < matching


@every_method
def test_sums_of_orthogonal_directions_are_recovered(method):
    random = np.random.default_rng(8)
    rotation = np.linalg.qr(random.normal(size=(40, 40)))[0]
    activations = random.uniform(0.5, 2, (50, 40)) * (random.random((50, 40)) < 0.2)
    activations[:, 0] = 1
    b_pre = random.normal(size=40)
    codes = pursue(sae_of(rotation, b_pre), activations @ rotation + b_pre, 40, method)
    np.testing.assert_allclose(codes.toarray(), activations, atol=1e-5)
    assert codes.nnz == np.count_nonzero(activations), "what is left by rounding is not pursued"


def test_orthogonal_needs_no_more_latents_than_there_are_dimensions(any_lengths, gaussian):
    codes = pursue(any_lengths, gaussian, 200)
    assert np.diff(codes.indptr).max() <= 32
    assert errors(any_lengths, gaussian, codes).max() < 1e-6


@given(embeddings_in_quarters, st.sampled_from(METHODS), st.booleans())
def test_one_by_one_equals_batched(halves_sae, embeddings, method, exact):
    batched = pursue(halves_sae, embeddings, 6, method, exact=exact)
    for row, embedding in enumerate(embeddings):
        alone = pursue(halves_sae, embedding, 6, method, exact=exact)
        np.testing.assert_array_equal(batched[[row]].toarray(), alone.toarray())


@every_method
def test_rows_are_the_same_on_both_sides_of_a_block_border(halves_sae, monkeypatch, method):
    embeddings = np.random.default_rng(0).integers(1, 9, (100, 4)).astype(np.float32) / 4
    whole = pursue(halves_sae, embeddings, 3, method)
    monkeypatch.setattr(model, "_PURSUIT_FLOATS", 1)
    monkeypatch.setattr(model, "_PURSUED_AT_ONCE", 7)
    np.testing.assert_array_equal(pursue(halves_sae, embeddings, 3, method).toarray(), whole.toarray())


def test_threads_that_share_a_fresh_sae_get_the_same_codes(any_lengths, gaussian):
    expected = pursue(any_lengths, gaussian, 10).toarray()
    fresh = replace(any_lengths)
    with ThreadPoolExecutor(8) as threads:
        for codes in threads.map(lambda _: pursue(fresh, gaussian, 10).toarray(), range(16)):
            np.testing.assert_array_equal(codes, expected)


def test_the_gram_matrix_goes_with_its_sae(any_lengths, gaussian):
    sae = replace(any_lengths)
    pursue(sae, gaussian, 2)
    gram = weakref.ref(model._dictionary_of(sae, with_gram=True).gram)
    assert gram() is not None
    del sae
    gc.collect()
    assert gram() is None


def test_pursuit_leaves_its_input_as_it_was(any_lengths, gaussian):
    before = gaussian.copy()
    pursue(any_lengths, gaussian, 5, MATCHING)
    np.testing.assert_array_equal(gaussian, before)


# --- what it refuses --------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_lies_between_one_and_the_number_of_latents(identity_sae, k):
    with pytest.raises(ValueError, match=f"k must be between 1 and n_latents=3, got {k}"):
        pursue(identity_sae, np.ones(3), k)


def test_an_unknown_method_is_refused_with_those_there_are(identity_sae):
    with pytest.raises(ValueError, match="method must be one of matching, gradient, orthogonal, got 'omp'"):
        pursue(identity_sae, np.ones(3), 1, "omp")


def test_embeddings_of_another_width_are_refused(identity_sae):
    with pytest.raises(DimensionMismatch, match=r"shape \(4, 2\) came in but this SAE reads \(n, 3\)"):
        pursue(identity_sae, np.ones((4, 2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_is_named(identity_sae, value):
    with pytest.raises(BadData, match="row 1 holds NaN or infinite"):
        pursue(identity_sae, np.array([[1.0, 0, 0], [0, value, 0]]))


def test_a_zero_vector_is_named(identity_sae):
    with pytest.raises(BadData, match="row 1 is a zero vector"):
        pursue(identity_sae, np.array([[1.0, 0, 0], [0, 0, 0]]))


# --- the same in every process --------------------------------------------------------------------

# Sums of a few directions of +-1/8 tie often, so that the rounding of a correlation decides which latent is chosen.
TIES = """
import hashlib
import numpy as np
from unweave.config import SAEConfig
from unweave.sae.model import SAE, pursue
random = np.random.default_rng(0)
U, zeros = random.choice([-1 / 8, 1 / 8], (1024, 64)).astype(np.float32), np.zeros(1024, np.float32)
sae = SAE(SAEConfig(d_in=64, n_latents=1024, k=16), U, zeros, U, zeros[:64], zeros)
codes = pursue(sae, U[random.integers(1024, size=(512, 12))].sum(axis=1), 16)
print(hashlib.sha256(codes.indices.tobytes() + codes.data.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_process_that_compiles_finds_what_one_finds_that_reads_the_compiled(tmp_path):
    fresh = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OPENBLAS_NUM_THREADS": "1"}
    found = {subprocess.check_output([sys.executable, "-c", TIES], env=fresh, text=True) for _ in range(2)}
    assert len(found) == 1


def kernels() -> list[Dispatcher]:
    """Every compiled function of the package."""
    source = Path(unweave.__file__).parent
    paths = [path.relative_to(source.parent) for path in source.rglob("*.py") if "njit" in path.read_text("utf-8")]
    modules = [importlib.import_module(".".join(path.with_suffix("").parts)) for path in paths]
    return [value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)]


def test_a_kernel_whose_sums_may_be_reordered_is_inlined_where_another_calls_it():
    called = {
        id(caller.py_func.__globals__.get(name)) for caller in kernels() for name in caller.py_func.__code__.co_names
    }
    free = [kernel for kernel in kernels() if kernel.targetoptions.get("fastmath")]
    assert len(free) > 15
    for kernel in free:
        assert kernel.targetoptions.get("forceinline") or id(kernel) not in called, kernel
