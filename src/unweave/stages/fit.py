"""The stage that trains a project's SAE: which texts, with which choices, and what it reports."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.artifact import read_manifest
from unweave.base.building import build
from unweave.base.cores import is_helper
from unweave.config import FitConfig, SAEConfig
from unweave.errors import BadData, MissingExtra
from unweave.sae.model import WEIGHTS
from unweave.sae.training.recipe import Recipe, planned
from unweave.stages.embed import encode_texts
from unweave.stages.ensure import Outcome, is_stale
from unweave.stages.workspace import Workspace
from unweave.texts.queries import TRAIN_SPLIT
from unweave.texts.sentences import PASSAGE

try:
    from unweave.config import TrainConfig
    from unweave.sae.training import reports
    from unweave.sae.training.rows import TrainingTexts
    from unweave.sae.training.run import run_training
    from unweave.sae.training.variants import VARIANTS
except ImportError as error:
    raise MissingExtra("training an SAE", "fit") from error

logger = logging.getLogger(__name__)

TEXTS = ("passages", "sentences", "queries")
_FEW_TEXTS = 1000
_MEASURED = 100_000
"""Texts, at most, on which NMSE is measured in the end."""
HISTORY = "history.jsonl"


class Training(NamedTuple):
    """Which rows of each kind of text are trained on, and which are held out."""

    trained: dict[str, NDArray[np.int64]]
    held_out: dict[str, NDArray[np.int64]]


def fit(project: Workspace) -> list[Outcome]:
    """Train the SAE on passages, sentences and training queries; then encode the passages.

    Under `torchrun` every process trains its share; the first alone writes, and the others return nothing.
    """
    outcome = fit_sae(project, project.path / "sae")
    if outcome is None:
        return []
    return [outcome, _encode(project)]


def fit_sae(project: Workspace, folder: Path) -> Outcome | None:
    """Train an SAE as the project's settings say and save it in a folder, unless it is there.

    None in a process of `torchrun` that only helps the first.
    """
    config = project.settings.fit
    sources = [f"embeddings/{of}" for of in TEXTS if of == "passages" or project.uses(of)]
    made_from = project.made_from("corpus", *sources)
    drawn = draw_training_texts(project)
    texts = _texts(project, drawn.trained)
    sae_config, training, recipe = planned(config, len(texts), texts.d_in, project.encoder_of_embeddings)
    sae_config = replace(sae_config, selection=VARIANTS[config.variant].selection)
    settings = {"sae": asdict(sae_config), "training": asdict(training), "held_out": config.held_out}
    fresh = is_stale(folder, "sae", settings, made_from)
    if is_helper():
        if fresh:
            run_training(texts, _held_out(project, drawn), sae_config, training, device=config.device)
        return None
    if fresh:
        _fit(project, folder, sae_config, training, recipe, texts, drawn, settings, made_from)
    manifest = read_manifest(folder, "sae")
    return Outcome("sae", fresh, manifest.seconds, manifest.results)


def draw_training_texts(project: Workspace) -> Training:
    """Split the texts: held-out passages take their sentences with them; queries to evaluate on are held out.

    Queries are trained on if they are judged in the `train` split and in no other.
    """
    random = np.random.default_rng(project.settings.fit.seed)
    passage_held = random.random(len(project.corpus)) < project.settings.fit.held_out
    passage_held[random.integers(len(project.corpus))] = len(project.corpus) > 1  # never none
    held = {"passages": passage_held}
    if project.uses("sentences") and project.sentences is not None:
        of_passage = np.array([s.metadata[PASSAGE] for s in project.sentences], dtype=np.int64)
        held["sentences"] = passage_held[of_passage]
    if project.uses("queries"):
        queries = project.queries
        split_of = {split: set(queries.judged(split)) for split in queries.splits}
        training = split_of.pop(TRAIN_SPLIT, set()).difference(*split_of.values())
        held["queries"] = np.array([i not in training for i in range(len(queries))], dtype=bool)
    return Training(
        {of: np.flatnonzero(~mask) for of, mask in held.items()},
        {of: np.flatnonzero(mask) for of, mask in held.items()},
    )


def _fit(
    project: Workspace, folder: Path, sae_config: SAEConfig, training: TrainConfig, recipe: Recipe,
    texts: TrainingTexts, drawn: Training, settings: Mapping[str, Any], made_from: Mapping[str, str],
) -> None:  # fmt: skip
    config = project.settings.fit
    if len(texts) < _FEW_TEXTS:
        logger.warning("only %d texts to train on: a dictionary learns concepts from thousands", len(texts))
    _say_choices(config, training, recipe)
    with build(folder, "sae", settings=settings, made_from=made_from) as made:
        reporters = [_say_report, reports.json_lines(made.path / HISTORY)]
        if config.tensorboard:
            reporters.append(reports.tensorboard(Path(config.tensorboard)))
        trained = run_training(
            texts,
            _held_out(project, drawn),
            sae_config,
            training,
            device=config.device,
            checkpoint=made,
            reporters=reporters,
        )
        trained.sae.write_weights(made.path / WEIGHTS)
        reports.write_json_lines(made.path / HISTORY, trained.history)
        made.results.update(
            n_latents=sae_config.n_latents,
            steps=training.steps,
            trained_on={of: len(rows) for of, rows in drawn.trained.items()},
            **trained.sae.measure(texts.sample(_MEASURED, training.seed))._asdict(),
            held_out={
                of: trained.sae.measure(_texts(project, {of: rows}).sample(_MEASURED, training.seed))._asdict()
                for of, rows in drawn.held_out.items()
                if len(rows) > 1
            },
            threshold=float(trained.sae.threshold.mean()),
            history=trained.history,
        )


def _say_choices(config: FitConfig, training: TrainConfig, recipe: Recipe) -> None:
    chosen = {"n_latents": recipe.n_latents} | {name: getattr(training, name) for name in ("batch_size", "steps", "lr")}
    for name, value in chosen.items():
        given = getattr(config, name) is not None
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.2g}"
        progress.say(f"{name} {shown}: {'as set' if given else recipe.reasons[name]}")


def _say_report(report: reports.Report) -> None:
    held_out = report["nmse_held_out"]
    unseen = "" if held_out is None else f", held out {held_out:.3f} at L0 {report['l0_held_out']:.1f}"
    progress.say(
        f"step {report['step']:,}: NMSE {report['nmse'] or math.nan:.3f}{unseen}; "
        f"{report['live_latents']:,} latents live, {report['dead_latents']:,} dead"
    )


def _held_out(project: Workspace, drawn: Training) -> NDArray[np.float32]:
    """Passages and sentences to report on while training."""
    rows = {of: positions for of, positions in drawn.held_out.items() if of != "queries"}
    return _texts(project, rows).sample(_MEASURED, project.settings.fit.seed)


def _texts(project: Workspace, rows: Mapping[str, NDArray[np.int64]]) -> TrainingTexts:
    parts = []
    for of, positions in rows.items():
        embeddings = project.embeddings(of)
        assert embeddings is not None
        parts.append((embeddings, positions))
    widths = {embeddings.d_in for embeddings, _ in parts}
    if len(widths) > 1:
        raise BadData(
            f"passages and queries are embedded in different widths: {sorted(widths)}; embed both with one model"
        )
    return TrainingTexts(parts)


def _encode(project: Workspace) -> Outcome:
    """The passages' latents."""
    embeddings = project.embedded("passages")
    return encode_texts(
        project,
        "latents",
        lambda start, end: project.sae.encode(embeddings.rows(start, end)),
        n_latents=project.sae.config.n_latents,
        label="encoding passages",
        sources=("embeddings/passages", "sae"),
    )
