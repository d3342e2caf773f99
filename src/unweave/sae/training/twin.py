"""A training and its twin: a second run on the same texts from another seed, which tells what of the first returns.

A latent that both runs found is a property of the texts; one that the second did not find again may be one of the seed
that happened to be drawn. After Gerasimov et al., arXiv 2606.12138, who call that a feature's stability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.building import Build
from unweave.base.cores import is_helper
from unweave.base.room import refuse_beyond_memory
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.agreement import with_twin
from unweave.sae.model import SAE
from unweave.sae.training.parallel import own_device, world_of
from unweave.sae.training.reports import Report
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import Trained, forget, run_training

_FIRST, _TWIN = "first", "twin"
MATCHED_ON = 100_000
"""Texts, at most, by which latents are live in both runs."""


def run_with_twin(
    texts: TrainingTexts | NDArray[np.float32],
    held_out: NDArray[np.float32],
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    given: SAE | None = None,
    device: str = "cpu",
    checkpoint: Build | None = None,
    reporters: Iterable[Callable[[Report], None]] = (),
) -> Trained:
    """Train as `run_training` does, and again from another seed; the SAE then has its agreement with the second.

    Of the second run nothing else stays. A kill during it does not lose the first. Beside a given dictionary the
    corpus's own latents alone have a twin; the given ones keep what is known of them.

    Raises:
        DimensionMismatch, BadData: as `run_training`, or matching the two runs does not fit into memory.
    """
    refuse_unmatchable(sae_config.n_latents, "--no-twin")

    def run(training: TrainConfig, kept_as: str, reporters: Iterable[Callable[[Report], None]] = ()) -> Trained:
        return run_training(
            texts, held_out, sae_config, training,
            given=given, device=device, checkpoint=checkpoint, kept_as=kept_as, reporters=reporters,
        )  # fmt: skip

    with world_of(own_device(device)):
        first = run(config, _FIRST, reporters)
        progress.say("once more from another seed, to see which latents return")
        twin = run(replace(config, seed=other_seed(config.seed, 1)), _TWIN)
    if is_helper():
        return first
    if checkpoint is not None:
        forget(checkpoint, _FIRST)
        forget(checkpoint, _TWIN)
    rows = texts if isinstance(texts, TrainingTexts) else TrainingTexts.of(texts)
    sample, n_given = rows.sample(MATCHED_ON, config.seed), 0 if given is None else given.config.n_latents
    return first._replace(sae=_matched(first.sae, twin.sae, sample, n_given))


def other_seed(seed: int, number: int) -> int:
    """The seed of a further run, from 1 on: far from those that people type, whose runs may be compared with all."""
    return seed ^ number << 20


def refuse_unmatchable(n_latents: int, without: str) -> None:
    """Raise BadData if the latents of two runs cannot be matched in memory; `without` is the option to do without."""
    refuse_beyond_memory(
        8 * n_latents**2,
        f"matching {n_latents:,} latents with those of another run",
        f"give fewer, or do without: {without}",
    )


def _matched(sae: SAE, twin: SAE, sample: NDArray[np.float32], n_given: int) -> SAE:
    """The SAE with its agreement with the twin, the first `n_given` latents with what was known of them."""
    found = with_twin(sae, twin, sample, first=n_given)
    if sae.twin is not None:
        found[:n_given] = sae.twin[:n_given]
    return replace(sae, twin=found)
