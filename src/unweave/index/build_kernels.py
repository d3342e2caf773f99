"""The compiled parts of writing a segment: its forward lists, what of them is indexed, and its ids."""

from __future__ import annotations

import numpy as np
from numba import njit

from unweave.base.pages import whole
from unweave.base.words import U
from unweave.index.activations import ACTIVATION_BYTES, code_of
from unweave.index.kernels import activation_at, entries_in, held_back, impact_of, latent_at


@njit(nogil=True, cache=True)
def forward_rows(offsets, latents, activations, id_bytes):  # type: ignore[no-untyped-def]
    """Pack rows, given as CSR, the strongest activation first and of those stored as equal the lower latent.

    Returns:
        the bytes, and where each row ends, (n_rows,) int64.
    """
    out = np.zeros(len(latents) * (id_bytes + ACTIVATION_BYTES), np.uint8)
    ends = np.empty(len(offsets) - 1, np.int64)
    bits = activations.view(np.uint32)
    at = U(0)
    for row in range(len(offsets) - 1):
        first, end = offsets[row], offsets[row + 1]
        # What is stored orders as the activations do; inverted, the highest comes first.
        keys = np.empty(end - first, np.uint64)
        for i in range(end - first):
            keys[i] = U(~code_of(bits[first + i])) << U(32) | U(latents[first + i])
        keys.sort()
        for key in keys:
            for byte in range(U(id_bytes)):
                out[at + byte] = (key >> (U(8) * byte)) & U(255)
            at += U(id_bytes)
        for key in keys:
            for byte in range(U(ACTIVATION_BYTES)):
                out[at + byte] = (~(key >> U(32)) >> (U(8) * byte)) & U(255)
            at += U(ACTIVATION_BYTES)
        ends[row] = at
    return out, ends


@njit(nogil=True, cache=True)
def is_defined(n_kept, weakest, formula):  # type: ignore[no-untyped-def]
    """Whether every kept activation of a passage has an impact, given the weakest."""
    return n_kept == 0 or 0 < impact_of(weakest, held_back(n_kept, formula), formula) < np.inf


@njit(nogil=True, cache=True)
def _kept_of(forward, start, end, formula):  # type: ignore[no-untyped-def]
    """Entries of a row, and how many of them are indexed: the strongest, or none where the formula is undefined."""
    n = entries_in(end - start, formula.id_bytes)
    n_kept = min(n, formula.kept)
    if n_kept > 0:
        weakest = activation_at(forward, U(start), n, n_kept - 1, formula.id_bytes)
        if not is_defined(n_kept, weakest, formula):
            return n, 0
    return n, n_kept


@njit(nogil=True, cache=True)
def highest_impacts(forward, offsets, formula, highest):  # type: ignore[no-untyped-def]
    """Raise highest, (n_latents,), to the impacts of these rows; returns for how many the formula is undefined."""
    undefined = 0
    for row in range(len(offsets) - 1):
        n, n_kept = _kept_of(forward, offsets[row], offsets[row + 1], formula)
        undefined += n > 0 and n_kept == 0
        held = held_back(n_kept, formula)
        for i in range(n_kept):
            latent = latent_at(forward, U(offsets[row]), i, formula.id_bytes)
            activation = activation_at(forward, U(offsets[row]), n, i, formula.id_bytes)
            highest[latent] = max(highest[latent], impact_of(activation, held, formula))
    return undefined


@njit(nogil=True, cache=True)
def kept_entries(forward, starts, ends, formula):  # type: ignore[no-untyped-def]
    """What is indexed of the rows from starts to ends: offsets, (n_rows + 1,), latents and impacts, (n_kept,)."""
    kept = np.zeros(len(starts) + 1, np.int64)
    for row in range(len(starts)):
        kept[row + 1] = kept[row] + _kept_of(forward, starts[row], ends[row], formula)[1]
    latents, impacts = np.empty(kept[-1], np.uint32), np.empty(kept[-1], np.float32)
    for row in range(len(starts)):
        n = entries_in(ends[row] - starts[row], formula.id_bytes)
        n_kept = kept[row + 1] - kept[row]
        held = held_back(n_kept, formula)
        for i in range(n_kept):
            activation = activation_at(forward, U(starts[row]), n, i, formula.id_bytes)
            latents[kept[row] + i] = latent_at(forward, U(starts[row]), i, formula.id_bytes)
            impacts[kept[row] + i] = impact_of(activation, held, formula)
    return kept, latents, impacts


