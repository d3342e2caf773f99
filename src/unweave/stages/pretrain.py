"""A dictionary for others to read with: a project of a pool of texts, embedded, trained, named, and packed.

Every step is one that a project takes anyway, so a run that was broken off goes on where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave import settings
from unweave.base import progress
from unweave.base.artifact import read_manifest
from unweave.base.building import build
from unweave.base.files import write_atomically
from unweave.base.progress import Stopwatch
from unweave.concepts.concept import OVER_NULLS
from unweave.concepts.namers.base import digest
from unweave.config import OWN, FitConfig
from unweave.dictionaries.latents import LATENTS, Latent, write_latents
from unweave.errors import BadData, MissingExtra
from unweave.sae.hub import CARD, model_card
from unweave.sae.model import SAE, WEIGHTS
from unweave.stages import embed, fit, name
from unweave.stages.create import create
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.workspace import Workspace
from unweave.texts.pool import SOURCE, read_pool

try:
    from unweave.sae.training.consensus import LAST_STEPS
    from unweave.sae.training.recipe import planned
    from unweave.sae.training.rows import ArrayRows, TrainingTexts
    from unweave.sae.training.run import run_training
except ImportError as error:
    raise MissingExtra("training an SAE", "fit") from error

DICTIONARY = "dictionary"
"""The folder of the project where the packed dictionary lies."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "embed": {"sentences": 0},  # the texts of a pool are short themselves
    "fit": {"dictionary": OWN, "consensus": 3, "least_cosine": 0.95},  # see benchmarks/dictionary_choices.py
}
"""What the project of a pool of texts begins with, where it is not the default."""
_TIMED_TEXTS, _TIMED_STEPS = 512, 10
_WARM_TEXTS = 64
_MEASURED = 10_000
"""Held-out texts, at most, on which half precision is compared with full."""


class Cost(NamedTuple):
    """What a dictionary takes to make, before it is begun; times are those of a sample, on this machine."""

    texts: int
    embedding: float
    """Seconds; 0 if the texts are embedded."""
    training: float
    """Seconds, those of all runs; 0 if the SAE is there."""
    n_bytes: int
    """What the embeddings take on disk."""


def prepare(folder: Path, texts: Sequence[Path], most: int | None) -> None:
    """Make the project of a pool of texts, unless it is there.

    Raises:
        BadData: a project is there, of other texts; or texts cannot be read.
    """
    pool = read_pool(texts, most=most)
    if not (folder / settings.FILE).exists():
        create(folder, pool, drop_unknown=False, changes=SETTINGS)
        return
    there = read_manifest(folder / "corpus", "corpus").settings.get("about")
    if there != dict(pool.about):
        raise BadData(f"{folder} is a project of other texts ({there}); give a new folder")


def cost(project: Workspace) -> Cost:
    """Embed a sample, and train on it for a few steps, to say what all of it will take."""
    embedding, rows = _timed_embedding(project)
    training = 0.0 if project.has("sae") else _timed_training(project, rows)
    n_texts = len(project.corpus)
    return Cost(n_texts, embedding, training, rows.itemsize * rows.shape[1] * n_texts)


def pretrain(project: Workspace) -> list[Outcome]:
    """Embed, train, name and pack what `prepare` has made, or any project.

    Raises:
        BadData: the settings name a dictionary to take over, where one is to be made.
    """
    if project.settings.fit.dictionary is None:
        project.keep("fit", dictionary=OWN)  # as long as nothing is said, the packaged one would be taken over
    if project.settings.fit.dictionary != OWN:
        raise BadData(f"a dictionary is to be made here, and [fit] dictionary is not {OWN!r}; set it so")
    outcomes = [*embed.embed(project), *fit.fit(project)]
    return [*outcomes, *name.run(project, "keyphrases", None, None, discard=False, anew=False), pack(project)]


