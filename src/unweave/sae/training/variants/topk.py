"""TopK: each text keeps its k strongest activations (Gao et al. 2024, arXiv 2406.04093)."""

from __future__ import annotations

import torch
from torch import Tensor

from unweave.config import TOP_K
from unweave.sae.training.arithmetic import Engine, Entries, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Variant, lower

_BELOW_LAST_CUT = 0.95
_ROWS_BELOW_HINT = 0.02
"""Share of the texts whose k-th activation may lie below the hint: these are looked at again."""


class TopK(Variant):
    """Every text has the same number of latents, in training and after."""

    selection = TOP_K

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        entries, ranks, hint = strongest_per_text(engine, p, centred, self.k, hint)
        return entries.where(ranks < self.k), hint


def strongest_per_text(
    engine: Engine, p: Parameters, centred: Tensor, k: int, hint: float
) -> tuple[Entries, Tensor, float]:
    """At least the k highest positive activations of each text, where so many are positive, with their ranks.

    Texts with fewer than k activations above the hint are looked at again, lower; the hint never changes the result.

    Returns:
        entries, their ranks within their text (0 is the highest), and the next hint.
    """
    entries = engine.above(p, centred, hint)
    while hint > 0:
        counts = torch.bincount(entries.rows, minlength=len(centred))
        short = (counts < k).nonzero()[:, 0]
        if not len(short):
            break
        hint = lower(hint)
        again = engine.above(p, centred[short], hint)
        entries = _in_row_order(entries.where(counts[entries.rows] >= k), again._replace(rows=short[again.rows]))
    ranks = engine.ranks(entries, len(centred))
    cuts = entries.values[ranks == min(k, int(ranks.max()) + 1) - 1] if len(ranks) else entries.values
    return entries, ranks, _BELOW_LAST_CUT * float(cuts.quantile(_ROWS_BELOW_HINT)) if len(cuts) else 0.0


def _in_row_order(first: Entries, second: Entries) -> Entries:
    together = Entries(*(torch.cat(fields) for fields in zip(first, second, strict=True)))
    order = torch.argsort(together.rows, stable=True)
    return Entries(*(field[order] for field in together))
