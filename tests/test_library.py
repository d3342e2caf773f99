"""The library without a folder: from arrays and texts to named and explained hits, in memory."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

import unweave as uw
from unweave.base.records import Part, Trust
from unweave.concepts.concept import DETECTION, Concept, Example, Naming
from unweave.concepts.judges.detection import IN_SPACE
from unweave.concepts.judges.embedding import ACTIVATES
from unweave.errors import BadData, CorruptArtifact, DimensionMismatch
from unweave.index.hits import IndexHit
from unweave.index.scoring import query_weights
from unweave.retrieval.searcher import ConceptSearcher

THEMES = {
    "music": "violin concerto orchestra melody symphony composer",
    "astronomy": "planet orbit telescope comet galaxy astronomer",
    "cooking": "oven butter flour recipe pastry sourdough",
    "sailing": "harbour sail rudder anchor regatta keel",
    "botany": "petal leaf pollen orchid stem seedling",
    "chess": "rook bishop gambit checkmate pawn endgame",
}


def texts_about_themes(n: int = 600) -> list[str]:
    """Sentences of six words, five of them of one theme and one of another."""
    random = np.random.default_rng(0)
    words = [theme.split() for theme in THEMES.values()]
    texts = []
    for i in range(n):
        own, other = words[i % len(words)], words[random.integers(len(words))]
        texts.append(" ".join([*random.permutation(own)[:5], str(random.choice(other))]))
    return texts


@cache
def _direction(word: str) -> NDArray[np.float64]:
    """A word's direction: that of its theme, and a little of its own."""
    theme = next((i for i, words in enumerate(THEMES.values()) if word in words.split()), len(THEMES))
    own = np.random.default_rng(list(word.encode())).normal(size=16)
    return 3 * np.random.default_rng(theme).normal(size=16) + own


def embed(texts: list[str]) -> NDArray[np.float32]:
    """A toy encoder: the mean of the words' directions, at length 1."""
    rows = np.array([np.mean([_direction(word) for word in text.split()], axis=0) for text in texts])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


TEXTS = texts_about_themes()
X = embed(TEXTS)
IDS = [f"p{i}" for i in range(len(TEXTS))]


@pytest.fixture(scope="module")
def sae() -> uw.SAE:
    return uw.train(X, k=2, n_latents=16, steps=300, seed=1)


@pytest.fixture(scope="module")
def concepts(sae: uw.SAE) -> uw.Concepts:
    return uw.name(sae, TEXTS, X, encoder=embed)


@pytest.fixture(scope="module")
def index(sae: uw.SAE) -> uw.ConceptIndex:
    return uw.ConceptIndex.build(sae.encode(X), IDS)


def test_from_arrays_and_texts_to_explained_hits(sae, concepts, index):
    q = embed(["telescope galaxy"])[0]
    hits = index.search(sae.encode(q), cutoff=10, explain=concepts)
    assert [hit.rank for hit in hits] == list(range(1, 11))
    astronomy = set(THEMES["astronomy"].split())
    for hit in hits:
        hit.explanation.check()
        assert hit.score == hit.explanation.score
        assert len(astronomy & set(TEXTS[IDS.index(hit.passage_id)].split())) >= 5
        dense = uw.explain(q, X[IDS.index(hit.passage_id)], sae, concepts)
        dense.check()
        assert dense.score == pytest.approx(float(q @ X[IDS.index(hit.passage_id)]), rel=1e-5)
    strongest = hits[0].explanation.contributions[0]
    assert set(re.findall(r"\w+", strongest.name)) & astronomy
    assert strongest.trust == concepts.trust(strongest.latent)


