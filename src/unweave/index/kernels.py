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

from unweave.base.pages import PAGE, PAGE_BITS, Paged, whole
from unweave.base.words import U, fetch_ahead, short_at, word_at
from unweave.index.activations import ACTIVATION_BYTES, activation_of
from unweave.index.postings import BLOCK, BLOCK_BITS, add_list, is_sound, read_list

UNITS = 65_535
"""The highest bound."""
BIN_BITS = 4
"""Bounds with the same higher bits are counted together."""
N_BINS = (UNITS >> BIN_BITS) + 1
_MANY = 256
"""From so many wanted on, the first block is counted as a whole before its candidates are kept: there are too many."""
_CHUNK, _FEW = 64, 16
"""Bounds that are compared at once: most runs of 64 hold none worth a closer look, and so do most of 16 in others."""
_LINE, _LINES_OF_LIST, _LINES_OF_ROW = 64, 4, 4
"""Bytes of a cache line, and how many are asked for before a list or a row is read, which may lie anywhere."""
_AHEAD = 16
"""So many rows are asked for before they are read."""
DONE, CROWDED, BAD_POSTINGS, BAD_FORWARD, BAD_QUERY = 0, 1, 2, 3, 4
"""How a search ended; CROWDED: there is no room for another block's candidates."""
MOST_LATENTS = UNITS // 4
"""Latents of one query: each needs a few units of the bound."""
SPARE = 30
"""An approximate search for the best k scores so many times the root of k more: the best by a part of the lists."""


class Postings(NamedTuple):
    """The posting lists of a segment."""

    lists: Paged  # (n_bytes,) uint8
    starts: NDArray[np.int64]  # (n_blocks + 1,): where each block's lists begin
    directory: NDArray[np.uint32]  # (n_blocks, n_latents + 1): where each list begins in its block
    sound: NDArray[np.uint8]  # (n_blocks, n_latents): 1 where a list was found fit to read


class Forward(NamedTuple):
    """The latents of each passage, the strongest first: n ids of 2 to 4 bytes, then n `activations` of 2."""

    rows: Paged  # (n_bytes,) uint8
    offsets: Paged  # the bytes of (n_passages + 1,) int64: where each row begins


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
    """Bytes of a latent's id in a forward list, 2 to 4."""


class Plan(NamedTuple):
    """What one search is to do."""

    active: NDArray[np.uint32]
    """The latents of the query that can add to a score; their weights are in the scratch."""
    read: NDArray[np.uint32]
    """Those of them whose posting lists are read."""
    unit: float
    """The score of one unit of a bound."""
    slack: int
    """How many units the bound of a passage may exceed its score."""
    at_once: bool
    """Score candidates as soon as their bounds are met, since these say too little."""
    k: int
    """So many of the best are looked for."""


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
def begin(latents, weights, document_frequency, scales, formula, effort, cutoff, scratch):  # type: ignore[no-untyped-def]
    """Whether such a query can be meant, and what its search is to do; its weights are then in the scratch.

    Args:
        latents, weights: (n,) int64 and float32, as asked.
        document_frequency, scales: (n_latents,), the latter the highest of all segments.
        effort, cutoff: as in `ConceptIndex.search`.
    """
    ascending, none = np.sort(latents), np.empty(0, np.uint32)
    for i in range(len(latents)):
        out_of_range = not 0 <= latents[i] < len(document_frequency)
        if out_of_range or not np.isfinite(weights[i]) or (i > 0 and ascending[i] == ascending[i - 1]):
            return False, Plan(none, none, 1.0, np.int64(0), False, np.int64(0))
    active, n, negative = np.empty(len(latents), np.uint32), 0, False
    for i in range(len(latents)):
        if weights[i] != 0 and document_frequency[latents[i]] > 0:
            active[n] = latents[i]
            scratch.weights[latents[i]] = weights[i]
            negative |= weights[i] < 0
            n += 1
    active = active[:n]
    at_once = negative or formula.counted < formula.kept
    approximate = effort < 1 and not at_once
    read = most_telling(active, scratch.weights, document_frequency, scales, effort) if approximate else active
    unit, slack = unit_and_slack(read, scratch.weights, scales)
    kept = cutoff + int(SPARE * cutoff**0.5) if approximate else cutoff
    plan = Plan(active, read, unit, np.int64(0) if approximate else slack, at_once, np.int64(kept))
    return n <= MOST_LATENTS, plan


