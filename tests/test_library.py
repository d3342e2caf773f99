"""The library without a folder: from arrays and texts to named and explained hits, in memory."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

import unweave as uw
from unweave.base.records import Trust
from unweave.errors import BadData, DimensionMismatch
from unweave.index.scoring import query_weights

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


def test_with_an_encoder_names_are_judged_and_without_they_are_unscored(concepts, sae):
    # The themes are as plain as can be: names made of their words tell texts apart, which a judge confirms.
    trusts = [concepts.trust(latent) for latent in concepts]
    assert trusts.count(Trust.GOOD) >= len(trusts) / 2
    unjudged = uw.name(sae, TEXTS, X)
    assert dict(unjudged) == dict(concepts)
    assert {unjudged.trust(latent) for latent in unjudged} == {Trust.UNSCORED}


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
