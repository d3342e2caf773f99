"""The stage that judges names and latents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from unweave.base.extras import require
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges import verdicts
from unweave.concepts.judges.verdicts import Verdict
from unweave.concepts.namers.base import Namer
from unweave.concepts.namers.keyphrases import KeyphraseNamer
from unweave.concepts.namers.lexicon import LexiconNamer
from unweave.encode.encoder import Encoder
from unweave.language.client import LanguageModel
from unweave.sae.model import SAE
from unweave.stages.evidence import evidence_of
from unweave.stages.name import alone
from unweave.stages.workspace import Workspace


def judge(project: Workspace, *, other: Encoder | None = None, again: bool = False) -> list[Verdict]:
    """Judge every namer's names and every latent, without a language model; see `verdicts.judge`."""
    require("judging names", "encode", "sentence_transformers", "torch")  # before evidence is gathered
    with alone(project):
        evidence = evidence_of(project)
        of_nulls = KeyphraseNamer(evidence, project.settings.keyphrases).beside
        return verdicts.judge(project.concepts, evidence, of_nulls, _queries(project), other=other, again=again)


def judge_by_model(project: Workspace, n: int) -> list[Verdict]:
    """Judge n latents, and each namer's names of them, by the language model; see `verdicts.judge_by_model`."""
    concepts = project.concepts
    model = LanguageModel(project.confirmed("language_model"))
    try:
        with alone(project):
            return verdicts.judge_by_model(concepts, evidence_of(project), _queries(project), model, n)
    finally:
        model.close()


def controls(project: Workspace, n: int = 500) -> list[Verdict]:
    """What the judges find of names of n other latents, and of n directions that are no dictionary's."""
    evidence = evidence_of(project)
    keyphrases = KeyphraseNamer(evidence, project.settings.keyphrases)
    namers: dict[str, Callable[[Evidence, SAE], Namer]] = {keyphrases.namer: lambda of, _: keyphrases.beside(of)}
    if project.has("embeddings/lexicon"):
        config = project.settings.lexicon
        namers[LexiconNamer.namer] = lambda _, sae: LexiconNamer(sae.W_dec, project.lexicon, config, made_of="random")
    return verdicts.control(project.concepts, evidence, namers, keyphrases.beside, n)


def _queries(project: Workspace) -> NDArray[np.float32] | None:
    stored = project.embeddings("queries")
    return None if stored is None else stored.rows()
