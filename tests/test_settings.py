"""Settings: what a new project's file says, what reading it gives, and what is refused."""

import os
import subprocess
import sys
import tomllib
import typing
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave import config
from unweave.base.fields import LARGEST
from unweave.concepts.prompts import PROMPTS
from unweave.config import EmbedConfig, FitConfig, LanguageModelConfig, ReproduceConfig, SAEConfig, TrainConfig
from unweave.errors import BadData
from unweave.sae.training.variants import VARIANTS
from unweave.settings import (
    Settings,
    choices_of,
    documentation,
    update,
    value_type,
    write_new,
)

STAGES = typing.get_type_hints(Settings)
NAMES = [(stage, field.name) for stage, config in STAGES.items() for field in fields(config)]


def field_of(config, name):
    return next(field for field in fields(config) if field.name == name)


@pytest.fixture
def path(tmp_path):
    write_new(tmp_path / "unweave.toml", {})
    return tmp_path / "unweave.toml"


# --- the file of a new project --------------------------------------------------------------------


def test_a_new_projects_file_gives_the_defaults(path):
    assert Settings.read(path) == Settings()


def test_a_new_projects_file_may_begin_with_other_settings(tmp_path):
    write_new(tmp_path / "unweave.toml", {"fit": {"twin": True, "dictionary": "own"}})
    expected = Settings().changed({"fit": {"twin": True, "dictionary": "own"}})
    assert Settings.read(tmp_path / "unweave.toml") == expected


def test_an_empty_file_gives_the_defaults(path):
    path.write_text("")
    assert Settings.read(path) == Settings()


@pytest.mark.parametrize(("stage", "name"), NAMES)
def test_every_setting_is_documented_by_a_sentence(stage, name):
    meaning = documentation(STAGES[stage])[name]
    assert len(meaning.split()) >= 3
    assert meaning.endswith(".")


def test_a_new_projects_file_holds_every_setting_with_its_meaning(path):
    text = path.read_text()
    said = " ".join(line.removeprefix("# ") for line in text.splitlines())  # long comments are wrapped
    tables = tomllib.loads(text)
    assert list(tables) == list(STAGES)
    for stage, name in NAMES:
        assert documentation(STAGES[stage])[name] in said
        # What has no default stands as a comment, for TOML has no null.
        assert name in tables[stage] or f"\n# {name} =\n" in text


def test_a_new_projects_file_says_which_values_a_setting_may_have(path):
    text = path.read_text()
    assert (
        "# Kind of SAE to train. One of: batch_topk, topk, nested_topk, matryoshka, jumprelu, matching_pursuit." in text
    )
    assert "One of: cls, mean, max, lasttoken." in " ".join(line.removeprefix("# ") for line in text.splitlines())


def test_the_choices_of_a_setting_are_what_the_code_knows():
    assert choices_of(field_of(FitConfig, "variant")) == tuple(VARIANTS)
    assert choices_of(field_of(LanguageModelConfig, "prompt")) == tuple(PROMPTS)
    assert choices_of(field_of(FitConfig, "k")) == ()


def test_the_type_of_an_optional_setting_is_the_type_of_its_value():
    assert (value_type(FitConfig, "n_latents"), value_type(FitConfig, "lr")) == (int, float)
    assert value_type(EmbedConfig, "language") is str


# --- changing it ----------------------------------------------------------------------------------


def test_a_change_is_read_back_and_all_else_stays_to_the_letter(path):
    path.write_text(path.read_text() + "# a note of mine\n")
    before = path.read_text()
    changed = update(path, {"fit": {"k": 7}})
    assert changed == Settings.read(path) == Settings(fit=FitConfig(k=7))
    assert path.read_text() == before.replace("\nk = 32", "\nk = 7")


def test_a_setting_without_a_default_can_be_given(path):
    assert update(path, {"fit": {"n_latents": 64, "steps": 10}}).fit == FitConfig(n_latents=64, steps=10)
    assert Settings.read(path).fit.n_latents == 64
    assert "# n_latents =" in path.read_text()


def test_a_table_that_the_file_leaves_out_is_added(path):
    path.write_text("# only this\n[fit]\nk = 9\n")
    assert update(path, {"embed": {"sentences": 5}}) == Settings(fit=FitConfig(k=9), embed=EmbedConfig(sentences=5))
    assert path.read_text().startswith("# only this\n[fit]\nk = 9\n")


def test_no_change_leaves_the_file_as_it_is(path):
    path.write_text("[fit]\nk   =   9   # odd, but mine\n")
    assert update(path, {"fit": {}}).fit.k == 9
    assert path.read_text() == "[fit]\nk   =   9   # odd, but mine\n"


def test_a_whole_number_does_for_a_fraction(path):
    assert update(path, {"fit": {"lr": 1}}).fit.lr == 1.0


