"""Encoders that stay near their decoders, so that more latents return in a run from another seed, or on other texts.

    W_enc_j = a w_j + u,  w_j the decoder's row of length 1, u at right angles to it;   |u| <= a tan(phi)

which holds W_enc_j within the angle phi of w_j. What a free encoder adds to a latent's own direction is what tells it
from its neighbours in this dictionary, and neighbours are others in each run. `benchmarks/dictionary_choices.py`
compares angles, and ties (phi = 0), with free encoders.
"""

from __future__ import annotations

import math

from unweave.sae.training.arithmetic import Parameters

_LEAST = 1e-6
"""Of a: an encoder that points away from its decoder begins again along it."""


def hold_within(p: Parameters, cosine: float) -> None:
    """Shorten, in place, what each row of W_enc has at right angles to its decoder, until they are near enough.

    Args:
        cosine: cos(phi), the least that each pair is to have, above 0 and at most 1.
    """
    along = (p.W_enc * p.W_dec).sum(dim=1, keepdim=True).clamp_min(_LEAST)
    across = p.W_enc - along * p.W_dec
    most = math.sqrt(1 - cosine**2) / cosine * along
    p.W_enc.copy_(along * p.W_dec + (most / across.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1) * across)
