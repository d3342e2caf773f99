"""Judge names and latents, store what was found beside each, and sum it up beside the controls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unweave.base import progress
from unweave.base.records import Trust
from unweave.concepts import store
from unweave.concepts.concept import (
    DETECTION,
    HOLDS_FROM,
    HOLDS_FROM_ELSEWHERE,
    ITSELF,
    OF_FAMILY,
    OVER_NULLS,
    Concept,
    Naming,
    Score,
    trust_of,
)
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges import detection, embedding, nulls, simulations
from unweave.concepts.judges import language_model as by_model
from unweave.concepts.judges.detection import IN_SPACE, LEXICAL, MIDDLE, STRONG, WEAK, Space
from unweave.concepts.judges.nulls import Nulls
from unweave.concepts.judges.questions import Question, mean, questions, share
from unweave.concepts.namers.base import Namer
from unweave.concepts.store import Concepts
from unweave.encode.encoder import Encoder
from unweave.language.client import LanguageModel
from unweave.sae.model import SAE

Queries = NDArray[np.float32] | None
OfNulls = Callable[[Evidence], Namer]
"""Makes the namer of meaningless directions, for what an SAE of these sees in the same texts."""
RANDOM, TEXTS, SHUFFLED = "random directions", "single texts", "shuffled names"
"""Controls."""
HOLDING = "holding"
"""Of a control's names, the share that would have the best mark."""
JUDGES = (
    DETECTION, STRONG, MIDDLE, WEAK, OVER_NULLS, LEXICAL, IN_SPACE, embedding.DESCRIBED, embedding.RETRIEVES,
    embedding.ACTIVATES, OF_FAMILY + DETECTION, OF_FAMILY + OVER_NULLS, embedding.INTRUDER, embedding.COHERENCE,
)  # fmt: skip
_OF_TWO = (DETECTION, STRONG, MIDDLE, WEAK, OVER_NULLS, LEXICAL, IN_SPACE, embedding.DESCRIBED, "ranking")
CHANCE = (
    dict.fromkeys(_OF_TWO, 0.5)
    | dict.fromkeys((OF_FAMILY + DETECTION, OF_FAMILY + OVER_NULLS), 0.5)
    | dict.fromkeys((embedding.INTRUDER, "identification", "identification-hard"), 0.1)
    | {embedding.COHERENCE: 0.0}
)
"""What a judge finds where there is nothing to find. For cycles it is the share of texts that activate a latent."""
_ACTIVATIONS = (HOLDS_FROM, HOLDS_FROM_ELSEWHERE)
"""Scores that are no share: a mean of activations says nothing."""
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
        return CHANCE.get(self.score.judge.removesuffix(by_model.SUFFIX))