@settings(max_examples=20)
@given(
    query_prefix=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])),
    batch_size=st.integers(1, 2**31 - 1),
    normalize=st.booleans(),
)
def test_any_value_survives_the_file(tmp_path_factory, query_prefix, batch_size, normalize):
    path = tmp_path_factory.mktemp("settings") / "unweave.toml"
    write_new(path, {})
    changes = {"query_prefix": query_prefix, "batch_size": batch_size, "normalize": normalize}
    encoder = update(path, {"encoder": changes}).encoder
    assert {name: getattr(encoder, name) for name in changes} == changes
    assert Settings.read(path).encoder == encoder


# --- what is refused ------------------------------------------------------------------------------

REFUSED = [
    ("fit", "k", "many", "k = 'many' should be of type int"),
    ("fit", "k", 3.5, "k = 3.5 should be of type int"),
    ("fit", "k", True, "k = True should be of type int"),
    ("fit", "lr", "small", "lr = 'small' should be of type float"),
    ("encoder", "normalize", 1, "normalize = 1 should be of type bool"),
    ("encoder", "model", 3, "model = 3 should be of type str"),
    ("embed", "sentenses", 3, "unknown setting 'sentenses'; expected language, sentences"),
    ("fit", "k", 0, "k must be at least 1, got 0"),
    ("fit", "variant", "relu", "variant must be one of batch_topk, topk, nested_topk, matryoshka, jumprelu, matching_"),
    ("fit", "retrieval_loss", "l2", "retrieval_loss must be one of kl, infonce, got 'l2'"),
    ("encoder", "pooling", "sum", "pooling must be one of cls, mean, max, lasttoken, or empty, got 'sum'"),
    ("language_model", "prompt", "kind", "prompt must be one of contrastive, paper, got 'kind'"),
    ("fit", "n_latents", 2**31, "n_latents must be at most 2147483647, got 2147483648"),
    ("language_model", "cap", float("nan"), "cap must be a finite number, got nan"),
    ("language_model", "cap", float("inf"), "cap must be a finite number, got inf"),
    ("language_model", "cap", 1e300, r"cap must be at most 1,000,000,000, got 1e\+300"),
    ("language_model", "timeout", 1e9, "timeout must be a number above 0, and at most 86,400, got 1000000000.0"),
    ("language_model", "base_url", "http://[::1", r"base_url must look like https://host/v1, got 'http://\[::1'"),
    ("language_model", "base_url", "http://h:99999/v1", "base_url must look like https://host/v1"),
    ("language_model", "base_url", "https://h\u0430/v1", "base_url must look like https://host/v1"),
    ("embed", "language", "../de", "language must be an ISO 639 code, e.g. en or pt-BR, got '../de'"),
    ("evaluate", "split", " ", "split must not be empty"),
    ("tokens", "n_latents", 4, "k must be at most n_latents=4, got 8"),
    ("encoder", "model", " ", "model must not be empty"),
    ("fit", "steps", -1, "steps must be at least 1, got -1"),
    ("fit", "lr", 0.0, "lr must be a number above 0, and at most 1, got 0.0"),
    ("fit", "device", "gpu", "device must be one of cpu, cuda, mps, xpu, or one of several as cuda:1, got 'gpu'"),
    ("encoder", "device", "cuda:one", "device must be one of cpu, cuda, mps, xpu, or one of several as cuda:1"),
    ("fit", "decay", 1.5, "decay must lie between 0 and 1, got 1.5"),
    ("fit", "temperature", 0.0, "temperature must be a number above 0, and at most 1,000, got 0.0"),
    ("fit", "held_out", 0.0, "held_out must lie between 0 and 1, got 0.0"),
    ("fit", "held_out", 1, "held_out must lie between 0 and 1, got 1"),
]


@pytest.mark.parametrize(("stage", "name", "value", "said"), REFUSED)
def test_a_change_that_does_not_fit_is_refused_and_the_file_stays(path, stage, name, value, said):
    before = path.read_bytes()
    with pytest.raises(BadData, match=rf"unweave\.toml, \[{stage}\]: {said}"):
        update(path, {stage: {name: value}})
    assert path.read_bytes() == before
    assert {p.name for p in path.parent.iterdir()} == {"unweave.toml"}


@pytest.mark.parametrize(("stage", "name", "value", "said"), REFUSED)
def test_a_file_with_a_setting_that_does_not_fit_is_refused(path, stage, name, value, said):
    toml = str(value).lower() if isinstance(value, bool) else repr(value)
    path.write_text(f"[{stage}]\n{name} = {toml}\n")
    with pytest.raises(BadData, match=rf"unweave\.toml, \[{stage}\]: {said}"):
        Settings.read(path)


def test_an_unknown_table_is_refused_with_those_that_are_known(path):
    path.write_text("[fitt]\nk = 3\n")
    with pytest.raises(
        BadData,
        match=r"unknown table \[fitt\]; expected encoder, embed, fit, evidence, keyphrases, lexicon, language_model, "
        r"tokens, index, evaluate",
    ):
        Settings.read(path)


