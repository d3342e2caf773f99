"""Which shards are searched, who holds them, and how that changes while queries run.

What is known of all shards at one time is a state, and never changes. Another is made beside it, when all is opened
that is to be, and put in its place in one step; holders keep a state for as long as anybody can still ask for it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.cluster.holding import Held, Terms, said
from unweave.cluster.reaching import Reached, WorkerGone
from unweave.cluster.shards import Catalogue, Shard
from unweave.cluster.store import Store
from unweave.errors import MissingArtifact, UnweaveError
from unweave.index.scoring import Scoring, inverse_document_frequency

OPENING = 600.0
"""Seconds that a holder may take to open shards."""
PAUSE = 5.0
"""Seconds until what could not be mended is tried again."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is known of all passages."""

    shards: Mapping[str, Held]
    """Those that were counted."""
    terms: Terms
    n_passages: int
    idf: NDArray[np.float32]  # (n_latents,)

    @classmethod
    def of(cls, shards: Mapping[str, Held], terms: Terms) -> Statistics:
        """Of these shards, of which there is one at least."""
        n_passages = sum(held.n_passages for held in shards.values())
        counted = np.sum([held.document_frequency for held in shards.values()], axis=0)
        return cls(shards, terms, n_passages, inverse_document_frequency(counted, n_passages, terms.scoring))

    def is_of(self, shards: Mapping[str, Held], terms: Terms) -> bool:
        """Whether the same would be known of these."""
        return terms == self.terms and _fingerprints(shards) == _fingerprints(self.shards)


@dataclass(frozen=True, eq=False)
class State:
    """The shards that there are, and who holds them."""

    number: int
    """Holders know it by that."""
    shards: tuple[Shard, ...]
    known: Statistics
    holders: tuple[Reached, ...]
    held_by: Mapping[str, int]
    """The holder that each shard was given to."""
    selected: tuple[tuple[str, ...], ...]
    """By holder, those of its shards that it has opened, in the corpus's order."""
    order: tuple[NDArray[np.int64], ...]
    """The same, each by its place among all shards."""
    missing: Mapping[str, str]
    """Why a shard could not be opened, by its name."""


