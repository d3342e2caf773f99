"""The stage that trains a project's SAE: which texts, with which choices, and what it reports."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.artifact import read_manifest
from unweave.base.building import Build, build
from unweave.base.cores import is_helper
from unweave.base.plain import plain
from unweave.base.room import refuse_beyond_disk, refuse_beyond_memory
from unweave.config import THRESHOLD, FitConfig, SAEConfig
from unweave.dictionaries.latents import LATENTS, write_latents
from unweave.encode.devices import memory_of, refuse_missing
from unweave.errors import BadData, MissingExtra
from unweave.sae.agreement import returning
from unweave.sae.given import beside, packaged_for
from unweave.sae.model import SAE, WEIGHTS
from unweave.sae.training.recipe import TEXTS_A_LATENT_CARRIED, Plan, carried, planned, planned_beside
from unweave.stages.embed import encode_texts
from unweave.stages.ensure import Outcome, is_stale
from unweave.stages.given import Given, given_dictionary, of_an_own_one
from unweave.stages.made_with import BEGAN_FROM
from unweave.stages.refit import Last, Stayed, agreement_kept, last_sae, planned_on, said_of, stayed
from unweave.stages.workspace import Workspace
from unweave.texts.queries import TRAIN_SPLIT
from unweave.texts.sentences import PASSAGE

try:
    from unweave.sae.training import reports
    from unweave.sae.training.consensus import run_consensus
    from unweave.sae.training.rows import TrainingTexts
    from unweave.sae.training.run import Trained, run_training
    from unweave.sae.training.twin import run_with_twin
    from unweave.sae.training.variants import VARIANTS
except ImportError as error:
    raise MissingExtra("training an SAE", "fit") from error

logger = logging.getLogger(__name__)

TEXTS = ("passages", "sentences", "queries")
_FEW_TEXTS = 1000
_CHECKED = 1000
"""Texts, at most, on which it is seen whether a given dictionary reads these embeddings."""
_BY_HEART = 1.5
"""Times the error on texts trained on, from which on unseen ones are said to be far worse."""
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
    return [outcome, encode_passages(project)]


def fit_sae(project: Workspace, folder: Path) -> Outcome | None:
    """Train an SAE as the project's settings say and save it in a folder, unless it is there.

    None in a process of `torchrun` that only helps the first.
    """
    config = project.confirmed("fit")
    refuse_missing(config.device)
    sources = [f"embeddings/{of}" for of in TEXTS if of == "passages" or project.uses(of)]
    made_from = project.made_from("corpus", *sources)
    drawn = draw_training_texts(project)
    if not len(drawn.trained["passages"]):
        raise BadData(f"held_out = {config.held_out:g} of {len(project.corpus):,} passages leaves none to train on")
    texts = _texts(project, drawn.trained)
    sample = texts.sample(_CHECKED, config.seed)
    given = given_dictionary(project, sample)
    last = last_sae(project, folder, made_from, given, sample)
    plan, settings = _planned(project, texts, given, last)
    fresh = is_stale(folder, "sae", settings, made_from)
    if fresh and last is not None and last.made_from == made_from:  # of the same texts: what it began from is gone
        last = None
        plan, settings = _planned(project, texts, given, last)
    if is_helper():
        if fresh and plan is not None:
            _run(config, plan, texts, _held_out(project, drawn), given, last)
        return None
    if fresh:
        if last is not None:
            progress.say("trained on from the SAE that is there, so that its latents keep their numbers")
        _say_choices(config, project.encoder_of_embeddings, given, plan, len(texts))
        with build(folder, "sae", settings=settings, made_from=made_from) as made:
            _make(project, made, plan, given, last, texts, drawn)
        if last is not None:
            progress.say(said_of(Stayed(**made.results["refit"])))
        _say_returning(made.results)
        _say_seen_and_unseen(made.results, "--n-latents" if given is None else "--own-latents")
    manifest = read_manifest(folder, "sae")
    return Outcome("sae", fresh, manifest.seconds, manifest.results)


def _planned(
    project: Workspace, texts: TrainingTexts, given: Given | None, last: Last | None
) -> tuple[Plan | None, dict[str, Any]]:
    """What is to be trained, and what the SAE's manifest says of it; None: the given dictionary is taken as it is."""
    config = project.settings.fit
    from_the_beginning = partial(_from_the_beginning, project, texts, given)
    plan = from_the_beginning(config) if last is None else planned_on(last, config, given, from_the_beginning)
    whole = _whole(given, plan)
    refuse_without_room(whole, project.path, config.device)
    training = {"steps": 0, "seed": config.seed} if plan is None else asdict(plan.training)
    settings: dict[str, Any] = {"sae": asdict(whole), "training": training, "held_out": config.held_out}
    if plan is not None and last is None:  # one that goes on has no twin of its own, and is not made anew for one
        settings |= {"twin": config.twin, "consensus": config.consensus}
    if given is not None:
        settings["given"] = given.settings()
    if last is not None:
        settings[BEGAN_FROM] = last.began_from
    return plan, settings