@njit(nogil=True, cache=True)
def most_telling(latents, weights, document_frequency, scales, effort):  # type: ignore[no-untyped-def]
    """Those of a query's latents whose lists to read, one at least: no more than this share of all its postings.

    A list is taken for what it adds to a score at most, over the root of its length.
    """
    tells, total = np.empty(len(latents), np.float64), 0
    for i in range(len(latents)):
        length = document_frequency[latents[i]]
        tells[i] = -np.float64(weights[latents[i]]) * scales[latents[i]] / np.sqrt(length)
        total += length
    order = np.argsort(tells, kind="mergesort")
    chosen, n, so_far = np.empty(len(latents), np.uint32), 0, 0
    for i in order:
        so_far += document_frequency[latents[i]]
        if n > 0 and so_far > effort * total:
            break
        chosen[n] = latents[i]
        n += 1
    return chosen[:n]


@njit(nogil=True, cache=True)
def end(plan, scratch):  # type: ignore[no-untyped-def]
    """Make the scratch ready for the next search."""
    for latent in plan.active:
        scratch.weights[latent] = 0
    scratch.counts[:] = 0
    scratch.state[:] = 0


@njit(nogil=True, cache=True)
def search_one(  # type: ignore[no-untyped-def]
    postings, forward, formula, n_passages, document_frequency, scales, latents, weights, cutoff, effort, banned,
    allowed, scratch
):  # fmt: skip
    """A whole search of an index of one segment: how it ended, and the keys of what was found; see `sort_keys`.

    All that it does is done elsewhere, too, step by step for several segments; but each call of a compiled function
    takes some microseconds, which are most of the time where passages are few.
    """
    none = np.empty(0, np.uint64)
    can_be_meant, plan = begin(latents, weights, document_frequency, scales, formula, effort, cutoff, scratch)
    if not can_be_meant:
        return BAD_QUERY, none
    ended = scan(postings, forward, formula, np.int64(0), n_passages, scales, plan, banned, allowed, scratch)
    if ended != DONE:
        return ended, none
    n = drop_unneeded(scratch, plan)
    positions, scores = scratch.positions[:n], scratch.values[:n]
    if not plan.at_once and not score_all(
        forward, formula, np.int64(0), positions, n_passages, scratch.weights, scores
    ):
        return BAD_FORWARD, none
    keys = sort_keys(scores, positions)
    end(plan, scratch)
    return DONE, keys


@njit(nogil=True, cache=True)
def unit_and_slack(latents, weights, scales):  # type: ignore[no-untyped-def]
    """The score of one unit, so that no bound exceeds `UNITS`, and how many units a bound may exceed its score.

    Args:
        latents: (n_active,) those that are read.
        weights, scales: (n_latents,); negative weights add nothing.
    """
    most = 0.0
    for latent in latents:
        most += max(np.float64(weights[latent]), 0.0) * scales[latent]  # what a code of 1 adds to a score, at most
    # Every factor is rounded up by less than one unit a posting, and there are as many as latents.
    unit = most * 255 / (UNITS - 2 * len(latents))
    if unit == 0:
        unit = 1.0
    return unit, np.int64(np.ceil(most / unit + 1.01 * len(latents))) + 1


@njit(nogil=True, cache=True)
def factors_of(latents, weights, scales, unit):  # type: ignore[no-untyped-def]
    """What a code of 1 adds to a bound, in 65,536ths of a unit, rounded up, (n_active,) uint32; see `add_list`."""
    factors = np.empty(len(latents), np.uint32)
    for i in range(len(latents)):
        positive = max(np.float64(weights[latents[i]]), 0.0)
        factors[i] = np.uint32(positive * scales[latents[i]] / unit * 65_536) + np.uint32(1)
    return factors


