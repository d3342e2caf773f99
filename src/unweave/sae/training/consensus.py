"""An SAE of what several runs agree on: directions that most of them found, averaged, beside others that stay free.

Each run trains on the same texts from another seed. A latent of one and its partner in another (`agreement.match`) are
the same if they agree as much as a latent that returns; the same latents of the runs are a group, and a group that at
least half of the runs have a member of is one latent of the consensus. Its decoder is the members' mean, of length 1,
and stays as it is while the encoder and what no group takes are trained on. After Gerasimov et al., arXiv 2606.12138,
who pool what several seeds find, and Gadgil et al., arXiv 2505.16077; `benchmarks/dictionary_choices.py` compares it
with one run, and with directions that go on moving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.building import Build
from unweave.base.cores import is_helper
from unweave.base.vectors import unit_rows
from unweave.config import SAEConfig, TrainConfig
from unweave.sae.agreement import RETURNS, directions_of, match, with_twin
from unweave.sae.given import thresholds
from unweave.sae.model import SAE
from unweave.sae.training.parallel import own_device, world_of
from unweave.sae.training.reports import Report
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.run import Trained, forget, run_training
from unweave.sae.training.twin import MATCHED_ON, other_seed, refuse_unmatchable

LAST_STEPS, LAST_LR = 0.5, 0.5
"""Of a run's steps and step size, what training on from the consensus takes."""
_LAST = "last"


class Agreed(NamedTuple):
    """Where training goes on after several runs."""

    sae: SAE
    """Groups first, the ones that most runs have before the others, then latents of the first run that are in none."""
    n_groups: int


def run_consensus(
    texts: TrainingTexts | NDArray[np.float32],
    held_out: NDArray[np.float32],
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    runs: int,
    device: str = "cpu",
    checkpoint: Build | None = None,
    reporters: Iterable[Callable[[Report], None]] = (),
) -> Trained:
    """Train so many runs as `run_training` does, each from another seed, and train on from what they agree on.

    The SAE has its agreement with the runs: of each latent the lowest, as `SAE.twin` keeps it. What is reported is the
    last training. A kill does not lose the runs that are done.

    Raises:
        DimensionMismatch, BadData: as `run_training`, or matching two runs does not fit into memory.
    """
    refuse_unmatchable(sae_config.n_latents, "--consensus 0")
    found: list[SAE] = []
    with world_of(own_device(device)):
        for number in range(runs):
            progress.say(f"run {number + 1} of {runs}, to see what they agree on")
            seeded = replace(config, seed=other_seed(config.seed, number))
            run = run_training(
                texts, held_out, sae_config, seeded, device=device, checkpoint=checkpoint, kept_as=f"run-{number}"
            )
            found.append(run.sae)
        start = consensus(found)
        progress.say(f"{start.n_groups:,} of {sae_config.n_latents:,} latents are of at least half of the runs")
        steps = max(1, round(LAST_STEPS * config.steps))
        last = run_training(
            texts, held_out, sae_config, replace(config, steps=steps, lr=LAST_LR * config.lr),
            start=start.sae, settled=start.n_groups,
            device=device, checkpoint=checkpoint, kept_as=_LAST, reporters=reporters,
        )  # fmt: skip
    if is_helper():
        return last
    if checkpoint is not None:
        for name in (*(f"run-{number}" for number in range(runs)), _LAST):
            forget(checkpoint, name)
    rows = texts if isinstance(texts, TrainingTexts) else TrainingTexts.of(texts)
    sample = rows.sample(MATCHED_ON, config.seed)
    lowest = np.min([with_twin(last.sae, run, sample) for run in found], axis=0)
    return last._replace(sae=replace(last.sae, twin=lowest))


def consensus(runs: Sequence[SAE]) -> Agreed:
    """The SAE of what at least half of the runs, and two of them, have, filled up with latents of the first run.

    Args:
        runs: of one shape, each from another seed.
    """
    groups = _groups(runs)
    n_latents = runs[0].config.n_latents
    sizes = (groups >= 0).sum(axis=1)
    groups = groups[np.argsort(-sizes, kind="stable")][:n_latents]
    alone = np.setdiff1d(np.arange(n_latents), groups[:, 0])[: n_latents - len(groups)]
    W_enc, b_enc, W_dec = (_means([getattr(run, name) for run in runs], groups) for name in ("W_enc", "b_enc", "W_dec"))
    first = runs[0]
    sae = SAE(
        first.config,
        np.concatenate([W_enc, first.W_enc[alone]]),
        np.concatenate([b_enc, first.b_enc[alone]]),
        np.concatenate([unit_rows(W_dec), first.W_dec[alone]]),
        np.mean([run.b_pre for run in runs], axis=0),
        np.concatenate([_means([thresholds(run) for run in runs], groups), thresholds(first)[alone]]),
    )
    return Agreed(sae, len(groups))


def _groups(runs: Sequence[SAE]) -> NDArray[np.int64]:
    """The same latents of several runs, (n_groups, n_runs): each run's number of it, -1 where it has none.

    A latent is in one group at most: that of the first run which has it.
    """
    n_runs, n_latents = len(runs), runs[0].config.n_latents
    partners = np.full((n_runs, n_runs, n_latents), -1)
    for one, other in combinations(range(n_runs), 2):
        found = match(directions_of(runs[one]), directions_of(runs[other]))
        same = np.flatnonzero(found.agreement >= RETURNS)
        partners[one, other, same] = found.partners[same]
        partners[other, one, found.partners[same]] = same
    taken = np.zeros((n_runs, n_latents), np.bool_)
    groups = [np.empty((0, n_runs), np.int64)]
    for run in range(n_runs):
        members = partners[run].T.copy()  # (n_latents, n_runs)
        members[:, run] = np.arange(n_latents)
        for other in range(n_runs):
            members[taken[other, members[:, other]] & (members[:, other] >= 0), other] = -1
        of = members[(members[:, run] >= 0) & ((members >= 0).sum(axis=1) >= max(2, n_runs / 2))]
        for other in range(n_runs):
            taken[other, of[of[:, other] >= 0, other]] = True
        groups.append(of)
    return np.concatenate(groups)


def _means(of_runs: Sequence[NDArray[np.float32]], groups: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of each group the mean over its members, (n_groups, …), of arrays that have a row for each latent of a run."""
    sums = np.zeros((len(groups), *of_runs[0].shape[1:]), np.float64)
    for of_run, members in zip(of_runs, groups.T, strict=True):
        has = members >= 0
        sums[has] += of_run[members[has]]
    counts = (groups >= 0).sum(axis=1).reshape(-1, *[1] * (sums.ndim - 1))
    return np.asarray(sums / counts, np.float32)
