"""A query to all shards at once, and the best of what they find: exactly what one index of all passages would give.

idf is of all passages, so a passage's score does not depend on the shard that it is in; equal scores keep the corpus's
order. A shard that was lost, is damaged or does not answer in time is named in the answer: what is partial says so.
Scores stay as they are meanwhile, since what is known of all passages was counted when the shards were opened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names
from unweave.base.plain import plain
from unweave.base.records import Explanation, Passage
from unweave.cluster.holding import Held, Holder, Part
from unweave.cluster.shards import Catalogue
from unweave.cluster.store import Store
from unweave.cluster.workers import actor
from unweave.config import HERE
from unweave.errors import BadData, MissingArtifact
from unweave.index.query import ConceptQuery, explain_concepts, weighted
from unweave.index.scoring import PROFILES, Scoring, inverse_document_frequency

DEADLINE = 30.0
"""Seconds that shards may take to answer."""


class ShardHit(NamedTuple):
    """A passage that was found, by the shard that it is in."""

    rank: int
    """1 for the best."""
    score: float
    shard: str
    position: int
    """In its shard, from 0."""
    passage_id: str


class Answer(NamedTuple):
    """What was found, and what could not be asked."""

    hits: list[ShardHit]
    missing: dict[str, str]
    """Why a shard did not answer, by its name; where there is one, the hits are the best of the others."""
    n_passages: int
    """Passages of all shards."""

    @property
    def is_partial(self) -> bool:
        """Whether passages that were not looked at could belong among the hits."""
        return bool(self.missing)


class _Asked(Protocol):
    """A holder, wherever it is."""

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        """Call one of its methods."""


class _InThisProcess:
    def __init__(self, *arguments: Any) -> None:
        self._holder = Holder(*arguments)
        self._thread = ThreadPoolExecutor(1)

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        return self._thread.submit(getattr(self._holder, method), *arguments)


class _OnRay:
    def __init__(self, *arguments: Any) -> None:
        self._actor = actor(Holder, *arguments)

    def ask(self, method: str, *arguments: Any) -> Future[Any]:
        future: Future[Any] = getattr(self._actor, method).remote(*arguments).future()
        return future


class ShardSearch:
    """All shards of a store, opened by some holders, to be searched from many threads."""

    def __init__(
        self, store: Store, *, on: str = HERE, holders: int = 1, profile: str = "default", deadline: float = DEADLINE
    ) -> None:
        """Open all shards that there are.

        Args:
            on: `here` or `cluster`, see `workers.workers_on`; a cluster is joined already.
            holders: how many workers hold them; each has an even part.
            profile: the scoring profile that the shards were indexed by.
            deadline: seconds that they may take to answer.

        Raises:
            MissingArtifact: there are no shards, or none could be opened.
        """
        self.scoring: Scoring = PROFILES[profile]
        self._store, self._deadline = store, deadline
        self._make: Callable[[], _Asked] = partial(_InThisProcess if on == HERE else _OnRay, store, profile)
        self._holders: list[_Asked] = [self._make() for _ in range(holders)]
        self._held_by: dict[str, int] = {}
        self._known: dict[str, Held] = {}
        self._opening: list[Future[list[Held]] | None] = [None] * holders
        self._changing = threading.Lock()
        self._order: dict[str, int] = {}
        self.refresh()
        if not self._known:
            raise MissingArtifact(f"no shard of {store!r} could be opened; index them: unweave index build")

    @property
    def n_passages(self) -> int:
        """Passages of all shards that were opened."""
        return sum(held.n_passages for held in self._known.values())

    @property
    def idf(self) -> NDArray[np.float32]:
        """The weight of each latent in a query, over all shards, (n_latents,)."""
        counted = np.sum([held.document_frequency for held in self._known.values()], axis=0)
        return inverse_document_frequency(counted, self.n_passages, self.scoring)

    def refresh(self) -> None:
        """Hold the shards that there are now: new ones are opened, those that were taken out are let go.

        Who searches meanwhile finds the old ones, or the new.
        """
        with self._changing:
            names = Catalogue.read(self._store).names
            gone = [shard for shard in self._held_by if shard not in set(names)]
            for shard in gone:
                self._holders[self._held_by.pop(shard)].ask("release", [shard])
                self._known.pop(shard, None)
            self._order = {shard: i for i, shard in enumerate(names)}
            todo: list[list[str]] = [[] for _ in self._holders]
            load = [sum(at == i for at in self._held_by.values()) for i in range(len(self._holders))]
            for shard in names:
                if shard not in self._held_by:
                    i = load.index(min(load))
                    todo[i].append(shard)
                    load[i] += 1
            opening = {i: self._holders[i].ask("hold", some) for i, some in enumerate(todo) if some}
            for i, future in opening.items():
                self._note_held(i, todo[i], future.result())

    def _note_held(self, i: int, asked: Sequence[str], found: Sequence[Held]) -> None:
        self._held_by |= dict.fromkeys(asked, i)
        self._known |= {held.shard: held for held in found if not held.said}

    # --- search -----------------------------------------------------------------------------------

    def read(self, latents: csr_array) -> ConceptQuery:
        """A query's latents, (1, n_latents), as shards are asked for them."""
        return weighted(latents, self.idf, self.scoring)

    def search(self, query: ConceptQuery, cutoff: int = 10) -> Answer:
        """The best passages of all shards that answer in time."""
        if cutoff < 1:
            raise BadData(f"cutoff must be at least 1, got {cutoff}")
        missing = dict.fromkeys(self._order, "it could not be opened")
        parts = []
        asked = {self._ask(i, "search", query, cutoff): i for i in range(len(self._holders)) if self._is_open(i)}
        done, late = wait(asked, timeout=self._deadline)
        for future in late:
            missing |= dict.fromkeys(self._shards_of(asked[future]), f"no answer within {self._deadline:g} s")
        for future in done:
            try:
                parts += future.result()
            except Exception as error:
                missing |= dict.fromkeys(self._shards_of(asked[future]), f"its worker is gone ({type(error).__name__})")
                self._replace(asked[future])
        found = [part for part in parts if part.shard in self._order]
        for part in found:
            missing.pop(part.shard, None) if not part.said else missing.update({part.shard: part.said})
        self._mend(found, missing)
        return Answer(self._merged(found, cutoff), missing, self.n_passages)

    def _merged(self, parts: Sequence[Part], cutoff: int) -> list[ShardHit]:
        if not parts:
            return []
        scores = np.concatenate([part.hits.scores for part in parts])
        positions = np.concatenate([part.hits.passages for part in parts])
        order = np.concatenate([np.full(len(part.ids), self._order[part.shard]) for part in parts])
        best = np.lexsort((positions, order, -scores))[:cutoff].tolist()
        ids = [(part.shard, one) for part in parts for one in part.ids]
        return [
            ShardHit(rank, float(scores[i]), ids[i][0], int(positions[i]), ids[i][1]) for rank, i in enumerate(best, 1)
        ]

    def explain(self, query: ConceptQuery, hits: Sequence[ShardHit], names: Names | None = None) -> list[Explanation]:
        """Why hits got their scores, in their order.

        Raises:
            MissingArtifact: a hit's shard has gone since.
        """
        asked = [self._of_shard(hit.shard, "counted", hit.shard, [hit.position]) for hit in hits]
        counted = [_result(future)[0] for future in asked]
        return explain_concepts([hit.score for hit in hits], *query, counted, names)

    def passages(self, hits: Sequence[ShardHit]) -> list[Passage]:
        """The passages of hits, in their order.

        Raises:
            MissingArtifact: a hit's shard has gone since.
        """
        asked = [self._of_shard(hit.shard, "passages", hit.shard, [hit.position]) for hit in hits]
        return [_result(future)[0] for future in asked]

    def _of_shard(self, shard: str, method: str, *arguments: Any) -> Future[Any]:
        if shard not in self._held_by:
            raise MissingArtifact(f"the shard {plain(shard, 40)} is not held any more; search again")
        return self._ask(self._held_by[shard], method, *arguments)

    # --- workers that go and come -----------------------------------------------------------------

    def _ask(self, i: int, method: str, *arguments: Any) -> Future[Any]:
        return self._holders[i].ask(method, *arguments)

    def _shards_of(self, i: int) -> Iterator[str]:
        return (shard for shard, at in list(self._held_by.items()) if at == i)

    def _is_open(self, i: int) -> bool:
        """Whether a holder has opened what it is to hold; one that took another's place may still be at it."""
        opening = self._opening[i]
        if opening is None:
            return True
        if not opening.done():
            return False
        self._opening[i] = None
        try:
            self._note_held(i, [], opening.result())
        except Exception:
            self._replace(i)
            return False
        return True

    def _replace(self, i: int) -> None:
        """Put another holder in the place of one that is gone; it opens its shards while others answer."""
        with self._changing:
            if self._opening[i] is None:
                self._holders[i] = self._make()
                self._opening[i] = self._holders[i].ask("hold", list(self._shards_of(i)))

    def _mend(self, parts: Sequence[Part], missing: dict[str, str]) -> None:
        """Have shards fetched anew that their holder could not read, or could not open before."""
        for i, holder in enumerate(self._holders):
            again = [shard for shard in self._shards_of(i) if shard in missing]
            if again and self._opening[i] is None and any(self._held_by[part.shard] == i for part in parts):
                self._opening[i] = holder.ask("hold", again)


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except Exception as error:
        raise MissingArtifact(f"a shard's worker is gone ({type(error).__name__}); search again") from error
