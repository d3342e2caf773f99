"""Train an SAE on embeddings in memory with what the recipe chooses: `unweave.train`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.vectors import refuse_unusable
from unweave.config import FitConfig
from unweave.errors import BadData, MissingExtra
from unweave.sae.model import SAE
from unweave.sae.training.recipe import planned


def train(
    embeddings: NDArray[np.floating[Any]],
    k: int = 32,
    *,
    n_latents: int | None = None,
    variant: str = "batch_topk",
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    held_out: float = 0.05,
    seed: int = 0,
    device: str = "cpu",
    encoder: str = "",
    twin: bool = False,
    consensus: int = 0,
) -> SAE:
    """Train a sparse autoencoder on embeddings.

    What is not said is chosen from their number and width, as `unweave fit` does; `config.FitConfig` says what each
    argument means. The same arguments give the same SAE, bit for bit on one machine.

    Args:
        embeddings: (n, d_in), as the encoder gave them.
        k: active latents per embedding, on average.
        held_out: share of the embeddings that is never trained on; the log tells the error on them.
        encoder: name of the model that made the embeddings; it is kept with the SAE.
        twin: train once more from another seed, so that `SAE.returns` says which latents that run found again.
        consensus: runs from other seeds, two or more, that the SAE is made of what most agree on; `SAE.returns` then
            says which latents they all found. 0: it is one run.

    Raises:
        BadData: the embeddings are no matrix, too few, all the same, or one is zero or not finite.
        MissingExtra: torch is not installed.
        ValueError: a choice is not among those there are.
    """
    try:
        from unweave.sae.training.consensus import run_consensus
        from unweave.sae.training.run import run_training
        from unweave.sae.training.twin import run_with_twin
    except ImportError as error:
        raise MissingExtra("training an SAE", "fit") from error
    config = FitConfig(
        k=k, n_latents=n_latents, variant=variant, steps=steps, batch_size=batch_size, lr=lr, held_out=held_out,
        seed=seed, device=device, twin=twin, consensus=consensus,
    )  # fmt: skip
    rows = np.asarray(embeddings, dtype=np.float32)
    if rows.ndim != 2 or len(rows) < 3:
        raise BadData(f"embeddings of shape {rows.shape} came in; expected (n, d_in), a row for each of many texts")
    refuse_unusable(rows, "embeddings to train on")
    held = np.random.default_rng(seed).random(len(rows)) < held_out
    held[0], held[1:3] = True, False  # neither is ever empty
    plan = planned(config, int((~held).sum()), rows.shape[1], encoder)
    texts = rows[~held], rows[held], plan.sae, plan.training
    if consensus > 1:
        return run_consensus(*texts, runs=consensus, device=device).sae
    run = run_with_twin if twin else run_training
    return run(*texts, device=device).sae
