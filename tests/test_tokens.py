"""Token-level concepts: what texts activate, summed over their tokens."""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from unweave import settings
from unweave.base.building import build
from unweave.cli import main
from unweave.config import PRECOMPUTED, EncoderConfig
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.errors import (
    BadData,
    CorruptArtifact,
    DimensionMismatch,
    MissingArtifact,
    StaleArtifact,
)
from unweave.index.concept_index import ConceptIndex
from unweave.index.scoring import TOKENS
from unweave.project import Project
from unweave.retrieval.searcher import ConceptSearcher
from unweave.retrieval.steering import Steering
from unweave.sae import tokens
from unweave.stages.asked import token_rows


class Letters:
    """An encoder with one token a letter, which is a word: a is (2, 0, 0), b (0, 3, 0), anything else (0, 0, 1)."""

    def words(self, texts, *, of_queries=False):
        return [list(text) for text in texts]

    def encode_tokens(self, texts, *, of_queries=False):
        rows = {"a": (2.0, 0.0, 0.0), "b": (0.0, 3.0, 0.0)}
        return [np.array([rows.get(c, (0.0, 0.0, 1.0)) for c in text], dtype=np.float32) for text in texts]


def test_a_token_counts_as_often_as_it_comes_and_whatever_its_length(identity_sae):
    pooled = tokens.encode_texts(Letters(), identity_sae, ["aab", "b"]).toarray()
    a, b, _ = identity_sae.encode(np.eye(3, dtype=np.float32)).toarray()
    np.testing.assert_allclose(pooled, [2 * a + b, b])


def test_many_texts_are_read_a_part_at_a_time_to_the_same_end(identity_sae, monkeypatch):
    texts = ["ab", "a", "bbb", "x", "aabb"]
    whole = tokens.encode_texts(Letters(), identity_sae, texts).toarray()
    monkeypatch.setattr(tokens, "_TEXTS_AT_ONCE", 2)
    np.testing.assert_array_equal(tokens.encode_texts(Letters(), identity_sae, texts).toarray(), whole)


def test_no_texts_have_no_latents(identity_sae):
    assert tokens.encode_texts(Letters(), identity_sae, []).shape == (0, identity_sae.config.n_latents)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_pooling_is_the_sum_of_each_texts_rows(lengths, seed):
    random = np.random.default_rng(seed)
    dense = random.random((sum(lengths), 5), dtype=np.float32) * (random.random((sum(lengths), 5)) < 0.4)
    ends = np.cumsum([0, *lengths])
    pooled = tokens.sum_pooled(csr_array(dense.astype(np.float32)), ends)
    expected = [dense[a:b].sum(axis=0) for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(pooled.toarray(), expected, rtol=1e-5)
    assert pooled.has_sorted_indices


def test_a_sample_is_of_texts_drawn_at_random_until_it_is_large_enough(monkeypatch):
    monkeypatch.setattr(tokens, "_TEXTS_AT_ONCE", 1)
    texts = [letter * 10 for letter in "abcdefgh"]
    some = tokens.sample(Letters(), texts, most=25)
    assert some.rows.shape == (25, 3)
    assert [len(list(run)) for _, run in itertools.groupby(some.words)] == [10, 10, 5]
    again, other = (tokens.sample(Letters(), texts, most=25, seed=seed).words for seed in (0, 1))
    assert some.words == again != other


def test_a_small_corpus_is_sampled_whole():
    assert sorted(tokens.sample(Letters(), ["ab", "c"], most=100).words) == ["a", "b", "c"]


def test_an_encoder_whose_tokens_are_not_its_tokenizers_is_refused():
    class Padded(Letters):
        def words(self, texts, *, of_queries=False):
            return [[*text, "[PAD]"] for text in texts]

    with pytest.raises(BadData, match=r"3 tokens for 4 of its tokenizer"):
        tokens.sample(Padded(), ["abc"], most=5)


def test_a_latent_is_named_by_the_words_that_set_it_apart(identity_sae):
    # Latent 0 is activated 3 by "Wind", 1 by "winds" and 4 by "the", latent 1 by 4 by "the"; latent 2 is silent. Of all
    # activation "the" has 8/12, "wind" 3/12, "winds" 1/12. For latent 0, "wind" counts .375 log(.375 / .25) = .152,
    # "winds" .125 log(.125 / .0833) = .051, and "the" .5 log(.5 / .667) < 0.
    rows = np.array([[3, 0, 0], [1, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 0.1]], np.float32)
    named = tokens.words_of(identity_sae, tokens.Sample(rows, ["Wind", "winds", "the", "the", "a"]))
    assert named == {0: [("wind", 0.375), ("winds", 0.125)], 1: [("the", 1.0)]}


def test_marks_name_a_latent_only_where_no_word_does(identity_sae):
    rows = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    named = tokens.words_of(identity_sae, tokens.Sample(rows, [",", "sea", ";"]))
    assert [word.word for word in named[0]] == ["sea"]
    assert [word.word for word in named[1]] == [";"]


def test_a_name_cannot_carry_what_a_terminal_would_obey(identity_sae):
    rows = np.eye(3, dtype=np.float32)[[0, 1]]
    named = tokens.words_of(identity_sae, tokens.Sample(rows, ["\x1b[2Jwind\u202e", "sea"]))
    assert named[0][0].word == "[2jwind"


@pytest.mark.parametrize("content", ["[1", "[1, 2]", '{"x": [["a", 1]]}', '{"1": [["a"]]}'])
def test_damaged_names_are_refused(tmp_path, content):
    with build(tmp_path / "sae", "sae", settings={}, made_from={}) as made:
        (made.path / tokens.WORDS).write_text(content)
    with pytest.raises(CorruptArtifact, match=r"words\.json (does not hold the words|is no JSON)"):
        tokens.read_names(tmp_path / "sae")


def test_of_nothing_no_sample_is_made_up():
    with pytest.raises(BadData, match="no texts"):
        tokens.sample(Letters(), [], most=5)


def test_tokens_of_another_encoder_are_refused(random_sae):
    with pytest.raises(DimensionMismatch, match="another encoder"):
        tokens.encode_texts(Letters(), random_sae(0, d_in=5), ["ab"])


def test_the_mean_of_a_real_encoders_tokens_is_its_embedding():
    encoder = SentenceTransformerEncoder(EncoderConfig(precision="float32"))
    texts = ["Wind turbines.", "A sailing boat needs no fuel but wind.", "x"] + [f"text {i}" for i in range(70)]
    outputs = encoder.encode_tokens(texts)
    means = np.stack([output.mean(axis=0) for output in outputs])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, encoder.encode_passages(texts), atol=1e-5)