def test_a_search_by_latents_applies_the_idf_and_saturation_of_the_scoring(sae, index):
    # score = sum over shared latents of idf * h_q * impact, from the formula's own functions.
    code = sae.encode(X[3])
    impacts = np.zeros(index.n_latents)
    held = index.impacts(3)
    impacts[held.latents] = held.activations
    weights = query_weights(code.data, index.idf[code.indices], index.scoring)
    (found,) = (hit for hit in index.search(code, len(TEXTS)) if hit.passage_id == "p3")
    assert found.score == pytest.approx(float(weights @ impacts[code.indices]), rel=1e-6)
    assert found.explanation is None


def test_names_that_are_a_plain_mapping_explain_too(sae, index):
    query = sae.encode(X[0])
    (hit,) = index.search(query, 1, explain={int(query.indices[0]): "sea"})
    named = {c.latent: (c.name, c.trust) for c in hit.explanation.contributions}
    assert named[int(query.indices[0])] == ("sea", Trust.UNSCORED)
    (hit,) = index.search(query, 1, explain={})
    assert {c.name for c in hit.explanation.contributions} == {None}


def test_a_query_that_activates_nothing_finds_nothing(index):
    assert index.search(csr_array((1, index.n_latents), dtype=np.float32), explain={}) == []


def test_latents_of_two_queries_or_of_another_sae_are_refused(sae, index):
    with pytest.raises(BadData, match="latents of 2 queries came in; one query is searched at a time"):
        index.search(sae.encode(X[:2]))
    with pytest.raises(DimensionMismatch, match="a query of 3 latents came to an index of 16"):
        index.search(csr_array(np.ones((1, 3), np.float32)))


def test_a_name_has_evidence_in_the_texts_words(concepts, sae):
    latents = sae.encode(X).toarray()
    for latent in concepts:
        concept = concepts.concept(latent)
        top = concept.band("top")
        assert top and all(example.text == TEXTS[example.position] for example in concept.examples)
        assert [e.activation for e in top] == sorted(latents[:, latent], reverse=True)[: len(top)]
        assert concept.document_frequency == np.count_nonzero(latents[:, latent])


def test_names_are_judged_in_another_space_and_with_an_encoder_in_its_own_too(concepts, sae):
    # The themes are as plain as can be: names made of their words tell texts apart.
    judged = [concepts.concept(latent).score(DETECTION).value for latent in concepts]
    assert np.mean(judged) > 0.8
    assert all(concepts.concept(latent).score(IN_SPACE).value > 0.8 for latent in concepts)
    without = uw.name(sae, TEXTS, X)
    assert dict(without) == dict(concepts)
    assert {latent: without.trust(latent) for latent in without} == {j: concepts.trust(j) for j in concepts}
    assert all(without.concept(latent).score(IN_SPACE) is None for latent in without)


def test_a_name_of_which_the_encoder_knows_no_word_is_told_by_chance():
    def knows_one_word_of_a_theme(texts: list[str]) -> NDArray[np.float32]:
        known = [" ".join(words.split()[:1]) for words in THEMES.values()]
        return np.array([np.isin(known, text.split()) for text in texts], np.float32)

    texts = [text for text in TEXTS if knows_one_word_of_a_theme([text]).any()]
    rows = knows_one_word_of_a_theme(texts)
    names = uw.name(uw.train(rows, k=1, n_latents=8, steps=100), texts, rows, encoder=knows_one_word_of_a_theme)
    unknown = [j for j, name in names.items() if not knows_one_word_of_a_theme([name]).any()]
    assert unknown
    for concept in map(names.concept, unknown):
        assert concept.score(IN_SPACE).value == 0.5
        assert concept.score(ACTIVATES).value == 0


def test_texts_and_embeddings_that_do_not_fit_are_refused(sae):
    with pytest.raises(BadData, match=r"599 text.s. came with 600 embedding"):
        uw.name(sae, TEXTS[:-1], X)
    with pytest.raises(DimensionMismatch, match="this SAE reads"):
        uw.name(sae, TEXTS, X[:, :8])
    with pytest.raises(BadData, match=r"embedded again with callable .*embed have a median cosine"):
        uw.name(sae, TEXTS, X[::-1], encoder=embed)


