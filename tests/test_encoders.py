"""What made a project's embeddings: the settings' model, a function of the user's, or nobody knows what."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.base.artifact import read_manifest
from unweave.base.records import Passage, Query
from unweave.cli import main
from unweave.config import DEFAULT_MODEL, EncoderConfig
from unweave.encode import encoders
from unweave.encode.brought import agreement
from unweave.encode.encoder import CallableEncoder, same_encoder, same_space
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.errors import BadData, StaleArtifact, UnweaveError
from unweave.project import Project
from unweave.sae.hub import model_card
from unweave.stages.asked import vector_of
from unweave.texts.collection import Collection

TEXTS = [
    "Wind turns turbines.", "A sail catches the wind.", "Bread rises with yeast.", "Cubism broke objects apart.",
    "Rivers carry silt to the sea.", "The court heard the appeal.", "Copper conducts electricity.",
    "Bees dance to show where flowers are.", "A comet passed the sun.", "Ice floats on water.", "Dada mocked art.",
    "Whales sing to each other.",
]  # fmt: skip
QUERIES = ["energy from wind", "modern art"]


@pytest.fixture
def folder(tmp_path):
    passages = [Passage(f"p{i}", "", text) for i, text in enumerate(TEXTS)]
    queries = [Query(f"q{i}", text) for i, text in enumerate(QUERIES)]
    Project.create(tmp_path / "project", Collection(passages=passages, queries=queries))
    return tmp_path / "project"


@pytest.fixture(scope="module")
def vectors():
    """The passages by the bundled model, (12, 384)."""
    return SentenceTransformerEncoder(EncoderConfig(precision="float32")).encode_passages(TEXTS)


@pytest.fixture
def file(tmp_path):
    def file(array, name="vectors.npy"):
        np.save(tmp_path / name, array)
        return tmp_path / name

    return file


def unweave(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# --- precision ------------------------------------------------------------------------------------


def encoder_in(precision, **settings):
    return SentenceTransformerEncoder(EncoderConfig(precision=precision, **settings))


def test_many_passages_in_bfloat16_point_where_those_in_float32_do(vectors):
    found = encoder_in("bfloat16").encode_passages(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    cosines = (found * vectors).sum(axis=1)
    assert 0.9995 < cosines.min() < 0.999999  # near, and not float32 by another name


def test_queries_and_tokens_are_in_float32_whatever_passages_are():
    half, full = encoder_in("bfloat16"), encoder_in("float32")
    np.testing.assert_array_equal(half.encode_queries(TEXTS), full.encode_queries(TEXTS))
    for mine, theirs in zip(half.encode_tokens(TEXTS), full.encode_tokens(TEXTS), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("units", "device", "expected"), [
    (True, "cpu", "bfloat16"), (False, "cpu", "float32"), (True, "cuda", "float32"),
])  # fmt: skip
def test_passages_are_in_bfloat16_where_the_processor_has_units_for_it(monkeypatch, units, device, expected):
    monkeypatch.setattr(encoders, "_multiplies_bfloat16", lambda: units)
    assert encoder_in("auto", device=device).precision == expected


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="precision must be one of auto, float32, bfloat16, got 'half'"):
        EncoderConfig(precision="half")


def test_the_precision_is_written_down_and_no_query_minds_it(folder):
    Project.open(folder, {"encoder": {"precision": "bfloat16"}}).embed()
    written = {of: read_manifest(folder / "embeddings" / of, "embeddings").settings["encoder"]
               for of in ("passages", "queries")}  # fmt: skip
    assert written["passages"]["precision"] == "bfloat16"
    assert "precision" not in written["queries"]
    project = Project.open(folder, {"encoder": {"precision": "float32"}})
    assert vector_of(project, "wind").shape == (384,)


def test_passages_are_embedded_again_only_in_a_precision_that_was_asked_for(folder, monkeypatch):
    Project.open(folder, {"encoder": {"precision": "float32"}}).embed()
    monkeypatch.setattr(encoders, "_multiplies_bfloat16", lambda: True)
    fresh = {precision: [done.artifact for done in Project.open(folder, {"encoder": {"precision": precision}}).embed()
                         if done.fresh] for precision in ("auto", "bfloat16")}  # fmt: skip
    assert fresh == {"auto": [], "bfloat16": ["embeddings/passages", "embeddings/sentences"]}


# --- brought embeddings ---------------------------------------------------------------------------


def test_agreement_by_hand():
    # (3, 4) and (4, 3): cosine 24/25 at the same length; (0, 2) and (0, 1): cosine 1, twice as long.
    found = agreement(np.array([[3, 4], [0, 2]], np.float32), np.array([[4, 3], [0, 1]], np.float32))
    assert found == pytest.approx((0.98, 0.96, 1.5))


def test_a_text_is_no_query_where_nobody_said_what_embedded_the_passages(folder, vectors, file):
    project = Project.open(folder)
    project.bring_embeddings("passages", file(vectors))
    for asked in (project, Project.open(folder), Project.open(folder, {"encoder": {"model": DEFAULT_MODEL}})):
        assert asked.encoder_of_embeddings == ""
        with pytest.raises(UnweaveError, match=r"no text can be embedded; search with --query-id or --query-vector"):
            vector_of(asked, "wind")
        with pytest.raises(UnweaveError, match="no text can be embedded"):
            asked.encoder.encode_passages(["wind"])
        np.testing.assert_array_equal(vector_of(asked, vectors[0]), vectors[0])
    with pytest.raises(UnweaveError, match="no text can be embedded"):
        Project.open(folder).embed()  # of the queries; and the passages are as they were
    np.testing.assert_array_equal(Project.open(folder).embedded("passages").rows(), vectors)


def test_brought_embeddings_of_a_named_model_are_searched_by_text(folder, vectors, file):
    done = unweave("embed", folder, "--passages", file(vectors.astype(np.float16)), "--model", DEFAULT_MODEL)
    assert done.exit_code == 0, done.output
    project = Project.open(folder)
    assert project.encoder_of_embeddings == DEFAULT_MODEL
    assert vector_of(project, "wind").shape == (384,)
    fresh = {done.artifact: done.fresh for done in project.embed()}  # the queries, beside passages that stay
    assert fresh["embeddings/queries"] and not fresh["embeddings/passages"]
    np.testing.assert_array_equal(project.embedded("passages").rows(), vectors.astype(np.float16))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda x: x @ np.linalg.qr(np.random.default_rng(0).normal(size=(384, 384)))[0],
            r"median cosine of -?0\.\d{4}",
        ),
        (lambda x: np.roll(x, 1, axis=0), r"a lowest of -?0\.\d{4} to their rows, expected 0\.99 and 0\.9"),
        (lambda x: x[:, :100], "rows are 100 wide, but sentence-transformers/all-MiniLM-L6-v2 gives 384"),
        (lambda x: 3 * x, "rows are 3 times as long .* --normalize or --no-normalize"),
    ],
)
def test_brought_embeddings_of_another_model_are_refused_with_the_numbers(folder, vectors, file, change, said):
    before = (folder / "unweave.toml").read_text()
    done = unweave("embed", folder, "--passages", file(change(vectors)), "--model", DEFAULT_MODEL)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert re.search(said, done.stderr), done.stderr
    assert not (folder / "embeddings").exists()
    assert (folder / "unweave.toml").read_text() == before


def test_brought_queries_are_as_wide_as_the_passages(folder, vectors, file):
    project = Project.open(folder)
    project.bring_embeddings("passages", file(vectors))
    with pytest.raises(BadData, match=r"queries\.npy: rows are 100 wide, but the passages' embeddings 384"):
        project.bring_embeddings("queries", file(vectors[:2, :100], "queries.npy"))
    project.bring_embeddings("queries", file(vectors[:2], "queries.npy"))
    assert project.uses("queries")


def test_queries_by_another_encoder_than_the_passages_are_stale(folder, vectors, file):
    project = Project.open(folder)
    project.embed()
    assert project.uses("queries")
    project.bring_embeddings("passages", file(vectors))
    assert not project.uses("queries")
    with pytest.raises(
        StaleArtifact, match=r"embeddings/queries was made with .*MiniLM.* embeddings/passages with pre"
    ):
        project.embedded("queries")


def test_an_sae_names_no_encoder_that_did_not_make_its_embeddings(folder, vectors, file):
    small = {"fit": {"steps": 4, "n_latents": 8, "k": 2, "batch_size": 4}}
    project = Project.open(folder, small)
    project.bring_embeddings("passages", file(vectors))
    project.fit()
    assert project.sae.config.encoder == ""
    assert "base_model" not in model_card(folder / "sae")
    named = Project.open(folder, small | {"encoder": {"model": DEFAULT_MODEL}})
    named.bring_embeddings("passages", file(vectors), by_encoder=True)
    named.fit()
    assert named.sae.config.encoder == DEFAULT_MODEL
    assert f"base_model: {json.dumps(DEFAULT_MODEL)}" in model_card(folder / "sae")


# --- a function of the user's ---------------------------------------------------------------------


def lengths(texts):
    """Each text by its number of letters, and a one."""
    return [[len(text), 1] for text in texts]


def test_any_function_embeds_a_project(folder):
    project = Project.open(folder, encoder=lengths)
    project.embed()
    expected = np.array(lengths(TEXTS), np.float32)
    np.testing.assert_array_equal(project.embedded("passages").rows(), expected)
    assert vector_of(project, "wind").tolist() == [4, 1]
    assert project.encoder_of_embeddings == "callable lengths"
    assert not any(done.fresh for done in Project.open(folder, encoder=lengths).embed())


def test_what_a_function_embedded_is_not_searched_by_a_model(folder):
    Project.open(folder, encoder=lengths).embed()
    with pytest.raises(StaleArtifact, match=r"made with callable lengths, but .* open it with its own encoder again"):
        vector_of(Project.open(folder), "wind")


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        (lambda texts: [1.0] * len(texts), r"shape \(3,\) for 3 text\(s\); expected \(3, d_in\)"),
        (lambda texts: [[1.0, 2.0]], r"shape \(1, 2\) for 3 text\(s\)"),
        (lambda texts: [[1.0], [1.0, 2.0], []], r"no array of numbers for 3 text\(s\)"),
        (lambda texts: "no numbers", r"no array of numbers"),
        (lambda texts: [[1.0], [np.nan], [1.0]], "row 1 holds NaN"),
    ],
)
def test_what_a_function_gives_is_checked(embed, said):
    with pytest.raises(BadData, match=f"the encoder .*lambda.*{said}"):
        CallableEncoder(embed).encode_passages(["a", "b", "c"])


def test_a_function_gives_one_width():
    encoder = CallableEncoder(lambda texts: np.ones((len(texts), len(texts))))
    encoder.encode_passages(["a", "b"])
    with pytest.raises(BadData, match="rows 1 wide, and 2 wide before"):
        encoder.encode_queries(["a"])


# --- identities -----------------------------------------------------------------------------------

MODEL = {"model": "m", "weights": "w", "normalize": True}


def test_the_same_encoder_may_have_run_in_another_precision():
    assert same_encoder(MODEL, MODEL | {"precision": "bfloat16", "files": {}})
    assert not same_encoder(MODEL, MODEL | {"weights": "v"})
    assert not same_encoder(MODEL, MODEL | {"pooling": "cls"})


def test_embeddings_share_a_space_whatever_their_prefixes():
    passages, queries = MODEL | {"passage_prefix": "passage: "}, MODEL | {"query_prefix": "query: "}
    unknown = {"model": "precomputed", "files": {"a.npy": "1"}}
    assert same_space(passages, queries)
    assert same_space(passages, unknown)
    assert same_space(unknown, {"model": "precomputed", "files": {"b.npy": "2"}})
    assert not same_space(unknown, queries)
    assert not same_space(passages, queries | {"model": "n"})
