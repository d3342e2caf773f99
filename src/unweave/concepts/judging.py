"""Judge a project's names and latents, store what was found beside each, and sum it up beside the controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from unweave import progress
from unweave.concepts import controls, judges, simulations, store
from unweave.concepts import language_model_judges as by_model
from unweave.concepts.evidence import Evidence
from unweave.concepts.naming import Namer
from unweave.concepts.store import DETECTION, ITSELF, Concept, Naming, Score, Trust
from unweave.encoders import Encoder
from unweave.language_model import LanguageModel
from unweave.project import Project
from unweave.sae.model import SAE

RANDOM, SHUFFLED = "random dictionary", "shuffled names"
_SIMULATED = 1000
"""Questions of each simulation."""


class Verdict(NamedTuple):
    """What a judge found on the whole."""

    namer: str
    """Whose names were judged; empty: the latents themselves."""
    control: str
    """`random dictionary` or `shuffled names`; empty: the real thing."""
    score: Score
    """The mean over latents; n latents, or in a simulation n questions."""

    @property
    def chance(self) -> float | None:
        """What it would find by luck; None where that depends on the latent."""
        return judges.CHANCE.get(self.score.judge.removesuffix(by_model.SUFFIX))


def judge(project: Project, evidence: Evidence, *, other: Encoder | None = None, again: bool = False) -> list[Verdict]:
    """Judge every name that has not been judged yet, without a language model, and every latent.

    Args:
        other: another encoder than the project's; with it, coherence is measured too.
        again: judge what was judged already too.

    Returns:
        A verdict for each namer and judge, of all that is stored; then the simulations.
    """
    database = project.concepts.database
    concepts = {concept.latent: concept for concept in project.concepts.by_document_frequency()}
    namers = sorted({naming.namer for concept in concepts.values() for naming in concept.namings})
    with progress.steps("judging", total=len(namers) + 1 + (other is not None), unit="judges") as advance:
        todo = [j for j, c in concepts.items() if again or c.score(judges.INTRUDER, ITSELF) is None]
        _keep(project, ITSELF, judges.judge_intruders(evidence, todo))
        advance(1)
        if other is not None:
            todo = [j for j, c in concepts.items() if again or c.score(judges.COHERENCE, ITSELF) is None]
            _keep(project, ITSELF, judges.judge_coherence(evidence, todo, other))
            advance(1)
        for namer in namers:
            todo = [j for j, c in concepts.items() if again or c.score(DETECTION, namer) is None]
            namings = by_namer(concepts.values(), namer)
            asked = judges.questions(evidence, [latent for latent in todo if latent in namings])
            if asked:
                _keep(project, namer, judges.judge_names(evidence, namings, asked))
            advance(1)
    vars(project).pop("concepts", None)
    found = list(verdicts(store.Concepts(database).by_document_frequency()))
    return found + [verdict for namer in namers for verdict in simulate(project, evidence, namer)]


def _keep(project: Project, namer: str, scores: Iterator[tuple[int, Score]]) -> None:
    store.add_scores(project.concepts.database, [(latent, namer, score) for latent, score in scores])


def by_namer(concepts: Iterable[Concept], namer: str) -> dict[int, Naming]:
    """One namer's names, of those latents that it has named."""
    found = ((concept.latent, concept.naming(namer)) for concept in concepts)
    return {latent: naming for latent, naming in found if naming is not None and naming.name is not None}


def verdicts(concepts: Sequence[Concept]) -> Iterator[Verdict]:
    """The means of all scores that concepts have, namer by namer, in the order of `judges.JUDGES`."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for concept in concepts:
        for namer, found in concept.scores.items():
            for score in found:
                scores.setdefault((namer, score.judge), []).append(score)
    place = {judge: number for number, judge in enumerate(judges.JUDGES)}
    for namer, judge in sorted(scores, key=lambda key: (key[0], place.get(key[1], len(place)))):
        yield Verdict(namer, "", judges.mean(scores[namer, judge]))


def simulate(project: Project, evidence: Evidence, namer: str) -> Iterator[Verdict]:
    """The two tests of one namer's names together; see `simulations`."""
    namings = by_namer(project.concepts.by_document_frequency(), namer)
    words = judges.embedded(evidence.encoder, {j: judges.wordings(naming) for j, naming in namings.items()})
    named = np.zeros(evidence.latents.shape[1], np.bool_)
    named[list(words)] = True
    for hard in (False, True):
        asked = simulations.choices(evidence, named, _SIMULATED, hard=hard, seed=evidence.config.seed)
        if asked:
            yield Verdict(namer, "", simulations.read_choices(evidence, asked, words, hard=hard))
    stored = project.embeddings("queries")
    if stored is not None:
        queries = stored.rows(0, len(stored))
        pairs = simulations.pairs(evidence, queries, _SIMULATED, seed=evidence.config.seed)
        yield Verdict(namer, "", simulations.read_pairs(evidence, queries, pairs, words))


