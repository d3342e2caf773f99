"""Name concepts by a language model: every request accounted for, every answer checked, failures kept as failures.

A concept may be asked about several times, each time with other texts. Of the names that come, the one is kept that
tells best which texts activate it, of those that namers may see and that no request about it showed. A model that finds
nothing to name may say so; where most answers do, there is no name.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unweave.base.addresses import is_on_this_machine
from unweave.base.plain import plain
from unweave.base.stored import set_otherwise
from unweave.concepts import prompts, store
from unweave.concepts.concept import FAILED, Naming
from unweave.concepts.database import reading, writing
from unweave.concepts.evidence import Evidence, Samples, bands
from unweave.concepts.namers.base import digest
from unweave.concepts.prompts import FORM, MOST_WORDS, NO_NAME, PROMPTS, Shown
from unweave.concepts.store import Concepts
from unweave.config import EvidenceConfig, LanguageModelConfig
from unweave.errors import BadAnswer, ModelUnavailable, SpendingCapReached
from unweave.language import spending
from unweave.language.client import Answer, LanguageModel, Ledger, Receipt

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

_TOLD_BY = 60
"""Texts that activate a concept, at most, and as many that do not, by which one of several names is chosen."""

Q = TypeVar("Q")
A = TypeVar("A")
Tell = Callable[[Sequence[str], NDArray[np.int64], NDArray[np.int64]], Sequence[float]]
"""How well each of some names tells the first texts, which activate a latent, from the others."""


class Asked(NamedTuple):
    """What a model is asked about one latent."""

    prompts: Sequence[Shown]
    """One a request."""
    active: NDArray[np.int64]
    """Texts that activate it and stand in no prompt, by their number in the evidence."""
    silent: NDArray[np.int64]
    """Texts that do not, and stand in none."""


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

    def said(self) -> Iterator[str]:
        """A line for each number, and one more if the cap will be reached."""
        yield f"concepts        {self.concepts:>12,}"
        yield f"requests        {self.requests:>12,}   if none has to be sent again"
        yield f"input tokens    {self.input_tokens:>12,}   about, at four characters each"
        yield f"output tokens   {self.output_tokens:>12,}   about"
        yield f"cost            {self.cost:>12.4f}   about; {self.most:.4f} at most, {self.left:.4f} left of the cap"
        yield f"time            {self.seconds / 60:>12.1f}   minutes, about"
        if self.most > self.left:
            yield "the most that it can cost is above what is left of the cap; it stops there, what is named is kept"


class LanguageModelNamer:
    """Names concepts by a language model; see `naming.Namer`."""

    namer = "language-model"
    a_transaction = 1

    def __init__(self, database: Path, show: Callable[[Sequence[int]], Iterator[tuple[int, Asked]]],
                 config: LanguageModelConfig, evidence: EvidenceConfig, tell: Tell) -> None:  # fmt: skip
        """Prepare to name; nothing is sent.

        Args:
            database: of the concepts, which keeps the journal of spending too.
            show: the passages of some latents; see `shown`.
            tell: what chooses between several names.
        """
        self._database = database
        self._show = show
        self._tell = tell
        self.config = config
        self.made_with = digest({
            "model": config.model, "prompt": config.prompt, "version": prompts.VERSIONS[config.prompt],
            "evidence": set_otherwise(evidence), **({} if config.samples == 1 else {"samples": config.samples}),
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
            asked = [PROMPTS[self.config.prompt](shown) for _, of in self._show(todo) for shown in of.prompts]
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

    def _name(self, model: LanguageModel, of: tuple[int, Asked]) -> tuple[int, Naming]:
        latent, asked = of
        answers, wrong, unavailable = [], "", False
        for shown in asked.prompts:
            try:
                messages = PROMPTS[self.config.prompt](shown)
                answers.append(model.ask(messages, FORM, ledger(self._database, self.config.cap, "name", latent)))
            except BadAnswer as error:
                wrong = plain(str(error), 300)
            except SpendingCapReached:
                if not answers:
                    raise
                break  # what was paid for is used; the next concept ends the run
            except ModelUnavailable as error:
                wrong, unavailable = plain(str(error), 300), True
                break
        about = {"model": self.config.model, "prompt": self.config.prompt}
        if not answers:
            failed = {FAILED: wrong, **({"unavailable": True} if unavailable else {})}
            return latent, Naming(self.namer, None, provenance={**about, **failed})
        return latent, self._of_answers(asked, answers, about)

    def _of_answers(self, asked: Asked, answers: Sequence[Answer], about: dict[str, Any]) -> Naming:
        """The naming that some answers about a latent, at least one, come to."""
        receipts = tuple(answer.receipt for answer in answers)
        provenance = about | {
            "input_tokens": sum(receipt.input_tokens for receipt in receipts),
            "output_tokens": sum(receipt.output_tokens for receipt in receipts),
            "cost": sum(receipt.cost for receipt in receipts),
            "attempts": sum(answer.attempts for answer in answers),
        }
        none = [answer for answer in answers if plain(answer.fields["name"]).casefold().strip(" .\"'") == NO_NAME]
        if 2 * len(none) > len(answers):
            return Naming(self.namer, None, made_with=self.made_with, provenance=provenance, receipts=receipts)
        usable = [answer for answer in answers if answer not in none and not unusable(answer.fields["name"])]
        if not usable:
            wrong = next(filter(None, (unusable(answer.fields["name"]) for answer in answers if answer not in none)))
            return Naming(self.namer, None, provenance={**provenance, FAILED: wrong}, receipts=receipts)
        by_name = {plain(answer.fields["name"]): answer for answer in reversed(usable)}  # of equal ones the first
        names = list(dict.fromkeys(plain(answer.fields["name"]) for answer in usable))
        if len(names) > 1:
            told = self._tell(names, asked.active, asked.silent)
            names.sort(key=dict(zip(names, told, strict=True)).__getitem__, reverse=True)
            provenance["others"] = names[1:]
        description = plain(_MARKUP.sub("", by_name[names[0]].fields["description"]))
        return Naming(
            self.namer, names[0], description, made_with=self.made_with, provenance=provenance, receipts=receipts
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


def shown(evidence: Evidence, concepts: Concepts, samples: int, latents: Sequence[int]) -> Iterator[tuple[int, Asked]]:
    """What a model is shown of each latent, so many times; only texts that namers may see."""
    hints = {concept.latent: concept.naming("keyphrases") for concept in concepts.by_document_frequency()}
    for latent, found in evidence.for_naming(latents):
        hint = hints.get(latent)
        rng = np.random.default_rng([evidence.config.seed, latent, 40])
        drawn = [_drawn(found, rng if number else None) for number in range(samples)]
        prompts = [_shown(evidence, one, hint.name if hint else None) for one in drawn]
        seen = np.concatenate([np.concatenate([*one.active.values(), one.near_misses, one.random]) for one in drawn])
        silent = np.union1d(found.near_misses[found.near_misses >= 0], found.random)
        active, silent = (of[~np.isin(of, seen)] for of in (found.texts, rng.permutation(silent)))
        evenly = np.linspace(0, len(active) - 1, min(len(active), _TOLD_BY)).astype(
            np.int64
        )  # strong ones and weak ones
        yield latent, Asked(prompts, active[evenly], silent[:_TOLD_BY])


class _Drawn(NamedTuple):
    """The texts of one prompt, by their number in the evidence."""

    active: dict[str, NDArray[np.int64]]
    """By band."""
    near_misses: NDArray[np.int64]
    random: NDArray[np.int64]


def _drawn(samples: Samples, rng: np.random.Generator | None) -> _Drawn:
    """The strongest of each band and the first of the others, or so many by lot out of thirds of the active."""
    near = np.array(list(dict.fromkeys(samples.near_misses[samples.near_misses >= 0].tolist())), np.int64)
    if rng is None:
        active = bands(len(samples.texts), _SHOWN["top"], _SHOWN["middle"])
    else:
        most = (_SHOWN["top"], _SHOWN["middle"], _SHOWN["middle"])
        thirds = np.array_split(np.arange(len(samples.texts)), 3)
        chosen = (np.sort(rng.permutation(third)[:n]) for third, n in zip(thirds, most, strict=True))
        active = dict(zip(("top", "middle", "low"), chosen, strict=True))
        near = rng.permutation(near)
    near = near[: _SHOWN["near_misses"]]
    others = samples.random[~np.isin(samples.random, near)]
    random = others if rng is None else rng.permutation(others)
    by_band = {band: samples.texts[of] for band, of in active.items()}
    return _Drawn(by_band, near, random[: _SHOWN["random"]])


def _shown(evidence: Evidence, drawn: _Drawn, keyphrases: str | None) -> Shown:
    def contents(texts: NDArray[np.int64]) -> list[str]:
        return [evidence.content(text) for text in texts.tolist()]

    return Shown(
        **{band: contents(of) for band, of in drawn.active.items()},
        near_misses=contents(drawn.near_misses),
        random=contents(drawn.random),
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
