"""What to train with when nothing is said: chosen from the number of texts, their width and k, each with its reason."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, NamedTuple

from unweave.base.fields import LARGEST
from unweave.config import TEXTS_PER_LATENT, THRESHOLD, FitConfig, SAEConfig, TrainConfig
from unweave.errors import BadData

_MOST_EXPANSION = 32
_PASSES = 20
_STEPS_OF_MANY = 5000
_CHOSEN = ("steps", "batch_size", "lr", "warmup_steps", "dead_after")
_LR, _LR_BATCH, _LR_STEPS = 6e-3, 1024, 300
TEXTS_A_LATENT_CARRIED = 30
"""Texts that a latent takes if it is to be as good on unseen texts; fewer are learned by heart."""
_MOST_OWN, _FEWEST_OWN = 2048, 16
_OWN_SHARE_OF_K = 4
"""Beside k latents of a given dictionary, a k-th share of latents of the corpus's own is active on average."""
_SHARES_MISSED = 40
"""A latent is dead when it was silent while an average one was active so often."""
_REFIT_STEPS, _REFIT_LR = 0.5, 0.5
"""Of what a training from the beginning takes, when it goes on from an SAE; see `benchmarks/refit.py`."""


class Recipe(NamedTuple):
    """Choices for one training run."""

    n_latents: int
    batch_size: int
    steps: int
    lr: float
    warmup_steps: int
    dead_after: int
    reasons: dict[str, str]
    """Why, for each choice, in a few words."""

    def training(self, **given: Any) -> TrainConfig:
        """What is given, and what the recipe chooses where that is nothing, or None."""
        chosen = {name: getattr(self, name) for name in _CHOSEN}
        return TrainConfig(**chosen | {name: value for name, value in given.items() if value is not None})


def recommend(
    n_texts: int, d_in: int, k: int, *, n_latents: int | None = None, batch_size: int | None = None,
    steps: int | None = None, texts_per_latent: float = TEXTS_PER_LATENT,
) -> Recipe:  # fmt: skip
    """The recipe for `n_texts` embeddings, d_in wide; what is given is kept, and the rest follows from it."""
    expansion = 2 ** min(
        round(math.log2(_MOST_EXPANSION)), max(1, round(math.log2(max(1.0, n_texts / texts_per_latent / d_in))))
    )
    latents = n_latents or max(k, d_in * expansion)
    size = min(n_texts, batch_size or 2 ** min(12, max(8, round(math.log2(60 * max(1, n_texts) ** 0.25)))))
    per_pass = n_texts / size
    many = steps or max(300, min(round(_PASSES * per_pass), max(_STEPS_OF_MANY, round(2 * per_pass))))
    lr = _LR * math.sqrt(size / _LR_BATCH * _LR_STEPS / max(_LR_STEPS, many))
    warmup = min(100, many // 4)
    silent = min(LARGEST, max(2 * size, round(_SHARES_MISSED * latents / k)))
    return Recipe(
        latents,
        size,
        many,
        lr,
        warmup,
        silent,
        {
            "n_latents": f"{latents / d_in:.3g} times the {d_in} dimensions, {n_texts / latents:.2g} texts a latent; "
            "more latents on the same texts learn texts by heart",
            "batch_size": f"{per_pass:.0f} batches a pass over {n_texts:,} texts",
            "steps": f"{many * size / n_texts:.2g} passes over the texts; beyond twenty, unseen texts gain nothing",
            "lr": f"{_LR:g} at {_LR_STEPS} batches of {_LR_BATCH:,}, by the square root of their size, smaller by that "
            f"of their number; {warmup} steps of warm-up",
        },
    )


class Plan(NamedTuple):
    """All that one training run needs to be told."""

    sae: SAEConfig
    """What is trained; beside a given dictionary, the corpus's own latents alone."""
    training: TrainConfig
    recipe: Recipe
    """What was chosen where nothing was said, and why."""


def planned(config: FitConfig, n_texts: int, d_in: int, encoder: str) -> Plan:
    """What a person chose, completed by the recipe for `n_texts` embeddings, d_in wide."""
    recipe = recommend(
        n_texts, d_in, config.k,
        n_latents=config.n_latents, batch_size=config.batch_size, steps=config.steps,
        texts_per_latent=config.texts_per_latent,
    )  # fmt: skip
    sae = SAEConfig(d_in=d_in, n_latents=recipe.n_latents, k=config.k, encoder=encoder)
    return Plan(sae, _training(config, recipe), recipe)


def planned_beside(given: SAEConfig, config: FitConfig, n_texts: int) -> Plan | None:
    """How latents of the corpus's own are trained beside a given dictionary; None: there are to be none.

    Raises:
        BadData: a person asked for some, and the dictionary takes none beside it.
    """
    asked = config.own_latents
    if given.selection != THRESHOLD:
        if asked:
            raise BadData(
                f"own_latents = {asked}, but this dictionary selects by {given.selection}, so that others beside it "
                "would change which of its latents are active; give own_latents = 0, or one that has thresholds"
            )
        return None
    n_latents = carried(n_texts, _MOST_OWN) if asked is None else asked
    if not n_latents:
        return None
    k = min(n_latents, max(1, given.k // _OWN_SHARE_OF_K))
    recipe = recommend(
        n_texts, given.d_in, k, n_latents=n_latents, batch_size=config.batch_size, steps=config.steps
    )  # fmt: skip
    why = f"one for {TEXTS_A_LATENT_CARRIED} texts, {_MOST_OWN:,} at most; more learn texts by heart"
    recipe = recipe._replace(reasons=recipe.reasons | {"n_latents": why})
    sae = SAEConfig(d_in=given.d_in, n_latents=n_latents, k=k, encoder=given.encoder)
    return Plan(sae, replace(_training(config, recipe), variant="batch_topk"), recipe)


def continued(plan: Plan, config: FitConfig) -> Plan:
    """The same SAE, trained on from one of its shape: fewer and smaller steps, where a person chose none."""
    share = "of a training from the beginning"
    chosen: dict[str, Any] = {}
    if config.steps is None:
        chosen["steps"] = max(1, round(_REFIT_STEPS * plan.training.steps))
    if config.lr is None:
        chosen["lr"] = _REFIT_LR * plan.training.lr
    reasons = {"steps": f"{_REFIT_STEPS:.0%} of those {share}", "lr": f"{_REFIT_LR:.0%} of that {share}"}
    recipe = plan.recipe._replace(reasons=plan.recipe.reasons | reasons)
    return plan._replace(training=replace(plan.training, **chosen), recipe=recipe)


def carried(n_texts: int, most: int | None = None) -> int:
    """How many latents so many texts can carry, at most; 0 if that is too few to be of use."""
    n_latents = n_texts // TEXTS_A_LATENT_CARRIED
    return 0 if n_latents < _FEWEST_OWN else min(n_latents, most or n_latents)


def _training(config: FitConfig, recipe: Recipe) -> TrainConfig:
    shared = {field.name for field in fields(TrainConfig)} & {field.name for field in fields(FitConfig)}
    return recipe.training(**{name: getattr(config, name) for name in shared})
