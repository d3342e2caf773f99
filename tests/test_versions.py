"""Settings that come and go with versions, and settings that were changed after they were used."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from unweave.base import stored
from unweave.base.artifact import MANIFEST, Manifest, read_manifest, write_manifest
from unweave.base.records import Explanation
from unweave.base.stored import defaults_of, differing, read_record, set_otherwise
from unweave.cli import main
from unweave.config import (
    DEFAULT_MODEL,
    EncoderConfig,
    EvaluateConfig,
    EvidenceConfig,
    FitConfig,
    IndexConfig,
    SAEConfig,
    TrainConfig,
)
from unweave.evaluation.table import Evaluation
from unweave.index.concept_index import ConceptIndex
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.settings import Settings
from unweave.stages.ensure import is_stale
from unweave.stages.made_with import DEFAULTS, Unapplied, unapplied
from unweave.stages.workspace import ARTIFACTS

NOTE = "was written by another version of unweave: "


@pytest.fixture(autouse=True)
def notes(caplog):
    """What is noted, each note anew; the command line would send it to the stderr of the moment."""
    stored._note.cache_clear()
    logging.getLogger("unweave").handlers = []
    return caplog


@pytest.fixture
def project(tiny_project_folder, tmp_path) -> Path:
    shutil.copytree(tiny_project_folder, tmp_path / "project")
    return tmp_path / "project"


def change(folder: Path, how: Callable[[dict], object]) -> None:
    """Change an artefact's manifest as if another version had written it."""
    fields = json.loads((folder / MANIFEST).read_text())
    how(fields["settings"])
    write_manifest(folder, Manifest(**fields))


def unweave(*arguments: object):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done


# --- records --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    sides: int
    colour: str = "black"


class Place(NamedTuple):
    x: int
    y: int = 0


@pytest.mark.parametrize(
    ("kind", "record", "read"),
    [
        (Shape, {"sides": 3, "colour": "red"}, Shape(3, "red")),
        (Shape, {"sides": 3}, Shape(3, "black")),  # a field that was added since
        (Shape, {"sides": 3, "shadow": True, "age": 2}, Shape(3, "black")),  # fields of a later version
        (Place, {"x": 1, "z": 5}, Place(1, 0)),
    ],
)
def test_a_record_is_read_whatever_version_wrote_it(kind, record, read, notes):
    assert read_record(kind, record, "here") == read
    assert read_record(kind, record, "here") == read
    unknown = sorted(record.keys() - {"sides", "colour", "x", "y"})
    assert notes.messages == ([f"here {NOTE}{', '.join(unknown)} is not known here"] if unknown else [])  # once


@pytest.mark.parametrize("record", [{}, {"colour": "red"}, {"age": 2}])
def test_a_record_that_lacks_what_has_no_default_is_none(record, notes):
    with pytest.raises(TypeError, match="sides"):
        read_record(Shape, record, "here")
    assert notes.messages == []


# --- settings of artefacts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "wanted", "differ"),
    [
        ({"k": 32, "lr": 0.1}, {"k": 32, "lr": 0.1}, []),
        ({"k": 64, "lr": 0.1}, {"k": 32, "lr": 0.1}, ["k"]),
        ({"lr": 0.1}, {"k": 32, "lr": 0.1}, []),  # made before there was k, and k is at its default
        ({"lr": 0.1}, {"k": 64, "lr": 0.1}, ["k"]),
        ({"k": 32, "lr": 0.1}, {"lr": 0.1}, []),  # k is not written any more
        ({"k": 64, "lr": 0.1}, {"lr": 0.1}, ["k"]),
        ({"k": 32}, {"k": 32, "lr": 0.1}, ["lr"]),  # lr has no default
        ({"k": 32, "lr": 0.1, "new": 1}, {"k": 32, "lr": 0.1}, []),
        ({"lr": 0.1, "of": {"a": 1}}, {"lr": 0.1, "of": {"a": 1, "b": 2}}, []),
        ({"lr": 0.1, "of": {"a": 1}}, {"lr": 0.1, "of": {"a": 3, "b": 2}}, ["of.a"]),
        ({"lr": 0.1}, {"lr": 0.1, "of": {"b": 2}}, []),
        ({"ks": [1, 2]}, {"ks": (1, 2)}, []),
        ({}, {"ks": (1, 2)}, []),
        ({"ks": [1, 2]}, {}, []),
        ({"ks": [1, 3]}, {"ks": (1, 2)}, ["ks"]),
    ],
)
def test_what_an_artefact_lacks_has_its_default(has, wanted, differ):
    assert differing(has, wanted, {"k": 32, "of": {"b": 2}, "ks": (1, 2)}, "there") == differ