def _from_the_beginning(
    project: Workspace, texts: TrainingTexts, given: Given | None, config: FitConfig
) -> Plan | None:
    if given is not None:
        return planned_beside(given.sae.config, config, len(texts))
    plan = planned(config, len(texts), texts.d_in, project.encoder_of_embeddings)
    return plan._replace(sae=replace(plan.sae, selection=VARIANTS[config.variant].selection))


def _whole(given: Given | None, plan: Plan | None) -> SAEConfig:
    """What the SAE will be, of the given dictionary and of what is trained."""
    if given is None:
        assert plan is not None
        return plan.sae
    if plan is None:
        return given.sae.config
    return beside(given.sae.config, plan.sae)


def refuse_without_room(config: SAEConfig, folder: Path, device: str) -> None:
    """Raise BadData if an SAE cannot be held while it is trained, or not be written: by what it takes at the least."""
    weights = 2 * 4 * config.n_latents * config.d_in  # W_enc and W_dec, of four bytes a number
    what, way_out = f"a dictionary of {config.n_latents:,} latents", "give fewer: --n-latents"
    with_moments = 3 * weights  # Adam keeps two numbers beside each
    refuse_beyond_memory(with_moments, f"training {what}", way_out, memory_of(device))
    refuse_beyond_disk(weights, folder, what, way_out)


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


def _make(
    project: Workspace, made: Build, plan: Plan | None, given: Given | None, last: Last | None, texts: TrainingTexts,
    drawn: Training,
) -> None:  # fmt: skip
    """Train what is to be trained, and write and measure the SAE."""
    config = project.settings.fit
    held_out = _held_out(project, drawn)
    if plan is None:
        assert given is not None
        trained = Trained(given.sae, [])
    else:
        reporters = [_say_report, reports.json_lines(made.path / HISTORY)]
        if config.tensorboard:
            reporters.append(reports.tensorboard(Path(config.tensorboard)))
        trained = _run(config, plan, texts, held_out, given, last, checkpoint=made, reporters=reporters)
    sae = trained.sae
    sae.write_weights(made.path / WEIGHTS)
    if given is not None and given.latents:
        write_latents(made.path / LATENTS, given.latents)
    reports.write_json_lines(made.path / HISTORY, trained.history)
    measured = partial(_measured, project, sae)
    made.results.update(
        n_latents=sae.config.n_latents,
        steps=plan.training.steps if plan else 0,
        trained_on={of: len(rows) for of, rows in drawn.trained.items()} if plan else {},
        **sae.measure(texts.sample(_MEASURED, config.seed))._asdict(),
        held_out={of: measured({of: rows}) for of, rows in drawn.held_out.items() if len(rows) > 1},
        seen=measured(_read(drawn.trained)),
        unseen=measured(_read(drawn.held_out)) if len(held_out) else None,
        returning=_returning(project, sae),
        threshold=float(sae.threshold.mean()),
        history=trained.history,
    )
    if last is not None:
        made.results["refit"] = stayed(last.sae, sae, texts.sample(_MEASURED, config.seed))._asdict()


def _run(
    config: FitConfig, plan: Plan, texts: TrainingTexts, held_out: NDArray[np.float32], given: Given | None,
    last: Last | None, **kept: Any,
) -> Trained:  # fmt: skip
    frozen = given and given.sae
    if last is None and given is None and config.consensus > 1:
        runs = config.consensus
        return run_consensus(texts, held_out, plan.sae, plan.training, runs=runs, device=config.device, **kept)
    if last is None:
        run = run_with_twin if config.twin else run_training
        return run(texts, held_out, plan.sae, plan.training, given=frozen, device=config.device, **kept)
    trained = run_training(
        texts, held_out, plan.sae, plan.training, given=frozen, start=last.own, device=config.device, **kept
    )
    twin = agreement_kept(last.sae, trained.sae) if config.twin or config.consensus > 1 else None
    return trained._replace(sae=replace(trained.sae, twin=twin))


def _returning(project: Workspace, sae: SAE) -> dict[str, Any] | None:
    """What of the SAE another run found again; None if there was none."""
    passages = project.embedded("passages")
    some = np.linspace(0, len(passages) - 1, min(len(passages), _MEASURED)).astype(np.int64)
    found = returning(sae, passages.take(some)) if sae.returns else None
    return found and found._asdict()