def test_every_token_of_a_real_encoder_has_its_word():
    encoder = SentenceTransformerEncoder(EncoderConfig(query_prefix="Ask: "))
    texts = [" Photovoltaics, mostly. ", "", "long " * 400]
    (first, empty, long), outputs = encoder.words(texts), encoder.encode_tokens(texts)
    assert first == ["[CLS]", *["Photovoltaics"] * (len(first) - 5), ",", "mostly", ".", "[SEP]"]
    assert empty == ["[CLS]", "[SEP]"]
    assert [len(first), len(empty), len(long)] == [len(output) for output in outputs]
    assert encoder.words(["wind"], of_queries=True)[0][1:-1] == ["Ask", ":", "wind"]
    assert encoder.words([]) == []


# --- in a project ----------------------------------------------------------------------------------

QUERY = "Device to generate electricity from wind"


def unweave(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, project_folder):
    """The real project, with concepts of tokens."""
    folder = tmp_path_factory.mktemp("tokens") / "project"
    shutil.copytree(project_folder, folder)
    done = unweave("tokens", folder, "--n-latents", 1536, "--steps", 60)
    assert done.exit_code == 0, done.output
    return folder


def test_a_project_is_searched_by_its_tokens_and_each_score_is_a_sum_of_words(folder):
    project = Project.open(folder)
    hit = project.search(QUERY, 3, system="tokens", explain=True)[0]
    assert hit.passage.title == "Wind turbine"
    hit.explanation.check()
    assert any("wind" in (part.name or "").split(", ") for part in hit.explanation.contributions[:5])
    position = project.corpus.position("Wind_turbine")
    names = {
        project.token_names[j] for j in csr_array(project.token_latents[[position]]).indices if j in project.token_names
    }
    assert any(name.startswith("turbine") or "turbines" in name for name in names)


def test_a_querys_latents_are_the_sum_of_its_tokens(folder):
    project = Project.open(folder)
    (rows,) = token_rows(project, [QUERY])
    summed = csr_array(project.token_sae.encode(rows).sum(axis=0).reshape(1, -1))
    read = project.systems["tokens"].searcher.read(rows)
    assert set(read.latents.tolist()) <= set(summed.indices.tolist())
    assert len(project.systems["tokens"].searcher.read(rows, Steering(query_k=5)).latents) <= 5


