"""What a worker that searches holds: some shards' indexes, searched as one index, and the best of what is in them.

A holder is told which shards make up a selection, and is asked for the best of one: so who searches while shards come
and go is answered from the shards of before or from those of now, and never from a mixture.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unweave.base.plain import plain
from unweave.base.records import Passage
from unweave.cluster.copies import Copies, Copy
from unweave.cluster.stages import found_damaged, place_of
from unweave.cluster.store import Store
from unweave.errors import CorruptArtifact, MissingArtifact, UnweaveError
from unweave.index.concept_index import KIND, ConceptIndex
from unweave.index.query import ConceptQuery, Counted
from unweave.index.scoring import Scoring
from unweave.index.searching import Asked, Whole
from unweave.texts.corpus import Corpus

_AT_ONCE = 8
"""Shards that are fetched at a time."""
T = TypeVar("T")
_SAID = 300
"""Characters of an error."""


class Terms(NamedTuple):
    """What decides scores beside the passages: shards are one index only if these are the same for all."""

    scoring: Scoring
    n_latents: int
    mean_latents: float
    """0 where the scoring has no use for it."""


class Held(NamedTuple):
    """A shard that was opened, or why it was not."""

    shard: str
    fingerprint: str = ""
    """Of its index."""
    n_passages: int = 0
    document_frequency: NDArray[np.int64] = np.zeros(0, np.int64)  # (n_latents,)
    terms: Terms | None = None
    """None where it was not opened."""
    said: str = ""


class Found(NamedTuple):
    """The best passages of a selection for one query, best first; equal scores keep the selection's order."""

    shards: NDArray[np.int64]  # (n_hits,) which of the selection's shards
    positions: NDArray[np.int64]  # (n_hits,) in their shards
    scores: NDArray[np.float32]  # (n_hits,) non-increasing
    ids: list[str]


_NOTHING = Found(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), [])


class Reply(NamedTuple):
    """What a holder answers: what was found for each query, and which shards were not searched."""

    found: list[Found]
    missing: dict[str, str]
    """Why, by a shard's name."""


class Holder:
    """Holds shards and searches them. One holder may be asked from many threads."""

    def __init__(self, store: Store, profile: str) -> None:
        """It holds nothing yet; what it fetches goes away when it is held no more."""
        self._store, self._index, self._copies = store, f"index/{profile}", Copies(store)
        self._opened: dict[str, _Opened] = {}
        self._corpora: dict[str, tuple[Corpus, Copy]] = {}
        self._selections: dict[int, _Selection] = {}
        self._changing = threading.Lock()

    def open(self, shards: Sequence[str]) -> list[Held]:
        """Open shards as the store has them; one that cannot be is said, and the others are opened all the same.

        One that was opened, and has not changed in the store since, is opened already.
        """
        with ThreadPoolExecutor(_AT_ONCE, "unweave-open") as threads:  # a store answers slowly, but many at once
            return list(threads.map(self._open, shards))

    def _open(self, shard: str) -> Held:
        opened = self._opened.get(shard)
        try:
            if opened is None or self._is_replaced(shard, opened):
                opened = self._opened[shard] = _Opened(*self._taken(shard, self._index, KIND, ConceptIndex.open))
        except (UnweaveError, OSError) as error:
            return Held(shard, said=said(error))
        index = opened.indexed
        mean_latents = index.mean_latents if index.scoring.b else 0.0
        terms = Terms(index.scoring, index.n_latents, mean_latents)
        return Held(shard, index.manifest.fingerprint, index.n_passages, index.document_frequency, terms)

    def _is_replaced(self, shard: str, opened: _Opened) -> bool:
        try:
            there = self._store.manifest(place_of(shard, self._index), KIND)
        except (UnweaveError, OSError):
            return False  # what is held is whole, whatever has become of the store's
        return there.fingerprint != opened.indexed.manifest.fingerprint

    def select(self, number: int, shards: Sequence[str]) -> None:
        """Call shards that were opened, in this order, the selection of this number."""
        opened = dict(self._opened)
        missing = {shard: "it was found damaged" for shard in shards if shard not in opened}
        self._selections[number] = _Selection(shards, opened, missing)

    def keep(self, numbers: Sequence[int], shards: Sequence[str]) -> None:
        """Forget all other selections, and shards that are not of them either."""
        with self._changing:
            self._selections = {n: one for n, one in self._selections.items() if n in set(numbers)}
            self._opened = {shard: one for shard, one in self._opened.items() if shard in set(shards)}
            self._corpora = {shard: one for shard, one in self._corpora.items() if shard in set(shards)}

    def search(self, number: int, queries: Sequence[ConceptQuery], cutoff: int) -> Reply:
        """The best passages of a selection for each query.

        Raises:
            MissingArtifact: there is no such selection.
            BadData: a query cannot be meant.
        """
        selection = self._selection(number)
        try:
            return Reply([selection.search(query, cutoff) for query in queries], selection.missing)
        except (CorruptArtifact, OSError):
            return self._search_apart(number, selection, queries, cutoff)

    def _search_apart(self, number: int, selection: _Selection, queries: Sequence[ConceptQuery], cutoff: int) -> Reply:
        """The same where something is damaged: found out shard by shard, and left out from now on."""
        missing = dict(selection.missing)
        while True:
            known = len(missing)
            found = [selection.search_apart(query, cutoff, missing) for query in queries]
            if len(missing) == known:
                break
        with self._changing:
            for shard in missing.keys() - selection.missing.keys():
                if self._opened.get(shard) is selection.opened[shard]:
                    del self._opened[shard]  # so that it is fetched anew
            if missing != selection.missing and self._selections.get(number) is selection:
                self._selections[number] = _Selection(selection.shards, selection.opened, missing)
        return Reply(found, missing)

    def counted(self, number: int, places: Sequence[tuple[str, int]]) -> list[Counted]:
        """What of passages counts in their scores, each given by its shard and its position there.

        Raises:
            MissingArtifact: there is no such selection.
            CorruptArtifact: what was read is not what was written.
        """
        opened = self._selection(number).opened
        return [opened[shard].indexed.counted(position) for shard, position in places]

    def passages(self, places: Sequence[tuple[str, int]]) -> list[Passage]:
        """Passages, each given by its shard and its position there.

        Raises:
            MissingArtifact, CorruptArtifact: the store has no such corpus, or it is damaged.
        """
        for shard in {shard for shard, _ in places} - self._corpora.keys():
            self._corpora[shard] = self._taken(shard, "corpus", Corpus.kind, Corpus.load)
        return [self._corpora[shard][0][position] for shard, position in places]

    def process(self) -> int:
        """The number of the process that it is in."""
        return os.getpid()

    def _selection(self, number: int) -> _Selection:
        if number not in self._selections:
            raise MissingArtifact("the shards are not held any more; search again")
        return self._selections[number]

    def _taken(self, shard: str, artifact: str, kind: str, load: Callable[[Path], T]) -> tuple[T, Copy]:
        """An artefact, and the copy that it is read from; what is damaged is noted as not made."""
        with found_damaged(self._store, shard, artifact):
            copy = self._copies.take(place_of(shard, artifact), kind)
            return load(copy.path), copy


