"""Token-level concepts: what texts activate, summed over their tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from unweave import tokens
from unweave.encoders import EncoderConfig, SentenceTransformerEncoder
from unweave.errors import BadData, DimensionMismatch


class Letters:
    """An encoder with one token a letter: a is (2, 0, 0), b is (0, 3, 0), anything else (0, 0, 1)."""

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


def test_a_sample_takes_of_every_text_and_no_more_than_asked(monkeypatch):
    monkeypatch.setattr(tokens, "_TEXTS_AT_ONCE", 1)
    some = tokens.sample(Letters(), ["a" * 100, "b" * 100], most=20)
    assert some.shape == (20, 3)
    np.testing.assert_array_equal(some.sum(axis=0), [10, 10, 0])
    np.testing.assert_array_equal(some, tokens.sample(Letters(), ["a" * 100, "b" * 100], most=20))


def test_of_nothing_no_sample_is_made_up():
    with pytest.raises(BadData, match="no texts"):
        tokens.sample(Letters(), [], most=5)


def test_tokens_of_another_encoder_are_refused(random_sae):
    with pytest.raises(DimensionMismatch, match="another encoder"):
        tokens.encode_texts(Letters(), random_sae(0, d_in=5), ["ab"])


def test_the_mean_of_a_real_encoders_tokens_is_its_embedding():
    encoder = SentenceTransformerEncoder(EncoderConfig())
    texts = ["Wind turbines.", "A sailing boat needs no fuel but wind.", "x"] + [f"text {i}" for i in range(70)]
    outputs = encoder.encode_tokens(texts)
    means = np.stack([output.mean(axis=0) for output in outputs])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, encoder.encode_passages(texts), atol=1e-5)
