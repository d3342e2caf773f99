"""The sparse parts of a training step on a CPU, compiled by numba.

As in `kernels`, every function works on one block of rows or of latents, releases the GIL and starts no thread.
An entry is an active latent of a text; entries stand in row order: those of row r are offsets[r] : offsets[r + 1].
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np
from numba import njit

_CHUNK = 32
# Sums may be reordered, so that they use vector instructions; NaN and infinities keep their meaning.
_FREE = {"reassoc", "contract", "nsz"}
_kernel = njit(nogil=True, cache=True, fastmath=_FREE)
_part = njit(nogil=True, cache=True, fastmath=_FREE, forceinline=True)  # of other kernels: see `pursuit` for why


@_part
def _add(out, weight, row):
    """out += weight * row"""
    for j in range(len(out)):
        out[j] += weight * row[j]


@_part
def _add_four(out, w0, row0, w1, row1, w2, row2, w3, row3):
    """Four rows in one pass over `out`: four reads from far memory are under way at once."""
    for j in range(len(out)):
        out[j] += w0 * row0[j] + w1 * row1[j] + w2 * row2[j] + w3 * row3[j]


@_part
def _dot(left, right):
    total = left[0] * right[0]
    for j in range(1, len(left)):
        total += left[j] * right[j]
    return total


@_part
def _dot_four(left, row0, row1, row2, row3):
    a, b, c, d = left[0] * row0[0], left[0] * row1[0], left[0] * row2[0], left[0] * row3[0]
    for j in range(1, len(left)):
        a += left[j] * row0[j]
        b += left[j] * row1[j]
        c += left[j] * row2[j]
        d += left[j] * row3[j]
    return a, b, c, d


@_part
def _dots(left, table, places, out):
    """out[i] = left . table[places[i]]"""
    whole = len(places) // 4 * 4
    for i in range(0, whole, 4):
        out[i], out[i + 1], out[i + 2], out[i + 3] = _dot_four(
            left, table[places[i]], table[places[i + 1]], table[places[i + 2]], table[places[i + 3]]
        )
    for i in range(whole, len(places)):
        out[i] = _dot(left, table[places[i]])


@_part
def _add_all(out, weights, table, places):
    """out += sum_i weights[i] * table[places[i]]"""
    whole = len(places) // 4 * 4
    for i in range(0, whole, 4):
        _add_four(
            out, weights[i], table[places[i]], weights[i + 1], table[places[i + 1]],
            weights[i + 2], table[places[i + 2]], weights[i + 3], table[places[i + 3]],
        )  # fmt: skip
    for i in range(whole, len(places)):
        _add(out, weights[i], table[places[i]])


@_kernel
def above(products, floor, first, columns, values, counts):
    """Add the entries of a tile that exceed a floor to those of its rows that were found before.

    Args:
        products: (n_rows, width), the activations of latents first to first + width - 1.
        columns, values: (n_rows, capacity), filled as far as they go.
        counts: (n_rows,), how many entries each row has; may exceed the capacity.
    """
    n_rows, width = products.shape
    capacity = columns.shape[1]
    for row in range(n_rows):
        found = counts[row]
        for start in range(0, width, _CHUNK):
            chunk = products[row, start : start + _CHUNK]  # counted from 0, so that vector instructions are used
            n_above = 0
            for j in range(len(chunk)):
                n_above += chunk[j] > floor
            if n_above == 0:
                continue
            for j in range(len(chunk)):
                if chunk[j] > floor:
                    if found < capacity:
                        columns[row, found], values[row, found] = first + start + j, chunk[j]
                    found += 1
        counts[row] = found


@_kernel
def exact_above(candidates, counts, centred, W_enc, b_enc, floor, columns, values):
    """Of each row's candidates keep those whose exact activation exceeds the floor; returns how many in all.

    Args:
        candidates, counts: as `above` leaves them; counts becomes what is kept.
        centred: (n_rows, d_in), x - b_pre.
        columns, values: at least as long as all candidates; filled in row order.
    """
    at = 0
    exact = np.empty(candidates.shape[1], centred.dtype)
    for row in range(len(centred)):
        n = counts[row]
        _dots(centred[row], W_enc, candidates[row, :n], exact)
        kept = 0
        for i in range(n):
            latent = candidates[row, i]
            value = exact[i] + b_enc[latent]
            if value > floor:
                columns[at], values[at] = latent, value
                at += 1
                kept += 1
        counts[row] = kept
    return at


@_kernel
def at_least(rows, columns, values, cut, ties):
    """Move the entries above a cut, and the first `ties` of those at it, to the front; returns how many there are."""
    kept = 0
    for entry in range(len(values)):
        value = values[entry]
        if value > cut or (value == cut and ties > 0):
            ties -= value == cut
            rows[kept], columns[kept], values[kept] = rows[entry], columns[entry], value
            kept += 1
    return kept


@njit(nogil=True, cache=True)
def ranks(start, stop, offsets, values, out):
    """Each entry's place in its row by value, the highest being 0; ties keep their order. Rows start to stop - 1."""
    for row in range(start, stop):
        first, last = offsets[row], offsets[row + 1]
        order = np.argsort(-values[first:last], kind="mergesort")
        for place in range(last - first):
            out[first + order[place]] = place


@_kernel
def decode(start, stop, offsets, columns, values, W_dec, out):
    """out[row] = sum of value * W_dec[column] over the row's entries, for rows start to stop - 1."""
    for row in range(start, stop):
        a, b = offsets[row], offsets[row + 1]
        out[row] = 0
        _add_all(out[row], values[a:b], W_dec, columns[a:b])


