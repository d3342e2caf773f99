"""Train a BatchTopK sparse autoencoder with torch.

The gradients are written out by hand and are sparse: only the k * batch active entries of a batch have
any, so nothing of shape (batch, n_latents) is ever differentiated. A test holds them to autograd's.
Source of the objective: Bussmann et al. 2024, arXiv 2412.06410; of AuxK: Gao et al. 2024, arXiv 2406.04093.
"""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unweave import progress
from unweave.artifact import Build, write_atomically
from unweave.embeddings import refuse_unusable
from unweave.errors import BadData, DimensionMismatch
from unweave.progress import Stopwatch
from unweave.sae.model import SAE, SAEConfig

logger = logging.getLogger(__name__)

_CHECKPOINT = "checkpoint.safetensors"
_CHECKPOINT_SECONDS = 15.0
_SAMPLE_ROWS = 4096
_CALIBRATION_ROWS = 200_000
_INITIAL_NOISE = 0.3


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How an SAE is trained."""

    steps: int
    """Batches to train on."""
    batch_size: int = 512
    """Embeddings in a batch."""
    lr: float = 4e-3
    """Adam's step size at its highest: after the warm-up, until the decay begins half-way."""
    warmup_steps: int = 100
    """Steps over which the step size rises from 0."""
    aux_alpha: float = 1 / 32
    """Weight of the auxiliary loss that revives dead latents (AuxK)."""
    dead_after: int = 50_000
    """A latent that was active for none of the last so many training texts is dead."""
    seed: int = 0
    """Decides the initial directions and the order of the texts."""


class Parameters(NamedTuple):
    """What training changes."""

    W_enc: Tensor  # (n_latents, d_in)
    b_enc: Tensor  # (n_latents,)
    W_dec: Tensor  # (n_latents, d_in), rows of length 1
    b_pre: Tensor  # (d_in,)


class Active(NamedTuple):
    """The active entries of a batch, in row order: latent columns[i] is active in row rows[i] with values[i]."""

    rows: Tensor  # (n_active,) int64
    columns: Tensor  # (n_active,) int64
    values: Tensor  # (n_active,) float, > 0

    def decode(self, W_dec: Tensor, n_rows: int) -> Tensor:
        """z W_dec, (n_rows, d_in): each row's directions, weighted and summed."""
        return _sums(self.columns, self.values, self.rows, n_rows, W_dec)

    def accumulate(self, weights: Tensor, of_rows: Tensor, n_latents: int) -> Tensor:
        """Z.T of_rows, (n_latents, d_in), where Z holds `weights` at the active entries."""
        order = torch.argsort(self.columns, stable=True)
        return _sums(self.rows[order], weights[order], self.columns[order], n_latents, of_rows)

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """left[row] . right[column] at each active entry, (n_active,)."""
        offsets = _offsets(self.rows, len(left))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            where = torch.sparse_csr_tensor(
                offsets, self.columns, torch.zeros_like(self.values), (len(left), len(right)), check_invariants=False
            )
            products: Tensor = torch.sparse.sampled_addmm(where, left, right.T, beta=0.0)
            return products.values()


class Step(NamedTuple):
    """What one batch gives: its loss per text, the gradient of that loss, and what the next batch needs."""

    loss: float
    gradients: Parameters
    fired: Tensor  # (n_fired,) int64: the latents that were active
    cut: float
    """The lowest activation that was kept."""


def strongest_of_batch(activations: Tensor, budget: int, hint: float = 0.0) -> Active:
    """The `budget` highest positive activations of a batch, (batch, n_latents): BatchTopK.

    Only entries above `hint` are looked at, and the whole batch again if these are too few, so a good
    hint (a little below the last batch's cut) saves the selection over all entries; it never changes the result.
    """
    rows, columns = (activations > max(hint, 0.0)).nonzero(as_tuple=True)
    if len(rows) < budget and hint > 0.0:
        return strongest_of_batch(activations, budget)
    values = activations[rows, columns]
    if len(values) > budget:
        cut = values.topk(budget, sorted=False).values.min()
        above, at_cut = values > cut, values == cut
        # Entries equal at the cut (repeated texts give them) are settled by order, with a hint as without.
        kept = above | (at_cut & (at_cut.cumsum(0) <= budget - above.sum()))
        rows, columns, values = rows[kept], columns[kept], values[kept]
    return Active(rows, columns, values)


