"""Exact search of one segment, compiled.

A query is latents with weights. In each block of 65,536 passages the codes of its latents' posting lists add up to an
upper bound of every passage's score, in 16-bit units that no query overflows. A bound is less than `slack` units above
the score, since each code and each product was rounded up once. So if k passages have bounds of at least b, their
scores are above b - slack, and a passage whose bound is no higher than that is not among the best k. How many bounds
there were so far, counted in bins, says what b is; passages above it are kept, and scored exactly from their forward
lists at the end. (Most of a search is adding; skipping blocks or lists by their maxima costs more than it saves here.)

Where a bound says nothing about how low the score can be (negative weights, fewer latents a passage than are stored), a
passage is scored when its bound is met, and its score is what is counted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.index.pages import Paged, whole
from unweave.index.postings import BLOCK, BLOCK_BITS, add_list, is_sound, read_list
from unweave.index.words import U, fetch_ahead, word_at

UNITS = 65_535
"""The highest bound."""
BIN_BITS = 4
"""Bounds with the same higher bits are counted together."""
N_BINS = (UNITS >> BIN_BITS) + 1
_CHUNK, _FEW = 64, 16
"""Bounds that are compared at once: most runs of 64 hold none worth a closer look, and so do most of 16 in others."""
DONE, CROWDED, BAD_POSTINGS, BAD_FORWARD = 0, 1, 2, 3
"""How a scan ended; CROWDED: there is no room for another block's candidates."""


class Postings(NamedTuple):
    """The posting lists of a segment."""

    lists: Paged  # (n_bytes,) uint8
    starts: NDArray[np.int64]  # (n_blocks + 1,): where each block's lists begin
    directory: NDArray[np.uint32]  # (n_blocks, n_latents + 1): where each list begins in its block
    sound: NDArray[np.uint8]  # (n_blocks, n_latents): 1 where a list was found fit to read


class Forward(NamedTuple):
    """The latents of each passage, the strongest first: n ids of 2 or 4 bytes, then n activations, float32."""

    rows: Paged  # (n_bytes,) uint8
    offsets: Paged  # (n_passages + 1,) int64: where each row begins


class Formula(NamedTuple):
    """What makes an activation an impact, and how much of a row counts; see `scoring`."""

    root: bool
    k1: float
    b: float
    mean_latents: float
    """Of the kept latents a passage: avgdl."""
    kept: int
    """A passage's first so many latents are indexed: |d| at most."""
    counted: int
    """A passage's first so many latents count in this search; at most `kept`."""
    id_bytes: int
    """Bytes of a latent's id in a forward list, 2 or 4."""


class Scratch(NamedTuple):
    """What one search needs to write to; all zeros between searches, but for the candidates."""

    sums: NDArray[np.uint16]  # (BLOCK,)
    weights: NDArray[np.float32]  # (n_latents,)
    counts: NDArray[np.int64]  # (N_BINS,): candidates in each bin
    positions: NDArray[np.uint32]  # (capacity,) candidates, ascending
    values: NDArray[np.float32]  # (capacity,) their bounds, or scores
    state: NDArray[np.int64]  # (4,): see below

    @classmethod
    def new(cls, n_latents: int, capacity: int = 3 * BLOCK) -> Scratch:
        """For a dictionary of so many latents."""
        return cls(
            np.zeros(BLOCK, np.uint16), np.zeros(n_latents, np.float32), np.zeros(N_BINS, np.int64),
            np.empty(capacity, np.uint32), np.empty(capacity, np.float32), np.zeros(4, np.int64),
        )  # fmt: skip

    def with_room(self, capacity: int) -> Scratch:
        """The same, its candidates moved to where there is room for so many."""
        larger = Scratch.new(0, capacity)
        n = int(self.state[N_CANDIDATES])
        larger.positions[:n], larger.values[:n] = self.positions[:n], self.values[:n]
        return self._replace(positions=larger.positions, values=larger.values)


BIN, ABOVE, N_CANDIDATES, NEXT_BLOCK = 0, 1, 2, 3
"""Places in `Scratch.state`: the highest bin that k candidates reach, how many reach it, candidates, where to go on."""


