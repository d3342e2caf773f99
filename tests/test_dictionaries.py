"""Ready-made dictionaries: texts read without a project, and the command that makes such a dictionary."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.base.artifact import read_manifest
from unweave.base.building import build
from unweave.base.records import Group, Trust
from unweave.cli import main
from unweave.concepts import store
from unweave.concepts.concept import CURATED, DETECTION, HOLDS_FROM, OVER_NULLS, Naming, Score
from unweave.dictionaries.dictionary import Dictionary, from_pretrained
from unweave.dictionaries.labels import read_labels
from unweave.dictionaries.latents import LATENTS, Latent, read_latents, save, write_latents
from unweave.encode.encoder import CallableEncoder
from unweave.errors import BadData, CorruptArtifact, MissingArtifact
from unweave.project import Project
from unweave.sae.formats import export_sae
from unweave.sae.model import WEIGHTS
from unweave.settings import FILE, Settings, update
from unweave.texts.vital_articles import vital_articles

MANY = [Latent(0, "tides", 0.25, 0.4), Latent(2, None, 0.01, 1.5)]


def packed(sae, folder, latents):
    """A dictionary's folder."""
    with build(folder, "sae", settings={"sae": sae.config.__dict__, "training": {}}, made_from={}) as made:
        sae.write_weights(made.path / WEIGHTS, half=True)
        write_latents(made.path / LATENTS, latents)
    return folder


