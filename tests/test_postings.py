"""Packed posting lists: what goes in comes out, in each of their three forms, and a broken list is not read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.index.postings import (
    BLOCK,
    DISTANCES_FROM,
    HIGH_PARTS_FROM,
    PADDING,
    U,
    add_list,
    is_sound,
    list_bytes,
    n_entries,
    pack_block,
    read_list,
)


def packed(places: np.ndarray, impacts: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """The bytes of one latent's list of these places of a block."""
    offsets = np.searchsorted(places, np.arange(BLOCK + 1)).astype(np.int64)
    latents = np.zeros(len(places), np.uint32)
    lists, directory = pack_block(offsets, latents, impacts.astype(np.float32), np.array([scale], np.float32))
    assert directory.tolist() == [0, len(lists)]
    return np.concatenate([lists, np.zeros(PADDING, np.uint8)])


def unpacked(lists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    places, codes = np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint8)
    n = int(read_list(lists, U(0), places, codes))
    return places[:n].astype(int), codes[:n].astype(int)


some_places = st.tuples(
    st.sampled_from([1, 2, 39, 40, 41, 511, 512, 700, 5000, BLOCK]),
    st.sampled_from([1, 200, BLOCK]),
    st.integers(0, 2**32 - 1),
).map(lambda drawn: _places(*drawn))


def _places(n: int, within: int, seed: int) -> np.ndarray:
    """At most n places among the last `within` of a block."""
    random = np.random.default_rng(seed)
    return np.sort(random.permutation(within)[:n]) + BLOCK - within


def test_a_short_list_by_hand():
    # Two entries: 2 - 1 in two bytes; the places 3 and 770 = 3 * 256 + 2; codes ceil(1.5 / 0.5) and ceil(1.2 / 0.5).
    lists = packed(np.array([3, 770]), np.array([1.5, 1.2]), scale=0.5)
    assert lists[:-PADDING].tolist() == [1, 0, 3, 0, 2, 3, 3, 3]


def test_a_list_of_distances_by_hand():
    # 511 places from 0 on, and one 600 further: 1110 is reached by two steps of 255 with the code 0, and one of 90.
    places = np.append(np.arange(511), 1110)
    lists = packed(places, np.full(512, 7.0))
    assert n_entries(lists, U(0)) == 514
    assert lists[2:516].tolist() == [0, *[1] * 510, 255, 255, 90]
    assert lists[516:-PADDING].tolist() == [7] * 511 + [0, 0, 7]


def test_the_high_parts_of_a_list_by_hand():
    # 40 places 0, 256, 512 ...: each high part has one place, a 1 and then a 0, and each low part is 0.
    lists = packed(256 * np.arange(40), np.full(40, 9.0))
    assert lists[:2].tolist() == [39, 0]
    assert lists[2:12].tolist() == [0b01010101] * 10  # 40 ones, each followed by a zero
    assert not lists[12:39].any()  # the other 216 high parts have none: 296 bits are 37 bytes
    assert lists[39:79].tolist() == [0] * 40
    assert lists[79:-PADDING].tolist() == [9] * 40


@given(some_places, st.integers(0, 2**32 - 1))
def test_what_is_packed_is_read_and_codes_are_impacts_rounded_up(places, seed):
    impacts = np.random.default_rng(seed).uniform(0.001, 1, len(places)).astype(np.float32)
    scale = np.nextafter(np.float32(impacts.max() / 255 * (1 + 1e-6)), np.float32(np.inf))
    lists = packed(places, impacts, scale)
    assert is_sound(lists, U(0), U(len(lists) - PADDING), U(BLOCK))
    assert list_bytes(n_entries(lists, U(0))) == len(lists) - PADDING
    found, codes = unpacked(lists)
    assert found.tolist() == places.tolist()
    bounds = codes * float(scale)
    assert (bounds >= impacts).all()
    assert (bounds - float(scale) < impacts).all()


@given(some_places, st.integers(1, 2**24))
def test_adding_a_list_adds_to_its_places_alone_and_never_less_than_the_product(places, factor):
    codes = np.arange(len(places)) % 255 + 1
    lists = packed(places, codes)
    sums = np.ones(BLOCK, np.uint16)
    add_list(lists, U(0), np.uint32(factor), sums)
    expected = np.ones(BLOCK, np.int64)
    expected[places] += -(-codes * factor // 65_536)
    assert np.array_equal(sums, expected % 65_536)


def test_each_form_is_used_where_it_is_said_to_be():
    for n, size in ((HIGH_PARTS_FROM - 1, 2 + 3 * 39), (HIGH_PARTS_FROM, 2 + 37 + 2 * 40),
                    (DISTANCES_FROM - 1, 2 + 96 + 2 * 511), (DISTANCES_FROM, 2 + 2 * 512)):  # fmt: skip
        assert len(packed(np.arange(n), np.ones(n))) - PADDING == size


@pytest.mark.parametrize("n", [5, 100, 2000])
def test_a_list_that_is_not_whole_is_not_sound(n):
    lists = packed(np.arange(n) * 3, np.ones(n))
    end = U(len(lists) - PADDING)
    assert is_sound(lists, U(0), end, U(3 * n))
    assert not is_sound(lists, U(0), end, U(3 * n - 3))  # the last place is beyond the block
    assert not is_sound(lists, U(0), end - U(1), U(BLOCK))
    assert not is_sound(lists, U(1), end, U(BLOCK))
    assert not is_sound(lists, U(0), end + U(1), U(BLOCK))  # beyond the file
    assert not is_sound(lists, U(0), U(1), U(BLOCK))


@given(st.binary(min_size=10, max_size=3000), st.integers(1, BLOCK))
def test_arbitrary_bytes_are_refused_or_read_within_bounds(content, n_places):
    lists = np.frombuffer(content, np.uint8)
    end = U(len(lists) - PADDING)
    if is_sound(lists, U(0), end, U(n_places)):
        places, _ = unpacked(lists)
        assert (places < n_places).all()
