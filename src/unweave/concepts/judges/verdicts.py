"""Judge names and latents, store what was found beside each, and sum it up beside the controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.records import Trust
from unweave.concepts import store
from unweave.concepts.concept import DETECTION, ITSELF, Concept, Naming, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges import controls, embedding, simulations
from unweave.concepts.judges import language_model as by_model
from unweave.concepts.namers.base import Namer
from unweave.concepts.store import Concepts
from unweave.encode.encoder import Encoder
from unweave.language.client import LanguageModel
from unweave.sae.model import SAE

Queries = NDArray[np.float32] | None
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
        return embedding.CHANCE.get(self.score.judge.removesuffix(by_model.SUFFIX))


def judge(
    known: Concepts, evidence: Evidence, queries: Queries, *, other: Encoder | None = None, again: bool = False
) -> list[Verdict]:
    """Judge every name that has not been judged yet, without a language model, and every latent.

    A name that was kept when the SAE was trained on keeps its judgement too: it is not known which of the texts that
    there are now it was made from.

    Args:
        known: the concepts; what is found is stored with them.
        queries: (n_queries, d_in) for the test of rankings; None: there are none.
        other: another encoder than the evidence's; with it, coherence is measured too.
        again: judge what was judged already too.

    Returns:
        A verdict for each namer and judge, of all that is stored; then the simulations.
    """
    namers = judge_each(known, evidence, other=other, again=again)
    found = list(verdicts(known.by_document_frequency()))
    return found + [verdict for namer in namers for verdict in simulate(known, evidence, queries, namer)]


def judge_each(known: Concepts, evidence: Evidence, *, other: Encoder | None = None, again: bool = False) -> list[str]:
    """The part of `judge` that asks about one latent at a time; returns the namers whose names were judged."""
    concepts = {concept.latent: concept for concept in known.by_document_frequency()}
    namers = sorted({naming.namer for concept in concepts.values() for naming in concept.namings})
    with progress.steps("judging", total=len(namers) + 1 + (other is not None), unit="judges") as advance:
        todo = [j for j, c in concepts.items() if again or c.score(embedding.INTRUDER, ITSELF) is None]
        _keep(known, ITSELF, embedding.judge_intruders(evidence, todo))
        advance(1)
        if other is not None:
            todo = [j for j, c in concepts.items() if again or c.score(embedding.COHERENCE, ITSELF) is None]
            _keep(known, ITSELF, embedding.judge_coherence(evidence, todo, other))
            advance(1)
        kept = sum(naming.kept for concept in concepts.values() for naming in concept.namings)
        if kept:
            progress.say(
                f"{kept:,} names were kept when the SAE was trained on, and keep the judgement that they had; to make "
                "and judge them anew: unweave name --anew"
            )
        for namer in namers:
            todo = [j for j, c in concepts.items() if again or c.score(DETECTION, namer) is None]
            namings = _of_these_texts(by_namer(concepts.values(), namer))
            asked = embedding.questions(evidence, [latent for latent in todo if latent in namings])
            if asked:
                _keep(known, namer, embedding.judge_names(evidence, namings, asked))
            advance(1)
    return namers


def _keep(known: Concepts, namer: str, scores: Iterator[tuple[int, Score]]) -> None:
    store.add_scores(known.database, [(latent, namer, score) for latent, score in scores])


def by_namer(concepts: Iterable[Concept], namer: str) -> dict[int, Naming]:
    """One namer's names, of those latents that it has named."""
    found = ((concept.latent, concept.naming(namer)) for concept in concepts)
    return {latent: naming for latent, naming in found if naming is not None and naming.name is not None}


def _of_these_texts(namings: Mapping[int, Naming]) -> dict[int, Naming]:
    """Names that were made from these texts, so that it is known which of them no namer has seen."""
    return {latent: naming for latent, naming in namings.items() if not naming.kept}


def verdicts(concepts: Sequence[Concept]) -> Iterator[Verdict]:
    """The means of all scores that concepts have, namer by namer, in the order of `embedding.JUDGES`."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for concept in concepts:
        for namer, found in concept.scores.items():
            for score in found:
                scores.setdefault((namer, score.judge), []).append(score)
    place = {judge: number for number, judge in enumerate(embedding.JUDGES)}
    for namer, judge in sorted(scores, key=lambda key: (key[0], place.get(key[1], len(place)))):
        yield Verdict(namer, "", embedding.mean(scores[namer, judge]))


def simulate(known: Concepts, evidence: Evidence, queries: Queries, namer: str) -> Iterator[Verdict]:
    """The two tests of one namer's names together; see `simulations`."""
    namings = by_namer(known.by_document_frequency(), namer)
    words = embedding.embedded(evidence.encoder, {j: embedding.wordings(naming) for j, naming in namings.items()})
    named = np.zeros(evidence.latents.shape[1], np.bool_)
    named[list(words)] = True
    for hard in (False, True):
        asked = simulations.choices(evidence, named, _SIMULATED, hard=hard, seed=evidence.config.seed)
        if asked:
            yield Verdict(namer, "", simulations.read_choices(evidence, asked, words, hard=hard))
    if queries is not None:
        pairs = simulations.pairs(evidence, queries, _SIMULATED, seed=evidence.config.seed)
        yield Verdict(namer, "", simulations.read_pairs(evidence, queries, pairs, words))