def test_what_is_held_in_memory_leaves_nothing_behind(sae):
    names = uw.name(sae, TEXTS[:60], X[:60])
    folder = names.database.parent
    assert folder.is_dir()
    del names
    assert not folder.exists()


def test_training_is_repeatable_and_keeps_what_it_was_told(sae):
    again = uw.train(X.astype(np.float64), k=2, n_latents=16, steps=300, seed=1, encoder="toy")
    np.testing.assert_array_equal(again.W_dec, sae.W_dec)
    assert again.config.encoder == "toy" and again.config.k == 2
    assert sae.measure(X).l0 == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("rows", [np.ones(5), np.ones((2, 3)), np.zeros((50, 4))])
def test_embeddings_that_cannot_be_trained_on_are_refused(rows):
    with pytest.raises(BadData, match="embeddings"):
        uw.train(rows)


# What the package shows.


def test_dir_lists_the_public_names_and_importing_them_is_free():
    code = "import sys, unweave as uw; assert 'train' in dir(uw); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "scipy", "numba"} & set(loaded)
    assert set(uw.__all__) <= set(dir(uw))


# The query side alone, and the passages in bulk.


def test_engines_take_passages_in_bulk_and_queries_without_a_project(sae, index, tmp_path):
    uw.QueryReader.of(sae, index).save(tmp_path / "queries")
    reader = uw.QueryReader.load(tmp_path / "queries")
    searcher = ConceptSearcher(sae, index)
    batches = list(index.batches(200))
    impacts, ids = vstack([batch.impacts for batch in batches]), [name for batch in batches for name in batch.ids]
    for query in X[:20]:
        latents, weights = reader.read(query)
        for ours, theirs in zip((latents, weights), searcher.read(query), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        scores = impacts[:, latents] @ weights
        hits = index.search(sae.encode(query), 10)
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores, reverse=True)[:10], rel=1e-5)
        assert [scores[ids.index(hit.passage_id)] for hit in hits] == pytest.approx(
            [hit.score for hit in hits], rel=1e-5
        )


def test_a_reader_keeps_only_the_strongest_latents_if_asked(sae, index):
    reader = uw.QueryReader.of(sae, index)
    code = sae.encode(X[0])
    (latent,) = reader.read(X[0], most=1).latents
    assert latent == code.indices[np.argmax(code.data)]


def test_a_reader_of_another_saes_index_is_refused(identity_sae, index):
    with pytest.raises(DimensionMismatch, match=r"idf of shape .16,. came with an SAE of 3 latents"):
        uw.QueryReader.of(identity_sae, index)


def test_a_damaged_reader_is_refused(sae, index, tmp_path, tamper):
    uw.QueryReader.of(sae, index).save(tmp_path / "queries")
    tamper(tmp_path / "queries" / "idf.npy", b"nothing")
    with pytest.raises(CorruptArtifact):
        uw.QueryReader.load(tmp_path / "queries")


# Copies.


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda noun: pickle.loads(pickle.dumps(noun))])
def test_what_was_searched_can_be_copied(tiny_project_folder, copied):
    project = uw.Project.open(tiny_project_folder, {"evaluate": {"candidates": 7}})
    for system in ("CL-SR", "codes", "BM25 + dense"):
        before = project.search(uw.QueryId("q0"), 5, system=system, explain=True)
        again = copied(project)
        assert again.search(uw.QueryId("q0"), 5, system=system, explain=True) == copied(before) == before
        assert again.settings.evaluate.candidates == 7
    assert copied(project.corpus)[3] == project.corpus[3]
    assert dict(copied(project.concepts)) == dict(project.concepts)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda noun: pickle.loads(pickle.dumps(noun))])
def test_what_is_in_memory_can_be_copied(sae, concepts, index, copied):
    query = sae.encode(X[0])
    assert copied(index).search(query, 3, explain=copied(concepts)) == index.search(query, 3, explain=concepts)
    assert copied(concepts).concept(next(iter(concepts))) == concepts.concept(next(iter(concepts)))
    assert (copied(sae).encode(X[0]) - query).nnz == 0