@_kernel
def backward(start, stop, offsets, columns, values, planes, W_dec, target, weights, extra, G, dz):
    """Reconstruct rows start to stop - 1 and differentiate; see `Engine.backward`. Returns the loss of each plane."""
    n_planes, d_in = len(weights), W_dec.shape[1]
    losses = np.zeros(n_planes)
    error = np.empty(d_in, W_dec.dtype)  # x_hat - x
    for row in range(start, stop):
        a, b = offsets[row], offsets[row + 1]
        for j in range(d_in):
            error[j] = -target[row, j]
        for plane in range(n_planes):
            if n_planes == 1:
                _add_all(error, values[a:b], W_dec, columns[a:b])
            else:
                for entry in range(a, b):
                    if planes[entry] == plane:
                        _add(error, values[entry], W_dec[columns[entry]])
            losses[plane] += _dot(error, error)
            for j in range(d_in):
                G[plane, row, j] = 2 * weights[plane] * error[j]
        if len(extra):
            for j in range(d_in):
                G[n_planes - 1, row, j] += extra[row, j]
        for plane in range(n_planes - 2, -1, -1):
            for j in range(d_in):
                G[plane, row, j] += G[plane + 1, row, j]
        if n_planes == 1:
            _dots(G[0, row], W_dec, columns[a:b], dz[a:b])
        else:
            for entry in range(a, b):
                dz[entry] = _dot(G[planes[entry], row], W_dec[columns[entry]])
    return losses


@_kernel
def by_latent(columns, n_latents):
    """The entries in the order of their latents: those of latent j are order[starts[j] : starts[j + 1]]."""
    starts = np.zeros(n_latents + 1, np.int64)
    for latent in columns:
        starts[latent + 1] += 1
    for latent in range(n_latents):
        starts[latent + 1] += starts[latent]
    at = starts[:-1].copy()
    order = np.empty(len(columns), np.int64)
    for entry in range(len(columns)):
        order[at[columns[entry]]] = entry
        at[columns[entry]] += 1
    return starts, order


@_part
def latent_gradient(latent, starts, order, rows, values, planes, dz, G, centred, g_enc, g_dec):
    """One latent's rows of dL/dW_enc and dL/dW_dec, each (d_in,)."""
    g_enc[:] = 0
    g_dec[:] = 0
    a, b = starts[latent], starts[latent + 1]
    whole = a + (b - a) // 4 * 4
    for i in range(a, whole, 4):
        e0, e1, e2, e3 = order[i], order[i + 1], order[i + 2], order[i + 3]
        r0, r1, r2, r3 = rows[e0], rows[e1], rows[e2], rows[e3]
        _add_four(g_enc, dz[e0], centred[r0], dz[e1], centred[r1], dz[e2], centred[r2], dz[e3], centred[r3])
        _add_four(
            g_dec, values[e0], G[planes[e0], r0], values[e1], G[planes[e1], r1],
            values[e2], G[planes[e2], r2], values[e3], G[planes[e3], r3],
        )  # fmt: skip
    for i in range(whole, b):
        e = order[i]
        _add(g_enc, dz[e], centred[rows[e]])
        _add(g_dec, values[e], G[planes[e], rows[e]])


@_kernel
def latent_gradients(start, stop, starts, order, rows, values, planes, dz, G, centred, W_enc, W_dec):
    """Rows start to stop - 1 of dL/dW_enc and dL/dW_dec, written over W_enc and W_dec, (n_latents, d_in)."""
    for latent in range(start, stop):
        latent_gradient(latent, starts, order, rows, values, planes, dz, G, centred, W_enc[latent], W_dec[latent])


@_part
def adam_row(w, gradient, mean, square, beta1, beta2, step_size, root_scale, epsilon):
    """One row of Adam (Kingma & Ba 2015): step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t)."""
    for j in range(len(w)):
        mean[j] += (1 - beta1) * (gradient[j] - mean[j])
        square[j] += (1 - beta2) * (gradient[j] * gradient[j] - square[j])
        w[j] -= step_size * mean[j] / (np.sqrt(square[j]) * root_scale + epsilon)


@_part
def adam_latent(latent, g_enc, g_dec, W_enc, W_dec, moments, adam):
    """Adam on one latent's encoder row and direction; the direction moves along the sphere and stays of length 1."""
    beta1, beta2, step_size, root_scale, epsilon = adam
    mean_enc, square_enc, mean_dec, square_dec = moments
    w = W_dec[latent]
    _add(g_dec, -_dot(w, g_dec), w)
    adam_row(W_enc[latent], g_enc, mean_enc[latent], square_enc[latent], beta1, beta2, step_size, root_scale, epsilon)
    adam_row(w, g_dec, mean_dec[latent], square_dec[latent], beta1, beta2, step_size, root_scale, epsilon)
    length = np.sqrt(_dot(w, w))
    for j in range(len(w)):
        w[j] /= length


@_kernel
def update_latents(start, stop, starts, order, rows, values, planes, dz, G, centred, W_enc, W_dec, moments, adam):
    """Gradient and Adam of latents start to stop - 1 in one pass: no gradient of all latents is ever stored."""
    g_enc = np.empty(W_enc.shape[1], W_enc.dtype)
    g_dec = np.empty(W_enc.shape[1], W_enc.dtype)
    for latent in range(start, stop):
        latent_gradient(latent, starts, order, rows, values, planes, dz, G, centred, g_enc, g_dec)
        adam_latent(latent, g_enc, g_dec, W_enc, W_dec, moments, adam)


@_kernel
def adam_latents(start, stop, g_enc, g_dec, W_enc, W_dec, moments, adam):
    """Adam of latents start to stop - 1 from gradients that were summed before."""
    for latent in range(start, stop):
        adam_latent(latent, g_enc[latent], g_dec[latent], W_enc, W_dec, moments, adam)
