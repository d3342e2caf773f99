"""What would change a score: concepts moved in vectors, and a sentence cut out of a text."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from unweave.base.records import Passage
from unweave.cli import main
from unweave.config import SAEConfig
from unweave.encode.words import InWords, Word
from unweave.errors import BadData
from unweave.explaining.accounting import explain
from unweave.explaining.counterfactual import activations, cut, moved
from unweave.explaining.sentences import sentences_of
from unweave.project import Project
from unweave.retrieval.steering import Steering
from unweave.sae.model import SAE
from unweave.stages.asked import QueryId


def test_a_concept_moved_by_hand(sae_with_biases):
    # x = (3, 4) has z = (2, 0, 4.5); w_2 = (.6, .8). Without latent 2: (3, 4) - 4.5 (.6, .8) = (.3, .4).
    assert moved(np.array([3.0, 4.0]), {2: 0.0}, {}, sae_with_biases) == pytest.approx([0.3, 0.4], abs=1e-6)
    assert moved(np.array([3.0, 4.0]), {0: 1.5}, {1: 2.0}, sae_with_biases) == pytest.approx([4.0, 6.0], abs=1e-6)


@given(seed=st.integers(0, 10_000), factor=st.floats(-3, 3))
def test_a_score_moves_by_exactly_what_the_account_says(seed, factor, random_sae):
    random, sae = np.random.default_rng(seed), random_sae(seed)
    query, passage = random.normal(size=(2, 8))
    for one in explain(query, passage, sae).contributions:
        changed = moved(passage, {one.latent: factor}, {}, sae)
        assert query @ changed - query @ passage == pytest.approx((factor - 1) * one.value, abs=1e-6)


def test_what_cannot_be_moved_is_refused(sae_with_biases):
    x = np.array([3.0, 4.0])
    for scale, add, said in (
        ({1: 0.0}, {}, "not active there"), ({3: 0.0}, {}, "no concept 3"), ({}, {-1: 1.0}, "no concept -1"),
        ({0: 0.0}, {0: 1.0}, "to be scaled and to be added"), ({}, {0: np.nan}, "expected a number"),
        ({0: np.inf}, {}, "expected a number"),
    ):  # fmt: skip
        with pytest.raises(BadData, match=said):
            moved(x, scale, add, sae_with_biases)


def strongest(project, query, passage_id, system="dense"):
    why = project.explain(query, passage_id, system=system)
    return max(why.contributions, key=lambda c: c.value)


def test_a_passage_without_its_strongest_concept_falls_to_where_its_new_score_stands(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    scores = project.embedded("passages").rows() @ project.embedded("queries").rows(1, 2)[0]
    first = project.search(QueryId("q1"), 1, system="dense")[0]
    concept = strongest(project, QueryId("q1"), first.passage.passage_id)
    found = project.counterfactual(QueryId("q1"), first.passage.passage_id, scale={concept.latent: 0.0})
    assert found.passage.rank_before == 1 and found.passage.before == pytest.approx(first.score, abs=1e-6)
    assert found.passage.after == pytest.approx(first.score - concept.value, abs=1e-6)
    assert found.passage.rank_after == 1 + int((np.sort(scores)[:-1] > found.passage.after).sum())
    assert [one.latent for one in found.moved] == [concept.latent] and found.moved[0].after == 0
    assert [hit.rank_after for hit in found.hits] == list(range(1, 11))
    # A concept that is added moves it by a (w . q), and one that was there already by as much again.
    added = project.counterfactual(QueryId("q1"), first.passage.passage_id, add={concept.latent: 0.25})
    assert added.passage.after == pytest.approx(first.score + 0.25 * concept.query, abs=1e-6)


def test_a_changed_query_ranks_every_passage_anew(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    rows, (query,) = project.embedded("passages").rows(), project.embedded("queries").rows(1, 2)
    latent, activation = max(activations(query, project.sae).items(), key=lambda one: one[1])
    found = project.counterfactual(QueryId("q1"), scale={latent: -1.0}, in_query=True, cutoff=5)
    bent = rows @ (query - 2 * activation * project.sae.W_dec[latent])
    assert [hit.passage_id for hit in found.hits] == [f"p{i}" for i in np.argsort(-bent, kind="stable")[:5]]
    assert [hit.after for hit in found.hits] == [pytest.approx(v, abs=1e-6) for v in np.sort(bent)[::-1][:5].tolist()]
    assert found.passage is None


def test_searches_by_concepts_move_as_steering_and_accounts_say(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    first = project.search(QueryId("q1"), 1)[0]
    concept = strongest(project, QueryId("q1"), first.passage.passage_id, "CL-SR")
    given_ = {"scale": {concept.latent: 0.5}, "system": "CL-SR", "cutoff": 60}
    in_passage = project.counterfactual(QueryId("q1"), first.passage.passage_id, **given_)
    in_query = project.counterfactual(QueryId("q1"), first.passage.passage_id, in_query=True, **given_)
    for found in (in_passage, in_query):  # the same score; the query's change moves other passages too
        assert found.passage.after == pytest.approx(first.score - concept.value / 2, rel=1e-4)
    unlike = [[hit.passage_id for hit in found.hits if hit.before != hit.after] for found in (in_passage, in_query)]
    assert unlike[0] == [first.passage.passage_id]
    assert set(unlike[1]) > {first.passage.passage_id}
    with pytest.raises(BadData, match="none can be added"):
        project.counterfactual(QueryId("q1"), add={concept.latent: 1.0}, in_query=True, system="CL-SR")
    with pytest.raises(BadData, match="adds nothing to this score"):
        project.counterfactual(QueryId("q1"), first.passage.passage_id, scale={10_000: 0.0}, system="CL-SR")


def test_a_query_changed_by_codes_is_a_steered_search_and_by_dense_it_is_not(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    for system in ("codes", "dense"):
        (first,) = project.search(QueryId("q1"), 1, system=system)
        concept = strongest(project, QueryId("q1"), first.passage.passage_id, system)
        change = {concept.latent: -1.0}
        steered = project.search(QueryId("q1"), 60, system=system, steering=Steering(boosts=change))
        scores = {hit.passage.passage_id: hit.score for hit in steered}
        found = project.counterfactual(QueryId("q1"), scale=change, in_query=True, system=system, cutoff=60)
        moved_alike = all(hit.after == pytest.approx(scores[hit.passage_id], abs=1e-6) for hit in found.hits)
        assert moved_alike == (system == "codes")


def test_nothing_to_change_is_refused(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    with pytest.raises(BadData, match="no concept is to be changed"):
        project.counterfactual(QueryId("q1"), "p1")
    with pytest.raises(BadData, match="no passage came in"):
        project.counterfactual(QueryId("q1"), scale={1: 0.0})
    with pytest.raises(BadData, match="'nowhere'"):
        project.counterfactual(QueryId("q1"), "nowhere", scale={1: 0.0})


class Letters:
    """Embeds a text by its letters a, b and c, scaled to length 1; sentences do not read each other."""

    identity = {"model": "letters"}  # noqa: RUF012

    def encode_passages(self, texts):
        rows = np.array([[text.count(letter) for letter in "abc"] for text in texts], np.float32) + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_queries = encode_passages


def test_a_sentence_cut_out_by_hand(identity_sae):
    # Two a and two b are (.707, .707, 0), without the second sentence (1, 0, 0). The query is the second axis.
    query, passage = np.array([0.0, 1, 0]), Passage("p", "", "The moon is aa on high. The sun is bb on high.")
    found = cut(query, passage, 1, "b", Letters(), identity_sae, "en")
    assert found.sentence.text == "The sun is bb on high."
    assert (found.before, found.after) == (pytest.approx(0.707, abs=2e-3), pytest.approx(0, abs=1e-3))
    assert (found.concept_before, found.concept_after) == (pytest.approx(0.707, abs=2e-3), 0)
    assert found.foretold == pytest.approx(0, abs=2e-3)  # both sentences have six words
    json.dumps(found.to_dict())


def test_sentences_count_by_their_words_where_the_encoder_shows_none(identity_sae):
    # The title, one word, and the text, six, are 1 (0, 1, 0) + 6 (1, 0, 0): the second of seven parts is 1 / sqrt(37).
    query, passage = np.array([0.0, 1, 0]), Passage("p", "bbb", "The moon is aaa on high.")
    found = cut(query, passage, 1, "b", Letters(), identity_sae, "en")
    assert (found.sentence.text, found.sentence.start) == ("bbb", None)
    assert found.before == pytest.approx(0.707, abs=2e-3) and found.after == pytest.approx(0, abs=1e-3)
    assert found.foretold - found.before == pytest.approx(-1 / 37**0.5, abs=2e-3)


class Mean(Letters):
    """The mean of the letters' axes: a text's embedding is a sum over its words, and none of these reads another."""

    def in_words(self, texts, *, of_queries=False):
        found = []
        for text in texts:
            words = [Word(match.group(), match.start()) for match in re.finditer(r"[^\s。]+", text)]
            rows = np.array([[word.text.count(letter) for letter in "abc"] for word in words], float)
            read = np.vstack([np.full(3, 1e-3), rows])  # of the beginning, which has no place in the text
            found.append(InWords((Word("[CLS]", None), *words), read / np.linalg.norm(read.sum(axis=0))))
        return found


TWICE = "Moon is aaa on high. Sun is bbbb on high. Moon is aaa on high. Fog is c."


@pytest.mark.parametrize(
    ("title", "text"),
    [("", "The moon is aa on high. The sun is bb on high."), ("The bbb", "The moon is aa. It is c."), ("bb", "aa c."),
     ("A long title about cc", TWICE), ("", f"  {TWICE}"), (" cc", TWICE), ("bb bb bb", f"bb. {TWICE}"),
     ("bb b", "The moon is aa on high."), ("", "Aaaa is on high。Bbbb is on high。Ccc is on high。")],
)  # fmt: skip
def test_what_is_foretold_of_words_that_do_not_read_each_other_is_what_comes(title, text):
    axes, zeros = np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
    sae = SAE(SAEConfig(d_in=3, n_latents=3, k=1), axes, zeros, axes, zeros, threshold=np.array([0.01], np.float32))
    for latent, query in enumerate(np.eye(3) + 0.5):
        passage = Passage("p", title, text)
        if "abc"[latent] in passage.content and len(sentences_of(passage, latent, Mean(), sae, "en")) > 1:
            found = cut(query, passage, latent, None, Mean(), sae, "en")
            assert found.foretold == pytest.approx(found.after, abs=1e-6)


@given(st.text(" ab", max_size=5), st.text(" ab", min_size=1, max_size=8))
def test_a_text_begins_where_its_passage_says_in_what_the_encoder_reads(title, text):
    passage = Passage("p", title, text)
    for place, letter in enumerate(text.rstrip()):
        if letter != " " or passage.text_start + place >= 0:  # blanks before all letters are left out
            assert passage.content[passage.text_start + place] == letter


@pytest.mark.parametrize(("value", "fits"), [(1e6, True), (-1e6, True), (1e6 + 0.5, False), (-2e6, False)])
def test_a_factor_has_a_bound(value, fits, sae_with_biases):
    with nullcontext() if fits else pytest.raises(BadData, match="expected a number from -1,000,000 to 1,000,000"):
        moved(np.array([3.0, 4.0]), {0: value}, {}, sae_with_biases)


def test_what_has_no_carrier_or_one_sentence_is_refused(identity_sae):
    query = np.array([0.0, 1, 0])
    with pytest.raises(BadData, match="'p' does not activate concept 1"):
        cut(
            query,
            Passage("p", "", "The moon is aa on high. The sun is cc on high."),
            1,
            None,
            Letters(),
            identity_sae,
            "en",
        )
    with pytest.raises(BadData, match="'p' is one sentence"):
        cut(query, Passage("p", "", "The sun is bb on high."), 1, None, Letters(), identity_sae, "en")


def run(*arguments):
    return CliRunner().invoke(main, ["counterfactual", *map(str, arguments)])


def test_the_command_shows_scores_and_ranks(kept_copy):
    project = Project.open(kept_copy)
    hit = project.search("wind", 1, system="dense")[0]
    passage_id, latent = hit.passage.passage_id, strongest(project, "wind", hit.passage.passage_id).latent
    said = run(kept_copy, "wind", passage_id, "--scale", f"{latent}=0")
    assert said.exit_code == 0, said.output
    assert f"dense score of {passage_id}: {hit.score:.4f} -> " in said.stdout and "rank 1 -> " in said.stdout
    assert said.stdout.splitlines()[0].startswith("in the passage: ")
    bent = run(kept_copy, "wind", "--in-query", "--scale", f"{latent}=2", "--system", "CL-SR", "--json")
    record = json.loads(bent.stdout)
    assert record["of"] == "query" and record["moved"][0]["after"] == 2
    cut_out = run(kept_copy, "wind", passage_id, "--cut", latent)
    assert cut_out.exit_code == 0 or "one sentence" in cut_out.output, cut_out.output


def test_what_does_not_go_together_is_refused(kept_copy):
    for arguments, said in (
        (["--cut", "1", "--scale", "1=0"], "no other change"),
        (["--scale", "one=0"], "is not a concept's number"),
    ):
        done = run(kept_copy, "wind", "retrieval-1", *arguments)
        assert done.exit_code == 2 and said in done.output, done.output
    for system in ("dense", "CL-SR"):
        refused = run(kept_copy, "wind", "retrieval-1", "--scale", "1=nan", "--system", system)
        assert refused.exit_code == 1 and "expected a number" in refused.output, refused.output