def test_a_copy_in_memory_outlives_what_it_was_copied_from(sae):
    index = uw.ConceptIndex.build(sae.encode(X[:50]))
    query = sae.encode(X[0])
    expected, again = index.search(query, 3), copy.deepcopy(index)
    del index
    assert again.latest().search(query, 3) == expected


# What a noun says of itself.


def test_each_noun_says_in_one_line_what_it_holds(sae, concepts, index, tiny_project_folder):
    project = uw.Project.open(tiny_project_folder)
    hits = index.search(sae.encode(X[0]), 10, explain=concepts)
    assert repr(sae) == "SAE(16 latents on 16 dimensions, k=2, by threshold)"
    assert repr(index) == "ConceptIndex(600 passages, 16 latents, scoring default, in memory)"
    assert repr(concepts).startswith(f"Concepts({len(concepts)} names: ") and repr(concepts).endswith("in memory)")
    assert repr(project).startswith(f"Project('{tiny_project_folder}': corpus, ")
    assert repr(project.corpus).startswith("Corpus(60 passages")
    assert repr(hits).startswith("HitList(10 hits: IndexHit(1, ")
    explanation = uw.Explanation("dense", 2.5, (uw.Contribution(4, "sea", 2.0, 1.0, 2.0),), bias=0.75, residual=-0.25)
    assert (
        repr(explanation) == "Explanation(dense score 2.5 = 1 concept 2 + bias 0.75 + residual -0.25; strongest: sea 2)"
    )
    for noun in (sae, concepts, index, project, hits, hits[0], explanation, concepts.concept(next(iter(concepts)))):
        assert "\n" not in repr(noun) and len(repr(noun)) < 400


HOSTILE = "<script>alert(1)</script>\"'&\u202e\x1b[31m"


def parsed(html: str) -> list[tuple[str, dict[str, str]]]:
    """The elements of a piece of HTML with their attributes; it must be well formed, or a notebook breaks."""
    root = ElementTree.fromstring(f"<root>{html}</root>")
    return [(element.tag, dict(element.attrib)) for element in root.iter()][1:]


def test_what_comes_from_outside_is_text_in_a_notebook_and_nothing_else(concepts):
    why = uw.Explanation(
        "sum",
        3.0,
        (uw.Contribution(1, HOSTILE, 1.0, 1.0, 1.0, Trust.HOLDS),),
        parts=(Part(HOSTILE, 2.0, 1, None),),
    )
    passage = uw.Passage(HOSTILE, HOSTILE, HOSTILE)
    naming = Naming("lexicon", HOSTILE)
    concept = Concept(1, 2, 3.0, (naming, naming), (Example("passages", 0, 1.0, text=HOSTILE),), flag=HOSTILE)
    hit = uw.Hit(1, 3.0, passage, why)
    for noun in (why, hit, uw.HitList([hit]), IndexHit(1, 3.0, HOSTILE, why), concept):
        html = noun._repr_html_()
        elements = parsed(html)
        assert {tag for tag, _ in elements} <= {"div", "table", "tr", "td", "b", "bdi", "svg", "rect", "title"}
        assert not any(name.startswith("on") or name in ("href", "src") for _, own in elements for name in own)
        assert "&lt;script&gt;" in html and "\u202e" not in html and "\x1b" not in html
        assert "\x1b" not in repr(noun)


