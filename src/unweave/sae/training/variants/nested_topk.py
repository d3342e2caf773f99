"""Several k in one model: the latents a text keeps at a small k are the strongest of those at a large one.

The loss is the mean over several k of the error of TopK reconstructions, so that k can be cut when an embedding is
encoded (`SAE.encode(…, max_latents=…)`) without training again. After HierarchicalTopK, arXiv 2505.24473.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unweave.config import TOP_K
from unweave.sae.training.arithmetic import Engine, Entries, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.variants.base import Variant
from unweave.sae.training.variants.topk import strongest_per_text


class NestedTopK(Variant):
    """TopK at k, k / 2, k / 4 and k / 8 at once."""

    selection = TOP_K

    def ks(self) -> list[int]:
        """The numbers of latents that are reconstructed from, ascending, k the last."""
        return sorted({max(1, self.k // cut) for cut in (8, 4, 2, 1)})

    def weights(self) -> tuple[float, ...]:
        return (1 / len(self.ks()),) * len(self.ks())

    def select(
        self, engine: Engine, p: Parameters, centred: Tensor, hint: float, world: World
    ) -> tuple[Entries, float]:
        entries, ranks, hint = strongest_per_text(engine, p, centred, self.k, hint)
        planes = torch.bucketize(ranks, torch.tensor(self.ks(), device=ranks.device), right=True)
        return entries._replace(planes=planes).where(ranks < self.k), hint
