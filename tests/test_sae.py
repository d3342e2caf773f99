"""The trained SAE: its formula, its rules about ties and thresholds, its folder on disk."""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save
from scipy.sparse import csr_array

from unweave.base.artifact import MANIFEST, MARK
from unweave.config import SAEConfig
from unweave.errors import BadData, CorruptArtifact, DimensionMismatch, MissingArtifact
from unweave.sae.model import SAE, WEIGHTS, strongest


@pytest.fixture(scope="module")
def quarters_sae():
    """Weights in quarters: products and sums of short numbers are exact in float32, whatever their order."""
    random = np.random.default_rng(3)
    W_enc, W_dec = random.integers(-4, 5, (2, 10, 3)).astype(np.float32) / 4
    b_enc, b_pre = np.full(10, 0.25, np.float32), np.array([0.5, -0.25, 0], np.float32)
    return SAE(SAEConfig(d_in=3, n_latents=10, k=2), W_enc, b_enc, W_dec, b_pre, threshold=np.array([0.5], np.float32))


# No 0 among them, so that no row is the zero vector, which an SAE refuses.
short_numbers = st.sampled_from([-2.0, -1.0, -0.5, 0.25, 0.5, 1.0, 3.0])
embeddings_in_quarters = st.integers(1, 6).flatmap(lambda n: arrays(np.float32, (n, 3), elements=short_numbers))


# --- the formula ------------------------------------------------------------------------------------


def test_encoding_is_the_biased_product_cut_at_the_threshold(sae_with_biases):
    # W_enc (x - b_pre) + b_enc = (2, 1, 4.5), see the fixture; 1 is at the threshold, so it is not kept.
    code = sae_with_biases.encode(np.array([[3.0, 4.0]]))
    np.testing.assert_array_equal(code.toarray(), [[2, 0, 4.5]])
    assert code.nnz == 2


def test_decoding_sums_directions_and_adds_b_pre(sae_with_biases):
    # 2 (1, 0) + 4.5 (0.6, 0.8) + (1, 2) = (5.7, 5.6)
    code = csr_array(np.array([[2, 0, 4.5]], np.float32))
    np.testing.assert_allclose(sae_with_biases.decode(code), [[5.7, 5.6]], rtol=1e-6)


def test_a_text_without_latents_is_reconstructed_as_b_pre(sae_with_biases):
    # x = (1, 2) = b_pre: W_enc 0 + b_enc = (0, -1, 0.5), none above 1.
    np.testing.assert_array_equal(sae_with_biases.reconstruct(np.array([1.0, 2.0])), [[1, 2]])


def test_an_activation_at_the_threshold_is_off_and_the_next_float_is_on(identity_sae):
    above = np.nextafter(np.float32(0.5), np.float32(1))
    code = identity_sae.encode(np.array([[0.5, above, 0.0]], np.float32))
    np.testing.assert_array_equal(code.indices, [1])
    assert code.data[0] == above


def test_a_threshold_below_zero_keeps_only_positive_activations(identity_sae):
    sae = SAE(
        identity_sae.config,
        identity_sae.W_enc,
        identity_sae.b_enc,
        identity_sae.W_dec,
        identity_sae.b_pre,
        threshold=np.array([-1.0], np.float32),
    )
    np.testing.assert_array_equal(sae.encode(np.array([[-0.5, 0.0, 0.1]])).indices, [2])


def test_max_latents_keeps_the_strongest_and_ties_keep_the_lower_latent(identity_sae):
    # Row 0: 3 and 2 are the two strongest of three. Row 1: all equal, latents 0 and 1 stay.
    code = identity_sae.encode(np.array([[2.0, 1.0, 3.0], [1.0, 1.0, 1.0]]), max_latents=2)
    np.testing.assert_array_equal(code.toarray(), [[2, 0, 3], [1, 1, 0]])


@given(
    arrays(np.float32, (5, 6), elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 3.0])),
    st.integers(1, 7),
)
def test_the_strongest_latents_are_those_of_a_full_sort(latents, most):
    expected = np.zeros_like(latents)
    for row, kept in zip(latents, expected, strict=True):
        for j in sorted(np.flatnonzero(row), key=lambda j, row=row: (-row[j], j))[:most]:
            kept[j] = row[j]
    result = strongest(csr_array(latents), most)
    np.testing.assert_array_equal(result.toarray(), expected)
    assert result.has_sorted_indices


@given(embeddings_in_quarters, st.sampled_from([None, 1, 3]))
def test_one_by_one_equals_batched(quarters_sae, embeddings, max_latents):
    batched = quarters_sae.encode(embeddings, max_latents)
    for row, embedding in enumerate(embeddings):
        alone = quarters_sae.encode(embedding, max_latents)
        np.testing.assert_array_equal(batched[[row]].toarray(), alone.toarray())


def test_rows_are_the_same_on_both_sides_of_a_block_border(quarters_sae):
    embeddings = np.random.default_rng(0).integers(1, 9, (1030, 3)).astype(np.float32) / 4
    whole = quarters_sae.encode(embeddings)
    assert whole.shape == (1030, 10)
    np.testing.assert_array_equal(whole[1020:].toarray(), quarters_sae.encode(embeddings[1020:]).toarray())