class States:
    """The state of now, and the making of the next. Safe to use from many threads."""

    def __init__(self, store: Store, scoring: Scoring, make: Callable[[], Reached], n_holders: int) -> None:
        """Open all shards that there are.

        Args:
            make: a new holder.

        Raises:
            MissingArtifact: there are none, or none could be opened.
        """
        self._store, self._scoring, self._make = store, scoring, make
        self._changing = threading.Lock()
        self._alive: weakref.WeakValueDictionary[int, State] = weakref.WeakValueDictionary()
        self._gone: weakref.WeakSet[Reached] = weakref.WeakSet()
        self._unused = threading.Event()
        """Set when a state was given up by all who could ask for it."""
        self._ended = False
        self._worker = threading.Thread()
        self._mend_from = 0.0
        catalogue = Catalogue.read(store)
        nothing = Statistics({}, Terms(scoring, 0, 0.0), 0, np.zeros(0, np.float32))
        holders = tuple(make() for _ in range(n_holders))
        self.now = State(0, (), nothing, holders, {}, ((),) * n_holders, (), {})
        self._change(catalogue.shards, set(catalogue.names))

    def refresh(self) -> None:
        """Have all shards opened that there are now, as the store has them now.

        Raises:
            MissingArtifact: there are none any more, or none could be opened; the state is still the one of before.
        """
        with self._changing:
            catalogue = Catalogue.read(self._store)
            self._change(catalogue.shards, set(catalogue.names))

    def is_gone(self, holder: Reached) -> None:
        """Note that a holder cannot be asked any more; another will take its place."""
        self._gone.add(holder)

    def mend_soon(self, state: State, shards: Collection[str]) -> None:
        """Have shards opened anew that could not be read in a state, while others are searched."""
        if state.number == self.now.number and time.monotonic() >= self._mend_from:
            self._aside(partial(self._mend, set(shards)))

    def _mend(self, shards: set[str]) -> None:
        with suppress(UnweaveError, OSError):  # it is said with every answer, and tried again
            self._change(self.now.shards, shards)
        self._mend_from = time.monotonic() + (PAUSE if self.now.missing else 0.0)

    def let_go_soon(self) -> None:
        """Have holders forget the states that nobody can ask for any more, if there are such."""
        if self._unused.is_set():
            self._aside(self._let_go)

    def _aside(self, work: Callable[[], None]) -> None:
        """Work in a thread of its own, unless there is such work already: it is asked for again by the next query."""
        if self._ended or self._worker.is_alive():
            return

        def alone() -> None:
            with self._changing:
                work()

        worker = threading.Thread(target=alone, name="unweave-states", daemon=True)
        with suppress(RuntimeError):  # Python is ending
            worker.start()
            self._worker = worker

    def end(self) -> None:
        """Let all go; nothing can be searched any more."""
        self._ended = True
        with self._changing:
            for holder in self.now.holders:
                holder.end()

    # --- the next state ---------------------------------------------------------------------------

    def _change(self, shards: tuple[Shard, ...], to_open: Collection[str]) -> None:
        """Make the next state the one of now, when all is opened that is to be.

        Args:
            to_open: those of the shards that are new, may have changed, or could not be read.
        """
        before = self.now
        holders = tuple(self._make() if holder in self._gone else holder for holder in before.holders)
        is_new = {i for i, holder in enumerate(holders) if holder is not before.holders[i]}
        held_by = shared_out(shards, before.held_by, len(holders))
        names = [shard.name for shard in shards]
        until = time.monotonic() + OPENING
        opened = self._opened(
            holders,
            [[n for n in names if held_by[n] == i and (n in to_open or i in is_new)] for i in range(len(holders))],
            until,
        )
        # What is known of a shard that cannot be read at present still counts, so that all scores stay as they are.
        held = {**before.known.shards, **{one.shard: one for one in opened if not one.said}}
        held = {name: held[name] for name in names if name in held}
        missing = {**before.missing, **{one.shard: one.said for one in opened}}
        missing = {name: missing[name] for name in names if missing.get(name)}
        terms = self._agreed(held, missing)
        known = before.known if before.known.is_of(held, terms) else Statistics.of(held, terms)
        selected = tuple(tuple(n for n in names if held_by[n] == i and n not in missing) for i in range(len(holders)))
        place = {name: nth for nth, name in enumerate(names)}
        order = tuple(np.array([place[name] for name in some], np.int64) for some in selected)
        state = State(before.number + 1, shards, known, holders, held_by, selected, order, missing)
        asked = [holder.ask("select", state.number, some) for holder, some in zip(holders, selected, strict=True)]
        for holder, future in zip(holders, asked, strict=True):
            self._waited(holder, future, until)
        self._alive[state.number] = state
        weakref.finalize(state, self._unused.set).atexit = False
        self.now = state
        del before  # unless a query was read in it, it goes now
        self._let_go()

    def _let_go(self) -> None:
        """Have holders forget other states; waited for, so that nothing that they are told later comes before it."""
        self._unused.clear()
        until, now, alive = time.monotonic() + OPENING, self.now, list(self._alive)
        asked = [holder.ask("keep", alive, some) for holder, some in zip(now.holders, now.selected, strict=True)]
        for holder, future in zip(now.holders, asked, strict=True):
            self._waited(holder, future, until)

    def _opened(self, holders: Sequence[Reached], todo: Sequence[Sequence[str]], until: float) -> list[Held]:
        """What came of opening shards, given by the holders that are to open them."""
        asked = [(holder, some, holder.ask("open", some)) for holder, some in zip(holders, todo, strict=True) if some]
        found: list[Held] = []
        for holder, some, future in asked:
            held, why = self._waited(holder, future, until)
            found += held if not why else [Held(shard, said=why) for shard in some]
        return found

    def _waited(self, holder: Reached, future: Future[Any], until: float) -> tuple[Any, str]:
        """What a holder did, or why it did nothing; it is taken for gone then."""
        try:
            return holder.result(future, max(0.0, until - time.monotonic())), ""
        except TimeoutError:
            why = f"its worker did not open it within {OPENING:g} s"
        except WorkerGone as error:
            why = said(error)
        self.is_gone(holder)
        return None, why

    def _agreed(self, held: dict[str, Held], missing: dict[str, str]) -> Terms:
        """What most shards were indexed with; those of others become missing."""
        terms = Counter(one.terms for one in held.values() if one.terms and one.terms.scoring == self._scoring)
        if not terms:
            why = next(iter(missing.values()), "it holds none")
            raise MissingArtifact(
                f"no shard of {self._store!r} could be opened ({why}); cut a corpus and index it: unweave index build"
            )
        ((agreed, _),) = terms.most_common(1)
        for name in [name for name, one in held.items() if one.terms != agreed]:
            del held[name]
            missing[name] = "it was indexed with other settings, or another SAE, than most shards; index it again"
        return agreed


def shared_out(shards: Sequence[Shard], held_by: Mapping[str, int], n_holders: int) -> dict[str, int]:
    """The holder of each shard: the one that has it, and for new ones whichever holds the fewest passages."""
    found = {shard.name: held_by[shard.name] for shard in shards if shard.name in held_by}
    load = [0] * n_holders
    for shard in shards:
        if shard.name in found:
            load[found[shard.name]] += shard.n_passages
    for shard in shards:
        if shard.name not in found:
            i = load.index(min(load))
            found[shard.name] = i
            load[i] += shard.n_passages
    return found


def _fingerprints(shards: Mapping[str, Held]) -> dict[str, str]:
    return {name: held.fingerprint for name, held in shards.items()}