def pack(project: Workspace) -> Outcome:
    """Write the SAE, in half precision, and what is known of its latents into one folder, with a card."""
    folder = project.path / DICTIONARY
    there = project.manifest("sae")
    latents = list(_latents(project))
    # Names are edited and judged while the folder of concepts stays the same artefact.
    stored = {name: there.settings[name] for name in ("sae", "training")} | {"names": digest({"latents": latents})}
    made_from = project.made_from("sae", "latents", "concepts")

    def make() -> None:
        with build(folder, "sae", settings=stored, made_from=made_from) as made:
            half = project.sae.in_half_precision()
            half.write_weights(made.path / WEIGHTS, half=True)
            write_latents(made.path / LATENTS, latents)
            made.results.update(there.results | _packed(project, half))

    outcome = ensure(project, DICTIONARY, make, settings=stored, made_from=made_from)
    card = model_card(folder)
    write_atomically(folder / CARD, lambda aside: aside.write_text(card, encoding="utf-8"))
    return outcome


def _packed(project: Workspace, half: SAE) -> dict[str, Any]:
    """Where the texts come from, and what half precision costs on held-out ones."""
    sources = Counter(str(passage.metadata.get(SOURCE, "")) for passage in project.corpus)
    held_out = fit.draw_training_texts(project).held_out["passages"][:_MEASURED]
    if len(held_out) < 2:
        return {"sources": dict(sources)}
    texts = project.embedded("passages").take(held_out)
    measured = {"full": project.sae.measure(texts)._asdict(), "half": half.measure(texts)._asdict()}
    return {"sources": dict(sorted(sources.items())), "precision": measured}


def _latents(project: Workspace) -> Iterator[Latent]:
    """Each live latent, with its name, by number."""
    by_latent = project.latents.tocsc()
    concepts = {concept.latent: concept for concept in project.concepts.by_document_frequency()}
    n_texts = by_latent.shape[0]
    for latent in np.flatnonzero(np.diff(by_latent.indptr)).tolist():
        active = by_latent.data[by_latent.indptr[latent] : by_latent.indptr[latent + 1]]
        merged = concepts[latent].merged_into
        concept = concepts[latent if merged is None else merged]
        over, naming = concept.score(OVER_NULLS), next(iter(concept.namings), None)
        yield Latent(
            latent, concept.name, share=len(active) / n_texts, median=float(np.median(active)),
            over_nulls=over and over.low, description=naming.description if naming else "", namer=concept.namer,
            holds_from=concept.holds_from,
        )  # fmt: skip


def _timed_embedding(project: Workspace) -> tuple[float, NDArray[np.float32]]:
    """Seconds that embedding all texts takes, 0 if they are embedded, and some embeddings, (n_timed, d_in)."""
    n_texts = len(project.corpus)
    if project.has("embeddings/passages"):
        return 0.0, project.embedded("passages").rows(0, _TIMED_TEXTS)
    chosen = range(min(n_texts, _TIMED_TEXTS))  # a fair sample: the texts of a pool are shuffled
    contents = [project.corpus[i].content for i in chosen]
    project.encoder.encode_passages(contents[:_WARM_TEXTS])
    watch = Stopwatch()
    rows = project.encoder.encode_passages(contents)
    return watch.seconds * n_texts / len(rows), rows


def _timed_training(project: Workspace, rows: NDArray[np.float32]) -> float:
    """Seconds that training takes on as many texts as the project has, by a few steps on some."""
    config = project.settings.fit
    plan = planned(config, round(len(project.corpus) * (1 - config.held_out)), rows.shape[1], "")
    texts = TrainingTexts([(ArrayRows(rows), np.arange(len(rows)))])

    def seconds_of(steps: int) -> float:
        watch = Stopwatch()
        few = replace(plan.training, steps=steps, warmup_steps=1)
        run_training(texts, rows[:2], plan.sae, few, device=config.device)
        return watch.seconds

    with progress.watched(progress.SILENT):
        seconds_of(1)  # what is compiled once is compiled now
        begun = seconds_of(1)
        a_step = max(0.0, seconds_of(1 + _TIMED_STEPS) - begun) / _TIMED_STEPS
    return (begun + a_step * plan.training.steps) * _trainings(config)


def _trainings(config: FitConfig) -> float:
    """How many times as long as one run an SAE takes."""
    return config.consensus + LAST_STEPS if config.consensus > 1 else 2 if config.twin else 1