@njit(nogil=True, cache=True)
def scan(  # type: ignore[no-untyped-def]
    postings, forward, formula, before, n_passages, scales, plan, banned, allowed, scratch
):
    """Add the passages of a segment that may be among the best to the candidates; says how it ended.

    Args:
        before, n_passages: passages of the segments before this one, and of this one.
        scales: (n_latents,) those of the segment.
        banned: (n_banned,) uint32: latents whose passages are left out.
        allowed: (n_passages / 64,) uint64, a bit for each passage that may be found; empty: all may.
    """
    sums, state, read = scratch.sums, scratch.state, plan.read
    lists = postings.lists.data
    factors = factors_of(read, scratch.weights, scales, plan.unit)
    starts, starts_of_banned = np.empty(len(read), np.uint64), np.empty(len(banned), np.uint64)
    ends = np.empty(max(len(read), len(banned)), np.uint64)
    bins = np.empty(N_BINS, np.int64)
    for block in range(state[NEXT_BLOCK], len(postings.starts) - 1):
        n_places = min(U(BLOCK), U(n_passages) - (U(block) << U(BLOCK_BITS)))
        floor = _floor(state[BIN], plan)
        if not _room_for(np.int64(n_places), floor, plan, scratch):
            state[NEXT_BLOCK] = block
            return CROWDED
        if not find_lists(postings, block, read, n_places, starts, ends):
            return BAD_POSTINGS
        for i in range(len(read)):
            if i + 1 < len(read):
                _fetch_list(lists, starts[i + 1], ends[i + 1])
            if starts[i] != NO_LIST:
                add_list(lists, starts[i], factors[i], sums)
        if not find_lists(postings, block, banned, n_places, starts_of_banned, ends):
            return BAD_POSTINGS
        for i in range(len(banned)):
            if starts_of_banned[i] != NO_LIST:
                _clear_list(lists, starts_of_banned[i], sums)
        if floor == 0 and plan.k > _MANY and not plan.at_once and len(allowed) == 0:
            floor = _floor(_bin_of_best(sums[: np.int64(n_places)], plan.k, bins), plan)
        if not _collect(forward, formula, before, n_passages, block, n_places, floor, plan, allowed, scratch):
            return BAD_FORWARD
    state[NEXT_BLOCK] = 0
    return DONE


@njit(nogil=True, cache=True)
def _room_for(n_places, floor, plan, scratch):  # type: ignore[no-untyped-def]
    """Whether there is room for so many candidates more, if need be after those are dropped that are too low by now."""
    n, room = scratch.state[N_CANDIDATES], len(scratch.positions)
    if n + n_places > room and floor > 0:
        n = _drop_low(scratch.positions, scratch.values, n, (floor - 1) * plan.unit if plan.at_once else floor)
        scratch.state[N_CANDIDATES] = n
    return n + n_places <= room


@njit(nogil=True, cache=True)
def _collect(  # type: ignore[no-untyped-def]
    forward, formula, before, n_passages, block, n_places, floor, plan, allowed, scratch
):
    """Add the passages of a block whose bounds are above the floor, which rises meanwhile; all bounds become 0.

    False if a forward list is not what was written.
    """
    sums, counts, state = scratch.sums, scratch.counts, scratch.state
    positions, values = scratch.positions, scratch.values
    lowest, above, n = state[BIN], state[ABOVE], state[N_CANDIDATES]
    first = U(block) << U(BLOCK_BITS)
    for chunk in range(0, np.int64(n_places), _CHUNK):
        if not _any_above(sums, U(chunk), _CHUNK, floor):
            _clear(sums, U(chunk))
            continue
        for few in range(U(chunk), U(chunk + _CHUNK), U(_FEW)):
            if not _any_above(sums, few, _FEW, floor):
                continue
            for place in range(few, few + U(_FEW)):
                bound = np.int64(sums[place])
                if bound <= floor:
                    continue
                position = first + place
                if len(allowed) > 0 and (allowed[position >> U(6)] >> (position & U(63))) & U(1) == U(0):
                    continue
                value, counted = np.float64(bound), bound
                if plan.at_once:
                    value, shared = _score_now(forward, formula, position, n_passages, scratch.weights)
                    if shared < 0:
                        return False
                    if shared == 0:
                        continue
                    counted = np.int64(max(min(value / plan.unit, np.float64(UNITS)), 0.0))
                positions[n], values[n] = before + position, value
                n += 1
                new = counted >> BIN_BITS
                counts[new] += 1
                if new >= lowest:
                    above += 1
                    while above - counts[lowest] >= plan.k:
                        above -= counts[lowest]
                        lowest += 1
                    floor = max(floor, _floor(lowest, plan))
        _clear(sums, U(chunk))
    state[BIN], state[ABOVE], state[N_CANDIDATES] = lowest, above, n
    return True


