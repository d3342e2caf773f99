"""How posting lists are packed: about two bytes a posting, and read as they are.

A segment's passages are cut into blocks of 65,536. In a block, each latent has one list: the places in the block, from
0, of the passages that have it, ascending, and for each the impact as a code of 8 bits, rounded up:

    impact <= code * scale of the latent,  and  (code - 1) * scale < impact

A list begins with its number of entries less 1, 2 bytes. What follows depends on that number alone, so that a list is
written in what is smallest or, among nearly equal sizes, read fastest:

    below 40   each place, 2 bytes
    below 512  Elias-Fano: for the 256 high parts (place / 256) in turn, a 1-bit for each place and then a 0-bit, filled
               up to whole bytes; then the low part (place mod 256) of each place, 1 byte
    from 512   the distance of each place from the one before, 1 byte; what is more than 255 away is reached by steps of
               255, which are entries too, with the code 0

and then the code of each entry, 1 byte. Lists stand in the order of the latents; the block's row of the directory says
where each begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from unweave.base.words import U, word_at

BLOCK_BITS = 16
BLOCK = 1 << BLOCK_BITS
HIGH_PARTS_FROM, DISTANCES_FROM = 40, 512
"""Numbers of entries from which a list is in Elias-Fano's form, and in distances."""
PADDING = 8
"""Bytes after the last list, since bits are read eight bytes at a time."""
MAX_CODE = 255
_HIGH_PARTS = 256
_FARTHEST = 255


@njit(nogil=True, cache=True)
def n_entries(data, start):  # type: ignore[no-untyped-def]
    """How many entries the list that starts here has."""
    return (U(data[start]) | U(data[start + U(1)]) << U(8)) + U(1)


@njit(nogil=True, cache=True)
def high_bytes(n):  # type: ignore[no-untyped-def]
    """Bytes of the high parts of a list of n entries in Elias-Fano's form."""
    return (n + U(_HIGH_PARTS + 7)) >> U(3)


@njit(nogil=True, cache=True)
def list_bytes(n):  # type: ignore[no-untyped-def]
    """Bytes of a whole list of n entries."""
    if n < HIGH_PARTS_FROM:
        return U(2) + U(3) * n
    return U(2) + U(2) * n + (high_bytes(n) if n < DISTANCES_FROM else U(0))


@njit(nogil=True, cache=True)
def add_list(data, start, factor, sums):  # type: ignore[no-untyped-def]
    """Add ceil(code * factor / 2^16), 0 only for the code 0, to the sum of each place of the list that starts here.

    Args:
        data: (n_bytes,) uint8.
        start: uint64.
        factor: uint32, > 0.
        sums: (BLOCK,) uint16.
    """
    n = n_entries(data, start)
    place_at = start + U(2)
    if n >= DISTANCES_FROM:
        code_at = place_at + n
        place = U(0)
        for i in range(n):
            place += U(data[place_at + i])
            sums[place] += (np.uint32(data[code_at + i]) * factor + np.uint32(65_535)) >> np.uint32(16)
    elif n >= HIGH_PARTS_FROM:
        bits = n + U(_HIGH_PARTS)
        low_at = place_at + high_bytes(n)
        code_at = low_at + n
        i = U(0)
        for base in range(U(0), bits, U(64)):
            word = _bits_at(data, place_at, base, bits)
            while word != U(0):
                place = (base + U(trailing_zeros(word)) - i) << U(8) | U(data[low_at + i])
                word &= word - U(1)
                sums[place] += (np.uint32(data[code_at + i]) * factor + np.uint32(65_535)) >> np.uint32(16)
                i += U(1)
    else:
        code_at = place_at + U(2) * n
        for i in range(n):
            place = U(data[place_at + U(2) * i]) | U(data[place_at + U(2) * i + U(1)]) << U(8)
            sums[place] += (np.uint32(data[code_at + i]) * factor + np.uint32(65_535)) >> np.uint32(16)


@njit(nogil=True, cache=True)
def _bits_at(data, start, base, bits):  # type: ignore[no-untyped-def]
    """Bits base to base + 64 of those that start at a byte; those from `bits` on are 0."""
    word = word_at(data, start + (base >> U(3)))
    if bits - base < U(64):
        word &= (U(1) << (bits - base)) - U(1)
    return word


@njit(nogil=True, cache=True)
def read_list(data, start, places, codes):  # type: ignore[no-untyped-def]
    """Fill places, uint16, and codes, uint8, of BLOCK each, with the postings of a list; returns how many."""
    n = n_entries(data, start)
    place_at = start + U(2)
    found = U(0)
    if n >= DISTANCES_FROM:
        place = U(0)
        for i in range(n):
            place += U(data[place_at + i])
            places[found], codes[found] = place, data[place_at + n + i]
            found += U(codes[found] > 0)
    elif n >= HIGH_PARTS_FROM:
        bits = n + U(_HIGH_PARTS)
        low_at = place_at + high_bytes(n)
        for base in range(U(0), bits, U(64)):
            word = _bits_at(data, place_at, base, bits)
            while word != U(0):
                high = base + U(trailing_zeros(word)) - found
                word &= word - U(1)
                places[found] = high << U(8) | U(data[low_at + found])
                codes[found] = data[low_at + n + found]
                found += U(1)
    else:
        for i in range(n):
            places[i] = U(data[place_at + U(2) * i]) | U(data[place_at + U(2) * i + U(1)]) << U(8)
            codes[i] = data[place_at + U(2) * n + i]
        found = n
    return found