def control(
    project: Project,
    evidence: Evidence,
    namers: Mapping[str, Callable[[Evidence, SAE], Namer]],
    n: int = 500,
) -> list[Verdict]:
    """What the same judges find of names of other latents, and of names that the same namers give random directions.

    Args:
        namers: what makes each namer for another SAE than the project's.
        n: latents that are judged, drawn at random.
    """
    rng = np.random.default_rng([evidence.config.seed, 5])
    found = []
    asked = judges.questions(evidence, _some(rng, evidence, n))
    concepts = project.concepts.by_document_frequency()
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = controls.shuffled(by_namer(concepts, namer), evidence.config.seed)
        scores = judges.judge_names(evidence, namings, {j: question for j, question in asked.items() if j in namings})
        found += list(means(namer, SHUFFLED, scores))
    random = controls.random_dictionary(project.sae, evidence.embeddings, evidence.config.seed)
    of_random = Evidence(project, evidence.config, random)
    some = _some(rng, of_random, n)
    found += list(means(ITSELF, RANDOM, judges.judge_intruders(of_random, some)))
    for kind, make in namers.items():
        named = {j: naming for j, naming in make(of_random, random).names(some) if naming.name is not None}
        found += list(
            means(kind, RANDOM, judges.judge_names(of_random, named, judges.questions(of_random, list(named))))
        )
    return found


def judge_by_model(project: Project, evidence: Evidence, model: LanguageModel, n: int) -> list[Verdict]:
    """Judge latents and names, not yet judged so, by a language model, and put the tests of `simulations` to it.

    Args:
        n: latents, drawn at random, and questions of each test. Of the names, those of each namer.

    Raises:
        ModelUnavailable, SpendingCapReached: what was judged until then is stored.
    """
    database = project.concepts.database
    rng = np.random.default_rng([evidence.config.seed, 10])
    some = _some(rng, evidence, n)
    concepts = project.concepts.by_document_frequency()
    by_latent = {concept.latent: concept for concept in concepts}
    todo = [j for j in some if by_latent[j].score(by_model.INTRUDER, ITSELF) is None]
    questions = [by_model.intruders(evidence, todo)]
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = by_namer(concepts, namer)
        todo = [j for j in some if j in namings and by_latent[j].score(by_model.DETECTION, namer) is None]
        questions.append(by_model.detection(evidence, namings, judges.questions(evidence, todo)))
        questions += _simulations(project, evidence, namings, n)
    found: dict[tuple[str, str], list[Score]] = {}
    put = list(chain.from_iterable(questions))
    with progress.steps("judging by a language model", total=len(put), unit="questions") as advance:
        for asked, score, receipts in by_model.put(model, database, iter(put)):
            scores = [] if score is None or asked.latent is None else [(asked.latent, asked.namer, score)]
            store.add_scores(database, scores, receipts)
            if score is not None and asked.latent is None:
                found.setdefault((asked.namer, asked.judge), []).append(score)
            advance(1)
    vars(project).pop("concepts", None)
    stored = [v for v in verdicts(project.concepts.by_document_frequency()) if v.score.judge in by_model.OF_CONCEPTS]
    return stored + [Verdict(namer, "", judges.mean(scores)) for (namer, _), scores in found.items()]


def _simulations(
    project: Project, evidence: Evidence, namings: Mapping[int, Naming], n: int
) -> Iterator[Iterator[by_model.Asked]]:
    named = np.zeros(evidence.latents.shape[1], np.bool_)
    named[list(namings)] = True
    if not named.any():
        return
    choices = simulations.choices(evidence, named, n, seed=evidence.config.seed)
    yield by_model.identification(evidence, namings, choices)
    stored = project.embeddings("queries")
    if stored is not None:
        queries = stored.rows(0, len(stored))
        yield by_model.ranking(evidence, queries, namings, simulations.pairs(evidence, queries, n))


def _some(rng: np.random.Generator, evidence: Evidence, n: int) -> list[int]:
    return [int(j) for j in np.sort(rng.choice(evidence.live, min(n, len(evidence.live)), replace=False))]


def means(namer: str, control: str, scores: Iterable[tuple[int, Score]]) -> Iterator[Verdict]:
    """The mean of each judge's scores of some latents."""
    by_judge: dict[str, list[Score]] = {}
    for _, score in scores:
        by_judge.setdefault(score.judge, []).append(score)
    for found in by_judge.values():
        yield Verdict(namer, control, judges.mean(found))


def marks(concepts: Sequence[Concept]) -> dict[Trust, int]:
    """How many of the shown names have each mark of trust; all marks, the best first."""
    counts = Counter(concept.trust for concept in concepts if concept.name is not None)
    return {trust: counts[trust] for trust in Trust}