def judge(
    known: Concepts,
    evidence: Evidence,
    of_nulls: OfNulls,
    queries: Queries = None,
    *,
    other: Encoder | None = None,
    again: bool = False,
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
    judge_names(known, evidence, partial(nulls.of_random_directions, evidence, of_nulls), again=again)
    namers = judge_in_space(known, evidence, other=other, again=again)
    found = list(verdicts(known.by_document_frequency()))
    return found + [verdict for namer in namers for verdict in simulate(known, evidence, queries, namer)]


def judge_names(known: Concepts, evidence: Evidence, beside: Callable[[], Nulls], *, again: bool = False) -> None:
    """Judge every name that has not been judged yet by detection: what decides its mark, and takes seconds.

    Args:
        known: the concepts; what is found is stored with them.
        beside: what names are held against, worked out when it is needed.
        again: judge what was judged already too.

    Raises:
        MissingExtra: the second encoder is not installed.
    """
    concepts = known.by_document_frequency()
    todo: dict[str, list[int]] = {}
    for concept in concepts:
        for naming in concept.namings:
            judged = concept.score(DETECTION, naming.namer) is not None and not again
            if naming.name is not None and not naming.kept and not judged:
                todo.setdefault(naming.namer, []).append(concept.latent)
    asked = questions(evidence, sorted(set(chain.from_iterable(todo.values()))))
    if not asked:
        return
    with progress.steps("judging names", total=3 + len(todo), unit="parts") as advance:
        other = detection.by_second_encoder(evidence)
        advance(1)
        words = detection.lexical(evidence)
        advance(1)
        against = beside()
        advance(1)
        for namer, latents in todo.items():
            namings = _of_these_texts(by_namer(concepts, namer))
            of_namer = {latent: asked[latent] for latent in latents if latent in asked}
            by_words = detection.detect(words, namings, of_namer)
            _keep(known, namer, chain(told_beside_nulls(evidence, namings, of_namer, other, against), by_words))
            advance(1)


def told_beside_nulls(
    evidence: Evidence, namings: Mapping[int, Naming], asked: Mapping[int, Question], space: Space, beside: Nulls
) -> Iterator[tuple[int, Score]]:
    """Detection of each name, by bands too, and how many nulls it is better than."""
    frequencies = np.diff(evidence.latents.indptr)
    for latent, score in detection.detect(space, namings, asked, bands=True):
        yield latent, score
        if score.judge == DETECTION and (over := beside.beaten(int(frequencies[latent]), score)) is not None:
            yield latent, over


def judge_in_space(
    known: Concepts, evidence: Evidence, *, other: Encoder | None = None, again: bool = False
) -> list[str]:
    """Judge latents, and names in the space of the encoder itself; returns the namers whose names were judged."""
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
            todo = [j for j, c in concepts.items() if again or c.score(IN_SPACE, namer) is None]
            namings = _of_these_texts(by_namer(concepts.values(), namer))
            asked = questions(evidence, [latent for latent in todo if latent in namings])
            if asked:
                _keep(known, namer, detection.detect(detection.in_space(evidence), namings, asked))
                _keep(known, namer, embedding.judge_words(evidence, namings, asked))
            advance(1)
    return namers


def _keep(known: Concepts, namer: str, scores: Iterator[tuple[int, Score]]) -> None:
    """Store scores, all or none."""
    store.add_scores(known.database, [(latent, namer, score) for latent, score in scores])


def by_namer(concepts: Iterable[Concept], namer: str) -> dict[int, Naming]:
    """One namer's names, of those latents that it has named."""
    found = ((concept.latent, concept.naming(namer)) for concept in concepts)
    return {latent: naming for latent, naming in found if naming is not None and naming.name is not None}


def _of_these_texts(namings: Mapping[int, Naming]) -> dict[int, Naming]:
    """Names that were made from these texts, so that it is known which of them no namer has seen."""
    return {latent: naming for latent, naming in namings.items() if not naming.kept}


def verdicts(concepts: Sequence[Concept]) -> Iterator[Verdict]:
    """The means of all scores that concepts have, namer by namer, in the order of `JUDGES`."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for concept in concepts:
        for namer, found in concept.scores.items():
            for score in found:
                if score.judge not in _ACTIVATIONS:
                    scores.setdefault((namer, score.judge), []).append(score)
    place = {judge: number for number, judge in enumerate(JUDGES)}
    for namer, judge in sorted(scores, key=lambda key: (key[0], place.get(key[1], len(place)))):
        yield Verdict(namer, "", _mean(scores[namer, judge]))


def simulate(known: Concepts, evidence: Evidence, queries: Queries, namer: str) -> Iterator[Verdict]:
    """The two tests of one namer's names together; see `simulations`."""
    namings = by_namer(known.by_document_frequency(), namer)
    words = embedding.mixed(evidence.encoder, {j: embedding.wordings(naming) for j, naming in namings.items()})
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
    of_nulls: OfNulls,
    n: int,
) -> list[Verdict]:
    """What the same judges find where there is less to find, or nothing.

    Names of other latents; names that the same namers give random directions, other ones than those that names are
    held against; and those that they give the directions of single texts, which are coherent and no dictionary.

    Args:
        namers: what makes each namer for another SAE than the evidence's.
        n: latents that are judged, drawn at random.
    """
    seed = evidence.config.seed
    space = detection.by_second_encoder(evidence)
    beside = nulls.of_random_directions(evidence, of_nulls)
    others = (detection.lexical(evidence), detection.in_space(evidence))

    def judged(
        of: Evidence, namings: Mapping[int, Naming], asked: Mapping[int, Question]
    ) -> Iterator[tuple[int, Score]]:
        yield from told_beside_nulls(of, namings, asked, space, beside)
        for other in others:
            yield from detection.detect(other, namings, asked)
        yield from embedding.judge_words(of, namings, asked)

    found, concepts = [], known.by_document_frequency()
    asked = questions(evidence, _some(np.random.default_rng([seed, 5]), evidence, n))
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = nulls.shuffled(by_namer(concepts, namer), seed)
        of_namer = {j: question for j, question in asked.items() if j in namings}
        found += list(of_control(namer, SHUFFLED, judged(evidence, namings, of_namer)))
    for name, sae in (
        (RANDOM, nulls.random_directions(evidence, n, seed + 1)),
        (TEXTS, nulls.single_texts(evidence, n, seed)),
    ):
        of = evidence.seen_by(sae)
        live = of.live.tolist()
        found += list(means(ITSELF, name, embedding.judge_intruders(of, live)))
        for kind, make in namers.items():
            named = {j: naming for j, naming in make(of, sae).names(live) if naming.name is not None}
            found += list(of_control(kind, name, judged(of, named, questions(of, list(named)))))
    return found


