"""The kinds of SAE that can be trained, one a module; `base` has what they share."""

from __future__ import annotations

from unweave.sae.training.variants.base import Gradients, Step, Variant
from unweave.sae.training.variants.batch_topk import BatchTopK
from unweave.sae.training.variants.jumprelu import JumpReLU
from unweave.sae.training.variants.matching_pursuit import MatchingPursuit
from unweave.sae.training.variants.matryoshka import Matryoshka
from unweave.sae.training.variants.nested_topk import NestedTopK
from unweave.sae.training.variants.topk import TopK

VARIANTS: dict[str, type[Variant]] = {
    "batch_topk": BatchTopK,
    "topk": TopK,
    "nested_topk": NestedTopK,
    "matryoshka": Matryoshka,
    "jumprelu": JumpReLU,
    "matching_pursuit": MatchingPursuit,
}

__all__ = ["VARIANTS", "Gradients", "Step", "Variant"]
