"""The dictionary that the package carries: whole, small, named, and it reads what it has never seen."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import unweave as uw
from unweave.base.artifact import read_manifest, verify
from unweave.cli import main
from unweave.config import DEFAULT_MODEL
from unweave.dictionaries.dictionary import from_pretrained
from unweave.sae.given import located
from unweave.sae.hub import CARD
from unweave.sae.model import RETURNING, pursue

MB = 1 << 20
WIND = "A turbine turns the wind's motion into electric power."


def test_it_is_whole_and_small_enough_for_a_wheel():
    folder = located("pretrained")
    verify(folder, read_manifest(folder, "sae"))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * MB
    assert "/" not in json.dumps(read_manifest(folder, "sae").settings).replace(
        DEFAULT_MODEL, ""
    )  # no path of a machine


def test_it_states_its_encoder_its_texts_and_which_latents_return():
    dictionary = from_pretrained()
    results = read_manifest(located("pretrained"), "sae").results
    card = (located("pretrained") / CARD).read_text(encoding="utf-8")
    assert dictionary.sae.config.encoder == DEFAULT_MODEL
    assert results["nmse"] < results["unseen"]["nmse"] < 1.2 * results["nmse"]
    assert results["precision"]["half"]["nmse"] == pytest.approx(results["precision"]["full"]["nmse"], rel=0.005)
    assert len(dictionary.names) > 0.95 * len(dictionary.latents) > 0.9 * dictionary.sae.config.n_latents
    assert (
        sum(agreement >= RETURNING for agreement in dictionary.sae.twin) == sum(dictionary.sae.returns.values()) > 100
    )
    for source in results["sources"]:
        assert f"- {source}: " in card  # where it comes from, and on what terms


def test_a_text_is_taken_apart_without_project_training_or_folder():
    said = CliRunner().invoke(main, ["decompose", WIND, "--top", "5"])
    assert said.exit_code == 0, said.output
    assert "wind" in said.output.lower()
    told = json.loads(CliRunner().invoke(main, ["explain", "how is electricity made from wind", WIND, "--json"]).output)
    assert told["score"] == pytest.approx(
        sum(part["value"] for part in told["contributions"]) + told["bias"] + told["residual"], abs=1e-4
    )


def test_python_needs_three_lines():
    code = f"import unweave as uw; d = uw.from_pretrained(); print(d.decompose({WIND!r}).contributions[0].name)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_its_codes_stay_near_embeddings_it_has_never_seen():
    encoder = uw.from_pretrained().encoder
    texts = ["The cat sat on the mat.", WIND, "Interest rates rose for the third time this year."]
    rows = encoder.encode_passages(texts)
    sae = uw.from_pretrained().sae
    assert (np.einsum("nd,nd->n", rows, sae.decode(pursue(sae, rows, 32))) > 0.85).all()
