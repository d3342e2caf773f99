"""The stage that builds concept indexes and codes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from scipy.sparse import csr_array

from unweave.base.artifact import MANIFEST
from unweave.base.building import discard
from unweave.errors import ScoringUndefined
from unweave.index.codes import coded, write_codes
from unweave.index.concept_index import ConceptIndex, settings_of
from unweave.index.scoring import PROFILES, Scoring
from unweave.stages.ensure import Outcome, ensure
from unweave.stages.lexical import bm25
from unweave.stages.workspace import Workspace

logger = logging.getLogger(__name__)


def index(project: Workspace) -> list[Outcome]:
    """Build one concept index a scoring profile, the codes that rescoring reads, and BM25's lists of words.

    The few passages, one in a hundred at most, for which a profile's formula is undefined are left out of its
    index and counted; a profile that is undefined for more has none.
    """
    outcomes = []
    n_latents = project.sae.config.n_latents
    for profile, scoring in PROFILES.items():
        name = f"index/{profile}"
        try:
            outcomes.append(
                build_index(project, name, lambda: project.latents, scoring, n_latents=n_latents, source="latents")
            )
        except ScoringUndefined as error:
            _discard_as_built(project, name)
            outcomes.append(Outcome(name, False, 0.0, {"undefined": str(error)}))
    return [*outcomes, codes(project), bm25(project)]


def _discard_as_built(project: Workspace, name: str) -> None:
    """Take away an index of earlier latents, which nothing can bring up to date; one that people changed stays."""
    folder = project.path / name
    if (folder / MANIFEST).is_file() and ConceptIndex.open(folder).as_built:
        discard(folder)


def build_index(
    project: Workspace, name: str, latents: Callable[[], csr_array], scoring: Scoring, *, n_latents: int, source: str,
    mean_latents: float | None = None,
) -> Outcome:  # fmt: skip
    """Index the passages' latents, unless they are.

    Args:
        latents: called for them, (n_passages, n_latents), if the index has to be built.
        source: the artefact that holds them.
        mean_latents: see `ConceptIndex.build`.

    Raises:
        ScoringUndefined: the formula is undefined for more than a few passages.
    """
    made_from = project.made_from(source)

    def make() -> None:
        built = ConceptIndex.build(
            latents(), project.corpus.ids, scoring,
            mean_latents=mean_latents, folder=project.path / name, made_from=made_from,
        )  # fmt: skip
        built.hits(np.zeros(1, np.int64), np.ones(1))  # so that what is compiled once is compiled now

    outcome = ensure(project, name, make, settings=settings_of(scoring, n_latents), made_from=made_from)
    there = ConceptIndex.open(project.path / name)
    if there.as_built:
        return outcome
    logger.warning(
        "%s was changed after it was built and has %s passages, the corpus %s; it is left so. To build it from the "
        "corpus, remove its folder first", project.path / name, f"{there.n_passages:,}", f"{len(project.corpus):,}",
    )  # fmt: skip
    return outcome._replace(results=outcome.results | {"n_passages": there.n_passages})


def codes(project: Workspace) -> Outcome:
    """Store each passage's code, which rescoring reads, unless it is stored."""
    config = project.settings.index
    embeddings = project.embedded("passages")
    n_latents = project.sae.config.n_latents
    made_from = project.made_from("embeddings/passages", "sae")

    settings = asdict(config) | {"n_latents": n_latents}

    def codes_of(start: int, end: int) -> csr_array:
        return coded(project.sae, embeddings.rows(start, end), min(config.code_k, n_latents))  # a small SAE has fewer

    def make() -> None:
        write_codes(project.path / "codes", len(embeddings), codes_of, settings=settings, made_from=made_from)

    return ensure(project, "codes", make, settings=settings, made_from=made_from)