def of_control(namer: str, control: str, scores: Iterable[tuple[int, Score]]) -> Iterator[Verdict]:
    """The means of a control's scores, and how many of its names would have the best mark."""
    kept = list(scores)
    yield from means(namer, control, kept)
    of_latent: dict[int, list[Score]] = {}
    for latent, score in kept:
        of_latent.setdefault(latent, []).append(score)
    marked = [trust_of(namer, of) for of in of_latent.values()]
    if judged := [trust is Trust.HOLDS for trust in marked if trust is not Trust.UNSCORED]:
        yield Verdict(namer, control, share(HOLDING, float(np.mean(judged)), len(judged)))


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
    put = [by_model.intruders(evidence, todo)]
    for namer in sorted({naming.namer for concept in concepts for naming in concept.namings}):
        namings = by_namer(concepts, namer)
        unseen = _of_these_texts(namings)
        todo = [j for j in some if j in unseen and by_latent[j].score(by_model.DETECTION, namer) is None]
        put.append(by_model.detection(evidence, unseen, questions(evidence, todo)))
        put += _simulations(evidence, queries, namings, n)
    found: dict[tuple[str, str], list[Score]] = {}
    every = list(chain.from_iterable(put))
    with progress.steps("judging by a language model", total=len(every), unit="questions") as advance:
        for asked, score, receipts in by_model.put(model, known.database, iter(every)):
            scores = [] if score is None or asked.latent is None else [(asked.latent, asked.namer, score)]
            store.add_scores(known.database, scores, receipts)
            if score is not None and asked.latent is None:
                found.setdefault((asked.namer, asked.judge), []).append(score)
            advance(1)
    stored = [v for v in verdicts(known.by_document_frequency()) if v.score.judge in by_model.OF_CONCEPTS]
    return stored + [Verdict(namer, "", _mean(scores)) for (namer, _), scores in found.items()]


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
        if score.judge not in _ACTIVATIONS:
            by_judge.setdefault(score.judge, []).append(score)
    for found in by_judge.values():
        yield Verdict(namer, control, _mean(found))


def _mean(scores: Sequence[Score]) -> Score:
    return mean(scores, least=-1.0 if scores[0].judge == embedding.COHERENCE else 0.0)


def marks(concepts: Sequence[Concept]) -> dict[Trust, int]:
    """How many of the shown names have each mark of trust; all marks, the best first."""
    counts = Counter(concept.trust for concept in concepts if concept.name is not None)
    return {trust: counts[trust] for trust in Trust}
