"""The judges of `judges` and the tests of `simulations`, with a language model that reads instead of embeddings.

It is asked about fewer texts at a time, for it reads them all at once. It is told how many are active, as the judges
without a language model are, and what it answers counts the same, so that chance is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unweave.concepts import prompts
from unweave.concepts.concept import ITSELF, Naming, Score
from unweave.concepts.evidence import Evidence
from unweave.concepts.judges import embedding
from unweave.concepts.judges.questions import Question, share
from unweave.concepts.judges.simulations import Choice, Pair
from unweave.concepts.namers.language_model import at_once, ledger
from unweave.errors import BadAnswer
from unweave.language.client import LanguageModel, Message, Receipt

SUFFIX = "-by-model"
DETECTION, INTRUDER = f"detection{SUFFIX}", f"intruder{SUFFIX}"
IDENTIFICATION, RANKING = f"identification{SUFFIX}", f"ranking{SUFFIX}"
OF_CONCEPTS = (DETECTION, INTRUDER)
"""Those whose scores are stored."""
_ACTIVE = 5
"""Active texts in a question, and as many silent ones."""


class ModelQuestion(NamedTuple):
    """One question to a language model."""

    latent: int | None
    namer: str
    judge: str
    messages: Sequence[Message]
    right: frozenset[int]
    """Numbers, from 0, of the passages that are right."""
    n: int
    """Passages."""


class ModelVerdict(NamedTuple):
    """What a language model answered to a question, or that it answered something else."""

    asked: ModelQuestion
    score: Score | None
    """Of one decision, or of as many as there are right passages; None: the answer was no answer."""
    receipts: tuple[Receipt, ...]


def detection(
    evidence: Evidence, namings: Mapping[int, Naming], questions: Mapping[int, Question]
) -> Iterator[ModelQuestion]:
    """Which texts activate a latent, by its name and description."""
    for latent, (texts, active, *_) in questions.items():
        naming = namings[latent]
        rng = np.random.default_rng([evidence.config.seed, latent, 6])
        half = min(_ACTIVE, int(active.sum()))
        chosen = np.concatenate([rng.choice(np.flatnonzero(of), half, replace=False) for of in (active, ~active)])
        chosen = rng.permutation(chosen)
        passages = [evidence.content(int(text)) for text in texts[chosen]]
        messages = prompts.which_activate(naming.name or "", naming.description, passages, half)
        right = frozenset(np.flatnonzero(active[chosen]).tolist())
        yield ModelQuestion(latent, naming.namer, DETECTION, messages, right, len(passages))


def intruders(evidence: Evidence, latents: Sequence[int]) -> Iterator[ModelQuestion]:
    """Which of ten passages does not activate a latent; one question a latent."""
    for latent in latents:
        shown = embedding.with_intruders(evidence, latent)
        if shown is not None:
            texts = np.append(shown.texts, shown.intruders[0])
            order = np.random.default_rng([evidence.config.seed, latent, 7]).permutation(len(texts))
            passages = [evidence.content(int(text)) for text in texts[order]]
            right = frozenset(np.flatnonzero(order == len(texts) - 1).tolist())
            yield ModelQuestion(latent, ITSELF, INTRUDER, prompts.odd_one(passages), right, len(passages))


def identification(
    evidence: Evidence, namings: Mapping[int, Naming], choices: Sequence[Choice]
) -> Iterator[ModelQuestion]:
    """Which passage of ten is meant, by the names of its concepts."""
    for number, (passages, latents) in enumerate(choices):
        order = np.random.default_rng([evidence.config.seed, number, 8]).permutation(len(passages))
        names = [namings[int(latent)].name or "" for latent in latents]
        texts = [evidence.content(int(text)) for text in passages[order]]
        namer = namings[int(latents[0])].namer
        right = frozenset(np.flatnonzero(order == 0).tolist())
        yield ModelQuestion(None, namer, IDENTIFICATION, prompts.which_is_meant(names, texts), right, len(texts))


def ranking(
    evidence: Evidence, queries: np.ndarray, namings: Mapping[int, Naming], pairs: Sequence[Pair]
) -> Iterator[ModelQuestion]:
    """Which of two passages is ranked higher, by names and activations alone."""
    namer = next(iter(namings.values())).namer
    for number, (query, passages) in enumerate(pairs):
        swapped = bool(np.random.default_rng([evidence.config.seed, number, 9]).integers(2))
        given = np.concatenate([queries[query][None], evidence.embeddings[passages[::-1] if swapped else passages]])
        asked, *two = _concepts(evidence, given, namings)
        messages = prompts.which_ranks_higher(asked, two)
        yield ModelQuestion(None, namer, RANKING, messages, frozenset([int(swapped)]), 2)


def _concepts(evidence: Evidence, embeddings: np.ndarray, namings: Mapping[int, Naming]) -> list[dict[str, float]]:
    """The names of each embedding's concepts with their activations, strongest first."""
    latents = evidence.sae.encode(embeddings)
    found = []
    for row in range(len(embeddings)):
        of = slice(latents.indptr[row], latents.indptr[row + 1])
        order = np.argsort(-latents.data[of], kind="stable")
        named = zip(latents.indices[of][order].tolist(), latents.data[of][order].tolist(), strict=True)
        found.append({namings[j].name or "": strength for j, strength in named if j in namings})
    return found


def put(model: LanguageModel, database: Path, questions: Iterator[ModelQuestion]) -> Iterator[ModelVerdict]:
    """Ask a language model, several questions at a time; the order is that of the answers.

    Raises:
        ModelUnavailable: it cannot be reached, or refuses.
        SpendingCapReached: one more question could cost too much. What was answered until then comes first.
    """
    ask: Callable[[ModelQuestion], ModelVerdict] = partial(_put, model, database)
    return at_once(ask, questions, model.config.concurrency)


def _put(model: LanguageModel, database: Path, asked: ModelQuestion) -> ModelVerdict:
    accounts = ledger(database, model.config.cap, "judge", asked.latent)
    try:
        answer = model.ask(asked.messages, prompts.CHOSEN, accounts)
    except BadAnswer:
        return ModelVerdict(asked, None, ())
    chosen = prompts.numbers(answer.fields["numbers"], asked.n)[: len(asked.right)]
    value = len(asked.right & set(chosen)) / len(asked.right)
    return ModelVerdict(asked, share(asked.judge, value, len(asked.right)), (answer.receipt,))
