"""Extreme numbers, devices that are not there and dictionaries that fit nowhere: one line, and the settings stay."""

import shutil
import sqlite3

import click
import pytest
import safetensors
from click.testing import CliRunner

from unweave.base import room
from unweave.base.arrays import disk_errors
from unweave.base.records import Passage
from unweave.cli import main
from unweave.cli.options import opened_with
from unweave.config import EncoderConfig
from unweave.encode.devices import refuse_missing
from unweave.encode.encoders import open_encoder
from unweave.errors import BadData
from unweave.project import Project
from unweave.sae.training.recipe import recommend
from unweave.settings import FILE
from unweave.texts.collection import Collection

MANY = "9" * 25
BY_ID = ["--query-id", "q0"]
REFUSED = [
    (["search", "P", "moon", "--system", "BM25", "-k", MANY], "cutoff must be at most 2147483647"),
    (["search", "P", *BY_ID, "--boost", f"{MANY}=2"], "there is no concept 99"),
    (["search", "P", *BY_ID, "--boost", "3=nan"], "a boost must lie between -1,000,000 and 1,000,000, got nan"),
    (["search", "P", *BY_ID, "--boost", "3=1e308"], "a boost must lie between"),
    (["search", "P", *BY_ID, "--ban", MANY], "there is no concept 99"),
    (["search", "P", *BY_ID, "--query-k", MANY], "query_k must lie between 1 and 2147483647"),
    (["search", "P", *BY_ID, "--passage-k", MANY], "passage_k must lie between 1 and 2147483647"),
    (["search", "P", *BY_ID, "--effort", "nan"], "effort must be above 0 and at most 1, got nan"),
    (["carrying", "P", "p0", MANY], "never fired or does not exist"),
    (["evaluate", "P", "--cutoff", MANY], "cutoff must be at most 2147483647"),
    (["evaluate", "P", "--candidates", MANY], "candidates must be at most 2147483647"),
    (["fit", "P", "--lr", "1e30"], "lr must be a number above 0, and at most 1"),
    (["fit", "P", "--lr", "nan"], "lr must be a finite number, got nan"),
    (["fit", "P", "--dead-after", MANY], "dead_after must be at most 2147483647"),
    (["fit", "P", "--n-latents", "2147483647"], "of memory at least"),
    (["fit", "P", "--held-out", "0.9999999999999999"], "leaves none to train on"),
    (["fit", "P", "--temperature", "1e-300", "--retrieval-weight", "1"], "training diverged"),
    (["fit", "P", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
    (["tokens", "P", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
    (["reproduce", "cl-sr", "P", "--device", "cuda:99"], "there is no device 'cuda:99' here"),
    (["reproduce", "cl-sr", "P", "--expansion", "200000000"], "of memory at least"),
    (["name", "P", "--namer", "language-model", "--timeout", "inf"], "timeout must be a finite number, got inf"),
    (
        ["name", "P", "--namer", "language-model", "--timeout", "1e308"],
        "timeout must be a number above 0, and at most 86,400",
    ),
    (["name", "P", "--namer", "language-model", "--input-price", "nan"], "input_price must be a finite number"),
    (["name", "P", "--namer", "language-model", "--cap", "nan"], "cap must be a finite number"),
]


@pytest.fixture(scope="module")
def project(tiny_project_folder, tmp_path_factory):
    return shutil.copytree(tiny_project_folder, tmp_path_factory.mktemp("gate") / "P")


@pytest.mark.parametrize(("command", "said"), REFUSED, ids=[" ".join(command) for command, _ in REFUSED])
def test_what_cannot_be_is_one_line_and_leaves_the_settings(project, command, said):
    before = (project / FILE).read_bytes()
    done = CliRunner().invoke(main, [str(project) if word == "P" else word for word in command])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert done.output.count("Error") == 1
    assert (project / FILE).read_bytes() == before


def test_a_dictionary_smaller_than_the_codes_of_the_settings_is_indexed(project):
    # Sixteen latents, and [index] code_k = 32: a code has as many as there are.
    opened = Project.open(project)
    assert (opened.sae.config.n_latents, opened.settings.index.code_k) == (16, 32)
    assert len(opened.codes) == 60
    assert len(opened.codes.row(0).latents) <= 16


def test_the_recipe_of_the_largest_dictionary_can_be_trained_with():
    assert recommend(60, 8, 1, n_latents=2**31 - 1).training().dead_after == 2**31 - 1


@pytest.mark.parametrize(
    "error", [AssertionError, sqlite3.OperationalError, safetensors.SafetensorError, SystemExit, GeneratorExit]
)
def test_whatever_a_command_raises_the_settings_stay(project, error):
    before = (project / FILE).read_bytes()
    with pytest.raises(error), click.Context(main), opened_with(project, fit={"k": 1}):
        raise error("no")
    assert (project / FILE).read_bytes() == before


def test_an_encoder_on_a_device_that_is_not_there_is_refused_before_any_work(tmp_path):
    project = Project.create(tmp_path / "p", Collection(passages=[Passage("1", "", "The sea rises. It falls again.")]))
    made = Project.open(project.path, {"encoder": {"device": "cuda:99"}})
    with pytest.raises(BadData, match="there is no device 'cuda:99' here"):
        made.embed()
    assert not (project.path / "sentences").exists()


def test_a_device_that_is_there_is_not_refused():
    refuse_missing("cpu")
    assert open_encoder(EncoderConfig(device="cpu"))


def test_a_full_disk_is_an_error_of_the_system():
    with pytest.raises(OSError, match="No space left"), disk_errors():
        raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")


def test_memory_and_disk_are_looked_at_before_they_are_used(tmp_path):
    there = room.memory()
    assert there is not None and there > 1e8
    room.refuse_beyond_memory(there, "all of it", "")
    with pytest.raises(
        BadData, match=r"a thing takes [\d,.]+ GB of memory at least, and there are [\d,.]+ GB; take less"
    ):
        room.refuse_beyond_memory(there + 1, "a thing", "take less")
    with pytest.raises(BadData, match="on disk"):
        room.refuse_beyond_disk(2**60, tmp_path, "a thing", "take less")
