"""Activations in two bytes: near what was given, in the same order, and the same however often they are stored."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unweave.index.activations import activation_of, code_of, rounded

activations = st.floats(2.0**-126, float(np.finfo(np.float32).max), width=32)


def test_a_stored_activation_has_eight_bits_after_the_point():
    # Between 1 and 2 what is stored is a multiple of 1/256, between 2 and 4 one of 1/128; a half is rounded up.
    given_ones = np.array([1, 1 + 1 / 512, 1 + 0.9 / 512, 2 + 1 / 256, 2.5, 0], np.float32)
    assert rounded(given_ones).tolist() == [1, 1 + 1 / 256, 1, 2 + 1 / 128, 2.5, 0]


@given(activations)
def test_it_is_off_by_a_512th_at_most_and_stays_as_it_is_when_stored_again(activation):
    (stored,) = rounded(np.array([activation]))
    highest = float(rounded(np.array([np.finfo(np.float32).max]))[0])
    assert abs(float(stored) - min(activation, highest)) <= activation / 512
    assert rounded(stored) == stored


@given(activations, activations)
def test_a_stronger_one_is_never_stored_as_a_weaker_one(one, other):
    weaker, stronger = rounded(np.sort(np.array([one, other], np.float32)))
    assert weaker <= stronger


@given(st.floats(0, float(np.finfo(np.float32).max), width=32, exclude_min=True))
def test_the_compiled_search_reads_what_rounded_says(activation):
    bits = np.array([activation], np.float32).view(np.uint32)
    found = activation_of(np.uint16(code_of(bits[0])))
    assert 0 < found < np.inf
    assert found == rounded(np.array([activation]))[0]
