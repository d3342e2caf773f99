"""All that a training goes on from, and where it begins: at directions drawn from the texts, or at another SAE."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unweave.config import SAEConfig, TrainConfig
from unweave.errors import DimensionMismatch
from unweave.sae.given import thresholds
from unweave.sae.model import SAE
from unweave.sae.training.arithmetic import Engine, Parameters
from unweave.sae.training.parallel import World
from unweave.sae.training.reports import Window
from unweave.sae.training.rows import TrainingTexts
from unweave.sae.training.variants import Variant
from unweave.sae.training.variants.base import hint_from_few, strongest_of_batch

_INITIAL_NOISE = 0.3


class State(NamedTuple):
    """All that training goes on from."""

    parameters: Parameters
    moments: dict[str, Tensor]
    """Adam's two moments of each parameter, as `W_enc.mean` and `W_enc.square`."""
    texts_since_fired: Tensor  # (n_latents,) int64
    window: Window

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, to be saved, restored or sent to other processes."""
        named = dict(zip(Parameters._fields, self.parameters, strict=True)) | self.moments
        return named | {"texts_since_fired": self.texts_since_fired} | self.window.tensors()


def initial_state(
    sample: NDArray[np.float32], texts: TrainingTexts, sae_config: SAEConfig, config: TrainConfig, engine: Engine,
    variant: Variant, device: str,
) -> State:  # fmt: skip
    """Directions drawn from the target of texts, b_pre at its start, and the encoder scaled to fit a sample best.

    Directions that lie where texts lie win activations from the first step on, so that hardly any die.
    """
    n_latents, d_in = sae_config.n_latents, sae_config.d_in
    random = np.random.default_rng(config.seed)
    b_pre = torch.from_numpy(variant.centre(sample))
    drawn = random.integers(len(texts), size=n_latents)
    order = np.argsort(drawn, kind="stable")
    rows = np.empty((n_latents, d_in), np.float32)
    rows[order] = texts.take(drawn[order])
    noise = torch.from_numpy(random.standard_normal((n_latents, d_in), np.float32))
    x = torch.from_numpy(sample)
    left, drawn_left = (variant.target(engine, (t - b_pre).to(device)) for t in (x, torch.from_numpy(rows)))
    spread = left.cpu().square().mean().sqrt()
    W_dec = nn.functional.normalize(drawn_left.cpu() + _INITIAL_NOISE * spread * noise)
    zeros = torch.zeros(n_latents)
    p = Parameters(*(t.to(device).clone() for t in (W_dec, zeros, W_dec, b_pre, zeros)))
    x = x.to(device)
    centred, budget = x - p.b_pre, sae_config.k * len(x)
    hint = hint_from_few(engine, p, centred, budget, World())
    entries, _ = strongest_of_batch(engine, p, centred, budget, hint, World())
    guess = engine.decode(entries, p.W_dec, len(x))
    p.W_enc.mul_((left * guess).sum() / guess.square().sum().clamp_min(1e-12))
    variant.prepare(p, engine, x)
    return _with_nothing_learned(p, device)


def state_of(
    start: SAE, sae_config: SAEConfig, sample: NDArray[np.float32], engine: Engine, variant: Variant, device: str
) -> State:
    """An SAE's parameters as they are, and an optimiser that knows nothing yet.

    Raises:
        DimensionMismatch: the SAE is of another shape than the one that is to be trained.
    """
    shapes = [(c.d_in, c.n_latents, c.k, c.selection) for c in (start.config, sae_config)]
    if shapes[0] != shapes[1]:
        raise DimensionMismatch(
            f"an SAE of d_in, n_latents, k and selection {shapes[0]} came in to train on from, and one of {shapes[1]} "
            "is to be trained; train one of its shape, or from the beginning"
        )
    arrays = (start.W_enc, start.b_enc, start.W_dec, start.b_pre, thresholds(start))
    p = Parameters(*(torch.tensor(array, device=device) for array in arrays))
    variant.prepare(p, engine, torch.from_numpy(sample).to(device))
    p.threshold.copy_(torch.tensor(thresholds(start)))  # which `prepare` may have set as for a beginning
    return _with_nothing_learned(p, device)


def _with_nothing_learned(p: Parameters, device: str) -> State:
    moments = {
        f"{name}.{moment}": torch.zeros_like(parameter)
        for name, parameter in zip(Parameters._fields, p, strict=True)
        for moment in ("mean", "square")
    }
    since = torch.zeros(len(p.W_enc), dtype=torch.int64, device=device)
    return State(p, moments, since, Window.empty(len(p.W_enc), device))