def said(arguments, status=0):
    """What a command prints, or its error if it ends with a status other than 0."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == status, result.output
    return result.stderr if status else result.stdout


# --- reading ---------------------------------------------------------------------------------------


def toy(texts):
    """A text of numbers is its own embedding."""
    return np.array([[float(word) for word in text.split()] for text in texts], np.float32)


def test_a_text_is_its_latents_and_what_they_leave_over(identity_sae, tmp_path):
    # Thresholds of .5: of (.8, .6, 0) latents 0 and 1 stay, with .64 and .36 of the squared length, which is 1.
    folder = packed(identity_sae, tmp_path / "d", [Latent(0, "tides", 0.25, 0.4)])
    dictionary = from_pretrained(folder, encoder=CallableEncoder(toy))
    assert dictionary.latents == (Latent(0, "tides", 0.25, 0.4),)
    found = dictionary.decompose("0.8 0.6 0")
    assert (found.of, found.score) == ("embedding", pytest.approx(1, abs=1e-6))
    assert [(c.latent, c.name) for c in found.contributions] == [(0, "tides"), (1, None)]
    assert [c.value for c in found.contributions] == pytest.approx([0.64, 0.36], abs=1e-6)
    assert found.residual == pytest.approx(0, abs=1e-6)
    # (0, .8, .6) has a threshold's worth too little of nothing: .8 of latent 1 times the query's .6, and .6 times 0.
    pair = dictionary.explain("0.8 0.6 0", "0 0.8 0.6")
    assert (pair.of, pair.score) == ("dense", pytest.approx(0.48, abs=1e-6))
    assert [(c.latent, c.value) for c in pair.contributions if c.value] == [(1, pytest.approx(0.48, abs=1e-6))]
    pair.check()
    assert dictionary.decompose(toy(["0.8 0.6 0"])[0]) == found


def test_a_name_says_how_far_it_held_where_the_dictionary_was_made(identity_sae, tmp_path):
    known = [
        Latent(0, "tides", over_nulls=0.99, holds_from=0.6),
        Latent(1, "moons", over_nulls=0.5),
        Latent(2, "hills"),
    ]
    dictionary = from_pretrained(packed(identity_sae, tmp_path / "d", known), encoder=CallableEncoder(toy))
    found = dictionary.decompose("0.7 0.55 0.51").contributions
    assert [(c.name, c.trust) for c in found] == [
        ("tides", Trust.HOLDS), ("moons", Trust.VAGUE), ("hills", Trust.UNSCORED),
    ]  # fmt: skip
    assert [c.group for c in found] == [Group.NAMED, Group.UNNAMED, Group.UNNAMED]
    assert dictionary.decompose("0.59 0.6 0.54").contributions[1].group is Group.TRACES
    assert dict(dictionary.names) == {0: "tides", 1: "moons", 2: "hills"}


def test_a_dictionary_of_another_encoder_asks_for_it_and_reads_embeddings(identity_sae, tmp_path):
    dictionary = from_pretrained(packed(identity_sae, tmp_path / "d", []))
    assert dictionary.latents == ()
    with pytest.raises(BadData, match=r"reads embeddings of toy; give what embeds texts: from_pretrained\(…, encoder"):
        dictionary.decompose("0.8 0.6 0")
    assert dictionary.decompose(np.float32([0.8, 0.6, 0])).check() is None
    with pytest.raises(BadData, match="an empty text came in"):
        dictionary.decompose(" ")


def test_another_tools_sae_is_a_dictionary_without_names(random_sae, tmp_path):
    export_sae(random_sae(0), tmp_path / "theirs", "saelens")
    assert from_pretrained(tmp_path / "theirs").latents == ()


def test_what_is_known_of_latents_survives_the_disk(identity_sae, tmp_path):
    assert read_latents(packed(identity_sae, tmp_path / "d", reversed(MANY)), 3) == tuple(MANY)


@pytest.mark.parametrize(
    "lines",
    [
        '{"latent": 3, "name": "a", "share": 0.1, "median": 1}',  # there are three, 0 to 2
        '{"latent": -1, "name": "a", "share": 0.1, "median": 1}',
        '{"latent": 1, "name": "a", "share": 0.1, "median": 1}\n' * 2,
        '{"latent": true, "name": "a", "share": 0.1, "median": 1}',
        '{"latent": 0, "name": ["a"], "share": 0.1, "median": 1}',
        '{"latent": 0, "name": "a", "share": NaN, "median": 1}',
        '{"latent": 0, "name": "a", "share": 0.1, "median": 1e999}',
        '{"latent": 0}',
        "[0]",
        "{",
        "[" * 100_000,
        "\xff",
    ],
)
def test_a_strangers_file_of_latents_is_refused_if_it_makes_no_sense(identity_sae, tmp_path, lines):
    with build(tmp_path / "d", "sae", settings={"sae": identity_sae.config.__dict__}, made_from={}) as made:
        identity_sae.write_weights(made.path / WEIGHTS)
        (made.path / LATENTS).write_bytes(lines.encode("latin-1"))
    with pytest.raises(CorruptArtifact, match=LATENTS):
        from_pretrained(tmp_path / "d")


def test_a_strangers_names_reach_no_terminal_as_they_are(identity_sae, tmp_path):
    folder = packed(identity_sae, tmp_path / "d", [Latent(0, "\x1b[31mred\x07" + "a" * 999, 0.1, 1)])
    (only,) = from_pretrained(folder).latents
    assert "\x1b" not in only.name and "\x07" not in only.name and len(only.name) <= 200


# --- another tool's labels --------------------------------------------------------------------------


def test_labels_as_latent_taxonomy_lays_them_out_are_imported_beside_the_sae(random_sae, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    export_sae(random_sae(0), tmp_path / "theirs", "latentsae")
    labels = ["[FAILED]", "tides and currents", " \x1b[31mwind ", ""]
    columns = {"feature": [0, 3, 7, 9], "label": labels, "max_act": [1.0] * 4, "top_tokens": ["a, b"] * 4}
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    said(["sae", "import", str(tmp_path / "theirs"), str(tmp_path / "ours"),
          "--labels", str(tmp_path / "labels.parquet"), "--encoder", "toy"])  # fmt: skip
    read = from_pretrained(tmp_path / "ours")
    assert read.names[3] == "tides and currents" and set(read.names) == {3, 7} and "\x1b" not in read.names[7]
    assert read.sae.config.encoder == "toy"


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        ("feature,name\n0,a\n", "has no label; expected the columns feature and label"),
        ("feature,label\n24,a\n", "'24' is no latent; there are 0 to 23"),
        ("feature,label\n-1,a\n", "'-1' is no latent"),
        ("feature,label\n1.5,a\n", "'1.5' is no latent"),
        ("feature,label\n1,a\n1,b\n", "the latent 1 has a label already"),
    ],
)
def test_a_table_that_is_none_of_this_saes_labels_is_refused_and_nothing_is_made(random_sae, tmp_path, table, wrong):
    export_sae(random_sae(0), tmp_path / "theirs", "saelens")
    (tmp_path / "labels.csv").write_text(table)
    arguments = ["sae", "import", str(tmp_path / "theirs"), str(tmp_path / "ours")]
    assert wrong in said([*arguments, "--labels", str(tmp_path / "labels.csv")], 1)
    assert not (tmp_path / "ours").exists()


ODD = {
    0: "tides, and \"currents\"", 3: "=1+1", 7: "'=quoted", 9: "−40 °C; wind", 23: "a | b", 12: "'plain", 13: "@all",
}  # fmt: skip
"""Names that a spreadsheet, a comma or a quotation mark could spoil."""


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_labels_that_are_exported_are_those_that_are_imported(random_sae, tmp_path, ending):
    save(tmp_path / "ours", random_sae(0), [Latent(1, None), *(Latent(*one) for one in ODD.items())])
    table = tmp_path / f"labels{ending}"
    printed = said(["sae", "export", str(tmp_path / "ours"), str(tmp_path / "theirs"), "--format", "latentsae",
                    "--labels", str(table)])  # fmt: skip
    assert printed.splitlines() == [str(tmp_path / "theirs"), f"{table}: 7 labels"]
    said(["sae", "import", str(tmp_path / "theirs"), str(tmp_path / "back"), "--labels", str(table)])
    assert from_pretrained(tmp_path / "back").names == ODD
    if ending == ".parquet":
        columns = pytest.importorskip("pyarrow.parquet").read_table(table)
        assert [(field.name, str(field.type)) for field in columns.schema] == [
            ("feature", "int64"),
            ("label", "string"),
        ]
        assert columns["feature"].to_pylist() == sorted(ODD)


def test_a_projects_labels_are_the_names_that_it_shows(tiny_project_folder, tmp_path):
    project = shutil.copytree(tiny_project_folder, tmp_path / "project")
    latent, other = list(Project.open(project).concepts)[:2]
    said(["concepts", "rename", str(project), str(latent), "tides"])
    said(["concepts", "merge", str(project), str(other), str(latent)])
    said(["sae", "export", str(project), str(tmp_path / "theirs"), "--format", "saelens", "--labels",
          str(tmp_path / "labels.csv")])  # fmt: skip
    read = {one.latent: one.name for one in read_labels(tmp_path / "labels.csv", 16)}
    assert read == dict(Project.open(project).concepts)
    assert read[latent] == "tides" == read[other]


@pytest.mark.parametrize(
    ("folder", "labels", "wrong"),
    [
        ("ours", "labels.txt", "cannot tell its format; expected a name that ends in .parquet, .csv or .jsonl"),
        ("bare", "labels.csv", "bare says no names of its latents; give the project that named them, or a dictionary"),
        ("begun", "labels.csv", "has no concepts yet; run: unweave name"),
        ("nothing", "labels.csv", "is neither an SAE's folder (config.json not found) nor a project"),
    ],
)
def test_labels_that_cannot_be_exported_are_said_before_anything_is_written(
    random_sae, tiny_project_folder, tmp_path, folder, labels, wrong
):
    save(tmp_path / "ours", random_sae(0), [Latent(1, "a")])
    save(tmp_path / "bare", random_sae(0), [])
    (tmp_path / "nothing").mkdir()
    shutil.copytree(tiny_project_folder, tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "concepts")
    arguments = ["sae", "export", str(tmp_path / folder), str(tmp_path / "out"), "--format", "saelens", "--labels"]
    assert wrong in said([*arguments, str(tmp_path / labels)], 1)
    assert not (tmp_path / "out").exists() and not (tmp_path / labels).exists()


def test_an_sae_of_half_precision_is_read_back_as_it_was_packed(random_sae, tmp_path):
    sae = random_sae(0)
    read = from_pretrained(packed(sae, tmp_path / "d", [])).sae
    half = sae.in_half_precision()
    for name in ("W_enc", "b_enc", "W_dec", "b_pre", "threshold"):
        assert getattr(read, name).dtype == np.float32
        np.testing.assert_array_equal(getattr(read, name), getattr(half, name))
    np.testing.assert_allclose(half.W_dec, sae.W_dec, rtol=2**-11, atol=2**-24)  # ten bits after the first one


def test_a_name_that_is_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingArtifact, match="there is no dictionary 'nowhere': no such folder is here"):
        from_pretrained("nowhere")


# --- commands without a project ----------------------------------------------------------------------


def test_commands_take_a_text_or_a_project_first():
    assert "3 arguments came in; give 1 or, with a project first, 2" in said(["decompose", "a", "b", "c"], 2)
    assert "--system goes with a PROJECT" in said(["explain", "a", "b", "--system", "CL-SR"], 2)
    assert "--dictionary goes without a PROJECT" in said(["decompose", "mine", "b", "--dictionary", "d"], 2)


# --- making one ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """160 sentences in two files."""
    folder = tmp_path_factory.mktemp("texts")
    passages = [p for _, p in zip(range(160), vital_articles().passages, strict=False)]
    for name, some in (("even", passages[::2]), ("odd", passages[1::2])):
        lines = [json.dumps({"_id": p.passage_id, "title": p.title, "text": p.text[:120]}) for p in some]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(texts, tmp_path_factory):
    """A project that `unweave pretrain` has made of them."""
    project = tmp_path_factory.mktemp("pretrain") / "wide"
    said(["pretrain", str(project), "--texts", str(texts), "--n-latents", "64", "--k", "4", "--steps", "40"])
    return project


def test_pretrain_says_its_cost_and_makes_nothing_but_the_pool(texts, tmp_path):
    cost = json.loads(
        said(["pretrain", str(tmp_path / "p"), "--texts", str(texts), "--most", "100", "--dry-run", "--json"])
    )
    assert cost["texts"] == 100 and cost["embedding"] > 0 and cost["training"] > 0
    assert cost["n_bytes"] == 100 * 384 * 4
    assert len(Project.open(tmp_path / "p").corpus) == 100 and not (tmp_path / "p" / "embeddings").exists()


def test_pretrain_makes_a_dictionary_that_reads_texts(made):
    folder = made / "dictionary"
    dictionary = from_pretrained(folder)
    assert isinstance(dictionary, Dictionary) and len(dictionary.latents) > 16
    assert dictionary.names and all(0 < one.share <= 1 and one.median > 0 for one in dictionary.latents)
    dictionary.decompose("wind turbines at sea").check()
    printed = json.loads(said(["explain", "wind at sea", "turbines", "--dictionary", str(folder), "--json"]))
    assert printed["score"] == pytest.approx(dictionary.explain("wind at sea", "turbines").score)
    assert "residual: " in said(["decompose", "wind at sea", "--dictionary", str(folder)])
    config = json.loads((folder / "config.json").read_text())
    assert config["results"]["sources"] == {"even": 80, "odd": 80}
    precision = config["results"]["precision"]
    assert precision["half"]["nmse"] == pytest.approx(precision["full"]["nmse"], rel=5e-3)
    card = (folder / "README.md").read_text()
    assert "even" in card and "from_pretrained" in card


def test_pretrain_begins_with_settings_of_its_own_and_keeps_to_the_projects(made, tmp_path):
    begun = Settings.read(made / FILE)
    assert (begun.fit.consensus, begun.fit.least_cosine, begun.embed.sentences) == (3, 0.95, 0)
    shutil.copytree(made, tmp_path / "copy")
    update(tmp_path / "copy" / FILE, {"fit": {"consensus": 0, "least_cosine": 0.5}})
    said(["pretrain", str(tmp_path / "copy")])
    kept = Settings.read(tmp_path / "copy" / FILE).fit
    assert (kept.consensus, kept.least_cosine) == (0, 0.5)
    assert read_manifest(tmp_path / "copy" / "sae", "sae").settings["training"]["least_cosine"] == 0.5


def test_pretrain_goes_on_where_it_was_broken_off_and_knows_its_texts(made, texts, tmp_path):
    again = json.loads(said(["pretrain", str(made), "--texts", str(texts), "--json"]))
    assert not any(outcome["fresh"] for outcome in again.values())
    assert "is a project of other texts" in said(["pretrain", str(made), "--texts", str(texts / "odd.jsonl")], 1)
    shutil.copytree(made, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "dictionary")
    packed_again = json.loads(said(["pretrain", str(tmp_path / "copy"), "--json"]))
    assert [name for name, outcome in packed_again.items() if outcome["fresh"]] == ["dictionary"]


def test_a_dictionary_is_packed_anew_when_its_names_have_changed(made, tmp_path):
    shutil.copytree(made, tmp_path / "copy")
    database = Project.open(tmp_path / "copy").concepts.database
    latent = from_pretrained(made / "dictionary").latents[0].latent
    store.add_namings(database, [(latent, Naming(CURATED, "wind at sea", "How it blows there."))])
    store.add_scores(database, [
        (latent, CURATED, Score(DETECTION, 0.99, 0.98, 1.0, 72)), (latent, CURATED, Score(OVER_NULLS, 1, 0.99, 1, 100)),
        (latent, CURATED, Score(HOLDS_FROM, 0.25, 0.25, 0.25, 30)),
    ])  # fmt: skip
    done = json.loads(said(["pretrain", str(tmp_path / "copy"), "--json"]))
    assert [name for name, outcome in done.items() if outcome["fresh"]] == ["dictionary"]
    assert {one.state for one in Project.open(tmp_path / "copy").verify()} == {"whole"}
    packed = from_pretrained(tmp_path / "copy" / "dictionary").latents[0]
    assert (packed.name, packed.description, packed.namer) == ("wind at sea", "How it blows there.", CURATED)
    assert (packed.over_nulls, packed.holds_from) == (0.99, 0.25)


def test_reading_a_text_imports_neither_torch_nor_a_project(made):
    program = (
        "import sys; import unweave as uw; "
        f"uw.from_pretrained({str(made / 'dictionary')!r}).decompose('wind at sea'); "
        "print([m for m in ('torch', 'transformers', 'unweave.project') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