@njit(nogil=True, cache=True)
def _score_now(forward, formula, position, n_passages, weights):  # type: ignore[no-untyped-def]
    """The score of one passage of a segment, and how many latents it shares with the query; -1: see `score_of`."""
    one, start, length = np.empty(1, np.uint64), np.empty(1, np.uint64), np.empty(1, np.int64)
    one[0] = position
    if not find_rows(forward, np.int64(0), one, n_passages, formula.id_bytes, start, length):
        return 0.0, np.int64(-1)
    return score_of(forward.rows.data, start[0], length[0], formula, weights)


@njit(nogil=True, cache=True)
def _any_above(sums, start, n, floor):  # type: ignore[no-untyped-def]
    """Whether any of n of these is above the floor."""
    limit = np.uint16(floor)
    above = np.uint16(0)
    for i in range(U(n)):  # all are compared, without a branch, so that vector instructions are used
        above |= np.uint16(sums[start + i] > limit)
    return above > 0


@njit(nogil=True, cache=True)
def _clear(sums, start):  # type: ignore[no-untyped-def]
    """Set a chunk of sums to 0, while it is at hand."""
    for i in range(U(_CHUNK)):
        sums[start + i] = 0


@njit(nogil=True, cache=True)
def _bin_of_best(sums, k, bins):  # type: ignore[no-untyped-def]
    """The bin of the k-th highest of a block's bounds, or 0, by counting them all; bins, (N_BINS,), is written to."""
    bins[:] = 0
    for i in range(len(sums)):
        bins[sums[i] >> BIN_BITS] += 1
    above, lowest = 0, N_BINS - 1
    while lowest > 0 and above + bins[lowest] < k:
        above += bins[lowest]
        lowest -= 1
    return lowest


@njit(nogil=True, cache=True)
def _floor(lowest, plan):  # type: ignore[no-untyped-def]
    """A passage whose bound is no higher than this is not among the best, given the bin that k candidates reach."""
    return max((lowest << BIN_BITS) - (0 if plan.at_once else plan.slack), 0)


@njit(nogil=True, cache=True)
def _drop_low(positions, values, n, least):  # type: ignore[no-untyped-def]
    """Forget those of n candidates whose value is not above this; returns how many are left."""
    kept = 0
    for i in range(n):
        if values[i] > least:
            positions[kept], values[kept] = positions[i], values[i]
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def drop_unneeded(scratch, plan):  # type: ignore[no-untyped-def]
    """Forget candidates of the scan whose bounds are too low by what is known at its end; returns how many are left."""
    n = scratch.state[N_CANDIDATES]
    if plan.at_once:
        return n
    return _drop_low(scratch.positions, scratch.values, n, (scratch.state[BIN] << BIN_BITS) - plan.slack)


NO_LIST = U(2**64 - 1)


@njit(nogil=True, cache=True)
def find_lists(postings, block, latents, n_places, starts, ends):  # type: ignore[no-untyped-def]
    """Fill starts and ends, (n_active,) uint64, with those of each latent's list in a block; NO_LIST if it has none.

    A list is checked when it is first read; False if one is not what was written.
    """
    data, sums, seen = postings.lists.data, postings.lists.sums, postings.lists.seen
    directory, sound, first = postings.directory[block], postings.sound[block], U(postings.starts[block])
    for i in range(len(latents)):
        latent = latents[i]
        start, end = first + U(directory[latent]), first + U(directory[latent + U(1)])
        starts[i] = start if start != end else NO_LIST
        ends[i] = end
        if start == end or sound[latent]:
            continue
        if end < start or end > U(len(data)) or not whole(data, sums, seen, np.int64(start), np.int64(end)):
            return False
        if not is_sound(data, start, end, n_places):
            return False
        sound[latent] = 1
    return True