def said(error: BaseException) -> str:
    """An error as one line."""
    return plain(str(error) or type(error).__name__, _SAID)


class _Opened(NamedTuple):
    """A shard's index, and the copy of it that goes away when nobody reads it any more."""

    indexed: ConceptIndex
    copy: Copy


class _Selection:
    """Some shards, searched as one index of all their passages. It never changes."""

    def __init__(self, shards: Sequence[str], opened: Mapping[str, _Opened], missing: dict[str, str]) -> None:
        """Take them together, but for those that are missing."""
        self.shards, self.missing = tuple(shards), missing
        self.opened = {shard: opened[shard] for shard in shards if shard in opened}
        self._nth = np.array([nth for nth, shard in enumerate(shards) if shard not in missing], np.int64)
        self._indexes = [self.opened[shard].indexed for shard in shards if shard not in missing]
        self._first = _starts([index.n_positions for index in self._indexes])
        if self._indexes:
            segments = [segment for index in self._indexes for segment in index.segments]
            counted = np.sum([index.document_frequency for index in self._indexes], axis=0)
            self._whole = Whole(segments, _starts([segment.n_passages for segment in segments]), counted)

    def search(self, query: ConceptQuery, cutoff: int) -> Found:
        """The best passages for a query.

        Raises:
            BadData: it cannot be meant.
            CorruptArtifact: something that was read is not what was written.
        """
        if not self._indexes:
            return _NOTHING
        hits = self._whole.search(Asked(*query, cutoff, (), None, None, 1.0), self._indexes[0].formula)
        at = np.searchsorted(self._first, hits.passages, side="right") - 1
        places = hits.passages - self._first[at]
        ids = [self._indexes[i].ids([place])[0] for i, place in zip(at.tolist(), places.tolist(), strict=True)]
        return Found(self._nth[at], places, hits.scores, ids)

    def search_apart(self, query: ConceptQuery, cutoff: int, missing: dict[str, str]) -> Found:
        """The same, each shard on its own; those that cannot be read are added to what is missing."""
        parts = []
        for nth, index in zip(self._nth.tolist(), self._indexes, strict=True):
            if self.shards[nth] in missing:
                continue
            try:
                hits = index.hits(*query, cutoff)
                shards = np.full(len(hits.passages), nth, np.int64)
                parts.append(Found(shards, hits.passages, hits.scores, index.ids(hits.passages.tolist())))
            except (CorruptArtifact, OSError) as error:
                missing[self.shards[nth]] = said(error)
        return best_found(parts, cutoff)


def best_found(parts: Sequence[Found], cutoff: int) -> Found:
    """The best of what was found in several places; equal scores in the order of shards, and of passages in one."""
    if not parts:
        return _NOTHING
    shards, positions, scores = (np.concatenate([part[field] for part in parts]) for field in range(3))
    best = np.lexsort((positions, shards, -scores))[:cutoff]
    ids = [name for part in parts for name in part.ids]
    return Found(shards[best], positions[best], scores[best], [ids[i] for i in best.tolist()])


def _starts(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