@njit(nogil=True, cache=True)
def read_rows(rows, starts, lengths, id_bytes, offsets, latents, activations):  # type: ignore[no-untyped-def]
    """Fill latents and activations with those of found rows, each from offsets, (n_places + 1,), on."""
    for i in range(len(starts)):
        for j in range(lengths[i]):
            latents[offsets[i] + j] = latent_at(rows, starts[i], j, id_bytes)
            activations[offsets[i] + j] = activation_at(rows, starts[i], lengths[i], j, id_bytes)


# --- ids ------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def _hash(data, start, end):  # type: ignore[no-untyped-def]
    """FNV-1a of 64 bits, with a last mix. It orders ids; equal hashes are told apart by their bytes."""
    value = U(0xCBF29CE484222325)
    for at in range(U(start), U(end)):
        value = (value ^ U(data[at])) * U(0x100000001B3)
    return (value ^ (value >> U(32))) * U(0x9E3779B97F4A7C15)


@njit(nogil=True, cache=True)
def id_hashes(ids, offsets):  # type: ignore[no-untyped-def]
    """The hash of each id, (n,) uint64."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(hashes)):
        hashes[i] = _hash(ids, offsets[i], offsets[i + 1])
    return hashes


@njit(nogil=True, cache=True)
def _same(left, left_start, left_end, right, right_start, right_end):  # type: ignore[no-untyped-def]
    if left_end - left_start != right_end - right_start:
        return False
    for i in range(left_end - left_start):  # noqa: SIM110 - numba has no all() of a generator
        if left[left_start + i] != right[right_start + i]:
            return False
    return True


@njit(nogil=True, cache=True)
def first_repeat(ids, offsets, order):  # type: ignore[no-untyped-def]
    """Place of an id that occurs again, or -1; order sorts the ids by hash."""
    for i in range(len(order)):
        a = np.int64(order[i])
        hash_of = _hash(ids, offsets[a], offsets[a + 1])
        j = i + 1
        while j < len(order):
            b = np.int64(order[j])
            if _hash(ids, offsets[b], offsets[b + 1]) != hash_of:
                break
            if _same(ids, offsets[a], offsets[a + 1], ids, offsets[b], offsets[b + 1]):
                return a
            j += 1
    return -1


@njit(nogil=True, cache=True)
def _id_at(ids, offsets, order, i):  # type: ignore[no-untyped-def]
    """Place, start and end of the i-th id in the order of hashes; the place is -1 if they are not what was written."""
    n = len(order.data)
    if not whole(order.data.view(np.uint8), order.sums, order.seen, 4 * i, 4 * i + 4):
        return np.int64(-1), np.int64(0), np.int64(0)
    place = np.int64(order.data[i])
    if place >= n or not whole(offsets.data.view(np.uint8), offsets.sums, offsets.seen, 8 * place, 8 * place + 16):
        return np.int64(-1), np.int64(0), np.int64(0)
    start, end = offsets.data[place], offsets.data[place + 1]
    if start < 0 or end < start or end > len(ids.data) or not whole(ids.data, ids.sums, ids.seen, start, end):
        return np.int64(-1), np.int64(0), np.int64(0)
    return place, start, end


@njit(nogil=True, cache=True)
def find_ids(ids, offsets, order, wanted, wanted_offsets, live, found):  # type: ignore[no-untyped-def]
    """Fill found, (n_wanted,), with the place of each wanted id that is live, else -1.

    Returns:
        False if what was read is not what was written.
    """
    n = len(order.data)
    for w in range(len(wanted_offsets) - 1):
        first, last = wanted_offsets[w], wanted_offsets[w + 1]
        hash_of = _hash(wanted, first, last)
        low, high = 0, n
        while low < high:
            middle = (low + high) // 2
            place, start, end = _id_at(ids, offsets, order, middle)
            if place < 0:
                return False
            if _hash(ids.data, start, end) < hash_of:
                low = middle + 1
            else:
                high = middle
        found[w] = -1
        for i in range(low, n):
            place, start, end = _id_at(ids, offsets, order, i)
            if place < 0:
                return False
            if _hash(ids.data, start, end) != hash_of:
                break
            is_live = len(live) == 0 or (live[place >> 6] >> U(place & 63)) & U(1) != U(0)
            if is_live and _same(ids.data, start, end, wanted, first, last):
                found[w] = place
                break
    return True