@njit(nogil=True, cache=True)
def _fetch_list(lists, start, end):  # type: ignore[no-untyped-def]
    """Ask for the first places of a list and for their codes, which begin about the middle: a quarter of all time."""
    middle = start + ((end - start) >> U(1))
    for line in range(_LINES_OF_LIST):
        fetch_ahead(lists, start + U(line * _LINE))
        fetch_ahead(lists, middle + U(line * _LINE))


@njit(nogil=True, cache=True)
def _clear_list(data, start, sums):  # type: ignore[no-untyped-def]
    """Set the sum of each place of a list to 0."""
    places, codes = np.empty(BLOCK, np.uint16), np.empty(BLOCK, np.uint8)
    for i in range(read_list(data, start, places, codes)):
        sums[places[i]] = 0


# --- forward lists --------------------------------------------------------------------------------


@njit(nogil=True, cache=True)
def find_rows(forward, before, positions, n_passages, id_bytes, starts, lengths):  # type: ignore[no-untyped-def]
    """Fill starts, (n,) uint64, and lengths, (n,) int64: where the rows of passages begin, and their entries.

    False if one is not what was written. The arrays are taken out of their tuples before the loop, and the pages that
    were seen already are told without a call: either would cost more than finding a row.
    """
    data, sums, seen = forward.offsets.data, forward.offsets.sums, forward.offsets.seen
    rows, row_sums, rows_seen = forward.rows.data, forward.rows.sums, forward.rows.seen
    for i in range(len(positions)):
        if i + _AHEAD < len(positions):
            fetch_ahead(data, U(8) * U(np.int64(positions[i + _AHEAD]) - before))
        at = 8 * (np.int64(positions[i]) - before)
        if at < 0 or at >= 8 * n_passages:
            return False
        if not seen[at >> PAGE_BITS] & seen[(at + 15) >> PAGE_BITS] and not whole(data, sums, seen, at, at + 16):
            return False
        start, end = np.int64(word_at(data, U(at))), np.int64(word_at(data, U(at + 8)))
        if start < 0 or end < start or end > len(rows):
            return False
        starts[i], lengths[i] = start, entries_in(end - start, id_bytes)
        if start == end or (end - start <= PAGE and rows_seen[start >> PAGE_BITS] & rows_seen[(end - 1) >> PAGE_BITS]):
            continue
        if not whole(rows, row_sums, rows_seen, start, end):
            return False
    return True


@njit(nogil=True, cache=True)
def entries_in(size, id_bytes):  # type: ignore[no-untyped-def]
    """How many entries a row of so many bytes has."""
    if id_bytes == 2:  # dividing by a constant is fast
        return size // (2 + ACTIVATION_BYTES)
    return size // (3 + ACTIVATION_BYTES) if id_bytes == 3 else size // (4 + ACTIVATION_BYTES)


@njit(nogil=True, cache=True)
def latent_at(rows, start, i, id_bytes):  # type: ignore[no-untyped-def]
    """The i-th latent of a row."""
    at = start + U(i) * U(id_bytes)
    latent = U(short_at(rows, at))
    if id_bytes > 2:
        latent |= U(rows[at + U(2)]) << U(16)
    if id_bytes > 3:
        latent |= U(rows[at + U(3)]) << U(24)
    return latent


@njit(nogil=True, cache=True)
def activation_at(rows, start, n, i, id_bytes):  # type: ignore[no-untyped-def]
    """The i-th activation of a row of n."""
    return activation_of(short_at(rows, start + U(n) * U(id_bytes) + U(ACTIVATION_BYTES) * U(i)))


@njit(nogil=True, cache=True, error_model="numpy")
def held_back(n_kept, formula):  # type: ignore[no-untyped-def]
    """k1 (1 - b + b |d| / avgdl) of a passage that keeps so many latents; inf where nothing saturates."""
    if np.isinf(formula.k1):
        return np.inf
    return formula.k1 * (1 - formula.b + formula.b * (n_kept / max(formula.mean_latents, 1e-9)))


@njit(nogil=True, cache=True, error_model="numpy")
def impact_of(activation, held, formula):  # type: ignore[no-untyped-def]
    """h_d of one activation of a passage, given its `held_back`; bit for bit what `impacts_of` gives."""
    z = np.sqrt(activation) if formula.root else activation
    if held == np.inf:
        return z
    return np.float32(np.float64(z * np.float32(formula.k1 + 1)) / (np.float64(z) + held))