def _measured(project: Workspace, sae: SAE, rows: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    """NMSE, L0 and live latents on some texts."""
    return sae.measure(_texts(project, rows).sample(_MEASURED, project.settings.fit.seed))._asdict()


def _say_choices(config: FitConfig, encoder: str, given: Given | None, plan: Plan | None, n_texts: int) -> None:
    if given is None and config.dictionary is None and packaged_for(encoder):
        said = ", ".join(of_an_own_one(config))
        progress.say(f"dictionary own: {f'{said} as set' if said else 'the packaged one is of another pooling'}")
    if given is not None:
        shared = given.sae.config.n_latents
        other = "" if config.dictionary else "; --dictionary own trains one, to search rather than to read"
        progress.say(f"dictionary {plain(given.dictionary, 120)}: its {shared:,} latents are taken as they are{other}")
    if plan is None:
        progress.say(f"own_latents 0: {_why_none(config, given, n_texts)}")
        return
    if n_texts < _FEW_TEXTS:
        logger.warning("only %d texts to train on: a dictionary learns concepts from thousands", n_texts)
    size = "n_latents" if given is None else "own_latents"
    chosen = {size: plan.recipe.n_latents} | {n: getattr(plan.training, n) for n in ("batch_size", "steps", "lr")}
    for name, value in chosen.items():
        as_set = getattr(config, name) is not None
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.2g}"
        reason = plan.recipe.reasons["n_latents" if name == size else name]
        progress.say(f"{name} {shown}: {'as set' if as_set else reason}")


def _why_none(config: FitConfig, given: Given | None, n_texts: int) -> str:
    """Why there are no latents of the corpus's own."""
    if config.own_latents == 0:
        return "as set"
    if given is not None and given.sae.config.selection != THRESHOLD:
        return f"this dictionary selects by {given.sae.config.selection}, and others beside it would change which"
    return f"{n_texts:,} texts are too few to learn any from; one takes {TEXTS_A_LATENT_CARRIED}"


def _say_report(report: reports.Report) -> None:
    held_out = report["nmse_held_out"]
    unseen = "" if held_out is None else f", held out {held_out:.3f} at L0 {report['l0_held_out']:.1f}"
    progress.say(
        f"step {report['step']:,}: NMSE {report['nmse'] or math.nan:.3f}{unseen}; "
        f"{report['live_latents']:,} latents live, {report['dead_latents']:,} dead"
    )


def _say_returning(results: Mapping[str, Any]) -> None:
    """One line on how many latents another run found again, and how much of the passages they make up."""
    found = results["returning"]
    if found is not None:
        progress.say(
            f"{found['latents']:,} of {found['known']:,} live latents return: another run found them again; they make "
            f"up {found['contribution']:.0%} of what latents contribute to the passages"
        )


def _say_seen_and_unseen(results: Mapping[str, Any], option: str) -> None:
    """One line on how well the SAE gives back texts that it was trained on and others, and a warning if that differs.

    Args:
        results: of the SAE's manifest.
        option: what sets how many latents were trained.
    """
    seen, unseen = results["seen"], results["unseen"]
    if not results["trained_on"]:
        progress.say(f"NMSE {_shown(seen)} on these texts; nothing was trained on them here")
        return
    if unseen is None or not unseen["nmse"] or not seen["nmse"]:
        progress.say(f"NMSE {_shown(seen)} on texts trained on; too few are held out to say more")
        return
    ratio = unseen["nmse"] / seen["nmse"]
    progress.say(f"NMSE {_shown(seen)} on texts trained on, {_shown(unseen)} on unseen ones: {ratio:.2f} times")
    if ratio > _BY_HEART:
        n_texts = sum(results["trained_on"].values())
        logger.warning(
            "the SAE has learned its texts by heart: on unseen ones its error is %.1f times that on them; %s texts "
            "carry about %s latents (%s)",
            ratio, f"{n_texts:,}", f"{carried(n_texts):,}" if carried(n_texts) else "no", option,
        )  # fmt: skip


def _shown(measured: Mapping[str, Any]) -> str:
    nmse = measured["nmse"]
    return f"{'undefined' if nmse is None else format(nmse, '.3f')} at L0 {measured['l0']:.1f}"


def _read(rows: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """The passages and sentences of these texts: queries are others where they are held out."""
    return {of: positions for of, positions in rows.items() if of != "queries"}


def _held_out(project: Workspace, drawn: Training) -> NDArray[np.float32]:
    """Passages and sentences to report on while training."""
    return _texts(project, _read(drawn.held_out)).sample(_MEASURED, project.settings.fit.seed)


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


def encode_passages(project: Workspace) -> Outcome:
    """Find the passages' latents, unless they are found."""
    embeddings = project.embedded("passages")
    return encode_texts(
        project,
        "latents",
        lambda start, end: project.sae.encode(embeddings.rows(start, end)),
        n_latents=project.sae.config.n_latents,
        label="encoding passages",
        sources=("embeddings/passages", "sae"),
    )