def control(
    known: Concepts,
    evidence: Evidence,
    namers: Mapping[str, Callable[[Evidence, SAE], Namer]],
    n: int = 500,
) -> list[Verdict]:
    """What the same judges find of names of other latents, and of names that the same namers give random directions.

    Args:
        namers: what makes each namer for another SAE than the evidence's.
        n: latents that are judged, drawn at random.
    """
    rng = np.random.default_rng([evidence.config.seed, 5])
    found = []
    asked = embedding.questions(evidence, _some(rng, evidence, n))
    concepts = known.by_document_frequency()
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = controls.shuffled(by_namer(concepts, namer), evidence.config.seed)
        scores = embedding.judge_names(
            evidence, namings, {j: question for j, question in asked.items() if j in namings}
        )
        found += list(means(namer, SHUFFLED, scores))
    random = controls.random_dictionary(evidence.sae, evidence.embeddings, evidence.config.seed)
    of_random = evidence.seen_by(random)
    some = _some(rng, of_random, n)
    found += list(means(ITSELF, RANDOM, embedding.judge_intruders(of_random, some)))
    for kind, make in namers.items():
        named = {j: naming for j, naming in make(of_random, random).names(some) if naming.name is not None}
        found += list(
            means(kind, RANDOM, embedding.judge_names(of_random, named, embedding.questions(of_random, list(named))))
        )
    return found


def judge_by_model(
    known: Concepts, evidence: Evidence, queries: Queries, model: LanguageModel, n: int
) -> list[Verdict]:
    """Judge latents and names, not yet judged so, by a language model, and put the tests of `simulations` to it.

    Args:
        n: latents, drawn at random, and questions of each test. Of the names, those of each namer.

    Raises:
        ModelUnavailable, SpendingCapReached: what was judged until then is stored.
    """
    rng = np.random.default_rng([evidence.config.seed, 10])
    some = _some(rng, evidence, n)
    concepts = known.by_document_frequency()
    by_latent = {concept.latent: concept for concept in concepts}
    todo = [j for j in some if by_latent[j].score(by_model.INTRUDER, ITSELF) is None]
    questions = [by_model.intruders(evidence, todo)]
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = by_namer(concepts, namer)
        unseen = _of_these_texts(namings)
        todo = [j for j in some if j in unseen and by_latent[j].score(by_model.DETECTION, namer) is None]
        questions.append(by_model.detection(evidence, unseen, embedding.questions(evidence, todo)))
        questions += _simulations(evidence, queries, namings, n)
    found: dict[tuple[str, str], list[Score]] = {}
    put = list(chain.from_iterable(questions))
    with progress.steps("judging by a language model", total=len(put), unit="questions") as advance:
        for asked, score, receipts in by_model.put(model, known.database, iter(put)):
            scores = [] if score is None or asked.latent is None else [(asked.latent, asked.namer, score)]
            store.add_scores(known.database, scores, receipts)
            if score is not None and asked.latent is None:
                found.setdefault((asked.namer, asked.judge), []).append(score)
            advance(1)
    stored = [v for v in verdicts(known.by_document_frequency()) if v.score.judge in by_model.OF_CONCEPTS]
    return stored + [Verdict(namer, "", embedding.mean(scores)) for (namer, _), scores in found.items()]


def _simulations(
    evidence: Evidence, queries: Queries, namings: Mapping[int, Naming], n: int
) -> Iterator[Iterator[by_model.ModelQuestion]]:
    named = np.zeros(evidence.latents.shape[1], np.bool_)
    named[list(namings)] = True
    if not named.any():
        return
    choices = simulations.choices(evidence, named, n, seed=evidence.config.seed)
    yield by_model.identification(evidence, namings, choices)
    if queries is not None:
        yield by_model.ranking(evidence, queries, namings, simulations.pairs(evidence, queries, n))


def _some(rng: np.random.Generator, evidence: Evidence, n: int) -> list[int]:
    return [int(j) for j in np.sort(rng.choice(evidence.live, min(n, len(evidence.live)), replace=False))]


def means(namer: str, control: str, scores: Iterable[tuple[int, Score]]) -> Iterator[Verdict]:
    """The mean of each judge's scores of some latents."""
    by_judge: dict[str, list[Score]] = {}
    for _, score in scores:
        by_judge.setdefault(score.judge, []).append(score)
    for found in by_judge.values():
        yield Verdict(namer, control, embedding.mean(found))


def marks(concepts: Sequence[Concept]) -> dict[Trust, int]:
    """How many of the shown names have each mark of trust; all marks, the best first."""
    counts = Counter(concept.trust for concept in concepts if concept.name is not None)
    return {trust: counts[trust] for trust in Trust}
