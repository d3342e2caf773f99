"""The encoder's name and the names of latents go to another tool's files and come back, where there is room."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from invoked import unweave
from unweave.dictionaries.latents import Latent, read_latents, save
from unweave.errors import CorruptArtifact
from unweave.sae.formats import export_sae, import_sae, names_in

NAMES = {0: 'a "quoted" name', 7: "潮汐 and tides", 23: "café"}
WITH_ROOM = ("saelens", "sparsify", "latentsae", "sentence-transformers")


@pytest.fixture
def sae(random_sae):
    made = random_sae(6)
    config = replace(made.config, selection="top_k", encoder="toy/encoder")
    return replace(made, config=config, W_enc=made.W_dec)


@pytest.mark.parametrize("name", WITH_ROOM)
def test_names_of_the_encoder_and_of_latents_come_back(name, sae, tmp_path):
    export_sae(sae, tmp_path / "out", name, names=NAMES)
    assert names_in(tmp_path / "out", 24) == NAMES
    assert import_sae(tmp_path / "out").config == sae.config
    export_sae(sae, tmp_path / "none", name)
    assert names_in(tmp_path / "none", 24) == {}


def test_sentence_transformers_opens_what_has_names(sae, tmp_path):
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    export_sae(sae, tmp_path, "sentence-transformers", names=NAMES)
    module = SparseAutoEncoder.load(str(tmp_path))
    np.testing.assert_array_equal(module.encoder.weight.detach().numpy(), sae.W_enc)


def test_a_state_dict_has_no_room_and_that_is_noted(random_sae, tmp_path, caplog):
    made = random_sae(6)
    export_sae(replace(made, b_enc=np.zeros_like(made.b_enc)), tmp_path, "paper", names=NAMES)
    assert "no place for names of latents" in caplog.text
    assert names_in(tmp_path, 24) == {}


def test_names_that_need_more_room_than_settings_have_are_left_out_and_that_is_noted(sae, tmp_path, caplog):
    long = dict.fromkeys(range(6000), "x" * 200)
    for name in WITH_ROOM:
        caplog.clear()
        export_sae(sae, tmp_path / name, name, names=long)
        assert "6000 latents take 12" in caplog.text
        assert import_sae(tmp_path / name).config == sae.config


def test_as_many_names_as_are_written_are_read_again(sae, tmp_path):
    # 4,000 of the longest names, each character escaped in JSON: near the limit, and below it.
    for name in WITH_ROOM:
        export_sae(sae, tmp_path / name, name, names=dict.fromkeys(range(4000), "é" * 30))
        assert len(names_in(tmp_path / name, 4000)) == 4000


@pytest.mark.parametrize("wrong", [[], 3, {"24": "too far"}, {"-1": "x"}, {"1": 2}, {"one": "x"}, "[", {"٣": "x"}])
def test_what_is_no_names_is_refused(wrong, sae, tmp_path):
    export_sae(sae, tmp_path, "saelens")
    settings = json.loads((tmp_path / "cfg.json").read_text())
    settings["metadata"]["concept_names"] = wrong
    (tmp_path / "cfg.json").write_text(json.dumps(settings))
    with pytest.raises(CorruptArtifact, match="concept_names"):
        names_in(tmp_path, 24)


def test_the_commands_carry_names_there_and_back(sae, tmp_path):
    save(tmp_path / "ours", sae, [Latent(latent, name) for latent, name in NAMES.items()])
    for name in WITH_ROOM:
        assert unweave("sae", "export", tmp_path / "ours", tmp_path / name, "--format", name).exit_code == 0
        assert unweave("sae", "import", tmp_path / name, tmp_path / f"{name} back").exit_code == 0
        assert {one.latent: one.name for one in read_latents(tmp_path / f"{name} back", 24)} == NAMES
        assert {one.latent: one.name for one in read_latents(tmp_path / name, 24)} == NAMES


def test_escapes_of_a_strangers_names_are_taken_out(sae, tmp_path):
    export_sae(sae, tmp_path, "saelens", names={1: "x"})
    text = (tmp_path / "cfg.json").read_text()
    (tmp_path / "cfg.json").write_text(text.replace('"x"', '"\\u001b[31mred"'))
    assert "\x1b" not in names_in(tmp_path, 24)[1]


def test_names_stand_in_the_header_of_the_weights(sae, tmp_path):
    export_sae(sae, tmp_path, "sparsify", names=NAMES)
    with safe_open(tmp_path / "sae.safetensors", "np") as file:
        assert json.loads(file.metadata()["concept_names"])["7"] == NAMES[7]
