"""What engines do to numbers, by hand."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from unweave.engines.numbers import as_features, at_most, positive, whole, whole_queries


def test_the_largest_is_the_last_and_nothing_becomes_none():
    # With 8 bits, 1 is 255; .5 is 127.5, which rounds to the even 128; .001 is .255, which would be none.
    assert whole(np.array([1, 0.5, 0.001], np.float32), 1.0, 8).tolist() == [255, 128, 1]


def test_each_query_has_a_factor_of_its_own_and_loses_what_is_negative():
    read = whole_queries(csr_array(np.array([[2, 1, -1], [0, 0, 0], [0, 0, 0.1]], np.float32)), 8)
    assert read.toarray().tolist() == [[255, 128, 0], [0, 0, 0], [0, 0, 255]]


def test_positive_leaves_what_came_in_as_it_was():
    queries = csr_array(np.array([[2, -1]], np.float32))
    assert positive(queries).toarray().tolist() == [[2, 0]] and queries.data.tolist() == [2, -1]


def test_a_feature_keeps_nine_significant_bits_of_what_it_was():
    # 1 + 1/256 has nine significant bits, 1 + 1/512 has ten: its last is cut off. So it is at any size.
    held = as_features(csr_array(np.array([[1 + 1 / 256, 1 + 1 / 512, 3 + 3 / 512, 1023 / 1024]], np.float32)))
    assert held.data.tolist() == [1 + 1 / 256, 1.0, 3.0, 511 / 512]


def test_a_query_above_the_ceiling_becomes_smaller_as_a_whole():
    asked = at_most(csr_array(np.array([[128, 32, 0], [64, 1, 2], [0, 0, 0]], np.float32)), 64)
    assert asked.toarray().tolist() == [[64, 16, 0], [64, 1, 2], [0, 0, 0]]
