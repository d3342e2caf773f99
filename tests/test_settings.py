"""Settings: what a new project's file says, what reading it gives, and what is refused."""

import tomllib
import typing
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.concepts.prompts import PROMPTS
from unweave.config import EmbedConfig, FitConfig, LanguageModelConfig
from unweave.errors import BadData
from unweave.sae.training.variants import VARIANTS
from unweave.settings import (
    Settings,
    choices_of,
    documentation,
    update,
    value_type,
    write_default,
)

STAGES = typing.get_type_hints(Settings)
NAMES = [(stage, field.name) for stage, config in STAGES.items() for field in fields(config)]


def field_of(config, name):
    return next(field for field in fields(config) if field.name == name)


@pytest.fixture
def path(tmp_path):
    write_default(tmp_path / "unweave.toml")
    return tmp_path / "unweave.toml"


# --- the file of a new project --------------------------------------------------------------------


def test_a_new_projects_file_gives_the_defaults(path):
    assert Settings.read(path) == Settings()


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
    changed = update(path, "fit", {"k": 7})
    assert changed == Settings.read(path) == Settings(fit=FitConfig(k=7))
    assert path.read_text() == before.replace("\nk = 32", "\nk = 7")


def test_a_setting_without_a_default_can_be_given(path):
    assert update(path, "fit", {"n_latents": 64, "steps": 10}).fit == FitConfig(n_latents=64, steps=10)
    assert Settings.read(path).fit.n_latents == 64
    assert "# n_latents =" in path.read_text()


def test_a_table_that_the_file_leaves_out_is_added(path):
    path.write_text("# only this\n[fit]\nk = 9\n")
    assert update(path, "embed", {"sentences": 5}) == Settings(fit=FitConfig(k=9), embed=EmbedConfig(sentences=5))
    assert path.read_text().startswith("# only this\n[fit]\nk = 9\n")


def test_no_change_leaves_the_file_as_it_is(path):
    path.write_text("[fit]\nk   =   9   # odd, but mine\n")
    assert update(path, "fit", {}).fit.k == 9
    assert path.read_text() == "[fit]\nk   =   9   # odd, but mine\n"


def test_a_whole_number_does_for_a_fraction(path):
    assert update(path, "fit", {"lr": 1}).fit.lr == 1.0


@settings(max_examples=20)
@given(query_prefix=st.text(), batch_size=st.integers(1, 2**31 - 1), normalize=st.booleans())
def test_any_value_survives_the_file(tmp_path_factory, query_prefix, batch_size, normalize):
    path = tmp_path_factory.mktemp("settings") / "unweave.toml"
    write_default(path)
    changes = {"query_prefix": query_prefix, "batch_size": batch_size, "normalize": normalize}
    encoder = update(path, "encoder", changes).encoder
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
    ("language_model", "cap", float("nan"), "cap must be at least 0, got nan"),
    ("language_model", "cap", float("inf"), "cap must be at most 2147483647, got inf"),
    ("encoder", "model", " ", "model must name a sentence-transformers model"),
    ("fit", "steps", -1, "steps must be at least 1, got -1"),
    ("fit", "lr", 0.0, "lr must be a number above 0, got 0.0"),
    ("fit", "device", "gpu", "device must be one of cpu, cuda, mps, xpu, or one of several as cuda:1, got 'gpu'"),
    ("encoder", "device", "cuda:one", "device must be one of cpu, cuda, mps, xpu, or one of several as cuda:1"),
    ("fit", "decay", 1.5, "decay must lie between 0 and 1, got 1.5"),
    ("fit", "temperature", 0.0, "temperature must be a number above 0, got 0.0"),
    ("fit", "held_out", 0.0, "held_out must lie between 0 and 1, got 0.0"),
    ("fit", "held_out", 1, "held_out must lie between 0 and 1, got 1"),
]


@pytest.mark.parametrize(("stage", "name", "value", "said"), REFUSED)
def test_a_change_that_does_not_fit_is_refused_and_the_file_stays(path, stage, name, value, said):
    before = path.read_bytes()
    with pytest.raises(BadData, match=rf"unweave\.toml, \[{stage}\]: {said}"):
        update(path, stage, {name: value})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["unweave.toml"]


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