def test_a_digest_of_settings_holds_only_what_is_set_otherwise():
    assert set_otherwise(EvidenceConfig()) == {}
    assert set_otherwise(EvidenceConfig(seed=3, examples=10)) == {"seed": 3}
    assert set_otherwise(SAEConfig(d_in=2, n_latents=4, k=1)) == {"d_in": 2, "n_latents": 4, "k": 1}


WRITTEN = {
    "sae": ("sae", lambda s: {"sae": s["sae"], "training": s["training"], "held_out": s["held_out"]}),
    "concepts": ("concepts", dict),
    "codes": ("codes", dict),
    "evaluation": ("evaluation", dict),
    "index/default": ("index", dict),
    "embeddings/passages": ("embeddings", dict),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_field_more_or_less_makes_no_artefact_stale(tiny_project_folder, tmp_path, name, notes):
    kind = ARTIFACTS[name].kind
    shutil.copytree(tiny_project_folder / name, tmp_path / "a")
    there = read_manifest(tmp_path / "a", kind)
    wanted = there.settings

    def stale() -> bool:
        return is_stale(tmp_path / "a", kind, wanted, there.made_from)

    def tables(settings: dict) -> list[tuple[dict, dict]]:
        within = [(settings[n], of) for n, of in DEFAULTS[kind].items() if isinstance(of, dict) and n in settings]
        return [(settings, DEFAULTS[kind]), *within]

    assert not stale()
    for number, (table, defaults) in enumerate(tables(wanted)):
        for setting, value in table.items():
            if isinstance(value, dict):
                continue
            change(tmp_path / "a", lambda s, n=number, key=setting: tables(s)[n][0].pop(key))
            assert stale() == (setting not in defaults or json.loads(json.dumps(defaults[setting])) != value), setting
            change(tmp_path / "a", lambda s, n=number, key=setting, v=value: tables(s)[n][0].update({key: v}))
        change(tmp_path / "a", lambda s, n=number: tables(s)[n][0].update(surprise=1))
        assert not stale()
        assert notes.messages[-1] == f"{tmp_path / 'a'} {NOTE}surprise is not known here"
        change(tmp_path / "a", lambda s, n=number: tables(s)[n][0].pop("surprise"))


def test_every_kind_of_artefact_says_what_its_manifest_may_lack():
    assert {place.kind for place in ARTIFACTS.values()} <= DEFAULTS.keys()


def test_an_artefact_of_a_later_version_is_read(project, notes):
    config = SAE.load(project / "sae").config
    change(project / "sae", lambda settings: settings["sae"].update(tied=False))
    change(project / "index" / "default", lambda settings: settings["scoring"].update(delta=0.5))
    assert SAE.load(project / "sae").config == config
    assert ConceptIndex.open(project / "index" / "default").scoring.profile == "default"
    fields = json.loads((project / "sae" / MANIFEST).read_text()) | {"later": 1, "checksum": ""}
    (project / "sae" / MANIFEST).write_text(json.dumps(fields))
    assert read_manifest(project / "sae", "sae").kind == "sae"
    record = json.loads((project / "evaluation" / "evaluation.json").read_text())
    record["rows"][0]["colour"] = "red"
    assert Evaluation.from_dict(record).rows[0].system == record["rows"][0]["system"]
    told = {"of": "dense", "score": 1.0, "bias": 0.0, "residual": 0.0}
    told["contributions"] = [
        {"latent": 0, "name": "sea", "query": 1.0, "passage": 1.0, "value": 1.0, "trust": "holds", "later": 1}
    ]
    assert Explanation.from_dict(told).contributions[0].name == "sea"
    for name in ("tied", "delta", "later", "colour"):
        assert any(name in note for note in notes.messages), name


def test_the_same_settings_train_nothing_anew_when_a_version_adds_a_field(project):
    before = (project / "sae" / "model.safetensors").stat().st_mtime_ns
    change(project / "sae", lambda settings: settings["training"].pop("patience"))
    told = json.loads(unweave("fit", project, "--json").stdout)
    assert (told["sae"]["fresh"], (project / "sae" / "model.safetensors").stat().st_mtime_ns) == (False, before)


# --- settings that nobody uses yet ----------------------------------------------------------------


def manifest(kind: str, settings: dict, **made_from: str) -> Manifest:
    return Manifest(kind=kind, settings=settings, made_from=made_from, files={})


IDENTITY = {"model": DEFAULT_MODEL, "query_prefix": "", "normalize": True, "weights": "sha256 0"}
TRAINED = {
    "sae": asdict(SAEConfig(d_in=8, n_latents=128, k=32)), "training": asdict(TrainConfig(steps=300)), "held_out": 0.05,
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "name", "made", "found"),
    [
        (Settings(), "sae", manifest("sae", TRAINED), []),
        (Settings(fit=FitConfig(k=64)), "sae", manifest("sae", TRAINED), [Unapplied("fit", "k", 32, 64, "sae")]),
        # What is left to be chosen, and what only says where to train, asks for nothing else.
        (Settings(fit=FitConfig(n_latents=None, device="cuda")), "sae", manifest("sae", TRAINED), []),
        (Settings(fit=FitConfig(n_latents=64, lr=0.1)), "sae", manifest("sae", TRAINED),
         [Unapplied("fit", "n_latents", 128, 64, "sae"), Unapplied("fit", "lr", 0.004, 0.1, "sae")]),
        # An SAE from elsewhere was trained with other settings than a project has.
        (Settings(fit=FitConfig(k=64)), "sae", manifest("sae", TRAINED | {"training": {}}), []),
        (Settings(), "embeddings/queries", manifest("embeddings", {"encoder": IDENTITY}), []),
        (Settings(encoder=EncoderConfig(query_prefix="query: ")), "embeddings/queries",
         manifest("embeddings", {"encoder": IDENTITY}),
         [Unapplied("encoder", "query_prefix", "", "query: ", "embeddings/queries")]),
        (Settings(encoder=EncoderConfig(passage_prefix="passage: ")), "embeddings/queries",
         manifest("embeddings", {"encoder": IDENTITY}), []),  # no query has it
        (Settings(encoder=EncoderConfig(batch_size=64)), "embeddings/queries",
         manifest("embeddings", {"encoder": IDENTITY}), []),
        (Settings(encoder=EncoderConfig(pooling="cls")), "embeddings/queries",
         manifest("embeddings", {"encoder": IDENTITY}),
         [Unapplied("encoder", "pooling", "", "cls", "embeddings/queries")]),
        (Settings(), "embeddings/passages", manifest("embeddings", {"encoder": {"model": "precomputed"}}), []),
        (Settings(evidence=EvidenceConfig(seed=1)), "concepts", manifest("concepts", {"examples": 10}),
         [Unapplied("evidence", "seed", 0, 1, "concepts")]),
        (Settings(index=IndexConfig(code_k=8)), "codes", manifest("codes", {"code_k": 32, "n_latents": 16}),
         [Unapplied("index", "code_k", 32, 8, "codes")]),
        (Settings(evaluate=EvaluateConfig(split="dev")), "evaluation", manifest("evaluation", {"split": "test"}),
         [Unapplied("evaluate", "split", "test", "dev", "evaluation")]),
    ],
)  # fmt: skip
def test_a_setting_that_was_changed_after_it_was_used_is_found(settings, name, made, found):
    assert unapplied(settings, {name: made}) == found


