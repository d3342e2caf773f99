"""Pursuit: an embedding written in an SAE's directions greedily, whatever encoder the SAE was trained with.

    repeat k times:  j = argmax_j <u_j, r>;  S = S + {j};  z_S = refit(S);  r = (x - b_pre) - sum_{i in S} z_i u_i

where u_j = w_j / |w_j| is latent j's direction at length 1. Only positive correlations are chosen and coefficients stay
>= 0, so that the codes can be indexed as an encoder's can. The methods differ in `refit`:

- matching: the new coefficient alone, z_j += <u_j, r> (Mallat and Zhang 1993; MP-SAE's inference, Costa et al. 2025,
  arXiv 2506.03093). A latent may be chosen again; its coefficients add up.
- gradient: all coefficients move along the gradient, as far as a line search says (Blumensath and Davies 2008).
- orthogonal: non-negative least squares on S (orthogonal matching pursuit, Pati et al. 1993, with the active set of
  Lawson and Hanson 1974). A coefficient that would turn negative leaves S and makes room for another latent. At the end
  it has taken k / 8 latents more than asked and gives back, one by one, those whose absence costs least.

How it is fast. After one product nothing is calculated in d_in dimensions: <u_j, r> = <u_j, x - b_pre> - sum_i z_i G_ij
with the Gram matrix G = U U.T (Rubinstein et al. 2008, batch OMP). And most latents are far from being chosen next, so
that only candidates are kept up to date: those whose correlation exceeded a mark, `SHARE` of the best, when all were
last looked at, with the residual r0. Any other has risen by <u_j, r - r0> since, which for directions that have nothing
to do with each other is about |r - r0| / sqrt(d_in). Once the best candidate is not `_RISE` times that above the mark,
all are looked at again. Without a refit a step needs one row of G only, and matching always looks at every latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from unweave.base import cores

MATCHING, GRADIENT, ORTHOGONAL = "matching", "gradient", "orthogonal"
METHODS = (MATCHING, GRADIENT, ORTHOGONAL)

SHARE = 0.4
_RISE = 2.0
"""On an SAE of MiniLM embeddings the error is .02 % above the exact pursuit's at k = 32, .2 % at k = 128."""
EXACT = 2.0
"""A share that no latent reaches: all are looked at in each step."""
_GIVEN_BACK = 8
"""Orthogonal pursuit takes k / 8 latents too many and gives them back: 1.5 % less error at k = 32, as with k / 4."""
_NOTHING_LEFT = 1e-5
"""A best correlation below this share of |x - b_pre| is rounding."""
_DEPENDENT = 1e-6
"""Squared distance of a direction from the span of others below which it is taken to lie in it."""
_ROWS_AT_ONCE = 32
_CHUNK = 1024
"""Correlations that are updated at a time: they stay in the first-level cache meanwhile."""
_FAST = {"contract", "nnan", "nsz", "reassoc"}
"""What the compiler may do with sums: all are finite, and their order is free."""
_part = njit(nogil=True, cache=True, fastmath=_FAST, forceinline=True)
"""Of kernels that others call. A call would be answered by whichever copy was compiled first: by the part's own in the
process that compiles, by the caller's in one that reads its work from the disk, and the two round differently."""


class _Codes(NamedTuple):
    """The active entries of a block of embeddings."""

    lengths: NDArray[np.int64]  # (n_rows,)
    latents: NDArray[np.int32]  # (n_active,), ascending within a row
    values: NDArray[np.float32]  # (n_active,) > 0


