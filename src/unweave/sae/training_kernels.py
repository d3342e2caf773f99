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
_kernel = njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})


@_kernel
def above_half(products, floor, columns, counts):
    """Entries of a block of bfloat16 products at or above a floor > 0.

    Both are read as the 16-bit integers they are stored as, which order positive numbers as the numbers themselves.

    Args:
        products: (n_rows, n_latents) int16.
        columns: (n_rows, capacity) int32, filled with the latents found; counts may exceed the capacity.
    """
    n_rows, width = products.shape
    capacity = columns.shape[1]
    whole = width - width % _CHUNK
    for row in range(n_rows):
        found = 0
        for start in range(0, width, _CHUNK):
            if start < whole:
                n_above = 0
                for j in range(start, start + _CHUNK):
                    n_above += products[row, j] >= floor
                if n_above == 0:
                    continue
            for latent in range(start, min(start + _CHUNK, width)):
                if products[row, latent] >= floor:
                    if found < capacity:
                        columns[row, found] = latent
                    found += 1
        counts[row] = found


@_kernel
def exact_above(candidates, counts, centred, W_enc, b_enc, floor, columns, values):
    """Of each row's candidates keep those whose exact activation exceeds the floor; returns how many in all.

    Args:
        candidates, counts: as `above_half` leaves them; counts becomes what is kept.
        centred: (n_rows, d_in), x - b_pre.
        columns, values: at least as long as all candidates; filled in row order.
    """
    n_rows, d_in = centred.shape
    at = 0
    for row in range(n_rows):
        kept = 0
        for i in range(counts[row]):
            latent = candidates[row, i]
            value = b_enc[latent]
            for j in range(d_in):
                value += W_enc[latent, j] * centred[row, j]
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
    d_in = W_dec.shape[1]
    for row in range(start, stop):
        out[row] = 0
        for entry in range(offsets[row], offsets[row + 1]):
            for j in range(d_in):
                out[row, j] += values[entry] * W_dec[columns[entry], j]


@_kernel
def backward(start, stop, offsets, columns, values, planes, W_dec, target, weights, extra, G, dz):
    """Reconstruct rows start to stop - 1 and differentiate; see `Engine.backward`. Returns the loss of each plane."""
    n_planes, d_in = len(weights), W_dec.shape[1]
    losses = np.zeros(n_planes)
    error = np.empty(d_in, W_dec.dtype)
    for row in range(start, stop):
        error[:] = target[row]
        for plane in range(n_planes):
            for entry in range(offsets[row], offsets[row + 1]):
                if n_planes == 1 or planes[entry] == plane:
                    for j in range(d_in):
                        error[j] -= values[entry] * W_dec[columns[entry], j]
            squares = error[0] * error[0]
            for j in range(1, d_in):
                squares += error[j] * error[j]
            losses[plane] += squares
            for j in range(d_in):
                G[plane, row, j] = -2 * weights[plane] * error[j]
        if len(extra):
            for j in range(d_in):
                G[n_planes - 1, row, j] += extra[row, j]
        for plane in range(n_planes - 2, -1, -1):
            for j in range(d_in):
                G[plane, row, j] += G[plane + 1, row, j]
        for entry in range(offsets[row], offsets[row + 1]):
            plane = 0 if n_planes == 1 else planes[entry]
            slope = W_dec.dtype.type(0)
            for j in range(d_in):
                slope += G[plane, row, j] * W_dec[columns[entry], j]
            dz[entry] = slope
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


@_kernel
def latent_gradient(latent, starts, order, rows, values, planes, dz, G, centred, g_enc, g_dec):
    """One latent's rows of dL/dW_enc and dL/dW_dec, each (d_in,)."""
    d_in = centred.shape[1]
    g_enc[:] = 0
    g_dec[:] = 0
    for i in range(starts[latent], starts[latent + 1]):
        entry = order[i]
        row, plane, value, slope = rows[entry], planes[entry], values[entry], dz[entry]
        for j in range(d_in):
            g_dec[j] += value * G[plane, row, j]
            g_enc[j] += slope * centred[row, j]


@_kernel
def latent_gradients(start, stop, starts, order, rows, values, planes, dz, G, centred, W_enc, W_dec):
    """Rows start to stop - 1 of dL/dW_enc and dL/dW_dec, written over W_enc and W_dec, (n_latents, d_in)."""
    for latent in range(start, stop):
        latent_gradient(latent, starts, order, rows, values, planes, dz, G, centred, W_enc[latent], W_dec[latent])


@_kernel
def adam_row(w, gradient, mean, square, beta1, beta2, step_size, root_scale, epsilon):
    """One row of Adam (Kingma & Ba 2015): step_size = lr / (1 - beta1^t), root_scale = 1 / sqrt(1 - beta2^t)."""
    for j in range(len(w)):
        mean[j] += (1 - beta1) * (gradient[j] - mean[j])
        square[j] += (1 - beta2) * (gradient[j] * gradient[j] - square[j])
        w[j] -= step_size * mean[j] / (np.sqrt(square[j]) * root_scale + epsilon)


@_kernel
def adam_latent(latent, g_enc, g_dec, W_enc, W_dec, moments, adam):
    """Adam on one latent's encoder row and direction; the direction moves along the sphere and stays of length 1."""
    beta1, beta2, step_size, root_scale, epsilon = adam
    mean_enc, square_enc, mean_dec, square_dec = moments
    w = W_dec[latent]
    along = w[0] * g_dec[0]
    for j in range(1, len(w)):
        along += w[j] * g_dec[j]
    for j in range(len(w)):
        g_dec[j] -= along * w[j]
    adam_row(W_enc[latent], g_enc, mean_enc[latent], square_enc[latent], beta1, beta2, step_size, root_scale, epsilon)
    adam_row(w, g_dec, mean_dec[latent], square_dec[latent], beta1, beta2, step_size, root_scale, epsilon)
    squares = w[0] * w[0]
    for j in range(1, len(w)):
        squares += w[j] * w[j]
    length = np.sqrt(squares)
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