@njit(nogil=True, cache=True)
def is_sound(data, start, end, n_places):  # type: ignore[no-untyped-def]
    """Whether the bytes start to end are one list of places below n_places, so that reading it does no harm."""
    if end < start + U(2) or end > U(len(data) - PADDING):
        return False
    n = n_entries(data, start)
    if list_bytes(n) != end - start:
        return False
    place_at = start + U(2)
    if n >= DISTANCES_FROM:
        place = U(0)
        for i in range(n):
            place += U(data[place_at + i])
            if place >= n_places:
                return False
    elif n >= HIGH_PARTS_FROM:
        bits = n + U(_HIGH_PARTS)
        low_at = place_at + high_bytes(n)
        i = U(0)
        for base in range(U(0), bits, U(64)):
            word = _bits_at(data, place_at, base, bits)
            while word != U(0):
                if i >= n or (base + U(trailing_zeros(word)) - i) << U(8) | U(data[low_at + i]) >= n_places:
                    return False
                word &= word - U(1)
                i += U(1)
        if i != n:
            return False
    else:
        for i in range(n):
            if (U(data[place_at + U(2) * i]) | U(data[place_at + U(2) * i + U(1)]) << U(8)) >= n_places:
                return False
    return True


# --- packing --------------------------------------------------------------------------------------


def pack_block(
    offsets: NDArray[np.int64],
    latents: NDArray[np.unsignedinteger[Any]],
    impacts: NDArray[np.float32],
    scales: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """The posting lists of at most BLOCK passages.

    Args:
        offsets: (n_passages + 1,); passage i has the entries offsets[i] - offsets[0] : offsets[i + 1] - offsets[0].
        latents, impacts: (n_entries,), impacts > 0.
        scales: (n_latents,); no impact of a latent is above MAX_CODE times its scale.

    Returns:
        the packed lists, and where each begins, (n_latents + 1,).
    """
    starts = np.empty(len(scales) + 1, np.uint64)
    places, codes = np.empty(len(latents), np.uint16), np.empty(len(latents), np.uint8)
    _by_latent(offsets, latents, impacts, scales, starts, places, codes)
    directory = np.empty(len(starts), np.uint32)
    _measure(starts, places, directory)
    packed = np.zeros(directory[-1], np.uint8)
    _pack(starts, places, codes, directory, packed)
    return packed, directory


@njit(nogil=True, cache=True)
def _by_latent(offsets, latents, impacts, scales, starts, places, codes):  # type: ignore[no-untyped-def]
    """Order a block's entries by latent, with their codes; starts, (n_latents + 1,), says where each latent's begin."""
    starts[:] = 0
    for latent in latents:
        starts[U(latent) + U(1)] += U(1)
    for latent in range(1, len(starts)):
        starts[latent] += starts[latent - 1]
    end = starts[:-1].copy()
    for place in range(len(offsets) - 1):
        for entry in range(offsets[place] - offsets[0], offsets[place + 1] - offsets[0]):
            latent = U(latents[entry])
            scale, impact = np.float64(scales[latent]), np.float64(impacts[entry])
            code = np.ceil(impact / scale)
            code += code * scale < impact  # the quotient may have been rounded down to a whole number
            places[end[latent]], codes[end[latent]] = place, np.uint8(min(max(code, 1.0), np.float64(MAX_CODE)))
            end[latent] += U(1)


@njit(nogil=True, cache=True)
def _steps(places):  # type: ignore[no-untyped-def]
    """Entries of a list of places in the form of distances: the places, and the steps on the way to them."""
    n = U(len(places))
    before = U(0)
    for place in places:
        distance = U(place) - before
        n += (distance - U(1)) // U(_FARTHEST) if distance > U(0) else U(0)
        before = U(place)
    return n


@njit(nogil=True, cache=True)
def _measure(starts, places, directory):  # type: ignore[no-untyped-def]
    """Fill the directory, (n_latents + 1,): where each latent's list will begin."""
    at = U(0)
    for latent in range(len(starts) - 1):
        directory[latent] = at
        n = starts[latent + 1] - starts[latent]
        if n >= DISTANCES_FROM:
            n = _steps(places[starts[latent] : starts[latent + 1]])
        if n > 0:
            at += list_bytes(n)
    directory[len(starts) - 1] = at


@njit(nogil=True, cache=True)
def _pack(starts, places, codes, directory, out):  # type: ignore[no-untyped-def]
    """Write every list to out, (n_bytes,) of zeros."""
    for latent in range(len(starts) - 1):
        first, n = starts[latent], starts[latent + 1] - starts[latent]
        if n == 0:
            continue
        at = U(directory[latent])
        size = U(directory[latent + 1]) - at
        entries = n if n < DISTANCES_FROM else (size - U(2)) >> U(1)
        out[at], out[at + U(1)] = (entries - U(1)) & U(255), (entries - U(1)) >> U(8)
        at += U(2)
        if n >= DISTANCES_FROM:
            before, entry = U(0), U(0)
            for i in range(n):
                distance = U(places[first + i]) - before
                while distance > U(_FARTHEST):
                    out[at + entry] = _FARTHEST
                    distance -= U(_FARTHEST)
                    entry += U(1)
                out[at + entry], out[at + entries + entry] = distance, codes[first + i]
                entry += U(1)
                before = U(places[first + i])
            continue
        low_at = at + high_bytes(n)
        for i in range(n):
            place = U(places[first + i])
            if n >= HIGH_PARTS_FROM:
                bit = (place >> U(8)) + i
                out[at + (bit >> U(3))] |= np.uint8(U(1) << (bit & U(7)))
                out[low_at + i] = place & U(255)
            else:
                out[at + U(2) * i], out[at + U(2) * i + U(1)] = place & U(255), place >> U(8)
        code_at = low_at + n if n >= HIGH_PARTS_FROM else at + U(2) * n
        for i in range(n):
            out[code_at + i] = codes[first + i]