def test_no_embeddings_have_no_latents(identity_sae):
    code = identity_sae.encode(np.empty((0, 3), np.float32))
    assert (code.shape, code.nnz) == ((0, 3), 0)


def test_encoding_leaves_its_input_as_it_was(sae_with_biases):
    embeddings = np.array([[3.0, 4.0]], np.float32)
    sae_with_biases.encode(embeddings)
    np.testing.assert_array_equal(embeddings, [[3, 4]])


def test_nmse_l0_and_live_latents_by_hand(identity_sae):
    # x_hat drops what is not above 0.5: (2, 0, 0) is kept, of (0, 0.4, 1) the 0.4 is lost.
    # Errors 0.4^2 = 0.16. Mean (1, 0.2, 0.5): deviations 2 (1 + 0.04 + 0.25) = 2.58. NMSE 0.16 / 2.58.
    measured = identity_sae.measure(np.array([[2.0, 0.0, 0.0], [0.0, 0.4, 1.0]]))
    assert measured.nmse == pytest.approx(0.16 / 2.58, rel=1e-6)
    assert measured.l0 == 1.0  # latent 0 in the first text, latent 2 in the second
    assert measured.live_latents == 2
    assert measured.n_texts == 2


def test_a_cosine_by_hand_and_one_of_a_text_without_latents(identity_sae):
    # Of (3, 0.4, 0) the first part is kept: 9 / (3.0265 * 3). Of (0.3, 0, 0) nothing is, which counts 0.
    first, both = [3.0, 0.4, 0.0], [[3.0, 0.4, 0.0], [0.3, 0.0, 0.0]]
    assert identity_sae.measure(np.array([first])).cosine == pytest.approx(3 / np.hypot(3, 0.4), rel=1e-6)
    assert identity_sae.measure(np.array(both)).cosine == pytest.approx(3 / np.hypot(3, 0.4) / 2, rel=1e-6)
    assert identity_sae.measure(np.array([[0.6, 0.6, 0.0]])).cosine == pytest.approx(1), "short ones have a cosine too"
    again = identity_sae.measure(np.array([first, first]))
    assert (again.l0, again.live_latents) == (1, 1), "one latent, active in both texts"


# --- what it refuses -------------------------------------------------------------------------------


def test_embeddings_of_another_width_are_refused_with_both_widths(identity_sae):
    with pytest.raises(
        DimensionMismatch, match=r"shape \(4, 2\) came in but this SAE reads \(n, 3\).*encoder than toy"
    ):
        identity_sae.encode(np.ones((4, 2)))
    with pytest.raises(DimensionMismatch, match=r"reads \(n, 3\)"):
        identity_sae.measure(np.ones((2, 2, 3)))


def test_the_first_row_that_is_not_finite_is_named(identity_sae):
    for value in (np.nan, np.inf):
        with pytest.raises(BadData, match="row 1 holds NaN or infinite"):
            identity_sae.encode(np.array([[1.0, 0, 0], [0, value, 0]]))


def test_the_first_zero_vector_is_named(identity_sae):
    with pytest.raises(BadData, match="row 2 is a zero vector"):
        identity_sae.encode(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]]))


@pytest.mark.parametrize("k", [0, 4])
def test_k_lies_between_one_and_the_number_of_latents(k):
    with pytest.raises(ValueError, match=f"k must be between 1 and n_latents=3, got {k}"):
        SAEConfig(d_in=2, n_latents=3, k=k)


# --- the folder ------------------------------------------------------------------------------------


def test_saving_and_loading_changes_nothing(random_sae, tmp_path):
    sae = random_sae(1)
    sae.save(tmp_path / "sae", training={"lr": 0.1}, results={"nmse": 0.2})
    loaded = SAE.load(tmp_path / "sae")
    assert loaded.config == sae.config
    assert loaded.threshold == sae.threshold
    for name in ("W_enc", "b_enc", "W_dec", "b_pre"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(sae, name), strict=True)
    embeddings = np.random.default_rng(0).normal(size=(7, 8))
    np.testing.assert_array_equal(loaded.encode(embeddings).toarray(), sae.encode(embeddings).toarray())
    manifest = json.loads((tmp_path / "sae" / MANIFEST).read_text())
    assert manifest["settings"]["training"] == {"lr": 0.1}
    assert manifest["results"] == {"nmse": 0.2}


def test_directions_kept_in_half_precision_are_read_in_full(random_sae, tmp_path, tamper):
    sae = replace(random_sae(1), twin=np.full(24, -1, np.float32))
    sae.save(tmp_path / "sae")
    sae.write_weights(tmp_path / "half", half=True)
    tamper(tmp_path / "sae" / WEIGHTS, (tmp_path / "half").read_bytes())
    loaded, expected = SAE.load(tmp_path / "sae"), sae.in_half_precision()
    for name in ("W_enc", "b_enc", "W_dec", "b_pre", "threshold", "twin"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(expected, name), strict=True)
    assert not np.array_equal(loaded.W_dec, sae.W_dec)


