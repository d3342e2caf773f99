"""Whether explanations stay when a text is said otherwise, and by another dictionary."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from unweave.base.records import Contribution, Explanation
from unweave.cli import main
from unweave.errors import BadData
from unweave.evaluation.stability import Accounts, stable
from unweave.explaining.stability import alike
from unweave.project import Project
from unweave.texts.rephrasing import (
    Paraphrase,
    bare,
    read_paraphrases,
    reordered,
    synonyms_of,
    with_synonyms,
    wordnet_sets,
)


def account(**values: float) -> Explanation:
    """A score of concepts c1, c2 …, each adding so much."""
    concepts = (Contribution(int(name[1:]), None, value, 1.0, value) for name, value in values.items())
    return Explanation("dense", sum(values.values()), tuple(sorted(concepts, key=lambda c: -abs(c.value))))


ONE = account(c1=0.4, c2=0.3, c3=-0.2, c4=0.1, c5=0.08, c6=0.01)


def test_an_account_is_wholly_in_itself():
    assert alike(ONE, ONE) == pytest.approx((1.0, 1.0, 1.0))


def test_accounts_that_share_no_concept_have_nothing_in_common():
    assert alike(ONE, account(c7=0.5, c8=0.1)) == (0.0, 0.0, None)
    assert alike(account(), ONE) is None


def test_what_two_accounts_have_in_common_by_hand():
    other = account(c1=0.2, c2=0.5, c3=0.1, c9=0.4, c8=0.3, c7=0.09)
    found = alike(ONE, other)
    assert found is not None
    # Of the five first, 1.08 together, 1 and 2 are among the other's five (.5, .4, .3, .2, .1: the fifth is 3).
    assert found.strongest == pytest.approx((0.4 + 0.3 + 0.2) / 1.08)
    # Both hold .2 of 1 and .3 of 2; 3 adds to the one and takes away from the other. All hold 1.09 + 1.59 - .5.
    assert found.common == pytest.approx(0.5 / (1.09 + 1.59 - 0.5))
    # Ranks of 1, 2, 3: 3, 2, 1 by the first and 2, 3, 1 by the other.
    assert found.order == pytest.approx(0.5)


def test_latents_of_another_dictionary_count_by_their_partners():
    other = account(c11=0.4, c12=0.3, c13=-0.2, c14=0.1, c15=0.08, c16=0.01)
    every = {latent: 10 + latent for latent in range(1, 7)}
    assert alike(ONE, other, every) == pytest.approx((1.0, 1.0, 1.0))
    without_first = {latent: at for latent, at in every.items() if latent != 1}
    found = alike(ONE, other, without_first)
    assert found is not None and found.strongest == pytest.approx(0.68 / 1.08)
    assert found.common == pytest.approx(0.69 / (1.09 + 1.09 - 0.69))
    assert alike(ONE, other, {}) == (0.0, 0.0, None)


def test_figures_are_means_over_queries_beside_another_text():
    nothing = account(c7=1.0)
    found = stable("query", "said otherwise", [[Accounts(ONE, ONE, nothing)] * 3, [Accounts(ONE, nothing, nothing)]])
    assert found is not None and found.n_queries == 2
    assert found.found.strongest == (0.5, 0.0, 1.0) and found.by_chance.strongest == (0, 0, 0)
    assert found.found.order == (1, 1, 1) and found.by_chance.order is None
    assert stable("query", "of nothing", [[Accounts(account(), ONE, ONE)]]) is None


TEXT = "Wind drives the mill at the sea. It turns. Sails of cloth are set by hand! Stones grind the corn to flour."


def test_sentences_in_another_order_are_the_same_sentences():
    for seed in range(8):
        found = reordered(TEXT, "en", np.random.default_rng(seed))
        assert found != TEXT and sorted(found.split()) == sorted(TEXT.split())
        assert "at the sea. It turns." in found  # what is too short to be a sentence stays with the one before it
    assert reordered("One sentence of five words.", "en", np.random.default_rng(0)) == "One sentence of five words."


def test_a_bare_text_has_neither_capitals_nor_punctuation():
    assert bare("Isn't BM25 (k1 = 1.2) state-of-the-art?") == "isn't bm25 k1 1.2 state-of-the-art"


def test_only_words_of_one_sense_have_a_synonym():
    sets = [["car", "automobile", "motorcar"], ["car", "gondola"], ["mill", "grinder"], ["grinder", "molar"],
            ["New_York", "newtown"], ["rapidly", "speedily"]]  # fmt: skip
    found = synonyms_of(sets)
    assert found == {"automobile": "motorcar", "motorcar": "automobile", "rapidly": "speedily", "speedily": "rapidly"}
    assert with_synonyms("Rapidly, rapidly the non-automobile's automobile", found) == (
        "Rapidly, speedily the non-automobile's motorcar"
    )


WORDNET = (
    "  1 This is the licence\n"
    "00001740 03 n 02 windmill 0 wind_engine 0 001 @ 00001930 n 0000 | a mill that wind drives\n"
    "00001930 03 n 0a car 0 a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 auto(a) 0 000 | ten of them\n"
)


def test_sets_of_synonyms_are_read_from_wordnets_folder(tmp_path):
    for name in ("data.noun", "data.verb", "data.adj"):
        (tmp_path / name).write_text(WORDNET)
    with pytest.raises(BadData, match=r"data\.adv is not there; expected WordNet's folder dict"):
        list(wordnet_sets(tmp_path))
    (tmp_path / "data.adv").write_text("")
    first, second, *_ = wordnet_sets(tmp_path)
    assert first == ["windmill", "wind_engine"]
    assert second == ["car", "a", "b", "c", "d", "e", "f", "g", "h", "auto"]
    (tmp_path / "data.adv").write_text("no line of it\n")
    with pytest.raises(BadData, match="line 1: not a line of WordNet's data"):
        list(wordnet_sets(tmp_path))


def test_pairs_are_read_from_json_lines(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        '{"query": "how do mills turn", "paraphrase": "what drives a mill"}\n\n{"text": "a", "paraphrase": "b"}'
    )
    assert read_paraphrases(file) == [Paraphrase("how do mills turn", "what drives a mill"), Paraphrase("a", "b")]
    for line, said in (
        ('{"query": "one"}', "line 1: there is no paraphrase"),
        ('{"paraphrase": "one"}', "line 1: there is no query"),
        ('{"query": 3, "paraphrase": "one"}', "line 1: expected a text, got int 3"),
        ("", "has no pairs; expected one JSON object a line"),
    ):
        file.write_text(line)
        with pytest.raises(BadData, match=said):
            read_paraphrases(file)


def test_a_dictionary_beside_itself_explains_the_same(tiny_project_folder, caplog):
    found = Project.open(tiny_project_folder).stability(other=tiny_project_folder, most=8)
    (itself,) = found  # its embeddings were brought along, so that no text can be changed, and that is said
    assert "no text is changed" in caplog.text
    assert itself.of == "dictionary" and "one and the same SAE" in itself.change
    assert itself.found.strongest == pytest.approx((1, 1, 1)) and itself.found.common == pytest.approx((1, 1, 1))
    assert itself.by_chance.strongest.value < 1


def test_the_command_says_how_much_stays(project_folder, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"query": q, "paraphrase": q}) + "\n" for q in ("wind", "the sea", "a mill")))
    asked = ["stability", str(project_folder), "--most", "6", "--paraphrases", str(pairs)]
    said = CliRunner().invoke(main, asked)
    assert said.exit_code == 0, said.output
    assert "the paraphrases given" in said.stdout and "another query in its place" in said.stdout
    record = json.loads(CliRunner().invoke(main, [*asked, "--json"]).stdout)
    by_change = {(one["of"], one["change"]): one for one in record["stability"]}
    same = by_change["query", "the paraphrases given"]  # each is its own paraphrase
    assert same["n_queries"] == 3 and same["found"]["common"]["value"] == pytest.approx(1, abs=1e-4)
    for one in record["stability"]:
        for name in ("strongest", "common"):
            share = one["found"][name]
            assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1 + 1e-9
    moved = by_change["passage", "small letters, no punctuation"]
    assert moved["found"]["common"]["value"] > moved["by_chance"]["common"]["value"]


def test_one_query_stands_beside_no_other(tiny_project_folder):
    project = Project.open(tiny_project_folder)
    with pytest.raises(BadData, match=r"1 queries and .* give two of each at least"):
        project.stability(most=1)