def step(p: Parameters, x: Tensor, k: int, *, dead: Tensor, aux_alpha: float, hint: float = 0.0) -> Step:
    """Loss and gradients of one batch, x: (batch, d_in).

    loss = mean over the batch of |x - x_hat|^2 + aux_alpha |e - e_hat|^2, where e = x - x_hat is held fixed
    and e_hat is what the strongest dead latents, d_in / 2 a text, make of it. Nothing dead: no second term.

    Args:
        dead: (n_dead,) int64, the latents that count as dead.
        hint: see `strongest_of_batch`.
    """
    centred = x - p.b_pre
    activations = torch.addmm(p.b_enc, centred, p.W_enc.T)
    active = strongest_of_batch(activations, k * len(x), hint)
    error = x - (active.decode(p.W_dec, len(x)) + p.b_pre)
    loss = error.square().sum() / len(x)
    gradients = _gradients(p, centred, active, error)
    # b_pre is also added to x_hat, beside being taken from x before encoding.
    gradients = gradients._replace(b_pre=gradients.b_pre - 2 / len(x) * error.sum(dim=0))
    if len(dead) and aux_alpha:
        revived = _strongest_per_row(activations, dead, most=x.shape[1] // 2)
        missed = error - revived.decode(p.W_dec, len(x))
        loss = loss + aux_alpha * missed.square().sum() / len(x)
        auxiliary = _gradients(p, centred, revived, missed)
        gradients = Parameters(*(g + aux_alpha * a for g, a in zip(gradients, auxiliary, strict=True)))
    cut = float(active.values.min()) if len(active.values) else 0.0
    fired = (torch.bincount(active.columns, minlength=len(p.W_enc)) > 0).nonzero()[:, 0]
    return Step(float(loss), gradients, fired, cut)


def _strongest_per_row(activations: Tensor, among: Tensor, most: int) -> Active:
    """The positive activations among some latents, at most `most` a row."""
    values, nth = activations[:, among].topk(min(len(among), most), dim=1)
    columns, order = among[nth].sort(dim=1)
    values = values.gather(1, order)
    rows, places = (values > 0).nonzero(as_tuple=True)
    return Active(rows, columns[rows, places], values[rows, places])


def _gradients(p: Parameters, centred: Tensor, active: Active, error: Tensor) -> Parameters:
    """Gradient of |error|^2 / batch, error = target - z W_dec, through the active entries alone.

    With G = -2 error / batch:  dW_dec = z.T G,  dz = G W_dec.T at the active entries,
    dW_enc = dz.T (x - b_pre),  db_enc = sum of dz,  db_pre = -W_enc.T db_enc.
    """
    G = error * (-2 / len(error))
    dz = active.products(G, p.W_dec)
    db_enc = torch.zeros_like(p.b_enc).index_add_(0, active.columns, dz)
    return Parameters(
        W_enc=active.accumulate(dz, centred, len(p.W_enc)),
        b_enc=db_enc,
        W_dec=active.accumulate(active.values, G, len(p.W_enc)),
        b_pre=-(db_enc @ p.W_enc),
    )


def _offsets(sorted_rows: Tensor, n_rows: int) -> Tensor:
    """Where each row starts in a sorted list of row numbers, and its end, (n_rows + 1,)."""
    return torch.searchsorted(sorted_rows, torch.arange(n_rows + 1, device=sorted_rows.device))


def _sums(indices: Tensor, weights: Tensor, sorted_rows: Tensor, n_rows: int, table: Tensor) -> Tensor:
    """Row r: the sum of weights[i] * table[indices[i]] over the entries i of row r."""
    return nn.functional.embedding_bag(
        indices,
        table,
        _offsets(sorted_rows, n_rows),
        mode="sum",
        per_sample_weights=weights,
        include_last_offset=True,
    )


# --- the training run ---------------------------------------------------------------------------


class Trained(NamedTuple):
    """An SAE and how its training went."""

    sae: SAE
    history: list[dict[str, float | None]]
    """One entry per report: step, loss, nmse and l0 on held-out texts, dead latents, seconds."""


class _State(NamedTuple):
    """All that training goes on from: parameters, Adam's moments, when each latent last fired."""

    parameters: Parameters
    optimizer: torch.optim.Adam
    texts_since_fired: Tensor  # (n_latents,) int64


def train(
    texts: NDArray[np.float32],
    held_out: NDArray[np.float32],
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    device: str = "cpu",
    checkpoint: Build | None = None,
) -> Trained:
    """Train an SAE on embeddings, (n, d_in), and calibrate its threshold so that their mean L0 is k.

    The same arguments give the same SAE, bit for bit on one machine, also when the run was killed and
    went on from its last checkpoint.

    Args:
        held_out: (m, d_in) embeddings that are never trained on, to report NMSE and L0.
        checkpoint: an artefact in the making; training saves its state there and goes on from it.

    Raises:
        DimensionMismatch: the embeddings are not d_in wide.
        BadData: there are fewer texts than one batch needs, or all are the same.
    """
    _check(texts, sae_config)
    config = replace(config, batch_size=min(config.batch_size, len(texts)))
    data = torch.from_numpy(texts)
    state = _initial_state(data, sae_config, config, device)
    first, history = _restore(state, checkpoint)
    watch = Stopwatch()
    reports = _report_steps(config.steps)
    hint, losses = 0.0, []
    with progress.steps("training", total=config.steps, unit="batches", done=first) as advance:
        for number in range(first, config.steps):
            x = data[_batch_of(number, len(data), config)].to(device)
            done = _learn(state, x, number, sae_config.k, config, hint)
            hint = 0.9 * done.cut
            losses.append(done.loss)
            advance(1)
            if number + 1 in reports:
                snapshot = _calibrated(state.parameters, data, sae_config, config.seed, _SAMPLE_ROWS)
                history.append(_report(number + 1, losses, snapshot, held_out, state, config))
                losses.clear()
                if checkpoint and watch.seconds > _CHECKPOINT_SECONDS:
                    _save(state, number + 1, history, checkpoint)
                    watch = Stopwatch()
    if checkpoint:
        (checkpoint.path / _CHECKPOINT).unlink(missing_ok=True)
    return Trained(_calibrated(state.parameters, data, sae_config, config.seed, _CALIBRATION_ROWS), history)


def _check(texts: NDArray[np.float32], sae_config: SAEConfig) -> None:
    if texts.ndim != 2 or texts.shape[1] != sae_config.d_in:
        raise DimensionMismatch(f"texts of shape {texts.shape} came in, but the SAE reads (n, {sae_config.d_in})")
    if len(texts) < 2:
        raise BadData(f"{len(texts)} text(s) cannot train an SAE; give it a corpus")
    refuse_unusable(texts, "texts to train on")
    if not np.ptp(texts, axis=0).any():
        raise BadData("all embeddings are the same, so there is nothing to tell apart; was one text embedded n times?")


def _initial_state(data: Tensor, sae_config: SAEConfig, config: TrainConfig, device: str) -> _State:
    """Directions drawn from the data, b_pre at its mean, and the encoder scaled to fit one batch best."""
    random = torch.Generator().manual_seed(config.seed)
    b_pre = data.mean(dim=0)
    drawn = torch.randint(len(data), (sae_config.n_latents,), generator=random)
    noise = torch.randn(sae_config.n_latents, sae_config.d_in, generator=random)
    spread = (data - b_pre).square().mean().sqrt()
    W_dec = nn.functional.normalize(data[drawn] - b_pre + _INITIAL_NOISE * spread * noise)
    batch = data[_batch_of(0, len(data), config)]
    active = strongest_of_batch((batch - b_pre) @ W_dec.T, sae_config.k * len(batch))
    guess = active.decode(W_dec, len(batch))
    scale = ((batch - b_pre) * guess).sum() / guess.square().sum().clamp_min(1e-12)
    tensors = (scale * W_dec, torch.zeros(sae_config.n_latents), W_dec, b_pre)
    parameters = Parameters(*(nn.Parameter(t.to(device).contiguous(), requires_grad=False) for t in tensors))
    optimizer = torch.optim.Adam(parameters, lr=config.lr, fused=True)
    return _State(parameters, optimizer, torch.zeros(sae_config.n_latents, dtype=torch.int64, device=device))


def _batch_of(number: int, n: int, config: TrainConfig) -> Tensor:
    """Positions of batch `number`: every text once an epoch, in an order drawn anew for each epoch."""
    per_epoch = n // config.batch_size
    epoch, nth = divmod(number, per_epoch)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(config.seed * 1_000_003 + epoch + 1))
    return order[nth * config.batch_size : (nth + 1) * config.batch_size]