def test_an_sae_folder_holds_safetensors_and_json_alone(identity_sae, tmp_path):
    identity_sae.save(tmp_path / "sae")
    assert sorted(p.name for p in (tmp_path / "sae").iterdir()) == [MARK, MANIFEST, WEIGHTS]
    assert set(load_file(tmp_path / "sae" / WEIGHTS)) == {"W_enc", "b_enc", "W_dec", "b_pre", "threshold"}


def test_loading_encoding_and_explaining_need_no_torch(sae_with_biases, tmp_path):
    sae_with_biases.save(tmp_path / "sae")
    script = f"""
import sys, numpy as np
import unweave
sae = unweave.SAE.load({str(tmp_path / "sae")!r})
print(sae.encode(np.array([3.0, 4.0])).toarray().tolist())
print(unweave.explain(np.array([1.0, 2.0]), np.array([3.0, 4.0]), sae).score)
print([name for name in ("torch", "sentence_transformers", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[[2.0, 0.0, 4.5]]", "11.0", "[]"]


def test_a_missing_sae_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingArtifact, match="there is no sae in"):
        SAE.load(tmp_path / "nowhere")


def test_a_truncated_weights_file_is_refused(identity_sae, tmp_path):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptArtifact, match=r"model\.safetensors has \d+ bytes, expected \d+"):
        SAE.load(tmp_path / "sae")


def test_weights_that_are_no_safetensors_are_refused(identity_sae, tmp_path, tamper):
    identity_sae.save(tmp_path / "sae")
    tamper(tmp_path / "sae" / WEIGHTS, b"\xff" * 200)
    with pytest.raises(CorruptArtifact, match="is not a whole SAE"):
        SAE.load(tmp_path / "sae")


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_run(identity_sae, tmp_path, tamper):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-run"), "w"))

    identity_sae.save(tmp_path / "sae")
    pickled = io.BytesIO()
    pickle.dump(Payload(), pickled)
    tamper(tmp_path / "sae" / WEIGHTS, pickled.getvalue())
    with pytest.raises(CorruptArtifact, match="is not a whole SAE"):
        SAE.load(tmp_path / "sae")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_pre", "threshold"])
def test_a_missing_tensor_is_named(identity_sae, tmp_path, tamper, name):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / WEIGHTS
    tensors = load_file(path)
    del tensors[name]
    tamper(path, save(tensors))
    with pytest.raises(CorruptArtifact, match=f"is not a whole SAE .*{name}"):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_pre", "threshold"])
@pytest.mark.parametrize(("wrong", "said"), [("double", "not float32"), ("NaN", "NaN or infinite values")])
def test_a_tensor_of_other_numbers_is_refused(identity_sae, tmp_path, tamper, name, wrong, said):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / WEIGHTS
    tensors = load_file(path)
    if wrong == "double":
        tensors[name] = tensors[name].astype(np.float64)
    else:
        tensors[name].flat[-1] = np.nan  # one of many
    tamper(path, save(tensors))
    with pytest.raises(CorruptArtifact, match=said):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize(("shape", "fits"), [((1,), True), ((3,), True), ((2,), False), ((3, 3), False), ((), False)])
def test_a_threshold_is_one_number_or_one_of_each_latent(identity_sae, tmp_path, tamper, shape, fits):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / WEIGHTS
    tamper(path, save({**load_file(path), "threshold": np.full(shape, 0.5, np.float32)}))
    if fits:
        assert SAE.load(tmp_path / "sae").threshold.shape == shape
    else:
        with pytest.raises(CorruptArtifact, match=re.escape(f"the threshold has the shape {shape}")):
            SAE.load(tmp_path / "sae")


def test_an_sae_takes_the_place_of_one_that_is_there_unless_told_otherwise(identity_sae, sae_with_biases, tmp_path):
    identity_sae.save(tmp_path / "sae")
    sae_with_biases.save(tmp_path / "sae")
    assert SAE.load(tmp_path / "sae").config == sae_with_biases.config
    with pytest.raises(BadData, match="there"):
        identity_sae.save(tmp_path / "sae", replace=False)
    assert SAE.load(tmp_path / "sae").config == sae_with_biases.config


@pytest.mark.parametrize("change", [{"n_latents": 4}, {"d_in": 2}])
def test_a_config_of_other_shapes_than_the_weights_is_refused(identity_sae, tmp_path, change):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["settings"]["sae"] |= change
    path.write_text(json.dumps(manifest | {"checksum": ""}))
    with pytest.raises(CorruptArtifact, match="does not have the shapes"):
        SAE.load(tmp_path / "sae")


@pytest.mark.parametrize(
    "settings", [{}, {"sae": {"d_in": 3}}, {"sae": {"d_in": 3, "n_latents": 3, "k": 9}}, {"sae": {"unknown": 1}}]
)
def test_a_config_that_is_no_sae_config_is_refused(identity_sae, tmp_path, settings):
    identity_sae.save(tmp_path / "sae")
    path = tmp_path / "sae" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"settings": settings, "checksum": ""}))
    with pytest.raises(CorruptArtifact, match="is not a whole SAE"):
        SAE.load(tmp_path / "sae")