@njit(nogil=True, cache=True, error_model="numpy")
def score_of(rows, start, n, formula, weights):  # type: ignore[no-untyped-def]
    """Sum of weight * impact over a row of n entries, weights (n_latents,), and how many weights are not 0.

    The latter is -1 if there is a latent that no dictionary of this size has, or an activation that is no number.
    """
    score, shared = 0.0, np.int64(0)
    held = held_back(min(n, formula.kept), formula)
    for i in range(min(n, formula.counted)):
        latent = latent_at(rows, start, i, formula.id_bytes)
        if latent >= U(len(weights)):
            return score, np.int64(-1)
        # What is not shared adds 0: no branch, which would be foreseen wrongly for one latent in three.
        weight = weights[latent]
        impact = impact_of(activation_at(rows, start, n, i, formula.id_bytes), held, formula)
        score += np.float64(weight) * np.float64(impact)
        shared += weight != 0
    return score, shared if np.isfinite(score) else np.int64(-1)


@njit(nogil=True, cache=True)
def score_all(forward, formula, before, positions, n_passages, weights, scores):  # type: ignore[no-untyped-def]
    """Fill scores, (n,) float32, with those of passages of one segment; False if a row is not what was written."""
    starts, lengths = np.empty(len(positions), np.uint64), np.empty(len(positions), np.int64)
    if not find_rows(forward, before, positions, n_passages, formula.id_bytes, starts, lengths):
        return False
    rows = forward.rows.data
    for i in range(len(positions)):
        _fetch_row(rows, starts, i)
        scores[i], shared = score_of(rows, starts[i], lengths[i], formula, weights)
        if shared < 0:
            return False
    return True


@njit(nogil=True, cache=True)
def _fetch_row(rows, starts, i):  # type: ignore[no-untyped-def]
    """Ask for one of the rows after the i-th."""
    if i + _AHEAD < len(starts):
        for line in range(_LINES_OF_ROW):
            fetch_ahead(rows, starts[i + _AHEAD] + U(line * _LINE))


@njit(nogil=True, cache=True)
def reconstruct_all(forward, id_bytes, before, positions, n_passages, products, scores):  # type: ignore[no-untyped-def]
    """Fill scores, (n,) float64: of activation * product over all latents of each passage, products (n_latents,)."""
    starts, lengths = np.empty(len(positions), np.uint64), np.empty(len(positions), np.int64)
    if not find_rows(forward, before, positions, n_passages, id_bytes, starts, lengths):
        return False
    rows = forward.rows.data
    for i in range(len(positions)):
        _fetch_row(rows, starts, i)
        total = 0.0
        for j in range(lengths[i]):
            latent = latent_at(rows, starts[i], j, id_bytes)
            if latent >= U(len(products)):
                return False
            total += np.float64(activation_at(rows, starts[i], lengths[i], j, id_bytes)) * products[latent]
        scores[i] = total
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


@njit(nogil=True, cache=True)
def hits_of_keys(keys):  # type: ignore[no-untyped-def]
    """The positions, (n,) int64, and scores, (n,) float32, that `sort_keys` was given."""
    positions, bits = np.empty(len(keys), np.int64), np.empty(len(keys), np.uint32)
    for i in range(len(keys)):
        positions[i] = np.int64(keys[i] & U(2**32 - 1))
        ascending = ~np.uint32(keys[i] >> U(32))
        bits[i] = ascending & np.uint32((1 << 31) - 1) if ascending >> np.uint32(31) else ~ascending
    return positions, bits.view(np.float32)


def allowed_bits(mask: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """A mask, (n,), as bits in words of 64, the first passage lowest."""
    packed = np.packbits(mask, bitorder="little")
    words = np.zeros((len(mask) + 63) // 64 * 8, np.uint8)
    words[: len(packed)] = packed
    return words.view(np.uint64)


def as_latents(latents: Any) -> NDArray[np.uint32]:
    """Latents as kernels read them."""
    return np.ascontiguousarray(latents, dtype=np.uint32)