@dataclass(frozen=True, eq=False)
class Dictionary:
    """What pursuing needs of an SAE."""

    directions: NDArray[np.float32]  # (n_latents, d_in) U: rows of length 1, or 0 where W_dec's row is 0
    scales: NDArray[np.float32]  # (n_latents,) 1 / |w_j|, or 0
    b_pre: NDArray[np.float32]  # (d_in,)
    gram: NDArray[np.float32]  # (n_latents, n_latents) G, or (0, 0) where it is not stored

    def pursue(self, embeddings: NDArray[np.float32], k: int, method: str, share: float) -> _Codes:
        """One block of embeddings, (n_rows, d_in), on every core."""
        centred = embeddings - self.b_pre
        firsts = centred @ self.directions.T
        latents = np.empty((len(embeddings), k), np.int32)
        weights = np.empty((len(embeddings), k), np.float32)
        lengths = np.zeros(len(embeddings), np.int64)
        rise = _RISE / np.sqrt(len(self.b_pre))

        def work(span: tuple[int, int]) -> None:
            rows = slice(*span)
            block = (firsts[rows], centred[rows], self.directions, self.gram)
            out = (latents[rows], weights[rows], lengths[rows])
            if method == MATCHING:
                _match(*block, k, *out)
            else:
                _refit_each_step(*block, k, method == ORTHOGONAL, np.float32(share), np.float32(rise), *out)

        cores.on_every_core(work, cores.spans(len(embeddings), _ROWS_AT_ONCE))
        found = np.arange(k) < lengths[:, None]
        return _Codes(lengths, latents[found], weights[found] * self.scales[latents[found]])


# --- kernels: one embedding at a time -----------------------------------------------------------------


class _Fit(NamedTuple):
    """The coefficients of the support S = {j_0, ..., j_t-1} in the order of choice, and what refits them.

    `inverse` is L^-1 with the Cholesky factor L of G_SS: it grows by a row with each latent. z = L^-T y, y = L^-1 c_S.
    """

    support: NDArray[np.int64]  # (k,) latents
    slots: NDArray[np.int64]  # (k,) a permutation: where the candidates' row of G is kept for each of them
    inner: NDArray[np.float64]  # (k, k) G_SS, its lower triangle
    inverse: NDArray[np.float64]  # (k, k)
    first: NDArray[np.float64]  # (k,) c_S = <u_j, x - b_pre>
    y: NDArray[np.float64]  # (k,)
    z: NDArray[np.float64]  # (k,) coefficients, >= 0
    goal: NDArray[np.float64]  # (k,) where z is to move


@njit(nogil=True, cache=True)
def _match(firsts, centred, directions, gram, k, latents, weights, lengths):  # type: ignore[no-untyped-def]
    """Matching pursuit: the coefficient of the chosen latent grows by its correlation."""
    support, z = np.empty(k, np.int64), np.empty(k)
    for row in range(len(firsts)):
        now, residual = firsts[row].copy(), centred[row].copy()
        nothing_left = _NOTHING_LEFT * np.sqrt(_dot(residual, residual))
        j, t = np.argmax(now), 0
        for _ in range(k):
            best = now[j]
            if not best > nothing_left:
                break
            i = 0
            while i < t and support[i] != j:
                i += 1
            if i == t:
                support[t], z[t] = j, 0.0
                t += 1
            z[i] += best
            if len(gram):
                j = _subtract(now, best, gram[j])
            else:
                _subtract(residual, best, directions[j])
                j = _correlate(directions, residual, now)
        lengths[row] = _write_sorted(support[:t], z, latents[row], weights[row])