def test_the_bar_of_an_explanation_adds_up_to_its_score():
    # Twelve concepts worth 12, 11 … 1 and two worth -3 and -1; bias 5, residual -2: 78 - 4 + 5 - 2 = 77.
    values = [*range(12, 0, -1), -3, -1]
    parts = sorted(values, key=abs, reverse=True)
    why = uw.Explanation(
        "dense", 77.0, tuple(uw.Contribution(j, None, 1.0, v, v) for j, v in enumerate(parts)), 5.0, -2.0
    )
    why.check()
    boxes = [own for tag, own in parsed(why._repr_html_()) if tag == "rect" and "y" in own]
    *boxes, tick = boxes
    up = sum(float(own["width"][:-1]) for own in boxes if own["y"] == "0")
    down = sum(float(own["width"][:-1]) for own in boxes if own["y"] != "0")
    assert up == pytest.approx(100, abs=1e-3)  # 78 + 5 = 83 fill the width
    assert up - down == pytest.approx(100 * 77 / 83, abs=1e-3)
    assert float(tick["x"][:-1]) == pytest.approx(100 * 77 / 83, abs=1e-3)
    assert ElementTree.fromstring(why._repr_html_()).findall(".//tr")[-1].findall("td")[-1].find("b").text == "77.0000"


def test_a_score_below_zero_has_a_bar_that_ends_below_zero():
    # 1 - 3 = -2: the scale runs from -2 to 1, zero is at two thirds, and the sum at its left end.
    why = uw.Explanation("dense", -2.0, (uw.Contribution(0, "a", 1, -3, -3.0), uw.Contribution(1, "b", 1, 1, 1.0)))
    more, less, tick = (own for tag, own in parsed(why._repr_html_()) if tag == "rect" and "y" in own)
    assert [float(more[name][:-1]) for name in ("x", "width")] == pytest.approx([66.6667, 33.3333])
    assert [float(less[name][:-1]) for name in ("x", "width")] == pytest.approx([0, 100])
    assert float(tick["x"][:-1]) == 0


def test_hits_share_one_scale_and_a_concept_has_one_colour_in_all_of_them():
    # The largest sum of what adds is 4, so a part worth 1 is a quarter of the width in every bar.
    def hit(rank: int, sea: float, wind: float) -> IndexHit:
        parts = (uw.Contribution(0, "sea", 1, sea, sea), uw.Contribution(1, "wind", 1, wind, wind))
        return IndexHit(rank, sea + wind, f"p{rank}", uw.Explanation("concepts", sea + wind, parts))

    html = uw.HitList([hit(1, 3.0, 1.0), hit(2, 0.5, 1.0)])._repr_html_()
    boxes = [own for tag, own in parsed(html) if tag == "rect" and own.get("height") == "20"]
    assert [float(own["width"][:-1]) for own in boxes] == [75, 25, 12.5, 25]
    assert boxes[0]["fill"] == boxes[2]["fill"] != boxes[1]["fill"] == boxes[3]["fill"]


def test_an_explanation_of_nothing_has_no_bar():
    html = uw.Explanation("concepts", 0.0, ())._repr_html_()
    assert not [tag for tag, _ in parsed(html) if tag == "rect"]


def test_a_concepts_texts_stand_in_its_card(concepts):
    latent = next(iter(concepts))
    html = concepts.concept(latent)._repr_html_()
    assert concepts[latent] in html and f"#{latent}" in html
    assert html.count("<bdi>") == 1 + len(concepts.concept(latent).examples)


# The page of the docs.


ROOT = Path(__file__).parent.parent
EXAMPLE = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(encoding="utf-8"), re.DOTALL)[0]


def test_the_shown_example_takes_ten_lines_and_finds_what_is_asked_for():
    assert len(EXAMPLE.split("X = embed(texts)")[1].strip().splitlines()) <= 10
    ran = subprocess.run([sys.executable, "-c", EXAMPLE], capture_output=True, text=True)
    *hits, dense = ran.stdout.splitlines()
    assert len(hits) == 10 and all("sea" in hit or "wave" in hit for hit in hits), ran.stderr
    assert dense.startswith("Explanation(dense score")


@pytest.mark.slow
def test_the_shown_example_is_cleanly_typed(tmp_path):
    (tmp_path / "example.py").write_text(EXAMPLE, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), "example.py"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
