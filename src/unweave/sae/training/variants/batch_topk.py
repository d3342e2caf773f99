"""BatchTopK: the k * batch strongest activations of a batch stay (Bussmann et al. 2024, arXiv 2412.06410)."""

from __future__ import annotations

from torch import Tensor

from unweave.sae.training.arithmetic import Engine, Entries, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Variant, strongest_of_batch

_BELOW_LAST_CUT = 0.95


class BatchTopK(Variant):
    """The budget goes where activations are strong: a rich text gets more latents than a plain one."""

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        entries, cut = strongest_of_batch(engine, p, centred, self.k * len(centred) * world.size, hint, world)
        return entries, _BELOW_LAST_CUT * cut