def test_nothing_is_said_of_a_project_as_it_was_made(project, notes):
    assert Project.open(project).unapplied() == []
    unweave("families", project)
    assert notes.messages == []


def test_what_nobody_uses_yet_is_said_once_with_the_command_that_applies_it(project, notes):
    settings = project / "unweave.toml"
    settings.write_text(settings.read_text().replace("\nk = 2", "\nk = 3", 1).replace("code_k = 32", "code_k = 4"))
    unweave("families", project)
    said = "settings changed since they were used: {}; to apply them, run: unweave {} {}"
    assert notes.messages == [
        said.format("[fit] k = 3 (sae was made with 2)", "fit", project),
        said.format("[index] code_k = 4 (codes was made with 32)", "index build", project),
    ]


def test_nothing_is_said_of_what_the_command_at_hand_applies(project, notes):
    settings = project / "unweave.toml"
    settings.write_text(settings.read_text().replace("code_k = 32", "code_k = 4"))
    unweave("index", "build", project)
    assert notes.messages == []
    unweave("families", project)
    assert notes.messages == []  # it is applied


# --- projects of the first version ----------------------------------------------------------------


def test_a_project_of_an_earlier_version_is_refused_and_its_names_can_be_saved(project, tmp_path):
    settings = project / "unweave.toml"
    settings.write_text(settings.read_text().replace("[keyphrases]", "[name]").replace("[language_model]", "[model]"))
    done = CliRunner().invoke(main, ["families", str(project)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {project} was made by an earlier version of unweave; save what people and models named "
        f"(unweave concepts export {project} names.csv), then make another: unweave init\n"
    )
    said = unweave("concepts", "export", project, tmp_path / "names.csv").stdout
    n = len(Project.open(restored(project)).concepts.by_document_frequency())
    assert said == f"{tmp_path / 'names.csv'}: {n} concepts\n"
    assert len((tmp_path / "names.csv").read_text().splitlines()) > n


def restored(project: Path) -> Path:
    settings = project / "unweave.toml"
    settings.write_text(settings.read_text().replace("[name]", "[keyphrases]").replace("[model]", "[language_model]"))
    return project


def test_defaults_are_those_of_the_fields_that_have_one():
    assert defaults_of(SAEConfig) == {
        "k": 32, "selection": "threshold", "most_steps": None, "stops_at_repeat": False, "encoder": "",
    }  # fmt: skip