@njit(nogil=True, cache=True)
def scan(  # type: ignore[no-untyped-def]
    postings, forward, formula, before, n_passages, latents, factors, banned, allowed, slack, at_once, unit, k, scratch
):
    """Add the passages of a segment that may be among the best k to the candidates.

    Args:
        before, n_passages: passages of the segments before this one, and of this one.
        latents, factors: (n_active,) uint32, what each adds, see `add_list`.
        banned: (n_banned,) uint32: latents whose passages are left out.
        allowed: (n_passages / 64,) uint64, a bit for each passage that may be found; empty: all may.
        slack: how many units the bound of a passage may exceed its score.
        at_once: score candidates now, since their bounds say too little.
        unit: score of one unit.
    """
    sums, state = scratch.sums, scratch.state
    capacity = len(scratch.positions)
    n_blocks = len(postings.starts) - 1
    floor = _floor(state, slack, at_once)
    for block in range(state[NEXT_BLOCK], n_blocks):
        first = U(block) << U(BLOCK_BITS)
        n_places = min(U(BLOCK), U(n_passages) - first)
        if state[N_CANDIDATES] + np.int64(n_places) > capacity:
            if floor > 0:
                _drop_low(scratch, (floor - 1) * unit if at_once else floor)
            if state[N_CANDIDATES] + np.int64(n_places) > capacity:
                state[NEXT_BLOCK] = block
                return CROWDED
        for i in range(len(latents)):
            start = list_start(postings, block, latents[i], n_places)
            if start == BAD_LIST:
                return BAD_POSTINGS
            if start != NO_LIST:
                add_list(postings.lists.data, start, factors[i], sums)
        for latent in banned:
            start = list_start(postings, block, latent, n_places)
            if start == BAD_LIST:
                return BAD_POSTINGS
            if start != NO_LIST:
                _clear_list(postings.lists.data, start, sums)
        for chunk in range(0, np.int64(n_places), _CHUNK):
            if not _any_above(sums[chunk : chunk + _CHUNK], floor):
                continue
            for few in range(chunk, chunk + _CHUNK, _FEW):
                if not _any_above(sums[few : few + _FEW], floor):
                    continue
                for place in range(U(few), U(few + _FEW)):
                    bound = np.int64(sums[place])
                    if bound <= floor:
                        continue
                    position = first + place
                    if len(allowed) > 0 and (allowed[position >> U(6)] >> (position & U(63))) & U(1) == U(0):
                        continue
                    value, counted = np.float64(bound), bound
                    if at_once:
                        value, shared = score_of(forward, formula, position, n_passages, scratch.weights)
                        if shared < 0:
                            return BAD_FORWARD
                        if shared == 0:
                            continue
                        counted = np.int64(max(value / unit, 0.0))
                    n = state[N_CANDIDATES]
                    scratch.positions[n], scratch.values[n] = before + position, value
                    state[N_CANDIDATES] = n + 1
                    _count(scratch.counts, state, min(counted, UNITS) >> BIN_BITS, k)
                    floor = _floor(state, slack, at_once)
        sums[:n_places] = 0
    state[NEXT_BLOCK] = 0
    return DONE


@njit(nogil=True, cache=True)
def _any_above(sums, floor):  # type: ignore[no-untyped-def]
    """Whether any of these is above the floor."""
    limit = np.uint16(floor)
    above = 0
    for i in range(len(sums)):  # counted, and from 0, so that vector instructions are used
        above += sums[i] > limit
    return above > 0


@njit(nogil=True, cache=True)
def _count(counts, state, new, k):  # type: ignore[no-untyped-def]
    """Count a candidate in the bin `new`, and raise the bin that k candidates reach."""
    counts[new] += 1
    if new >= state[BIN]:
        state[ABOVE] += 1
        while state[ABOVE] - counts[state[BIN]] >= k:
            state[ABOVE] -= counts[state[BIN]]
            state[BIN] += 1


@njit(nogil=True, cache=True)
def _floor(state, slack, at_once):  # type: ignore[no-untyped-def]
    """A passage whose bound is no higher than this is not among the best."""
    return max((state[BIN] << BIN_BITS) - (0 if at_once else slack), 0)


