"""Train a sparse autoencoder with torch, on a CPU or a GPU, in one process or in several.

The loop is here. What a variant does in one step is in `variants`, its arithmetic in `arithmetic`, the order of the
texts in `rows`, and what is reported in `reports`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from unweave.base import progress
from unweave.base.arrays import disk_errors
from unweave.base.building import Build
from unweave.base.cores import spans
from unweave.base.files import write_atomically
from unweave.base.progress import Stopwatch
from unweave.base.vectors import refuse_scale
from unweave.config import THRESHOLD, SAEConfig, TrainConfig
from unweave.errors import BadData, CorruptArtifact, DimensionMismatch
from unweave.sae.given import fingerprint, joined
from unweave.sae.model import SAE
from unweave.sae.training.arithmetic import Adam, Engine, Parameters, engine_for
from unweave.sae.training.cone import hold_within
from unweave.sae.training.parallel import World, own_device, world_of
from unweave.sae.training.reports import Report, report_steps
from unweave.sae.training.rows import TrainingTexts, ahead
from unweave.sae.training.state import initial_state, state_of
from unweave.sae.training.variants import VARIANTS, Step, Variant
from unweave.sae.training.variants.base import hint_from_few
from unweave.sae.training.variants.residual import Residual

logger = logging.getLogger(__name__)

_CHECKPOINT, _BEST = "checkpoint.safetensors", "best.safetensors"
"""Of a run that is kept when it is done, its name stands before."""
_CHECKPOINT_SECONDS = 60.0
_SAMPLE_ROWS = 2048
_CALIBRATION_ROWS = 200_000
_REPORT_ROWS = 1024


class Trained(NamedTuple):
    """An SAE and how its training went."""

    sae: SAE
    history: list[Report]


def run_training(
    texts: TrainingTexts | NDArray[np.float32],
    held_out: NDArray[np.float32],
    sae_config: SAEConfig,
    config: TrainConfig,
    *,
    given: SAE | None = None,
    start: SAE | None = None,
    settled: int = 0,
    device: str = "cpu",
    checkpoint: Build | None = None,
    kept_as: str = "",
    reporters: Iterable[Callable[[Report], None]] = (),
) -> Trained:
    """Train an SAE on embeddings, (n, d_in), and calibrate its threshold so that their mean L0 is k.

    The same arguments give the same SAE, bit for bit on one machine, also when the run was killed and
    went on from its last checkpoint. Under `torchrun` all processes train one SAE, each on its share of every
    batch; each returns it, and the first alone writes checkpoints and reports.

    Args:
        held_out: (m, d_in) embeddings that are never trained on, to report NMSE and L0.
        given: a dictionary to leave as it is, selecting by threshold. The SAE that is described and trained is then
            `batch_topk` on what that one leaves over, and what is returned, and measured on the way, is both in one.
        start: an SAE like the one that is described, to train on from; by default directions are drawn from the texts.
        settled: so many latents of `start`, the first ones, keep their rows of W_dec as they are.
        checkpoint: an artefact in the making; training saves its state there and goes on from it.
        kept_as: a name under which the last state stays there, so that the same call gives the same at once; until
            `forget`. By default nothing stays when the training is done.
        reporters: called with each report.

    Raises:
        DimensionMismatch: the embeddings are not d_in wide, or `start` is of another shape.
        BadData: there are fewer texts than one batch needs, all are the same, or one is not finite; or the
            checkpoint is of another configuration.
    """
    texts = texts if isinstance(texts, TrainingTexts) else _checked(texts, sae_config)
    _check(texts, sae_config)
    config = replace(config, batch_size=min(config.batch_size, len(texts)))
    sae_config = replace(sae_config, selection=VARIANTS[config.variant].selection)
    device = own_device(device)
    with world_of(device) as world:
        if config.batch_size % world.size:
            raise BadData(f"a batch of {config.batch_size} cannot be shared evenly by {world.size} processes")
        kept = checkpoint if world.rank == 0 else None
        run = Run(texts, held_out, sae_config, config, device, world, kept, given, start, settled, kept_as)
        with run.engine.running():
            return run.to_the_end(tuple(reporters) if world.rank == 0 else ())


class Run:
    """One training run, from its first state to its last step; see `run_training` for the arguments."""

    def __init__(
        self, texts: TrainingTexts, held_out: NDArray[np.float32], sae_config: SAEConfig, config: TrainConfig,
        device: str, world: World, checkpoint: Build | None, given: SAE | None = None, start: SAE | None = None,
        settled: int = 0, kept_as: str = "",
    ) -> None:  # fmt: skip
        self.texts, self.held_out, self.sae_config, self.config = texts, held_out, sae_config, config
        self.engine, self.device, self.world, self.checkpoint = engine_for(device), device, world, checkpoint
        self.given, self.start, self.kept_as = given, start, kept_as
        self.variant: Variant = (
            VARIANTS[config.variant](config, sae_config.k)
            if given is None
            else Residual(config, sae_config.k, given, device)
        )
        sample = texts.sample(_SAMPLE_ROWS, config.seed)
        refuse_scale(sample, "the texts to train on")
        self.state = (
            initial_state(sample, texts, sae_config, config, self.engine, self.variant, device)
            if start is None
            else state_of(start, sae_config, sample, self.engine, self.variant, device)
        )
        self.settled = self.state.parameters.W_dec[:settled].clone()
        self.history: list[Report] = []
        self.best: SAE | None = None
        self.sample = sample

    def to_the_end(self, reporters: Iterable[Callable[[Report], None]]) -> Trained:
        """Do the steps that are left to do."""
        config, texts = self.config, self.texts
        done = first = self._restore()
        hint = self.first_hint()
        report_after = report_steps(config.steps)
        watch = Stopwatch()
        batches = texts.batches(first, config.steps, config.batch_size, config.seed)
        shares = (self.world.share(positions) for positions in batches)
        with progress.steps("training", total=config.steps, unit="batches", done=first) as advance:
            for number, x in enumerate(ahead(texts, shares, pinned=self.device.startswith("cuda")), first):
                if self._out_of_patience():
                    break
                hint = self.learn(self.on_device(x), number, hint).hint
                done = number + 1
                advance(1)
                if number + 1 in report_after:
                    self._report(number + 1, reporters)
                if watch.seconds > _CHECKPOINT_SECONDS:
                    self._save(number + 1)
                    watch = Stopwatch()
        if self.kept_as:
            self._save(done)
        elif self.checkpoint:
            forget(self.checkpoint, self.kept_as)
        sae = self.best or self._calibrated(self.texts.sample(_CALIBRATION_ROWS, config.seed))
        return Trained(self._whole(sae), self.history)

    def first_hint(self) -> float:
        """Where to begin to look for a batch's active entries before there was one."""
        p, sample = self.state.parameters, self.on_device(self.sample)
        return hint_from_few(self.engine, p, sample - p.b_pre, self.sae_config.k * len(sample), World())

    def on_device(self, rows: NDArray[np.float32] | Tensor) -> Tensor:
        """Rows, (n, d_in), where the parameters are."""
        return torch.as_tensor(rows).to(self.device, non_blocking=True)

    def learn(self, x: Tensor, number: int, hint: float) -> Step:
        """One step of Adam; the decoder's rows move along the sphere and stay at length 1."""
        p, moments, since, window = self.state
        dead = (since > self.config.dead_after).nonzero()[:, 0]
        done = self.variant.step(self.engine, p, x, dead=dead, hint=hint, world=self.world)
        adam = Adam(self.config.lr * schedule(number, self.config), number + 1)
        gradients = done.gradients
        small = {"b_enc": gradients.b_enc, "b_pre": gradients.b_pre, "threshold": gradients.threshold}
        fired = done.fired.to(torch.int64)
        self.world.sum_(done.loss, fired, *small.values())
        self.engine.update(p, moments, gradients.W, adam, self.world)
        p.W_dec[: len(self.settled)] = self.settled
        if self.config.least_cosine:
            hold_within(p, self.config.least_cosine)
        for name, gradient in small.items():
            adam.apply_(getattr(p, name), gradient, moments[f"{name}.mean"], moments[f"{name}.square"])
        p.threshold.clamp_min_(0)
        since += len(x) * self.world.size
        since[fired > 0] = 0
        window.add(done.loss, fired > 0)
        return done

    def _whole(self, sae: SAE) -> SAE:
        """The SAE that was trained, behind the given one if there is one."""
        return sae if self.given is None else joined(self.given, sae)

    def _calibrated(self, sample: NDArray[np.float32]) -> SAE:
        """The SAE as it is now, with the threshold at which a sample has k active latents a text on average."""
        p = self.state.parameters
        sae = to_sae(p, self.sae_config)
        if self.sae_config.selection != THRESHOLD or self.config.variant == "jumprelu":
            return sae
        threshold = calibrated_threshold(self.engine, p, self.on_device(sample), self.sae_config.k, self.world)
        return replace(sae, threshold=np.array([threshold], np.float32))

    def _report(self, number: int, reporters: Iterable[Callable[[Report], None]]) -> None:
        state, config = self.state, self.config
        sample, held_out = self.sample[:_REPORT_ROWS], self.held_out[:_REPORT_ROWS]
        sae = self._whole(self._calibrated(sample))
        dead = int((state.texts_since_fired > config.dead_after).sum())
        if not torch.isfinite(state.window.loss):
            raise BadData(
                f"the loss at step {number} is {float(state.window.loss)}: training diverged; give a lower lr than "
                f"{config.lr:g}, or look for embeddings far longer than the rest"
            )
        report = state.window.report(number, number * config.batch_size, sae, sample, held_out, dead)
        state.window.clear()
        self.history.append(report)
        nmse = report["nmse_held_out"]
        if config.patience and nmse is not None and nmse <= min(r["nmse_held_out"] for r in self.history):
            self.best = self._calibrated(self.texts.sample(_CALIBRATION_ROWS, config.seed))
        logger.info("step %d: held-out NMSE %s at L0 %s", number, nmse, report["l0_held_out"])
        for tell in reporters:
            tell(report)

    def _out_of_patience(self) -> bool:
        """Whether the held-out NMSE has been above its lowest for `patience` reports; the first process decides."""
        if not self.config.patience:
            return False
        measured = [report["nmse_held_out"] for report in self.history]
        waited = len(measured) - 1 - int(np.argmin(measured)) if measured and None not in measured else 0
        waiting = torch.tensor(waited, device=self.device)
        self.world.broadcast(waiting)
        return int(waiting) >= self.config.patience

    # --- killed runs --------------------------------------------------------------------------------

    def _identity(self) -> str:
        """What a checkpoint must share with the run that goes on from it."""
        given, start = (sae and fingerprint(sae) for sae in (self.given, self.start))
        settings = {"sae": asdict(self.sae_config), "training": asdict(self.config), "settled": len(self.settled)}
        return json.dumps(settings | {"texts": len(self.texts), "given": given, "start": start})

    def _save(self, number: int) -> None:
        if self.checkpoint is None:
            return
        folder = self.checkpoint.path
        metadata = {"identity": self._identity(), "history": json.dumps(self.history), "step": str(number)}
        if self.best is not None:
            self.best.write_weights(_place(folder, _BEST, self.kept_as))
        tensors = {name: tensor.contiguous() for name, tensor in self.state.tensors().items()}
        with disk_errors():
            write_atomically(_place(folder, _CHECKPOINT, self.kept_as), lambda path: save_file(tensors, path, metadata))
        self.checkpoint.checkpoint()

    def _restore(self) -> int:
        """Go on from a killed run's checkpoint, if there is one: the step to do next."""
        first = torch.zeros((), dtype=torch.int64, device=self.device)
        path = _place(self.checkpoint.path, _CHECKPOINT, self.kept_as) if self.checkpoint else None
        if path is not None and path.exists():
            first += self._read(path)
        if self.world.size > 1:  # the other processes get what the first one read
            self.world.broadcast(first, *self.state.tensors().values())
        return int(first)

    def _read(self, path: Path) -> int:
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata()
            tensors = load_file(path)
            identity, history, step = metadata["identity"], json.loads(metadata["history"]), int(metadata["step"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise CorruptArtifact(f"{path} is not a checkpoint ({error}); delete it to start anew") from error
        if identity != self._identity():
            raise BadData(
                f"{path} was saved by a training of another configuration ({identity}) than this one "
                f"({self._identity()}); give the same settings to go on, or delete it to start anew"
            )
        for name, tensor in self.state.tensors().items():
            tensor.copy_(tensors[name])
        best = _place(path.parent, _BEST, self.kept_as)
        if best.exists():
            self.best = SAE(self.sae_config, **{name: t.numpy() for name, t in load_file(best).items()})
        self.history = history
        return step


def forget(checkpoint: Build, kept_as: str = "") -> None:
    """Take away the state of a run that nothing goes on from any more."""
    for name in (_CHECKPOINT, _BEST):
        _place(checkpoint.path, name, kept_as).unlink(missing_ok=True)


def _place(folder: Path, name: str, kept_as: str) -> Path:
    return folder / (f"{kept_as}-{name}" if kept_as else name)


def _checked(texts: NDArray[np.float32], sae_config: SAEConfig) -> TrainingTexts:
    if texts.ndim != 2 or texts.shape[1] != sae_config.d_in:
        raise DimensionMismatch(f"texts of shape {texts.shape} came in, but the SAE reads (n, {sae_config.d_in})")
    return TrainingTexts.of(texts)


def _check(texts: TrainingTexts, sae_config: SAEConfig) -> None:
    if len(texts) < 2:
        raise BadData(f"{len(texts)} text(s) cannot train an SAE; give it a corpus")
    if texts.d_in != sae_config.d_in:
        raise DimensionMismatch(f"texts are {texts.d_in} wide, but the SAE reads (n, {sae_config.d_in})")
    if not np.ptp(texts.sample(_SAMPLE_ROWS, seed=0), axis=0).any():
        raise BadData("all embeddings are the same, so there is nothing to tell apart; was one text embedded n times?")


def schedule(number: int, config: TrainConfig) -> float:
    """Share of the highest step size at one step: linear warm-up, level, linear decay to 0."""
    rise = min(1.0, (number + 1) / max(1, min(config.warmup_steps, config.steps // 4)))
    fall = min(1.0, (config.steps - number) / max(1, config.steps * config.decay))
    return min(rise, fall)


def calibrated_threshold(engine: Engine, p: Parameters, x: Tensor, k: int, world: World) -> float:
    """The threshold above which texts x, (n, d_in), have k active latents each on average; each process reads a part.

    Exactly k * n activations exceed it, but for ties; it is 0 if fewer are positive.

    Raises:
        BadData: the weights are no finite numbers.
    """
    budget = k * len(x)
    mine = x.tensor_split(world.size)[world.rank]
    few = x[:_SAMPLE_ROWS]
    floor = 0.9 * hint_from_few(engine, p, few - p.b_pre, k * len(few), World())
    if not math.isfinite(floor):
        raise BadData("the training diverged: its weights are no finite numbers; give a lower step size (lr)")
    while True:
        kept = torch.empty(0)
        for start, stop in spans(len(mine), _SAMPLE_ROWS):
            values = engine.above(p, mine[start:stop] - p.b_pre, floor).values.cpu()
            kept = torch.cat([kept, values])
            if len(kept) > 2 * budget:
                kept = kept.topk(budget + 1).values
        values = torch.cat(world.gather(kept.to(x.device))).cpu()
        if len(values) > budget:
            return float(values.topk(budget + 1).values.min())
        if floor == 0.0:
            return 0.0
        floor = floor / 2 if floor > 1e-4 else 0.0


def to_sae(p: Parameters, config: SAEConfig) -> SAE:
    """A copy of the parameters as an SAE for inference."""
    W_enc, b_enc, W_dec, b_pre, threshold = (t.detach().cpu().numpy().copy() for t in p)
    if config.selection == "matching_pursuit":
        W_enc = W_dec
    return SAE(config, W_enc, b_enc, W_dec, b_pre, threshold)
