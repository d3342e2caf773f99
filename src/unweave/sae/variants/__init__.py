"""The kinds of SAE that can be trained, one a module; `base` has what they share."""

from __future__ import annotations

from unweave.sae.variants.base import Gradients, Step, Variant
from unweave.sae.variants.batch_topk import BatchTopK
from unweave.sae.variants.jumprelu import JumpReLU
from unweave.sae.variants.matching_pursuit import MatchingPursuit
from unweave.sae.variants.matryoshka import Matryoshka
from unweave.sae.variants.nested_topk import NestedTopK
from unweave.sae.variants.topk import TopK

VARIANTS: dict[str, type[Variant]] = {
    "batch_topk": BatchTopK,
    "topk": TopK,
    "nested_topk": NestedTopK,
    "matryoshka": Matryoshka,
    "jumprelu": JumpReLU,
    "matching_pursuit": MatchingPursuit,
}

__all__ = ["VARIANTS", "Gradients", "Step", "Variant"]