@njit(nogil=True, cache=True)
def _drop_low(scratch, least):  # type: ignore[no-untyped-def]
    """Forget the candidates whose value is not above this."""
    kept = 0
    for i in range(scratch.state[N_CANDIDATES]):
        if scratch.values[i] > least:
            scratch.positions[kept], scratch.values[kept] = scratch.positions[i], scratch.values[i]
            kept += 1
    scratch.state[N_CANDIDATES] = kept


NO_LIST, BAD_LIST = U(2**64 - 1), U(2**64 - 2)


@njit(nogil=True, cache=True)
def list_start(postings, block, latent, n_places):  # type: ignore[no-untyped-def]
    """Where the list of a latent in a block starts, or NO_LIST, or BAD_LIST; it is checked when it is first read."""
    start, end = U(postings.directory[block, latent]), U(postings.directory[block, latent + U(1)])
    if start == end:
        return NO_LIST
    start += U(postings.starts[block])
    end += U(postings.starts[block])
    if postings.sound[block, latent] == 0:
        if end < start or end > U(len(postings.lists.data)):
            return BAD_LIST
        if not whole(postings.lists.data, postings.lists.sums, postings.lists.seen, np.int64(start), np.int64(end)):
            return BAD_LIST
        if not is_sound(postings.lists.data, start, end, n_places):
            return BAD_LIST
        postings.sound[block, latent] = 1
    return start


@njit(nogil=True, cache=True)
def _clear_list(data, start, sums):  # type: ignore[no-untyped-def]
    """Set the sum of each place of a list to 0."""
    places, codes = np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint8)
    for i in range(read_list(data, start, places, codes)):
        sums[places[i]] = 0


# --- forward lists --------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def row_of(forward, position, n_passages, id_bytes):  # type: ignore[no-untyped-def]
    """Where a passage's row begins, and how many entries it has; -1 of them if it is not what was written."""
    offsets = forward.offsets
    at = np.int64(position)
    if (
        at < 0
        or at >= n_passages
        or not whole(offsets.data.view(np.uint8), offsets.sums, offsets.seen, 8 * at, 8 * at + 16)
    ):
        return U(0), np.int64(-1)
    start, end = offsets.data[at], offsets.data[at + 1]
    rows = forward.rows
    if start < 0 or end < start or end > len(rows.data) or not whole(rows.data, rows.sums, rows.seen, start, end):
        return U(0), np.int64(-1)
    return U(start), (end - start) // (id_bytes + 4)


@njit(nogil=True, cache=True)
def latent_at(rows, start, i, id_bytes):  # type: ignore[no-untyped-def]
    """The i-th latent of a row."""
    return word_at(rows, start + U(i) * U(id_bytes)) & ((U(1) << U(8 * id_bytes)) - U(1))


@njit(nogil=True, cache=True)
def activation_at(rows, start, n, i, id_bytes, word):  # type: ignore[no-untyped-def]
    """The i-th activation of a row of n; word, (1,) uint32, is written to."""
    word[0] = word_at(rows, start + U(n) * U(id_bytes) + U(4) * U(i))
    return word.view(np.float32)[0]


@njit(nogil=True, cache=True, error_model="numpy")
def impact_of(activation, n_kept, formula):  # type: ignore[no-untyped-def]
    """h_d of one activation of a passage that keeps so many latents; bit for bit what `passage_impacts` gives."""
    z = np.sqrt(activation) if formula.root else activation
    if np.isinf(formula.k1):
        return z
    relative = n_kept / max(formula.mean_latents, 1e-9)
    denominator = np.float64(z) + formula.k1 * (1 - formula.b + formula.b * relative)
    return np.float32(np.float64(z * np.float32(formula.k1 + 1)) / denominator)