@pytest.mark.parametrize("content", [b"[fit\n", b"k = \n", b"[fit]\nk = 1\nk = 2\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"unweave\.toml: not valid TOML"):
        Settings.read(path)


@pytest.mark.parametrize(
    "content", [b"x = " + b"[" * 100_000, b"[fit]\nk = " + b"9" * 5000, b"# " + b"x" * (2 << 20)],
    ids=["brackets", "digits", "megabytes"],
)  # fmt: skip
def test_a_file_that_python_cannot_take_is_refused_in_a_line(path, content):
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"unweave\.toml: (not valid TOML|over 1,048,576 bytes)") as refused:
        Settings.read(path)
    assert len(str(refused.value)) < 400


def test_a_file_that_begins_with_a_byte_order_mark_is_read_and_changed(path):
    path.write_bytes(b"\xef\xbb\xbf[fit]\nk = 9\n")
    assert Settings.read(path).fit.k == 9
    assert update(path, {"fit": {"seed": 4}}).fit == FitConfig(k=9, seed=4)


# --- each field of each class ---------------------------------------------------------------------

NEEDED = {TrainConfig: {"steps": 5}, SAEConfig: {"d_in": 8, "n_latents": 64}}
"""What a class of settings must be given."""
CLASSES = [*STAGES.values(), TrainConfig, SAEConfig, ReproduceConfig]
FIELDS = [(kind, field.name) for kind in CLASSES for field in fields(kind)]
HOSTILE = {
    int: [10**20, -(10**20), LARGEST + 1, 3.0, float("nan"), float("inf"), True, "3", "9" * 5000],
    float: [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 10**20, -1.0, -1e-300, True, "0.5"],
    bool: [0, 1, "true", 1.0],
    str: ["\x1b[2J", "\0", "a\x7fb", "\ud800", "\u202e", "\u200b", "\ufeff", "x" * 5000, 3, b"x"],
}


def made(kind, **given):
    return kind(**NEEDED.get(kind, {}) | given)


def test_every_class_of_settings_is_looked_at_here():
    there = {one for one in vars(config).values() if isinstance(one, type) and one.__module__ == config.__name__}
    assert there == set(CLASSES)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_every_field_refuses_what_it_cannot_be_and_names_itself(kind, name):
    expected = value_type(kind, name)
    if expected not in HOSTILE:
        assert (kind, name) == (ReproduceConfig, "ks")
        return
    for value in HOSTILE[expected]:
        if kind is SAEConfig and expected is str and isinstance(value, str) and name == "encoder":
            continue  # other tools' name for a model, which is shown by `plain` and opens nothing
        with pytest.raises(ValueError, match=name) as refused:
            made(kind, **{name: value})
        assert len(str(refused.value)) < 300
        assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("ks", [(), (0,), (3, 3), (10**20,), (2.0,), (True,), 3])
def test_several_numbers_are_each_looked_at(ks):
    with pytest.raises(ValueError, match="ks"):
        ReproduceConfig(ks=ks)


def test_a_prefix_may_have_lines(path):
    prefix = "Instruct: find the passage\nQuery:\t"
    assert update(path, {"encoder": {"query_prefix": prefix}}).encoder.query_prefix == prefix


def test_a_key_in_place_of_the_name_of_its_variable_is_not_shown():
    with pytest.raises(ValueError, match="key_from must be the name of an environment variable") as refused:
        LanguageModelConfig(key_from="sk-live-SECRET99")
    assert "SECRET" not in str(refused.value)


# --- several at once ------------------------------------------------------------------------------

CHANGER = """
import sys
from pathlib import Path
from unweave.settings import update
number = int(sys.argv[2])
for i in range(1, 51):
    update(Path(sys.argv[1]), {"fit": {["seed", "patience", "steps", "dead_after"][number]: i}})
"""


def test_processes_that_change_settings_at_once_lose_no_change(path):
    # Each of four changes its own setting fifty times; a change of another that was overwritten would be an older
    # number in the end, a file that was read while it was written an error.
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", CHANGER, path, str(n)], env=here, stderr=subprocess.PIPE)
        for n in range(4)
    ]
    said = [line for one in running for line in one.communicate(timeout=120)[1].decode().splitlines()]
    assert all(line.startswith("waiting for ") for line in said), said  # as one is told who waits for over a second
    assert [one.returncode for one in running] == [0] * 4
    assert Settings.read(path).fit == FitConfig(seed=50, patience=50, steps=50, dead_after=50)


def test_changes_of_several_stages_are_kept_all_or_not_at_all(path):
    before = path.read_bytes()
    with pytest.raises(BadData, match="code_k must be at least 1"):
        update(path, {"fit": {"k": 7}, "index": {"code_k": 0}})
    assert path.read_bytes() == before