@njit(nogil=True, cache=True)
def _refit_each_step(firsts, centred, directions, gram, k, orthogonal, share, rise, latents, weights, lengths):  # type: ignore[no-untyped-def]
    """Orthogonal or gradient pursuit."""
    # No more than d_in directions are independent, and least squares takes no others.
    most = min(k + k // _GIVEN_BACK, firsts.shape[1], centred.shape[1]) if orthogonal else k
    fit = _Fit(
        np.empty(most, np.int64), np.arange(most), np.empty((most, most)), np.empty((most, most)),
        np.empty(most), np.empty(most), np.empty(most), np.empty(most),
    )  # fmt: skip
    width = firsts.shape[1]
    now, residual, z = np.empty(width, np.float32), np.empty(centred.shape[1], np.float32), np.empty(most, np.float32)
    candidates, first_there, now_there = np.empty(width, np.int64), np.empty(width, np.float32), np.empty_like(now)
    gram_there = np.empty((most, width if share < 1 else 0), np.float32)
    for row in range(len(firsts)):
        first, x = firsts[row], centred[row]
        nothing_left = _NOTHING_LEFT * np.sqrt(_dot(x, x))
        t, n_candidates = 0, 0
        mark, explained_then = np.float32(np.inf), 0.0
        # A latent that leaves the support makes room, so that k steps may not fill it; twice as many nearly always do.
        for _ in range(2 * most):
            if t == most:
                break
            explained = 0.0  # |x - b_pre|^2 - |r|^2
            for i in range(t):
                z[i] = fit.z[i]
                explained += fit.first[i] * fit.z[i]
            best, j = np.float32(0), -1
            if n_candidates:
                there = _lower(first_there[:n_candidates], now_there[:n_candidates], gram_there, fit.slots, z, t)
                best, j = now_there[there], candidates[there]
            # The residual of least squares moves at right angles: |r0 - r|^2 = |r0|^2 - |r|^2.
            if not best > mark + rise * np.float32(np.sqrt(max(0.0, explained - explained_then))):
                if len(gram):
                    j = _lower(first, now, gram, fit.support, z, t)
                else:
                    j = _lower_without_gram(x, residual, now, directions, fit.support, z, t)
                best = now[j]
                mark, explained_then = share * best, explained
                n_candidates = _above(now, mark, candidates)
                for i in range(n_candidates):
                    first_there[i] = first[candidates[i]]
                for i in range(t):
                    _gram_row(fit.support[i], directions, gram, candidates[:n_candidates], gram_there[fit.slots[i]])
            if not best > nothing_left:
                break
            if orthogonal or not (fit.support[:t] == j).any():
                fit.support[t], fit.first[t], fit.z[t] = j, first[j], 0.0
                _gram_row(j, directions, gram, candidates[:n_candidates], gram_there[fit.slots[t]])
                _gram_row(j, directions, gram, fit.support[: t + 1], fit.inner[t])
                t += 1
            if not orthogonal:
                t = _step_along_gradient(fit, t)
            elif _extend(fit, t - 1):
                t = _least_squares(fit, t)
            else:
                # The best latent lies in the span of the support: its correlation is below 1e-3 |r|, and so are all.
                t -= 1
                break
        if orthogonal:
            t = _give_back(fit, t, k)
        lengths[row] = _write_sorted(fit.support[:t], fit.z, latents[row], weights[row])


@njit(nogil=True, cache=True)
def _lower_without_gram(x, residual, now, directions, support, z, t):  # type: ignore[no-untyped-def]
    """Fill now, (n_latents,), with the correlations with what t latents leave of x; returns where the highest is."""
    residual[:] = x
    for i in range(t):
        _subtract(residual, z[i], directions[support[i]])
    return _correlate(directions, residual, now)


@_part
def _extend(fit, t):  # type: ignore[no-untyped-def]
    """Add row t to L^-1 and to y; False if the latent's direction lies in the span of those before it."""
    # With g the new row of G_SS, that of L is (v, d): v = L^-1 g, d^2 = g_t - v.v; that of L^-1 is (-v L^-1, 1) / d.
    g, new = fit.inner[t], fit.inverse[t]
    rest = g[t]
    new[:t] = 0
    for i in range(t):
        before = fit.inverse[i]
        v = 0.0
        for m in range(i + 1):
            v += before[m] * g[m]
        rest -= v * v
        for m in range(i + 1):
            new[m] -= v * before[m]
    if not rest > _DEPENDENT:
        return False
    new[t] = 1.0
    y, scale = 0.0, 1 / np.sqrt(rest)
    for m in range(t + 1):
        new[m] *= scale
        y += new[m] * fit.first[m]
    fit.y[t] = y
    return True


@njit(nogil=True, cache=True)
def _least_squares(fit, t):  # type: ignore[no-untyped-def]
    """Move z to the non-negative least squares solution on the support. Returns the size of what is left of it."""
    # z was the solution without the last latent, so that it lacks that latent's y times its row of L^-1.
    for i in range(t - 1):
        fit.goal[i] = fit.z[i] + fit.y[t - 1] * fit.inverse[t - 1, i]
    fit.goal[t - 1] = fit.y[t - 1] * fit.inverse[t - 1, t - 1]
    return _settle(fit, t, _move_to_goal(fit, t))


@njit(nogil=True, cache=True)
def _settle(fit, t, out):  # type: ignore[no-untyped-def]
    """Least squares once those at 0 have left the support, from place `out` on. Returns its new size."""
    while out < t:
        t = _drop_zeros(fit, t, out)
        for i in range(out, t):
            _extend(fit, i)
        fit.goal[:t] = 0
        for i in range(t):
            for m in range(i + 1):
                fit.goal[m] += fit.y[i] * fit.inverse[i, m]
        out = _move_to_goal(fit, t)
    return t


@njit(nogil=True, cache=True)
def _give_back(fit, t, k):  # type: ignore[no-untyped-def]
    """Take the latent out whose absence costs least, z_i^2 / (G_SS^-1)_ii, until k are left. Returns how many are."""
    while t > k:
        cheapest, least = 0, np.inf
        for i in range(t):
            diagonal = 0.0  # of L^-T L^-1
            for m in range(i, t):
                diagonal += fit.inverse[m, i] ** 2
            cost = fit.z[i] ** 2 / diagonal
            if cost < least:
                cheapest, least = i, cost
        fit.z[cheapest] = 0.0
        t = _settle(fit, t, cheapest)
    return t


@njit(nogil=True, cache=True)
def _step_along_gradient(fit, t):  # type: ignore[no-untyped-def]
    """Move z by g.g / g.(G_SS g) along the gradient g, or as far as it stays >= 0. Returns the support's new size."""
    g, curved = fit.y, fit.goal
    for i in range(t):
        g[i], curved[i] = fit.first[i], 0.0
        for m in range(t):
            g[i] -= fit.inner[max(i, m), min(i, m)] * fit.z[m]
    for i in range(t):
        for m in range(t):
            curved[i] += fit.inner[max(i, m), min(i, m)] * g[m]
    length = (g[:t] * g[:t]).sum() / (g[:t] * curved[:t]).sum()
    for i in range(t):
        fit.goal[i] = fit.z[i] + length * g[i]
    return _drop_zeros(fit, t, _move_to_goal(fit, t))


@njit(nogil=True, cache=True)
def _move_to_goal(fit, t):  # type: ignore[no-untyped-def]
    """Move z to the goal, or until coefficients reach 0 on the way. Returns the place of the first of them, else t."""
    part = 1.0
    for i in range(t):
        part = min(part, _part_to_zero(fit.z[i], fit.goal[i]))
    out = t
    for i in range(t):
        if fit.goal[i] <= 0 and _part_to_zero(fit.z[i], fit.goal[i]) <= part:
            fit.z[i] = 0.0
            out = min(out, i)
        else:
            fit.z[i] += part * (fit.goal[i] - fit.z[i])
    return out


@njit(nogil=True, cache=True)
def _part_to_zero(z, goal):  # type: ignore[no-untyped-def]
    """The part of the way from z >= 0 to the goal after which 0 is reached; 1 if it is not."""
    if goal > 0:
        return 1.0
    return z / (z - goal) if z > 0 else 0.0


@njit(nogil=True, cache=True)
def _drop_zeros(fit, t, i):  # type: ignore[no-untyped-def]
    """Take the latents whose coefficient is 0 out of the support, from place i on. Returns its new size."""
    while i < t:
        if fit.z[i] > 0:
            i += 1
            continue
        slot = fit.slots[i]
        for m in range(i, t - 1):
            fit.support[m], fit.slots[m] = fit.support[m + 1], fit.slots[m + 1]
            fit.first[m], fit.z[m] = fit.first[m + 1], fit.z[m + 1]
            for n in range(m + 1):
                fit.inner[m, n] = fit.inner[m + 1, n if n < i else n + 1]
        t -= 1
        fit.slots[t] = slot
    return t


@njit(nogil=True, cache=True)
def _write_sorted(support, z, latents, weights):  # type: ignore[no-untyped-def]
    """Write the coefficients above 0 in the order of their latents. Returns how many there are."""
    n = 0
    for i in np.argsort(support):
        weight = np.float32(z[i])
        if weight > 0:
            latents[n], weights[n] = support[i], weight
            n += 1
    return n


@njit(nogil=True, cache=True)
def _above(values, mark, places):  # type: ignore[no-untyped-def]
    """Fill the places of the values above the mark. Returns how many there are."""
    n = 0
    for j in range(len(values)):
        places[n] = j
        n += values[j] > mark
    return n


@njit(nogil=True, cache=True)
def _gram_row(j, directions, gram, others, row):  # type: ignore[no-untyped-def]
    """Fill G_ji for each i of the others."""
    for place, i in enumerate(others):
        row[place] = gram[j, i] if len(gram) else _dot(directions[j], directions[i])


@_part
def _dot(left, right):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for d in range(len(left)):
        total += left[d] * right[d]
    return total


@njit(nogil=True, cache=True)
def _correlate(directions, residual, now):  # type: ignore[no-untyped-def]
    """now = U r. Returns the place of its highest value."""
    best = 0
    for j in range(len(directions)):
        now[j] = _dot(directions[j], residual)
        if now[j] > now[best]:
            best = j
    return best


@_part
def _lower(start, now, table, places, weights, t):  # type: ignore[no-untyped-def]
    """now = start - sum_i weights_i table[places_i], i < t. Returns the place of its highest value.

    Eight rows of the table are taken at a time, so that `now` is read and written an eighth as often.
    """
    highest, where = np.float32(-np.inf), 0
    for a in range(0, len(start), _CHUNK):
        b = min(a + _CHUNK, len(start))
        n = b - a
        out, before = now[a:b], start[a:b]
        for m in range(n):
            out[m] = before[m]
        i = 0
        while i + 8 <= t:
            w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
            w4, w5, w6, w7 = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
            r0, r1, r2, r3 = (
                table[places[i], a:b],
                table[places[i + 1], a:b],
                table[places[i + 2], a:b],
                table[places[i + 3], a:b],
            )
            r4, r5, r6, r7 = (
                table[places[i + 4], a:b],
                table[places[i + 5], a:b],
                table[places[i + 6], a:b],
                table[places[i + 7], a:b],
            )
            for m in range(n):
                low = w0 * r0[m] + w1 * r1[m] + w2 * r2[m] + w3 * r3[m]
                out[m] -= low + (w4 * r4[m] + w5 * r5[m] + w6 * r6[m] + w7 * r7[m])
            i += 8
        while i + 2 <= t:
            w0, w1, r0, r1 = weights[i], weights[i + 1], table[places[i], a:b], table[places[i + 1], a:b]
            for m in range(n):
                out[m] -= w0 * r0[m] + w1 * r1[m]
            i += 2
        if i < t:
            w0, r0 = weights[i], table[places[i], a:b]
            for m in range(n):
                out[m] -= w0 * r0[m]
        top = out[0]
        for m in range(n):
            top = max(top, out[m])
        if top > highest:
            highest = top
            for m in range(n):
                if out[m] == top:
                    where = a + m
                    break
    return where


@_part
def _subtract(now, weight, row):  # type: ignore[no-untyped-def]
    """now -= weight row. Returns the place of its highest value."""
    highest, where = np.float32(-np.inf), 0
    for a in range(0, len(now), _CHUNK):
        b = min(a + _CHUNK, len(now))
        out, lowered_by = now[a:b], row[a:b]
        top = np.float32(-np.inf)
        for m in range(b - a):
            out[m] -= weight * lowered_by[m]
            top = max(top, out[m])
        if top > highest:
            highest = top
            for m in range(b - a):
                if out[m] == top:
                    where = a + m
                    break
    return where