@njit(nogil=True, cache=True)
def score_of(forward, formula, position, n_passages, weights):  # type: ignore[no-untyped-def]
    """Sum of weight * impact over a passage's latents, weights (n_latents,), and how many weights are not 0.

    These are -1 if its row is not what was written.
    """
    start, n = row_of(forward, position, n_passages, formula.id_bytes)
    word = np.empty(1, np.uint32)
    score, shared = 0.0, np.int64(0)
    n_kept = min(n, formula.kept)
    for i in range(min(n, formula.counted)):
        latent = latent_at(forward.rows.data, start, i, formula.id_bytes)
        if latent >= U(len(weights)):
            return score, np.int64(-1)
        weight = weights[latent]
        if weight != 0:
            activation = activation_at(forward.rows.data, start, n, i, formula.id_bytes, word)
            score += np.float64(weight) * np.float64(impact_of(activation, n_kept, formula))
            shared += 1
    return score, (shared if n >= 0 else np.int64(-1))


_AHEAD, _LINE, _LINES = 8, 64, 4
"""Rows that are fetched before they are read, which lie anywhere in memory; bytes of a cache line, lines of a row."""


@njit(nogil=True, cache=True)
def _fetch_rows(forward, before, positions, i, n_passages):  # type: ignore[no-untyped-def]
    """Ask for what the candidates after the i-th will need: first where their rows are, then the rows."""
    if i + 2 * _AHEAD < len(positions):
        fetch_ahead(forward.offsets.data, U(np.int64(positions[i + 2 * _AHEAD]) - before))
    if i + _AHEAD < len(positions):
        place = np.int64(positions[i + _AHEAD]) - before
        if 0 <= place < n_passages:
            start = U(forward.offsets.data[place])
            for line in range(_LINES):
                fetch_ahead(forward.rows.data, start + U(line * _LINE))


@njit(nogil=True, cache=True)
def score_all(forward, formula, before, positions, n_passages, weights, scores):  # type: ignore[no-untyped-def]
    """Fill scores, (n,) float32, with those of passages of one segment; False if a row is not what was written."""
    for i in range(len(positions)):
        _fetch_rows(forward, before, positions, i, n_passages)
        scores[i], shared = score_of(forward, formula, np.int64(positions[i]) - before, n_passages, weights)
        if shared < 0:
            return False
    return True


@njit(nogil=True, cache=True)
def reconstruct_all(forward, id_bytes, before, positions, n_passages, products, scores):  # type: ignore[no-untyped-def]
    """Fill scores, (n,) float64: of activation * product over all latents of each passage, products (n_latents,)."""
    word = np.empty(1, np.uint32)
    for i in range(len(positions)):
        _fetch_rows(forward, before, positions, i, n_passages)
        start, n = row_of(forward, np.int64(positions[i]) - before, n_passages, id_bytes)
        if n < 0:
            return False
        scores[i] = 0.0
        for j in range(n):
            latent = latent_at(forward.rows.data, start, j, id_bytes)
            if latent >= U(len(products)):
                return False
            activation = activation_at(forward.rows.data, start, n, j, id_bytes, word)
            scores[i] += np.float64(activation) * products[latent]
    return True


@njit(nogil=True, cache=True)
def sort_keys(scores, positions):  # type: ignore[no-untyped-def]
    """Keys, (n,) uint64, that ascend from the highest score to the lowest, and then by position."""
    keys = np.empty(len(scores), np.uint64)
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0
    for i in range(len(scores)):
        ascending = ~bits[i] if bits[i] >> np.uint32(31) else bits[i] | np.uint32(1 << 31)
        keys[i] = U(np.uint32(~ascending)) << U(32) | U(positions[i])
    return keys


def scores_of_keys(keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """The scores that `sort_keys` was given."""
    ascending = ~(keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(ascending >> np.uint32(31), ascending & np.uint32((1 << 31) - 1), ~ascending)
    return bits.view(np.float32)


def allowed_bits(mask: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """A mask, (n,), as bits in words of 64, the first passage lowest."""
    packed = np.packbits(mask, bitorder="little")
    words = np.zeros((len(mask) + 63) // 64 * 8, np.uint8)
    words[: len(packed)] = packed
    return words.view(np.uint64)


def as_latents(latents: Any) -> NDArray[np.uint32]:
    """Latents as kernels read them."""
    return np.ascontiguousarray(latents, dtype=np.uint32)