def _learn(state: _State, x: Tensor, number: int, k: int, config: TrainConfig, hint: float) -> Step:
    """One step of Adam; the decoder's rows move along the sphere and stay at length 1."""
    p, since = state.parameters, state.texts_since_fired
    dead = (since > config.dead_after).nonzero()[:, 0]
    done = step(p, x, k, dead=dead, aux_alpha=config.aux_alpha, hint=hint)
    for parameter, gradient in zip(p, done.gradients, strict=True):
        parameter.grad = gradient
    # What would only lengthen a row is taken out, so that Adam does not spend its moments on it.
    gradient = done.gradients.W_dec
    gradient -= (gradient * p.W_dec).sum(dim=1, keepdim=True) * p.W_dec
    for group in state.optimizer.param_groups:
        group["lr"] = config.lr * schedule(number, config)
    state.optimizer.step()
    p.W_dec.div_(p.W_dec.norm(dim=1, keepdim=True))
    since += len(x)
    since[done.fired] = 0
    return done


def schedule(number: int, config: TrainConfig) -> float:
    """Share of the highest step size at one step: linear warm-up, level, linear decay over the last half."""
    rise = min(1.0, (number + 1) / max(1, min(config.warmup_steps, config.steps // 4)))
    fall = min(1.0, (config.steps - number) / max(1, config.steps - config.steps // 2))
    return min(rise, fall)


def _calibrated(p: Parameters, data: Tensor, sae_config: SAEConfig, seed: int, rows: int) -> SAE:
    """The SAE with the threshold at which `rows` texts of the data have k active latents each, on average."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:rows]
    budget = sae_config.k * len(order)
    kept = torch.empty(0)
    floor = 0.0  # nothing at or below it can be among the budget + 1 strongest
    for start in range(0, len(order), _SAMPLE_ROWS):
        block = data[order[start : start + _SAMPLE_ROWS]].to(p.b_enc.device)
        activations = torch.addmm(p.b_enc, block - p.b_pre, p.W_enc.T)
        kept = torch.cat([kept, activations[activations > floor].cpu()])
        if len(kept) > budget + 1:
            kept = kept.topk(budget + 1).values
            floor = float(kept.min())
    # Exactly `budget` activations lie above the one that comes next; if all fit, only 0 is left out.
    threshold = float(kept.min()) if len(kept) > budget else 0.0
    W_enc, b_enc, W_dec, b_pre = (t.detach().cpu().numpy().copy() for t in p)
    return SAE(sae_config, W_enc, b_enc, W_dec, b_pre, np.array([threshold], np.float32))


def _report_steps(steps: int) -> set[int]:
    """After which steps to measure: about twenty times, more often early, and at the end."""
    return {max(1, round(steps * (i / 20) ** 1.5)) for i in range(1, 21)}


def _report(
    number: int, losses: list[float], sae: SAE, held_out: NDArray[np.float32], state: _State, config: TrainConfig
) -> dict[str, float | None]:
    measured = sae.measure(held_out[:_SAMPLE_ROWS]) if len(held_out) else None
    entry = {
        "step": number,
        "texts": number * config.batch_size,
        "loss": sum(losses) / max(1, len(losses)),
        "nmse_held_out": measured and measured.nmse,
        "l0_held_out": measured and measured.l0,
        "dead_latents": int((state.texts_since_fired > config.dead_after).sum()),
    }
    logger.info("step %d: held-out NMSE %s at L0 %s", number, entry["nmse_held_out"], entry["l0_held_out"])
    return entry


def _save(state: _State, number: int, history: list[dict[str, float | None]], checkpoint: Build) -> None:
    tensors = {"number": torch.tensor([number]), "texts_since_fired": state.texts_since_fired}
    for name, parameter in zip(Parameters._fields, state.parameters, strict=True):
        moments = state.optimizer.state[parameter]
        tensors |= {name: parameter.data, f"{name}.exp_avg": moments["exp_avg"]}
        tensors |= {f"{name}.exp_avg_sq": moments["exp_avg_sq"], f"{name}.step": moments["step"]}
    metadata = {"history": json.dumps(history)}
    write_atomically(checkpoint.path / _CHECKPOINT, lambda path: save_file(tensors, path, metadata))
    checkpoint.checkpoint()


def _restore(state: _State, checkpoint: Build | None) -> tuple[int, list[dict[str, float | None]]]:
    """Go on from a killed run's checkpoint, if there is one: the step to do next, and the history so far."""
    path = checkpoint.path / _CHECKPOINT if checkpoint else None
    if path is None or not path.exists():
        return 0, []
    with safe_open(path, framework="pt") as file:
        history = json.loads(file.metadata()["history"])
    tensors = load_file(path)
    for name, parameter in zip(Parameters._fields, state.parameters, strict=True):
        parameter.data.copy_(tensors[name])
        state.optimizer.state[parameter] = {
            part: tensors[f"{name}.{part}"].to(parameter.device) for part in ("step", "exp_avg", "exp_avg_sq")
        }
    state.texts_since_fired.copy_(tensors["texts_since_fired"])
    return int(tensors["number"]), history
