"""A query to all shards at once, and the best of what they find: exactly what one index of all passages would give.

idf is of all passages, so a passage's score does not depend on the shard that it is in; equal scores keep the corpus's
order. A query is read and searched in one state of the shards, see `states`: an answer is of the shards before a change
or after it, and never of some of both.

A shard that was lost, is damaged or does not answer in time is named in the answer: what is partial says so. It is
opened anew meanwhile, by another worker if its own is gone. The scores of all others stay as they are, since what is
known of all passages was counted when the shards were opened.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from unweave.base.contributions import Names
from unweave.base.plain import plain
from unweave.base.records import Explanation, Passage
from unweave.cluster.holding import Found, Reply, best_found, said
from unweave.cluster.reaching import Reached, WorkerGone, reach
from unweave.cluster.states import State, States
from unweave.cluster.store import Store
from unweave.config import HERE
from unweave.errors import BadData, MissingArtifact
from unweave.index.query import ConceptQuery, explain_concepts, weighted
from unweave.index.scoring import PROFILES, TOKENS, Scoring

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


class ShardQuery(ConceptQuery):
    """A query with the weights that it has in one state of the shards, in which it is searched."""

    state: State

    @classmethod
    def of(cls, query: ConceptQuery, state: State) -> Self:
        """A query as it was weighed there."""
        made = cls(*query)
        made.state = state
        return made


class ShardSearch:
    """All shards of a store, opened by some holders, to be searched from many threads."""

    def __init__(
        self, store: Store, *, on: str = HERE, holders: int = 1, profile: str = "default", deadline: float = DEADLINE
    ) -> None:
        """Open all shards that there are.

        Args:
            on: `here` or `cluster`, see `workers.workers_on`; a cluster is joined already.
            holders: how many workers hold them; each has an even part.
            profile: the scoring profile that the shards were indexed by: `default`, or `tokens`.
            deadline: seconds that they may take to answer.

        Raises:
            MissingArtifact: there are no shards, or none could be opened.
        """
        if holders < 1:
            raise BadData(f"shards are held by one worker or more, got {holders}")
        self.scoring: Scoring = {**PROFILES, TOKENS.profile: TOKENS}[profile]
        self._deadline = deadline
        self._states = States(store, self.scoring, partial(reach, on, store, profile), holders)
        self._late: weakref.WeakKeyDictionary[Reached, Future[Any]] = weakref.WeakKeyDictionary()

    def __enter__(self) -> ShardSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let all shards go; nothing can be searched any more."""
        self._states.end()

    @property
    def n_passages(self) -> int:
        """Passages of all shards that were opened."""
        return self._states.now.known.n_passages

    @property
    def idf(self) -> NDArray[np.float32]:
        """The weight of each latent in a query, over all shards, (n_latents,)."""
        return self._states.now.known.idf

    @property
    def missing(self) -> dict[str, str]:
        """Why a shard could not be opened, by its name."""
        return dict(self._states.now.missing)

    def refresh(self) -> None:
        """Hold the shards that there are now, as the store has them now: new ones are opened, old ones let go.

        Who searches meanwhile finds the old ones, and so does a query that was read before.

        Raises:
            MissingArtifact: there are none any more, or none could be opened; the old ones are still held.
        """
        self._states.refresh()

    # --- search -----------------------------------------------------------------------------------

    def read(self, latents: csr_array) -> ShardQuery:
        """A query's latents, (1, n_latents), as shards are asked for them."""
        state = self._states.now
        return ShardQuery.of(weighted(latents, state.known.idf, self.scoring), state)

    def search(self, query: ShardQuery, cutoff: int = 10) -> Answer:
        """The best passages of all shards that answer in time.

        Raises:
            BadData: the query cannot be meant.
        """
        return self.search_all([query], cutoff)[0]

    def search_all(self, queries: Sequence[ShardQuery], cutoff: int = 10) -> list[Answer]:
        """The same for each of many queries, of which every holder is asked at once.

        Raises:
            BadData: a query cannot be meant.
        """
        if cutoff < 1:
            raise BadData(f"cutoff must be at least 1, got {cutoff}")
        self._states.let_go_soon()
        answers: dict[int, Answer] = {}
        for state in dict.fromkeys(query.state for query in queries):
            some = [nth for nth, query in enumerate(queries) if query.state is state]
            asked = [ConceptQuery(*queries[nth]) for nth in some]
            answers |= zip(some, self._answers(self._mended(state), asked, cutoff), strict=True)
        return [answers[nth] for nth in range(len(queries))]

    def _mended(self, state: State) -> State:
        """The state of now, if it is of the same passages: some could perhaps not be read before."""
        now = self._states.now
        return now if now.known is state.known else state

    def _answers(self, state: State, queries: Sequence[ConceptQuery], cutoff: int) -> list[Answer]:
        futures, missing = self._asked(state, queries, cutoff)
        done, late = wait(futures, timeout=self._deadline)
        for future in late:
            i = futures[future]
            missing |= dict.fromkeys(state.selected[i], f"no answer within {self._deadline:g} s")
            self._late[state.holders[i]] = future
        replies: dict[int, Reply] = {}
        unread = dict(state.missing)
        for future in done:
            i = futures[future]
            try:
                replies[i] = state.holders[i].result(future)
            except (WorkerGone, MissingArtifact) as error:
                self._states.is_gone(state.holders[i])
                unread |= dict.fromkeys(state.selected[i], said(error))
                continue
            unread |= replies[i].missing
        if unread:
            self._states.mend_soon(state, unread)
        found = [_merged(state, {i: reply.found[nth] for i, reply in replies.items()}, cutoff)
                 for nth in range(len(queries))]  # fmt: skip
        return [Answer(hits, missing | unread, state.known.n_passages) for hits in found]

    def _asked(
        self, state: State, queries: Sequence[ConceptQuery], cutoff: int
    ) -> tuple[dict[Future[Reply], int], dict[str, str]]:
        """What holders were asked, and the shards of those that still work on what they were asked before."""
        futures: dict[Future[Reply], int] = {}
        missing: dict[str, str] = {}
        for i, holder in enumerate(state.holders):
            late = self._late.get(holder)
            if late is not None and not late.done():
                missing |= dict.fromkeys(state.selected[i], "its worker has not answered an earlier query yet")
            elif state.selected[i]:
                futures[holder.ask("search", state.number, queries, cutoff)] = i
        return futures, missing

    def explain(self, query: ShardQuery, hits: Sequence[ShardHit], names: Names | None = None) -> list[Explanation]:
        """Why hits of a query got their scores, in their order.

        Raises:
            MissingArtifact: a hit's shard has gone since.
        """
        state = self._mended(query.state)
        counted = self._of_hits(state, hits, "counted", state.number)
        return explain_concepts([hit.score for hit in hits], *query, counted, names)

    def passages(self, hits: Sequence[ShardHit]) -> list[Passage]:
        """The passages of hits, in their order.

        Raises:
            MissingArtifact: a hit's shard has gone since.
        """
        return self._of_hits(self._states.now, hits, "passages")

    def _of_hits(self, state: State, hits: Sequence[ShardHit], method: str, *arguments: Any) -> list[Any]:
        """What holders give for hits; each is asked once."""
        some: dict[int, list[int]] = {}
        for nth, hit in enumerate(hits):
            if hit.shard not in state.held_by:
                raise MissingArtifact(f"the shard {plain(hit.shard, 40)} is not held any more; search again")
            some.setdefault(state.held_by[hit.shard], []).append(nth)
        places = {i: [(hits[nth].shard, hits[nth].position) for nth in of] for i, of in some.items()}
        futures = {i: state.holders[i].ask(method, *arguments, places[i]) for i in some}
        found: dict[int, Any] = {}
        for i, future in futures.items():
            try:
                found |= zip(some[i], state.holders[i].result(future, self._deadline), strict=True)
            except (WorkerGone, TimeoutError) as error:
                raise MissingArtifact(
                    f"the shard {places[i][0][0]} does not answer any more ({said(error)}); search again"
                ) from error
        return [found[nth] for nth in range(len(hits))]


def _merged(state: State, found: dict[int, Found], cutoff: int) -> list[ShardHit]:
    """The best of what holders found, each given by its place."""
    best = best_found([one._replace(shards=state.order[i][one.shards]) for i, one in found.items()], cutoff)
    columns = best.shards.tolist(), best.positions.tolist(), best.scores.tolist(), best.ids
    return [
        ShardHit(rank, score, state.shards[shard].name, position, passage_id)
        for rank, (shard, position, score, passage_id) in enumerate(zip(*columns, strict=True), 1)
    ]