def test_an_index_of_tokens_holds_what_search_reads_and_finds_as_if_it_held_all(folder, tmp_path):
    project = Project.open(folder)
    searcher = project.systems["tokens"].searcher
    whole = ConceptIndex.build(project.token_latents, scoring=TOKENS, folder=tmp_path / "index")
    assert searcher.index.bytes(forward=True) < whole.bytes(forward=True)
    (rows,) = token_rows(project, [QUERY])
    for one, other in zip(
        searcher.search(rows, 50), ConceptSearcher(project.token_sae, whole).search(rows, 50), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_second_run_makes_nothing_anew(folder):
    done = unweave("tokens", folder)
    assert done.exit_code == 0
    assert done.stdout.count("already there") == 3


def test_what_tokens_cannot_do_is_said_in_a_line(folder, project_folder, tmp_path):
    vector = tmp_path / "query.npy"
    np.save(vector, np.ones(384, np.float32))
    for arguments, message in [
        (["search", folder, "--system", "tokens", "--query-vector", vector], "searched by a query's text"),
        (["search", project_folder, QUERY, "--system", "tokens"], "run: unweave tokens"),
        (["search", project_folder, QUERY, "--system", "tokens + BM25"], "run: unweave tokens"),
    ]:
        done = unweave(*arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert message in done.stderr


def test_embeddings_that_were_brought_along_have_no_tokens(tmp_path, project_folder):
    shutil.copytree(project_folder, tmp_path / "p")
    settings.update(tmp_path / "p" / settings.FILE, {"encoder": {"model": PRECOMPUTED}})
    done = unweave("tokens", tmp_path / "p")
    assert done.exit_code == 1
    assert "need an encoder that shows its tokens" in done.stderr


def test_tokens_of_another_prefix_are_stale(folder):
    project = Project.open(folder, {"encoder": {"passage_prefix": "passage: "}})
    with pytest.raises(StaleArtifact, match=r"tokens/sae was made with .*; run: unweave tokens"):
        token_rows(project, [QUERY])


def test_an_evaluation_compares_tokens_and_fusions_too(folder):
    done = unweave("evaluate", folder, "--sums", "BM25 + dense, tokens+2 codes", "--json")
    assert done.exit_code == 0, done.output
    rows = {row["system"]: row for row in json.loads(done.stdout)["systems"]}
    assert list(rows)[-3:] == ["tokens", "BM25 + dense", "tokens + 2 codes"]
    assert rows["BM25 + dense"]["bytes/passage"] == rows["BM25"]["bytes/passage"] + rows["dense"]["bytes/passage"]
    assert rows["tokens"]["nDCG@10"] > 0.85
    wrong = unweave("evaluate", folder, "--sums", "BM25 + sparse")
    assert wrong.exit_code == 1
    assert "there is no system 'sparse'; expected one of 'BM25', 'dense'" in wrong.stderr


@pytest.mark.parametrize("by", ["score", "rank"])
def test_a_fused_search_adds_up_and_explains_every_part(folder, by):
    systems = ["BM25", "dense", "tokens", "codes", "CL-SR", "CL-SR rescored", "CL-SR then dense"]
    name = " + ".join(systems) + (" by rank" if by == "rank" else "")
    for hit in Project.open(folder).search(QUERY, 5, system=name, explain=True):
        parts = hit.explanation.parts
        assert [part.system for part in parts] == systems
        assert hit.score == pytest.approx(sum(part.value for part in parts))
        for part in parts:
            if part.rank is None:
                assert (part.value, part.explanation) == (0, None)
                continue
            part.explanation.check()
            if by == "score":
                assert part.explanation.score == pytest.approx(part.value, rel=1e-4, abs=1e-6)
            else:
                assert part.value == pytest.approx(1 / len(systems) / (60 + part.rank), rel=1e-5)


def test_only_an_explained_search_needs_names(tmp_path, project_folder):
    shutil.copytree(project_folder, tmp_path / "p", ignore=lambda _, names: {"concepts"} & set(names))
    project = Project.open(tmp_path / "p")
    (hit,) = project.search(QUERY, 1, system="BM25 + dense")
    assert hit.passage.title == "Wind turbine" and hit.explanation is None
    with pytest.raises(MissingArtifact, match="run: unweave name"):
        project.search(QUERY, 1, system="BM25 + dense", explain=True)


def test_a_fused_search_is_shown_part_by_part(folder):
    asked = ["search", folder, QUERY, "--system", "BM25 + tokens", "-k", 2]
    shown = unweave(*asked, "--explain")
    assert shown.exit_code == 0, shown.output
    first, *below = shown.stdout.splitlines()
    assert first.startswith("  1     1.000  Wind turbine")
    assert "         +0.5000  BM25, rank 1" in below
    assert any(line.endswith('  "wind"') for line in below)
    (hit, _) = json.loads(unweave(*asked, "--explain", "--json").stdout)["hits"]
    assert [(part["system"], part["rank"]) for part in hit["explanation"]["parts"]] == [("BM25", 1), ("tokens", 1)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--system", "BM25 +"], "is no sum of systems"),
        (["--system", "BM25 + BM25"], "each is to be there once"),
        (["--system", "BM25 + 0 dense"], "with a finite weight above 0"),
        (["--system", "BM25 by rank"], "it takes at least two"),
        (["--system", "reconstructed dense", "--boost", "3=2"], "reconstructed dense cannot be steered by boosts"),
        (["--system", "CL-SR rescored", "--passage-k", "3"], "CL-SR rescored cannot be steered by passage_k"),
        (["--system", "BM25", "--ban", "3"], "BM25 cannot be steered by banned"),
        (
            ["--system", "tokens + codes", "--ban", "3"],
            "tokens + codes cannot be steered by banned: concepts of tokens",
        ),
    ],
)
def test_what_cannot_be_fused_is_refused(folder, options, message):
    done = unweave("search", folder, QUERY, *options)
    assert done.exit_code != 0
    assert message in done.stderr
