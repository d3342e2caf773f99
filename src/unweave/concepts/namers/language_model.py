"""Name concepts by a language model: every request accounted for, every answer checked, failures kept as failures."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

from unweave.base.addresses import is_on_this_machine
from unweave.base.plain import plain
from unweave.base.stored import set_otherwise
from unweave.concepts import prompts, store
from unweave.concepts.concept import FAILED, Naming
from unweave.concepts.database import reading, writing
from unweave.concepts.evidence import Evidence, Samples, bands
from unweave.concepts.namers.base import digest
from unweave.concepts.prompts import FORM, MOST_WORDS, PROMPTS, Shown
from unweave.concepts.store import Concepts
from unweave.config import EvidenceConfig, LanguageModelConfig
from unweave.errors import BadAnswer, ModelUnavailable
from unweave.language import spending
from unweave.language.client import LanguageModel, Ledger, Receipt

logger = logging.getLogger(__name__)

_SHOWN = {"top": 4, "middle": 2, "near_misses": 3, "random": 1}
"""Passages of each kind in a prompt; of the low band as many as of the middle one."""
_FAILURES_IN_A_ROW = 5
"""So many concepts that cannot be asked about, one after the other, and the run ends: the server is gone."""
_ASSUMED_ANSWER = 50
"""Tokens of an answer, for a forecast."""
_BYTES_A_TOKEN = 4
_ASSUMED_SECONDS = {True: 12.0, False: 1.5}
"""Of a request to a server on this machine, and to one elsewhere, for a forecast."""
_MARKUP = re.compile(r"<[^>]*>|https?:|www\.|```", re.IGNORECASE)

Q = TypeVar("Q")
A = TypeVar("A")


class Forecast(NamedTuple):
    """What naming would take, before the first request."""

    concepts: int
    """That would be named; those that are named already are not."""
    requests: int
    """If none has to be sent again."""
    input_tokens: int
    output_tokens: int
    cost: float
    """In the currency of the prices."""
    most: float
    """What these requests can cost at most."""
    left: float
    """Of the cap."""
    seconds: float
    """By an assumed time for each request, unless one was given."""


class LanguageModelNamer:
    """Names concepts by a language model; see `naming.Namer`."""

    namer = "language-model"
    a_transaction = 1

    def __init__(self, database: Path, show: Callable[[Sequence[int]], Iterator[tuple[int, Shown]]],
                 config: LanguageModelConfig, evidence: EvidenceConfig) -> None:  # fmt: skip
        """Prepare to name; nothing is sent.

        Args:
            database: of the concepts, which keeps the journal of spending too.
            show: the passages of some latents; see `shown`.
        """
        self._database = database
        self._show = show
        self.config = config
        self.made_with = digest({
            "model": config.model, "prompt": config.prompt, "version": prompts.VERSIONS[config.prompt],
            "evidence": set_otherwise(evidence),
        })  # fmt: skip

    def names(self, latents: Sequence[int]) -> Iterator[tuple[int, Naming]]:
        """A naming of each latent, as they are answered; a latent whose answer is no name gets a failure.

        Raises:
            ModelUnavailable: the server cannot be reached, or refuses, several times in a row or each time.
            SpendingCapReached: one more request could cost too much. Names that were found until then come first.
        """
        if not latents:
            return
        model = LanguageModel(self.config)
        in_a_row, failures, asked, why = 0, 0, 0, ""
        try:
            for latent, naming in at_once(partial(self._name, model), self._show(latents), self.config.concurrency):
                yield latent, naming
                asked += 1
                if not naming.provenance.get("unavailable"):
                    in_a_row = 0
                    continue
                in_a_row, failures, why = in_a_row + 1, failures + 1, str(naming.provenance[FAILED])
                if in_a_row == _FAILURES_IN_A_ROW:
                    raise ModelUnavailable(why)
            if failures and failures == asked:
                raise ModelUnavailable(why)
            if failures:
                logger.warning("%d of %d concepts could not be asked about; the last: %s", failures, asked, why)
        finally:
            model.close()

    def forecast(self, latents: Sequence[int], seconds: float | None = None) -> Forecast:
        """What naming those of some latents that this namer has not named yet would take. Nothing is sent."""
        there = store.made_with(self._database, self.namer)
        todo = [latent for latent in latents if there.get(latent) != self.made_with]
        model = LanguageModel(self.config)
        try:
            asked = [PROMPTS[self.config.prompt](shown) for _, shown in self._show(todo)]
            most = sum(model.worst_cost(messages) for messages in asked)
        finally:
            model.close()
        read = sum(len(message["content"]) for messages in asked for message in messages) // _BYTES_A_TOKEN
        written = len(asked) * _ASSUMED_ANSWER
        each = _ASSUMED_SECONDS[is_on_this_machine(self.config.base_url)] if seconds is None else seconds
        with reading(self._database) as db:
            left = self.config.cap - spending.spent(db).cost
        return Forecast(
            len(todo), len(asked), read, written, self.config.cost(read, written), most, max(left, 0.0),
            len(asked) * each / self.config.concurrency,
        )  # fmt: skip

    def _name(self, model: LanguageModel, asked: tuple[int, Shown]) -> tuple[int, Naming]:
        latent, shown = asked
        about = {"model": self.config.model, "prompt": self.config.prompt}
        try:
            messages = PROMPTS[self.config.prompt](shown)
            answer = model.ask(messages, FORM, ledger(self._database, self.config.cap, "name", latent))
        except (BadAnswer, ModelUnavailable) as error:
            unavailable = {"unavailable": True} if isinstance(error, ModelUnavailable) else {}
            return latent, Naming(self.namer, None, provenance={**about, FAILED: plain(str(error), 300), **unavailable})
        used = {"input_tokens": answer.receipt.input_tokens, "output_tokens": answer.receipt.output_tokens}
        provenance = {**about, **used, "cost": answer.receipt.cost, "attempts": answer.attempts}
        wrong = unusable(answer.fields["name"])
        if wrong:
            provenance[FAILED] = wrong
            return latent, Naming(self.namer, None, provenance=provenance, receipts=(answer.receipt,))
        return latent, Naming(
            self.namer,
            plain(answer.fields["name"]),
            plain(_MARKUP.sub("", answer.fields["description"])),
            made_with=self.made_with,
            provenance=provenance,
            receipts=(answer.receipt,),
        )


def unusable(name: str) -> str | None:
    """Why what a model gave is no name; None if it is one."""
    words = plain(name).split()
    if not any(character.isalpha() for character in name):
        return "the name has no letters"
    if len(words) > MOST_WORDS:
        return f"the name has {len(words)} words, expected at most {MOST_WORDS}"
    if _MARKUP.search(name):
        return "the name holds markup or an address"
    return None


def shown(evidence: Evidence, concepts: Concepts, latents: Sequence[int]) -> Iterator[tuple[int, Shown]]:
    """The passages of each latent that a prompt shows; only such as namers may see."""
    hints = {concept.latent: concept.naming("keyphrases") for concept in concepts.by_document_frequency()}
    for latent, samples in evidence.for_naming(latents):
        hint = hints.get(latent)
        yield latent, _shown(evidence, samples, hint.name if hint else None)


def _shown(evidence: Evidence, samples: Samples, keyphrases: str | None) -> Shown:
    active = bands(len(samples.texts), _SHOWN["top"], _SHOWN["middle"])
    near = list(dict.fromkeys(samples.near_misses[samples.near_misses >= 0].tolist()))[: _SHOWN["near_misses"]]
    random = [text for text in samples.random.tolist() if text not in near][: _SHOWN["random"]]
    by_band = {band: [evidence.content(int(samples.texts[i])) for i in of] for band, of in active.items()}
    return Shown(
        **by_band,
        near_misses=[evidence.content(text) for text in near],
        random=[evidence.content(text) for text in random],
        keyphrases=keyphrases,
    )


# --- asking ---------------------------------------------------------------------------------------


def ledger(database: Path, cap: float, purpose: str, latent: int | None) -> Ledger:
    """Where the requests about a concept are accounted for."""

    def reserve(most: float) -> int:
        with writing(database) as db:
            return spending.reserve(db, most, cap, purpose, latent)

    def settle(receipt: Receipt) -> None:
        with writing(database) as db:
            spending.settle(db, [receipt])

    return Ledger(reserve, settle)


def at_once(ask: Callable[[Q], A], questions: Iterator[Q], concurrency: int) -> Iterator[A]:
    """What is found of each question, so many at a time, as they are answered.

    A question is asked only when what is found of an earlier one has been dealt with, so that no more than
    `concurrency` are ever lost. An error ends the asking: what else is on its way is waited for and comes first, then
    the error is raised. Who stops earlier waits for nothing: the threads are of the kind that ends with the process.
    """
    answers: SimpleQueue[A | Exception | None] = SimpleQueue()
    free, taking, ended = threading.Semaphore(concurrency), threading.Lock(), threading.Event()

    def work() -> None:
        try:
            while free.acquire() and not ended.is_set():
                with taking:
                    question = next(questions, None)
                if question is None:
                    break
                answers.put(ask(question))
        except Exception as error:
            ended.set()
            answers.put(error)
        answers.put(None)

    for _ in range(concurrency):
        threading.Thread(target=work, daemon=True).start()
    failed: Exception | None = None
    try:
        working = concurrency
        while working:
            answer = answers.get()
            if answer is None:
                working -= 1
                free.release()  # who waits for it finds that there is nothing left
            elif isinstance(answer, Exception):
                failed = failed or answer
            else:
                yield answer
                free.release()
    finally:
        ended.set()
        free.release(concurrency)
    if failed is not None:
        raise failed
