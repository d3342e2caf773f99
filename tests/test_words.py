"""Scores down to the words: an embedding as a sum over its words, and with it every part of a score."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import unweave as uw
from unweave.cli import main
from unweave.config import MATCHING_PURSUIT, EncoderConfig, SAEConfig
from unweave.encode.encoder import CallableEncoder
from unweave.encode.encoders import SentenceTransformerEncoder
from unweave.encode.words import InWords, Piece, Word, by_words
from unweave.errors import AccountingError, BadData
from unweave.explaining.words import BEYOND, ByWords, SumByWords, explain_by_words, in_words
from unweave.project import Project
from unweave.sae.model import SAE
from unweave.stages.asked import QueryId

WIND = "A turbine turns the wind's motion into electric power."
ASKED = "how is electricity made from wind"


# --- an embedding by its words ----------------------------------------------------------------------


def test_tokens_of_a_word_are_summed_up_and_a_prefix_has_no_place_in_the_text():
    # Four tokens, of which two are pieces of "windmill"; their sum is (2, 2), so of length 1 it is that over sqrt 8.
    tokens = np.array([[1, 0], [0, 1], [0, 1], [1, 0]], np.float32)
    pieces = [Piece("[CLS]", None, 0, 0), Piece("say", 0, 0, 3), Piece("wind", 1, 5, 13), Piece("##mill", 1, 5, 13)]
    found = by_words(tokens, pieces, "say: windmill", 5, unit=True)
    assert found.words == (Word("[CLS]", None), Word("say", None), Word("windmill", 0))
    np.testing.assert_allclose(found.parts, np.array([[1, 0], [0, 1], [1, 1]]) / math.sqrt(8))
    np.testing.assert_allclose(
        by_words(tokens, pieces, "say: windmill", 5, unit=False).parts, np.array([[1, 0], [0, 1], [1, 1]]) / 4
    )


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(EncoderConfig(query_prefix="query: ", passage_prefix="passage: "))


HARD = [
    WIND, "", "  Überraschung: naïve\tcafé!  ", "日本の風力発電", "x" * 300, "wind " * 600, "a\u0301e\u0308 \u200b b",
    "don't re-use C++ (or F#), e.g. at 3.14°", "🌬️ wind 🌬️",
]  # fmt: skip


@pytest.mark.parametrize("text", HARD)
def test_words_add_up_to_the_embedding_and_stand_in_the_text_where_they_say(encoder, text):
    (found,) = encoder.in_words([text])
    np.testing.assert_allclose(found.parts.sum(axis=0), encoder.encode_passages([text])[0], atol=2e-6)
    assert found.parts.shape == (len(found.words), 384)
    for word in found.words:
        assert word.start is None or text[word.start : word.start + len(word.text)] == word.text
    starts = [word.start for word in found.words if word.start is not None]
    assert starts == sorted(set(starts))
    assert found.words[0].text == "[CLS]" and found.words[-1].text == "[SEP]"


def test_with_torch_and_without_the_words_are_the_same(encoder):
    light = [found for text in HARD for found in encoder.in_words([text])]
    heavy = encoder.in_words(HARD)  # more than are embedded without torch
    for one, other in zip(light, heavy, strict=True):
        assert one.words == other.words
        np.testing.assert_allclose(one.parts, other.parts, atol=2e-6)
    assert encoder.in_words([]) == []


def test_a_query_has_its_own_prefix(encoder):
    (found,) = encoder.in_words([ASKED], of_queries=True)
    np.testing.assert_allclose(found.parts.sum(axis=0), encoder.encode_queries([ASKED])[0], atol=2e-6)
    assert [word.text for word in found.words[:3]] == ["[CLS]", "query", ":"]


# --- a score by words -------------------------------------------------------------------------------


def by_hand() -> SAE:
    """Two latents on two dimensions: the first writes x and reads 2 x - .5, the second writes y and reads y."""
    return SAE(
        SAEConfig(d_in=2, n_latents=2, k=2), np.array([[2, 0], [0, 1]], np.float32), np.array([-0.5, 0], np.float32),
        np.eye(2, dtype=np.float32), np.array([0.1, 0], np.float32), np.array([0.0], np.float32),
    )  # fmt: skip


def test_a_score_by_words_by_hand():
    # d = (.6, 0) + (.2, .4); z_0 = 2 (.8 - .1) - .5 = .9 = 1.2 + .4 - .7, z_1 = .4 = 0 + .4.
    query, passage = np.array([1.0, 0.5]), np.array([0.8, 0.4])
    passage_words = InWords((Word("wind", 0), Word("power", 5)), np.array([[0.6, 0.0], [0.2, 0.4]]))
    query_words = InWords((Word("gale", 0),), np.array([[1.0, 0.5]]))
    found = explain_by_words(query, passage, query_words, passage_words, by_hand(), {0: "windy"})
    first, second = found.explanation.contributions
    assert [first.latent, second.latent] == [0, 1]
    assert (first.value, second.value) == (pytest.approx(0.9), pytest.approx(0.2))
    np.testing.assert_allclose(found.contributions, [[1.2, 0.4, 0], [0, 0.2, 0]], atol=1e-6)
    np.testing.assert_allclose(found.of_no_word, [-0.7, 0], atol=1e-6)
    # q.e is .6 and .4; the concepts have 1.2 and .6 of it, so .6 and .2 are too much; bias .1, so -.3 = -.8 + .6 - ...
    np.testing.assert_allclose(found.residual, [-0.6, -0.2, 0], atol=1e-6)
    assert found.residual_of_no_word == pytest.approx(0.7 - 0.1, abs=1e-6)
    np.testing.assert_allclose(found.score, [0.6, 0.4, 0], atol=1e-6)
    np.testing.assert_allclose(found.pairs, [[0.6, 0.4, 0], [0, 0, 0]], atol=1e-6)
    assert [word.text for word in found.words] == ["wind", "power", BEYOND]
    assert found.of(0, 1) == [(Word("wind", 0), pytest.approx(1.2))]
    assert [(one.query.text, one.passage.text) for one in found.strongest_pairs(1)] == [("gale", "wind")]
    found.check()
    with pytest.raises(AccountingError, match="the words of the contribution of concept 0 add up to"):
        replace(found, of_no_word=found.of_no_word + 0.1).check()
    with pytest.raises(AccountingError, match="the words of the score"):
        replace(found, pairs=found.pairs * 2).check()


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 5), st.floats(0, 0.05))
def test_words_add_up_whatever_the_dictionary_and_however_the_embedding_was_rounded(seed, n_words, n_asked, rounding):
    random = np.random.default_rng(seed)
    directions = random.normal(size=(24, 8)).astype(np.float32)
    sae = SAE(
        SAEConfig(d_in=8, n_latents=24, k=4), random.normal(size=(24, 8)).astype(np.float32),
        random.normal(size=24).astype(np.float32) / 4, directions / np.linalg.norm(directions, axis=1, keepdims=True),
        random.normal(size=8).astype(np.float32) / 10, np.array([0.1], np.float32),
    )  # fmt: skip
    asked, said = (random.normal(size=(n, 8)) for n in (n_asked, n_words))
    query, passage = asked.sum(axis=0), said.sum(axis=0)
    passage = passage * (1 + rounding)
    words = [InWords(tuple(Word(str(i), i) for i in range(len(parts))), parts) for parts in (asked, said)]
    found = explain_by_words(query, passage, *words, sae)
    found.check()
    np.testing.assert_allclose(found.score.sum(), query @ passage, rtol=1e-9, atol=1e-9)
    whole = found.contributions.sum() + found.of_no_word.sum() + found.residual.sum() + found.residual_of_no_word
    np.testing.assert_allclose(whole + found.explanation.bias, query @ passage, rtol=1e-6, atol=1e-6)
    assert json.loads(json.dumps(found.to_dict()))["contributions"] or not found.explanation.contributions


def test_another_encoders_embedding_is_not_taken_for_rounding():
    words = InWords((Word("a", 0),), np.array([[1.0, 0.0]]))
    with pytest.raises(BadData, match="add up to another embedding than the one that was scored"):
        explain_by_words(np.array([1.0, 0]), np.array([0.0, 1.0]), words, words, by_hand())


def test_what_pursuit_finds_is_no_sum_over_words(encoder):
    sae = by_hand()
    pursuing = replace(sae, config=replace(sae.config, selection=MATCHING_PURSUIT))
    words = InWords((Word("a", 0),), np.array([[1.0, 0.0]]))
    with pytest.raises(BadData, match=r"matching pursuit .*unweave carrying"):
        explain_by_words(np.array([1.0, 0]), np.array([1.0, 0]), words, words, pursuing)


def test_leaving_a_word_out_of_the_sum_changes_a_score_by_just_what_it_adds(encoder):
    # An oracle: the same vectors, added up without the word; nothing is embedded anew.
    sae, (asked,), (said,) = (
        uw.from_pretrained().sae,
        encoder.in_words([ASKED], of_queries=True),
        encoder.in_words([WIND]),
    )
    query, passage = asked.parts.sum(axis=0), said.parts.sum(axis=0)
    found = explain_by_words(query, passage, asked, said, sae)
    at = [word.text for word in said.words].index("wind")
    without = passage - said.parts[at]
    assert query @ passage - query @ without == pytest.approx(found.score[at])
    strongest = found.explanation.contributions[0]
    row = sae.W_enc[strongest.latent].astype(np.float64)
    change = (row @ (passage - without)) * strongest.query
    assert change == pytest.approx(found.contributions[0, at], rel=1e-6)


# --- through the doors ------------------------------------------------------------------------------


def test_two_texts_are_explained_by_their_words():
    found = uw.from_pretrained().by_words(ASKED, WIND)
    found.check()
    assert {"wind", "electric", "turbine"} <= {word.text for word, _ in found.of_score(5)}
    pair = found.strongest_pairs(1)[0]
    assert (pair.query.text, pair.passage.text) == ("wind", "wind")


def test_the_command_shows_words_below_each_concept_and_its_json_adds_up():
    said = CliRunner().invoke(main, ["explain", ASKED, WIND, "--by-words", "--top", "3"])
    assert said.exit_code == 0, said.output
    assert "of no word" in said.output and "by words of the passage: wind +0." in said.output
    assert "by pairs, query \u00d7 passage: wind \u00d7 wind +0." in said.output
    told = json.loads(CliRunner().invoke(main, ["explain", ASKED, WIND, "--by-words", "--json"]).output)
    words = told["by_words"]
    for part, of in zip(told["contributions"], words["contributions"], strict=True):
        assert sum(of["of_words"]) + of["of_no_word"] == pytest.approx(part["value"], abs=1e-5)
        assert len(of["of_words"]) == len(words["words"])
    assert sum(map(sum, words["pairs"])) == pytest.approx(told["score"], abs=1e-5)


@pytest.fixture
def project(project_folder: Path, tmp_path: Path) -> Project:
    shutil.copytree(project_folder, tmp_path / "project")
    return Project.open(tmp_path / "project")


def test_a_projects_score_is_split_as_it_is_explained(project):
    passage_id, query_id = project.corpus[3].passage_id, project.queries.all[0].query_id
    for query in (ASKED, QueryId(query_id)):
        found, plain = project.by_words(query, passage_id), project.explain(query, passage_id)
        found.check()
        assert found.explanation.score == pytest.approx(plain.score, abs=1e-6)
        assert [c.latent for c in found.explanation.contributions] == [c.latent for c in plain.contributions]
        assert abs(found.score[-1]) < 0.01  # what the stored embedding has beyond its words
    said = CliRunner().invoke(main, ["explain", str(project.path), ASKED, passage_id, "--by-words"])
    assert said.exit_code == 0 and "by words of the passage: " in said.output
    wrong = CliRunner().invoke(
        main, ["explain", str(project.path), ASKED, passage_id, "--by-words", "--system", "BM25"]
    )
    assert wrong.exit_code == 2 and "--by-words is for the dense score" in wrong.output
    with pytest.raises(BadData, match="has no words; give its text"):
        project.by_words(np.ones(384, np.float32), passage_id)


def test_hits_are_split_as_one_block_as_they_are_one_by_one(project):
    ids = [project.corpus[i].passage_id for i in (3, 1, 3, 7)]
    for passage_id, found in zip(ids, project.all_by_words(ASKED, ids), strict=True):
        alone = project.by_words(ASKED, passage_id)
        assert isinstance(found, ByWords) and found.words == alone.words
        why, by_itself = found.explanation, alone.explanation  # a product of a block is rounded otherwise, by a digit
        assert [c.latent for c in why.contributions] == [c.latent for c in by_itself.contributions]
        assert why.score == pytest.approx(by_itself.score)
        for name in ("contributions", "of_no_word", "residual", "pairs"):
            np.testing.assert_allclose(getattr(found, name), getattr(alone, name), rtol=0, atol=1e-6)
        found.check()
    assert project.all_by_words(ASKED, []) == []


@pytest.mark.parametrize("system", ["BM25 + 2 dense", "dense + BM25 by rank", "dense + codes"])
def test_of_a_sum_denses_part_is_split_into_words(project, system):
    hits = project.search(ASKED, 4, system=system, explain=True)
    ids = [hit.passage.passage_id for hit in hits]
    for hit, found in zip(hits, project.all_by_words(ASKED, ids, system=system), strict=True):
        assert isinstance(found, SumByWords) and hit.explanation is not None
        found.check()
        assert found.explanation.score == pytest.approx(hit.explanation.score)
        of_dense = {part.system: words for part, words in zip(found.explanation.parts, found.parts, strict=True)}
        words, part = of_dense["dense"], next(p for p in found.explanation.parts if p.system == "dense")
        assert words is not None and part.explanation is not None and words.explanation == part.explanation
        whole = words.pairs.sum() + words.taken_off
        assert whole == pytest.approx(part.explanation.score if "by rank" in system else part.value, abs=1e-6)
        assert all(words is None for system, words in of_dense.items() if system != "dense")


def test_only_scores_that_are_sums_over_words_are_split(project):
    for system in ("CL-SR", "BM25 + codes"):
        with pytest.raises(BadData, match="no sum over the words of a passage"):
            project.all_by_words(ASKED, [project.corpus[3].passage_id], system=system)
    some = np.full(384, 0.01, np.float32)
    with pytest.raises(BadData, match="has no words; give its text"):
        project.all_by_words(some, [project.corpus[3].passage_id])


def test_the_command_line_shows_words_of_hits_and_of_sums(project):
    asked = ["search", str(project.path), ASKED, "--system", "BM25 + dense", "-k", "2", "--by-words"]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0 and said.output.count("dense by words:") == 2, said.output
    told = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    assert all(hit["by_words"]["BM25"] is None and hit["by_words"]["dense"]["words"] for hit in told["hits"])
    plain = CliRunner().invoke(main, ["search", str(project.path), ASKED, "-k", "2", "--by-words"])
    assert plain.exit_code == 0 and plain.output.count("by words of the passage: ") == 2  # of CL-SR, the dense score's
    passage_id = told["hits"][0]["passage_id"]
    one = ["explain", str(project.path), ASKED, passage_id, "--system", "BM25 + dense", "--by-words"]
    said = CliRunner().invoke(main, one)
    assert said.exit_code == 0 and "dense by words:" in said.output, said.output
    told = json.loads(CliRunner().invoke(main, [*one, "--json"]).stdout)
    assert told["of"] == "sum" and told["by_words"]["dense"]["pairs"]
    assert CliRunner().invoke(main, [*one, "--svg", "never.svg"]).exit_code == 2
    assert CliRunner().invoke(main, [*asked, "--boost", "3=2"]).exit_code == 2


def test_an_encoder_that_shows_no_words_is_told_so(encoder):
    with pytest.raises(BadData, match="shows no words"):
        in_words(CallableEncoder(encoder.encode_passages), WIND)


def test_only_a_mean_is_a_sum_over_words(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    known = SentenceTransformer(SentenceTransformerEncoder(EncoderConfig()).source, device="cpu")
    for pooling in ("cls", "max"):
        SentenceTransformer(modules=[known[0], Pooling(384, pooling_mode=pooling)], device="cpu").save(
            str(tmp_path / pooling)
        )
        encoder = SentenceTransformerEncoder(EncoderConfig(model=str(tmp_path / pooling)))
        for texts in ([WIND], [WIND] * 20):  # without torch, and with it
            with pytest.raises(BadData, match=f"by {pooling}, and only a mean is a sum over words"):
                encoder.in_words(texts)


def test_the_words_of_a_concepts_examples_are_marked(kept_copy):
    project = Project.open(kept_copy)
    latent = project.concepts.by_document_frequency()[0].latent
    examples, words = project.concepts.concept(latent).examples, project.words_of(latent)
    for example, of_example in zip(examples, words, strict=True):
        source = project.corpus if example.source == "passages" else project.sentences
        text = source[example.position].content
        for word, _ in of_example:  # in the order of the text, and each where it stands
            assert word.start is None or text[word.start :].startswith(word.text)
        sae, (row,) = project.sae, project.encoder.encode_passages([text])
        whole = float(sae.W_enc[latent] @ row)
        assert sum(share for _, share in of_example) == pytest.approx(whole, abs=1e-3)
    said = CliRunner().invoke(main, ["concepts", "show", str(kept_copy), str(latent), "--words"])
    assert said.exit_code == 0, said.output
    assert re.search(r"top:\n.*\*\w+\*", said.stdout)
    as_json = CliRunner().invoke(main, ["concepts", "show", str(kept_copy), str(latent), "--words", "--json"])
    shown = json.loads(as_json.stdout)
    assert shown["examples"][0]["words"][0].keys() == {"text", "start", "activation"}
